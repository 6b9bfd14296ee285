//! Too little of what a machine has: memory until the kernel kills, a twentieth of a core, no open
//! file left.
//!
//! Killed for memory is killed: what was pending is unknown, what was acknowledged is there. A slow
//! processor costs time and nothing else. Without descriptors nobody new is let in and no provider is
//! reached, but the ledger has its own open from the start, so that what is settled lands.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::lab::chance::Chance;
use crate::lab::load::{self, Load, Running};
use crate::lab::scene::Scene;
use crate::lab::sync::is_running;
use crate::lab::volume::NO_RESERVE;
use crate::lab::{Options, Report};

/// The fault.
#[derive(Debug)]
pub struct Narrow {
    options: Options,
    chance: Chance,
    report: Report,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// The kernel kills it.
    Memory,
    /// It gets a twentieth of a core.
    Processor,
    /// It may open a few files more, or none.
    Descriptors,
}

/// Taken in turn.
const WANTS: [Want; 3] = [Want::Memory, Want::Processor, Want::Descriptors];

impl Narrow {
    /// With these options.
    pub fn new(options: Options) -> Self {
        let chance = Chance::of(options.seed, 9);
        Self { options, chance, report: Report::default() }
    }

    /// Brings it about, as often as asked.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        for (cycle, want) in (0..self.options.cycles).zip(WANTS.iter().cycle()) {
            let group = match want {
                Want::Memory => Some(Group::new("memory")),
                Want::Processor => Some(Group::new("cpu")),
                Want::Descriptors => None,
            };
            let group = match group.transpose() {
                Ok(group) => group,
                Err(reason) => {
                    self.report.skip(format!("narrow, {want:?}: {reason}"));
                    continue;
                }
            };
            if let Err(error) = self.cycle(cycle, *want, group.as_ref()).await {
                self.report.breach("O7", format!("cycle {cycle}, {want:?}: {error:#}"));
            }
            self.report.cycles += 1;
            self.options.tell_progress(cycle + 1, &self.report);
        }
        Ok(std::mem::take(&mut self.report))
    }

    async fn cycle(&mut self, cycle: u64, want: Want, group: Option<&Group>) -> anyhow::Result<()> {
        let provider = load::provider(self.options.seed);
        let mut scene = Scene::open(&self.options.program, provider).await?;
        scene.flags = load::flags();
        scene.flags.extend(NO_RESERVE.map(str::to_owned));
        scene.start().await?;
        load::register(&scene).await?;
        load::raise_limits(&mut scene).await?;
        let load = Load { clients: CLIENTS, seed: self.options.seed, cycle };
        let running = load.start(&scene)?;
        tokio::time::sleep(Duration::from_millis(100 + self.chance.below(400))).await;
        let narrowed = match (want, group) {
            (Want::Memory, Some(group)) => self.starve(&scene, group).await,
            (Want::Processor, Some(group)) => self.slow_down(&scene, group).await,
            _ => self.shut(&scene).await,
        };
        self.leave(scene, running, (want, narrowed)).await
    }

    /// Lets everybody finish, starts again what was killed, and judges.
    async fn leave(
        &mut self,
        mut scene: Scene,
        running: Running,
        (want, narrowed): (Want, anyhow::Result<()>),
    ) -> anyhow::Result<()> {
        scene.truth.seen.extend(running.finish().await?);
        narrowed?;
        if want == Want::Memory {
            // It is dead; this only takes it away.
            scene.kill()?;
            scene.start().await.context("it refused to start")?;
        }
        ensure!(is_running(&scene)?, "it died: {}", scene.last_words());
        scene.probe("ample").await?;
        let verdict = scene.judge().await?;
        self.report.add(verdict);
        scene.kill()
    }

    /// Takes memory away until the kernel kills it.
    async fn starve(&mut self, scene: &Scene, group: &Group) -> anyhow::Result<()> {
        group.take_in(scene.running()?.id())?;
        let begun = Instant::now();
        let mut room = self.chance.below(ROOM_MAX);
        while is_running(scene)? {
            // The kernel says no where so little is not to be had yet; it is asked again.
            group.allow_bytes(room.max(ROOM_LEAST)).ok();
            room = room * 3 / 4;
            ensure!(begun.elapsed() < STARVES_WITHIN, "it lives without memory");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ensure!(group.kills()? > 0, "it died, and not of memory: {}", scene.last_words());
        self.report.count("killed for memory", 1);
        Ok(())
    }

    /// A twentieth of a core for a while, then all again.
    async fn slow_down(&mut self, scene: &Scene, group: &Group) -> anyhow::Result<()> {
        group.allow_share()?;
        group.take_in(scene.running()?.id())?;
        tokio::time::sleep(SLOW_FOR).await;
        group.allow_all()?;
        self.report.count("slowed to a twentieth", 1);
        Ok(())
    }

    /// No descriptors for a while, then enough again.
    async fn shut(&mut self, scene: &Scene) -> anyhow::Result<()> {
        let id = scene.running()?.id();
        let open = fs::read_dir(format!("/proc/{id}/fd"))?.count() as u64;
        // Some that are open are closed meanwhile, so that it is at the limit again and again.
        let most = open.saturating_sub(self.chance.below(16)).max(16);
        limit_files(id, most)?;
        tokio::time::sleep(SHUT_FOR).await;
        limit_files(id, FILES_ENOUGH)?;
        self.report.count("left without descriptors", 1);
        Ok(())
    }
}

/// A control group of our own, in whichever version this machine has; removed when dropped.
#[derive(Debug)]
struct Group {
    dir: PathBuf,
    is_second: bool,
}

impl Group {
    /// Makes one. The error says why this machine cannot.
    fn new(controller: &str) -> Result<Self, String> {
        let root = Path::new("/sys/fs/cgroup");
        let first = root.join(controller);
        let is_second = !first.is_dir();
        let parent = if is_second { root.to_owned() } else { first };
        let name = format!("tollgate-lab-{controller}-{}", std::process::id());
        let dir = parent.join(name);
        if is_second {
            // Where it is given on already, this says so again.
            fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"))
                .map_err(|error| format!("no control groups of our own here: {error}"))?;
        }
        match fs::create_dir(&dir) {
            Ok(()) => Ok(Self { dir, is_second }),
            Err(error) => Err(format!("no control groups of our own here: {error}")),
        }
    }

    fn take_in(&self, id: u32) -> anyhow::Result<()> {
        self.write("cgroup.procs", &id.to_string())
    }

    fn allow_bytes(&self, bytes: u64) -> anyhow::Result<()> {
        let name = if self.is_second { "memory.max" } else { "memory.limit_in_bytes" };
        self.write(name, &bytes.to_string())
    }

    fn allow_share(&self) -> anyhow::Result<()> {
        match self.is_second {
            true => self.write("cpu.max", "5000 100000"),
            false => {
                self.write("cpu.cfs_period_us", "100000")?;
                self.write("cpu.cfs_quota_us", "5000")
            }
        }
    }

    fn allow_all(&self) -> anyhow::Result<()> {
        match self.is_second {
            true => self.write("cpu.max", "max"),
            false => self.write("cpu.cfs_quota_us", "-1"),
        }
    }

    /// How many the kernel killed here.
    fn kills(&self) -> anyhow::Result<u64> {
        let name = if self.is_second { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.dir.join(name))?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count
            .with_context(|| format!("no `oom_kill` in `{text}`"))?
            .trim()
            .parse()
            .map_err(Into::into)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        fs::write(self.dir.join(name), text).with_context(|| format!("`{text}` to `{name}`"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The dead leave it a moment later.
        for _ in 0..100 {
            if fs::remove_dir(&self.dir).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn limit_files(id: u32, most: u64) -> anyhow::Result<()> {
    let limited = Command::new("prlimit")
        .args(["--pid", &id.to_string(), &format!("--nofile={most}:{FILES_ENOUGH}")])
        .output()
        .context("no `prlimit`")?;
    if !limited.status.success() {
        bail!("{}", String::from_utf8_lossy(&limited.stderr));
    }
    Ok(())
}

/// Clients that ask at once.
const CLIENTS: u64 = 48;

/// Most new memory that is allowed at first, in bytes.
const ROOM_MAX: u64 = 4 << 20;

/// Least that is ever asked for: the kernel counts in pages.
const ROOM_LEAST: u64 = 64 << 10;

/// A process that gets no memory is killed within this time.
const STARVES_WITHIN: Duration = Duration::from_secs(20);

/// How long it is slow.
const SLOW_FOR: Duration = Duration::from_secs(3);

/// How long it may open nothing.
const SHUT_FOR: Duration = Duration::from_secs(2);

/// Descriptors for everybody.
const FILES_ENOUGH: u64 = 4_096;
