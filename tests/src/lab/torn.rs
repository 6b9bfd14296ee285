//! What a crash or a power cut leaves of a file that was being written: torn at every byte.
//!
//! | part | what is done | what must come of it |
//! |---|---|---|
//! | [`lines`] | receipt files cut, altered, filled with zeros or with rubbish, at every byte of their last lines | the file equals the ledger again, bytes it did not know are in quarantine |
//! | [`wal`] | the ledger's WAL cut at every byte of frames that nobody was answered about | it starts, and nothing acknowledged is lost |
//! | [`loss`] | the WAL cut within acknowledged frames | it refuses to start with exit code 3, and touches nothing |
//!
//! A cycle is one start of the backend; offsets are counted apart, because one start judges many
//! files.

use std::path::Path;

use anyhow::Context;

use crate::lab::{Options, Report};

pub mod lines;
pub mod loss;
pub mod wal;

/// The fault: receipt files and WAL, half of the cycles each.
#[derive(Debug)]
pub struct Torn {
    options: Options,
}

impl Torn {
    /// With these options.
    pub const fn new(options: Options) -> Self {
        Self { options }
    }

    /// Brings it about: at every offset, or at as many as there are cycles for, evenly spread.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let mut report = Report::default();
        lines::run(&self.options, &mut report).await?;
        wal::run(&self.options, &mut report).await?;
        Ok(report)
    }
}

/// Copies a directory of plain files and directories.
pub(super) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// At most `most` of the numbers from `start` to below `end`, evenly spread, the last among them.
pub(in crate::lab) fn spread(start: u64, end: u64, most: u64) -> Vec<u64> {
    let count = end.saturating_sub(start);
    let most = most.clamp(1, count.max(1));
    let place = |number: u64| start + (number + 1) * count / most - 1;
    if count == 0 { Vec::new() } else { (0..most).map(place).collect() }
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn offsets_are_all_or_evenly_spread() {
        assert_eq!(spread(3, 6, 100), [3, 4, 5]);
        assert_eq!(spread(0, 100, 4), [24, 49, 74, 99]);
        assert!(spread(5, 5, 4).is_empty());
    }
}
