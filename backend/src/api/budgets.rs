//! Doors of budgets: runs', agents', the fleet's.

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use tollgate_shared::api::{
    AccountView, BudgetList, BudgetRequest, BudgetView, FleetRequest, RunList,
};
use tollgate_shared::body::BodyError;
use tollgate_shared::budget::{Books, BudgetChange, Owner, Period, Purse, Run};
use tollgate_shared::id::RunId;

use crate::api::change::Origin;
use crate::api::{Problem, Rooms, read};
use crate::clock;
use crate::ledger::{HoldError, Word};

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
    Extension(origin): Extension<Origin>,
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
            agent: None,
            mode: None,
            parent: None,
            period: None,
            name: None,
            note: None,
        }
        .checked()?,
    };
    let run_id = request.run_id.clone();
    let owner = match request.agent {
        Some(agent) => Owner::Agent(request.run_id, agent),
        None => Owner::Run(request.run_id),
    };
    tracing::info!(%owner, limit_usd = %request.budget_usd, "a budget is set");
    let change = BudgetChange {
        owner,
        limit: Some(request.budget_usd),
        mode: request.mode,
        parent: request.parent,
        period: request.period,
        if_version: read::if_match(&headers)?,
    };
    let word = Word { name: request.name, ..origin.word(request.note) };
    if !origin.repeated
        && let Err(error) = rooms.gateway.ledger.set_budget(change, word).await
    {
        return Err(with_current(&rooms, run_id.as_str(), error.into()).await);
    }
    view(&rooms, run_id.as_str()).await.map(Json)
}

/// `POST /fleet/budget`: the limit of everything together, for each day.
pub(super) async fn set_fleet(
    State(rooms): State<Rooms>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<Json<AccountView>, Problem> {
    let request = FleetRequest::from_body(read::object(body).await?)?;
    let change = BudgetChange {
        owner: Owner::Fleet,
        limit: request.budget_usd,
        mode: None,
        parent: None,
        period: None,
        if_version: read::if_match(&headers)?,
    };
    if !origin.repeated
        && let Err(error) = rooms.gateway.ledger.set_budget(change, origin.word(request.note)).await
    {
        let problem = Problem::from(error);
        return Err(match show_fleet(State(rooms)).await {
            Ok(Json(fleet)) if problem.is_stale() => problem.with_current(&fleet),
            _ => problem,
        });
    }
    show_fleet(State(rooms)).await
}

/// `GET /fleet/budget`.
pub(super) async fn show_fleet(State(rooms): State<Rooms>) -> Result<Json<AccountView>, Problem> {
    let fleet = rooms.gateway.ledger.read(|books| books.purse(&Owner::Fleet).cloned()).await;
    let fleet = fleet.ok_or(HoldError::Unavailable)?.unwrap_or_default();
    Ok(Json(purse_view(&Owner::Fleet, &fleet)))
}

/// `GET /budget/{run_id}`.
pub(super) async fn show(
    State(rooms): State<Rooms>,
    read::Segment(run_id): read::Segment,
) -> Result<Json<BudgetView>, Problem> {
    view(&rooms, &run_id).await.map(Json)
}

/// Who came second is shown what the first one made of it.
pub(super) async fn with_current(rooms: &Rooms, run_id: &str, problem: Problem) -> Problem {
    if !problem.is_stale() {
        return problem;
    }
    match view(rooms, run_id).await {
        Ok(now) => problem.with_current(&now),
        Err(_) => problem,
    }
}

/// A run's budget with every other account that its holds count on.
async fn view(rooms: &Rooms, run_id: &str) -> Result<BudgetView, Problem> {
    let run = find(rooms, run_id).await?;
    let id = run.id.clone();
    let accounts = rooms.gateway.ledger.read(move |books| accounts_of(books, &id)).await;
    let accounts = accounts.ok_or(HoldError::Unavailable)?;
    Ok(BudgetView { accounts, ..rooms.views.budget(&run, clock::now()) })
}

/// The accounts around a run: its agents', its parents', and the fleet's where it has a limit.
fn accounts_of(books: &Books, run_id: &RunId) -> Vec<AccountView> {
    let agents = books
        .purses_of(run_id)
        .map(|(agent, purse)| purse_view(&Owner::Agent(run_id.clone(), agent.clone()), purse));
    let parents = books.lineage(run_id).skip(1).map(|run| {
        let counted = (run.period, run.version);
        AccountView::of(&Owner::Run(run.id.clone()), &run.account, counted)
    });
    let fleet = books.purse(&Owner::Fleet).filter(|purse| purse.account.limit.is_some());
    agents.chain(parents).chain(fleet.map(|purse| purse_view(&Owner::Fleet, purse))).collect()
}

fn purse_view(owner: &Owner, purse: &Purse) -> AccountView {
    let period = if *owner == Owner::Fleet { Period::Day } else { purse.period };
    AccountView::of(owner, &purse.account, (period, purse.version))
}

/// `GET /budgets`.
pub(super) async fn list(State(rooms): State<Rooms>) -> Result<Json<BudgetList>, Problem> {
    let (runs, now) = (all(&rooms).await?, clock::now());
    let budgets = runs.iter().map(|run| rooms.views.budget(run, now)).collect();
    Ok(Json(BudgetList { budgets }))
}

/// `GET /runs`.
pub(super) async fn runs(State(rooms): State<Rooms>) -> Result<Json<RunList>, Problem> {
    let (runs, now) = (all(&rooms).await?, clock::now());
    Ok(Json(RunList { runs: runs.iter().map(|run| rooms.views.run(run, now)).collect() }))
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
