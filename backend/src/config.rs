//! Flags, environment and file, resolved once into one plain value.
//!
//! A flag wins over its environment variable, that over the file, that over the default. Nothing
//! below the doors reads the environment or a global; they are given this.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use tollgate_shared::money::Usd;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// What an acknowledged receipt survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// A power cut: every commit is synced.
    #[default]
    Power,
    /// The death of the process; a power cut takes what came since the last checkpoint.
    Process,
}

impl Durability {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Process => "process",
        }
    }
}

/// What happens to a run that nobody gave a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Unbudgeted {
    /// It is admitted and accounted; with a default budget, under that.
    #[default]
    Admit,
    /// Its requests are refused.
    Refuse,
}

/// How much room is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// Below so many free bytes no new money is given; 0 never looks.
    pub low_water: u64,
    /// Bytes of the ballast file; 0 for none.
    pub ballast: u64,
}

impl Reserve {
    /// Nothing is reserved: for backends that live as long as a test.
    pub const NONE: Self = Self { low_water: 0, ballast: 0 };
}

/// Flags of `tollgated serve`. Each has an environment variable and a key of the same name in
/// `tollgate.toml`.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// Configuration file; without one, `tollgate.toml` is read where it exists.
    #[arg(long, env = "TOLLGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where ledger, registry and receipts live [default: ./artifacts].
    #[arg(long, env = "TOLLGATE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1].
    #[arg(long, env = "TOLLGATE_BIND", value_name = "ADDRESS")]
    pub bind: Option<IpAddr>,
    /// Port of the provider router, 0 picks one [default: 6103].
    #[arg(long, env = "TOLLGATE_ROUTER_PORT", value_name = "PORT")]
    pub router_port: Option<u16>,
    /// Port of the gateway, 0 picks one [default: 6120].
    #[arg(long, env = "TOLLGATE_GATEWAY_PORT", value_name = "PORT")]
    pub gateway_port: Option<u16>,
    /// Port of the event stream, 0 picks one [default: 6102].
    #[arg(long, env = "TOLLGATE_EVENTS_PORT", value_name = "PORT")]
    pub events_port: Option<u16>,
    /// How log lines look [default: text].
    #[arg(long, env = "TOLLGATE_LOG", value_enum)]
    pub log: Option<LogFormat>,
    /// What an acknowledged receipt survives [default: power].
    #[arg(long, env = "TOLLGATE_DURABILITY", value_enum)]
    pub durability: Option<Durability>,
    /// Limit of runs that nobody gave a budget, in USD [default: none].
    #[arg(long, env = "TOLLGATE_DEFAULT_BUDGET_USD", value_name = "USD")]
    pub default_budget_usd: Option<String>,
    /// Whether runs without a budget are admitted [default: admit].
    #[arg(long, env = "TOLLGATE_UNBUDGETED", value_enum)]
    pub unbudgeted: Option<Unbudgeted>,
    /// How long a request waits for money that others hold, in milliseconds [default: 5000].
    #[arg(long, env = "TOLLGATE_CONTENTION_WAIT_MS", value_name = "MS")]
    pub contention_wait_ms: Option<u64>,
    /// How long a request waits for its paused run, in milliseconds [default: 10000].
    #[arg(long, env = "TOLLGATE_PAUSE_WAIT_MS", value_name = "MS")]
    pub pause_wait_ms: Option<u64>,
    /// How long an unknown outcome waits for evidence before its hold is taken for its bill, in
    /// hours [default: 24].
    #[arg(long, env = "TOLLGATE_UNKNOWN_TTL_H", value_name = "H")]
    pub unknown_ttl_h: Option<u64>,
    /// Free room on the disk below which no new money is given, in MiB; 0 never looks
    /// [default: 64].
    #[arg(long, env = "TOLLGATE_STORAGE_LOW_WATER_MIB", value_name = "MIB")]
    pub storage_low_water_mib: Option<u64>,
    /// Room kept for settlements when the disk is full, in MiB; 0 for none [default: 64].
    #[arg(long, env = "TOLLGATE_BALLAST_MIB", value_name = "MIB")]
    pub ballast_mib: Option<u64>,
    /// How long an attempt may take, in seconds [default: 600].
    #[arg(long, env = "TOLLGATE_DEADLINE_S", value_name = "S")]
    pub deadline_s: Option<u64>,
    /// Whether nothing may be changed over HTTP; agents' requests go on [default: false].
    #[arg(long, env = "TOLLGATE_READ_ONLY", num_args = 0..=1, default_missing_value = "true")]
    pub read_only: Option<bool>,
}

/// `tollgate.toml`: the same names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    data_dir: Option<PathBuf>,
    bind: Option<IpAddr>,
    router_port: Option<u16>,
    gateway_port: Option<u16>,
    events_port: Option<u16>,
    log: Option<LogFormat>,
    durability: Option<Durability>,
    default_budget_usd: Option<Amount>,
    unbudgeted: Option<Unbudgeted>,
    contention_wait_ms: Option<u64>,
    pause_wait_ms: Option<u64>,
    unknown_ttl_h: Option<u64>,
    storage_low_water_mib: Option<u64>,
    ballast_mib: Option<u64>,
    deadline_s: Option<u64>,
    read_only: Option<bool>,
}

/// An amount in TOML: a string or a whole number, never a float.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Amount {
    Text(String),
    Whole(i64),
}

/// Everything the backend needs to know, resolved.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where ledger, registry and receipts live.
    pub data_dir: PathBuf,
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port of the provider router; 0 picks one.
    pub router_port: u16,
    /// Port of the gateway; 0 picks one.
    pub gateway_port: u16,
    /// Port of the event stream; 0 picks one.
    pub events_port: u16,
    /// How log lines look.
    pub log: LogFormat,
    /// What an acknowledged receipt survives.
    pub durability: Durability,
    /// Limit of runs that nobody gave a budget.
    pub default_budget: Option<Usd>,
    /// Whether runs without a budget are admitted.
    pub unbudgeted: Unbudgeted,
    /// How long a request waits for money that others hold.
    pub contention_wait: Duration,
    /// How long it waits for its paused run.
    pub pause_wait: Duration,
    /// How long an unknown outcome waits for evidence.
    pub unknown_ttl: Duration,
    /// Room on the disk that is kept free.
    pub reserve: Reserve,
    /// How long an attempt may take.
    pub deadline: Duration,
    /// How often the books are audited while they serve.
    pub audit_every: Duration,
    /// Whether nothing may be changed over HTTP.
    pub read_only: bool,
}

impl Config {
    /// Resolves flags, environment (already in the flags) and file.
    pub fn resolve(args: ServeArgs) -> anyhow::Result<Self> {
        let file = File::read(args.config.as_deref())?;
        let deadline_s = args.deadline_s.or(file.deadline_s).unwrap_or(DEADLINE_MAX_S);
        if !(1..=DEADLINE_MAX_S).contains(&deadline_s) {
            bail!("`deadline_s` is {deadline_s}, not from 1 to {DEADLINE_MAX_S}");
        }
        let at_most = |ms: u64| ms.min(deadline_s * 1_000);
        let wait_ms = args.contention_wait_ms.or(file.contention_wait_ms);
        let wait_ms = wait_ms.unwrap_or_else(|| at_most(5_000));
        if wait_ms > deadline_s * 1_000 {
            bail!("`contention_wait_ms` is {wait_ms}, longer than the deadline of {deadline_s} s");
        }
        let pause_ms = args.pause_wait_ms.or(file.pause_wait_ms);
        let pause_ms = pause_ms.unwrap_or_else(|| at_most(10_000));
        if pause_ms > deadline_s * 1_000 {
            bail!("`pause_wait_ms` is {pause_ms}, longer than the deadline of {deadline_s} s");
        }
        let ttl_h = args.unknown_ttl_h.or(file.unknown_ttl_h).unwrap_or(24);
        if !(1..=UNKNOWN_TTL_MAX_H).contains(&ttl_h) {
            bail!("`unknown_ttl_h` is {ttl_h}, not from 1 to {UNKNOWN_TTL_MAX_H}");
        }
        let low_water = args.storage_low_water_mib.or(file.storage_low_water_mib).unwrap_or(64);
        let ballast = args.ballast_mib.or(file.ballast_mib).unwrap_or(64);
        if low_water.max(ballast) > RESERVE_MAX_MIB {
            bail!("`storage_low_water_mib` and `ballast_mib` are at most {RESERVE_MAX_MIB}");
        }
        let budget = match (args.default_budget_usd, file.default_budget_usd) {
            (Some(text), _) | (None, Some(Amount::Text(text))) => Some(text),
            (None, Some(Amount::Whole(whole))) => Some(whole.to_string()),
            (None, None) => None,
        };
        Ok(Self {
            data_dir: args.data_dir.or(file.data_dir).unwrap_or_else(|| "artifacts".into()),
            bind: args.bind.or(file.bind).unwrap_or(IpAddr::from([127, 0, 0, 1])),
            router_port: args.router_port.or(file.router_port).unwrap_or(6103),
            gateway_port: args.gateway_port.or(file.gateway_port).unwrap_or(6120),
            events_port: args.events_port.or(file.events_port).unwrap_or(6102),
            log: args.log.or(file.log).unwrap_or_default(),
            durability: args.durability.or(file.durability).unwrap_or_default(),
            default_budget: budget.map(|text| limit(&text)).transpose()?,
            unbudgeted: args.unbudgeted.or(file.unbudgeted).unwrap_or_default(),
            contention_wait: Duration::from_millis(wait_ms),
            pause_wait: Duration::from_millis(pause_ms),
            unknown_ttl: Duration::from_secs(ttl_h * 3_600),
            reserve: Reserve { low_water: low_water << 20, ballast: ballast << 20 },
            deadline: Duration::from_secs(deadline_s),
            audit_every: AUDIT_EVERY,
            read_only: args.read_only.or(file.read_only).unwrap_or(false),
        })
    }

    /// The configuration of a backend in another process: its own directory, ports picked.
    pub fn embedded(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            bind: IpAddr::from([127, 0, 0, 1]),
            router_port: 0,
            gateway_port: 0,
            events_port: 0,
            log: LogFormat::Text,
            durability: Durability::Power,
            default_budget: None,
            unbudgeted: Unbudgeted::Admit,
            contention_wait: Duration::from_secs(5),
            pause_wait: Duration::from_secs(10),
            unknown_ttl: UNKNOWN_TTL,
            reserve: Reserve::NONE,
            deadline: Duration::from_secs(DEADLINE_MAX_S),
            audit_every: AUDIT_EVERY,
            read_only: false,
        }
    }
}

impl File {
    fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let (path, stated) = path.map_or((Path::new("tollgate.toml"), false), |path| (path, true));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if !stated && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(error).context(format!("failed to read `{}`", path.display()));
            }
        };
        toml::from_str(&text).with_context(|| format!("failed to read `{}`", path.display()))
    }
}

fn limit(text: &str) -> anyhow::Result<Usd> {
    let amount: Usd = text.parse().context("failed to read `default_budget_usd`")?;
    if amount <= Usd::ZERO {
        bail!("`default_budget_usd` is `{amount}`, not above 0");
    }
    Ok(amount)
}

/// How often the books are audited: twice within the minute in which a fault must be found.
const AUDIT_EVERY: Duration = Duration::from_secs(30);

/// Longest an attempt may take, in seconds: what the SDKs of all three dialects wait by default.
pub const DEADLINE_MAX_S: u64 = 600;

/// How long an unknown outcome waits for evidence by default.
pub const UNKNOWN_TTL: Duration = Duration::from_secs(24 * 3_600);

/// Longest an unknown outcome may wait for evidence, in hours: a year.
const UNKNOWN_TTL_MAX_H: u64 = 8_784;

/// Most room that may be kept free, in MiB: a TiB.
const RESERVE_MAX_MIB: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(file: &str, args: ServeArgs) -> anyhow::Result<Config> {
        let path = tempfile::NamedTempFile::new()?;
        std::fs::write(path.path(), file)?;
        Config::resolve(ServeArgs { config: Some(path.path().into()), ..args })
    }

    #[test]
    fn a_flag_wins_over_the_file_and_that_over_the_default() {
        let args = ServeArgs { router_port: Some(1), ..ServeArgs::default() };
        let config =
            resolve("router_port = 2\ngateway_port = 3\ndefault_budget_usd = \"0.10\"", args);
        let config = config.unwrap();
        assert_eq!((config.router_port, config.gateway_port, config.events_port), (1, 3, 6102));
        assert_eq!(config.default_budget.unwrap().to_string(), "0.1");
    }

    #[test]
    fn a_wrong_file_is_refused_by_name() {
        for (text, named) in [
            ("ruoter_port = 2", "ruoter_port"),
            ("default_budget_usd = 0.1", "default_budget_usd"),
            ("default_budget_usd = \"-1\"", "default_budget_usd"),
            ("deadline_s = 0", "deadline_s"),
            ("contention_wait_ms = 999999", "contention_wait_ms"),
            ("pause_wait_ms = 999999", "pause_wait_ms"),
            ("unknown_ttl_h = 0", "unknown_ttl_h"),
            ("ballast_mib = 99999999", "ballast_mib"),
        ] {
            let error = format!("{:#}", resolve(text, ServeArgs::default()).unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
