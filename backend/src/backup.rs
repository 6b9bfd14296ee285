//! Copies of the ledger: taken beside a running backend, and put back on a person's word.
//!
//! A copy is one moment of the ledger, written whole, synced, proved, and only then given its name:
//! whatever has the name is a good copy. Putting one back loses what was committed after it;
//! receipt files give back what they know, and whoever restores says aloud how much is lost.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::clock;
use crate::rebuild::{self, Rebuilt};
use crate::recovery::{self, ledger_path};
use crate::store::{Snapshot, copy_into};
use crate::verify::{Beside, Report, verify};

/// A copy that is not what it must be.
#[derive(Debug, thiserror::Error)]
#[error("the copy does not prove itself ({0}); it was not given its name")]
pub struct BadCopy(pub String);

/// Writes a copy of a data directory's ledger to `to`, which must not exist.
pub fn backup(data_dir: &Path, to: &Path) -> anyhow::Result<Report> {
    ensure!(!to.exists(), "`{}` exists already", to.display());
    let name = to.file_name().with_context(|| format!("`{}` is no file name", to.display()))?;
    let dir = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let partial =
        dir.join(format!(".{}.partial-{}", name.to_string_lossy(), clock::now().micros()));
    let written = write(data_dir, &partial);
    if written.is_err() {
        // What is half done has no name that anybody would trust.
        fs::remove_file(&partial).ok();
    }
    let report = written?;
    fs::rename(&partial, to).with_context(|| format!("failed to name `{}`", to.display()))?;
    rebuild::sync_dir(&dir)?;
    Ok(report)
}

/// Puts a copy in the place of a data directory's ledger and completes it from receipt files. The
/// caller holds the lock. `lose` is how many commits the person says may be lost.
pub fn restore(data_dir: &Path, from: &Path, lose: u64) -> anyhow::Result<Rebuilt> {
    let path = ledger_path(data_dir);
    let log = path.with_extension("db-wal");
    ensure!(
        fs::metadata(&log).map_or(true, |meta| meta.len() == 0),
        "`{}` is left from a ledger that was not closed: move it aside together with its ledger, \
         or start and stop that once",
        log.display()
    );
    let report = verify(from, None, Beside::Nobody)?;
    if let Some(finding) = report.findings.first() {
        return Err(BadCopy(finding.to_string()).into());
    }
    let copied = Snapshot::open(from)?.commits()?;
    let current = Snapshot::open(&path).and_then(|now| now.commits()).unwrap_or(0);
    let lost = current.max(recovery::mark(data_dir).unwrap_or(0)).saturating_sub(copied);
    if lost != lose {
        bail!(
            "the copy ends at commit {copied}, and {lost} were made after it: their holds and \
             changes are lost, and their receipts come back as far as files have them; say \
             `--lose {lost}` to go on"
        );
    }
    // Without a ledger and a mark of it nobody can say what was made after the copy.
    let is_blind = !path.exists() && recovery::mark(data_dir).is_none();
    let fresh = path.with_extension("db.restored");
    fs::copy(from, &fresh).context("failed to copy")?;
    File::open(&fresh)?.sync_all()?;
    rebuild::replace(data_dir, &path, &fresh)?;
    rebuild::ledger(data_dir, is_blind)
}

/// Copies, syncs and proves.
fn write(data_dir: &Path, partial: &Path) -> anyhow::Result<Report> {
    copy_into(&ledger_path(data_dir), partial).context("failed to copy the ledger")?;
    fs::set_permissions(partial, Permissions::from_mode(0o600))?;
    // SQLite does not sync what it writes this way.
    File::open(partial)?.sync_all().context("failed to sync the copy")?;
    let report = verify(partial, None, Beside::Nobody)?;
    match report.findings.first() {
        None => Ok(report),
        Some(finding) => Err(BadCopy(finding.to_string()).into()),
    }
}
