//! Links that die, streams that are cut, and whether every cent arrived.

use std::time::{Duration, Instant};

use anyhow::Context;
use tollgate_shared::money::Usd;
use tollgate_tui::console::ConsoleOptions;
use tollgate_tui::message::Message;
use tollgate_tui::model::{Model, Verdict};
use tollgate_tui::update::update;

use super::{Finding, Lab, Times, finding, millis, pass};
use crate::feed_server::cutter::{Cutter, Wire};
use crate::feed_server::{FeedServer, Names, now};

/// How soon a dead link is seen, and how soon the console is back.
pub fn dead_link(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let server = FeedServer::start(Names::default())?;
    server.publish(500);
    let cutter = Cutter::start(server.address())?;
    let terminal = lab.launch(cutter.address()).start()?;
    terminal.shows("LIVE")?;
    let mut findings = Vec::new();

    let (mut lost, mut back) = (Times::default(), Times::default());
    let mut long = Times::default();
    for (times, outage) in [(&mut back, SHORT), (&mut long, LONG)] {
        for round in 0..8_u64 {
            let cut = Instant::now();
            cutter.set(Wire::Down);
            let seen = terminal.wait("that it is lost is said", |seen| {
                !seen.text().contains("LIVE") && seen.text().contains('✖')
            })?;
            lost.add(seen.saturating_duration_since(cut));
            pass(outage + Duration::from_millis(137 * round));
            let up = Instant::now();
            cutter.set(Wire::Sound(0));
            let seen = terminal.wait("it is live again", |seen| seen.text().contains("LIVE"))?;
            times.add(seen.saturating_duration_since(up));
            pass(Duration::from_millis(500));
        }
    }
    let within = |times: &Times, millis| times.share(100) <= Duration::from_millis(millis);
    findings.push(finding("a cut link is noticed", "≤ 5 s", lost.print(), within(&lost, 5_000)));
    for (times, outage) in [(&back, SHORT), (&long, LONG)] {
        findings.push(finding(
            format!("back after an outage of {} s", outage.as_secs()),
            "≤ 1 s after the server",
            times.print(),
            within(times, 1_000),
        ));
    }

    let silent = Instant::now();
    cutter.set(Wire::Silent);
    let seen = terminal
        .wait("that nothing comes is said", |seen| !seen.text().contains("LIVE"))?
        .saturating_duration_since(silent);
    // A heartbeat may have come just before.
    let met = seen <= Duration::from_millis(5_000);
    findings.push(finding("a silent link is noticed", "≤ 5 s", millis(seen), met));
    Ok(findings)
}

/// A million receipts over a wire that is cut fifty times: sums equal the ledger's to 1e-12 USD.
pub fn loss(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let server = FeedServer::start(Names::default())?;
    let mut cutter = Cutter::start(server.address())?;
    let terminal = lab.launch(cutter.address()).start()?;
    let address = cutter.address();
    let window = std::thread::spawn(move || watch(address, RECEIPTS));
    terminal.shows("Σ✓")?;
    let mut is_wrong = false;
    for cut in 0..CUTS {
        for part in 0..PARTS {
            server.publish(RECEIPTS / CUTS / PARTS);
            if part % 5 == 4 {
                server.checkpoint();
            }
            // About where the stream is when it is cut is chance enough.
            pass(Duration::from_millis(5 + (cut * 7 + part * 3) % 23));
            if cut % 10 == 9 && part + 1 == cut % PARTS {
                // What is published next is more than the ring remembers.
                server.forget();
            }
            if part == cut % PARTS {
                if cut % 10 == 7 {
                    server.restart();
                }
                cutter.cut();
            }
        }
        is_wrong |= terminal.text().contains("Σ≠");
    }
    server.checkpoint();
    let (spent, receipts) = server.spent();
    let window = window.join().ok().context("the window panicked")??;
    is_wrong |= terminal.shows("Σ✓").is_err();
    let tally = server.tally();
    let met = window.total == spent && receipts == RECEIPTS && window.differed == 0 && !is_wrong;
    let figure = format!(
        "{receipts} receipts, ledger ${spent}, console ${}; {} comparisons, {} differed; went on {} times, lagged {} times, {} snapshots; Σ✓ on the terminal: {}",
        window.total,
        window.compared,
        window.differed,
        tally.resumed,
        tally.lagged,
        window.snapshots,
        if is_wrong { "no" } else { "yes" },
    );
    Ok(vec![finding(
        "sums over 1,000,000 receipts with 50 cuts",
        "equal to 1e-12 USD",
        figure,
        met,
    )])
}

/// What a console's own model has come to.
struct Window {
    total: Usd,
    compared: u64,
    differed: u64,
    snapshots: u64,
}

/// A console without a terminal: the feed and the model, until all receipts are known.
fn watch(address: std::net::SocketAddr, receipts: u64) -> anyhow::Result<Window> {
    let options =
        ConsoleOptions { events: format!("ws://{address}/events"), ..ConsoleOptions::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut deltas, _hurry, _feed) = options.feed();
        let mut model = Model::new(options.settings(), (120, 40), now());
        let mut window = Window { total: Usd::ZERO, compared: 0, differed: 0, snapshots: 0 };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
        while model.live.audit.receipts() < receipts {
            let delta = tokio::time::timeout_at(deadline, deltas.recv()).await;
            let delta = delta.context("not all receipts came")?.context("the feed ended")?;
            window.snapshots += u64::from(delta.snapshot.is_some());
            let is_compared = delta.checkpoint.is_some();
            update(&mut model, Message::Delta(Box::new(delta)));
            if is_compared {
                window.compared += 1;
                let differs = matches!(model.live.audit.verdict(), Verdict::Differs { .. });
                window.differed += u64::from(differs);
            }
        }
        window.total = model.live.audit.total();
        Ok(window)
    })
}

const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(8);
const RECEIPTS: u64 = 1_000_000;
const CUTS: u64 = 50;
/// Steps between two cuts.
const PARTS: u64 = 20;
