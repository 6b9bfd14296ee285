//! One run proved: chain, columns, attempts, prices, file.

use std::collections::HashMap;
use std::path::Path;

use tollgate_shared::id::PriceId;
use tollgate_shared::money::Usd;
use tollgate_shared::price::PriceCard;
use tollgate_shared::receipt::{Chain, Receipt, Status};
use tollgate_shared::usage::{CostIs, UsageSource};

use crate::store::{AttemptRow, ReceiptRow, RunRow, Snapshot, StoreError};
use crate::verify::file::{Agreement, Compared};
use crate::verify::{Beside, Charge, Report, Tally};

/// A run that is being checked.
pub(super) struct Check<'a> {
    row: &'a RunRow,
    snapshot: &'a Snapshot,
    cards: &'a HashMap<PriceId, PriceCard>,
    attempts: HashMap<(String, u32), Attempt>,
    /// Gone once it is broken: what follows cannot be judged by it.
    chain: Option<Chain>,
    last: (u64, String),
    file: Option<Agreement>,
}

/// An attempt's row, and what its receipts say.
struct Attempt {
    row: AttemptRow,
    /// Place, moment, outcome and cost of its first receipt.
    first: Option<(u64, i64, Status, Usd)>,
    /// What later findings add to that.
    corrected: Option<Usd>,
    uncertain: Usd,
}

impl<'a> Check<'a> {
    pub(super) fn new(
        row: &'a RunRow,
        snapshot: &'a Snapshot,
        cards: &'a HashMap<PriceId, PriceCard>,
    ) -> Result<Self, StoreError> {
        let attempts = snapshot.attempts_of(&row.run_id)?.into_iter().map(|row| {
            let key = (row.request_id.clone(), row.attempt);
            (key, Attempt { row, first: None, corrected: None, uncertain: Usd::ZERO })
        });
        Ok(Self {
            row,
            snapshot,
            cards,
            attempts: attempts.collect(),
            chain: Some(Chain::default()),
            last: (0, String::new()),
            file: None,
        })
    }

    /// Reads every receipt, and its line in the run's file.
    pub(super) fn receipts(
        &mut self,
        costs: Option<&Path>,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let name = format!("{}.jsonl", self.row.run_id);
        let mut file = costs.map(|costs| Compared::open(&costs.join(name)));
        let (snapshot, run_id) = (self.snapshot, &self.row.run_id);
        snapshot.receipts(run_id, 0, |row| {
            if let Some(file) = &mut file {
                file.next(row.seq, &row.line);
            }
            self.receipt(&row, report);
            true
        })?;
        self.file = file.map(|file| file.finish(self.last.0));
        Ok(())
    }

    fn receipt(&mut self, row: &ReceiptRow, report: &mut Report) {
        let run_id = &self.row.run_id;
        report.receipts += 1;
        let chained = self.chain.as_mut().map(|chain| chain.next(&row.line));
        if let Some(Err(error)) = &chained {
            report.find("chain", run_id, Some(row.seq), error.to_string());
            self.chain = None;
        }
        let parsed = match chained {
            Some(Ok(receipt)) => Some(receipt),
            _ => serde_json::from_str::<Receipt>(&row.line).ok(),
        };
        let Some(receipt) = parsed else { return };
        self.last = (row.seq, receipt.hash.clone());
        let columns = (receipt.run_id.as_str(), receipt.seq, receipt.timestamp.micros());
        if columns != (run_id.as_str(), row.seq, row.at_us) || receipt.cost_usd != row.cost {
            let what = "its columns are not its line's: run, place, moment or cost";
            report.find("row", run_id, Some(row.seq), what.into());
        }
        report.spent_usd += receipt.cost_usd;
        self.price(&receipt, report);
        self.place(&receipt, report);
    }

    /// Computes a price again, where the bill is said to be exact.
    fn price(&self, receipt: &Receipt, report: &mut Report) {
        let (run_id, seq) = (&self.row.run_id, Some(receipt.seq));
        if receipt.status == Status::Correction {
            return;
        }
        let (cost, parts) = (receipt.cost_usd, receipt.cost.total());
        if parts != cost {
            let what = format!("it costs {cost} USD, and its parts add up to {parts}");
            report.find("cost", run_id, seq, what);
        }
        let usage = &receipt.usage;
        let totals = (usage.input_tokens(), usage.output_tokens());
        if totals != (receipt.input_tokens, receipt.output_tokens) {
            let what = "its tokens are not the sum of their classes";
            report.find("usage", run_id, seq, what.into());
        }
        let is_bill = receipt.status != Status::Voided
            && receipt.cost_is == CostIs::Exact
            && receipt.usage_source == UsageSource::Reported;
        if !is_bill {
            return;
        }
        let Some(card) = self.cards.get(&receipt.price_id) else {
            let what = format!("price card `{}` is not kept: not priced again", receipt.price_id);
            // Once for each card: a thousand receipts without it are one fact.
            if !report.warnings.iter().any(|warning| warning.what == what) {
                report.warn("price_unknown", run_id, what);
            }
            return;
        };
        report.repriced += 1;
        let right = card.cost(usage).total();
        if right != cost {
            let what = format!("it costs {cost} USD, its card makes it {right}");
            report.find("price", run_id, seq, what);
        }
    }

    /// Ties a receipt to its attempt.
    fn place(&mut self, receipt: &Receipt, report: &mut Report) {
        let (run_id, seq) = (&self.row.run_id, Some(receipt.seq));
        let key = (receipt.request_id.as_str().to_owned(), receipt.attempt);
        let Some(attempt) = self.attempts.get_mut(&key) else {
            let what = format!("its attempt {} of request `{}` has no row", key.1, key.0);
            report.find("attempt_missing", run_id, seq, what);
            return;
        };
        if attempt.row.attempt_id != receipt.attempt_id.as_str() {
            let what = format!("its attempt's row names attempt `{}`", attempt.row.attempt_id);
            report.find("attempt", run_id, seq, what);
        }
        if receipt.status == Status::Correction {
            let so_far = attempt.corrected.unwrap_or_default();
            if attempt.first.is_none_or(|(_, _, status, _)| status != Status::Unknown) {
                let what = "it corrects an attempt whose outcome was not unknown";
                report.find("correction", run_id, seq, what.into());
            }
            attempt.corrected = Some(so_far + receipt.cost_usd);
            return;
        }
        if let Some((earlier, ..)) = attempt.first {
            let what = format!("receipt {earlier} is for the same attempt");
            report.find("doubled", run_id, seq, what);
            return;
        }
        if attempt.row.held != receipt.held_usd {
            let what = format!(
                "{} USD were held for it, its attempt says {}",
                receipt.held_usd, attempt.row.held
            );
            report.find("held", run_id, seq, what);
        }
        let at_us = receipt.timestamp.micros();
        attempt.first = Some((receipt.seq, at_us, receipt.status, receipt.cost_usd));
        attempt.uncertain = receipt.uncertain_usd;
    }

    /// Judges attempts, page and file, and counts the attempts.
    pub(super) fn finish(self, beside: Beside, tally: &mut Tally, report: &mut Report) {
        let run_id = &self.row.run_id;
        report.runs += 1;
        let (seq, head) = &self.last;
        if (self.row.seq, &self.row.head) != (*seq, head) {
            let what = format!("its page ends at receipt {}, its receipts at {seq}", self.row.seq);
            report.find("page", run_id, None, what);
        }
        for attempt in self.attempts.values() {
            report.attempts += 1;
            judge(run_id, attempt, report);
            let row = &attempt.row;
            let at_us = attempt.first.map_or(i64::MAX, |(_, at_us, ..)| at_us);
            let charge = match row.state.as_str() {
                "pending" => {
                    report.pending_usd += row.held;
                    Charge::Pending(row.held)
                }
                "unknown" => {
                    report.unknown_usd += row.charged;
                    Charge::Unknown(row.charged, at_us)
                }
                _ => Charge::Posted(row.charged, at_us),
            };
            tally.count(run_id, &row.agent, charge);
            tally.count(run_id, &row.agent, Charge::Uncertain(attempt.uncertain, at_us));
        }
        if let Some(agreement) = &self.file {
            judge_file(run_id, agreement, beside, report);
        }
    }
}

/// Whether an attempt's row says what its receipts say.
fn judge(run_id: &str, attempt: &Attempt, report: &mut Report) {
    let row = &attempt.row;
    let named = format!("attempt {} of request `{}`", row.attempt, row.request_id);
    let Some((seq, _, status, cost)) = attempt.first else {
        if row.state != "pending" {
            let what = format!("{named} is {} and has no receipt", row.state);
            report.find("receipt_missing", run_id, None, what);
        } else if row.draft.is_none() {
            let what = format!("{named} is pending and has no draft of its receipt");
            report.find("draft_missing", run_id, None, what);
        }
        return;
    };
    let seq = Some(seq);
    let right = match (status, attempt.corrected) {
        (Status::Unknown, Some(_)) => &["posted", "voided"][..],
        (Status::Unknown, None) => &["unknown"],
        (Status::Voided, _) => &["voided"],
        _ => &["posted"],
    };
    if !right.contains(&row.state.as_str()) {
        let what = format!("{named} is {}, its receipts say {}", row.state, right.join(" or "));
        report.find("state", run_id, seq, what);
    }
    let charged = cost + attempt.corrected.unwrap_or_default();
    if row.charged != charged {
        let what = format!("{named} is charged {} USD, its receipts say {charged}", row.charged);
        report.find("charged", run_id, seq, what);
    }
    if row.seq.is_some() && row.uncertain != attempt.uncertain {
        let what = format!(
            "{named} has {} USD uncertain, its receipt says {}",
            row.uncertain, attempt.uncertain
        );
        report.find("uncertain", run_id, seq, what);
    }
    if row.seq.is_some_and(|place| Some(place) != seq) {
        report.find("place", run_id, seq, format!("{named} names another receipt as its own"));
    }
}

fn judge_file(run_id: &str, agreement: &Agreement, beside: Beside, report: &mut Report) {
    match (agreement, beside) {
        (Agreement::Equal, _) => {}
        (Agreement::Behind(seq), Beside::Backend) => {
            let what = format!("its file ends before receipt {seq}; the backend is writing it");
            report.warn("file_behind", run_id, what);
        }
        // It was written after the moment that is verified.
        (Agreement::Ahead(_), Beside::Backend) => {}
        (Agreement::Behind(seq), Beside::Nobody) => {
            let what = "its file ends before this receipt; a start or `rebuild` completes it";
            report.find("file_behind", run_id, Some(*seq), what.into());
        }
        (Agreement::Ahead(seq), Beside::Nobody) => {
            let what = "its file goes on to this receipt, which the ledger does not know";
            report.find("file_ahead", run_id, Some(*seq), what.into());
        }
        (Agreement::Altered(seq), _) => {
            let what = "its file has something else in this place";
            report.find("file_altered", run_id, Some(*seq), what.into());
        }
        (Agreement::Unreadable(why), _) => {
            report.find("file_unreadable", run_id, None, format!("its file cannot be read: {why}"));
        }
    }
}
