//! One run made anew: from its rows, its file, or both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tollgate_shared::money::Usd;
use tollgate_shared::receipt::{Receipt, Status};

use crate::rebuild::old::{self, Kept, Old};
use crate::store::{AttemptRow, ReceiptRow, RunRow, Store, StoreError};
use crate::verify::Charge;

/// Where a run is taken from.
pub(super) struct Source<'a> {
    old: &'a Old,
    run_id: &'a str,
    /// Its page in the old ledger.
    known: Option<&'a RunRow>,
    /// Receipts that the old ledger has and that are believed.
    rows: u64,
    file: PathBuf,
    kept: Kept,
}

/// A run as it is written.
pub(super) struct Built {
    /// Its page; its account is counted when all runs are there.
    pub page: RunRow,
    pub requests: u64,
    /// What its attempts are to accounts, by agent.
    pub charges: Vec<(String, Charge)>,
    pub notes: Vec<String>,
}

/// A run's attempts while its receipts are read.
#[derive(Default)]
struct Attempts {
    rows: BTreeMap<(String, u32), AttemptRow>,
    requests: u64,
    head: String,
    first_us: Option<i64>,
    last_us: i64,
}

impl<'a> Source<'a> {
    pub(super) fn of(old: &'a Old, data_dir: &Path, run_id: &'a str) -> anyhow::Result<Self> {
        let known = old.runs.get(run_id);
        let file = data_dir.join("costs").join(format!("{run_id}.jsonl"));
        let rows = old.rows.as_ref().and(known).map_or(0, |run| run.seq);
        let kept = Kept::of(&file, 0);
        Ok(Self { old, run_id, known, rows, file, kept })
    }

    /// Writes receipts and attempts. The longer story is taken: neither contradicts the other.
    pub(super) fn restore(&self, store: &Store) -> Result<Built, StoreError> {
        let mut attempts = Attempts::default();
        if let Some(rows) = self.old.rows.as_ref().filter(|_| self.known.is_some()) {
            for row in rows.attempts_of(self.run_id)? {
                attempts.rows.insert((row.request_id.clone(), row.attempt), row);
            }
        }
        let seq = self.rows.max(self.kept.seq);
        let mut take = |receipt: &Receipt, line: &str| {
            attempts.fold(receipt);
            let row = ReceiptRow {
                seq: receipt.seq,
                at_us: receipt.timestamp.micros(),
                cost: receipt.cost_usd,
                line: line.to_owned(),
            };
            store.restore_receipt(self.run_id, &row)
        };
        match self.old.rows.as_ref().filter(|_| self.rows >= self.kept.seq) {
            Some(rows) => {
                let mut done = Ok(());
                rows.receipts(self.run_id, 0, |row| {
                    let receipt = serde_json::from_str(&row.line)
                        .map_err(|error| StoreError::Corrupt(format!("a receipt: {error}")));
                    done = receipt.and_then(|receipt| take(&receipt, &row.line));
                    done.is_ok()
                })?;
                done?;
            }
            None => old::chained(&self.file, seq, |receipt, line| take(&receipt, line))?,
        }
        for row in attempts.rows.values() {
            store.restore_attempt(row)?;
        }
        Ok(self.built(seq, attempts))
    }

    fn built(&self, seq: u64, attempts: Attempts) -> Built {
        let mut notes = Vec::new();
        let run_id = self.run_id;
        if seq > self.rows && self.old.rows.is_some() {
            let from = self.rows + 1;
            notes.push(format!("run `{run_id}`: receipts {from} to {seq} are taken back"));
        }
        if self.known.is_none() {
            notes.push(format!("run `{run_id}`: its limit is not known; it has none now"));
        }
        // A tail that is merely torn, or lines that the rows make good, are no loss.
        let (left, sum) = self.kept.left;
        if let Some(why) = self.kept.broken.as_ref().filter(|_| seq == self.kept.seq) {
            notes.push(format!(
                "run `{run_id}`: its file holds up to receipt {seq} ({why}); {left} receipts of \
                 {sum} USD behind that are set aside, not taken"
            ));
        }
        let is_whole = self.known.is_some() && self.old.rows.is_some() && !self.old.is_behind;
        let is_safe = is_whole && seq == self.rows;
        let mut page = self.known.cloned().unwrap_or_else(|| unknown_page(run_id));
        if !is_safe && page.state != "closed" && page.state != "frozen" {
            page.state = "frozen".into();
            page.version += 1;
        }
        page.seq = seq;
        page.head.clone_from(&attempts.head);
        page.created_us = match attempts.first_us {
            Some(first_us) if page.created_us == 0 => first_us,
            _ => page.created_us,
        };
        page.last_us = page.last_us.max(attempts.last_us);
        let charges = attempts.rows.values().flat_map(charges_of).collect();
        Built { page, requests: attempts.requests, charges, notes }
    }
}

impl Attempts {
    fn fold(&mut self, receipt: &Receipt) {
        let at_us = receipt.timestamp.micros();
        self.first_us = self.first_us.or(Some(at_us));
        self.last_us = at_us;
        self.head.clone_from(&receipt.hash);
        let key = (receipt.request_id.to_string(), receipt.attempt);
        if receipt.status == Status::Correction {
            // Its own cost is the difference to what the attempt was charged so far.
            if let Some(row) = self.rows.get_mut(&key).filter(|row| row.state == "unknown") {
                row.charged += receipt.cost_usd;
                row.state = if row.charged.is_zero() { "voided" } else { "posted" }.into();
            }
            return;
        }
        self.requests += u64::from(receipt.attempt == 1);
        let row = self.rows.entry(key).or_insert_with(|| AttemptRow {
            run_id: receipt.run_id.to_string(),
            request_id: receipt.request_id.to_string(),
            attempt: receipt.attempt,
            attempt_id: receipt.attempt_id.to_string(),
            body_hash: String::new(),
            state: String::new(),
            held: receipt.held_usd,
            charged: Usd::ZERO,
            draft: None,
            created_us: at_us,
            settled_us: None,
            agent: receipt.agent.to_string(),
            seq: None,
            uncertain: Usd::ZERO,
        });
        row.state = match receipt.status {
            Status::Unknown => "unknown",
            Status::Voided => "voided",
            _ => "posted",
        }
        .into();
        row.charged = receipt.cost_usd;
        row.draft = None;
        row.settled_us = Some(at_us);
        row.agent = receipt.agent.to_string();
        row.seq = Some(receipt.seq);
        row.uncertain = receipt.uncertain_usd;
    }
}

/// What an attempt is to the accounts it counts on.
fn charges_of(row: &AttemptRow) -> [(String, Charge); 2] {
    let at_us = row.settled_us.unwrap_or(i64::MAX);
    let charge = match row.state.as_str() {
        "pending" => Charge::Pending(row.held),
        "unknown" => Charge::Unknown(row.charged, at_us),
        _ => Charge::Posted(row.charged, at_us),
    };
    [(row.agent.clone(), charge), (row.agent.clone(), Charge::Uncertain(row.uncertain, at_us))]
}

/// The page of a run of which only receipts are known.
fn unknown_page(run_id: &str) -> RunRow {
    RunRow {
        run_id: run_id.into(),
        parent: None,
        state: "open".into(),
        mode: "clamp".into(),
        version: 1,
        limit: None,
        sums: Default::default(),
        seq: 0,
        head: String::new(),
        created_us: 0,
        last_us: 0,
        period: "lifetime".into(),
        period_us: 0,
    }
}
