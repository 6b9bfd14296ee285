//! Syncs and writes that fail, once or for ever, and syncs that are slow.
//!
//! A sync that fails is the end: nothing is acknowledged after it, the process goes, and the next
//! start finds everything that was acknowledged before. Where root is, the power goes as well, so
//! that an answer which trusted the failed sync is caught. A write that fails for want of room is
//! no end. A start of which a sync fails does not listen, and the next one finds everything. A slow sync only makes everything slow: nothing slow is taken for failed.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::lab::chance::Chance;
use crate::lab::cut::hold_still;
use crate::lab::load::{self, Load};
use crate::lab::scene::Scene;
use crate::lab::shim::{self, Calls, Deed, Plan, Shim, Switch};
use crate::lab::volume::{Kind, NO_RESERVE, Volume};
use crate::lab::{Options, Report};

/// The fault.
#[derive(Debug)]
pub struct Sync {
    options: Options,
    chance: Chance,
    report: Report,
}

/// What goes wrong in a cycle, and whether the process must end of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Of these calls one fails, or all from it on.
    Fails(Calls, Deed, Ends),
    /// Every sync takes up to two seconds longer.
    Slow,
    /// Of the syncs of a start that recovers one fails.
    Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// It must go by itself.
    Must,
    /// It must stay.
    MustNot,
}

/// Taken in turn.
const TROUBLES: [Trouble; 9] = [
    Trouble::Fails(Calls::Syncs, Deed::Fail("EIO"), Ends::Must),
    Trouble::Fails(Calls::Syncs, Deed::FailFrom("EIO"), Ends::Must),
    Trouble::Fails(Calls::Syncs, Deed::Fail("EIO"), Ends::Must),
    Trouble::Fails(Calls::Writes, Deed::Fail("ENOSPC"), Ends::MustNot),
    Trouble::Fails(Calls::Writes, Deed::FailFrom("ENOSPC"), Ends::MustNot),
    Trouble::Fails(Calls::Writes, Deed::Fail("EDQUOT"), Ends::MustNot),
    Trouble::Fails(Calls::Writes, Deed::FailFrom("EFBIG"), Ends::MustNot),
    Trouble::Slow,
    Trouble::Start,
];

impl Sync {
    /// With these options.
    pub fn new(options: Options) -> Self {
        let chance = Chance::of(options.seed, 0);
        Self { options, chance, report: Report::default() }
    }

    /// Brings it about, as often as asked.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        match Shim::build() {
            Ok(shim) => {
                for cycle in 0..self.options.cycles {
                    let trouble = trouble(cycle);
                    if let Err(error) = self.cycle(&shim, cycle, trouble).await {
                        let what = format!("cycle {cycle}, {trouble:?}: {error:#}");
                        self.report.breach("O7", what);
                    }
                    self.report.cycles += 1;
                    self.options.tell_progress(cycle + 1, &self.report);
                }
            }
            Err(reason) => self.report.skip(format!("sync: {reason}")),
        }
        Ok(std::mem::take(&mut self.report))
    }

    async fn cycle(&mut self, shim: &Shim, cycle: u64, trouble: Trouble) -> anyhow::Result<()> {
        let volume = match Volume::new(VOLUME) {
            Ok(volume) => Some(volume),
            Err(reason) => {
                self.report.skip(format!("sync, the power cut after it: {reason}"));
                None
            }
        };
        let provider = load::provider(self.options.seed);
        let mut scene = Scene::open(&self.options.program, provider).await?;
        if let Some(volume) = &volume {
            scene.data_dir = volume.path().join("data");
            std::fs::create_dir(&scene.data_dir)?;
        }
        scene.flags = load::flags();
        scene.flags.extend(NO_RESERVE.map(str::to_owned));
        let switch = Switch::off(scene.beside("switch"))?;
        let mut command = scene.command()?;
        if trouble != Trouble::Start {
            shim.wire(&mut command, &scene.data_dir, &self.plan(&switch, cycle, trouble));
        }
        scene.start_with(command).await?;
        load::register(&scene).await?;
        load::raise_limits(&mut scene).await?;
        let load = Load { clients: CLIENTS, seed: self.options.seed, cycle };
        let running = load.start(&scene)?;
        switch.turn_on()?;
        let watched = self.watch(&scene, &switch, trouble).await;
        if trouble != Trouble::Slow {
            if let Some(volume) = &volume {
                hold_still(&scene).await.ok();
                shim.cut(&volume.path(), false)?;
            }
            scene.kill()?;
        }
        scene.truth.seen.extend(running.finish().await?);
        watched?;
        if trouble != Trouble::Slow {
            if let Some(volume) = &volume {
                volume.unmount()?;
                volume.mount()?;
            }
            if trouble == Trouble::Start {
                self.start_badly(&mut scene, shim, volume.as_ref(), cycle).await?;
            }
            scene.start().await.context("it refused to start")?;
        }
        scene.probe("ample").await?;
        let verdict = scene.judge().await?;
        self.report.add(verdict);
        scene.kill()
    }

    /// A start of which one sync fails: it does not listen, and after a power cut the next one does.
    /// A number beyond its syncs is a start like any other.
    async fn start_badly(
        &mut self,
        scene: &mut Scene,
        shim: &Shim,
        volume: Option<&Volume>,
        cycle: u64,
    ) -> anyhow::Result<()> {
        let number = 1 + cycle / TROUBLES.len() as u64;
        let trace = scene.beside("syncs-of-start");
        let deed = Some((number, Deed::Fail("EIO")));
        let plan =
            Plan { calls: Calls::Syncs, deed, trace: Some(trace.clone()), ..Plan::default() };
        let mut command = scene.command()?;
        shim.wire(&mut command, &scene.data_dir, &plan);
        let listens = scene.start_with(command).await.is_ok();
        let syncs = shim::calls(&trace)?;
        if let Some(volume) = volume {
            shim.cut(&volume.path(), false)?;
        }
        if listens {
            scene.kill()?;
        }
        let failed = syncs.iter().find(|call| call.number == number);
        self.report.most("sync of a start that failed, last", failed.map_or(0, |_| number));
        // The registry holds no money. A directory that is not synced is nothing to SQLite: the sync
        // of the file that is named there follows, and counts.
        let of_ledger = failed.filter(|call| call.path.starts_with("gateway/"));
        if let Some(call) = of_ledger.filter(|_| listens) {
            bail!("{call} failed, and the start went on");
        }
        self.report.count(if failed.is_some() { "failed starts" } else { "whole starts" }, 1);
        if let Some(volume) = volume {
            volume.unmount()?;
            volume.mount()?;
        }
        Ok(())
    }

    /// The call that fails moves on by one each time, so that every one is met.
    fn plan(&mut self, switch: &Switch, cycle: u64, trouble: Trouble) -> Plan {
        let plan = Plan { switch: Some(switch.path()), ..Plan::default() };
        match trouble {
            Trouble::Slow => Plan { switch: None, delay_ms: Some(SLOW_MS), ..plan },
            Trouble::Start => plan,
            Trouble::Fails(Calls::Syncs, deed, _) => {
                let (round, place) = (cycle / TROUBLES.len() as u64, cycle % TROUBLES.len() as u64);
                let number = 1 + SYNCS_EACH_ROUND * round + place;
                self.report.most("sync under load that failed, last", number);
                Plan { calls: Calls::Syncs, deed: Some((number, deed)), ..plan }
            }
            Trouble::Fails(calls, deed, _) => {
                let number = 1 + cycle / TROUBLES.len() as u64 + self.chance.below(3);
                Plan { calls, deed: Some((number, deed)), ..plan }
            }
        }
    }

    /// Looks on: whether the process goes, or stays, as it must.
    async fn watch(
        &mut self,
        scene: &Scene,
        switch: &Switch,
        trouble: Trouble,
    ) -> anyhow::Result<()> {
        match trouble {
            Trouble::Slow => {
                tokio::time::sleep(SLOW_FOR).await;
                self.report.count("slow syncs", 1);
            }
            Trouble::Start => tokio::time::sleep(FULL_FOR).await,
            Trouble::Fails(.., Ends::Must) => {
                let begun = Instant::now();
                while is_running(scene)? {
                    if begun.elapsed() > ENDS_WITHIN {
                        bail!("a sync failed and the process goes on");
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                self.report.count("ended by a failed sync", 1);
            }
            Trouble::Fails(.., Ends::MustNot) => {
                tokio::time::sleep(FULL_FOR).await;
                // The trouble is over: what is owed lands, money is given again.
                switch.turn_off()?;
                tokio::time::sleep(FULL_FOR).await;
                if !is_running(scene)? {
                    bail!("it died for want of room: {}", scene.last_words());
                }
                self.report.count("lived through a lack of room", 1);
            }
        }
        Ok(())
    }
}

fn trouble(cycle: u64) -> Trouble {
    let place = usize::try_from(cycle).unwrap_or(0) % TROUBLES.len();
    TROUBLES.get(place).copied().unwrap_or(Trouble::Slow)
}

/// Whether the backend has not ended.
pub(super) fn is_running(scene: &Scene) -> anyhow::Result<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", scene.running()?.id()));
    Ok(stat.is_ok_and(|stat| !stat.contains(") Z ")))
}

/// Of the first troubles in [`TROUBLES`] so many are syncs that fail.
const SYNCS_EACH_ROUND: u64 = 3;

/// A disk of which the power can be cut.
const VOLUME: Kind = Kind::Ext4 { mib: 64 };

/// Clients that ask at once.
const CLIENTS: u64 = 16;

/// How much longer a slow sync takes, in milliseconds.
const SLOW_MS: (u32, u32) = (200, 2_000);

/// How long syncs are slow under load.
const SLOW_FOR: Duration = Duration::from_secs(6);

/// How long writes fail, and how long they then do not.
const FULL_FOR: Duration = Duration::from_millis(300);

/// A process that cannot sync is gone within this time, its answers in flight delivered.
const ENDS_WITHIN: Duration = Duration::from_secs(45);
