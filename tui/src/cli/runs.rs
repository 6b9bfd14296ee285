//! `tollgate runs`, `pause`, `resume`, `close`. Refuses to know budgets.

use serde_json::json;
use tollgate_shared::api::{BudgetView, RunList, RunView};
use tollgate_shared::id::RunId;

use super::api::{Api, Change, read};
use super::outcome::{Done, print};
use super::providers::word;
use super::table::{Head, Table, or_dash};
use crate::message::Target;
use crate::message::segment;

/// How to list.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Which run, and why.
#[derive(Debug, clap::Args)]
pub struct StateArgs {
    /// The run.
    run: RunId,
    /// Why, for the timeline; lifting a freeze and reopening a closed run need it.
    #[arg(long)]
    note: Option<String>,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Lists the runs, those that spent most first.
pub async fn list(args: ListArgs, api: &Api) -> Done {
    let text = api.get(Target::Gateway, "/runs").await?;
    if args.json {
        return print(&format!("{text}\n"));
    }
    let mut list: RunList = read(&text)?;
    list.runs.sort_by_key(|run| std::cmp::Reverse(run.spent_usd));
    let mut table = Table::new(&[
        Head::Left("RUN"),
        Head::Left("NAME"),
        Head::Left("STATE"),
        Head::Right("AGENTS"),
        Head::Right("REQS"),
        Head::Right("SPENT $"),
        Head::Right("OF $"),
        Head::Left("LEVEL"),
        Head::Left("LAST"),
        Head::Left("PARENT"),
    ]);
    for run in &list.runs {
        table.row(row(run));
    }
    if table.is_empty() {
        return print("No run yet: a first request makes one.\n");
    }
    print(&table.print())
}

fn row(run: &RunView) -> Vec<String> {
    vec![
        run.run_id.to_string(),
        run.name.clone().unwrap_or_default(),
        word(&run.state),
        run.agents.to_string(),
        run.requests.to_string(),
        run.spent_usd.rounded(6),
        or_dash(run.budget_usd.map(|limit| limit.rounded(2))),
        word(&run.level),
        run.last_at.to_string(),
        run.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
    ]
}

/// Pauses, resumes or closes a run.
pub async fn change(verb: &str, args: StateArgs, api: &Api) -> Done {
    let StateArgs { run, note, json } = args;
    let body = note.map_or_else(|| "{}".into(), |note| json!({"note": note}).to_string());
    let path = format!("/runs/{}/{verb}", segment(run.as_str()));
    let text = api.change(Change::post(Target::Gateway, path, body)).await?;
    if json {
        return print(&format!("{text}\n"));
    }
    let view: BudgetView = read(&text)?;
    let pending = view.held_usd - view.unknown_usd;
    let flight = match pending.is_zero() {
        true => String::new(),
        false => format!("; ${} is held by requests in flight", pending.rounded(6)),
    };
    print(&format!("{} is {}{flight}.\n", view.run_id, word(&view.state)))
}
