//! The console as a program of this package, with ways to fail that no user has.
//!
//! Where `TOLLGATE_TEST_FAULT` is set, SIGUSR2 brings it about: `main` panics in the thread that
//! draws, `task` in a thread that does not, `error` ends the console with an error. The product
//! itself has no such way in. Without it this is the program as it is.

use std::process::ExitCode;

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};
use tollgate_tui::console::{self, ConsoleOptions};

fn main() -> anyhow::Result<ExitCode> {
    match std::env::var("TOLLGATE_TEST_FAULT") {
        Ok(fault) => fail(fault),
        Err(_) => Ok(tollgate_tui::cli::main()),
    }
}

/// The console, until the fault is asked for.
#[tokio::main]
async fn fail(fault: String) -> anyhow::Result<ExitCode> {
    let usual = ConsoleOptions::default();
    let events = std::env::var("TOLLGATE_EVENTS").unwrap_or(usual.events);
    let options = ConsoleOptions { events, ..ConsoleOptions::default() };
    let mut asked = signal(SignalKind::user_defined2())?;
    let failing = async move {
        asked.recv().await;
        match fault.as_str() {
            "main" => panic!("a panic in main, as asked"),
            "task" => {
                tokio::spawn(async { panic!("a panic in a task, as asked") });
                std::future::pending().await
            }
            _ => bail!("an error, as asked"),
        }
    };
    tokio::select! {
        done = console::run(options) => done.map(|()| ExitCode::SUCCESS),
        failed = failing => failed,
    }
}
