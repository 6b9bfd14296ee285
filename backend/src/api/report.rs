//! The door of reports.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tollgate_shared::api::DailyReport;
use tollgate_shared::time::Timestamp;

use crate::api::{Problem, Rooms, read};
use crate::clock;
use crate::projection::DAYS_MAX;

/// Which days.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DailyQuery {
    date: Option<String>,
    days: Option<usize>,
}

/// `GET /report/daily`: the last seven days in UTC, unless others are asked for.
pub(super) async fn daily(
    State(rooms): State<Rooms>,
    read::Query(query): read::Query<DailyQuery>,
) -> Result<Json<DailyReport>, Problem> {
    let now = clock::now();
    let last = match &query.date {
        Some(date) => day_of(date)?,
        None => now,
    };
    let days = query.days.unwrap_or(DAYS);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(Problem::field("days", format_args!("it is not from 1 to {DAYS_MAX}")));
    }
    let reports = Arc::clone(&rooms.reports);
    let read = tokio::task::spawn_blocking(move || reports.daily(last, days, now));
    let lost = |_| Problem::new(500, "lost", "the report was lost inside the gateway");
    Ok(Json(read.await.map_err(lost)??))
}

/// The beginning of a day such as `2026-11-23`.
fn day_of(date: &str) -> Result<Timestamp, Problem> {
    let no_day = |_| Problem::field("date", "it is no day such as `2026-11-23`");
    let day: Timestamp = format!("{date}T00:00:00Z").parse().map_err(no_day)?;
    Ok(day)
}

/// Days in a report where nobody said how many.
const DAYS: usize = 7;
