//! The command line of `tollgated`: one file for each verb.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::InUse;
use crate::backup::BadCopy;
use crate::config::ServeArgs;
use crate::recovery::LossError;
use crate::simulate;
use crate::store::StoreError;

mod backup;
mod check;
mod rebuild;
mod resolve;
mod serve;
mod verify;

#[derive(Debug, Parser)]
#[command(
    name = "tollgated",
    version,
    about = "The gateway that meters what agents spend on models"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve router, gateway and event stream.
    Serve(Box<ServeArgs>),
    /// Print the configuration as `serve` would take it; touches nothing.
    Check(Box<ServeArgs>),
    /// Prove rows, accounts, receipts and files of a ledger against each other; changes nothing.
    Verify(verify::VerifyArgs),
    /// Write receipt files anew from the ledger, or with --from-receipts the ledger from them.
    Rebuild(rebuild::RebuildArgs),
    /// Copy the ledger, beside a running backend, and prove the copy.
    Backup(backup::BackupArgs),
    /// Put a copy back, and complete it from receipt files.
    Restore(backup::RestoreArgs),
    /// Say what an attempt with an unknown outcome has cost.
    Resolve(resolve::ResolveArgs),
    /// Serve a simulated provider that keeps its own bill.
    Simulate(simulate::SimulateArgs),
}

/// Runs the command line. Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, 3 the
/// ledger cannot be believed, 4 the data directory is in use, 5 the ledger is newer than this
/// program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&anyhow::Error::from(error)),
    };
    let done = match cli.command {
        Command::Serve(args) => runtime.block_on(serve::run(*args)).map(|()| ExitCode::SUCCESS),
        Command::Simulate(args) => {
            runtime.block_on(simulate::run(args)).map(|()| ExitCode::SUCCESS)
        }
        Command::Check(args) => Ok(check::run(*args)),
        Command::Verify(args) => verify::run(&args),
        Command::Rebuild(args) => rebuild::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Resolve(args) => runtime.block_on(resolve::run(args)),
    };
    done.unwrap_or_else(|error| complain(&error))
}

fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("tollgated: {error:#}");
    let store = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>());
    match store {
        _ if error.is::<InUse>() => ExitCode::from(4),
        _ if error.is::<LossError>() || error.is::<BadCopy>() => ExitCode::from(3),
        Some(StoreError::Newer { .. }) => ExitCode::from(5),
        Some(error) if error.is_damage() => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}
