//! The door of why: a request's plan, attempts and receipts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tollgate_shared::api::{ExplainView, ExplainedAttempt};
use tollgate_shared::id::{RequestId, RunId};
use tollgate_shared::money::Usd;

use crate::api::{Problem, Rooms, read};
use crate::store::{Explained, StoreError};

/// In which run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainQuery {
    run_id: Option<String>,
}

/// `GET /explain/{request_id}`: all that is known of a request. `run_id` says which, where several
/// runs used the name.
pub(super) async fn explain(
    State(rooms): State<Rooms>,
    read::Segment(request_id): read::Segment,
    read::Query(query): read::Query<ExplainQuery>,
) -> Result<Json<ExplainView>, Problem> {
    let request_id: RequestId = read::name("request_id", &request_id)?;
    let run_id = match query.run_id {
        Some(run_id) => read::name("run_id", &run_id)?,
        None => only_run_of(&rooms, &request_id).await?,
    };
    let (reader, asked) = (Arc::clone(&rooms.reader), (run_id.clone(), request_id.clone()));
    let found = reading(move || reader.explain(&asked.0, &asked.1)).await?;
    let plan = rooms.gateway.plans.of(&run_id, &request_id);
    if found.is_empty() && plan.is_none() {
        return Err(unknown(&request_id));
    }
    let plan_missing = plan.is_none().then(|| PLAN_MISSING.to_owned());
    let mut cost_usd = Usd::ZERO;
    let attempts = found.into_iter().map(|it| {
        cost_usd += it.charged;
        attempt(it)
    });
    let attempts = attempts.collect();
    Ok(Json(ExplainView { request_id, run_id, cost_usd, attempts, plan, plan_missing }))
}

/// The run in which a request of this name was made, if it is one.
async fn only_run_of(rooms: &Rooms, request_id: &RequestId) -> Result<RunId, Problem> {
    let (reader, asked) = (Arc::clone(&rooms.reader), request_id.clone());
    let mut runs = reading(move || reader.runs_of(&asked, RUNS_MAX)).await?;
    runs.extend(rooms.gateway.plans.runs_of(request_id));
    runs.sort_unstable();
    runs.dedup();
    match &runs[..] {
        [] => Err(unknown(request_id)),
        [only] => Ok(only.clone()),
        _ => {
            let message = "several runs have a request of this name; say which in `run_id`";
            Err(Problem::new(409, "several_runs", message).details(&Runs { runs }).final_())
        }
    }
}

#[derive(serde::Serialize)]
struct Runs {
    runs: Vec<RunId>,
}

fn attempt(it: Explained) -> ExplainedAttempt {
    ExplainedAttempt {
        attempt: it.attempt,
        attempt_id: it.attempt_id,
        state: it.state,
        held_usd: it.held,
        charged_usd: it.charged,
        held_at: it.held_at,
        settled_at: it.settled_at,
        receipt: it.receipt,
        correction: it.correction,
        price: it.price,
    }
}

async fn reading<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let lost = |_| Problem::new(500, "lost", "the answer was lost inside the gateway");
    Ok(tokio::task::spawn_blocking(read).await.map_err(lost)??)
}

fn unknown(request_id: &RequestId) -> Problem {
    let message = format!("no request is called `{request_id}`");
    Problem::new(404, "unknown_request", message)
}

/// Why there is no plan.
const PLAN_MISSING: &str = "plans are kept in memory, the latest 10,000: this one is older, or \
                            from before the last start; the receipt's `decision` has its summary";

/// Runs that are named where a request is in several.
const RUNS_MAX: u32 = 20;
