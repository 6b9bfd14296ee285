//! Everyone at once on a limit for exactly k.
//!
//! | round | who stands in the way | what the rest must hear |
//! |---|---|---|
//! | open | k requests at a provider that answers nothing before all are judged | 429 `budget_contended`: it would fit if they cost less than they hold |
//! | lost | k requests that ended unknown, charged at their holds | 402 `budget_exhausted`: waiting does not help |
//!
//! Mode `hard`, caps stated. Exactly k reach the provider; the bill is within the limit; nothing is
//! held afterwards but what is unknown.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tollgate_backend::simulate;
use tollgate_shared::money::Usd;

use crate::lab::chance::Chance;
use crate::lab::oracle::{Saw, Seen};
use crate::lab::relay::Relay;
use crate::lab::scene::{Ask, Scene};
use crate::lab::{Options, Report};
use crate::until_within;

/// The fault.
#[derive(Debug)]
pub struct Crowd {
    options: Options,
    /// How many ask at once.
    size: u64,
}

/// One of the two kinds of rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Open,
    Lost,
}

impl Crowd {
    /// So many at once; a cycle is a round.
    pub const fn new(options: Options, size: u64) -> Self {
        Self { options, size }
    }

    /// Brings it about: half of the rounds of each kind.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let mut report = Report::default();
        // A socket for each client; for each of at most a twentieth, two at the relay and one
        // beyond.
        let wanted = self.size + 3 * self.size / 20 + SPARE_DESCRIPTORS;
        if let Err(error) = raise_descriptors(wanted) {
            report.skip(format!("crowd: {wanted} open files are not allowed here: {error:#}"));
            return Ok(report);
        }
        let mut scene = Scene::open(&self.options.program, simulate::Config::default()).await?;
        let relay = Relay::start(scene.provider.address()).await?;
        let lost = self.options.cycles / 2;
        let rounds = [(Kind::Open, self.options.cycles - lost), (Kind::Lost, lost)];
        let mut number = 0;
        for (kind, rounds) in rounds {
            let wait = if kind == Kind::Open { "0" } else { "500000" };
            scene.flags = ["--contention-wait-ms", wait].map(str::to_owned).into();
            scene.start().await?;
            if rounds > 0 {
                self.warm(&mut scene, &relay).await?;
            }
            for _ in 0..rounds {
                number += 1;
                self.round(&mut scene, &relay, (kind, number), &mut report).await?;
                report.cycles += 1;
                self.options.tell_progress(number, &report);
            }
            scene.kill()?;
        }
        Ok(report)
    }

    /// Lets as many connections to the provider be made as a round can need. On a busy machine a
    /// connection among thousands of requests may outlast its time-out, and what was never sent is
    /// rightly given back: true, but another story.
    async fn warm(&self, scene: &mut Scene, relay: &Relay) -> anyhow::Result<()> {
        scene.register_at(WARM, 1, &relay.url()).await?;
        relay.shut_gate();
        let (client, url, most) = (scene.client(), scene.gateway("/route")?, self.size / 20);
        let round = scene.truth.bill.count;
        let calls: Vec<_> = (0..most)
            .map(|place| {
                let (client, url) = (client.clone(), url.clone());
                let request_id = format!("warm-{round}-{place}");
                let ask = Ask { request_id, ..ask(WARM, place, "[out:1]") };
                tokio::spawn(async move { ask.at(&client, &url).await })
            })
            .collect();
        let all = until_within(JUDGED_WITHIN, "all are connected", || relay.arrived() >= most);
        let in_time = all.await;
        relay.open_gate();
        for call in calls {
            scene.truth.seen.push(call.await?);
        }
        in_time
    }

    async fn round(
        &self,
        scene: &mut Scene,
        relay: &Relay,
        (kind, number): (Kind, u64),
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let run_id = format!("crowd-{number}");
        let k = 1 + Chance::of(self.options.seed, number).below(self.size / 20);
        let wish = if kind == Kind::Open { "[out:5]" } else { "[fault:bill_then_500]" };
        scene.register_at(&run_id, 1, &relay.url()).await?;
        let worst = worst_case(scene, &run_id, wish).await?;
        scene.limit(&run_id, worst.times(k), "hard").await?;
        relay.shut_gate();
        let answered = Arc::new(AtomicU64::new(0));
        let (client, url) = (scene.client(), scene.gateway("/route")?);
        let calls: Vec<_> = (0..self.size)
            .map(|place| {
                let (client, url, ask) = (client.clone(), url.clone(), ask(&run_id, place, wish));
                let answered = Arc::clone(&answered);
                tokio::spawn(async move {
                    let seen = ask.at(&client, &url).await;
                    answered.fetch_add(1, Ordering::Relaxed);
                    seen
                })
            })
            .collect();
        let before = if kind == Kind::Open { self.size - k } else { 0 };
        let judged = || relay.arrived() >= k && answered.load(Ordering::Relaxed) >= before;
        let in_time = until_within(JUDGED_WITHIN, "everyone is judged", judged).await;
        let arrived = relay.arrived();
        relay.open_gate();
        in_time.with_context(|| format!("{arrived} of {k} arrived"))?;
        let mut seen = Vec::new();
        for call in calls {
            seen.push(call.await?);
        }
        tally(&seen, (kind, k), report);
        scene.truth.seen.extend(seen);
        let model = format!("{}{run_id}", crate::lab::oracle::MODEL_PREFIX);
        let bill = scene.provider.bill();
        let billed = bill.attempts.iter().filter(|entry| entry.model == model).count() as u64;
        report.checks += 1;
        if billed != k || arrived != k {
            report.breach("O3", format!("{arrived} arrived and {billed} were billed, not {k}"));
        }
        let verdict = scene.judge().await?;
        report.add(verdict);
        report.count("requests", self.size);
        report.count("admitted", k);
        Ok(())
    }
}

/// Exactly k were let through, and each of the rest heard the one true reason.
fn tally(seen: &[Seen], (kind, k): (Kind, u64), report: &mut Report) {
    let through = |seen: &&Seen| match &seen.saw {
        Saw::Answer { .. } => kind == Kind::Open,
        Saw::Refusal { status: 502, .. } => kind == Kind::Lost,
        _ => false,
    };
    let reason = match kind {
        Kind::Open => (429, "budget_contended"),
        Kind::Lost => (402, "budget_exhausted"),
    };
    let refused = |seen: &&Seen| {
        matches!(&seen.saw, Saw::Refusal { status, code, .. }
            if (*status, code.as_str()) == reason)
    };
    let through = seen.iter().filter(through).count() as u64;
    let refused = seen.iter().filter(refused).count() as u64;
    report.checks += 2;
    if through != k || through + refused != seen.len() as u64 {
        let other = seen.iter().find(|one| {
            !matches!(&one.saw, Saw::Answer { .. })
                && !matches!(&one.saw, Saw::Refusal { status, .. } if *status == reason.0)
        });
        let what = format!("{kind:?}: {through} of {k} through, {refused} refused; {other:?}");
        report.breach("O8", what);
    }
}

/// What one request is held at, as a refusal on a limit of nearly nothing tells.
async fn worst_case(scene: &mut Scene, run_id: &str, wish: &str) -> anyhow::Result<Usd> {
    scene.limit(run_id, Usd::from_picos(1), "hard").await?;
    let request = scene.client().post(scene.gateway("/route")?);
    let body = ask(run_id, 0, wish).body().to_string();
    let reply = request.header("content-type", "application/json").body(body).send().await?;
    let refusal: Refusal = serde_json::from_str(&reply.text().await?)?;
    Ok(refusal.error.details.needed_usd)
}

#[derive(serde::Deserialize)]
struct Refusal {
    error: RefusalFacts,
}

#[derive(serde::Deserialize)]
struct RefusalFacts {
    details: Needed,
}

#[derive(serde::Deserialize)]
struct Needed {
    needed_usd: Usd,
}

fn ask(run_id: &str, place: u64, wish: &str) -> Ask {
    Ask {
        run_id: run_id.to_owned(),
        request_id: format!("q-{place}"),
        message: format!("{wish} all at once"),
        cap: Some(40),
        stream: false,
        leaves_after: None,
        told_usage: true,
    }
}

/// Lets this process, and those it starts, open at least so many files.
fn raise_descriptors(wanted: u64) -> anyhow::Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let figures: Vec<u64> = line
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() })
        .collect();
    let [now, most] = figures[..] else { bail!("no limit in `/proc/self/limits`") };
    if now >= wanted {
        return Ok(());
    }
    let both = if most >= wanted { format!("{wanted}:") } else { format!("{wanted}:{wanted}") };
    let id = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={both}")]).output();
    let raised = raised.context("failed to run `prlimit`")?;
    ensure!(raised.status.success(), "{}", String::from_utf8_lossy(&raised.stderr).trim());
    Ok(())
}

/// The run without a limit that makes connections.
const WARM: &str = "warm";

/// How long 10,000 may take on a machine that does other things as well.
const JUDGED_WITHIN: Duration = Duration::from_secs(300);

/// Descriptors for everything but the crowd's own connections.
const SPARE_DESCRIPTORS: u64 = 500;
