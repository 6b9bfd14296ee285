//! `tollgate report`: days, weeks, and one run, to read or to hold against an invoice.
//!
//! Days are those of UTC and come summed from the backend; a run is summed here from its receipts,
//! exactly. Refuses to know screens.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde::Deserialize;
use tollgate_shared::api::ReceiptList;
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::window::Sums;

use super::api::{Api, read};
use super::outcome::{Done, print};
use super::providers::word;
use super::table::{Head, Table};
use crate::export;
use crate::message::Target;
use crate::message::segment;

/// What to report.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// One day, today without a date.
    Daily {
        /// The day in UTC: 2026-11-23.
        #[arg(long)]
        date: Option<String>,
        /// So many days up to it.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
        #[command(flatten)]
        form: Form,
    },
    /// The last seven days.
    Week {
        /// The last of them in UTC: 2026-11-23.
        #[arg(long)]
        date: Option<String>,
        #[command(flatten)]
        form: Form,
    },
    /// One run: by agent, provider, model and status.
    Run {
        /// The run.
        run: RunId,
        #[command(flatten)]
        form: Form,
    },
}

/// In which form.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Form {
    /// As JSON.
    #[arg(long, conflicts_with_all = ["csv", "md"])]
    json: bool,
    /// Comma-separated.
    #[arg(long, conflicts_with = "md")]
    csv: bool,
    /// As Markdown.
    #[arg(long)]
    md: bool,
}

/// Reports.
pub async fn run(verb: Verb, api: &Api) -> Done {
    match verb {
        Verb::Daily { date, days, form } => daily(date.as_deref(), days, form, api).await,
        Verb::Week { date, form } => daily(date.as_deref(), 7, form, api).await,
        Verb::Run { run, form } => {
            let path = format!("/receipts/{}", segment(run.as_str()));
            let list: ReceiptList = api.read(Target::Gateway, &path).await?;
            let mut receipts = Vec::new();
            for line in &list.receipts {
                receipts.push(read::<Receipt>(line.get())?);
            }
            show(&by_everything(&receipts), form)
        }
    }
}

/// Answer of `GET /report/daily`, as far as it is printed; the rest is in `--json`.
#[derive(Debug, Deserialize)]
struct Daily {
    days: Vec<Day>,
    total: Breakdown,
}

/// One day.
#[derive(Debug, Deserialize)]
struct Day {
    date: String,
    breakdown: Breakdown,
}

/// Sums, and who they come from.
#[derive(Debug, Deserialize)]
struct Breakdown {
    sums: Sums,
    by_run: Ranking,
    by_agent: Ranking,
    by_provider: Ranking,
    by_model: Ranking,
}

/// The largest.
#[derive(Debug, Deserialize)]
struct Ranking {
    top: Vec<Ranked>,
}

/// One of them.
#[derive(Debug, Deserialize)]
struct Ranked {
    name: String,
    sums: Sums,
}

async fn daily(date: Option<&str>, days: u32, form: Form, api: &Api) -> Done {
    let mut path = format!("/report/daily?days={days}");
    if let Some(date) = date {
        path.push_str(&format!("&date={}", segment(date)));
    }
    let text = api.get(Target::Gateway, &path).await?;
    if form.json {
        return print(&format!("{text}\n"));
    }
    let daily: Daily = read(&text)?;
    let days: Vec<(&str, &Sums)> =
        daily.days.iter().map(|day| (day.date.as_str(), &day.breakdown.sums)).collect();
    show(&sums_of("date", &days), form)?;
    if form.csv {
        // One table is what a spreadsheet reads.
        return Ok(());
    }
    let total = &daily.total;
    let rankings = [
        ("run", &total.by_run),
        ("agent", &total.by_agent),
        ("provider", &total.by_provider),
        ("model", &total.by_model),
    ];
    for (name, ranking) in rankings.into_iter().filter(|(_, ranking)| !ranking.top.is_empty()) {
        let rows: Vec<(&str, &Sums)> =
            ranking.top.iter().map(|one| (one.name.as_str(), &one.sums)).collect();
        print("\n")?;
        show(&sums_of(name, &rows), form)?;
    }
    Ok(())
}

/// Names and what they add up to.
fn sums_of(head: &'static str, rows: &[(&str, &Sums)]) -> export::Table {
    let columns = vec![
        head,
        "spent_usd",
        "requests",
        "attempts",
        "failed",
        "input_tokens",
        "output_tokens",
        "usd_per_request",
    ];
    let row = |(name, sums): &(&str, &Sums)| {
        let each = sums.cost_usd.picos().checked_div(i128::from(sums.requests));
        vec![
            (*name).to_owned(),
            sums.cost_usd.to_string(),
            sums.requests.to_string(),
            sums.attempts.to_string(),
            sums.failed.to_string(),
            sums.input_tokens.to_string(),
            sums.output_tokens.to_string(),
            each.map_or(String::new(), |picos| Usd::from_picos(picos).rounded(6)),
        ]
    };
    export::Table { columns, rows: rows.iter().map(row).collect() }
}

/// What a run's receipts add up to, by each of its names.
fn by_everything(receipts: &[Receipt]) -> export::Table {
    // In the order they are printed: the whole, then its parts.
    let mut sums: BTreeMap<(usize, String), Sums> = BTreeMap::new();
    for receipt in receipts {
        let names = [
            receipt.run_id.to_string(),
            receipt.agent.to_string(),
            receipt.provider.to_string(),
            receipt.model.to_string(),
            word(&receipt.status),
        ];
        for key in names.into_iter().enumerate() {
            sums.entry(key).or_default().add(&Sums::of(receipt));
        }
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_by_key(|((by, _), sums)| (*by, std::cmp::Reverse(sums.cost_usd)));
    let row = |((by, name), sums): &((usize, String), Sums)| {
        vec![
            BY.get(*by).map_or(String::new(), |by| (*by).to_owned()),
            name.clone(),
            sums.cost_usd.to_string(),
            sums.attempts.to_string(),
            sums.input_tokens.to_string(),
            sums.output_tokens.to_string(),
        ]
    };
    let columns = vec!["by", "name", "spent_usd", "attempts", "input_tokens", "output_tokens"];
    export::Table { columns, rows: rows.iter().map(row).collect() }
}

/// The table in the form that was asked for; without one, aligned for people.
fn show(table: &export::Table, form: Form) -> Done {
    print(&match form {
        Form { json: true, .. } => table.json(),
        Form { csv: true, .. } => table.csv(),
        Form { md: true, .. } => table.markdown(),
        _ => aligned(table).print(),
    })
}

/// An export's table for people: numbers to the right.
pub fn aligned(table: &export::Table) -> Table {
    let is_number = |place: usize| {
        let mut cells = table.rows.iter().filter_map(|row| row.get(place));
        cells.all(|cell| cell.is_empty() || cell.parse::<Usd>().is_ok())
    };
    let head = |(place, name): (usize, &&'static str)| match is_number(place) {
        true => Head::Right(name),
        false => Head::Left(name),
    };
    let heads: Vec<Head> = table.columns.iter().enumerate().map(head).collect();
    let mut shown = Table::new(&heads);
    for row in &table.rows {
        shown.row(row.clone());
    }
    shown
}

/// What a run is summed by.
const BY: [&str; 5] = ["run", "agent", "provider", "model", "status"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_summed_to_the_last_digit() {
        let mut receipts = crate::fixture::receipts();
        receipts.truncate(3);
        for (receipt, cost) in receipts.iter_mut().zip(["0.000000000001", "2", "1"]) {
            receipt.run_id = "r".parse().unwrap();
            receipt.cost_usd = cost.parse().unwrap();
        }
        let table = by_everything(&receipts);
        assert_eq!(table.rows[0][..4], ["run", "r", "3.000000000001", "3"]);
        assert!(aligned(&table).print().starts_with("by "));
    }
}
