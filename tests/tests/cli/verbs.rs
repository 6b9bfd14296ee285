//! Verbs that ask or change something once.

use std::fs;

use anyhow::ensure;
use tollgate_shared::api::{BudgetView, ProviderList};

use super::{Desk, registration};

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_added_listed_shown_and_removed() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    let url = desk.provider.url();
    let words = ["providers", "add", "first", "--model", "gpt-4", "--endpoint", &url];
    let priced = ["--context-window", "8192", "--input", "2.50/M", "--output", "0.00001"];
    let said = desk.done(&[&words[..], &priced[..]].concat()).await?;
    ensure!(said == "first is registered, version 1.\n", "{said}");
    // A bare price is the commonest mistake there is.
    let bare = [&words[..], &priced[..2], &["--input", "60", "--output", "1/M"]].concat();
    let bare = desk.say(&bare).await?;
    ensure!(bare.code == Some(2) && bare.err.contains("unit? type 60/M"), "{bare:?}");
    let body = desk.home.path().join("body.json");
    fs::write(&body, registration(&desk).to_string())?;
    desk.done(&["providers", "add", "--body", &body.to_string_lossy()]).await?;

    let table = desk.done(&["providers", "list"]).await?;
    let lines: Vec<&str> = table.lines().collect();
    ensure!(lines.len() == 4 && lines[0].starts_with("PROVIDER"), "{table}");
    ensure!(table.contains("first") && table.contains("2.5000  10.0000"), "{table}");
    let list: ProviderList =
        serde_json::from_str(&desk.done(&["providers", "list", "--json"]).await?)?;
    let first = list.providers.iter().find(|view| view.name.as_str() == "first");
    let rate = first.map(|view| view.cost_per_input_token.usd().to_string());
    ensure!(rate.as_deref() == Some("0.0000025"), "{rate:?}");

    let said = desk.done(&["circuit", "first", "open", "--for", "5m", "--why", "drill"]).await?;
    ensure!(said == "The circuit of first is open: no traffic for 5m.\n", "{said}");
    let shown = desk.done(&["providers", "show", "first"]).await?;
    ensure!(shown.contains("open: drill") && shown.contains("input $/M          2.5\n"), "{shown}");
    desk.done(&["circuit", "first", "half-open"]).await?;
    desk.done(&["circuit", "first", "close"]).await?;
    let wrong = desk.say(&["circuit", "first", "close", "--for", "5m"]).await?;
    ensure!(wrong.code == Some(2), "{wrong:?}");

    desk.done(&["providers", "remove", "first"]).await?;
    ensure!(!desk.done(&["providers", "list"]).await?.contains("first"));
    ensure!(desk.done(&["providers", "list", "--all"]).await?.contains("inactive"));
    desk.house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_are_changed_from_what_holds() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    let steps: [(&[&str], &str); 4] = [
        (&["budget", "set", "r", "10"], "10"),
        (&["budget", "raise", "r", "2.5", "--note", "a longer night"], "12.5"),
        (&["budget", "set", "r", "x2"], "25"),
        (&["budget", "set", "r", "-0.000000000001"], "24.999999999999"),
    ];
    for (words, limit) in steps {
        let said = desk.done(words).await?;
        ensure!(said.starts_with(&format!("r: ${limit} limit")), "{words:?}: {said}");
        let view: BudgetView =
            serde_json::from_str(&desk.done(&["budget", "show", "r", "--json"]).await?)?;
        ensure!(view.budget_usd == Some(limit.parse()?), "{view:?}");
    }
    desk.spend("r", "hello").await?;
    let table = desk.done(&["budget", "list"]).await?;
    ensure!(table.lines().nth(1).is_some_and(|line| line.starts_with("r ")), "{table}");
    let runs = desk.json(&["runs", "--json"]).await?;
    ensure!(runs["runs"][0]["requests"] == 1, "{runs}");
    let audit = desk.house.get(&desk.house.gateway("/audit")).await?;
    ensure!(audit.text.contains("kim") && audit.text.contains("a longer night"), "{}", audit.text);

    let said = desk.done(&["pause", "r", "--note", "lunch"]).await?;
    ensure!(said == "r is paused.\n", "{said}");
    ensure!(desk.done(&["runs"]).await?.contains("paused"));
    desk.done(&["resume", "r"]).await?;
    let said = desk.done(&["close", "r", "--json"]).await?;
    ensure!(said.contains(r#""state":"closed""#), "{said}");
    desk.house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_known_silenced_and_seen_by_monitors() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    ensure!(desk.done(&["alerts", "list"]).await? == "No alert.\n");
    ensure!(desk.say(&["once"]).await?.code == Some(0));
    desk.done(&["budget", "set", "r", "0.05"]).await?;
    for _ in 0..200 {
        if desk.house.route("r", "gpt-4", "hello").await?.status != 200 {
            break;
        }
    }
    let list = desk.json(&["alerts", "list", "--json"]).await?;
    let id = list["alerts"][0]["id"].as_str().unwrap_or_default().to_owned();
    ensure!(id == "budget:r", "{list}");
    let once = desk.say(&["once"]).await?;
    ensure!(once.code == Some(2) && once.out.starts_with("CRITICAL $"), "{once:?}");
    ensure!(once.out.contains("ALERTS") && once.out.contains("budget:r"), "{once:?}");
    let once = desk.say(&["once", "--json"]).await?;
    ensure!(once.code == Some(2) && once.out.contains(r#""state":"CRITICAL""#), "{once:?}");
    desk.done(&["alerts", "ack", &id]).await?;
    ensure!(desk.done(&["alerts", "list"]).await?.contains("acked"));
    let said = desk.done(&["alerts", "snooze", &id, "--for", "2h", "--note", "known"]).await?;
    ensure!(said == "budget:r is silent for 2h00m.\n", "{said}");
    let wrong = desk.say(&["alerts", "snooze", &id, "--for", "90s"]).await?;
    ensure!(wrong.code == Some(2), "{wrong:?}");
    let absent = desk.say(&["alerts", "ack", "budget:nobody"]).await?;
    ensure!(absent.code == Some(4), "{absent:?}");
    let silent = desk.say(&["once", "--events", "ws://127.0.0.1:1/events", "--timeout", "1"]);
    ensure!(silent.await?.code == Some(3));
    ensure!(desk.say(&["once", "--screen", "desk"]).await?.code == Some(3), "2 would be critical");
    desk.house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_explained_and_days_and_runs_are_reported() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    for message in ["one", "two", "three"] {
        desk.spend("r", message).await?;
    }
    let receipts = desk.house.receipts("r").await?;
    let sum: tollgate_shared::money::Usd = receipts.iter().map(|one| one.cost_usd).sum();
    let request = receipts[0].request_id.to_string();
    let told = desk.done(&["explain", &request]).await?;
    ensure!(told.contains("attempt 1 at only") && told.contains("1. only, score"), "{told}");
    ensure!(told.contains(&format!("${} charged", receipts[0].cost_usd)), "{told}");
    let raw = desk.json(&["explain", &request, "--json"]).await?;
    ensure!(raw["request_id"] == request.as_str(), "{raw}");

    let csv = desk.done(&["report", "run", "r", "--csv"]).await?;
    ensure!(csv.contains(&format!("\nrun,r,{sum},3,")), "{csv}");
    let md = desk.done(&["report", "run", "r", "--md"]).await?;
    ensure!(md.contains(&format!("| provider | only | {sum} |")), "{md}");
    let week = desk.done(&["report", "week", "--csv"]).await?;
    ensure!(week.lines().count() == 8 && week.contains(&format!(",{sum},3,3,")), "{week}");
    let day = desk.json(&["report", "daily", "--json"]).await?;
    ensure!(day["days"].as_array().is_some_and(|days| days.len() == 1), "{day}");
    desk.house.leave().await
}
