//! What can still be known before a ledger is made anew: the old ledger, as far as it can be
//! believed, and the receipt files, as far as their chains hold.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use tollgate_shared::id::{PriceId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::price::PriceCard;
use tollgate_shared::receipt::{Chain, Receipt};

use crate::recovery::ledger_path;
use crate::store::{AuditEntry, PurseRow, Rows, RunRow, Snapshot, StoreError};
use crate::verify;

/// The old ledger.
pub(super) struct Old {
    /// Its rows, where all of them can be believed.
    pub rows: Option<Snapshot>,
    /// Its runs; where the rest is not believed, still the best word on limits.
    pub runs: BTreeMap<String, RunRow>,
    pub purses: Vec<PurseRow>,
    pub cards: Vec<(PriceId, PriceCard)>,
    pub audit: Vec<AuditEntry>,
    pub names: Vec<(String, String)>,
    pub commits: u64,
    /// More groups were acknowledged than it has: what they were is not known.
    pub is_behind: bool,
}

/// What a receipt file has up to the first line that does not continue its chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Lines whose chain holds.
    pub seq: u64,
    /// The line at the place that was asked for.
    pub line: Option<String>,
    /// What is wrong with the next line.
    pub broken: Option<String>,
    /// Receipts behind that whose own hash is right, and their sum.
    pub left: (u64, Usd),
}

impl Old {
    /// Reads what is left, and says in `notes` what is not.
    pub(super) fn read(
        data_dir: &Path,
        mark: u64,
        notes: &mut Vec<String>,
    ) -> Result<Self, StoreError> {
        let mut old = Self {
            rows: None,
            runs: BTreeMap::new(),
            purses: Vec::new(),
            cards: Vec::new(),
            audit: Vec::new(),
            names: Vec::new(),
            commits: 0,
            is_behind: false,
        };
        let path = ledger_path(data_dir);
        if !path.exists() {
            notes.push("there was no ledger: every run is frozen and has no limit".into());
            return Ok(old);
        }
        let snapshot = match Snapshot::open(&path) {
            Err(error @ StoreError::Newer { .. }) => return Err(error),
            Err(error) => {
                notes.push(format!("the old ledger cannot be read ({error})"));
                return Ok(old);
            }
            Ok(snapshot) if snapshot.version() == 0 => return Ok(old),
            Ok(snapshot) => snapshot,
        };
        let mut faults = snapshot.faults(true).unwrap_or_else(|error| vec![error.to_string()]);
        faults.extend(snapshot.broken(Rows::All).unwrap_or_else(|error| Some(error.to_string())));
        for run in snapshot.runs().unwrap_or_default() {
            old.runs.insert(run.run_id.clone(), run);
        }
        old.purses = snapshot.purses().unwrap_or_default();
        old.cards = snapshot.cards().unwrap_or_default();
        old.audit = snapshot.audit().unwrap_or_default();
        old.names = snapshot.names().unwrap_or_default();
        old.commits = snapshot.commits().unwrap_or(0);
        old.is_behind = mark > old.commits;
        if let Some(fault) = faults.first() {
            notes.push(format!("the old ledger is damaged ({fault}): only its limits are taken"));
            return Ok(old);
        }
        if let Some(run_id) = old.contradicted(&snapshot, data_dir)? {
            notes.push(format!(
                "the old ledger has other receipts of run `{run_id}` than its file: it belongs \
                 elsewhere, and nothing of it is taken"
            ));
            old.runs.clear();
            old.purses.clear();
            old.audit.clear();
            old.names.clear();
            return Ok(old);
        }
        if old.is_behind {
            let lost = mark - old.commits;
            notes.push(format!("{lost} commits were acknowledged that the old ledger lacks"));
        }
        old.rows = Some(snapshot);
        Ok(old)
    }

    /// A run whose file and whose rows tell two stories.
    fn contradicted(
        &self,
        snapshot: &Snapshot,
        data_dir: &Path,
    ) -> Result<Option<String>, StoreError> {
        for (run_id, path) in files(data_dir) {
            let Some(run) = self.runs.get(&run_id) else { continue };
            let kept = Kept::of(&path, run.seq);
            let place = run.seq.min(kept.seq);
            if place > 0 && snapshot.line(&run_id, place)? != kept.line {
                return Ok(Some(run_id));
            }
        }
        Ok(None)
    }
}

impl Kept {
    /// Reads a file whole. `place` asks for the line there, or for the last one before it.
    pub(super) fn of(path: &Path, place: u64) -> Self {
        let mut kept = Self::default();
        let mut chain = Chain::default();
        each_line(path, |line| {
            if kept.broken.is_some() {
                if let Some(receipt) = verify::sealed(line) {
                    kept.left = (kept.left.0 + 1, kept.left.1 + receipt.cost_usd);
                }
                return;
            }
            match chain.next(line) {
                Ok(receipt) => {
                    kept.seq = receipt.seq;
                    if receipt.seq <= place {
                        kept.line = Some(line.to_owned());
                    }
                }
                Err(error) => {
                    kept.broken = Some(error.to_string());
                    if let Some(receipt) = verify::sealed(line) {
                        kept.left = (1, receipt.cost_usd);
                    }
                }
            }
        });
        kept
    }
}

/// Hands out the lines of a file whose chain holds, up to `most`.
pub(super) fn chained(
    path: &Path,
    most: u64,
    mut take: impl FnMut(Receipt, &str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let (mut chain, mut done) = (Chain::default(), Ok(()));
    each_line(path, |line| {
        if done.is_ok()
            && chain.seq() < most
            && let Ok(receipt) = chain.next(line)
        {
            done = take(receipt, line);
        }
    });
    done
}

/// Every line of a file, complete or not; bytes that are no text are a line that is no receipt.
fn each_line(path: &Path, mut take: impl FnMut(&str)) {
    let Ok(file) = fs::File::open(path) else { return };
    let (mut file, mut line) = (BufReader::new(file), Vec::new());
    while let Ok(1..) = file.read_until(b'\n', &mut line) {
        let text = line.strip_suffix(b"\n").map(std::str::from_utf8);
        take(text.and_then(Result::ok).unwrap_or_default());
        line.clear();
    }
}

/// Receipt files by the name of their run. Anything else in the directory is left alone.
pub(super) fn files(data_dir: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir(data_dir.join("costs")).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name();
        let run_id: RunId = name.to_str()?.strip_suffix(".jsonl")?.parse().ok()?;
        let meta = entry.metadata().ok().filter(|meta| meta.is_file() && meta.len() > 0);
        meta.map(|_| (run_id.to_string(), entry.path()))
    })
}

/// Every run of a ledger.
pub(super) fn runs_of(ledger: &Path) -> Result<Vec<RunRow>, StoreError> {
    Snapshot::open(ledger)?.runs()
}
