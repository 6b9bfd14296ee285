//! The WAL cut within frames that were acknowledged: money is gone, and it must be said.
//!
//! SQLite silently drops a WAL from its first bad frame on, so only the high-water mark and the
//! receipt files can tell. The backend must refuse to start with exit code 3 and touch nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::spread;
use super::wal::{self, MARK};
use crate::lab::{Options, Report};

/// The fault.
#[derive(Debug)]
pub struct Loss {
    options: Options,
}

impl Loss {
    /// With these options.
    pub const fn new(options: Options) -> Self {
        Self { options }
    }

    /// Brings it about, at offsets spread over everything that was acknowledged.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let mut report = Report::default();
        let left = wal::leave(&self.options.program).await?;
        if !left.template.join(MARK).is_file() {
            report.skip("loss: this backend keeps no high-water mark".into());
            return Ok(report);
        }
        for (number, offset) in (1..).zip(spread(0, left.acknowledged, self.options.cycles)) {
            left.lay_out(offset, 0)?;
            let before = everything(&left.scene.data_dir)?;
            let mut child = left.scene.command()?.stdout(Stdio::null()).spawn()?;
            let ended = tokio::task::spawn_blocking(move || {
                let status = wait_a_little(&mut child);
                child.kill().ok();
                child.wait().map(|_| status)
            });
            let code = ended.await??;
            report.checks += 2;
            if code != Some(3) {
                let what = format!("WAL cut at {offset} of {}: exit {code:?}", left.acknowledged);
                report.breach("O8", what);
            }
            let after = everything(&left.scene.data_dir)?;
            for path in changed(&before, &after) {
                report
                    .breach("O8", format!("WAL cut at {offset}: it touched `{}`", path.display()));
            }
            report.cycles += 1;
            report.count("offsets in acknowledged WAL frames", 1);
            self.options.tell_progress(number, &report);
        }
        Ok(report)
    }
}

/// The exit code, unless it runs for longer than any refusal takes: then it has started.
fn wait_a_little(child: &mut std::process::Child) -> Option<i32> {
    for _ in 0..REFUSAL_MAX_MS / 5 {
        if let Ok(Some(status)) = child.try_wait() {
            return status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    None
}

/// Every file that holds money, whole.
fn everything(data_dir: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for room in ["gateway", "costs"] {
        for entry in std::fs::read_dir(data_dir.join(room))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // The lock is taken, and shared memory is made by any reader.
            if path.is_file() && name != "lock" && !name.ends_with("-shm") {
                let bytes = std::fs::read(&path)?;
                files.insert(path, bytes);
            }
        }
    }
    Ok(files)
}

fn changed(
    before: &BTreeMap<PathBuf, Vec<u8>>,
    after: &BTreeMap<PathBuf, Vec<u8>>,
) -> Vec<PathBuf> {
    let all = before.keys().chain(after.keys().filter(|path| !before.contains_key(*path)));
    all.filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}

/// A start that goes on for longer than this was no refusal.
const REFUSAL_MAX_MS: u64 = 3_000;
