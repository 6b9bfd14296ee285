//! The harness: a whole backend in this process, simulated providers beside it, files in a
//! temporary house.
//!
//! Everything goes over real HTTP and real files. Money is judged against the simulated provider's
//! own bill, never against our books. A [`House`] that is left checks that nothing is pending.

pub mod feed_server;
pub mod goals;
pub mod lab;
pub mod orders;
pub mod process;
pub mod terminal;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_backend::app::Backend;
use tollgate_backend::config::Config;
use tollgate_backend::simulate::{self, Bill, FaultRule, Simulator};
use tollgate_shared::api::{BudgetList, BudgetView};
use tollgate_shared::money::Usd;
use tollgate_shared::provider::Dialect;
use tollgate_shared::receipt::{Chain, Receipt};

/// A backend with its files and a client.
#[derive(Debug)]
pub struct House {
    dir: TempDir,
    backend: Option<Backend>,
    client: reqwest::Client,
}

/// An answer: its status, headers and text.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body's text.
    pub text: String,
}

impl Reply {
    /// The body as loose JSON, for shapes and codes; not for money, whose digits it may lose.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The body as its type, with every digit.
    pub fn read<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_str(&self.text).with_context(|| format!("{}: {}", self.status, self.text))
    }

    /// The stable code of an error.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl House {
    /// A backend with its usual configuration, on ports of its own.
    pub async fn open() -> anyhow::Result<Self> {
        Self::open_with(|_| {}).await
    }

    /// A backend with some of its configuration changed.
    pub async fn open_with(change: impl FnOnce(&mut Config)) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut config = Config::embedded(dir.path().to_owned());
        change(&mut config);
        let backend = Some(Backend::start(config).await?);
        let client = client()?;
        Ok(Self { dir, backend, client })
    }

    /// Stops the backend as SIGTERM does, and starts it over the same files.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        if let Some(backend) = self.backend.take() {
            backend.stop().await;
        }
        self.backend = Some(Backend::start(Config::embedded(self.dir.path().to_owned())).await?);
        Ok(())
    }

    /// Checks that nothing is held any more but what is unknown, and leaves.
    pub async fn leave(mut self) -> anyhow::Result<()> {
        let budgets: BudgetList = self.get(&self.gateway("/budgets")).await?.read()?;
        for budget in budgets.budgets {
            let pending = budget.held_usd - budget.unknown_usd;
            ensure!(pending.is_zero(), "run {} still holds {pending} USD", budget.run_id);
        }
        if let Some(backend) = self.backend.take() {
            backend.stop().await;
        }
        Ok(())
    }

    fn backend(&self) -> &Backend {
        self.backend.as_ref().expect("the backend runs until the house is left")
    }

    /// A URL of the provider router.
    pub fn router(&self, path: &str) -> String {
        format!("http://{}{path}", self.backend().router)
    }

    /// A URL of the gateway.
    pub fn gateway(&self, path: &str) -> String {
        format!("http://{}{path}", self.backend().gateway)
    }

    /// A URL of the event stream.
    pub fn events(&self, path: &str) -> String {
        format!("http://{}{path}", self.backend().events)
    }

    /// The websocket of the event stream.
    pub fn socket(&self, query: &str) -> String {
        format!("ws://{}/events{query}", self.backend().events)
    }

    /// Where the backend keeps its files.
    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// The client, for requests that need more than the verbs here.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// GET.
    pub async fn get(&self, url: &str) -> anyhow::Result<Reply> {
        reply(self.client.get(url)).await
    }

    /// POST of a JSON value.
    pub async fn post(&self, url: &str, body: &Value) -> anyhow::Result<Reply> {
        self.post_text(url, &body.to_string()).await
    }

    /// POST of a text that is sent as it stands, declared to be JSON.
    pub async fn post_text(&self, url: &str, body: &str) -> anyhow::Result<Reply> {
        let request = self.client.post(url).header("content-type", "application/json");
        reply(request.body(body.to_owned())).await
    }

    /// Registers a simulated provider for a model at the simulator's default prices.
    pub async fn register(
        &self,
        name: &str,
        model: &str,
        simulator: &Simulator,
    ) -> anyhow::Result<Reply> {
        self.register_with(name, model, simulator, json!({})).await
    }

    /// The same, with fields of the registration added or replaced.
    pub async fn register_with(
        &self,
        name: &str,
        model: &str,
        simulator: &Simulator,
        extra: Value,
    ) -> anyhow::Result<Reply> {
        let mut body = json!({
            "name": name, "model": model, "context_window": 8192, "endpoint": simulator.url(),
            "cost_per_input_token": "0.00003", "cost_per_output_token": "0.00006",
        });
        for (field, value) in extra.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        let reply = self.post(&self.router("/register"), &body).await?;
        ensure!(reply.status < 300, "{}: {}", reply.status, reply.text);
        Ok(reply)
    }

    /// Sets a budget.
    pub async fn budget(&self, run_id: &str, usd: &str) -> anyhow::Result<BudgetView> {
        let url = self.gateway(&format!("/budget?run_id={run_id}&budget_usd={usd}"));
        reply(self.client.post(url)).await?.read()
    }

    /// Reads a budget.
    pub async fn budget_of(&self, run_id: &str) -> anyhow::Result<BudgetView> {
        self.get(&self.gateway(&format!("/budget/{run_id}"))).await?.read()
    }

    /// Routes one message.
    pub async fn route(&self, run_id: &str, model: &str, message: &str) -> anyhow::Result<Reply> {
        self.post(&self.gateway("/route"), &chat(run_id, model, message)).await
    }

    /// A run's receipts from the API, checked to continue their chain and to equal the file.
    pub async fn receipts(&self, run_id: &str) -> anyhow::Result<Vec<Receipt>> {
        let reply = self.get(&self.gateway(&format!("/receipts/{run_id}"))).await?;
        let list: tollgate_shared::api::ReceiptList = reply.read()?;
        let lines: Vec<&str> = list.receipts.iter().map(|raw| raw.get()).collect();
        let mut chain = Chain::default();
        let receipts = lines
            .iter()
            .map(|line| chain.next(line).context("a receipt does not continue its chain"))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let sum: Usd = receipts.iter().map(|receipt| receipt.cost_usd).sum();
        ensure!(
            sum == list.total_cost_usd,
            "receipts add up to {sum}, not {}",
            list.total_cost_usd
        );
        let path = self.path(&format!("costs/{run_id}.jsonl"));
        let wanted: String = lines.iter().map(|line| format!("{line}\n")).collect();
        until("the receipt file equals the ledger", || {
            std::fs::read_to_string(&path).is_ok_and(|found| found == wanted)
        })
        .await?;
        Ok(receipts)
    }
}

/// A client that asks no proxy. Tests speak plain HTTP; the client wants its TLS chosen all the same.
pub fn client() -> anyhow::Result<reqwest::Client> {
    rustls::crypto::ring::default_provider().install_default().ok();
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// A request for `/route` with one message.
pub fn chat(run_id: &str, model: &str, message: &str) -> Value {
    json!({
        "run_id": run_id, "agent": "tester",
        "requirements": {"model": model},
        "payload": {"messages": [{"role": "user", "content": message}]},
    })
}

/// A simulated provider of a dialect that answers at once.
pub async fn simulator(dialect: Dialect) -> anyhow::Result<Simulator> {
    Ok(Simulator::start(simulate::Config { dialect, ..simulate::Config::default() }).await?)
}

/// A simulated provider at which something goes wrong: `status503:1`, `reset:0.5`.
pub async fn faulty(fault: &str) -> anyhow::Result<Simulator> {
    let faults = vec![fault.parse::<FaultRule>().map_err(anyhow::Error::msg)?];
    Ok(Simulator::start(simulate::Config { faults, ..simulate::Config::default() }).await?)
}

/// The bills of several providers as one.
pub fn billed<'a>(bills: impl IntoIterator<Item = &'a Bill>) -> Usd {
    bills.into_iter().map(|bill| bill.total_cost_usd).sum()
}

/// Waits until something is true; for conditions that another thread brings about.
pub async fn until(what: &str, holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    until_within(Duration::from_secs(20), what, holds).await
}

/// The same with another bound, for what a small machine takes long for.
pub async fn until_within(
    most: Duration,
    what: &str,
    mut holds: impl FnMut() -> bool,
) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + most;
    while !holds() {
        let is_late = tokio::time::Instant::now() >= deadline;
        ensure!(!is_late, "in {most:?} it did not happen that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn reply(request: reqwest::RequestBuilder) -> anyhow::Result<Reply> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Reply { status, headers, text: response.text().await? })
}
