//! Doors of budgets and runs.

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use tollgate_shared::api::{BudgetList, BudgetRequest, BudgetView, RunList, RunView};
use tollgate_shared::body::BodyError;
use tollgate_shared::budget::{BudgetChange, Run};
use tollgate_shared::id::RunId;

use crate::api::{Problem, Rooms, read};
use crate::clock;
use crate::ledger::HoldError;

/// The seed's way of setting a budget.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetQuery {
    run_id: Option<String>,
    budget_usd: Option<String>,
}

/// `POST /budget`: by query or by body. Raising it unblocks at once.
pub(super) async fn set(
    State(rooms): State<Rooms>,
    read::Query(query): read::Query<SetQuery>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<Json<BudgetView>, Problem> {
    let request = match (query.run_id, query.budget_usd) {
        (None, None) => BudgetRequest::from_body(read::object(body).await?)?,
        _ if !read::is_empty(body).await => {
            return Err(Problem::new(
                422,
                "invalid_query",
                "give a budget by query or by body, not both",
            ));
        }
        (run_id, budget) => BudgetRequest {
            run_id: read::name("run_id", &run_id.ok_or(BodyError::Missing("run_id"))?)?,
            budget_usd: read::name("budget_usd", &budget.ok_or(BodyError::Missing("budget_usd"))?)?,
            mode: None,
            note: None,
        }
        .checked()?,
    };
    let change = BudgetChange {
        run_id: request.run_id,
        limit: request.budget_usd,
        mode: request.mode,
        if_version: read::if_match(&headers)?,
    };
    let run = rooms.gateway.ledger.set_budget(change, request.note).await?;
    tracing::info!(run.id = %run.id, limit_usd = %request.budget_usd, "a budget was set");
    Ok(Json(rooms.views.budget(&run, clock::now())))
}

/// `GET /budget/{run_id}`.
pub(super) async fn show(
    State(rooms): State<Rooms>,
    read::Segment(run_id): read::Segment,
) -> Result<Json<BudgetView>, Problem> {
    let run = find(&rooms, &run_id).await?;
    Ok(Json(rooms.views.budget(&run, clock::now())))
}

/// `GET /budgets`.
pub(super) async fn list(State(rooms): State<Rooms>) -> Result<Json<BudgetList>, Problem> {
    let (runs, now) = (all(&rooms).await?, clock::now());
    let budgets = runs.iter().map(|run| rooms.views.budget(run, now)).collect();
    Ok(Json(BudgetList { budgets }))
}

/// `GET /runs`.
pub(super) async fn runs(State(rooms): State<Rooms>) -> Result<Json<RunList>, Problem> {
    Ok(Json(RunList { runs: all(&rooms).await?.iter().map(RunView::of).collect() }))
}

/// A run by the name in a path.
pub(super) async fn find(rooms: &Rooms, run_id: &str) -> Result<Run, Problem> {
    let run_id: RunId = read::name("run_id", run_id)?;
    let unknown = format!("no run is called `{run_id}`");
    let found = rooms.gateway.ledger.read(move |books| books.run(&run_id).cloned()).await;
    found.ok_or(HoldError::Unavailable)?.ok_or_else(|| Problem::new(404, "unknown_run", unknown))
}

/// Every run, by name.
async fn all(rooms: &Rooms) -> Result<Vec<Run>, Problem> {
    let all = rooms.gateway.ledger.read(|books| books.runs().cloned().collect::<Vec<_>>()).await;
    let mut all = all.ok_or(HoldError::Unavailable)?;
    all.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(all)
}
