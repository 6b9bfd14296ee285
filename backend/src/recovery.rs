//! What is looked at before a ledger is opened for writing: is it the one that was acknowledged?
//!
//! SQLite silently drops a write-ahead log from its first bad frame on, and an old copy opens like
//! a new one. So a start compares the ledger with what follows it: receipt files, which are never
//! ahead of it, and the high-water mark. Whatever is missing was acknowledged to somebody, and
//! the start is refused before anything is written. Refuses to repair: that is `rebuild`, on a
//! person's word.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tollgate_shared::id::RunId;

use crate::store::{Rows, Snapshot, StoreError};
use crate::verify;

/// Why a start is refused.
#[derive(Debug, thiserror::Error)]
#[error(
    "{loss}; nothing was touched: `tollgated rebuild --from-receipts --data-dir {}` takes back \
     what receipts still show", data_dir.display()
)]
pub struct LossError {
    /// What is missing.
    pub loss: Loss,
    /// Where.
    pub data_dir: PathBuf,
}

/// What of a ledger is missing, or not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// There are receipts, or a mark, and no ledger.
    #[error("there is no ledger, and {0} show that there was one")]
    Ledger(&'static str),
    /// A receipt file goes on where the ledger ends.
    #[error("receipt {found} of run `{run_id}` is in its file, and the ledger ends at {known}")]
    Receipts {
        /// Whose.
        run_id: RunId,
        /// The last one in the file.
        found: u64,
        /// The last one in the ledger.
        known: u64,
    },
    /// A whole run is missing.
    #[error("there are receipts of run `{0}`, which the ledger does not know")]
    Run(RunId),
    /// A receipt file and the ledger tell two stories.
    #[error(
        "receipt {seq} of run `{run_id}` is another one in the ledger: the ledger, or its `-wal`, \
         belongs elsewhere"
    )]
    Other {
        /// Whose.
        run_id: RunId,
        /// Which.
        seq: u64,
    },
    /// It has fewer commits than were acknowledged.
    #[error("the ledger has {commits} commits, and {mark} were acknowledged")]
    Commits {
        /// What the high-water mark says.
        mark: u64,
        /// What the ledger says.
        commits: u64,
    },
    /// Its pages are damaged.
    #[error("the ledger is damaged ({0})")]
    Damage(String),
    /// An account does not say what its attempts say.
    #[error("{0}")]
    Account(String),
}

/// Where a data directory's ledger lies.
pub fn ledger_path(data_dir: &Path) -> PathBuf {
    data_dir.join("gateway/ledger.db")
}

/// Where its high-water mark lies.
pub fn mark_path(data_dir: &Path) -> PathBuf {
    data_dir.join("gateway/mark")
}

/// Compares a ledger with what followed it. Reads the last part of each receipt file.
pub fn look(data_dir: &Path) -> anyhow::Result<()> {
    let lost = |loss| LossError { loss, data_dir: data_dir.to_owned() };
    match find(data_dir) {
        Ok(None) => Ok(()),
        Ok(Some(loss)) => Err(lost(loss).into()),
        Err(error) if error.is_damage() => Err(lost(Loss::Damage(error.to_string())).into()),
        Err(error) => Err(anyhow::Error::from(error).context("failed to read the ledger")),
    }
}

/// The first loss that shows.
fn find(data_dir: &Path) -> Result<Option<Loss>, StoreError> {
    let path = ledger_path(data_dir);
    let mark = mark(data_dir);
    if fs::metadata(&path).is_err() {
        let receipts = tails(data_dir).next().is_some();
        let evidence = match (receipts, mark) {
            (true, _) => Some("receipts in `costs/`"),
            (false, Some(1..)) => Some("its high-water mark"),
            _ => has_bytes(&path.with_extension("db-wal")).then_some("its write-ahead log"),
        };
        return Ok(evidence.map(Loss::Ledger));
    }
    if !is_writable_form(&path) {
        return Ok(Some(Loss::Damage("its header is not one of ours".into())));
    }
    let snapshot = Snapshot::open(&path)?;
    let is_small = snapshot.bytes()? <= CHECKED_BYTES_MAX;
    if let Some(fault) = fault(&snapshot, is_small)? {
        return Ok(Some(Loss::Damage(fault)));
    }
    let commits = snapshot.commits()?;
    if let Some(mark) = mark.filter(|mark| *mark > commits) {
        return Ok(Some(Loss::Commits { mark, commits }));
    }
    if let Some(loss) = receipts_beyond(&snapshot, data_dir)? {
        return Ok(Some(loss));
    }
    // Not those that count a day: a clock that jumped can move money between days, and that is no
    // reason to refuse a start.
    let difference = verify::accounts(&snapshot)?.into_iter().next();
    if let Some(difference) = difference {
        return Ok(Some(Loss::Account(difference.to_string())));
    }
    let rows = if is_small { Rows::All } else { Rows::Open };
    Ok(snapshot.broken(rows)?.map(Loss::Damage))
}

/// What is wrong with its pages. Indexes are compared as well, for receipts are found by one.
fn fault(snapshot: &Snapshot, is_small: bool) -> Result<Option<String>, StoreError> {
    if snapshot.version() == 0 {
        let is_strange = !snapshot.is_empty()?;
        return Ok(is_strange.then(|| "it has tables and no version".into()));
    }
    if !is_small {
        return Ok(None);
    }
    Ok(snapshot.faults(true)?.into_iter().next())
}

/// Whether the file's header lets us write as well as read: SQLite reads what it may not write, and
/// would say so only at the first commit. Nobody else in this process has it open yet.
fn is_writable_form(path: &Path) -> bool {
    let mut header = [0; 20];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut header, 0));
    // One that is shorter was never written to.
    read.is_err() || header[18] == header[19]
}

/// Receipts in files that the ledger does not have.
fn receipts_beyond(snapshot: &Snapshot, data_dir: &Path) -> Result<Option<Loss>, StoreError> {
    if snapshot.version() == 0 {
        return Ok(tails(data_dir).next().map(|tail| Loss::Run(tail.run_id)));
    }
    let runs = snapshot.runs()?;
    for Tail { run_id, seq: found, line } in tails(data_dir) {
        let at = runs.binary_search_by(|run| run.run_id.as_str().cmp(run_id.as_str()));
        let Some(run) = at.ok().and_then(|at| runs.get(at)) else {
            return Ok(Some(Loss::Run(run_id)));
        };
        if found > run.seq {
            return Ok(Some(Loss::Receipts { run_id, found, known: run.seq }));
        }
        if snapshot.line(run_id.as_str(), found)?.is_none_or(|known| known != line) {
            return Ok(Some(Loss::Other { run_id, seq: found }));
        }
    }
    Ok(None)
}

/// The last receipt that a file certainly has.
struct Tail {
    run_id: RunId,
    seq: u64,
    line: String,
}

/// The tail of every receipt file that has one.
fn tails(data_dir: &Path) -> impl Iterator<Item = Tail> {
    let entries = fs::read_dir(data_dir.join("costs")).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name();
        let run_id: RunId = name.to_str()?.strip_suffix(".jsonl")?.parse().ok()?;
        // A link or a pipe in its place is no evidence, and must not be followed.
        let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        tail(&entry.path(), meta.len(), run_id)
    })
}

/// The last line in a file's last part whose own hash is right: a torn, zeroed or edited line is
/// no evidence, and is put right from the ledger later.
fn tail(path: &Path, length: u64, run_id: RunId) -> Option<Tail> {
    let start = length.saturating_sub(TAIL_BYTES);
    let mut bytes = vec![0; usize::try_from(length - start).ok()?];
    File::open(path).ok()?.read_exact_at(&mut bytes, start).ok()?;
    let complete = bytes.iter().rposition(|byte| *byte == b'\n')?;
    bytes.truncate(complete);
    bytes.rsplit(|byte| *byte == b'\n').find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let receipt = verify::sealed(line).filter(|receipt| receipt.run_id == run_id)?;
        Some(Tail { run_id: run_id.clone(), seq: receipt.seq, line: line.to_owned() })
    })
}

/// What the high-water mark says. It is never synced, so after a power cut it may be absent,
/// empty or full of zeros: that is no evidence of anything.
pub fn mark(data_dir: &Path) -> Option<u64> {
    let text = match fs::read(mark_path(data_dir)) {
        Ok(bytes) => String::from_utf8(bytes).ok()?,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, "the ledger's high-water mark cannot be read");
            return None;
        }
    };
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0').parse().ok()
}

fn has_bytes(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
}

/// Bytes of each receipt file that are read: dozens of receipts.
const TAIL_BYTES: u64 = 64 * 1024;

/// A ledger up to this size has all its pages checked at each start, which takes well under a
/// second; a larger one is checked by `verify`.
const CHECKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_a_power_cut_spoilt_is_no_evidence() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(mark(dir.path()), None);
        fs::create_dir(dir.path().join("gateway")).unwrap();
        for (bytes, read) in [
            (&b""[..], None),
            (b"\0\0\0\0", None),
            (b"17\n", Some(17)),
            (b"17\n\0\0", Some(17)),
            (b"\xff\xfe", None),
            (b"1x\n", None),
        ] {
            fs::write(mark_path(dir.path()), bytes).unwrap();
            assert_eq!(mark(dir.path()), read, "{bytes:?}");
        }
    }
}
