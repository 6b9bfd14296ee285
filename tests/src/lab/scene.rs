//! A scene: one data directory, the backend over it, a provider that is never killed, and all that
//! was seen there.
//!
//! Refuses to know faults and oracles' rules; faults stage their trouble with its verbs, and
//! [`Scene::judge`] hands everything that is left to the oracle. The one convention: the model of
//! run `r` is called `for-r`, so that the bill alone tells who spent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_backend::simulate::{self, Bill, Simulator};
use tollgate_shared::api::{BudgetView, RouteAnswer};
use tollgate_shared::money::Usd;

use crate::Reply;
use crate::lab::evidence::Evidence;
use crate::lab::oracle::{self, MODEL_PREFIX, Saw, Seen, Truth, Verdict};
use crate::lab::referee;
use crate::process::{Process, serve};

/// Everything that one story happens in.
#[derive(Debug)]
pub struct Scene {
    /// The backend's program.
    pub program: PathBuf,
    /// Flags added to `serve`.
    pub flags: Vec<String>,
    /// Where the backend keeps its files.
    pub data_dir: PathBuf,
    /// Who answers and keeps the bill.
    pub provider: Simulator,
    /// The backend, while it runs.
    pub process: Option<Process>,
    /// What is known from outside.
    pub truth: Truth,
    /// How long the last start took until it listened.
    pub start_took: Duration,
    client: reqwest::Client,
    home: TempDir,
    judged: u64,
}

/// One request as a client makes it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who pays.
    pub run_id: String,
    /// The client's name for it.
    pub request_id: String,
    /// The message, with its wishes.
    pub message: String,
    /// The stated cap.
    pub cap: Option<u64>,
    /// Whether it is streamed.
    pub stream: bool,
    /// The client leaves after so many pieces of a stream.
    pub leaves_after: Option<u64>,
    /// The provider will tell the usage, if it answers at all.
    pub told_usage: bool,
}

/// A limit as it is set. The one agent of the lab spends all that its runs spend, so that an
/// agent's limit, set after its run's larger one, is what the run's bill must keep to.
#[derive(Clone, Copy, Debug)]
pub struct Limit<'a> {
    /// Whose.
    pub run_id: &'a str,
    /// How much.
    pub usd: Usd,
    /// The mode, where it is said.
    pub mode: Option<&'a str>,
    /// The run it becomes part of.
    pub parent: Option<&'a str>,
    /// The agent that it is for.
    pub agent: Option<&'a str>,
    /// The time that it is for, where that is not the run's lifetime.
    pub period: Option<&'a str>,
}

impl Scene {
    /// An empty data directory and a provider; nothing runs yet.
    pub async fn open(program: &Path, provider: simulate::Config) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let data_dir = home.path().join("data");
        std::fs::create_dir(&data_dir)?;
        Ok(Self {
            program: program.to_owned(),
            flags: Vec::new(),
            data_dir,
            provider: Simulator::start(provider).await?,
            process: None,
            truth: Truth::default(),
            start_took: Duration::ZERO,
            client: crate::client()?,
            home,
            judged: 0,
        })
    }

    /// A place beside the data directory, for logs and copies.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The command that would serve the data directory, its log going to a file beside it.
    pub fn command(&self) -> anyhow::Result<Command> {
        let program = self.program.to_str().context("the program's path is no text")?;
        let mut appending = std::fs::File::options();
        let log = appending.create(true).append(true).open(self.beside("backend.log"))?;
        let mut command = serve(program, &self.data_dir);
        command.args(&self.flags).stderr(Stdio::from(log));
        Ok(command)
    }

    /// Starts the backend and waits until it listens.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let command = self.command()?;
        self.start_with(command).await
    }

    /// The same with a command of the fault's own making.
    pub async fn start_with(&mut self, command: Command) -> anyhow::Result<()> {
        let begun = Instant::now();
        let started = tokio::task::spawn_blocking(move || Process::spawn(command)).await?;
        self.process = Some(started.with_context(|| self.last_words())?);
        self.start_took = begun.elapsed();
        Ok(())
    }

    /// The end of the backend's log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read(self.beside("backend.log")).unwrap_or_default();
        let end = log.len().saturating_sub(LOG_SHOWN);
        String::from_utf8_lossy(log.get(end..).unwrap_or_default()).into_owned()
    }

    /// kill -9.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("nothing runs")?.kill()
    }

    /// The running backend.
    pub fn running(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("nothing runs")
    }

    /// A URL of the gateway.
    pub fn gateway(&self, path: &str) -> anyhow::Result<String> {
        Ok(format!("http://{}{path}", self.running()?.gateway))
    }

    /// Registers `providers` ways to the one provider for each run; they differ by name alone.
    pub async fn register(&self, run_id: &str, providers: usize) -> anyhow::Result<()> {
        self.register_at(run_id, providers, &self.provider.url()).await
    }

    /// The same with another address, such as that of something between.
    pub async fn register_at(
        &self,
        run_id: &str,
        providers: usize,
        endpoint: &str,
    ) -> anyhow::Result<()> {
        for number in 0..providers {
            let body = json!({
                "name": format!("{run_id}-{number}"), "model": format!("{MODEL_PREFIX}{run_id}"),
                "context_window": 8192, "max_output_tokens": 1024, "endpoint": endpoint,
                "cost_per_input_token": "0.00003", "cost_per_output_token": "0.00006",
            });
            let url = format!("http://{}/register", self.running()?.router);
            let (status, text) = self.post(&url, &body).await?;
            ensure!(status < 300, "{status}: {text}");
        }
        Ok(())
    }

    /// Sets a run's limit and remembers it as true.
    pub async fn limit(
        &mut self,
        run_id: &str,
        usd: Usd,
        mode: &str,
    ) -> anyhow::Result<BudgetView> {
        Ok(serde_json::from_str(&self.set(&Limit::of(run_id, usd, mode)).await?)?)
    }

    /// Sets a limit and remembers it as true, where its mode promises that it holds.
    pub async fn set(&mut self, limit: &Limit<'_>) -> anyhow::Result<String> {
        let mut body = json!({"run_id": limit.run_id, "budget_usd": limit.usd.to_string()});
        let said = [
            ("mode", limit.mode),
            ("parent", limit.parent),
            ("agent", limit.agent),
            ("period", limit.period),
        ];
        for (field, text) in said {
            if let Some(text) = text {
                body[field] = json!(text);
            }
        }
        let (status, text) = self.post(&self.gateway("/budget")?, &body).await?;
        ensure!(status == 200, "{body}: {status}: {text}");
        let run_id = limit.run_id.to_owned();
        if let Some(parent) = limit.parent {
            self.truth.parents.insert(run_id.clone(), parent.to_owned());
        }
        if !matches!(limit.mode, Some("expected" | "soft")) {
            self.truth.limits.insert(run_id, limit.usd);
        }
        Ok(text)
    }

    /// Reads a budget.
    pub async fn budget(&self, run_id: &str) -> anyhow::Result<BudgetView> {
        let reply = self.client.get(self.gateway(&format!("/budget/{run_id}"))?).send().await?;
        Ok(serde_json::from_str(&reply.text().await?)?)
    }

    /// Asks, as a client that only knows the gateway's address.
    pub async fn ask(&self, ask: &Ask) -> anyhow::Result<Seen> {
        Ok(ask.at(&self.client, &self.gateway("/route")?).await)
    }

    /// The client, for tasks of its own.
    pub fn client(&self) -> reqwest::Client {
        self.client.clone()
    }

    /// Asks one plain question of a run, to see that money is given again.
    pub async fn probe(&mut self, run_id: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        let number = self.truth.seen.len();
        let ask = Ask {
            run_id: run_id.to_owned(),
            request_id: format!("probe-{}-{number}", self.judged),
            message: "[fault:none] [out:3] are you there?".into(),
            cap: Some(16),
            stream: false,
            leaves_after: None,
            told_usage: true,
        };
        let seen = self.ask(&ask).await?;
        let answered = matches!(seen.saw, Saw::Answer { .. });
        self.truth.seen.push(seen.clone());
        ensure!(answered, "no admission after {:?}: {:?}", begun.elapsed(), seen.saw);
        Ok(())
    }

    /// Judges what is there now, with the backend running and nothing in flight.
    pub async fn judge(&mut self) -> anyhow::Result<Verdict> {
        self.judge_by(self.provider.bill()).await
    }

    /// The same by the bill of a provider elsewhere.
    pub async fn judge_by(&mut self, bill: Bill) -> anyhow::Result<Verdict> {
        let gateway = self.running()?.gateway.clone();
        let evidence = match self.truth.clock_jumps {
            false => Evidence::collect(&self.data_dir, &gateway, &self.client).await?,
            true => Evidence::timeless(&self.data_dir, &gateway, &self.client).await?,
        };
        self.truth.set_bill(bill);
        let mut verdict = oracle::judge(&evidence, &self.truth);
        let checkers = referee::Case {
            program: &self.program,
            data_dir: &self.data_dir,
            beside: self.home.path(),
            bill: &self.truth.bill,
            budgets: &evidence.budgets_text,
            with_python: self.judged.is_multiple_of(PYTHON_EVERY),
        };
        referee::ask_all(&checkers, &mut verdict)?;
        self.judged += 1;
        self.truth.remember(&evidence);
        Ok(verdict)
    }

    async fn post(&self, url: &str, body: &Value) -> anyhow::Result<(u16, String)> {
        let request = self.client.post(url).header("content-type", "application/json");
        let reply = request.body(body.to_string()).send().await?;
        Ok((reply.status().as_u16(), reply.text().await?))
    }
}

impl<'a> Limit<'a> {
    /// A run's own limit, in a mode; an empty mode is not said.
    pub fn of(run_id: &'a str, usd: Usd, mode: &'a str) -> Self {
        let mode = Some(mode).filter(|mode| !mode.is_empty());
        Self { run_id, usd, mode, parent: None, agent: None, period: None }
    }
}

impl Ask {
    /// The body of `/route`.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "request_id": self.request_id, "run_id": self.run_id, "agent": AGENT,
            "requirements": {"model": format!("{MODEL_PREFIX}{}", self.run_id)},
            "payload": {"messages": [{"role": "user", "content": self.message}]},
        });
        if let Some(cap) = self.cap {
            body["payload"]["max_tokens"] = json!(cap);
        }
        if self.stream {
            body["payload"]["stream"] = json!(true);
        }
        body
    }

    /// Asks and says what was seen. A connection that breaks is something that was seen as well.
    pub async fn at(&self, client: &reqwest::Client, url: &str) -> Seen {
        let saw = match self.hear(client, url).await {
            Ok(Some(heard)) => {
                self.understand(&heard).unwrap_or_else(|error| Saw::Wrong(format!("{error:#}")))
            }
            Ok(None) | Err(_) => Saw::Nothing,
        };
        let (run_id, request_id) = (self.run_id.clone(), self.request_id.clone());
        Seen { run_id, request_id, saw }
    }

    /// Hears an answer to its end; nothing if this client leaves before.
    async fn hear(&self, client: &reqwest::Client, url: &str) -> reqwest::Result<Option<Reply>> {
        let request = client.post(url).header("content-type", "application/json");
        let mut reply = request.body(self.body().to_string()).send().await?;
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let (mut bytes, mut pieces) = (Vec::new(), 0);
        while let Some(piece) = reply.chunk().await? {
            bytes.extend_from_slice(&piece);
            pieces += 1;
            if self.leaves_after.is_some_and(|most| pieces >= most) {
                return Ok(None);
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Some(Reply { status, headers, text }))
    }

    /// What a complete answer says; an error where it contradicts itself.
    fn understand(&self, heard: &Reply) -> anyhow::Result<Saw> {
        if heard.status != 200 {
            let (status, code) = (heard.status, heard.code());
            return Ok(Saw::Refusal { status, code, enough: self.enough() });
        }
        let (cost_usd, receipt) = if self.stream {
            if !heard.text.ends_with("data: [DONE]\n\n") {
                return Ok(Saw::Nothing);
            }
            closing_comment(&heard.text)?
        } else {
            let answer: RouteAnswer = heard.read()?;
            let told = heard.header("x-tollgate-cost-usd").map(str::parse::<Usd>).transpose()?;
            ensure!(
                told.is_none_or(|told| told == answer.cost_usd),
                "the header says {told:?}, the body {}",
                answer.cost_usd
            );
            let receipt = heard.header("x-tollgate-receipt").unwrap_or_default();
            (Some(answer.cost_usd), receipt.to_owned())
        };
        let is_durable = match receipt.as_str() {
            "durable" => true,
            "pending" => false,
            other => bail!("its receipt is `{other}`, neither durable nor pending"),
        };
        Ok(Saw::Answer { cost_usd, is_durable, told_usage: self.told_usage })
    }

    /// Money that is surely enough for the least this request can be held at: its body twice over
    /// and a template as input, its cap and at least a useful answer, at the lab's prices.
    fn enough(&self) -> Usd {
        let input = 2 * self.body().to_string().len() as u64 + 256;
        let output = self.cap.unwrap_or_default().max(64);
        Usd::from_picos(30_000_000).times(input) + Usd::from_picos(60_000_000).times(output)
    }
}

/// What a stream says at its end about its money.
fn closing_comment(text: &str) -> anyhow::Result<(Option<Usd>, String)> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix(": tollgate "));
    let said: Value = serde_json::from_str(line.context("a stream without a closing comment")?)?;
    let cost = said["cost_usd"].as_str().map(str::parse).transpose()?;
    Ok((cost, said["receipt"].as_str().unwrap_or_default().to_owned()))
}

/// Who asks, always.
pub const AGENT: &str = "lab";

/// Bytes of the backend's log that are shown with a failure.
const LOG_SHOWN: usize = 2_000;

/// The checker in Python reads everything anew, so it judges every so many times.
const PYTHON_EVERY: u64 = 16;
