//! Simulated providers: real HTTP servers that speak a dialect and keep their own bill.
//!
//! For demos, tests and benches. Nothing here knows the gateway: tokens are counted, answers are
//! spoken and bills are added up by other code than the gateway's, so that agreement means
//! something. The one idea: `GET /bill` is the truth, whatever the gateway's books say.
//!
//! ```text
//! POST /v1/chat/completions                     openai      tokens in: bytes of text / 4, rounded
//! POST /v1/messages                             anthropic     up, and 3 a message
//! POST /v1beta/models/{m}:generateContent       gemini      tokens out: the N of `[out:N]`, else
//!      …:streamGenerateContent, also under /v1                16 + bytes of text % 48, or the cap
//! GET  /bill  /health  /v1/models               all
//! ```
//!
//! A message may carry wishes: `[out:9] [fault:cut] [slow:200ms]`; [`Fault`] has the names.

mod bill;
mod fault;
mod question;
mod serve;
mod speech;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tollgate_shared::provider::Dialect;

pub use bill::{Bill, BillEntry, Price, PriceRule};
pub use fault::{Fault, FaultRule};

/// What `tollgated simulate` takes.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// The language it speaks.
    #[arg(long, value_enum, default_value = "openai")]
    pub dialect: Spoken,
    /// Where it listens; 0 picks a free port, which the ready line tells.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// The address it listens at.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,
    /// How long every answer takes to begin, such as `20ms`.
    #[arg(long, default_value = "0ms", value_parser = fault::span)]
    pub latency: Duration,
    /// How long every token of a stream takes.
    #[arg(long, default_value = "0ms", value_parser = fault::span)]
    pub chunk_delay: Duration,
    /// MODEL=IN,OUT in USD per million tokens; `*` is any other model, 30,60 unless stated.
    #[arg(long = "price")]
    pub prices: Vec<PriceRule>,
    /// NAME:SHARE such as `reset:0.1`, or `slow:2s`, `slow:2s:0.1`.
    #[arg(long = "fault")]
    pub faults: Vec<FaultRule>,
    /// Where chance begins: the same seed, the same faults.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// [`Dialect`], as the command line spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Spoken {
    /// OpenAI chat completions.
    Openai,
    /// Anthropic messages.
    Anthropic,
    /// Gemini `generateContent`.
    Gemini,
}

/// How a simulated provider behaves. The default answers at once, without faults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The language it speaks.
    pub dialect: Dialect,
    /// Where it listens; port 0 picks a free one.
    pub address: SocketAddr,
    /// How long every answer takes to begin.
    pub latency: Duration,
    /// How long every token of a stream takes.
    pub chunk_delay: Duration,
    /// What models cost.
    pub prices: Vec<PriceRule>,
    /// What goes wrong.
    pub faults: Vec<FaultRule>,
    /// Where chance begins.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            latency: Duration::ZERO,
            chunk_delay: Duration::ZERO,
            prices: Vec::new(),
            faults: Vec::new(),
            seed: 1,
        }
    }
}

impl From<SimulateArgs> for Config {
    fn from(args: SimulateArgs) -> Self {
        Self {
            dialect: match args.dialect {
                Spoken::Openai => Dialect::Openai,
                Spoken::Anthropic => Dialect::Anthropic,
                Spoken::Gemini => Dialect::Gemini,
            },
            address: (args.bind, args.port).into(),
            latency: args.latency,
            chunk_delay: args.chunk_delay,
            prices: args.prices,
            faults: args.faults,
            seed: args.seed,
        }
    }
}

/// A provider that is running; it ends, with all its connections, when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<serve::Shared>,
    task: JoinHandle<()>,
}

impl Simulator {
    /// Listens, and serves in the background of the current runtime.
    pub async fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(serve::Shared {
            dialect: config.dialect,
            port: address.port(),
            latency: config.latency,
            chunk_delay: config.chunk_delay,
            seed: config.seed,
            rules: RwLock::new(config.faults),
            ledger: Arc::new(bill::Ledger::new(&config.prices)),
            served: AtomicU64::new(0),
        });
        let task = tokio::spawn(serve::serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint to register.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything billed so far, as `GET /bill` tells it.
    pub fn bill(&self) -> Bill {
        self.shared.ledger.bill()
    }

    /// Changes what goes wrong from the next request on.
    pub fn set_faults(&self, faults: Vec<FaultRule>) {
        *self.shared.rules.write().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Closes all connections at once, in the middle of whatever they do, and frees the port.
    /// What was billed stays billed.
    pub async fn stop(mut self) -> Bill {
        self.task.abort();
        // It was aborted: that it did not end by itself is no news.
        drop((&mut self.task).await);
        self.bill()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves until SIGTERM or ctrl-c; one line on stdout tells where.
///
/// ```text
/// ready simulate=127.0.0.1:8100 dialect=openai
/// ```
pub async fn run(args: SimulateArgs) -> anyhow::Result<()> {
    let config = Config::from(args);
    let (address, dialect) = (config.address, config.dialect);
    let simulator =
        Simulator::start(config).await.with_context(|| format!("listen at `{address}`"))?;
    let name = match dialect {
        Dialect::Openai => "openai",
        Dialect::Anthropic => "anthropic",
        Dialect::Gemini => "gemini",
    };
    println!("ready simulate={} dialect={name}", simulator.address());
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    let bill = simulator.stop().await;
    println!("billed attempts={} total_cost_usd={}", bill.count, bill.total_cost_usd);
    Ok(())
}

#[cfg(test)]
mod tests;
