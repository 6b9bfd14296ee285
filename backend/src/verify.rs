//! The proof that rows, accounts and files say the same: `tollgated verify`.
//!
//! Reads one moment of the ledger and believes nothing in it: every receipt's chain is hashed
//! again, every price computed again, every account added up again from attempts, every receipt
//! file compared byte for byte. Amounts are added here, never by SQL. Changes nothing, so it may
//! run beside a backend; a file that is a little behind is then no more than a warning.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use tollgate_shared::money::Usd;

use crate::store::{Rows, Snapshot, StoreError, Sums};

mod file;
mod run;
mod tally;

pub use file::sealed;
pub use tally::{Charge, Difference, Owner, Parts, Tally};

/// What a verification came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Version of the ledger's schema.
    pub version: i64,
    /// Runs looked at.
    pub runs: u64,
    /// Attempts looked at.
    pub attempts: u64,
    /// Receipts looked at.
    pub receipts: u64,
    /// Receipts whose price was computed again.
    pub repriced: u64,
    /// Sum of all receipts.
    pub spent_usd: Usd,
    /// Of that, what is charged for unknown outcomes.
    pub unknown_usd: Usd,
    /// Held by attempts in flight.
    pub pending_usd: Usd,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is remarkable and not wrong.
    pub warnings: Vec<Finding>,
    /// Findings and warnings beyond those listed.
    pub unlisted: u64,
}

/// One thing that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable; programs decide by it.
    pub code: &'static str,
    /// Which run; empty where it is about the whole ledger.
    pub run_id: String,
    /// Which receipt of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// In words.
    pub what: String,
}

/// Whose ledger is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Nobody writes to it: files must be complete.
    Nobody,
    /// A backend writes to it: files follow the ledger at a small distance.
    Backend,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, code: &'static str, run_id: &str, seq: Option<u64>, what: String) {
        let finding = Finding { code, run_id: run_id.into(), seq, what };
        self.list(finding, false);
    }

    fn warn(&mut self, code: &'static str, run_id: &str, what: String) {
        let finding = Finding { code, run_id: run_id.into(), seq: None, what };
        self.list(finding, true);
    }

    fn list(&mut self, finding: Finding, is_warning: bool) {
        let list = if is_warning { &mut self.warnings } else { &mut self.findings };
        if list.len() < LISTED_MAX {
            list.push(finding);
        } else {
            self.unlisted += 1;
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, run_id, seq, what } = self;
        let run_id = if run_id.is_empty() { "-" } else { run_id };
        let seq = seq.map_or("-".into(), |seq| seq.to_string());
        write!(f, "{code} run={run_id} seq={seq} {what}")
    }
}

/// Verifies a ledger, and the receipt files in `costs` where they are to be compared.
pub fn verify(ledger: &Path, costs: Option<&Path>, beside: Beside) -> Result<Report, StoreError> {
    let snapshot = Snapshot::open(ledger)?;
    let mut report = Report { version: snapshot.version(), ..Report::default() };
    for fault in snapshot.faults(true)? {
        report.find("damaged", "", None, fault);
    }
    if snapshot.version() == 0 {
        report.warn("empty", "", "nothing was ever written to this ledger".into());
        return Ok(report);
    }
    if let Some(what) = snapshot.broken(Rows::All)? {
        report.find("seal", "", None, what);
    }
    let runs = snapshot.runs()?;
    let mut tally = Tally::of(&runs, &snapshot.purses()?);
    let cards = snapshot.cards()?.into_iter().collect();
    for row in &runs {
        let mut check = run::Check::new(row, &snapshot, &cards)?;
        check.receipts(costs, &mut report)?;
        check.finish(beside, &mut tally, &mut report);
    }
    for difference in tally.differences(Parts::All) {
        let run_id = difference.owner.run_id.clone();
        report.find("account", &run_id, None, difference.to_string());
    }
    for attempt_id in snapshot.doubled_attempts()? {
        let what = format!("attempt id `{attempt_id}` is there more than once");
        report.find("doubled", "", None, what);
    }
    for run_id in snapshot.strays()? {
        report.find("stray", &run_id, None, "there are rows of it and no run".into());
    }
    if let Some(costs) = costs {
        strange_files(costs, &runs, beside, &mut report);
    }
    Ok(report)
}

/// What accounts say beside what their attempts add up to, without reading a single line: cheap
/// enough for every start. Accounts that count a day are judged by what is in flight alone.
pub fn accounts(snapshot: &Snapshot) -> Result<Vec<Difference>, StoreError> {
    if snapshot.version() == 0 {
        return Ok(Vec::new());
    }
    let mut tally = Tally::of(&snapshot.runs()?, &snapshot.purses()?);
    for ((run_id, agent), sums) in sums(snapshot)? {
        for charge in [
            Charge::Posted(sums.posted, i64::MAX),
            Charge::Pending(sums.pending),
            Charge::Unknown(sums.unknown, i64::MAX),
            Charge::Uncertain(sums.uncertain, i64::MAX),
        ] {
            tally.count(&run_id, &agent, charge);
        }
    }
    // Rows of version 1 do not say what is uncertain.
    let parts = if snapshot.version() < 2 { Parts::Charged } else { Parts::All };
    let mut found = tally.differences(parts);
    found.retain(|difference| !difference.is_daily);
    Ok(found)
}

/// What the attempts of each run's agents add up to.
pub(crate) fn sums(snapshot: &Snapshot) -> Result<HashMap<(String, String), Sums>, StoreError> {
    let mut all: HashMap<(String, String), Sums> = HashMap::new();
    // Attempts of a run lie together, and mostly those of an agent: most rows find their sums here.
    let mut last = ((String::new(), String::new()), Sums::default());
    let mut put = |key: (String, String), sums: Sums| {
        let whole = all.entry(key).or_default();
        whole.posted += sums.posted;
        whole.pending += sums.pending;
        whole.unknown += sums.unknown;
        whole.uncertain += sums.uncertain;
    };
    snapshot.charges(|row| {
        if (last.0.0.as_str(), last.0.1.as_str()) != (row.run_id, row.agent) {
            let fresh = ((row.run_id.to_owned(), row.agent.to_owned()), Sums::default());
            let (key, sums) = std::mem::replace(&mut last, fresh);
            put(key, sums);
        }
        let sums = &mut last.1;
        match row.state {
            "pending" => sums.pending += row.held,
            "unknown" => sums.unknown += row.charged,
            _ => sums.posted += row.charged,
        }
        sums.uncertain += row.uncertain;
    })?;
    let (key, sums) = last;
    put(key, sums);
    Ok(all)
}

/// Receipt files of runs that the ledger does not know.
fn strange_files(costs: &Path, runs: &[crate::store::RunRow], beside: Beside, report: &mut Report) {
    let Ok(entries) = std::fs::read_dir(costs) else { return };
    let known: std::collections::HashSet<&str> =
        runs.iter().map(|run| run.run_id.as_str()).collect();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(run_id) = name.to_str().and_then(|name| name.strip_suffix(".jsonl")) else {
            continue;
        };
        if known.contains(run_id) || entry.metadata().is_ok_and(|meta| meta.len() == 0) {
            continue;
        }
        let what = "there are receipts of it in `costs/`, and the ledger does not know it";
        match beside {
            // It may have begun after the moment that is verified.
            Beside::Backend => report.warn("file_unknown", run_id, what.into()),
            Beside::Nobody => report.find("file_unknown", run_id, None, what.into()),
        }
    }
}

/// Most findings and warnings that are listed; the rest is counted.
const LISTED_MAX: usize = 1_000;
