//! `tollgate receipts`: a run's receipts, and each new one as it comes.
//!
//! A line a receipt, flushed, so that `| jq` and `| grep` see it at once. With `--json` it is the
//! receipt's exact line, whose hash still holds. What the stream skips is read anew, so no receipt
//! is missing and none comes twice. Refuses to know how lines are sealed.

use std::collections::BTreeMap;

use tollgate_shared::api::{ProviderList, ReceiptList};
use tollgate_shared::id::{ProviderName, RunId};
use tollgate_shared::receipt::Receipt;

use super::Failure;
use super::api::Api;
use super::outcome::{Done, print};
use crate::console::ConsoleOptions;
use crate::export;
use crate::feed::clock;
use crate::filter::Filter;
use crate::format;
use crate::message::Target;
use crate::message::segment;
use crate::model::Tail;
use crate::text;

/// Which receipts, and in which form.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run; without one, --follow shows those of all runs from now on.
    #[arg(required_unless_present = "follow")]
    run: Option<RunId>,
    /// Goes on with each new one.
    #[arg(long, short = 'f')]
    follow: bool,
    /// Only those that fit: `cost>0.05 status!=ok prov:azure`.
    #[arg(long = "where", value_name = "FILTER", value_parser = filter)]
    filter: Option<Filter>,
    /// Their exact lines.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Comma-separated, every digit.
    #[arg(long)]
    csv: bool,
}

/// Prints them.
pub async fn run(args: Args, options: &ConsoleOptions) -> Done {
    let api = Api::new(options)?;
    // Listening begins before reading, so that nothing falls in between.
    let feed = args.follow.then(|| options.feed());
    let mut printer = Printer::new(&args, promises(&api).await);
    let mut last: BTreeMap<RunId, u64> = BTreeMap::new();
    if let Some(run) = &args.run {
        let lines = match lines(&api, run).await {
            Ok(lines) => lines,
            // A run that has not begun can be waited for.
            Err(Failure::Absent(_)) if args.follow => Vec::new(),
            Err(other) => return Err(other),
        };
        last.insert(run.clone(), 0);
        printer.lines(&lines, &mut last)?;
    }
    let Some((mut deltas, _hurry, _task)) = feed else { return Ok(()) };
    while let Some(delta) = deltas.recv().await {
        let of_snapshot = delta.snapshot.iter().flat_map(|snapshot| &snapshot.receipts);
        // Without a run the past is not asked for, only what is new.
        let of_snapshot = of_snapshot.filter(|_| args.run.is_some());
        let wanted = of_snapshot.chain(&delta.receipts);
        let wanted =
            wanted.filter(|receipt| args.run.as_ref().is_none_or(|run| *run == receipt.run_id));
        for receipt in wanted {
            let before = last.get(&receipt.run_id).copied();
            match before {
                Some(before) if receipt.seq <= before => {}
                Some(before) if receipt.seq > before + 1 => {
                    printer.lines(&lines(&api, &receipt.run_id).await?, &mut last)?;
                }
                _ => {
                    last.insert(receipt.run_id.clone(), receipt.seq);
                    printer.receipt(receipt, None)?;
                }
            }
        }
    }
    Ok(())
}

/// Prints receipts in the form that was asked for.
struct Printer<'a> {
    args: &'a Args,
    promises: BTreeMap<ProviderName, u64>,
    has_head: bool,
}

impl<'a> Printer<'a> {
    fn new(args: &'a Args, promises: BTreeMap<ProviderName, u64>) -> Self {
        Self { args, promises, has_head: false }
    }

    /// Lines of one run, as far as they are new.
    fn lines(&mut self, lines: &[String], last: &mut BTreeMap<RunId, u64>) -> Done {
        for line in lines {
            let receipt: Receipt = serde_json::from_str(line)
                .map_err(|error| Failure::Refused(format!("a line is no receipt: {error}")))?;
            let seen = last.entry(receipt.run_id.clone()).or_default();
            if receipt.seq > *seen {
                *seen = receipt.seq;
                self.receipt(&receipt, Some(line))?;
            }
        }
        Ok(())
    }

    /// One receipt, where it fits.
    fn receipt(&mut self, receipt: &Receipt, line: Option<&str>) -> Done {
        let promise = self.promises.get(&receipt.provider);
        let slow = promise.is_some_and(|promise| receipt.latency_ms > *promise);
        let mut tail = Tail::default();
        tail.push(receipt, slow);
        let Some(row) = tail.newest_first().next() else { return Ok(()) };
        if self.args.filter.as_ref().is_some_and(|filter| !filter.fits(row, clock())) {
            return Ok(());
        }
        if self.args.json {
            let exact = || exact(receipt);
            return print(&format!("{}\n", line.map_or_else(exact, ToOwned::to_owned)));
        }
        let first = !std::mem::replace(&mut self.has_head, true);
        if self.args.csv {
            let table = export::Table { columns: COLUMNS.to_vec(), rows: vec![cells(receipt)] };
            let text = table.csv();
            // Each row is written with its headings; only the first keeps them.
            let row = text.split_once('\n').map_or("", |(_, row)| row);
            return print(if first { &text } else { row });
        }
        let head = if first { line_of(HEADS.map(ToOwned::to_owned)) } else { String::new() };
        let tokens = |count| format::count(count);
        let row = line_of([
            receipt.timestamp.to_string(),
            receipt.run_id.to_string(),
            receipt.agent.to_string(),
            receipt.provider.to_string(),
            format!("{}→{}", tokens(receipt.input_tokens), tokens(receipt.output_tokens)),
            receipt.cost_usd.rounded(6),
            format::seconds(receipt.latency_ms),
            row.status().to_owned(),
            receipt.request_id.to_string(),
        ]);
        print(&format!("{head}{row}"))
    }
}

/// One line of the table; columns are as wide as they always are, for the next may be in an hour.
fn line_of(cells: [String; 9]) -> String {
    let widths = [27, 14, 16, 16, 13, 11, 7, 10];
    let [.., request] = &cells;
    let mut line = String::new();
    for (place, (cell, width)) in cells.iter().zip(widths).enumerate() {
        line.push_str(&match place {
            4..=6 => text::right(cell, width),
            _ => text::left(cell, width),
        });
        line.push(' ');
    }
    line.push_str(&text::clean(request, 64));
    line.push('\n');
    line
}

/// The receipt's exact line. It is sealed anew: when the hash is the same, so is every byte.
fn exact(receipt: &Receipt) -> String {
    let mut again = receipt.clone();
    match again.seal() {
        Ok(line) => line,
        // Its parts were read from JSON, so they can be written as JSON.
        Err(error) => format!("{{\"error\":\"{error}\"}}"),
    }
}

/// The exact lines of a run.
async fn lines(api: &Api, run: &RunId) -> Result<Vec<String>, Failure> {
    let path = format!("/receipts/{}", segment(run.as_str()));
    let list: ReceiptList = api.read(Target::Gateway, &path).await?;
    Ok(list.receipts.iter().map(|line| line.get().to_owned()).collect())
}

/// What providers promise, to tell slow from ok; nothing where they cannot be asked.
async fn promises(api: &Api) -> BTreeMap<ProviderName, u64> {
    let list = api.read::<ProviderList>(Target::Router, "/providers").await;
    let providers = list.map(|list| list.providers).unwrap_or_default();
    let promise = |view: tollgate_shared::provider::ProviderView| {
        Some((view.name, u64::from(view.slo?.latency_p95_ms?)))
    };
    providers.into_iter().filter_map(promise).collect()
}

/// Reads a filter; the mistake is shown under the text.
fn filter(text: &str) -> Result<Filter, String> {
    match Filter::read(text) {
        Ok(Some(filter)) => Ok(filter),
        Ok(None) => Err("an empty filter".into()),
        Err(error) => {
            let mark = format!("{}{}", " ".repeat(error.start), "^".repeat(error.length.max(1)));
            Err(format!("{}\n  {text}\n  {mark}", error.why))
        }
    }
}

/// A receipt's cells for CSV.
fn cells(receipt: &Receipt) -> Vec<String> {
    vec![
        receipt.timestamp.to_string(),
        receipt.run_id.to_string(),
        receipt.seq.to_string(),
        receipt.agent.to_string(),
        receipt.request_id.to_string(),
        receipt.attempt.to_string(),
        receipt.provider.to_string(),
        receipt.model.to_string(),
        receipt.input_tokens.to_string(),
        receipt.output_tokens.to_string(),
        receipt.cost_usd.to_string(),
        receipt.held_usd.to_string(),
        receipt.latency_ms.to_string(),
        super::providers::word(&receipt.status),
    ]
}

const COLUMNS: [&str; 14] = [
    "timestamp",
    "run_id",
    "seq",
    "agent",
    "request_id",
    "attempt",
    "provider",
    "model",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "held_usd",
    "latency_ms",
    "status",
];

const HEADS: [&str; 9] =
    ["TIME", "RUN", "AGENT", "PROVIDER", "TOK IN→OUT", "COST $", "LAT s", "STATUS", "REQUEST"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_line_is_the_line_that_was_read() {
        let mut receipt = crate::fixture::receipts().remove(0);
        let line = receipt.seal().unwrap();
        let read: Receipt = serde_json::from_str(&line).unwrap();
        assert_eq!(exact(&read), line);
    }

    #[test]
    fn a_bad_filter_is_marked() {
        let error = filter("run:R-2 cost>abc").unwrap_err();
        assert!(error.ends_with("\n  run:R-2 cost>abc\n          ^^^^^^^^"), "{error}");
        assert!(filter("cost>0.05").is_ok() && filter("").is_err());
    }
}
