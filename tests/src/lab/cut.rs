//! Power cuts: the plug of a loop mount is pulled under load, the file system is mounted again,
//! the backend is started, and nothing that was acknowledged before is missing.
//!
//! Cycles take turns between a cut that drops everything unsynced and one that keeps metadata,
//! which can leave files full of zeros. In one cycle of four syncs are slow, so that an answer that
//! does not wait for its sync is caught. The backend lives on for a moment after the cut: what it
//! promises then must not be a promise either.
//!
//! For the instant of the cut the backend is held still. The ioctl that pulls the plug races with a
//! sync under way: the kernel may then tell that sync's caller that all is well, and lose it (a loop
//! of nothing but write and sync shows it, three times in a hundred cuts). That is the trouble of a
//! drive that lies, which nobody promises anything about.
//!
//! Two controls show that this can find fault: without syncs, and under `--durability process`,
//! acknowledged money must get lost.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::lab::chance::Chance;
use crate::lab::load::{self, Load};
use crate::lab::scene::Scene;
use crate::lab::shim::{Plan, Shim};
use crate::lab::volume::{Kind, NO_RESERVE, Volume};
use crate::lab::{Options, Report};

/// What is done to the promise, to see whether the lab notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Control {
    /// Nothing: the promise must hold.
    #[default]
    None,
    /// Syncs do nothing: it must be seen to break.
    NoSync,
    /// The backend is told that power cuts do not matter: the same.
    Process,
}

/// The fault.
#[derive(Debug)]
pub struct Cut {
    options: Options,
    control: Control,
    chance: Chance,
    report: Report,
}

/// A backend on a volume.
struct House {
    scene: Scene,
    volume: Volume,
}

impl Cut {
    /// With these options.
    pub fn new(options: Options, control: Control) -> Self {
        let chance = Chance::of(options.seed, 0);
        Self { options, control, chance, report: Report::default() }
    }

    /// Brings it about, as often as asked. A control that sees no loss is a breach itself.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let tools = Shim::build().and_then(|shim| {
            let probe = Volume::new(VOLUME)?;
            shim.cut(&probe.path(), false).map_err(|error| format!("no power cuts: {error:#}"))?;
            Ok(shim)
        });
        match tools {
            Ok(shim) => self.cycles(&shim).await?,
            Err(reason) => self.report.skip(format!("cut: {reason}")),
        }
        let mut report = std::mem::take(&mut self.report);
        if self.control != Control::None && report.cycles > 0 {
            report.count("losses seen", report.breaches.len() as u64);
            if report.is_clean() {
                report.breach("control", "without syncs nothing was lost: the lab sees nothing");
            } else {
                report.breaches.clear();
            }
        }
        Ok(report)
    }

    async fn cycles(&mut self, shim: &Shim) -> anyhow::Result<()> {
        let mut house: Option<House> = None;
        for cycle in 1..=self.options.cycles {
            // A loss is told once, by the directory in which it happened.
            let fresh = cycle % FRESH_EVERY == 1;
            let mut lived = match house.take() {
                Some(house) if !fresh => house,
                _ => self.move_in(shim, cycle).await?,
            };
            let known = self.report.breaches.len();
            if let Err(error) = self.cycle(&mut lived, shim, cycle).await {
                self.report.breach("O7", format!("cycle {cycle}: {error:#}"));
            }
            if self.report.breaches.len() == known {
                house = Some(lived);
            }
            self.report.cycles += 1;
            self.options.tell_progress(cycle, &self.report);
        }
        Ok(())
    }

    /// An empty volume with a backend on it.
    async fn move_in(&mut self, shim: &Shim, cycle: u64) -> anyhow::Result<House> {
        let volume = Volume::new(VOLUME).map_err(anyhow::Error::msg)?;
        let provider = load::provider(self.options.seed);
        let mut scene = Scene::open(&self.options.program, provider).await?;
        scene.data_dir = volume.path().join("data");
        std::fs::create_dir(&scene.data_dir)?;
        scene.flags = load::flags();
        scene.flags.extend(NO_RESERVE.map(str::to_owned));
        if self.control == Control::Process {
            scene.flags.extend(["--durability", "process"].map(str::to_owned));
        }
        let mut house = House { scene, volume };
        self.start(&mut house, shim, cycle).await?;
        load::register(&house.scene).await?;
        Ok(house)
    }

    async fn start(&self, house: &mut House, shim: &Shim, cycle: u64) -> anyhow::Result<()> {
        let plan = Plan {
            no_sync: self.control == Control::NoSync,
            delay_ms: (cycle % 4 == 3).then_some(SLOW_SYNC_MS),
            ..Plan::default()
        };
        let mut command = house.scene.command()?;
        shim.wire(&mut command, &house.scene.data_dir, &plan);
        house.scene.start_with(command).await
    }

    async fn cycle(&mut self, house: &mut House, shim: &Shim, cycle: u64) -> anyhow::Result<()> {
        load::raise_limits(&mut house.scene).await?;
        let load = Load { clients: CLIENTS, seed: self.options.seed, cycle };
        let running = load.start(&house.scene)?;
        self.pause(CUT_WITHIN_MS).await;
        let keep_metadata = cycle.is_multiple_of(2);
        hold_still(&house.scene).await?;
        shim.cut(&house.volume.path(), keep_metadata)?;
        house.scene.running()?.signal("CONT")?;
        self.pause(LIVES_ON_MS).await;
        house.scene.kill()?;
        house.scene.truth.seen.extend(running.finish().await?);
        self.report.count(if keep_metadata { "cuts, metadata kept" } else { "cuts" }, 1);
        house.volume.unmount()?;
        house.volume.mount()?;
        self.start(house, shim, cycle + 1).await.context("it refused to start")?;
        house.scene.probe("ample").await?;
        let verdict = house.scene.judge().await?;
        self.report.add(verdict);
        Ok(())
    }

    async fn pause(&mut self, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.chance.below(most_ms))).await;
    }
}

/// Stops the process and waits until no thread of it is in the kernel any more.
pub(super) async fn hold_still(scene: &Scene) -> anyhow::Result<()> {
    let process = scene.running()?;
    process.signal("STOP")?;
    let tasks = format!("/proc/{}/task", process.id());
    for _ in 0..STILL_WITHIN_MS {
        let threads = std::fs::read_dir(&tasks)?.flatten();
        let is_still = |stat: &str| stat.contains(") T ") || stat.contains(") Z ");
        let stat = |path: PathBuf| std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        // A thread that is gone has no state, and is still as well.
        let mut states = threads.map(|thread| stat(thread.path()));
        if states.all(|stat| stat.is_empty() || is_still(&stat)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("the process does not stand still")
}

/// A sync under way ends within so many milliseconds, or the disk is dead already.
const STILL_WITHIN_MS: u64 = 10_000;

/// Room for the past of a few cycles; an image of this size is made in no time.
const VOLUME: Kind = Kind::Ext4 { mib: 96 };

/// Clients that ask at once.
const CLIENTS: u64 = 16;

/// The cut comes within so many milliseconds of the first request.
const CUT_WITHIN_MS: u64 = 400;

/// The backend lives on for up to so many milliseconds without a disk.
const LIVES_ON_MS: u64 = 60;

/// How long a slow sync takes longer, in milliseconds: an answer is out long before.
const SLOW_SYNC_MS: (u32, u32) = (30, 90);

/// Cycles over one volume.
const FRESH_EVERY: u64 = 20;
