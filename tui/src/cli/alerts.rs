//! `tollgate alerts`: what holds, who knows of it, and peace for a while.
//!
//! Refuses to know how alerts come about.

use clap::Subcommand;
use serde_json::json;
use tollgate_shared::alert::Alert;
use tollgate_shared::api::AlertList;

use super::Failure;
use super::api::{Api, Change, read};
use super::circuit::seconds;
use super::outcome::{Done, print};
use super::providers::word;
use super::table::{Head, Table};
use crate::message::Target;
use crate::message::segment;

/// What to do with alerts.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists those that hold, worst first.
    List {
        /// Those of another state: open, acked, snoozed, resolved.
        #[arg(long)]
        state: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Acknowledges one: somebody knows of it.
    Ack {
        /// Its identity, as the list shows it.
        id: String,
    },
    /// Silences one for a while; it comes back by itself.
    Snooze {
        /// Its identity, as the list shows it.
        id: String,
        /// For how long.
        #[arg(long = "for", value_name = "SPAN", default_value = "30m", value_parser = seconds)]
        for_s: u64,
        /// Why, for those who ask.
        #[arg(long)]
        note: Option<String>,
    },
}

/// Does it.
pub async fn run(verb: Verb, api: &Api) -> Done {
    match verb {
        Verb::List { state, json } => list(state.as_deref(), json, api).await,
        Verb::Ack { id } => {
            let path = format!("/alerts/{}/ack", segment(&id));
            api.change(Change::post(Target::Gateway, path, "{}".into())).await?;
            print(&format!("{id} is acknowledged.\n"))
        }
        Verb::Snooze { id, for_s, note } => {
            if for_s % 60 != 0 {
                return Err(Failure::Usage("whole minutes, such as 30m".into()));
            }
            let mut body = json!({"minutes": for_s / 60});
            if let Some(note) = note {
                body["note"] = note.into();
            }
            let path = format!("/alerts/{}/snooze", segment(&id));
            api.change(Change::post(Target::Gateway, path, body.to_string())).await?;
            print(&format!("{id} is silent for {}.\n", crate::format::span(for_s)))
        }
    }
}

async fn list(state: Option<&str>, json: bool, api: &Api) -> Done {
    let query = state.map_or(String::new(), |state| format!("?state={}", segment(state)));
    let text = api.get(Target::Gateway, &format!("/alerts{query}")).await?;
    if json {
        return print(&format!("{text}\n"));
    }
    let mut list: AlertList = read(&text)?;
    list.alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.since));
    if list.alerts.is_empty() {
        return print("No alert.\n");
    }
    print(&table(&list.alerts).print())
}

/// The list for people.
pub fn table(alerts: &[Alert]) -> Table {
    let mut table = Table::new(&[
        Head::Left("SEVERITY"),
        Head::Left("ID"),
        Head::Left("SINCE"),
        Head::Left("WHAT"),
        Head::Left("THEN"),
        Head::Left("STATE"),
    ]);
    for alert in alerts {
        table.row(vec![
            word(&alert.severity),
            alert.id.clone(),
            alert.since.to_string(),
            format!("{}: {}", alert.subject, alert.what),
            alert.then.clone(),
            word(&alert.state),
        ]);
    }
    table
}
