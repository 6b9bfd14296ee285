//! `tollgated rebuild`: what follows from the ledger is written anew, or the ledger from it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::app;
use crate::cli::verify::print as verify_print;
use crate::rebuild::{self, Files, Rebuilt};
use crate::recovery::{self, ledger_path};
use crate::verify::{Beside, verify};

/// Flags of `tollgated rebuild`.
#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// Where ledger and receipts live; no backend may run there.
    #[arg(long, env = "TOLLGATE_DATA_DIR", value_name = "DIR", default_value = "artifacts")]
    pub data_dir: PathBuf,
    /// Make the ledger from the receipt files, for one that is gone, damaged or behind. The old
    /// one is kept in `quarantine/`; runs that lost something are frozen.
    #[arg(long)]
    pub from_receipts: bool,
}

/// Rebuilds, says what was lost or taken back, and verifies what came of it.
pub(super) fn run(args: &RebuildArgs) -> anyhow::Result<ExitCode> {
    if !args.data_dir.is_dir() {
        bail!("there is no data directory `{}`", args.data_dir.display());
    }
    let _lock = app::open_data_dir(&args.data_dir)?;
    if args.from_receipts {
        print(&rebuild::ledger(&args.data_dir, false)?);
    } else {
        recovery::look(&args.data_dir)?;
        let Files { runs, bytes, set_aside } = rebuild::files(&args.data_dir)?;
        println!("rebuilt: files={runs} bytes={bytes} files_set_aside={set_aside}");
    }
    proved(&args.data_dir)
}

/// A line for each thing that a person should know, and one that sums up.
pub(super) fn print(rebuilt: &Rebuilt) {
    for note in &rebuilt.notes {
        println!("note {note}");
    }
    for run_id in &rebuilt.frozen {
        println!("frozen {run_id}");
    }
    if let Some(kept) = &rebuilt.kept_in {
        println!("kept {}", kept.display());
    }
    println!(
        "rebuilt: runs={} receipts={} frozen={} files_set_aside={}",
        rebuilt.runs,
        rebuilt.receipts,
        rebuilt.frozen.len(),
        rebuilt.files.set_aside
    );
}

/// Verifies what came of it: 0, or 3.
pub(super) fn proved(data_dir: &Path) -> anyhow::Result<ExitCode> {
    let report = verify(&ledger_path(data_dir), Some(&data_dir.join("costs")), Beside::Nobody)?;
    verify_print(&report);
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
