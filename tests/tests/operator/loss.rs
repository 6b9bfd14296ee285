//! A ledger that is gone, damaged, old or not ours: a start misses it, and receipts bring it back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::json;

use super::*;

/// Every file beneath a directory with its bytes, save what SQLite keeps for readers alone.
fn contents(dir: &Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let (mut found, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|kind| kind != "db-shm") {
                found.push((path.clone(), fs::read(&path)?));
            }
        }
    }
    found.retain(|(path, bytes)| !(path.ends_with("ledger.db-wal") && bytes.is_empty()));
    found.sort();
    Ok(found)
}

/// A start is refused with 3 and one sentence, and leaves every byte as it was.
fn assert_refused(dir: &Path, words: &str) -> anyhow::Result<()> {
    let before = contents(dir)?;
    let start = refused(dir)?;
    assert_eq!(start.code, Some(3), "{start:?}");
    assert_eq!(start.text.lines().count(), 1, "{start:?}");
    assert!(start.text.contains(words), "no `{words}` in {start:?}");
    assert!(start.text.contains("rebuild --from-receipts"), "{start:?}");
    assert!(contents(dir)? == before, "something was touched");
    Ok(())
}

/// The ledger comes back from receipts, proves itself, and has what the provider billed.
async fn assert_taken_back(site: &Site, dir: &Path, limit: Option<&str>) -> anyhow::Result<()> {
    let rebuilt = verb("rebuild", dir, &["--from-receipts"])?;
    assert_eq!(rebuilt.code, Some(0), "{rebuilt:?}");
    assert!(rebuilt.text.contains("frozen r\n"), "{rebuilt:?}");
    let process = start(dir)?;
    let view = budget(&process).await?;
    assert_eq!(view.spent_usd, site.billed(), "{rebuilt:?}");
    assert_eq!(view.budget_usd.map(|limit| limit.to_string()).as_deref(), limit, "{rebuilt:?}");
    assert_eq!(serde_json::to_value(view.state)?, "frozen");
    let count = site.provider.bill().count;
    for request_id in ["one", "two", "three"] {
        let (status, text) = ask(&process, request_id, request_id).await?;
        assert!((400..500).contains(&status), "{status} {text}");
    }
    // With a note a person lets it go on, and what was done stays done.
    let resume = format!("http://{}/runs/r/resume", process.gateway);
    assert_eq!(post(&resume, &json!({"note": "looked at it"})).await?.0, 200);
    for request_id in ["one", "two", "three"] {
        let (status, text) = ask(&process, request_id, request_id).await?;
        assert!((400..500).contains(&status), "{status} {text}");
    }
    assert_eq!(site.provider.bill().count, count, "a request was sent twice");
    assert_eq!(ask(&process, &format!("fresh-{count}"), "go on").await?.0, 200);
    assert!(process.terminate()?.success());
    let proved = verb("verify", dir, &[])?;
    assert_eq!(proved.code, Some(0), "{proved:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_gone_is_missed_and_made_from_its_receipts() -> anyhow::Result<()> {
    let site = Site::new().await?;
    worked(&site).await?;
    without_ledger(site.path());
    assert_refused(site.path(), "there is no ledger")?;
    assert_taken_back(&site, site.path(), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_older_than_its_receipts_is_refused_and_keeps_its_limits() -> anyhow::Result<()> {
    let site = Site::new().await?;
    let old = worked(&site).await?;
    let dir = site.copy()?;
    without_ledger(dir.path());
    fs::copy(&old, ledger(dir.path()))?;
    assert_refused(dir.path(), "were acknowledged")?;
    // The mark is a hint that a power cut can take: receipts tell the same.
    fs::remove_file(dir.path().join("gateway/mark"))?;
    assert_refused(dir.path(), "receipt 3 of run `r`")?;
    assert_taken_back(&site, dir.path(), Some("5")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_ledger_without_any_receipt_file_is_given_away_by_its_mark() -> anyhow::Result<()> {
    let site = Site::new().await?;
    let old = worked(&site).await?;
    without_ledger(site.path());
    fs::copy(&old, ledger(site.path()))?;
    fs::remove_dir_all(site.path().join("costs"))?;
    let start = refused(site.path())?;
    assert_eq!(start.code, Some(3), "{start:?}");
    // A mark that a power cut left full of zeros is no evidence of anything.
    fs::write(site.path().join("gateway/mark"), [0; 21])?;
    assert_eq!(start_and_stop(site.path())?, Some(0));
    Ok(())
}

fn start_and_stop(dir: &Path) -> anyhow::Result<Option<i32>> {
    Ok(start(dir)?.terminate()?.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ledger_is_not_believed() -> anyhow::Result<()> {
    let site = Site::new().await?;
    worked(&site).await?;
    let whole = fs::read(ledger(site.path()))?;
    let pages = whole.len() / 4096;
    ensure!(pages > 8, "the ledger has only {pages} pages");
    for (name, spoil) in [
        ("a header of zeros", (0, 100, 0)),
        ("an inner page of ones", (3 * 4096, 4096, 0xff)),
        ("most pages of noise", (4096, (pages - 1) * 4096, 0x5a)),
    ] {
        let dir = site.copy()?;
        let (at, length, byte) = spoil;
        let mut bytes = whole.clone();
        bytes[at..at + length].fill(byte);
        fs::write(ledger(dir.path()), bytes)?;
        let start = refused(dir.path())?;
        assert_eq!(start.code, Some(3), "{name}: {start:?}");
        let rebuilt = verb("rebuild", dir.path(), &["--from-receipts"])?;
        assert_eq!(rebuilt.code, Some(0), "{name}: {rebuilt:?}");
        assert!(rebuilt.text.contains("frozen r\n"), "{name}: {rebuilt:?}");
        let process = tollgate_tests::process::Process::spawn(quiet(dir.path()))?;
        assert_eq!(budget(&process).await?.spent_usd, site.billed(), "{name}");
        let kept = fs::read_dir(dir.path().join("quarantine"))?.count();
        assert_eq!(kept, 1, "{name}: the old ledger is kept");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_missing_or_of_another_ledger_is_noticed() -> anyhow::Result<()> {
    let (site, other) = (Site::new().await?, Site::new().await?);
    for (site, count) in [(&site, 3), (&other, 4)] {
        let process = site.prepared().await?;
        for request_id in ["one", "two", "three", "four"].iter().take(count) {
            ensure!(ask(&process, request_id, request_id).await?.0 == 200);
        }
        lines(site.path(), count).await?;
        process.kill()?;
    }
    let dir = site.copy()?;
    fs::remove_file(dir.path().join("gateway/ledger.db-wal"))?;
    fs::remove_file(dir.path().join("gateway/ledger.db-shm")).ok();
    assert_refused(dir.path(), "nothing was touched")?;
    assert_taken_back(&site, dir.path(), None).await?;

    // A log with as many commits and more; the receipts of one's own are the only witness.
    let dir = site.copy()?;
    fs::copy(other.path().join("gateway/ledger.db-wal"), dir.path().join("gateway/ledger.db-wal"))?;
    fs::remove_file(dir.path().join("gateway/ledger.db-shm")).ok();
    let start = refused(dir.path())?;
    assert_eq!(start.code, Some(3), "{start:?}");
    let rebuilt = verb("rebuild", dir.path(), &["--from-receipts"])?;
    assert_eq!(rebuilt.code, Some(0), "{rebuilt:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_chain_breaks_is_taken_up_to_the_break() -> anyhow::Result<()> {
    let site = Site::new().await?;
    worked(&site).await?;
    without_ledger(site.path());
    let file = site.path().join("costs/r.jsonl");
    let whole = fs::read_to_string(&file)?;
    let second = whole.lines().nth(1).context("a second line")?;
    fs::write(&file, whole.replacen(second, &second.replacen("\"only\"", "\"ours\"", 1), 1))?;
    let rebuilt = verb("rebuild", site.path(), &["--from-receipts"])?;
    assert_eq!(rebuilt.code, Some(0), "{rebuilt:?}");
    assert!(rebuilt.text.contains("up to receipt 1"), "{rebuilt:?}");
    assert!(rebuilt.text.contains("files_set_aside=1"), "{rebuilt:?}");
    assert_eq!(fs::read_to_string(&file)?.lines().count(), 1);
    let kept = fs::read_dir(site.path().join("quarantine"))?.next().context("nothing kept")??;
    assert_eq!(fs::read_to_string(kept.path())?.lines().count(), 3, "nothing is deleted");
    Ok(())
}
