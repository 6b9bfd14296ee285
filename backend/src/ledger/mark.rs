//! The high-water mark: how far the ledger had come, beside the ledger.
//!
//! SQLite drops a log from its first bad frame on and says nothing. A small file that is written
//! after each commit, and never synced, remembers how many there were: a ledger that knows fewer
//! at start has lost some. A mark that is behind, absent or empty says nothing.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// The open file.
#[derive(Debug)]
pub(super) struct Mark {
    file: Option<File>,
}

impl Mark {
    pub(super) fn open(dir: &Path) -> Self {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join("mark"));
        if let Err(error) = &file {
            tracing::warn!(%error, "no high-water mark is kept");
        }
        Self { file: file.ok() }
    }

    /// So many groups are committed. Digits of one width, so that none is left of a longer number.
    pub(super) fn write(&self, commits: u64) {
        if let Some(file) = &self.file {
            // A mark that cannot be written stays behind, where it says nothing.
            file.write_all_at(format!("{commits:020}\n").as_bytes(), 0).ok();
        }
    }
}
