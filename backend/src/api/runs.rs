//! Doors of what an operator does to runs, and to attempts whose bill is not known.

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use serde_json::value::{RawValue, to_raw_value};
use tollgate_shared::api::{BudgetView, Resolution, ResolveRequest, StateRequest, UnknownList};
use tollgate_shared::budget::StateChange;
use tollgate_shared::id::AttemptId;
use tollgate_shared::usage::CostIs;

use crate::api::change::{self, Origin};
use crate::api::{Problem, Rooms, budgets, read};
use crate::ledger::{LOCAL, Resolve, StateStep};

/// `POST /runs/{run_id}/pause`: what is in flight ends; what comes waits a while, then gets 409.
pub(super) async fn pause(
    State(rooms): State<Rooms>,
    read::Segment(run_id): read::Segment,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<Json<BudgetView>, Problem> {
    step(rooms, run_id, (StateChange::Pause, headers, origin), body).await
}

/// `POST /runs/{run_id}/resume`: who waited goes on. A freeze is lifted with a note.
pub(super) async fn resume(
    State(rooms): State<Rooms>,
    read::Segment(run_id): read::Segment,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<Json<BudgetView>, Problem> {
    step(rooms, run_id, (StateChange::Resume, headers, origin), body).await
}

/// `POST /runs/{run_id}/close`: what is in flight ends, nothing new is given.
pub(super) async fn close(
    State(rooms): State<Rooms>,
    read::Segment(run_id): read::Segment,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<Json<BudgetView>, Problem> {
    step(rooms, run_id, (StateChange::Close, headers, origin), body).await
}

async fn step(
    rooms: Rooms,
    run_id: String,
    (change, headers, origin): (StateChange, HeaderMap, Origin),
    body: HttpBody,
) -> Result<Json<BudgetView>, Problem> {
    let request = StateRequest::from_body(read::object_or_nothing(body).await?)?;
    let step = StateStep {
        run_id: read::name("run_id", &run_id)?,
        change,
        note: request.note.filter(|note| !note.trim().is_empty()),
        if_version: read::if_match(&headers)?,
    };
    if !origin.repeated {
        tracing::info!(run.id = %step.run_id, verb = change.verb(), "a run is changed");
        let changed = rooms.gateway.ledger.change_state_as(step, origin.word(None)).await;
        if let Err(error) = changed {
            return Err(budgets::with_current(&rooms, &run_id, error.into()).await);
        }
    }
    budgets::show(State(rooms), read::Segment(run_id)).await
}

/// `GET /unknowns`: attempts whose bill is not known, oldest first.
pub(super) async fn unknowns(State(rooms): State<Rooms>) -> Result<Json<UnknownList>, Problem> {
    let read = tokio::task::spawn_blocking(move || rooms.reader.unknowns(UNKNOWNS_MAX));
    let lost = |_| Problem::new(500, "lost", "the list was lost inside the gateway");
    Ok(Json(UnknownList { unknowns: read.await.map_err(lost)?? }))
}

/// `POST /unknowns/{attempt_id}/resolve`: the answer is the correction, as it stands in the file.
pub(super) async fn resolve(
    State(rooms): State<Rooms>,
    read::Segment(attempt_id): read::Segment,
    Extension(origin): Extension<Origin>,
    body: HttpBody,
) -> Result<Json<Box<RawValue>>, Problem> {
    let request = ResolveRequest::from_body(read::object(body).await?)?;
    let by = request.by.clone().map(|by| change::hand("by", by)).transpose()?;
    let resolve = Resolve {
        attempt_id: read::name("attempt_id", &attempt_id)?,
        voided: request.outcome == Resolution::Voided,
        cost: request.cost(),
        beyond_bound: false,
        cost_is: CostIs::Exact,
        evidence: request.testimony(),
        bill: None,
    };
    if origin.repeated {
        return correction(rooms, resolve.attempt_id).await;
    }
    let mut word = origin.word(None);
    if let Some(by) = by.filter(|_| word.who == LOCAL) {
        word.who = by;
    }
    let mut receipt = rooms.gateway.ledger.resolve_as(resolve, word).await?;
    tracing::info!(run.id = %receipt.run_id, %attempt_id, cost_usd = %request.cost(), "an unknown outcome is resolved");
    let line = receipt.seal().and_then(RawValue::from_string).or_else(|_| to_raw_value(&receipt));
    line.map(Json).map_err(|_| Problem::new(500, "lost", "the correction is in the receipts"))
}

/// The correction that was made when this was asked before.
async fn correction(rooms: Rooms, id: AttemptId) -> Result<Json<Box<RawValue>>, Problem> {
    let lost = || Problem::new(500, "lost", "the correction is in the receipts");
    let read = tokio::task::spawn_blocking(move || rooms.reader.correction_of(&id)).await;
    let line = read.map_err(|_| lost())??.ok_or_else(lost)?;
    RawValue::from_string(line).map(Json).map_err(|_| lost())
}

/// Most unknowns in one answer.
const UNKNOWNS_MAX: u32 = 1_000;
