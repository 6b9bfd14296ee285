//! `tollgated check`: the configuration, as `serve` would take it.

use std::process::ExitCode;

use crate::config::{Config, ServeArgs};

/// Prints every setting under the name it has in `tollgate.toml`, or says what is wrong and answers
/// 2. Opens no port and no file but the configuration's.
pub(super) fn run(args: ServeArgs) -> ExitCode {
    let config = match Config::resolve(args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("tollgated: {error:#}");
            return ExitCode::from(2);
        }
    };
    print!("{}", shown(&config));
    if !config.bind.is_loopback() {
        eprintln!(
            "tollgated: `bind` is `{}`, which is open to others, and no keys are configured; bind \
             to loopback",
            config.bind
        );
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}

/// The settings as `tollgate.toml` would have them: it can be read back.
fn shown(config: &Config) -> String {
    let text = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    let quoted = |value: String| format!("{value:?}");
    let mut rows = vec![
        ("data_dir", quoted(config.data_dir.display().to_string())),
        ("bind", quoted(config.bind.to_string())),
        ("router_port", config.router_port.to_string()),
        ("gateway_port", config.gateway_port.to_string()),
        ("events_port", config.events_port.to_string()),
        ("log", quoted(text(&config.log))),
        ("durability", quoted(config.durability.as_str().into())),
        ("unbudgeted", quoted(text(&config.unbudgeted))),
        ("contention_wait_ms", config.contention_wait.as_millis().to_string()),
        ("pause_wait_ms", config.pause_wait.as_millis().to_string()),
        ("unknown_ttl_h", (config.unknown_ttl.as_secs() / 3_600).to_string()),
        ("storage_low_water_mib", (config.reserve.low_water >> 20).to_string()),
        ("ballast_mib", (config.reserve.ballast >> 20).to_string()),
        ("deadline_s", config.deadline.as_secs().to_string()),
        ("read_only", config.read_only.to_string()),
    ];
    if let Some(limit) = config.default_budget {
        rows.push(("default_budget_usd", quoted(limit.to_string())));
    }
    rows.into_iter().map(|(name, value)| format!("{name} = {value}\n")).collect()
}
