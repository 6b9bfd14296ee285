//! `tollgated serve`: load, build, serve, drain.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::Backend;
use crate::config::{Config, Durability, ServeArgs};
use crate::telemetry;

/// Serves until SIGTERM, SIGINT or the death of the ledger.
pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let config = Config::resolve(args)?;
    telemetry::start(config.log);
    if config.durability == Durability::Process {
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
