//! The backend as a process: what survives kill -9, what a stop leaves, what a second start finds.

use anyhow::{Context, ensure};
use serde_json::json;
use tollgate_shared::api::{BudgetView, ReceiptList};
use tollgate_shared::money::Usd;
use tollgate_shared::provider::Dialect;
use tollgate_shared::receipt::{Chain, Receipt, Status};
use tollgate_tests::process::{Process, serve};
use tollgate_tests::{chat, client, simulator, until};

const BACKEND: &str = env!("CARGO_BIN_EXE_backend-under-test");

async fn post(url: &str, body: &serde_json::Value) -> anyhow::Result<(u16, String)> {
    let reply = client()?
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await?;
    Ok((reply.status().as_u16(), reply.text().await?))
}

async fn get(url: &str) -> anyhow::Result<String> {
    Ok(client()?.get(url).send().await?.text().await?)
}

async fn prepare(process: &Process, endpoint: &str) -> anyhow::Result<()> {
    let registration = json!({"name": "only", "model": "gpt-4", "context_window": 8192, "endpoint": endpoint,
        "cost_per_input_token": "0.00003", "cost_per_output_token": "0.00006"});
    let (status, text) =
        post(&format!("http://{}/register", process.router), &registration).await?;
    ensure!(status < 300, "{text}");
    let (status, text) = post(
        &format!("http://{}/budget", process.gateway),
        &json!({"run_id": "r", "budget_usd": 5}),
    )
    .await?;
    ensure!(status == 200, "{text}");
    Ok(())
}

async fn receipts(process: &Process) -> anyhow::Result<Vec<Receipt>> {
    let text = get(&format!("http://{}/receipts/r", process.gateway)).await?;
    let list: ReceiptList = serde_json::from_str(&text).with_context(|| text.clone())?;
    let mut chain = Chain::default();
    list.receipts.iter().map(|line| Ok(chain.next(line.get())?)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_flight_at_kill_9_is_unknown_and_charged_at_its_hold() -> anyhow::Result<()> {
    let (dir, provider) = (tempfile::tempdir()?, simulator(Dialect::Openai).await?);
    let process = Process::start(BACKEND, dir.path())?;
    prepare(&process, &provider.url()).await?;
    let route = format!("http://{}/route", process.gateway);
    let (status, _) = post(&route, &chat("r", "gpt-4", "before")).await?;
    assert_eq!(status, 200);
    let hanging: Vec<_> = (0..8)
        .map(|_| {
            let route = route.clone();
            tokio::spawn(
                async move { post(&route, &chat("r", "gpt-4", "[fault:hang] never")).await },
            )
        })
        .collect();
    until("all are billed and none is answered", || provider.bill().count == 9).await?;
    let before = receipts(&process).await?;
    process.kill()?;
    for call in hanging {
        assert!(call.await?.is_err(), "nobody saw an answer");
    }

    // Twice: recovery must be the same the second time.
    for _ in 0..2 {
        let process = Process::start(BACKEND, dir.path())?;
        let after = receipts(&process).await?;
        assert_eq!(after[..before.len()], before[..], "an acknowledged receipt is exact");
        assert_eq!(after.len(), 9, "each request exactly once");
        let bill = provider.bill();
        for receipt in &after[1..] {
            assert_eq!(
                (receipt.status, receipt.error.as_deref()),
                (Status::Unknown, Some("recovered"))
            );
            let billed =
                bill.attempts.iter().find(|entry| entry.attempt_id == receipt.attempt_id.as_str());
            assert!(billed.context("no bill")?.cost_usd <= receipt.cost_usd);
        }
        let text = get(&format!("http://{}/budget/r", process.gateway)).await?;
        let budget: BudgetView = serde_json::from_str(&text)?;
        let spent: Usd = after.iter().map(|receipt| receipt.cost_usd).sum();
        assert_eq!((budget.spent_usd, budget.held_usd), (spent, budget.unknown_usd));
        assert!(budget.spent_usd <= budget.budget_usd.context("no limit")?);
        let file = std::fs::read_to_string(dir.path().join("costs/r.jsonl"))?;
        assert_eq!(file.lines().count(), 9, "the file is complete before anyone can ask");
        process.kill()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_a_request_finish_and_exits_with_zero() -> anyhow::Result<()> {
    let (dir, provider) = (tempfile::tempdir()?, simulator(Dialect::Openai).await?);
    let process = Process::start(BACKEND, dir.path())?;
    prepare(&process, &provider.url()).await?;
    let route = format!("http://{}/route", process.gateway);
    let slow =
        tokio::spawn(
            async move { post(&route, &chat("r", "gpt-4", "[slow:700ms] finish me")).await },
        );
    let budget = format!("http://{}/budget/r", process.gateway);
    loop {
        let view: BudgetView = serde_json::from_str(&get(&budget).await?)?;
        // Either it is in flight, or a busy machine let it finish unseen.
        if !view.held_usd.is_zero() || !view.spent_usd.is_zero() {
            break;
        }
    }
    let ended = tokio::task::spawn_blocking(move || process.terminate()).await??;
    assert_eq!(ended.code(), Some(0));
    assert_eq!(slow.await??.0, 200, "it was answered");
    let process = Process::start(BACKEND, dir.path())?;
    let after = receipts(&process).await?;
    assert_eq!(after.iter().map(|receipt| receipt.status).collect::<Vec<_>>(), [Status::Success]);
    process.kill()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_files_is_refused_in_one_sentence() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let _first = Process::start(BACKEND, dir.path())?;
    let second = serve(BACKEND, dir.path()).output()?;
    let said = String::from_utf8(second.stderr)?;
    assert_eq!(second.status.code(), Some(4), "{said}");
    assert!(said.contains("in use by another backend") && said.lines().count() == 1, "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_with_its_flag() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let tried = std::process::Command::new(BACKEND)
        .args(["serve", "--router-port", "0", "--events-port", "0", "--gateway-port", &port])
        .arg("--data-dir")
        .arg(dir.path())
        .output()?;
    let said = String::from_utf8(tried.stderr)?;
    assert!(!tried.status.success());
    assert!(said.contains(&port) && said.contains("--gateway-port"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_files_are_put_right_from_the_ledger() -> anyhow::Result<()> {
    let (dir, provider) = (tempfile::tempdir()?, simulator(Dialect::Openai).await?);
    let process = Process::start(BACKEND, dir.path())?;
    prepare(&process, &provider.url()).await?;
    let route = format!("http://{}/route", process.gateway);
    let (costs, file) = (dir.path().join("costs"), dir.path().join("costs/r.jsonl"));
    let lines = |count: usize| {
        let file = file.clone();
        move || std::fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == count)
    };
    post(&route, &chat("r", "gpt-4", "one")).await?;
    until("the first line is there", lines(1)).await?;

    // Deleted with its directory while running: made again, whole.
    std::fs::remove_dir_all(&costs)?;
    post(&route, &chat("r", "gpt-4", "two")).await?;
    until("both lines are there again", lines(2)).await?;

    // Edited while stopped: put right, and the edit is kept aside.
    let whole = std::fs::read_to_string(&file)?;
    process.kill()?;
    std::fs::write(&file, whole.replacen("\"cost_usd\":0", "\"cost_usd\":9", 1))?;
    let process = Process::start(BACKEND, dir.path())?;
    let right = || std::fs::read_to_string(&file).is_ok_and(|text| text == whole);
    until("the edit is undone", right).await?;
    let set_aside: Vec<_> = std::fs::read_dir(dir.path().join("quarantine"))?.collect();
    assert_eq!(set_aside.len(), 1, "and kept for looking at");
    let route = format!("http://{}/route", process.gateway);
    post(&route, &chat("r", "gpt-4", "three")).await?;
    until("three lines are there", lines(3)).await?;
    process.kill()?;

    // Cut in the middle of a line while stopped: completed.
    let whole = std::fs::read_to_string(&file)?;
    std::fs::write(&file, &whole[..whole.len() - 40])?;
    let process = Process::start(BACKEND, dir.path())?;
    assert_eq!(std::fs::read_to_string(&file)?, whole);

    // Something that is no file in its place: the ledger goes on, health says so.
    std::fs::remove_file(&file)?;
    std::fs::create_dir(&file)?;
    let route = format!("http://{}/route", process.gateway);
    assert_eq!(post(&route, &chat("r", "gpt-4", "four")).await?.0, 200);
    let health = format!("http://{}/health", process.gateway);
    loop {
        let text = get(&health).await?;
        if text.contains("degraded") {
            break;
        }
    }
    std::fs::remove_dir(&file)?;
    until("all four lines are there", lines(4)).await?;
    process.kill()
}
