//! A backend in this process: for the demo, and for a first run without one.
//!
//! The only module of the window that knows the backend otherwise than by its wire, and only to
//! start and stop it. What the console then shows comes over the wire like everything else.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::Context;
use tollgate_backend::app::Backend;
use tollgate_backend::config::Config;
use tollgate_backend::telemetry;

use crate::console::{self, ConsoleOptions};

mod demo;
mod swarm;

pub use demo::{DemoArgs, demo};

/// Opens the console; where no backend answers at its address, one is started in this process
/// over `./artifacts`, and the header says `embedded`.
pub async fn open(mut options: ConsoleOptions) -> anyhow::Result<()> {
    let usual = ConsoleOptions::default();
    let elsewhere = (&options.gateway, &options.events) != (&usual.gateway, &usual.events);
    if elsewhere || answers(&options.gateway).await {
        return console::run(options).await;
    }
    let mut config = Config::embedded(PathBuf::from("artifacts"));
    (config.router_port, config.gateway_port, config.events_port) = (6103, 6120, 6102);
    let backend =
        Backend::start(config).await.context("no backend answers, and none could be started")?;
    options.settings.profile = "embedded".into();
    let done = console::run(options).await;
    backend.stop().await;
    done
}

/// Whether something that calls itself a gateway is there.
async fn answers(gateway: &str) -> bool {
    // Installed once; whoever came first chose the same.
    rustls::crypto::ring::default_provider().install_default().ok();
    let health = reqwest::get(format!("{gateway}/health")).await;
    health.is_ok_and(|answer| answer.status().is_success())
}

/// The port, where it is free; else 0, for any other.
fn free_or_any(port: u16) -> u16 {
    if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() { port } else { 0 }
}

/// Logs go to stderr only where no screen stands on it.
fn log_to_stderr() {
    if std::env::var_os("RUST_LOG").is_some() {
        telemetry::start(tollgate_backend::config::LogFormat::Text);
    }
}
