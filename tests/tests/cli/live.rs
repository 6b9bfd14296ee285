//! Verbs that go on: followed receipts, sentences, and the status line's memory.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tollgate_shared::receipt::{Chain, Receipt};
use tollgate_tests::until;

use super::{Desk, plain, said};

/// A program that goes on, and its lines as they come.
pub(super) struct Stream {
    child: Child,
    lines: Receiver<String>,
}

impl Stream {
    pub(super) fn start(mut command: std::process::Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let out = BufReader::new(child.stdout.take().context("no stdout")?);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// The next line; while it waits, the backend works on.
    fn next(&self) -> anyhow::Result<String> {
        let line = || self.lines.recv_timeout(Duration::from_secs(20));
        tokio::task::block_in_place(line).context("no line came in time")
    }

    /// The next line that holds these words.
    pub(super) fn find(&self, words: &str) -> anyhow::Result<String> {
        let mut seen = Vec::new();
        loop {
            let line = self.next().with_context(|| format!("`{words}` is not in {seen:#?}"))?;
            if line.contains(words) {
                return Ok(line);
            }
            seen.push(line);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_printed_with_every_byte_and_followed_without_a_gap() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    for message in ["one", "two"] {
        desk.spend("r", message).await?;
    }
    desk.house.receipts("r").await?;
    let file = std::fs::read_to_string(desk.house.path("costs/r.jsonl"))?;
    ensure!(desk.done(&["receipts", "r", "--json"]).await? == file);
    let csv = desk.done(&["receipts", "r", "--csv"]).await?;
    ensure!(csv.lines().count() == 3 && csv.starts_with("timestamp,run_id,seq,"), "{csv}");
    let none = desk.done(&["receipts", "r", "--json", "--where", "cost>1000"]).await?;
    ensure!(none.is_empty(), "{none}");

    let following = Stream::start(desk.command(&["receipts", "r", "--follow", "--json"]))?;
    let everyone = Stream::start(desk.command(&["receipts", "--follow", "--json"]))?;
    let (mut chain, mut count) = (Chain::default(), 0);
    let mut follow = |wanted: u64| -> anyhow::Result<()> {
        while count < wanted {
            chain.next(&following.next()?).context("a line does not continue the chain")?;
            count += 1;
        }
        Ok(())
    };
    follow(2)?;
    // A run that is followed before it begins, and one more that nobody asked about.
    let later = Stream::start(desk.command(&["receipts", "later", "--follow"]))?;
    for message in ["three", "four", "five"] {
        desk.spend("r", message).await?;
        desk.spend("later", message).await?;
    }
    follow(5)?;
    ensure!(later.next()?.starts_with("TIME "), "a heading comes first");
    for _ in 0..3 {
        ensure!(later.next()?.contains(" later "));
    }
    let seen: Receipt = serde_json::from_str(&everyone.next()?)?;
    ensure!(seen.seq > 0 && ["r", "later"].contains(&seen.run_id.as_str()), "{seen:?}");
    desk.house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_each_change_is_a_sentence() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    desk.done(&["budget", "set", "old", "5"]).await?;
    for words in [&["plain"][..], &[]] {
        let stream = Stream::start(desk.command(words))?;
        ensure!(stream.next()?.starts_with("tollgate "));
        stream.find(" run")?;
        desk.done(&["pause", "old"]).await?;
        stream.find("Run old is paused.")?;
        desk.done(&["resume", "old"]).await?;
        stream.find("Run old is open.")?;
        let raised = desk.done(&["budget", "raise", "old", "1"]).await?;
        let line = stream.find("Run old goes on with a limit of $")?;
        ensure!(!line.contains('\x1b') && raised.starts_with("old: $"), "{line:?}");
    }
    // A new run, a circuit, a provider that goes.
    let stream = Stream::start(desk.command(&["plain", "--receipts"]))?;
    stream.find("Tollgate at ")?;
    desk.spend("new", "hello").await?;
    stream.find("tester of run new paid $")?;
    desk.done(&["circuit", "only", "open", "--why", "drill"]).await?;
    stream.find("The circuit of only is open: drill.")?;
    desk.done(&["providers", "remove", "only"]).await?;
    stream.find("Provider only takes no more traffic.")?;
    desk.house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_is_no_failure() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    desk.spend("r", "hello").await?;
    let mut command = desk.command(&["receipts", "r", "--follow", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let out = child.stdout.take().context("no stdout")?;
    let mut line = String::new();
    tokio::task::block_in_place(|| BufReader::new(out).read_line(&mut line))?;
    // The pipe is closed now; the next receipts find nobody.
    let mut status = None;
    until("the program ends by itself", || {
        status = child.try_wait().ok().flatten();
        if status.is_none() {
            let spend = desk.spend("r", "more");
            let done =
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(spend));
            done.expect("the backend works");
        }
        status.is_some()
    })
    .await?;
    ensure!(status.and_then(|status| status.code()) == Some(0), "{status:?}");
    desk.house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_line_remembers_and_says_how_old_it_is() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    desk.spend("r", "hello").await?;
    let line = desk.done(&["status"]).await?;
    ensure!(line.starts_with('$') && line.contains("/m") && line.ends_with("○\n"), "{line}");
    let own = desk.done(&["status", "--format", "{profile} {alerts}"]).await?;
    ensure!(own == "local ○\n", "{own}");
    let wrong = desk.say(&["status", "--format", "{brun}"]).await?;
    ensure!(wrong.code == Some(2) && wrong.err.contains("known: burn"), "{wrong:?}");

    // What is in the cache and young is printed without asking anybody.
    let folder = desk.home.path().join("cache/tollgate");
    let cache = std::fs::read_dir(&folder)?.next().context("no cache")??.path();
    let mut status = desk.json(&["status", "--json"]).await?;
    status["run"] = json!("from-the-cache");
    status["runway_s"] = json!(60);
    let mut remembered = String::new();
    // On a busy machine the program may start more than a second after the file was written.
    for _ in 0..20 {
        status["at"] = json!(now());
        std::fs::write(&cache, status.to_string())?;
        remembered = desk.done(&["status"]).await?;
        if remembered.contains("from-the-cache") {
            break;
        }
    }
    ensure!(remembered.contains("from-the-cache 1m"), "{remembered}");

    // Nobody answers: what was known is shown, with its age.
    let mut old = status.clone();
    old["at"] = json!("2026-01-01T00:00:00Z");
    std::fs::write(&cache, old.to_string())?;
    let address = desk.house.gateway("");
    let (home, provider) = (desk.home, desk.provider);
    desk.house.leave().await?;
    let mut command = plain(&home);
    command.args(["status", "--gateway", &address]);
    let late = said(command).await?;
    ensure!(late.code == Some(3) && late.out.starts_with("✖ "), "{late:?}");
    ensure!(late.out.contains(" ago $") && late.out.contains("from-the-cache"), "{late:?}");
    drop(provider);
    Ok(())
}

/// This machine's clock, as the wire writes it.
fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let micros = i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or_default();
    tollgate_shared::time::Timestamp::from_micros(micros).to_string()
}
