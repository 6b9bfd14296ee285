//! kill -9 at a random moment under streaming clients, start, judge; over the same directory for
//! a while, then over a fresh one.
//!
//! One cycle in three is killed again while it recovers, up to five deep.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::task::JoinHandle;
use tollgate_shared::money::Usd;

use crate::lab::chance::Chance;
use crate::lab::evidence::Evidence;
use crate::lab::load::{self, Load};
use crate::lab::scene::Scene;
use crate::lab::{Options, Report};

/// The fault.
#[derive(Debug)]
pub struct Kill {
    options: Options,
    chance: Chance,
    report: Report,
}

impl Kill {
    /// With these options.
    pub fn new(options: Options) -> Self {
        let chance = Chance::of(options.seed, 0);
        Self { options, chance, report: Report::default() }
    }

    /// Brings it about, as often as asked.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let mut scene = self.fresh().await?;
        for cycle in 1..=self.options.cycles {
            if cycle % FRESH_EVERY == 0 {
                scene = self.fresh().await?;
            }
            let judged = self.cycle(&mut scene, cycle).await;
            if let Err(error) = judged {
                self.report.breach("O7", format!("cycle {cycle}: {error:#}"));
                scene = self.fresh().await?;
            }
            self.report.cycles += 1;
            self.options.tell_progress(cycle, &self.report);
        }
        Ok(std::mem::take(&mut self.report))
    }

    /// A directory without a past, served.
    async fn fresh(&mut self) -> anyhow::Result<Scene> {
        let provider = load::provider(self.options.seed);
        let mut scene = Scene::open(&self.options.program, provider).await?;
        scene.flags = load::flags();
        scene.start().await?;
        load::register(&scene).await?;
        Ok(scene)
    }

    async fn cycle(&mut self, scene: &mut Scene, cycle: u64) -> anyhow::Result<()> {
        load::raise_limits(scene).await?;
        let load = Load { clients: CLIENTS, seed: self.options.seed, cycle };
        let (running, resolving) = (load.start(scene)?, self.resolve_some(scene)?);
        tokio::time::sleep(Duration::from_millis(self.chance.below(KILL_WITHIN_MS))).await;
        scene.kill()?;
        scene.truth.seen.extend(running.finish().await?);
        let resolved = resolving.await?;
        self.report.count("unknowns resolved by evidence", resolved.len() as u64);
        scene.truth.resolved.extend(resolved);
        if self.chance.once_in(3) {
            self.kill_while_recovering(scene).await?;
        }
        scene.start().await.context("it refused to start")?;
        let took = u64::try_from(scene.start_took.as_millis()).unwrap_or(u64::MAX);
        self.report.most("slowest start after a kill, ms", took);
        scene.probe("ample").await?;
        let verdict = scene.judge().await?;
        self.report.add(verdict);
        Ok(())
    }

    /// Resolves a few unknowns by the bill, while the load runs and until the kill: those that are
    /// acknowledged must stay so. Only of runs with money for all, whose refusals nobody judges by
    /// what they had spent.
    fn resolve_some(&mut self, scene: &Scene) -> anyhow::Result<JoinHandle<Vec<(String, Usd)>>> {
        let evidence = Evidence::rows(&scene.data_dir)?;
        let of_plenty = |run_id: &str| matches!(run_id, "ample" | "free");
        let unknown = evidence.attempts.into_iter();
        let unknown = unknown.filter(|row| row.state == "unknown" && of_plenty(&row.run_id));
        let bill = scene.provider.bill();
        let mut words = Vec::new();
        for row in unknown.filter(|_| self.chance.once_in(3)).take(RESOLVED_MOST) {
            let entry = bill.attempts.iter().find(|entry| entry.attempt_id == row.attempt_id);
            let cost = entry.map(|entry| entry.cost_usd).unwrap_or_default();
            let outcome = if entry.is_some() { "posted" } else { "voided" };
            let body = json!({"outcome": outcome, "cost_usd": cost.to_string(),
                "evidence": "the provider's bill", "by": "lab"});
            let url = scene.gateway(&format!("/unknowns/{}/resolve", row.attempt_id))?;
            words.push((row.attempt_id, cost, url, body));
        }
        let client = scene.client();
        Ok(tokio::spawn(async move {
            let mut resolved = Vec::new();
            for (attempt_id, cost, url, body) in words {
                let request = client.post(url).header("content-type", "application/json");
                let Ok(reply) = request.body(body.to_string()).send().await else { break };
                if reply.status() == 200 && reply.bytes().await.is_ok() {
                    resolved.push((attempt_id, cost));
                }
            }
            resolved
        }))
    }

    /// Starts it and kills it before, while or just after it recovers; up to five times in a row.
    async fn kill_while_recovering(&mut self, scene: &Scene) -> anyhow::Result<()> {
        for _ in 0..=self.chance.below(5) {
            let mut child = scene.command()?.stdout(std::process::Stdio::null()).spawn()?;
            tokio::time::sleep(Duration::from_millis(self.chance.below(60))).await;
            child.kill()?;
            child.wait()?;
            self.report.count("kills during recovery", 1);
        }
        Ok(())
    }
}

/// Unknowns that are resolved in one cycle, at most.
const RESOLVED_MOST: usize = 12;

/// Clients that ask at once.
const CLIENTS: u64 = 64;

/// The kill comes within so many milliseconds of the first request: before any answer, or after
/// many.
const KILL_WITHIN_MS: u64 = 1_000;

/// Cycles over one directory. Its past is judged whole each time, so it must end at some time.
const FRESH_EVERY: u64 = 20;
