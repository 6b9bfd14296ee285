//! What it costs to pass both gates: the ledger alone, without HTTP, providers and projections.
//!
//! Tasks hold and settle in a closed loop on a real file, and every answer they wait for is on disk
//! as the durability says. How long a gate takes is told in commits: the time of one bare
//! transaction of one row on a store beside it, in the same run. **The ratios are the facts**; the
//! absolute figures belong to the machine and its disk.
//! `cargo bench -p tollgate-tests --bench gate [-- SECONDS]`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench, run by hand")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use tempfile::TempDir;
use tollgate_backend::config::Durability;
use tollgate_backend::ledger::{Ending, Ledger, Policy};
use tollgate_backend::store::Store;
use tollgate_shared::budget::Outcome;
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Status;
use tollgate_shared::usage::{CostIs, Usage, UsageSource};
use tollgate_tests::orders::{Card, card, order};

/// How many ask at once.
const CONCURRENT: [usize; 4] = [1, 64, 1_024, 8_192];
/// How many runs there are when it is asked whether their number matters.
const RUNS: [usize; 3] = [1, 1_000, 100_000];
/// Spans in one file, when it is asked whether its receipts matter.
const SPANS: usize = 8;
/// From one run to the next: a prime, so that neighbours in the file are not neighbours in time.
const STRIDE: usize = 7_919;
/// Bare commits that are measured.
const COMMITS: usize = 500;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let asked = std::env::args().filter_map(|text| text.parse().ok()).next().unwrap_or(2);
    let span = Duration::from_secs(asked);
    for (durability, name) in [(Durability::Power, "power"), (Durability::Process, "process")] {
        let commit_us = bare_commit_us(durability)?;
        println!("\ndurability {name}: one bare commit takes {commit_us:.0} µs, at the median");
        println!(
            "{:<22} {:>9} {:>10} {:>10} {:>11} {:>11} {:>11}",
            "", "req/s", "p50 commit", "p99 commit", "p50 groups", "p99 groups", "gates/group"
        );
        for clients in CONCURRENT {
            let house = Gate::open(durability, 1)?;
            house.ask(clients, span / 2).await?;
            let found = house.ask(clients, span).await?;
            found.print(&format!("{clients} at once"), commit_us);
            house.close()?;
        }
        for runs in RUNS {
            let house = Gate::open(durability, runs)?;
            house.ask(1_024, span / 2).await?;
            house.ask(1_024, span).await?.print(&format!("{runs} runs"), commit_us);
            house.close()?;
        }
        let house = Gate::open(durability, 64)?;
        let mut receipts = 0;
        for _ in 0..SPANS {
            let found = house.ask(1_024, span).await?;
            found.print(&format!("after {receipts} receipts"), commit_us);
            receipts += found.requests;
        }
        house.close()?;
    }
    Ok(())
}

/// A ledger on a file of its own.
struct Gate {
    ledger: Ledger,
    runs: Arc<[RunId]>,
    card: Card,
    /// Groups that were committed.
    groups: Arc<AtomicU64>,
    told: JoinHandle<()>,
    _dir: TempDir,
}

/// What a span of asking showed.
struct Found {
    requests: usize,
    span: Duration,
    groups: u64,
    /// Waits at either gate, in microseconds, sorted.
    waits_us: Vec<u32>,
}

impl Gate {
    /// Opens a ledger that knows so many runs, each with a budget that is never the reason to wait.
    fn open(durability: Durability, runs: usize) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("ledger.db");
        let runs: Arc<[RunId]> =
            (0..runs).map(|number| format!("run-{number}").parse()).collect::<Result<_, _>>()?;
        drop(Store::open(&path, durability)?);
        if runs.len() > 1 {
            plant(&path, &runs)?;
        }
        let (told, groups_told) = sync_channel(1_024);
        let policy = Policy { default_limit: Some("9000000".parse()?), ..Policy::default() };
        let store = Store::open(&path, durability)?;
        let ledger = Ledger::start(store, policy, told, |error| panic!("{error}"))?;
        let card = card()?;
        let groups = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&groups);
        let told = std::thread::spawn(move || {
            for group in groups_told {
                counted.fetch_add(u64::from(!group.is_empty()), Ordering::Relaxed);
            }
        });
        Ok(Self { ledger, runs, card, groups, told, _dir: dir })
    }

    /// So many tasks pass both gates again and again for a time.
    async fn ask(&self, clients: usize, span: Duration) -> anyhow::Result<Found> {
        let (before, started) = (self.groups.load(Ordering::Relaxed), Instant::now());
        let tasks: Vec<_> = (0..clients)
            .map(|client| {
                let (ledger, runs) = (self.ledger.clone(), Arc::clone(&self.runs));
                let card = Arc::clone(&self.card);
                tokio::spawn(async move {
                    let mut waits_us = Vec::new();
                    for turn in 0.. {
                        if started.elapsed() >= span {
                            break;
                        }
                        // Every run is met before one is met again, and no two neighbours in turn.
                        let run = &runs[(client + turn * clients) * STRIDE % runs.len()];
                        waits_us.extend(
                            pass(&ledger, run, &card)
                                .await?
                                .map(|wait| u32::try_from(wait.as_micros()).unwrap_or(u32::MAX)),
                        );
                    }
                    anyhow::Ok(waits_us)
                })
            })
            .collect();
        let mut waits_us = Vec::new();
        for task in tasks {
            waits_us.extend(task.await??);
        }
        let (span, groups) = (started.elapsed(), self.groups.load(Ordering::Relaxed) - before);
        waits_us.sort_unstable();
        Ok(Found { requests: waits_us.len() / 2, span, groups, waits_us })
    }

    /// Lets the ledger go, and waits until it has.
    fn close(self) -> anyhow::Result<()> {
        drop(self.ledger);
        self.told.join().ok().context("the listener panicked")
    }
}

impl Found {
    /// One line: the rate, the gates' waits in bare commits and in groups as they really were, and
    /// how many gates one commit opened.
    fn print(&self, what: &str, commit_us: f64) {
        let at = |share: f64| {
            f64::from(self.waits_us[((self.waits_us.len() - 1) as f64 * share) as usize])
        };
        let group_us = self.span.as_secs_f64() * 1e6 / self.groups as f64;
        println!(
            "{what:<22} {:>9.0} {:>10.1} {:>10.1} {:>11.1} {:>11.1} {:>11.1}",
            self.requests as f64 / self.span.as_secs_f64(),
            at(0.5) / commit_us,
            at(0.99) / commit_us,
            at(0.5) / group_us,
            at(0.99) / group_us,
            self.waits_us.len() as f64 / self.groups as f64,
        );
    }
}

/// One request through both gates, as a flight does it: how long each of them took.
async fn pass(ledger: &Ledger, run: &RunId, card: &Card) -> anyhow::Result<[Duration; 2]> {
    let order = order(run, card);
    let asked = Instant::now();
    let mut hold = ledger.hold(order).await?;
    let held = asked.elapsed();
    hold.mark_sent();
    let usage = Usage::plain(200, 50);
    let cost = card.1.cost(&usage);
    let ending = Ending {
        outcome: Outcome::Posted { cost: cost.total(), uncertain: Usd::ZERO, beyond_bound: false },
        status: Some(Status::Success),
        usage,
        usage_source: UsageSource::Reported,
        cost_is: CostIs::Exact,
        cost,
        latency_ms: 1,
        ..Ending::not_sent()
    };
    let answered = Instant::now();
    drop(hold.take_ticket());
    hold.settle(ending).await?;
    Ok([held, answered.elapsed()])
}

/// The median time of a transaction of one row on a store of its own, in microseconds.
fn bare_commit_us(durability: Durability) -> anyhow::Result<f64> {
    let dir = tempfile::tempdir()?;
    let db = rusqlite::Connection::open(dir.path().join("bare.db"))?;
    let synchronous = match durability {
        Durability::Power => "FULL",
        Durability::Process => "NORMAL",
    };
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", synchronous)?;
    db.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, line TEXT NOT NULL) STRICT")?;
    let mut took: Vec<Duration> = (0..COMMITS)
        .map(|_| {
            let began = Instant::now();
            db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            db.prepare_cached("INSERT INTO t (line) VALUES ('one row')")?.execute([])?;
            db.prepare_cached("COMMIT")?.execute([])?;
            Ok(began.elapsed())
        })
        .collect::<rusqlite::Result<_>>()?;
    took.sort_unstable();
    Ok(took[took.len() / 2].as_secs_f64() * 1e6)
}

/// Writes runs into a ledger that nobody has open, as if each had been there for long.
fn plant(path: &Path, runs: &[RunId]) -> anyhow::Result<()> {
    let mut db = rusqlite::Connection::open(path)?;
    let transaction = db.transaction()?;
    {
        let mut statement = transaction.prepare(
            "INSERT INTO runs (run_id, state, mode, version, limit_picos, posted, pending, unknown,
             uncertain, smallest, requests, seq, head, created_us, last_us)
             VALUES (?1, 'open', 'clamp', 1, 9000000000000000000, 0, 0, 0, 0, 0, 0, 0, '', 0, 0)",
        )?;
        for run in runs {
            statement.execute([run.as_str()])?;
        }
    }
    Ok(transaction.commit()?)
}
