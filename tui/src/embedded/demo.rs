//! The demo: a backend, three simulated providers, a small swarm, and the console on top.
//!
//! The same pieces run without a terminal as an end-to-end check: at the end the receipts are held
//! against the providers' own bills, attempt by attempt, to the last digit.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};
use tollgate_backend::app::Backend;
use tollgate_backend::config::Config;
use tollgate_backend::simulate::{self, Simulator};
use tollgate_shared::api::{MetricsView, ReceiptList, RunList};
use tollgate_shared::money::Usd;
use tollgate_shared::provider::Dialect;
use tollgate_shared::receipt::Receipt;

use super::swarm::{CREWS, Swarm};
use super::{free_or_any, log_to_stderr};
use crate::console::{self, ConsoleOptions};

/// What `tollgate demo` takes.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Without a terminal: one line a second on stderr, one JSON object on stdout at the end.
    #[arg(long)]
    pub headless: bool,
    /// How long it runs, such as `20s`; without it, until the console is left.
    #[arg(long, value_parser = span)]
    pub duration: Option<Duration>,
    /// Requests a second of the whole swarm, about.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub rate: u64,
    /// Where chance begins: the same seed, the same swarm.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Providers that fail and slow down far more often.
    #[arg(long)]
    pub chaos: bool,
    /// Where ledger and receipts go [default: a new directory below artifacts/demo].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Everything the demo started.
struct Stage {
    backend: Backend,
    providers: Vec<Simulator>,
    client: reqwest::Client,
    data_dir: PathBuf,
}

/// A simulated provider and what is registered of it.
struct Cast {
    dialect: Dialect,
    port: u16,
    latency_ms: u64,
    faults: &'static [&'static str],
    chaos: &'static [&'static str],
    /// Name, model, the provider's name for it, input and output in USD per million, SLO in ms.
    models:
        &'static [(&'static str, &'static str, &'static str, &'static str, &'static str, u32)],
}

const CAST: [Cast; 3] = [
    Cast {
        dialect: Dialect::Openai,
        port: 8100,
        latency_ms: 180,
        faults: &["status429:0.03", "slow:700ms:0.05"],
        chaos: &["status429:0.2", "slow:2s:0.2"],
        models: &[
            ("openai-gpt4o", "frontier", "gpt-4o", "2.50", "10", 900),
            ("openai-mini", "fast", "gpt-4o-mini", "0.15", "0.60", 600),
        ],
    },
    Cast {
        dialect: Dialect::Anthropic,
        port: 8101,
        latency_ms: 320,
        faults: &["slow:900ms:0.08"],
        chaos: &["status529:0.3", "slow:3s:0.2"],
        models: &[("anthropic-sonnet", "frontier", "claude-sonnet", "3", "15", 1_500)],
    },
    Cast {
        dialect: Dialect::Gemini,
        port: 8102,
        latency_ms: 90,
        faults: &["status503:0.12", "slow:400ms:0.05"],
        chaos: &["status503:0.6"],
        models: &[
            ("gemini-pro", "frontier", "gemini-pro", "1.25", "10", 700),
            ("gemini-flash", "fast", "gemini-flash", "0.30", "2.50", 400),
        ],
    },
];

/// Runs the demo. An error where receipts and bills do not agree.
pub async fn demo(args: DemoArgs, mut options: ConsoleOptions) -> anyhow::Result<()> {
    if args.headless {
        log_to_stderr();
    }
    let stage = Stage::set(&args).await?;
    let gateway = stage.gateway();
    let swarm = Swarm::start(&gateway, &stage.client, (args.rate, args.seed));
    if args.headless {
        let Backend { router, events, .. } = &stage.backend;
        #[expect(clippy::print_stderr, reason = "where to look, for a console beside it")]
        {
            eprintln!("ready router={router} gateway={} events={events}", stage.backend.gateway);
        }
        stage.report_every_second(&swarm, args.duration.unwrap_or(HEADLESS_DEFAULT)).await?;
    } else {
        options.router = format!("http://{}", stage.backend.router);
        options.events = format!("ws://{}/events", stage.backend.events);
        options.gateway = gateway;
        options.settings.profile = "demo".into();
        watch(options, args.duration).await?;
    }
    let tally = swarm.stop().await;
    let summary = stage.reckon(tally.refused.load(Ordering::Relaxed)).await?;
    stage.backend.stop().await;
    if args.headless {
        #[expect(clippy::print_stdout, reason = "the summary is what a script reads")]
        {
            println!("{}", summary.text);
        }
    }
    ensure!(summary.agree, "receipts and the providers' bills do not agree: {}", summary.text);
    Ok(())
}

/// The console, until it is left or the time is over.
async fn watch(options: ConsoleOptions, duration: Option<Duration>) -> anyhow::Result<()> {
    match duration {
        None => console::run(options).await,
        Some(duration) => {
            tokio::select! {
                done = console::run(options) => done,
                () = tokio::time::sleep(duration) => Ok(()),
            }
        }
    }
}

impl Stage {
    /// Providers, backend, registrations, budgets.
    async fn set(args: &DemoArgs) -> anyhow::Result<Self> {
        let data_dir = args.data_dir.clone().unwrap_or_else(fresh_dir);
        let mut config = Config::embedded(data_dir.clone());
        config.router_port = free_or_any(6103);
        config.gateway_port = free_or_any(6120);
        config.events_port = free_or_any(6102);
        let backend = Backend::start(config).await?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut stage = Self { backend, providers: Vec::new(), client, data_dir };
        for (index, cast) in CAST.iter().enumerate() {
            let provider = start_provider(cast, args, index as u64).await?;
            for model in cast.models {
                stage.register(cast, &provider, model).await?;
            }
            stage.providers.push(provider);
        }
        for crew in CREWS {
            if let Some(budget) = crew.budget_usd {
                let body = json!({"run_id": crew.run_id, "budget_usd": budget});
                stage.post(&format!("{}/budget", stage.gateway()), &body).await?;
            }
        }
        Ok(stage)
    }

    async fn register(
        &self,
        cast: &Cast,
        provider: &Simulator,
        (name, model, upstream, input, output, slo): &(&str, &str, &str, &str, &str, u32),
    ) -> anyhow::Result<()> {
        let body = json!({
            "name": name, "model": model, "upstream_model": upstream, "context_window": 128_000,
            "max_output_tokens": 8_192, "endpoint": provider.url(), "dialect": cast.dialect,
            "features": ["function_calling"], "slo": {"latency_p95_ms": slo, "availability": 0.99},
            "pricing": {"rates": {"input": input, "output": output}, "bills_on_5xx": "never"},
        });
        self.post(&format!("http://{}/register", self.backend.router), &body).await
    }

    fn gateway(&self) -> String {
        format!("http://{}", self.backend.gateway)
    }

    async fn post(&self, url: &str, body: &Value) -> anyhow::Result<()> {
        let request = self.client.post(url).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{url} answered {status}: {}", answer.text().await?);
        Ok(())
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let text =
            self.client.get(format!("{}{path}", self.gateway())).send().await?.text().await?;
        serde_json::from_str(&text).with_context(|| format!("{path} answered: {text}"))
    }

    /// One line a second for people.
    async fn report_every_second(&self, swarm: &Swarm, duration: Duration) -> anyhow::Result<()> {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let started = tokio::time::Instant::now();
        while started.elapsed() < duration {
            second.tick().await;
            let metrics: MetricsView = self.get("/metrics?window=minute").await?;
            let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            eprintln!(
                "{:>3}s  ${:>10} spent  {:>6} requests  {:>9} tokens  {:>5} answered  {:>4} refused  {:>3} failed",
                started.elapsed().as_secs(),
                metrics.total_cost_usd.rounded(6),
                metrics.total_requests,
                metrics.total_tokens,
                count(&swarm.tally.answered),
                count(&swarm.tally.refused),
                count(&swarm.tally.failed),
            );
        }
        Ok(())
    }

    /// Holds the receipts against the bills.
    async fn reckon(&self, refused: u64) -> anyhow::Result<Summary> {
        let mut bills: HashMap<String, Usd> = HashMap::new();
        for provider in &self.providers {
            for entry in provider.bill().attempts {
                bills.insert(entry.attempt_id, entry.cost_usd);
            }
        }
        let provider_billed: Usd = bills.values().copied().sum();
        let (mut requests, mut count, mut cost, mut agree) = (0, 0_u64, Usd::ZERO, true);
        let runs: RunList = self.get("/runs").await?;
        for run in runs.runs {
            requests += run.requests;
            let list: ReceiptList = self.get(&format!("/receipts/{}", run.run_id)).await?;
            for line in list.receipts {
                let receipt: Receipt = serde_json::from_str(line.get())?;
                count += 1;
                cost += receipt.cost_usd;
                let bill = bills.remove(receipt.attempt_id.as_str()).unwrap_or_default();
                agree &= bill == receipt.cost_usd;
            }
        }
        // What is left was billed and has no receipt.
        agree &= bills.is_empty() && cost == provider_billed;
        let text = format!(
            "{{\"requests\":{requests},\"receipts\":{count},\"refused\":{refused},\"cost_usd\":{cost},\
             \"provider_billed_usd\":{provider_billed},\"agree\":{agree},\"data_dir\":{}}}",
            Value::from(self.data_dir.display().to_string()),
        );
        Ok(Summary { agree, text })
    }
}

struct Summary {
    agree: bool,
    text: String,
}

async fn start_provider(cast: &Cast, args: &DemoArgs, index: u64) -> anyhow::Result<Simulator> {
    let faults = if args.chaos { cast.chaos } else { cast.faults };
    let faults = faults.iter().map(|text| text.parse().map_err(anyhow::Error::msg));
    let prices = cast.models.iter().map(|(_, _, upstream, input, output, _)| {
        format!("{upstream}={input},{output}").parse().map_err(anyhow::Error::msg)
    });
    let config = simulate::Config {
        dialect: cast.dialect,
        address: (Ipv4Addr::LOCALHOST, free_or_any(cast.port)).into(),
        latency: Duration::from_millis(cast.latency_ms),
        chunk_delay: Duration::from_micros(500),
        prices: prices.collect::<anyhow::Result<_>>()?,
        faults: faults.collect::<anyhow::Result<_>>()?,
        seed: args.seed.wrapping_add(index),
    };
    Simulator::start(config).await.context("failed to start a simulated provider")
}

/// Each demo has its own books, and leaves them for looking at.
fn fresh_dir() -> PathBuf {
    let now = tollgate_backend::clock::now();
    let [year, month, day, hour, minute, second] = now.civil();
    let name = format!(
        "{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{}",
        std::process::id()
    );
    PathBuf::from("artifacts/demo").join(name)
}

fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no time such as `20s`"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        "h" => Ok(Duration::from_secs(number * 3_600)),
        _ => Err(format!("`{text}` is no time such as `20s`")),
    }
}

/// How long a headless demo runs where nobody said.
const HEADLESS_DEFAULT: Duration = Duration::from_secs(20);
