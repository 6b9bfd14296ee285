//! What an operator asks of the program, and of a backend that somebody meddles with.

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::json;
use tollgate_backend::verify::{Beside, verify};
use tollgate_shared::receipt::{Receipt, Status};
use tollgate_tests::{House, chat, simulator, until};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_what_a_stranger_changed() -> anyhow::Result<()> {
    let site = Site::new().await?;
    worked(&site).await?;
    let clean = verb("verify", site.path(), &["--json"])?;
    assert_eq!(clean.code, Some(0), "{clean:?}");
    let report: serde_json::Value = serde_json::from_str(&clean.text)?;
    assert_eq!((&report["receipts"], &report["repriced"]), (&json!(3), &json!(3)));
    let rows = [
        ("UPDATE runs SET posted = posted - 1 WHERE run_id = 'r'", "account", true),
        ("UPDATE runs SET posted = 0 WHERE run_id = 'root'", "account", true),
        ("UPDATE runs SET pending = 5", "account", true),
        ("UPDATE accounts SET posted = posted + 1", "account", false),
        ("UPDATE runs SET seq = 2 WHERE run_id = 'r'", "page", true),
        ("UPDATE attempts SET charged = charged + 1 WHERE request_id = 'two'", "charged", true),
        ("UPDATE attempts SET held = 0", "held", false),
        ("UPDATE attempts SET state = 'voided' WHERE request_id = 'two'", "state", false),
        ("UPDATE attempts SET seq = 1", "place", false),
        ("DELETE FROM attempts WHERE request_id = 'two'", "attempt_missing", true),
        ("UPDATE attempts SET attempt_id = 'x'", "doubled", false),
        ("DELETE FROM receipts WHERE seq = 2", "chain", false),
        ("UPDATE receipts SET line = replace(line, '\"only\"', '\"ours\"')", "chain", true),
        ("UPDATE receipts SET cost = 0", "row", false),
        ("UPDATE price_cards SET card = replace(card, '0.00006', '0.00007')", "price", false),
        ("DELETE FROM runs WHERE run_id = 'r'", "stray", true),
    ];
    for (sql, code, stops_a_start) in rows {
        let dir = site.copy()?;
        rusqlite::Connection::open(ledger(dir.path()))?.execute(sql, [])?;
        let found = verb("verify", dir.path(), &[])?;
        assert_eq!(found.code, Some(3), "{sql}: {found:?}");
        let told = |line: &str| line.starts_with(&format!("finding {code} run="));
        assert!(found.text.lines().any(told), "{sql}: no `{code}` in {found:?}");
        if stops_a_start {
            assert_eq!(refused(dir.path())?.code, Some(3), "{sql}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_proved_and_written_again() -> anyhow::Result<()> {
    let site = Site::new().await?;
    worked(&site).await?;
    let file = site.path().join("costs/r.jsonl");
    let whole = fs::read_to_string(&file)?;
    for (text, code, set_aside) in [
        (whole.replacen("\"cost_usd\":0", "\"cost_usd\":7", 1), "file_altered", 1),
        (whole[..whole.len() - 30].to_owned(), "file_behind", 0),
        (String::new(), "file_behind", 0),
        (format!("{whole}{{\"cost_usd\":9}}\n"), "file_altered", 1),
    ] {
        let dir = site.copy()?;
        let file = dir.path().join("costs/r.jsonl");
        fs::write(&file, &text)?;
        let found = verb("verify", dir.path(), &[])?;
        assert_eq!(found.code, Some(3), "{found:?}");
        assert!(found.text.contains(&format!("finding {code} run=r")), "{found:?}");
        let rebuilt = verb("rebuild", dir.path(), &[])?;
        assert_eq!(rebuilt.code, Some(0), "{rebuilt:?}");
        assert!(rebuilt.text.contains(&format!("files_set_aside={set_aside}")), "{rebuilt:?}");
        assert_eq!(fs::read_to_string(&file)?, whole);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_taken_while_it_serves_and_put_back_with_its_loss_said() -> anyhow::Result<()> {
    let site = Site::new().await?;
    let old = worked(&site).await?;
    let from = old.to_string_lossy().into_owned();
    let taken = verb("backup", site.path(), &["--to", &from])?;
    assert_eq!(taken.code, Some(1), "a copy is never overwritten: {taken:?}");
    let asked = verb("restore", site.path(), &["--from", &from])?;
    assert_eq!(asked.code, Some(1), "{asked:?}");
    let (_, lose) = asked.text.split_once("--lose ").context("no number")?;
    let lose: String = lose.chars().take_while(char::is_ascii_digit).collect();
    let wrong = verb("restore", site.path(), &["--from", &from, "--lose", "1"])?;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    let restored = verb("restore", site.path(), &["--from", &from, "--lose", &lose])?;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(restored.text.contains("receipts 2 to 3 are taken back"), "{restored:?}");
    let process = site.start()?;
    let view = budget(&process).await?;
    assert_eq!(view.spent_usd, site.billed());
    assert_eq!(serde_json::to_value(view.state)?, "frozen");
    process.kill()?;
    // A copy that was tampered with is not put back.
    rusqlite::Connection::open(&old)?.execute("UPDATE runs SET posted = 0", [])?;
    fs::remove_file(site.path().join("gateway/ledger.db-wal")).ok();
    let bad = verb("restore", site.path(), &["--from", &from, "--lose", "99"])?;
    assert_eq!(bad.code, Some(3), "{bad:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_the_directory_alone_is_refused_while_it_serves() -> anyhow::Result<()> {
    let site = Site::new().await?;
    let _process = site.prepared().await?;
    for more in [&[][..], &["--from-receipts"]] {
        let said = verb("rebuild", site.path(), more)?;
        assert_eq!(said.code, Some(4), "{said:?}");
    }
    assert_eq!(verb("restore", site.path(), &["--from", "x"])?.code, Some(4));
    assert_eq!(verb("verify", site.path(), &[])?.code, Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_resolved_by_evidence() -> anyhow::Result<()> {
    let site = Site::new().await?;
    let process = site.prepared().await?;
    let route = format!("http://{}/route", process.gateway);
    let hanging =
        tokio::spawn(async move { post(&route, &chat("r", "gpt-4", "[fault:hang] never")).await });
    until("it is billed", || site.provider.bill().count == 1).await?;
    process.kill()?;
    ensure!(hanging.await?.is_err());
    let process = site.start()?;
    let line = fs::read_to_string(site.path().join("costs/r.jsonl"))?;
    let receipt: Receipt = serde_json::from_str(line.trim())?;
    assert_eq!(receipt.status, Status::Unknown);
    let gateway = format!("http://{}", process.gateway);
    let bill = site.billed().to_string();
    let resolve = |more: &[&str]| {
        let mut command = Command::new(BACKEND);
        command.arg("resolve").arg(receipt.attempt_id.as_str()).args(["--gateway", &gateway]);
        said(command.args(["--evidence", "the provider's invoice"]).args(more))
    };
    assert_eq!(resolve(&[])?.code, Some(2), "posted or voided must be said");
    let done = resolve(&["--posted", &bill, "--by", "an accountant"])?;
    assert_eq!(done.code, Some(0), "{done:?}");
    let correction: Receipt = serde_json::from_str(done.text.trim())?;
    assert_eq!((correction.status, correction.corrects), (Status::Correction, Some(1)));
    assert_eq!(receipt.cost_usd + correction.cost_usd, site.billed());
    assert_eq!(budget(&process).await?.spent_usd, site.billed());
    let again = resolve(&["--voided"])?;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.text.contains("unknown_attempt"), "{again:?}");
    lines(site.path(), 2).await?;
    process.kill()?;
    without_ledger(site.path());
    let rebuilt = verb("rebuild", site.path(), &["--from-receipts"])?;
    assert_eq!(rebuilt.code, Some(0), "a correction is taken back too: {rebuilt:?}");
    Ok(())
}

#[test]
fn check_prints_what_serve_would_take_and_names_what_is_wrong() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("tollgate.toml");
    let check = |text: &str| {
        fs::write(&file, text)?;
        let mut command = Command::new(BACKEND);
        said(command.current_dir(dir.path()).arg("check").arg("--config").arg(&file))
    };
    let good = check("gateway_port = 7\ndefault_budget_usd = \"0.10\"")?;
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.text.contains("gateway_port = 7\n"), "{good:?}");
    assert!(good.text.contains("default_budget_usd = \"0.1\"\n"), "{good:?}");
    let again = check(&good.text)?;
    assert_eq!((again.code, &again.text), (Some(0), &good.text), "it can be read back");
    for (text, named) in [("gatewy_port = 7", "gatewy_port"), ("bind = \"0.0.0.0\"", "bind")] {
        let bad = check(text)?;
        assert_eq!(bad.code, Some(2), "{bad:?}");
        assert!(bad.text.contains(named), "{bad:?}");
    }
    assert_eq!(fs::read_dir(dir.path())?.count(), 1, "nothing is made");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_stranger_edits_stops_admission() -> anyhow::Result<()> {
    for sql in [
        "UPDATE runs SET posted = 0 WHERE run_id = 'r'",
        "UPDATE attempts SET charged = 0",
        "UPDATE receipts SET line = replace(line, '\"only\"', '\"ours\"')",
        "UPDATE attempts SET state = 'pending'",
    ] {
        let every = std::time::Duration::from_millis(20);
        let house = House::open_with(|config| config.audit_every = every).await?;
        let provider = simulator(Dialect::Openai).await?;
        house.register("only", "gpt-4", &provider).await?;
        house.budget("r", "5").await?;
        assert_eq!(house.route("r", "gpt-4", "before").await?.status, 200);
        let health = house.get(&house.gateway("/health")).await?;
        assert_eq!(health.json()["status"], "healthy", "{}", health.text);
        let stranger = rusqlite::Connection::open(house.path("gateway/ledger.db"))?;
        stranger.busy_timeout(std::time::Duration::from_secs(5))?;
        stranger.execute(sql, [])?;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let health = house.get(&house.gateway("/health")).await?;
            if health.json()["status"] == "degraded" {
                break;
            }
            ensure!(std::time::Instant::now() < deadline, "{sql}: not found");
        }
        let reply = house.route("r", "gpt-4", "after").await?;
        assert!(reply.status >= 500, "{sql}: {} {}", reply.status, reply.text);
        assert_eq!(provider.bill().count, 1, "{sql}: nothing was sent");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_ledger_is_never_accused() -> anyhow::Result<()> {
    let every = std::time::Duration::from_millis(2);
    let house = House::open_with(|config| config.audit_every = every).await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    let budgets = house.gateway("/budget");
    for body in [
        json!({"run_id": "root", "budget_usd": 50, "period": "day"}),
        json!({"run_id": "a", "budget_usd": 40, "parent": "root"}),
        json!({"run_id": "b", "budget_usd": 40, "parent": "a"}),
        json!({"run_id": "b", "agent": "tester", "budget_usd": 30}),
    ] {
        let reply = house.post(&budgets, &body).await?;
        ensure!(reply.status == 200, "{}", reply.text);
    }
    let mut going = tokio::task::JoinSet::new();
    for index in 0..120 {
        let run_id = ["root", "a", "b"][index % 3];
        let text = ["plain", "[fault:reset] x", "[fault:status503] x", "[slow:20ms] x"][index % 4];
        let request = house.client().post(house.gateway("/route"));
        let body = chat(run_id, "gpt-4", text).to_string();
        going.spawn(request.header("content-type", "application/json").body(body).send());
    }
    while let Some(done) = going.join_next().await {
        done??;
    }
    let mut resolved = 0;
    let unknowns = house.get(&house.gateway("/unknowns")).await?.json();
    for unknown in unknowns["unknowns"].as_array().context("no list")? {
        let attempt_id = unknown["attempt_id"].as_str().context("no attempt id")?;
        let url = house.gateway(&format!("/unknowns/{attempt_id}/resolve"));
        let body = json!({"outcome": "posted", "cost_usd": "0.001", "evidence": "an invoice"});
        ensure!(house.post(&url, &body).await?.status == 200);
        resolved += 1;
    }
    ensure!(resolved > 0, "nothing was unknown: {unknowns}");
    let costs = house.path("costs");
    let report = verify(&house.path("gateway/ledger.db"), Some(&costs), Beside::Backend)?;
    assert_eq!(report.findings, []);
    ensure!(report.receipts >= 60, "{report:?}");
    let health = house.get(&house.gateway("/health")).await?;
    assert_eq!(health.json()["status"], "healthy", "{}", health.text);
    house.leave().await
}
