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
mod wire;

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
    let mut terminate = signal(SignalKind::terminate())?;
    println!("ready simulate={} dialect={name}", simulator.address());
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    let bill = simulator.stop().await;
    tracing::info!(attempts = bill.count, total_cost_usd = %bill.total_cost_usd, "stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    // Over real HTTP, asked and understood by the gateway's own dialects.
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use serde_json::Value;
    use tollgate_shared::body::Body;
    use tollgate_shared::id::ModelName;
    use tollgate_shared::usage::Usage;

    use super::*;
    use crate::upstream::dialect::{Ask, Stamp, StreamError, StreamReader, answer, outgoing};

    const DIALECTS: [Dialect; 3] = [Dialect::Openai, Dialect::Anthropic, Dialect::Gemini];

    async fn start(dialect: Dialect) -> Simulator {
        Simulator::start(Config { dialect, ..Config::default() }).await.unwrap()
    }

    /// One client for all tests: making one takes long. It keeps no connection, because each test
    /// has a runtime of its own.
    fn client() -> &'static reqwest::Client {
        static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
        CLIENT.get_or_init(|| {
            drop(rustls::crypto::ring::default_provider().install_default());
            let builder = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
            builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
        })
    }

    fn model() -> ModelName {
        "m-1".parse().unwrap()
    }

    fn stamp(model: &ModelName) -> Stamp<'_> {
        Stamp { id: "r", created: 1, model }
    }

    /// Sends one message through the gateway's translation.
    async fn post(
        simulator: &Simulator,
        text: &str,
        cap: Option<u64>,
        stream: bool,
    ) -> reqwest::Result<reqwest::Response> {
        let text = serde_json::to_string(text).unwrap();
        let payload = format!(r#"{{"messages":[{{"role":"user","content":{text}}}]}}"#);
        let payload = Body::parse(payload.as_bytes()).unwrap();
        let endpoint = simulator.url().parse().unwrap();
        let ask = Ask { payload: &payload, model: &model(), cap, output_at_most: 1000, stream };
        let sent = outgoing(simulator.shared.dialect, &endpoint, &ask).unwrap();
        let url = format!("{}{}", simulator.url(), sent.path);
        let mut request = client().post(url).header("x-client-request-id", "attempt-1");
        for (name, value) in sent.headers {
            request = request.header(name, value);
        }
        request.body(sent.body).send().await
    }

    /// How a stream was read.
    struct Heard {
        reader: StreamReader,
        frames: Vec<Bytes>,
        error: Option<String>,
    }

    async fn hear(simulator: &Simulator, text: &str) -> Heard {
        let model = model();
        let mut response = post(simulator, text, None, true).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut reader = StreamReader::new(simulator.shared.dialect, &stamp(&model));
        let mut frames = Vec::new();
        let error = loop {
            let pushed = match response.chunk().await {
                Ok(Some(bytes)) => reader.push(&bytes, &mut frames),
                Ok(None) => break reader.end(&mut frames).err().map(|error| error.to_string()),
                Err(broken) => break Some(format!("broken: {broken}")),
            };
            match pushed {
                Ok(()) => {}
                Err(StreamError::TooLong(_)) => break Some("too long".to_owned()),
                Err(StreamError::Unreadable(_)) => break Some("unreadable".to_owned()),
                Err(StreamError::Reported(text)) => break Some(text),
            }
        };
        Heard { reader, frames, error }
    }

    #[test]
    fn the_command_line_is_read() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: SimulateArgs,
        }
        let read = |text: &str| {
            let words = std::iter::once("simulate").chain(text.split_whitespace());
            <Line as clap::Parser>::try_parse_from(words).map(|line| Config::from(line.args))
        };
        let config = read("").unwrap();
        assert_eq!((config.dialect, config.address.port()), (Dialect::Openai, 0));
        let config = read(
            "--dialect gemini --port 8102 --bind 0.0.0.0 --latency 20ms --chunk-delay 5ms \
             --price gpt-4=30,60 --price *=1,2 --fault reset:0.1 --fault slow:2s --seed 7",
        )
        .unwrap();
        assert_eq!(config.address.to_string(), "0.0.0.0:8102");
        assert_eq!((config.prices.len(), config.faults.len(), config.seed), (2, 2, 7));
        assert_eq!(config.latency, Duration::from_millis(20));
        for wrong in ["--dialect klingon", "--price gpt-4", "--fault boom", "--latency fast"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn whole_answers_are_billed_as_reported() {
        for dialect in DIALECTS {
            let simulator = start(dialect).await;
            let response = post(&simulator, "Hello!", None, false).await.unwrap();
            let bytes = response.bytes().await.unwrap();
            let answer = answer(dialect, &stamp(&model()), &bytes).unwrap();
            assert_eq!(answer.usage, Some(Usage::plain(5, 22)), "{dialect:?}");
            let response: Value = serde_json::from_str(answer.response.get()).unwrap();
            let choice = &response["choices"][0];
            assert_eq!(choice["finish_reason"], "stop");
            let text = choice["message"]["content"].as_str().unwrap();
            assert_eq!(text.split(' ').count(), 22);
            assert!(text.starts_with("every agent pays its toll"));
            let bill = simulator.stop().await;
            assert_eq!((bill.count, bill.attempts[0].attempt_id.as_str()), (1, "attempt-1"));
            assert_eq!((bill.attempts[0].input_tokens, bill.attempts[0].output_tokens), (5, 22));
            assert_eq!(bill.total_cost_usd.to_string(), "0.00147");
        }
    }

    #[tokio::test]
    async fn a_cap_bounds_the_answer_and_the_bill() {
        for dialect in DIALECTS {
            let simulator = start(dialect).await;
            let response = post(&simulator, "[out:50]", Some(9), false).await.unwrap();
            let answer =
                answer(dialect, &stamp(&model()), &response.bytes().await.unwrap()).unwrap();
            assert_eq!(answer.usage, Some(Usage::plain(5, 9)), "{dialect:?}");
            assert!(answer.response.get().contains(r#""finish_reason":"length""#));
            assert_eq!(simulator.bill().attempts[0].output_tokens, 9);
        }
    }

    #[tokio::test]
    async fn streams_are_heard_to_their_end() {
        for dialect in DIALECTS {
            for text in ["[out:7] é", "[out:7] é [fault:split]", "[out:7] é [fault:two_ends]"] {
                let simulator = start(dialect).await;
                let heard = hear(&simulator, text).await;
                assert_eq!(heard.error, None, "{dialect:?} {text}");
                assert!(heard.reader.is_complete() && heard.reader.has_content());
                let usage = heard.reader.usage().unwrap();
                let bill = simulator.stop().await;
                let billed = &bill.attempts[0];
                assert_eq!(
                    (usage.input_tokens(), usage.output_tokens()),
                    (billed.input_tokens, billed.output_tokens)
                );
                assert_eq!(billed.output_tokens, 7);
                assert_eq!(
                    heard.reader.delivered_bytes(),
                    "every agent pays its toll at the".len() as u64
                );
                let frames = heard.frames.iter().chain(&heard.reader.tail(true)).count();
                // The role, the words, the finish; the usage, the end.
                assert_eq!(frames, 1 + 7 + 1 + 1 + 1, "{dialect:?} {text}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_billed_leaves_no_line() {
        for dialect in DIALECTS {
            let simulator = start(dialect).await;
            for (wish, status) in [
                ("[fault:status429]", 429),
                ("[fault:status503]", 503),
                ("[fault:status400]", 400),
                ("[fault:redirect]", 302),
                ("[fault:typo]", 400),
            ] {
                for stream in [false, true] {
                    let response = post(&simulator, wish, None, stream).await.unwrap();
                    assert_eq!(response.status(), status, "{wish}");
                }
            }
            let error = post(&simulator, "[fault:reset]", None, false).await.unwrap_err();
            assert!(!error.is_connect(), "{error:?}");
            let silent = post(&simulator, "[fault:silence]", None, false);
            assert!(tokio::time::timeout(Duration::from_millis(50), silent).await.is_err());
            assert_eq!(simulator.stop().await.count, 0);
        }
    }

    #[tokio::test]
    async fn what_is_billed_and_lost_stays_on_the_bill() {
        for dialect in DIALECTS {
            let simulator = start(dialect).await;
            let response = post(&simulator, "[fault:bill_then_500]", None, false).await.unwrap();
            assert_eq!(response.status(), 500);
            let response = post(&simulator, "[fault:cut]", None, false).await.unwrap();
            assert!(response.bytes().await.is_err());
            let response = post(&simulator, "[fault:garbage]", None, false).await.unwrap();
            assert!(answer(dialect, &stamp(&model()), &response.bytes().await.unwrap()).is_err());
            let hung = post(&simulator, "[fault:hang]", None, false);
            assert!(tokio::time::timeout(Duration::from_millis(200), hung).await.is_err());
            let bill = simulator.stop().await;
            assert_eq!(bill.count, 4);
            assert!(bill.attempts.iter().all(|entry| entry.output_tokens >= 16), "{bill:?}");
        }
    }

    #[tokio::test]
    async fn broken_reports_are_no_usage() {
        for dialect in DIALECTS {
            let simulator = start(dialect).await;
            for wish in ["no_usage", "negative_usage", "huge_usage", "text_usage"] {
                let wish = format!("[out:5] [fault:{wish}]");
                let bytes =
                    post(&simulator, &wish, None, false).await.unwrap().bytes().await.unwrap();
                let answer = answer(dialect, &stamp(&model()), &bytes).unwrap();
                assert_eq!(answer.usage, None, "{dialect:?} {wish}");
                let heard = hear(&simulator, &wish).await;
                assert_eq!(heard.error, None, "{dialect:?} {wish}");
                assert_eq!(heard.reader.usage(), None, "{dialect:?} {wish}");
            }
            assert!(simulator.bill().attempts.iter().all(|entry| entry.output_tokens == 5));
        }
    }

    #[tokio::test]
    async fn an_answer_over_the_cap_is_billed_and_told() {
        for dialect in DIALECTS {
            let simulator = start(dialect).await;
            let response = post(&simulator, "[fault:over_cap]", Some(8), false).await.unwrap();
            let answer =
                answer(dialect, &stamp(&model()), &response.bytes().await.unwrap()).unwrap();
            assert_eq!(answer.usage.unwrap().output_tokens(), 13);
            assert_eq!(simulator.bill().attempts[0].output_tokens, 13);
        }
    }

    #[tokio::test]
    async fn broken_streams_are_billed_for_what_was_made() {
        for dialect in DIALECTS {
            let rows = [
                ("cut", "broken", 5),
                ("garbage", "unreadable", 5),
                ("error_event", "simulated 529", 5),
                ("long_line", "too long", 10),
            ];
            for (wish, error, billed) in rows {
                let simulator = start(dialect).await;
                let heard = hear(&simulator, &format!("[out:10] [fault:{wish}]")).await;
                let shown = heard.error.unwrap();
                assert!(shown.starts_with(error), "{dialect:?} {wish}: {shown}");
                assert!(!heard.reader.is_complete() && heard.reader.usage().is_none());
                let bill = simulator.stop().await;
                assert_eq!(bill.attempts[0].output_tokens, billed, "{dialect:?} {wish}");
                assert!(heard.reader.delivered_bytes() >= billed);
            }
            let simulator = start(dialect).await;
            let heard = hear(&simulator, "[out:10] [fault:no_end]").await;
            assert!(heard.error.is_none() && !heard.reader.is_complete());
            let hung = hear(&simulator, "[out:10] [fault:hang]");
            assert!(tokio::time::timeout(Duration::from_millis(100), hung).await.is_err());
            let bill = simulator.stop().await;
            assert_eq!([bill.attempts[0].output_tokens, bill.attempts[1].output_tokens], [10, 5]);
        }
    }

    #[tokio::test]
    async fn a_stream_nobody_hears_out_is_billed_for_what_was_made() {
        let config = Config { chunk_delay: Duration::from_millis(5), ..Config::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let mut response = post(&simulator, "[out:10000]", None, true).await.unwrap();
        for _ in 0..3 {
            response.chunk().await.unwrap();
        }
        drop(response);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let before = simulator.bill().attempts[0].output_tokens;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let after = simulator.bill().attempts[0].output_tokens;
        assert!(before > 0 && after < 10_000 && after - before <= 1, "{before} {after}");
    }

    #[tokio::test]
    async fn slowness_and_chance_come_from_the_start() {
        let config = Config {
            faults: vec!["status503:0.5".parse().unwrap(), "slow:30ms".parse().unwrap()],
            ..Config::default()
        };
        let simulator = Simulator::start(config).await.unwrap();
        let since = Instant::now();
        let mut failed = 0;
        for _ in 0..10 {
            failed +=
                usize::from(post(&simulator, "x", None, false).await.unwrap().status() == 503);
        }
        assert!(since.elapsed() >= Duration::from_millis(300));
        assert!((1..10).contains(&failed), "{failed}");
        assert_eq!(simulator.bill().count, 10 - failed);
        simulator.set_faults(vec!["status429".parse().unwrap()]);
        let response = post(&simulator, "x", None, false).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (429, &"1".parse().unwrap())
        );
        let response = post(&simulator, "x [fault:none]", None, false).await.unwrap();
        assert_eq!(response.status(), 200);
    }

    #[tokio::test]
    async fn it_tells_its_bill_its_health_and_its_models() {
        for dialect in DIALECTS {
            let prices = vec!["m-1=2.5,10".parse().unwrap()];
            let config = Config { dialect, prices, ..Config::default() };
            let simulator = Simulator::start(config).await.unwrap();
            post(&simulator, "Hello!", None, false).await.unwrap();
            let url = simulator.url();
            let get = async |path: &str| client().get(format!("{url}{path}")).send().await.unwrap();
            let text = get("/bill").await.text().await.unwrap();
            assert!(text.contains(r#""cost_usd":0.0002325,"at":"2"#), "{text}");
            assert_eq!(serde_json::from_str::<Bill>(&text).unwrap(), simulator.bill());
            let health: Value = get("/health").await.json().await.unwrap();
            assert_eq!(
                (health["status"].as_str(), health["port"].as_u64()),
                (Some("healthy"), Some(simulator.address().port().into()))
            );
            assert!(get("/v1/models").await.text().await.unwrap().contains("m-1"));
            assert_eq!(get("/nothing").await.status(), 404);
            let unknown = client().post(format!("{url}/v1/models/m-1:embed")).send().await.unwrap();
            assert_eq!(unknown.status(), 404);
        }
    }

    #[tokio::test]
    async fn many_choices_are_each_billed() {
        let simulator = start(Dialect::Openai).await;
        let url = format!("{}/v1/chat/completions", simulator.url());
        let body = r#"{"model":"m","n":3,"messages":[{"role":"user","content":"[out:4]"}],"stream":STREAM,"stream_options":{"include_usage":true}}"#;
        for stream in ["false", "true"] {
            let sent =
                client().post(&url).body(body.replace("STREAM", stream)).send().await.unwrap();
            let text = sent.text().await.unwrap();
            assert!(text.contains(r#""completion_tokens":12"#), "{text}");
            assert!(text.contains(r#""index":2"#) && !text.contains(r#""index":3"#), "{text}");
        }
        assert_eq!(simulator.bill().attempts[1].output_tokens, 12);
    }

    #[tokio::test]
    async fn a_stopped_provider_breaks_off_and_frees_its_port() {
        let simulator = start(Dialect::Openai).await;
        let address = simulator.address();
        let hung = tokio::spawn({
            let url = simulator.url();
            async move {
                let body = r#"{"model":"m","messages":[{"role":"user","content":"[fault:hang]"}]}"#;
                client().post(format!("{url}/v1/chat/completions")).body(body).send().await
            }
        });
        while simulator.bill().count == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(simulator.stop().await.count, 1);
        assert!(hung.await.unwrap().is_err());
        assert!(Simulator::start(Config { address, ..Config::default() }).await.is_ok());
    }
}
