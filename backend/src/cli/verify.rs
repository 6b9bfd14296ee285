//! `tollgated verify`: is every amount where it must be?

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::app;
use crate::recovery::ledger_path;
use crate::verify::{Beside, Report, verify};

/// Flags of `tollgated verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Where ledger and receipts live.
    #[arg(long, env = "TOLLGATE_DATA_DIR", value_name = "DIR", default_value = "artifacts")]
    pub data_dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Answers 0 where everything agrees and 3 where something does not.
pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let ledger = ledger_path(&args.data_dir);
    if !ledger.exists() {
        bail!("there is no ledger at `{}`", ledger.display());
    }
    let costs = args.data_dir.join("costs");
    let beside = if app::is_in_use(&args.data_dir) { Beside::Backend } else { Beside::Nobody };
    let report = verify(&ledger, Some(&costs), beside)?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// One line for each finding and warning, and one that sums up.
pub(super) fn print(report: &Report) {
    for finding in &report.findings {
        println!("finding {finding}");
    }
    for warning in &report.warnings {
        println!("warning {warning}");
    }
    println!(
        "{}: version={} runs={} attempts={} receipts={} repriced={} spent_usd={} unknown_usd={} \
         pending_usd={} findings={} warnings={} unlisted={}",
        if report.is_clean() { "clean" } else { "NOT CLEAN" },
        report.version,
        report.runs,
        report.attempts,
        report.receipts,
        report.repriced,
        report.spent_usd,
        report.unknown_usd,
        report.pending_usd,
        report.findings.len(),
        report.warnings.len(),
        report.unlisted,
    );
}
