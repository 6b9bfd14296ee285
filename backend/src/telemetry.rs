//! Log lines and metric names: every name that leaves this program for a monitor is in this file.

use std::fmt::Write;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::api::Rooms;
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

/// Prometheus text. Labels are bounded: providers, never runs or agents.
pub fn prometheus(rooms: &Rooms) -> String {
    let sums = rooms.views.lifetime();
    let stream = rooms.hub.stats();
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, value: String| {
        // Writing to a string cannot fail.
        write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n").ok();
    };
    metric(
        "tollgate_cost_usd_total",
        "counter",
        "Sum of receipts since start.",
        sums.cost_usd.to_string(),
    );
    metric(
        "tollgate_requests_total",
        "counter",
        "Requests that reached a provider.",
        sums.requests.to_string(),
    );
    metric(
        "tollgate_attempts_total",
        "counter",
        "Attempts with a receipt.",
        sums.attempts.to_string(),
    );
    metric(
        "tollgate_answered_total",
        "counter",
        "Requests with a complete answer.",
        sums.answered.to_string(),
    );
    metric("tollgate_failed_total", "counter", "Attempts without one.", sums.failed.to_string());
    metric(
        "tollgate_refused_total",
        "counter",
        "Requests refused for want of money.",
        sums.refused.to_string(),
    );
    metric(
        "tollgate_input_tokens_total",
        "counter",
        "Input tokens.",
        sums.input_tokens.to_string(),
    );
    metric(
        "tollgate_output_tokens_total",
        "counter",
        "Output tokens.",
        sums.output_tokens.to_string(),
    );
    metric(
        "tollgate_stream_subscribers",
        "gauge",
        "Consoles on the event stream.",
        stream.subscribers.to_string(),
    );
    metric(
        "tollgate_stream_lagged_total",
        "counter",
        "Consoles that were too slow.",
        stream.lagged_total.to_string(),
    );
    let healthy = u8::from(rooms.gateway.ledger.is_alive());
    metric("tollgate_ledger_up", "gauge", "1 while the ledger commits.", healthy.to_string());
    providers(&mut text, rooms);
    text
}

fn providers(text: &mut String, rooms: &Rooms) {
    use tollgate_shared::circuit::CircuitState;
    let name = "tollgate_provider_circuit_closed";
    write!(text, "# HELP {name} 1 while traffic flows to the provider.\n# TYPE {name} gauge\n")
        .ok();
    for entry in rooms.gateway.registry.snapshot().active() {
        let closed = u8::from(entry.live.circuit().state == CircuitState::Closed);
        // A provider's name has no character that a label must escape.
        writeln!(text, "{name}{{provider=\"{}\"}} {closed}", entry.registration.name).ok();
    }
}
