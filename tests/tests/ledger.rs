//! The ledger alone, where time and other programs stand in its way.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tollgate_backend::config::Durability;
use tollgate_backend::ledger::{Ending, HoldError, Ledger, Policy, Told};
use tollgate_backend::store::{Outage, Store};
use tollgate_shared::budget::{Account, Outcome};
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::{Receipt, Status};
use tollgate_shared::usage::{CostIs, Usage, UsageSource};
use tollgate_tests::orders::{Card, card, order};

struct Desk {
    ledger: Ledger,
    told: Receiver<Vec<Told>>,
    card: Card,
    run: RunId,
    path: PathBuf,
    _dir: TempDir,
}

impl Desk {
    fn open(policy: Policy) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("ledger.db");
        let (told_tx, told) = sync_channel(1_024);
        let store = Store::open(&path, Durability::Power)?;
        let policy = Policy { default_limit: Some("1".parse()?), ..policy };
        let ledger = Ledger::start(store, policy, told_tx, |_| {})?;
        Ok(Self { ledger, told, card: card()?, run: "r".parse()?, path, _dir: dir })
    }

    async fn account(&self) -> anyhow::Result<Account> {
        let run = self.run.clone();
        let account = self.ledger.read(move |books| books.run(&run).map(|run| run.account)).await;
        account.flatten().context("the run has no page")
    }

    /// Receipts told so far.
    fn receipts(&self) -> Vec<Receipt> {
        let groups = self.told.try_iter().flatten();
        groups
            .filter_map(|told| match told {
                Told::Receipt(receipt, _) => Some(*receipt),
                _ => None,
            })
            .collect()
    }
}

/// A bill of ten tokens each way.
fn billed(card: &Card) -> Ending {
    let usage = Usage::plain(10, 10);
    let cost = card.1.cost(&usage);
    Ending {
        outcome: Outcome::posted(cost.total()),
        status: Some(Status::Success),
        usage,
        usage_source: UsageSource::Reported,
        cost_is: CostIs::Exact,
        cost,
        ..Ending::not_sent()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_nobody_ends_is_lost_and_what_comes_late_is_evidence() -> anyhow::Result<()> {
    let desk = Desk::open(Policy { hold_timeout: Duration::from_millis(1), ..Policy::default() })?;
    let mut hold = desk.ledger.hold(order(&desk.run, &desk.card)).await?;
    let held = hold.amount();
    hold.mark_sent();
    let swept = tokio::time::timeout(Duration::from_secs(20), async {
        while desk.account().await?.unknown != held {}
        anyhow::Ok(())
    });
    swept.await.context("it was never swept")??;
    let ending = billed(&desk.card);
    let cost = ending.cost.total();
    let settlement = hold.settle(ending).await?;
    assert_eq!(settlement.receipt.status, Status::Correction);
    let account = desk.account().await?;
    assert_eq!((account.posted, account.unknown, account.pending), (cost, Usd::ZERO, Usd::ZERO));
    let receipts = desk.receipts();
    assert_eq!(receipts[0].error.as_deref(), Some("hold_timeout"));
    assert_eq!(receipts[1].corrects, Some(1));
    let sum: Usd = receipts.iter().map(|receipt| receipt.cost_usd).sum();
    assert_eq!(sum, cost);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_holds_the_database_costs_nobody_a_settlement() -> anyhow::Result<()> {
    let desk = Desk::open(Policy::default())?;
    let mut hold = desk.ledger.hold(order(&desk.run, &desk.card)).await?;
    hold.mark_sent();
    let stranger = rusqlite::Connection::open(&desk.path)?;
    stranger.execute_batch("BEGIN IMMEDIATE")?;
    let ending = billed(&desk.card);
    let cost = ending.cost.total();
    let settling = tokio::spawn(hold.settle(ending));
    let refused = desk.ledger.hold(order(&desk.run, &desk.card)).await;
    assert_eq!(refused.err(), Some(HoldError::Outage(Outage::Locked)));
    ensure!(!settling.is_finished(), "nothing is on disk yet");
    stranger.execute_batch("ROLLBACK")?;
    let settlement = settling.await??;
    assert_eq!(settlement.receipt.cost_usd, cost);
    let again = desk.ledger.hold(order(&desk.run, &desk.card)).await?;
    drop(again);
    let account = desk.account().await?;
    assert_eq!((account.posted, account.held()), (cost, Usd::ZERO));
    Ok(())
}
