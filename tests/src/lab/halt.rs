//! SIGTERM with streams in flight, and SIGSTOP for a while with clients waiting.
//!
//! Told to stop, it takes nothing new, finishes what is in flight, exits with 0, and leaves nothing
//! unknown. Stopped and continued, its deadlines fire, and nothing is sent twice.

use std::time::Duration;

use tollgate_shared::receipt::Receipt;

use crate::lab::chance::Chance;
use crate::lab::evidence::Evidence;
use crate::lab::load::{self, Load};
use crate::lab::oracle::Saw;
use crate::lab::scene::{Ask, Scene};
use crate::lab::{Options, Report};
use crate::until;

/// The fault.
#[derive(Debug)]
pub struct Halt {
    options: Options,
    chance: Chance,
    report: Report,
}

impl Halt {
    /// With these options.
    pub fn new(options: Options) -> Self {
        let chance = Chance::of(options.seed, 3);
        Self { options, chance, report: Report::default() }
    }

    /// Brings it about: nine stops in ten cycles, one freeze.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let provider = load::provider(self.options.seed);
        let mut scene = Scene::open(&self.options.program, provider).await?;
        scene.flags = load::flags();
        scene.start().await?;
        load::register(&scene).await?;
        for cycle in 1..=self.options.cycles {
            load::raise_limits(&mut scene).await?;
            if cycle % 10 == 2 {
                self.freeze(&mut scene, cycle).await?;
            } else {
                self.stop(&mut scene, cycle).await?;
            }
            scene.probe("ample").await?;
            let verdict = scene.judge().await?;
            self.report.add(verdict);
            self.report.cycles += 1;
            self.options.tell_progress(cycle, &self.report);
        }
        Ok(std::mem::take(&mut self.report))
    }

    /// SIGTERM while all of a number of requests are at the provider.
    async fn stop(&mut self, scene: &mut Scene, cycle: u64) -> anyhow::Result<()> {
        let count = 1 + self.chance.below(STREAMS_MAX);
        let (client, url) = (scene.client(), scene.gateway("/route")?);
        let billed = scene.provider.bill().count as u64;
        let calls: Vec<_> = (0..count)
            .map(|place| {
                let (client, url, ask) = (client.clone(), url.clone(), ask(cycle, place));
                tokio::spawn(async move { ask.at(&client, &url).await })
            })
            .collect();
        let all = billed + count;
        until("all are at the provider", || scene.provider.bill().count as u64 >= all).await?;
        tokio::time::sleep(Duration::from_millis(self.chance.below(40))).await;
        let known = recovered(scene)?;
        let Some(process) = scene.process.take() else { return Ok(()) };
        let ended = tokio::task::spawn_blocking(move || process.terminate()).await??;
        self.report.checks += 2;
        if ended.code() != Some(0) {
            self.report.breach("O7", format!("cycle {cycle}: told to stop, it ended with {ended}"));
        }
        for call in calls {
            let seen = call.await?;
            self.report.checks += 1;
            if !matches!(seen.saw, Saw::Answer { is_durable: true, .. }) {
                let what = format!("cycle {cycle}: in flight at SIGTERM, its client saw {seen:?}");
                self.report.breach("O7", what);
            }
            scene.truth.seen.push(seen);
        }
        scene.start().await?;
        let left = recovered(scene)? - known;
        if left > 0 {
            let what = format!("cycle {cycle}: {left} holds were left by an orderly stop");
            self.report.breach("O7", what);
        }
        self.report.count("requests in flight at SIGTERM", count);
        Ok(())
    }

    /// SIGSTOP under load, SIGCONT a few seconds later: deadlines have passed meanwhile.
    async fn freeze(&mut self, scene: &mut Scene, cycle: u64) -> anyhow::Result<()> {
        let load = Load { clients: 32, seed: self.options.seed, cycle };
        let running = load.start(scene)?;
        tokio::time::sleep(Duration::from_millis(100 + self.chance.below(100))).await;
        scene.running()?.signal("STOP")?;
        let stopped = Duration::from_millis(500 + self.chance.below(2_500));
        tokio::time::sleep(stopped).await;
        scene.running()?.signal("CONT")?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        scene.truth.seen.extend(running.finish().await?);
        self.report.count("freezes", 1);
        Ok(())
    }
}

/// How many receipts say that a hold was found at a start.
fn recovered(scene: &Scene) -> anyhow::Result<usize> {
    let evidence = Evidence::rows(&scene.data_dir)?;
    let lines = evidence.lines.values().flatten();
    let is_recovered = |line: &&String| {
        serde_json::from_str::<Receipt>(line)
            .is_ok_and(|receipt| receipt.error.as_deref() == Some("recovered"))
    };
    Ok(lines.filter(is_recovered).count())
}

/// Every second one a stream.
fn ask(cycle: u64, place: u64) -> Ask {
    Ask {
        run_id: "ample".into(),
        request_id: format!("halt-{cycle}-{place}"),
        message: format!("[slow:20ms] [out:{}] before you go", 20 + place),
        cap: Some(100),
        stream: place.is_multiple_of(2),
        leaves_after: None,
        told_usage: true,
    }
}

/// Most requests in flight at a SIGTERM.
const STREAMS_MAX: u64 = 48;
