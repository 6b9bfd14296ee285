//! What an operator meets when a ledger is lost, spoilt, old or touched, and what gets it back: the
//! program as a process, its exit codes and its words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::json;
use tempfile::TempDir;
use tollgate_backend::simulate::Simulator;
use tollgate_shared::api::BudgetView;
use tollgate_shared::money::Usd;
use tollgate_shared::provider::Dialect;
use tollgate_tests::process::{Process, serve};
use tollgate_tests::{chat, client, simulator, until};

#[path = "operator/loss.rs"]
mod loss;
#[path = "operator/verbs.rs"]
mod verbs;

const BACKEND: &str = env!("CARGO_BIN_EXE_backend-under-test");

/// What a verb answered.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    text: String,
}

/// A data directory that a backend has worked in, and the provider it spent at.
struct Site {
    dir: TempDir,
    provider: Simulator,
}

impl Site {
    async fn new() -> anyhow::Result<Self> {
        Ok(Self { dir: tempfile::tempdir()?, provider: simulator(Dialect::Openai).await? })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn start(&self) -> anyhow::Result<Process> {
        start(self.path())
    }

    /// A backend with a provider, and a run `r` of 5 USD below a run `root`.
    async fn prepared(&self) -> anyhow::Result<Process> {
        let process = self.start()?;
        let registration = json!({"name": "only", "model": "gpt-4", "context_window": 8192,
            "endpoint": self.provider.url(), "cost_per_input_token": "0.00003",
            "cost_per_output_token": "0.00006"});
        let budget = json!({"run_id": "r", "budget_usd": 5, "parent": "root"});
        post(&format!("http://{}/register", process.router), &registration).await?;
        post(&format!("http://{}/budget", process.gateway), &budget).await?;
        Ok(process)
    }

    /// Another directory with the same files.
    fn copy(&self) -> anyhow::Result<TempDir> {
        let dir = tempfile::tempdir()?;
        copy(self.path(), dir.path())?;
        Ok(dir)
    }

    fn billed(&self) -> Usd {
        self.provider.bill().total_cost_usd
    }
}

fn start(dir: &Path) -> anyhow::Result<Process> {
    Process::spawn(quiet(dir))
}

/// `serve` without a reserve on the disk, which no test here needs.
fn quiet(dir: &Path) -> Command {
    let mut command = serve(BACKEND, dir);
    command.args(["--ballast-mib", "0", "--storage-low-water-mib", "0"]);
    command.stderr(std::process::Stdio::null());
    command
}

/// A start that must not succeed.
fn refused(dir: &Path) -> anyhow::Result<Said> {
    let mut command = quiet(dir);
    command.stderr(std::process::Stdio::piped());
    said(&mut command)
}

fn verb(name: &str, dir: &Path, more: &[&str]) -> anyhow::Result<Said> {
    said(Command::new(BACKEND).arg(name).arg("--data-dir").arg(dir).args(more))
}

fn said(command: &mut Command) -> anyhow::Result<Said> {
    let output = command.output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(Said { code: output.status.code(), text: String::from_utf8(text)? })
}

async fn post(url: &str, body: &serde_json::Value) -> anyhow::Result<(u16, String)> {
    let request = client()?.post(url).header("content-type", "application/json");
    let reply = request.body(body.to_string()).send().await?;
    Ok((reply.status().as_u16(), reply.text().await?))
}

async fn ask(process: &Process, request_id: &str, text: &str) -> anyhow::Result<(u16, String)> {
    let mut body = chat("r", "gpt-4", text);
    body["request_id"] = request_id.into();
    post(&format!("http://{}/route", process.gateway), &body).await
}

async fn budget(process: &Process) -> anyhow::Result<BudgetView> {
    let url = format!("http://{}/budget/r", process.gateway);
    let text = client()?.get(url).send().await?.text().await?;
    serde_json::from_str(&text).with_context(|| text.clone())
}

/// Waits until the file of run `r` has so many lines.
async fn lines(dir: &Path, count: usize) -> anyhow::Result<()> {
    let file = dir.join("costs/r.jsonl");
    let there = || fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == count);
    until("the receipts are in their file", there).await
}

fn copy(source: &Path, target: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(source)? {
        let (entry, to) = (entry?.path(), target.to_owned());
        let to = to.join(entry.file_name().context("a file without a name")?);
        if entry.is_dir() {
            fs::create_dir_all(&to)?;
            copy(&entry, &to)?;
        } else {
            fs::copy(&entry, &to)?;
        }
    }
    Ok(())
}

fn ledger(dir: &Path) -> PathBuf {
    dir.join("gateway/ledger.db")
}

fn without_ledger(dir: &Path) {
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        fs::remove_file(dir.join("gateway").join(name)).ok();
    }
}

/// Three answered requests, a copy of the ledger after the first, and a clean stop.
async fn worked(site: &Site) -> anyhow::Result<PathBuf> {
    let process = site.prepared().await?;
    let old = site.path().join("copy.db");
    for request_id in ["one", "two", "three"] {
        let (status, text) = ask(&process, request_id, request_id).await?;
        ensure!(status == 200, "{text}");
        if request_id == "one" {
            let copied = verb("backup", site.path(), &["--to", &old.to_string_lossy()])?;
            ensure!(copied.code == Some(0), "{copied:?}");
        }
    }
    lines(site.path(), 3).await?;
    ensure!(process.terminate()?.success());
    Ok(old)
}
