//! Unsynced writes reordered and dropped: every disk that a power cut may leave, made and opened.
//!
//! A story is told once under the shim, which keeps every storage call with its bytes. Any moment of
//! it is then cut: what a file had at its last completed sync is on the disk, and of what came after,
//! each sector has any of its versions, the file any of its lengths. The image is opened, and must be
//! the ledger after the last commit that was synced, or after the one that was under way: a prefix,
//! no hole, and never a reason to refuse.
//!
//! ```text
//! story ─▶ journal: w w S w w w S w ✂     S: a sync that returned
//!                   └─ kept ─┘   └ any of these sectors, in any version ─▶ image ─▶ start
//! ```
//!
//! A cycle is an image. Opened in process by the start's own functions; the program itself, and
//! `verify` after it, open one in so many. What is taken for granted of a file system: a file that was
//! synced has its name, and one is cut short or gets another name whole or not at all.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, ensure};
use tollgate_backend::simulate;

use crate::lab::chance::Chance;
use crate::lab::flips::rows::{self, Rows, Stage};
use crate::lab::scene::{Ask, Scene};
use crate::lab::shim::{Plan, Shim, Switch};
use crate::lab::volume::NO_RESERVE;
use crate::lab::{Options, Report, flips, load};
use crate::process::{Process, serve};
use crate::until;

mod disk;

use disk::{Disk, Event, Record};

/// The fault.
#[derive(Debug)]
pub struct Images {
    options: Options,
    control: Control,
}

/// Whether the disk does as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It does: nothing may be lost.
    None,
    /// Negative control: syncs are nothing to it, and losses must be seen.
    NoSync,
}

/// A story as its disk saw it.
struct Trace {
    /// What was there when it began.
    before: flips::Files,
    records: Vec<Record>,
    /// The ledger after each of its syncs, and before the first.
    states: Vec<Rows>,
    /// At each record, how many syncs of the ledger have returned.
    synced: Vec<usize>,
}

impl Images {
    /// With these options.
    pub const fn new(options: Options, control: Control) -> Self {
        Self { options, control }
    }

    /// Brings it about.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let mut report = Report::default();
        let shim = match Shim::build() {
            Ok(shim) => shim,
            Err(reason) => {
                report.skip(format!("images: {reason}"));
                return Ok(report);
            }
        };
        let each = self.options.cycles.div_ceil(TRACES).max(1);
        for number in 0..TRACES.min(self.options.cycles) {
            let seed = self.options.seed.wrapping_mul(TRACES).wrapping_add(number);
            let trace = Trace::tell(&self.options.program, &shim, seed).await?;
            trace.acknowledged(&mut report);
            report.count("traces", 1);
            report.count("calls in them", trace.records.len() as u64);
            report.count("syncs of the ledger in them", trace.states.len() as u64 - 1);
            self.open_some(&trace, seed, each, &mut report)?;
        }
        if self.control == Control::NoSync && !report.facts.contains_key("losses seen") {
            report.breach("O1", "without syncs nothing was lost: this harness sees nothing");
        }
        Ok(report)
    }

    /// Images of one trace, in as many threads as there are cores for it.
    fn open_some(
        &self,
        trace: &Trace,
        seed: u64,
        images: u64,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let shared = Mutex::new(std::mem::take(report));
        let failed = Mutex::new(None);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (shared, failed) = (&shared, &failed);
                scope.spawn(move || {
                    for image in (thread..images).step_by(THREADS as usize) {
                        if let Err(error) = self.open_one(trace, (seed, image), shared) {
                            *rows::lock(failed) = Some(error);
                            return;
                        }
                    }
                });
            }
        });
        *report = shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        failed.map_or(Ok(()), Err)
    }

    fn open_one(
        &self,
        trace: &Trace,
        (seed, image): (u64, u64),
        shared: &Mutex<Report>,
    ) -> anyhow::Result<()> {
        let mut chance = Chance::of(seed, image);
        let cut = trace.cut(&mut chance);
        let mut disk = Disk::of(&trace.before);
        let heeds = |record: &&Record| self.control == Control::None || record.event != Event::Sync;
        for record in trace.records.iter().take(cut).filter(heeds) {
            disk.take(record);
        }
        let (files, dropped) = disk.image(&mut chance);
        let stage = Stage::new(&files)?;
        stage.lay_out(None)?;
        let known = trace.synced.get(cut).copied().unwrap_or(0);
        let wanted =
            trace.states.get(known..).map_or(&[][..], |rest| rest.get(..2).unwrap_or(rest));
        let mut found = judge(&stage, wanted, |rows| trace.tell_place(rows, (known, cut)));
        let with_program = self.control == Control::None && image % PROGRAM_EVERY == 0;
        if found.is_none() && with_program {
            stage.lay_out(None)?;
            found = start(&self.options.program, &stage, wanted)?;
        }
        let mut report = rows::lock(shared);
        report.cycles += 1;
        report.checks += if with_program { 2 } else { 1 };
        report.count("sectors dropped or out of order", dropped);
        if with_program {
            report.count("starts of the program itself", 1);
        }
        if self.control == Control::NoSync {
            report.count("losses seen", u64::from(found.is_some()));
        } else if let Some((oracle, what)) = found {
            report.breach(oracle, format!("trace {seed}, image {image}, cut at {cut}: {what}"));
        }
        if report.cycles.is_multiple_of(500) {
            self.options.tell_progress(report.cycles, &report);
        }
        Ok(())
    }
}

impl Trace {
    /// Tells a story: some requests one after another and some at once, a stop, a start, more of
    /// them, one that hangs, and a kill.
    async fn tell(program: &Path, shim: &Shim, seed: u64) -> anyhow::Result<Self> {
        let mut chance = Chance::of(seed, 0);
        let mut scene = Scene::open(program, simulate::Config::default()).await?;
        scene.flags = load::short_flags(1, 0);
        scene.flags.extend(NO_RESERVE.map(str::to_owned));
        let switch = Switch::off(scene.beside("switch"))?;
        let journal = scene.beside("journal");
        let plan =
            Plan { journal: Some(journal.clone()), switch: Some(switch.path()), ..Plan::default() };
        let start = async |scene: &mut Scene| {
            let mut command = scene.command()?;
            shim.wire(&mut command, &scene.data_dir, &plan);
            scene.start_with(command).await
        };
        start(&mut scene).await?;
        for run_id in RUNS {
            scene.register(run_id, 1).await?;
            scene.limit(run_id, "5".parse()?, "clamp").await?;
        }
        scene.ask(&ask(RUNS[0], 0, "")).await?;
        flips::at_rest(&scene.data_dir).await?;
        let before = flips::everything(&scene.data_dir)?;
        switch.turn_on()?;
        spend(&mut scene, &journal, 1, &mut chance).await?;
        if chance.once_in(2) {
            let process = scene.process.take().context("nothing runs")?;
            tokio::task::spawn_blocking(move || process.terminate()).await??;
        } else {
            scene.kill()?;
        }
        start(&mut scene).await?;
        spend(&mut scene, &journal, 1_000, &mut chance).await?;
        let (client, url) = (scene.client(), scene.gateway("/route")?);
        let (last, known) = (ask(RUNS[0], 9_999, "[fault:hang]"), scene.provider.bill().count);
        let hanging = tokio::spawn(async move { last.at(&client, &url).await });
        until("the last request is billed", || scene.provider.bill().count > known).await?;
        scene.kill()?;
        hanging.await?;
        start(&mut scene).await?;
        scene.kill()?;
        let records = disk::read(&std::fs::read(&journal)?)?;
        Self::of(before, records)
    }

    /// Learns the ledger after each of its syncs, from a disk that loses nothing.
    fn of(before: flips::Files, records: Vec<Record>) -> anyhow::Result<Self> {
        let mut disk = Disk::of(&before);
        let state = |disk: &Disk| {
            let files = disk.latest();
            let stage = Stage::new(&files)?;
            stage.lay_out(None)?;
            rows::rows(&stage.ledger())
        };
        let (mut states, mut synced) = (vec![state(&disk)?], vec![0]);
        for record in &records {
            disk.take(record);
            if record.event == Event::Sync && record.path.starts_with("gateway/ledger.db") {
                states.push(state(&disk)?);
            }
            synced.push(states.len() - 1);
        }
        ensure!(states.len() > 10, "{} syncs are no story", states.len());
        Ok(Self { before, records, states, synced })
    }

    /// A moment of the story: any, or one soon after a file was made, cut short, renamed or removed.
    fn cut(&self, chance: &mut Chance) -> usize {
        let is_joint = |at: &usize| {
            let event = self.records.get(*at).map(|record| &record.event);
            !matches!(event, Some(Event::Write(..) | Event::Sync | Event::Told))
        };
        let all: Vec<usize> = (0..=self.records.len()).collect();
        let joints: Vec<usize> = all.iter().copied().filter(is_joint).collect();
        let near = chance.pick(&joints).copied().unwrap_or(0) + JOINT_CALLS;
        let near =
            near.saturating_sub(usize::try_from(chance.below(JOINT_CALLS as u64)).unwrap_or(0));
        let any = chance.pick(&all).copied().unwrap_or(0);
        if chance.once_in(2) { any } else { near.min(self.records.len()) }
    }

    /// Where in the story a state belongs that is none of those that were wanted.
    fn tell_place(&self, found: &Rows, (known, cut): (usize, usize)) -> String {
        let at = self.states.iter().position(|state| rows::difference(state, found).is_none());
        let calls = self.records.get(cut.saturating_sub(8)..cut).unwrap_or_default();
        let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
        format!("after sync {known} it is that of sync {at:?}; last calls: {}", calls.join(", "))
    }

    /// Whatever a client was told is in the ledger that was synced when it was told.
    fn acknowledged(&self, report: &mut Report) {
        for (at, record) in self.records.iter().enumerate() {
            if record.event != Event::Told {
                continue;
            }
            let state = self.synced.get(at).and_then(|known| self.states.get(*known));
            let name = format!("\"request_id\":\"{}\"", record.path);
            report.checks += 1;
            report.count("answers", 1);
            if !state.is_some_and(|rows| rows::mention(rows, "receipts", &name)) {
                report.breach("O8", format!("`{}` was answered before its sync", record.path));
            }
        }
    }
}

/// What is wrong with an image when it is started step by step.
fn judge(
    stage: &Stage<'_>,
    wanted: &[Rows],
    place: impl Fn(&Rows) -> String,
) -> Option<(&'static str, String)> {
    let found = match stage.opened() {
        Ok(found) => found,
        Err(error) => return Some(("O7", format!("refused: {error:#}"))),
    };
    let differences: Vec<String> =
        wanted.iter().filter_map(|state| rows::difference(state, &found)).collect();
    // It is one of them where one of them differs in nothing.
    (differences.len() == wanted.len())
        .then(|| ("O1", format!("{}: {}", place(&found), differences.join("; and the next: "))))
}

/// The program over the image: it listens, stops, and what it leaves proves itself.
fn start(
    program: &Path,
    stage: &Stage<'_>,
    wanted: &[Rows],
) -> anyhow::Result<Option<(&'static str, String)>> {
    let text = program.to_string_lossy().into_owned();
    let mut command = serve(&text, stage.path());
    command.args(NO_RESERVE).stderr(Stdio::null());
    let verify = || Command::new(program).args(["verify", "--data-dir"]).arg(stage.path()).output();
    match Process::spawn(command) {
        Ok(process) => {
            // A receipt file that ends as it should is compared whole behind the start: a hole in
            // its middle is mended within moments, not before the first request.
            let deadline = std::time::Instant::now() + MENDED_WITHIN;
            while !verify()?.status.success() && std::time::Instant::now() < deadline {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            process.terminate()?;
        }
        Err(error) => return Ok(Some(("O7", format!("{error:#}")))),
    };
    let verified = verify()?;
    if !verified.status.success() {
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        return Ok(Some(("verify", said)));
    }
    let found = rows::rows(&stage.ledger())?;
    let Some(least) = wanted.first() else { return Ok(None) };
    let lost = rows::lacking(least, &found, "receipts by run");
    Ok(lost.map(|line| ("O1", format!("a receipt is gone: {line}"))))
}

/// How long a start may take to have compared the receipt files of a small ledger.
const MENDED_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);

/// Some requests in turn, then some at once; each answer is noted in the journal when it is heard.
async fn spend(
    scene: &mut Scene,
    journal: &Path,
    first: usize,
    chance: &mut Chance,
) -> anyhow::Result<()> {
    const WISHES: [&str; 4] = ["", "", "[fault:bill_then_500]", "[fault:status404]"];
    for number in first..first + 4 {
        let wish = chance.pick(&WISHES).copied().unwrap_or_default();
        let one = ask(RUNS[number % RUNS.len()], number, wish);
        scene.ask(&one).await?;
        disk::tell(journal, &one.request_id)?;
    }
    let mut asking = tokio::task::JoinSet::new();
    for number in first + 4..first + 10 {
        let wish = chance.pick(&WISHES).copied().unwrap_or_default();
        let one = ask(RUNS[number % RUNS.len()], number, wish);
        let (client, url, journal) = (scene.client(), scene.gateway("/route")?, journal.to_owned());
        asking.spawn(async move {
            one.at(&client, &url).await;
            disk::tell(&journal, &one.request_id)
        });
    }
    while let Some(done) = asking.join_next().await {
        done??;
    }
    Ok(())
}

fn ask(run_id: &str, number: usize, wish: &str) -> Ask {
    Ask {
        run_id: run_id.to_owned(),
        request_id: format!("image-{number}"),
        message: format!("{wish}[out:3] to be cut"),
        cap: Some(8),
        stream: false,
        leaves_after: None,
        told_usage: true,
    }
}

/// Runs with limits.
const RUNS: [&str; 2] = ["first", "second"];

/// So many calls after such a moment are still soon after it.
const JOINT_CALLS: usize = 10;

/// Stories that images are made of.
const TRACES: u64 = 8;

/// Images are opened in so many threads.
const THREADS: u64 = 2;

/// The program itself opens one image in so many.
const PROGRAM_EVERY: u64 = 50;
