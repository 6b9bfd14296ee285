//! The ledger alone, where time and other programs stand in its way.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tollgate_backend::config::Durability;
use tollgate_backend::ledger::{
    ChangeError, Ending, HoldError, Ledger, Policy, Resolve, StateStep, Told,
};
use tollgate_backend::store::{Outage, Store};
use tollgate_shared::budget::{
    Account, BudgetChange, BudgetError, Mode, Outcome, Owner, Period, RunState, StateChange,
};
use tollgate_shared::id::{AttemptId, RunId};
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

/// The ledger's file as kill -9 would leave it, one day older.
fn of_yesterday(desk: &Desk, to: &std::path::Path) -> anyhow::Result<()> {
    for part in ["", "-wal"] {
        let from = PathBuf::from(format!("{}{part}", desk.path.display()));
        std::fs::copy(from, format!("{}{part}", to.display()))?;
    }
    let day = 86_400_000_000_i64;
    rusqlite::Connection::open(to)?.execute_batch(&format!(
        "UPDATE accounts SET period_us = period_us - {day};
         UPDATE runs SET period_us = period_us - {day} WHERE period = 'day';
         UPDATE attempts SET created_us = created_us - {day}, settled_us = settled_us - {day};
         UPDATE meta SET value = value - {day} WHERE key = 'day'"
    ))?;
    Ok(())
}

fn found(attempt_id: &AttemptId, cost: &str) -> Resolve {
    Resolve {
        attempt_id: attempt_id.clone(),
        voided: false,
        cost: cost.parse().expect("an amount"),
        beyond_bound: false,
        cost_is: CostIs::Exact,
        evidence: "a bill".into(),
        bill: None,
    }
}

impl Desk {
    /// The ledger of a file that another process left.
    fn reopen(path: &std::path::Path) -> anyhow::Result<Ledger> {
        let (told, _) = sync_channel(1_024);
        let policy = Policy { unknown_ttl: Duration::from_secs(1 << 20), ..Policy::default() };
        Ok(Ledger::start(Store::open(path, Durability::Power)?, policy, told, |_| {})?)
    }

    async fn set(&self, change: BudgetChange) -> anyhow::Result<()> {
        self.ledger.set_budget(change, None).await?;
        Ok(())
    }
}

fn limit(run: &str, usd: &str) -> BudgetChange {
    BudgetChange::limit(run.parse().expect("a run"), usd.parse().expect("an amount"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_flight_over_midnight_counts_for_the_day_it_was_lost() -> anyhow::Result<()> {
    let (desk, dir) = (Desk::open(Policy::default())?, tempfile::tempdir()?);
    let mut hold = desk.ledger.hold(order(&desk.run, &desk.card)).await?;
    hold.mark_sent();
    let id = hold.attempt_id().context("an id")?.clone();
    let copy = dir.path().join("ledger.db");
    of_yesterday(&desk, &copy)?;
    let ledger = Desk::reopen(&copy)?;
    let fleet = || ledger.read(|books| books.account(&Owner::Fleet).copied());
    assert_eq!(fleet().await.flatten().context("no fleet")?.unknown, hold.amount());
    ledger.resolve(found(&id, "0.001")).await?;
    let after = fleet().await.flatten().context("no fleet")?;
    assert_eq!((after.unknown, after.posted), (Usd::ZERO, "0.001".parse()?));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_runs_that_has_spent_stays_where_it_is_also_after_midnight() -> anyhow::Result<()>
{
    let (desk, dir) = (Desk::open(Policy::default())?, tempfile::tempdir()?);
    desk.set(BudgetChange { period: Some(Period::Day), ..limit("group", "5") }).await?;
    desk.set(BudgetChange { parent: Some("group".parse()?), ..limit("kid", "5") }).await?;
    let kid = "kid".parse()?;
    desk.ledger.hold(order(&kid, &desk.card)).await?.settle(billed(&desk.card)).await?;
    let copy = dir.path().join("ledger.db");
    of_yesterday(&desk, &copy)?;
    let ledger = Desk::reopen(&copy)?;
    let joined = BudgetChange { parent: Some("top".parse()?), ..limit("group", "5") };
    let joined = ledger.set_budget(joined, None).await;
    assert!(matches!(joined, Err(ChangeError::Budget(BudgetError::ParentFixed(_)))));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_that_cannot_be_counted_is_refused_and_a_providers_is_charged_at_its_hold()
-> anyhow::Result<()> {
    let desk = Desk::open(Policy::default())?;
    let mut hold = desk.ledger.hold(order(&desk.run, &desk.card)).await?;
    hold.mark_sent();
    let id = hold.attempt_id().context("an id")?.clone();
    drop(hold);
    let vast = desk.ledger.resolve(found(&id, "9000000")).await;
    assert!(matches!(vast, Err(ChangeError::TooLarge(_))), "{vast:?}");
    let mut hold = desk.ledger.hold(order(&desk.run, &desk.card)).await?;
    hold.mark_sent();
    let held = hold.amount();
    let ending = Ending { outcome: Outcome::posted("99999999".parse()?), ..billed(&desk.card) };
    let settlement = hold.settle(ending).await?;
    assert_eq!(settlement.receipt.cost_usd, held);
    assert_eq!(settlement.receipt.error.as_deref(), Some("usage_absurd"));
    let state = desk.ledger.read(|books| books.runs().next().map(|run| run.state)).await.flatten();
    assert_eq!(state, Some(RunState::Frozen));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_after_it_was_resolved_changes_nothing() -> anyhow::Result<()> {
    let desk = Desk::open(Policy { hold_timeout: Duration::from_millis(1), ..Policy::default() })?;
    let mut hold = desk.ledger.hold(order(&desk.run, &desk.card)).await?;
    hold.mark_sent();
    let id = hold.attempt_id().context("an id")?.clone();
    let swept = tokio::time::timeout(Duration::from_secs(20), async {
        while desk.account().await?.unknown.is_zero() {}
        anyhow::Ok(())
    });
    swept.await.context("it was never swept")??;
    desk.ledger.resolve(found(&id, "0.001")).await?;
    let settlement = hold.settle(billed(&desk.card)).await?;
    assert_eq!(settlement.receipt.status, Status::Unknown);
    assert_eq!(desk.account().await?.posted, "0.001".parse()?);
    ensure!(desk.ledger.is_alive());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_beyond_every_model_hold_what_a_model_can_give() -> anyhow::Result<()> {
    let desk = Desk::open(Policy::default())?;
    desk.set(BudgetChange { mode: Some(Mode::Expected), ..limit("r", "10") }).await?;
    let mut holds = Vec::new();
    for run in ["r", "r", "unlimited"] {
        let mut vast = order(&run.parse()?, &desk.card);
        vast.need.stated_cap = Some(100_000_000_000);
        holds.push(desk.ledger.hold(vast).await?);
    }
    desk.set(limit("good", "10")).await?;
    holds.push(desk.ledger.hold(order(&"good".parse()?, &desk.card)).await?);
    ensure!(holds.iter().all(|hold| hold.amount() < "1".parse().unwrap_or_default()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_becomes_strict_is_not_overspent_by_what_it_let_through() -> anyhow::Result<()> {
    let desk = Desk::open(Policy::default())?;
    desk.set(BudgetChange { mode: Some(Mode::Expected), ..limit("r", "1") }).await?;
    let mut lax = order(&desk.run, &desk.card);
    lax.need.stated_cap = Some(15_000);
    lax.need.model_max = 100_000;
    let lax = desk.ledger.hold(lax).await?;
    desk.set(BudgetChange { mode: Some(Mode::Clamp), ..limit("r", "1") }).await?;
    let mut next = order(&desk.run, &desk.card);
    next.need.stated_cap = Some(50_000);
    next.need.model_max = 100_000;
    let next = desk.ledger.hold(next).await?;
    let mut bills = Usd::ZERO;
    for hold in [lax, next] {
        let cap = hold.cap().context("a cap")?;
        let usage = Usage::plain(1_000, cap);
        let cost = desk.card.1.cost(&usage);
        bills += cost.total();
        let outcome = Outcome::posted(cost.total());
        hold.settle(Ending { outcome, usage, cost, ..billed(&desk.card) }).await?;
    }
    ensure!(bills <= "1".parse()?, "{bills} was billed below a limit of 1");
    assert_eq!(desk.account().await?.posted, bills);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_behind_a_run_that_is_closed_is_served_at_once() -> anyhow::Result<()> {
    let patient = Duration::from_secs(60);
    let policy = Policy { contention_wait: patient, pause_wait: patient, ..Policy::default() };
    let desk = Desk::open(policy)?;
    desk.set(limit("p", "1")).await?;
    for run in ["a", "b", "z"] {
        let mode = Some(Mode::Hard);
        desk.set(BudgetChange { parent: Some("p".parse()?), mode, ..limit(run, "5") }).await?;
    }
    let large = |run: &str| {
        let mut large = order(&run.parse().expect("a run"), &desk.card);
        (large.need.stated_cap, large.need.model_max) = (Some(10_000), 100_000);
        large
    };
    let _held = desk.ledger.hold(large("z")).await?;
    let (first, second) = (large("a"), order(&"b".parse()?, &desk.card));
    let (one, other) = (desk.ledger.clone(), desk.ledger.clone());
    let first = tokio::spawn(async move { one.hold(first).await });
    // A read is answered behind everything that was asked before it.
    while desk
        .ledger
        .read(|books| books.run(&"a".parse().expect("a run")).map(|run| run.smallest.is_zero()))
        .await
        .flatten()
        != Some(false)
    {}
    let second = tokio::spawn(async move { other.hold(second).await });
    while desk.ledger.read(|books| books.run(&"b".parse().expect("a run")).is_some()).await
        != Some(true)
    {}
    let close = StateStep {
        run_id: "a".parse()?,
        change: StateChange::Close,
        note: None,
        if_version: None,
    };
    desk.ledger.change_state(close).await?;
    assert!(matches!(first.await?, Err(HoldError::State { .. })));
    let served = tokio::time::timeout(Duration::from_secs(20), second).await;
    ensure!(served.context("it still waits")??.is_ok());
    Ok(())
}
