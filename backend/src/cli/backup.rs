//! `tollgated backup` and `tollgated restore`: a copy of the ledger, and back.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::{rebuild, verify};
use crate::{app, backup};

/// Flags of `tollgated backup`.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Where the ledger lives; a backend may run there.
    #[arg(long, env = "TOLLGATE_DATA_DIR", value_name = "DIR", default_value = "artifacts")]
    pub data_dir: PathBuf,
    /// The copy; there must be no such file yet.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

/// Flags of `tollgated restore`.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Where the ledger lives; no backend may run there.
    #[arg(long, env = "TOLLGATE_DATA_DIR", value_name = "DIR", default_value = "artifacts")]
    pub data_dir: PathBuf,
    /// The copy.
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// How many commits made after the copy may be lost: without it you are told how many.
    #[arg(long, value_name = "COMMITS", default_value_t = 0)]
    pub lose: u64,
}

/// Copies and says what the copy holds.
pub(super) fn run(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let report = backup::backup(&args.data_dir, &args.to)?;
    verify::print(&report);
    println!("backup {}", args.to.display());
    Ok(ExitCode::SUCCESS)
}

/// Puts a copy back, says what was lost or taken back, and verifies what came of it.
pub(super) fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let _lock = app::open_data_dir(&args.data_dir)?;
    let rebuilt = backup::restore(&args.data_dir, &args.from, args.lose)?;
    rebuild::print(&rebuilt);
    rebuild::proved(&args.data_dir)
}
