//! The command line of `tollgated`: parse, load, build, serve, drain.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{Backend, InUse};
use crate::config::{Config, ServeArgs};
use crate::store::StoreError;
use crate::{simulate, telemetry};

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
    /// Serve a simulated provider that keeps its own bill.
    Simulate(simulate::SimulateArgs),
}

/// Runs the command line. Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 the ledger cannot be
/// believed, 4 the data directory is in use, 5 the ledger is newer than this program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&anyhow::Error::from(error)),
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve(*args).await,
            Command::Simulate(args) => simulate::run(args).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

/// Serves until SIGTERM, SIGINT or the death of the ledger.
async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let config = Config::resolve(args)?;
    telemetry::start(config.log);
    if config.durability == crate::config::Durability::Process {
        tracing::warn!(
            "durability is `process`: a power cut takes receipts that were acknowledged"
        );
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut backend = Backend::start(config).await?;
    println!(
        "ready router={} gateway={} events={}",
        backend.router, backend.gateway, backend.events
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = backend.ledger_died() => {
            backend.stop().await;
            return Err(anyhow::anyhow!("see the log")).context("the ledger stopped");
        }
    }
    tracing::info!("stopping: what is in flight may finish");
    backend.stop().await;
    Ok(())
}

fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("tollgated: {error:#}");
    let store = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>());
    match store {
        _ if error.is::<InUse>() => ExitCode::from(4),
        Some(StoreError::Newer { .. }) => ExitCode::from(5),
        Some(StoreError::Corrupt(_)) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}
