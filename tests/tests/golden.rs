//! Ledgers that older versions left: read, brought up to date, and proved, to the last digit.

use std::path::Path;

use anyhow::{Context, ensure};
use tollgate_backend::simulate::Bill;
use tollgate_shared::api::{AuditList, BudgetView, ReceiptList, UnknownList};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::{Chain, Receipt, Status};
use tollgate_tests::client;
use tollgate_tests::process::Process;

const BACKEND: &str = env!("CARGO_BIN_EXE_backend-under-test");

/// Puts a version's files into a data directory.
fn lay_out(version: &str, dir: &Path) -> anyhow::Result<Bill> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(version);
    for room in ["gateway", "costs"] {
        std::fs::create_dir_all(dir.join(room))?;
    }
    let ledger = rusqlite::Connection::open(dir.join("gateway/ledger.db"))?;
    ledger.execute_batch(&std::fs::read_to_string(golden.join("ledger.sql"))?)?;
    for file in std::fs::read_dir(golden.join("costs"))? {
        let file = file?;
        std::fs::copy(file.path(), dir.join("costs").join(file.file_name()))?;
    }
    Ok(serde_json::from_str(&std::fs::read_to_string(golden.join("bill.json"))?)?)
}

async fn get<T: serde::de::DeserializeOwned>(process: &Process, path: &str) -> anyhow::Result<T> {
    let url = format!("http://{}{path}", process.gateway);
    let text = client()?.get(url).send().await?.text().await?;
    serde_json::from_str(&text).context(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_version_1_is_brought_up_to_date_and_loses_nothing() -> anyhow::Result<()> {
    brought_up_to_date("v1", 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_version_2_is_brought_up_to_date_and_loses_nothing() -> anyhow::Result<()> {
    brought_up_to_date("v2", 7).await
}

async fn brought_up_to_date(version: &str, changes: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let bill = lay_out(version, dir.path())?;
    // Twice: the second start finds nothing left to do.
    for _ in 0..2 {
        let process = Process::start(BACKEND, dir.path())?;
        let budget: BudgetView = get(&process, "/budget/old").await?;
        let list: ReceiptList = get(&process, "/receipts/old").await?;
        let mut chain = Chain::default();
        let receipts: Vec<Receipt> =
            list.receipts.iter().map(|line| chain.next(line.get())).collect::<Result<_, _>>()?;
        let statuses: Vec<Status> = receipts.iter().map(|receipt| receipt.status).collect();
        let in_flight = Status::Unknown;
        assert_eq!(statuses, [Status::Success, Status::Unknown, Status::CutOff, in_flight]);
        let spent: Usd = receipts.iter().map(|receipt| receipt.cost_usd).sum();
        assert_eq!((budget.spent_usd, budget.held_usd), (spent, budget.unknown_usd));
        assert_eq!(budget.uncertain_usd, receipts[2].uncertain_usd);
        for receipt in &receipts {
            let billed =
                bill.attempts.iter().find(|one| one.attempt_id == receipt.attempt_id.as_str());
            let cost = billed.context("it was never billed")?.cost_usd;
            ensure!(cost <= receipt.cost_usd + receipt.uncertain_usd, "{receipt:?}: {cost}");
        }
        let unknowns: UnknownList = get(&process, "/unknowns").await?;
        let agents: Vec<&str> = unknowns.unknowns.iter().map(|one| one.agent.as_str()).collect();
        assert_eq!(agents, ["a-2", "a-1"]);
        // What operators changed before it was known whose hand it was.
        let audit: AuditList = get(&process, "/audit").await?;
        assert_eq!(audit.changes.len(), changes);
        let first = audit.changes.last().context("no change")?;
        assert_eq!((first.who.as_str(), first.what.as_str()), ("local", "budget"));
        ensure!(first.after.contains_key("budget_usd") && first.before.is_empty(), "{first:?}");
        process.kill()?;
        let proved = std::process::Command::new(BACKEND)
            .args(["verify", "--data-dir"])
            .arg(dir.path())
            .output()?;
        ensure!(proved.status.success(), "{}", String::from_utf8_lossy(&proved.stdout));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_a_newer_version_is_left_alone() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    lay_out("v1", dir.path())?;
    let path = dir.path().join("gateway/ledger.db");
    rusqlite::Connection::open(&path)?.pragma_update(None, "user_version", 99)?;
    let before = std::fs::read(&path)?;
    let tried = tollgate_tests::process::serve(BACKEND, dir.path()).output()?;
    assert_eq!(tried.status.code(), Some(5));
    ensure!(std::fs::read(&path)? == before, "it was touched");
    Ok(())
}
