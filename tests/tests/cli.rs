//! The command line as a script meets it: a real program, a real backend, exit codes and words.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_backend::simulate::Simulator;
use tollgate_shared::provider::Dialect;
use tollgate_tests::{House, simulator};

#[path = "cli/files.rs"]
mod files;
#[path = "cli/live.rs"]
mod live;
#[path = "cli/verbs.rs"]
mod verbs;

const CONSOLE: &str = env!("CARGO_BIN_EXE_console-under-test");

/// A backend with a provider, and a home for the person who asks.
struct Desk {
    house: House,
    provider: Simulator,
    home: TempDir,
}

/// What the program said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Desk {
    /// A backend, a provider `only` for `gpt-4`, nothing spent yet.
    async fn new() -> anyhow::Result<Self> {
        let (house, provider) = (House::open().await?, simulator(Dialect::Openai).await?);
        house.register("only", "gpt-4", &provider).await?;
        Ok(Self { house, provider, home: tempfile::tempdir()? })
    }

    /// The program with these words, looking at this backend.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = plain(&self.home);
        command.env("TOLLGATE_GATEWAY", self.house.gateway(""));
        command.env("TOLLGATE_ROUTER", self.house.router(""));
        command.env("TOLLGATE_EVENTS", self.house.socket(""));
        command.args(words);
        command
    }

    /// Runs it to its end.
    async fn say(&self, words: &[&str]) -> anyhow::Result<Said> {
        said(self.command(words)).await
    }

    /// Runs it, and expects it to succeed.
    async fn done(&self, words: &[&str]) -> anyhow::Result<String> {
        let said = self.say(words).await?;
        ensure!(said.code == Some(0), "{words:?}: {said:?}");
        ensure!(said.err.is_empty(), "{words:?} complains: {}", said.err);
        Ok(said.out)
    }

    /// Runs it, and reads its answer as JSON; shapes only, not money.
    async fn json(&self, words: &[&str]) -> anyhow::Result<Value> {
        let out = self.done(words).await?;
        serde_json::from_str(&out).with_context(|| out.clone())
    }

    /// An answered request of a run.
    async fn spend(&self, run: &str, message: &str) -> anyhow::Result<()> {
        let reply = self.house.route(run, "gpt-4", message).await?;
        ensure!(reply.status == 200, "{}", reply.text);
        Ok(())
    }

    /// Writes a configuration file.
    fn file(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.home.path().join("config/tollgate").join(name);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(std::fs::write(path, text)?)
    }
}

/// The program without any backend, with a home of its own and nothing of ours in its environment.
fn plain(home: &TempDir) -> Command {
    let mut command = Command::new(CONSOLE);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home.path()).env("TZ", "UTC").env("TERM", "xterm-256color");
    command.env("TOLLGATE_OPERATOR", "kim");
    for (name, folder) in
        [("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state"), ("XDG_CACHE_HOME", "cache")]
    {
        command.env(name, home.path().join(folder));
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command in a thread of its own: the backend works in ours.
async fn said(mut command: Command) -> anyhow::Result<Said> {
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok(Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

/// A server that answers everything in one way, as another version or another program would.
async fn strange(status: u16, body: &'static str) -> anyhow::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let answer =
        move || async move { (axum::http::StatusCode::from_u16(status).expect("a status"), body) };
    let app = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(format!("http://{address}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_has_its_code_and_a_sentence() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    let older = strange(404, r#"{"error":{"code":"not_found","message":"no such route"}}"#).await?;
    let other = strange(200, "<html>").await?;
    let rows: [(&[&str], i32, &str); 10] = [
        (&["fly"], 2, "unrecognized subcommand"),
        (&["budget", "set", "r", "0"], 2, "not above 0"),
        (&["budget", "set", "r", "+5"], 2, "no budget yet"),
        (&["budget", "show", "nobody"], 4, "unknown_run"),
        (&["providers", "show", "nobody"], 4, "unknown_provider"),
        (&["explain", "nothing"], 4, "unknown_request"),
        (&["runs", "--gateway", "http://127.0.0.1:1"], 3, "no answer from http://127.0.0.1:1"),
        (&["runs", "--gateway", &older], 6, "older than this program"),
        (&["runs", "--gateway", &other], 1, "is it a tollgate?"),
        (&["receipts", "r", "--where", "cost>abc"], 2, "^^^^^^^^"),
    ];
    for (words, code, sentence) in rows {
        let said = desk.say(words).await?;
        ensure!(said.code == Some(code), "{words:?} is {code}: {said:?}");
        ensure!(said.err.contains(sentence), "{words:?}: {said:?}");
        ensure!(said.out.is_empty(), "{words:?} prints nothing: {said:?}");
    }
    let help = desk.done(&["--help"]).await?;
    ensure!(help.contains("6  the backend is older"), "{help}");
    desk.house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_printed_without_a_backend_and_with_a_broken_file() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    std::fs::create_dir_all(home.path().join("config/tollgate"))?;
    std::fs::write(home.path().join("config/tollgate/config.toml"), "nonsense")?;
    let rows: [(&[&str], &str); 4] = [
        (&["completions", "bash"], "complete -F _tollgate"),
        (&["completions", "zsh"], "#compdef tollgate"),
        (&["completions", "fish"], "complete -c tollgate"),
        (&["man"], ".TH tollgate 1"),
    ];
    for (words, wanted) in rows {
        let mut command = plain(&home);
        command.args(words);
        let said = said(command).await?;
        ensure!(said.code == Some(0) && said.out.contains(wanted), "{words:?}: {said:?}");
    }
    Ok(())
}

/// A registration that the tests send more than once.
fn registration(desk: &Desk) -> Value {
    json!({"name": "second", "model": "gpt-4", "context_window": 8192,
        "endpoint": desk.provider.url(), "cost_per_input_token": 0.00003,
        "cost_per_output_token": 0.00006})
}
