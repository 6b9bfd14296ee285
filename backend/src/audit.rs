//! The audit behind: while the backend serves, its books are proved again and again.
//!
//! Every look is one read transaction over everything that is in flight and everything that is new
//! since the last look. New receipts must continue their run's chain and say what their
//! attempts say, and every account must say what its attempts add up to. History is not read again
//! at once: a slow walk goes through it, a piece with each look, so that an old row which a stranger
//! edits is found as well. A finding stops admission: books that do not add up give no more money.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::{Chain, Receipt, Status};

use crate::ledger::Ledger;
use crate::store::{AttemptRow, Held, RunRow, Snapshot, StoreError};
use crate::verify::{Charge, Parts, Tally, sealed, sums};

/// What earlier looks have seen.
#[derive(Debug)]
pub struct Audit {
    ledger: PathBuf,
    /// How far each run's chain was followed, and its end.
    runs: HashMap<String, (u64, String)>,
    /// What posted attempts of a run's agent add up to, and what is uncertain about them.
    posted: HashMap<(String, String), (Usd, Usd)>,
    walk: Walk,
}

/// The slow walk through history.
#[derive(Debug, Default)]
struct Walk {
    run_id: String,
    chain: Chain,
}

/// Looks every `every` until told to stop, or until there is a finding.
pub async fn run(
    mut audit: Audit,
    ledger: Ledger,
    every: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let mut clock = tokio::time::interval(every);
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        let looked = tokio::task::spawn_blocking(move || {
            let found = audit.look();
            (audit, found)
        });
        let Ok((returned, found)) = looked.await else {
            // Books that nobody can read are not to be trusted more than books that do not add up.
            return ledger.stop_admission("the audit of the books broke off".into());
        };
        audit = returned;
        match found {
            Ok(None) => {}
            Ok(Some(finding)) => return ledger.stop_admission(finding),
            Err(error) if error.is_damage() => return ledger.stop_admission(error.to_string()),
            Err(error) => tracing::warn!(%error, "the ledger could not be audited this time"),
        }
    }
}

impl Audit {
    /// An audit of a ledger that has not looked yet.
    pub fn of(ledger: &Path) -> Self {
        Self {
            ledger: ledger.to_owned(),
            runs: HashMap::new(),
            posted: HashMap::new(),
            walk: Walk::default(),
        }
    }

    /// Looks once; answers the first thing that does not add up.
    pub fn look(&mut self) -> Result<Option<String>, StoreError> {
        let snapshot = Snapshot::open(&self.ledger)?;
        let runs = snapshot.runs()?;
        if self.runs.is_empty() {
            self.begin(&snapshot, &runs)?;
        }
        for run in &runs {
            if let Some(finding) = self.follow(&snapshot, run)? {
                return Ok(Some(finding));
            }
        }
        if let Some(finding) = self.add_up(&snapshot, &runs)? {
            return Ok(Some(finding));
        }
        self.walk.step(&snapshot, &runs)
    }

    /// The first look takes chains as they end now, and reads every attempt once.
    fn begin(&mut self, snapshot: &Snapshot, runs: &[RunRow]) -> Result<(), StoreError> {
        for run in runs {
            self.runs.insert(run.run_id.clone(), (run.seq, run.head.clone()));
        }
        for (key, sums) in sums(snapshot)? {
            self.posted.insert(key, (sums.posted, sums.uncertain));
        }
        Ok(())
    }

    /// Reads what a run's chain has grown by.
    fn follow(&mut self, snapshot: &Snapshot, run: &RunRow) -> Result<Option<String>, StoreError> {
        let (seq, head) = self.runs.entry(run.run_id.clone()).or_default();
        let (mut last, mut finding) = ((*seq, head.clone()), None);
        if last == (run.seq, run.head.clone()) {
            return Ok(None);
        }
        let mut fresh = Vec::new();
        snapshot.receipts(&run.run_id, *seq, |row| {
            let receipt = sealed(&row.line)
                .filter(|receipt| (receipt.seq, &receipt.prev) == (last.0 + 1, &last.1))
                .filter(|receipt| receipt.cost_usd == row.cost && row.seq == receipt.seq);
            let Some(receipt) = receipt else {
                let what = "does not continue its run's chain";
                finding = Some(format!("receipt {} of run `{}` {what}", row.seq, run.run_id));
                return false;
            };
            last = (receipt.seq, receipt.hash.clone());
            fresh.push(receipt);
            true
        })?;
        if finding.is_none() && last != (run.seq, run.head.clone()) {
            let what = format!("ends at receipt {}, its receipts at {}", run.seq, last.0);
            finding = Some(format!("run `{}` {what}", run.run_id));
        }
        if finding.is_some() {
            return Ok(finding);
        }
        (*seq, *head) = last;
        for receipt in fresh {
            let row =
                snapshot.attempt(&run.run_id, receipt.request_id.as_str(), receipt.attempt)?;
            match row.filter(|row| says_so(row, &receipt)) {
                None => return Ok(Some(contradicted(&receipt))),
                Some(row) => self.post(&row, &receipt),
            }
        }
        Ok(None)
    }

    /// Adds what a receipt moved into `posted`.
    fn post(&mut self, row: &AttemptRow, receipt: &Receipt) {
        let posted = match receipt.status {
            // The row may know already how an unknown outcome was resolved; that has a receipt of
            // its own, which is counted when it comes.
            Status::Unknown | Status::Voided => Usd::ZERO,
            Status::Correction => receipt.held_usd + receipt.cost_usd,
            _ => receipt.cost_usd,
        };
        let uncertain = match receipt.status {
            Status::Correction => Usd::ZERO,
            _ => receipt.uncertain_usd,
        };
        let key = (row.run_id.clone(), row.agent.clone());
        let sums = self.posted.entry(key).or_default();
        *sums = (sums.0 + posted, sums.1 + uncertain);
    }

    /// Whether every account says what its attempts add up to. What counts a day is left to
    /// `verify`: a clock decides there.
    fn add_up(&self, snapshot: &Snapshot, runs: &[RunRow]) -> Result<Option<String>, StoreError> {
        let mut tally = Tally::of(runs, &snapshot.purses()?);
        snapshot.held(Held::Pending, |row| {
            tally.count(&row.run_id, &row.agent, Charge::Pending(row.held));
        })?;
        snapshot.held(Held::Unknown, |row| {
            let at_us = row.settled_us.unwrap_or(i64::MAX);
            tally.count(&row.run_id, &row.agent, Charge::Unknown(row.charged, at_us));
        })?;
        for ((run_id, agent), (posted, uncertain)) in &self.posted {
            tally.count(run_id, agent, Charge::Posted(*posted, i64::MAX));
            tally.count(run_id, agent, Charge::Uncertain(*uncertain, i64::MAX));
        }
        let mut differences = tally.differences(Parts::All).into_iter();
        let found = differences.find(|difference| !difference.is_daily);
        Ok(found.map(|difference| difference.to_string()))
    }
}

impl Walk {
    /// Reads the next piece of history.
    fn step(&mut self, snapshot: &Snapshot, runs: &[RunRow]) -> Result<Option<String>, StoreError> {
        let (mut left, mut finding) = (WALK_LINES, None);
        while left > 0 && finding.is_none() {
            let mut read = Vec::new();
            snapshot.receipts(&self.run_id, self.chain.seq(), |row| {
                left -= 1;
                match self.chain.next(&row.line) {
                    Ok(receipt) if receipt.cost_usd == row.cost => read.push(receipt),
                    Ok(receipt) => finding = Some(contradicted(&receipt)),
                    Err(error) => finding = Some(format!("run `{}`: {error}", self.run_id)),
                }
                left > 0 && finding.is_none()
            })?;
            for receipt in read {
                let row =
                    snapshot.attempt(&self.run_id, receipt.request_id.as_str(), receipt.attempt)?;
                if !row.is_some_and(|row| says_so(&row, &receipt)) {
                    return Ok(Some(contradicted(&receipt)));
                }
            }
            if left > 0 && finding.is_none() {
                // The run is done; after the last one this look has walked enough.
                let next = runs.iter().find(|run| run.run_id > self.run_id);
                let run_id = next.map(|run| run.run_id.clone()).unwrap_or_default();
                *self = Self { run_id, chain: Chain::default() };
                if next.is_none() {
                    break;
                }
            }
        }
        Ok(finding)
    }
}

/// Whether an attempt's row agrees with one of its receipts.
fn says_so(row: &AttemptRow, receipt: &Receipt) -> bool {
    let state = row.state.as_str();
    let settled = matches!(state, "posted" | "voided");
    row.attempt_id == receipt.attempt_id.as_str()
        && row.held == receipt.held_usd
        && match receipt.status {
            Status::Unknown => state == "unknown" && row.charged == receipt.cost_usd || settled,
            Status::Correction => settled && row.charged == receipt.held_usd + receipt.cost_usd,
            Status::Voided => state == "voided" && row.charged.is_zero(),
            _ => state == "posted" && row.charged == receipt.cost_usd,
        }
}

fn contradicted(receipt: &Receipt) -> String {
    let Receipt { run_id, seq, attempt_id, .. } = receipt;
    format!("receipt {seq} of run `{run_id}` and the row of attempt `{attempt_id}` disagree")
}

/// Receipts of history that each look reads again: a second of work at most.
const WALK_LINES: u32 = 5_000;
