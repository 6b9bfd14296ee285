//! `tollgate budget`: limits of runs, and what a change of one does.
//!
//! A change names the version it changes, so that nobody overwrites anybody: the limit is read,
//! the new one is worked out from it, and the backend refuses when another was quicker. Refuses to
//! know accounts; the backend says what holds.

use clap::Subcommand;
use serde_json::json;
use tollgate_shared::api::{BudgetList, BudgetView};
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;

use super::Failure;
use super::api::{Api, Change, read};
use super::outcome::{Done, print};
use super::providers::word;
use super::table::{Head, Table, or_dash};
use crate::amount;
use crate::format;
use crate::message::Target;
use crate::message::segment;

/// What to do with budgets.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists them, shortest runway first.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows one.
    Show {
        /// The run.
        run: RunId,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sets one: 75, +25, -5 or x1.5.
    Set(SetArgs),
    /// Raises one by so much.
    Raise {
        /// The run.
        run: RunId,
        /// By how much: 25.
        amount: String,
        /// Why, for the timeline.
        #[arg(long)]
        note: Option<String>,
        /// The answer as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A new limit.
#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// The run.
    run: RunId,
    /// 75, +25, -5 or x1.5.
    #[arg(allow_hyphen_values = true)]
    amount: String,
    /// How requests that may not fit are treated: clamp, hard, expected or soft.
    #[arg(long)]
    mode: Option<String>,
    /// The run that it is part of.
    #[arg(long)]
    parent: Option<RunId>,
    /// The time it is for: lifetime or day.
    #[arg(long)]
    period: Option<String>,
    /// What people call the run.
    #[arg(long)]
    name: Option<String>,
    /// Why, for the timeline.
    #[arg(long)]
    note: Option<String>,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Does it.
pub async fn run(verb: Verb, api: &Api) -> Done {
    match verb {
        Verb::List { json } => list(json, api).await,
        Verb::Show { run, json } => {
            let text = api.get(Target::Gateway, &path(&run)).await?;
            if json { print(&format!("{text}\n")) } else { print(&shown(&read(&text)?)) }
        }
        Verb::Set(args) => set(args, api).await,
        Verb::Raise { run, amount, note, json } => {
            let bare = amount.trim_start_matches('+').to_owned();
            let args = SetArgs {
                run,
                amount: format!("+{bare}"),
                mode: None,
                parent: None,
                period: None,
                name: None,
                note,
                json,
            };
            set(args, api).await
        }
    }
}

/// The limit is worked out from the one that holds, and changes that one and no other.
async fn set(args: SetArgs, api: &Api) -> Done {
    let known: Option<BudgetView> = match api.read(Target::Gateway, &path(&args.run)).await {
        Ok(view) => Some(view),
        Err(Failure::Absent(_)) => None,
        Err(other) => return Err(other),
    };
    let before = known.as_ref().and_then(|view| view.budget_usd);
    let limit = amount::budget(&args.amount, before).map_err(Failure::Usage)?;
    let mut body = json!({"run_id": args.run, "budget_usd": limit.to_string()});
    let more = [
        ("mode", args.mode),
        ("parent", args.parent.map(|run| run.to_string())),
        ("period", args.period),
        ("name", args.name),
        ("note", args.note),
    ];
    for (field, value) in more {
        if let Some(value) = value {
            body[field] = value.into();
        }
    }
    let change = Change::post(Target::Gateway, "/budget".into(), body.to_string());
    let if_match = known.as_ref().map(|view| view.version);
    let text = api.change(Change { if_match, ..change }).await?;
    if args.json {
        return print(&format!("{text}\n"));
    }
    print(&changed(before, &read(&text)?))
}

/// What a change has done, in a sentence.
fn changed(before: Option<Usd>, view: &BudgetView) -> String {
    let from = before.map_or(String::new(), |before| format!(" instead of ${before}"));
    let limit = view.budget_usd.map_or("no".into(), |limit| format!("${limit}"));
    let runway = match (view.blocked, view.runway_s) {
        (true, _) => "new requests are still refused".into(),
        (false, Some(seconds)) => format!("empty in {}", format::span(seconds)),
        (false, None) => "nothing is burning".into(),
    };
    format!(
        "{}: {limit} limit{from}, ${} spent, {runway}; version {}.\n",
        view.run_id,
        view.spent_usd.rounded(6),
        view.version
    )
}

async fn list(json: bool, api: &Api) -> Done {
    let text = api.get(Target::Gateway, "/budgets").await?;
    if json {
        return print(&format!("{text}\n"));
    }
    let mut list: BudgetList = read(&text)?;
    let trouble = |view: &BudgetView| (!view.blocked, view.runway_s.unwrap_or(u64::MAX));
    list.budgets.sort_by_key(trouble);
    let mut table = Table::new(&[
        Head::Left("RUN"),
        Head::Right("SPENT $"),
        Head::Right("HELD $"),
        Head::Right("OF $"),
        Head::Right("%"),
        Head::Right("$/MIN"),
        Head::Right("RUNWAY"),
        Head::Left("LEVEL"),
        Head::Left("STATE"),
        Head::Left("MODE"),
    ]);
    for view in &list.budgets {
        table.row(vec![
            view.run_id.to_string(),
            view.spent_usd.rounded(6),
            (view.held_usd - view.unknown_usd).rounded(6),
            or_dash(view.budget_usd.map(|limit| limit.rounded(2))),
            or_dash(view.budget_usd.map(|_| view.percent_used)),
            view.burn_usd_per_min.rounded(3),
            runway(view),
            word(&view.level),
            word(&view.state),
            word(&view.mode),
        ]);
    }
    if table.is_empty() {
        return print("No run yet: a first request, or tollgate budget set RUN 10, makes one.\n");
    }
    print(&table.print())
}

/// When the money is gone, in a word.
fn runway(view: &BudgetView) -> String {
    match (view.blocked, view.runway_s) {
        (true, _) => "blocked".into(),
        (false, runway) => or_dash(runway.map(format::span)),
    }
}

/// Everything about one, a line each.
fn shown(view: &BudgetView) -> String {
    let rows = [
        ("run", view.run_id.to_string()),
        ("limit $", or_dash(view.budget_usd)),
        ("spent $", view.spent_usd.to_string()),
        ("held $", (view.held_usd - view.unknown_usd).to_string()),
        ("unknown $", view.unknown_usd.to_string()),
        ("may still be billed $", view.uncertain_usd.to_string()),
        ("available $", or_dash(view.available_usd)),
        ("used %", view.percent_used.to_string()),
        ("level", word(&view.level)),
        ("state", word(&view.state)),
        ("mode", word(&view.mode)),
        ("burn $/min", view.burn_usd_per_min.to_string()),
        ("runway", runway(view)),
        ("period", word(&view.period)),
        ("parent", or_dash(view.parent.clone())),
        ("version", view.version.to_string()),
    ];
    rows.iter().map(|(name, value)| format!("{name:<22} {value}\n")).collect()
}

/// Where a run's budget is read.
fn path(run: &RunId) -> String {
    format!("/budget/{}", segment(run.as_str()))
}
