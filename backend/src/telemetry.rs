//! Log lines and metric names: every name that leaves this program for a monitor is in this file.

use std::fmt::Write;
use std::io::IsTerminal;

use tollgate_shared::api::StreamStats;
use tollgate_shared::id::ProviderName;
use tollgate_shared::window::Sums;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts logging to stderr, as `RUST_LOG` filters it. Called twice, the first one stays.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    drop(started);
}

/// What a monitor is told.
#[derive(Debug)]
pub struct Facts {
    /// Sums since start.
    pub sums: Sums,
    /// The event stream.
    pub stream: StreamStats,
    /// Whether the ledger commits.
    pub ledger_up: bool,
    /// Every active provider, and whether traffic flows to it.
    pub providers: Vec<(ProviderName, bool)>,
}

/// Prometheus text. Labels are bounded: providers, never runs or agents.
pub fn prometheus(facts: &Facts) -> String {
    let Facts { sums, stream, ledger_up, providers } = facts;
    let rows: [(&str, &str, &str, String); 11] = [
        ("cost_usd_total", "counter", "Sum of receipts since start.", sums.cost_usd.to_string()),
        (
            "requests_total",
            "counter",
            "Requests that reached a provider.",
            sums.requests.to_string(),
        ),
        ("attempts_total", "counter", "Attempts with a receipt.", sums.attempts.to_string()),
        (
            "answered_total",
            "counter",
            "Requests with a complete answer.",
            sums.answered.to_string(),
        ),
        ("failed_total", "counter", "Attempts without one.", sums.failed.to_string()),
        ("refused_total", "counter", "Requests that got no money.", sums.refused.to_string()),
        ("input_tokens_total", "counter", "Input tokens.", sums.input_tokens.to_string()),
        ("output_tokens_total", "counter", "Output tokens.", sums.output_tokens.to_string()),
        ("stream_subscribers", "gauge", "Consoles on the stream.", stream.subscribers.to_string()),
        (
            "stream_lagged_total",
            "counter",
            "Consoles that were too slow.",
            stream.lagged_total.to_string(),
        ),
        ("ledger_up", "gauge", "1 while the ledger commits.", u8::from(*ledger_up).to_string()),
    ];
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (name, kind, help, value) in rows {
        head(&mut text, name, kind, help);
        writeln!(text, "tollgate_{name} {value}").ok();
    }
    let name = "provider_circuit_closed";
    head(&mut text, name, "gauge", "1 while traffic flows to the provider.");
    for (provider, closed) in providers {
        // A provider's name has no character that a label must escape.
        writeln!(text, "tollgate_{name}{{provider=\"{provider}\"}} {}", u8::from(*closed)).ok();
    }
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    write!(text, "# HELP tollgate_{name} {help}\n# TYPE tollgate_{name} {kind}\n").ok();
}
