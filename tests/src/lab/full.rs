//! A disk that is filled and freed under load: settlements land, new money is refused, the process
//! lives.
//!
//! The data directory is on a small volume. A cycle takes all its room, waits a moment, in half of
//! the cycles takes again what was given up meanwhile, and gives it back. Between a few cycles
//! everything is judged, by the same process all along: what was sent while the disk was full is
//! charged for, and nobody was told a lie about it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::lab::chance::Chance;
use crate::lab::load::{self, Load};
use crate::lab::oracle::Saw;
use crate::lab::scene::Scene;
use crate::lab::volume::{Kind, Volume};
use crate::lab::{Options, Report};

/// The fault.
#[derive(Debug)]
pub struct Full {
    options: Options,
    chance: Chance,
    report: Report,
}

impl Full {
    /// With these options.
    pub fn new(options: Options) -> Self {
        let chance = Chance::of(options.seed, 0);
        Self { options, chance, report: Report::default() }
    }

    /// Brings it about, as often as asked.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        while self.report.cycles < self.options.cycles {
            let volume = match Volume::new(VOLUME) {
                Ok(volume) => volume,
                Err(reason) => {
                    self.report.skip(format!("full: {reason}"));
                    break;
                }
            };
            if let Err(error) = self.live_on(&volume).await {
                let cycle = self.report.cycles;
                self.report.breach("O7", format!("after cycle {cycle}: {error:#}"));
                // Counted, so that a backend that always dies does not keep the lab for ever.
                self.report.cycles += 1;
            }
        }
        Ok(std::mem::take(&mut self.report))
    }

    /// One process on one volume, through many cycles.
    async fn live_on(&mut self, volume: &Volume) -> anyhow::Result<()> {
        let provider = load::provider(self.options.seed);
        let mut scene = Scene::open(&self.options.program, provider).await?;
        scene.data_dir = volume.path().join("data");
        std::fs::create_dir(&scene.data_dir)?;
        scene.flags = load::flags();
        scene.flags.extend(RESERVE.map(str::to_owned));
        scene.start().await?;
        load::register(&scene).await?;
        for _ in 0..CYCLES_EACH_VOLUME / CYCLES_EACH_JUDGEMENT {
            if self.report.cycles >= self.options.cycles {
                break;
            }
            self.some_cycles(&mut scene, volume).await?;
        }
        scene.kill()
    }

    async fn some_cycles(&mut self, scene: &mut Scene, volume: &Volume) -> anyhow::Result<()> {
        let process = scene.running()?.id();
        load::raise_limits(scene).await?;
        let load = Load { clients: CLIENTS, seed: self.options.seed, cycle: self.report.cycles };
        let running = load.start(scene)?;
        for _ in 0..CYCLES_EACH_JUDGEMENT {
            volume.fill()?;
            self.pause(FULL_MS).await;
            if self.chance.once_in(2) {
                volume.fill()?;
                self.pause(FULL_MS).await;
            }
            volume.free()?;
            self.pause(FREE_MS).await;
            self.report.cycles += 1;
            self.options.tell_progress(self.report.cycles, &self.report);
        }
        let seen = running.finish().await?;
        for one in &seen {
            let name = match &one.saw {
                Saw::Refusal { code, .. } if code == "storage_low" => "refused with 507",
                Saw::Answer { is_durable: false, .. } => "answered before their receipt",
                Saw::Answer { .. } => "answered with their receipt",
                _ => continue,
            };
            self.report.count(name, 1);
        }
        scene.truth.seen.extend(seen);
        self.admits_again(scene).await.context("the disk has room again")?;
        ensure!(alive(process), "the process died of a full disk: {}", scene.last_words());
        let verdict = scene.judge().await?;
        self.report.add(verdict);
        Ok(())
    }

    /// Money is given again within the time that O7 allows.
    async fn admits_again(&mut self, scene: &mut Scene) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            match scene.probe("ample").await {
                Ok(()) => {
                    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                    self.report.most("slowest admission after a full disk, ms", took);
                    return Ok(());
                }
                Err(error) if begun.elapsed() > ADMITS_WITHIN => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn pause(&mut self, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(5 + self.chance.below(most_ms))).await;
    }
}

/// Whether a process of this number runs.
fn alive(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z "))
}

/// A disk that is soon full.
const VOLUME: Kind = Kind::Memory { mib: 48 };

/// What the backend keeps of it.
const RESERVE: [&str; 4] = ["--ballast-mib", "2", "--storage-low-water-mib", "3"];

/// Clients that ask at once.
const CLIENTS: u64 = 16;

/// How long the disk is full, at most, in milliseconds.
const FULL_MS: u64 = 60;

/// How long it has room, at most, in milliseconds.
const FREE_MS: u64 = 150;

/// Admission must be back within this time of a fault's end.
const ADMITS_WITHIN: Duration = Duration::from_secs(5);

/// Cycles between two judgements.
const CYCLES_EACH_JUDGEMENT: u64 = 10;

/// Cycles on one volume; its past is judged whole each time.
const CYCLES_EACH_VOLUME: u64 = 50;
