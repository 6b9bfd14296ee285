//! Doors of what wants attention, and of what people changed.

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Extension, State};
use serde::Deserialize;
use tollgate_shared::alert::{Alert, AlertState, Said};
use tollgate_shared::api::{AckRequest, AlertList, AuditList, SnoozeRequest};

use crate::api::change::Origin;
use crate::api::{Problem, Rooms, read};
use crate::clock;
use crate::ledger::ChangeError;

/// Which alerts to show.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertQuery {
    state: Option<String>,
}

/// `GET /alerts`: those that hold; `?state=` shows others.
pub(super) async fn list(
    State(rooms): State<Rooms>,
    read::Query(query): read::Query<AlertQuery>,
) -> Result<Json<AlertList>, Problem> {
    let (mut holding, mut resolved) = rooms.hub.alerts();
    let unacked = holding.iter().filter(|alert| alert.state == AlertState::Open).count() as u64;
    holding
        .sort_by(|one, other| other.severity.cmp(&one.severity).then(one.since.cmp(&other.since)));
    resolved.reverse();
    let (holds, ended): (fn(&Alert) -> bool, bool) = match query.state.as_deref() {
        None | Some("holding") => (|_| true, false),
        Some("open") => (|alert| alert.state == AlertState::Open, false),
        Some("acked") => (|alert| alert.state == AlertState::Acked, false),
        Some("snoozed") => (|alert| alert.snoozed_until.is_some(), false),
        Some("resolved") => (|_| false, true),
        Some("all") => (|_| true, true),
        Some(_) => return Err(Problem::field("state", "it is no state of an alert, nor `all`")),
    };
    holding.retain(holds);
    if ended {
        holding.extend(resolved);
    }
    Ok(Json(AlertList { alerts: holding, unacked }))
}

/// `POST /alerts/{id}/ack`: somebody knows.
pub(super) async fn ack(
    State(rooms): State<Rooms>,
    read::Segment(id): read::Segment,
    Extension(origin): Extension<Origin>,
    body: HttpBody,
) -> Result<Json<Alert>, Problem> {
    let request = AckRequest::from_body(read::object_or_nothing(body).await?)?;
    say(&rooms, &id, origin, (request.note, None)).await
}

/// `POST /alerts/{id}/snooze`: somebody knows, and wants to hear of it again.
pub(super) async fn snooze(
    State(rooms): State<Rooms>,
    read::Segment(id): read::Segment,
    Extension(origin): Extension<Origin>,
    body: HttpBody,
) -> Result<Json<Alert>, Problem> {
    let request = SnoozeRequest::from_body(read::object(body).await?)?;
    say(&rooms, &id, origin, (request.note, Some(request.minutes))).await
}

async fn say(
    rooms: &Rooms,
    id: &str,
    origin: Origin,
    (note, minutes): (Option<String>, Option<u32>),
) -> Result<Json<Alert>, Problem> {
    let unknown = || {
        let message = "no alert of that name holds: it ended, or never was one";
        Problem::new(404, "unknown_alert", message)
    };
    if origin.repeated {
        return rooms.hub.alert_of(id).map(Json).ok_or_else(unknown);
    }
    let at = clock::now();
    let until = minutes.map(|minutes| at.plus_millis(i64::from(minutes) * 60_000));
    let said = Said { who: origin.who, at, note, until };
    let spoken = rooms.hub.say(id, said, origin.key).ok_or_else(unknown)?;
    if let Err(error) = spoken.kept.await.unwrap_or(Err(ChangeError::Unavailable)) {
        rooms.hub.unsay(&spoken.alert, &spoken.before);
        return Err(error.into());
    }
    tracing::info!(alert.id = %id, who = spoken.alert.acked_by.as_deref(), "an alert is known");
    Ok(Json(spoken.alert))
}

/// Which changes to show.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    limit: Option<u64>,
    before: Option<u64>,
}

/// `GET /audit`: who changed what, newest first.
pub(super) async fn audit(
    State(rooms): State<Rooms>,
    read::Query(query): read::Query<AuditQuery>,
) -> Result<Json<AuditList>, Problem> {
    let limit = query.limit.unwrap_or(AUDIT_PAGE).clamp(1, AUDIT_PAGE_MAX);
    let before = query.before.unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs());
    let read = tokio::task::spawn_blocking(move || rooms.reader.audit(before, limit));
    let lost = |_| Problem::new(500, "lost", "the list was lost inside the gateway");
    let changes = read.await.map_err(lost)??;
    let is_whole = (changes.len() as u64) < limit;
    let next_before = changes.last().map(|change| change.id).filter(|id| !is_whole && *id > 1);
    Ok(Json(AuditList { changes, next_before }))
}

/// Changes in an answer where nobody said how many.
const AUDIT_PAGE: u64 = 100;

/// Most changes in one answer.
const AUDIT_PAGE_MAX: u64 = 1_000;
