//! kill -9 at every storage call of the verbs that put things right: `backup`, `rebuild`, `restore`,
//! and of a start that recovers, five deaths deep.
//!
//! Each verb is told once to learn its storage calls, then once for each call and each moment, and
//! dies there. It is told again and dies again, at calls that chance picks, five times in all, and
//! then to its end. Whatever has a copy's name is a good copy; the ledger is the old one, which a
//! start refuses, or the new one; no receipt is lost, and nothing that a crash left stands in the
//! way of the next try.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tollgate_backend::store::Snapshot;
use tollgate_backend::verify::{Beside, verify};

use crate::lab::chance::Chance;
use crate::lab::flips::rows::{self, Rows};
use crate::lab::flips::{self, Files};
use crate::lab::points::{moments, spread_over};
use crate::lab::shim::{self, Call, Deed, Moment, Plan, Shim};
use crate::lab::volume::NO_RESERVE;
use crate::lab::{Options, Report};
use crate::process::{Process, serve};

/// The fault.
#[derive(Debug)]
pub struct Verbs {
    options: Options,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    /// `backup`, of a ledger that was not closed.
    Backup,
    /// `rebuild`: a receipt file is altered, another is gone.
    Files,
    /// `rebuild --from-receipts`: acknowledged commits are gone from the log.
    FromReceipts,
    /// `restore`, of a copy that lacks nothing.
    Restore,
    /// A start that recovers: a hold is pending, a receipt file is torn.
    Start,
}

const VERBS: [Verb; 5] =
    [Verb::Backup, Verb::Files, Verb::FromReceipts, Verb::Restore, Verb::Start];

/// A data directory and a place for copies, laid out anew for every story.
struct Stage<'a> {
    program: &'a Path,
    shim: &'a Shim,
    verb: Verb,
    before: Files,
    /// Rows of the ledger before, as far as they can be read.
    truth: Rows,
    home: TempDir,
}

impl Verbs {
    /// With these options.
    pub const fn new(options: Options) -> Self {
        Self { options }
    }

    /// Brings it about: at every call, or at as many as there are cycles for, evenly spread.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let mut report = Report::default();
        let shim = match Shim::build() {
            Ok(shim) => shim,
            Err(reason) => {
                report.skip(format!("verbs: {reason}"));
                return Ok(report);
            }
        };
        let told = flips::tell(&self.options.program).await?;
        let most = self.options.cycles.div_ceil(VERBS.len() as u64);
        for verb in VERBS {
            let stage = Stage::open(&self.options.program, &shim, verb, &told)?;
            let calls = stage.record()?;
            ensure!(calls.len() > 5, "{verb:?} makes {} storage calls", calls.len());
            let deaths: Vec<(&Call, Moment)> =
                calls.iter().flat_map(|call| moments(call).map(move |at| (call, at))).collect();
            for (number, place) in (0..).zip(spread_over(deaths.len(), most)) {
                let Some((call, moment)) = deaths.get(place) else { continue };
                let mut chance = Chance::of(self.options.seed, number);
                let told = stage.story(call, *moment, &mut chance, calls.len() as u64);
                report.cycles += 1;
                report.count(verb.name(), 1);
                match told {
                    Ok((checks, deaths)) => {
                        report.checks += checks;
                        report.count("deaths", deaths);
                    }
                    Err(error) => {
                        let what = format!("{verb:?}, {moment:?} {call}: {error:#}");
                        report.breach("O7", what);
                    }
                }
                self.options.tell_progress(report.cycles, &report);
            }
        }
        Ok(report)
    }
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Backup => "stories of backup",
            Self::Files => "stories of rebuild",
            Self::FromReceipts => "stories of rebuild from receipts",
            Self::Restore => "stories of restore",
            Self::Start => "stories of a start",
        }
    }

    /// What is there before it.
    fn before(self, told: &flips::Told) -> anyhow::Result<Files> {
        let mut files = match self {
            Self::Restore => told.stopped.clone(),
            _ => told.killed.clone(),
        };
        match self {
            Self::Backup => {}
            Self::Files => {
                let altered = files.get_mut(Path::new("costs/trunk.jsonl")).context("no file")?;
                *altered.get_mut(100).context("a short file")? ^= 1;
                files.remove(Path::new("costs/alone.jsonl")).context("no other file")?;
            }
            Self::FromReceipts => {
                let log = files.get_mut(Path::new("gateway/ledger.db-wal")).context("no log")?;
                log.truncate(log.len() / 2);
            }
            Self::Restore => {
                let copy = files.get(Path::new("gateway/ledger.db")).context("no ledger")?.clone();
                files.insert(PathBuf::from("copies/copy.db"), copy);
            }
            Self::Start => {
                let torn = files.get_mut(Path::new("costs/trunk.jsonl")).context("no file")?;
                torn.truncate(torn.len() - 7);
            }
        }
        Ok(files)
    }
}

impl<'a> Stage<'a> {
    fn open(
        program: &'a Path,
        shim: &'a Shim,
        verb: Verb,
        told: &flips::Told,
    ) -> anyhow::Result<Self> {
        let before = verb.before(told)?;
        let whole = match verb {
            Verb::Restore => &told.stopped,
            _ => &told.killed,
        };
        let memory = rows::Stage::new(whole)?;
        memory.lay_out(None)?;
        let truth = rows::rows(&memory.ledger())?;
        Ok(Self { program, shim, verb, before, truth, home: tempfile::tempdir()? })
    }

    fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn copy(&self) -> PathBuf {
        self.home.path().join("copies/copy.db")
    }

    fn lay_out(&self) -> anyhow::Result<()> {
        for room in ["data", "copies"] {
            let room = self.home.path().join(room);
            std::fs::remove_dir_all(&room).ok();
            std::fs::create_dir_all(&room)?;
        }
        for (path, bytes) in &self.before {
            let place = match path.strip_prefix("copies") {
                Ok(name) => self.home.path().join("copies").join(name),
                Err(_) => self.data_dir().join(path),
            };
            std::fs::create_dir_all(place.parent().unwrap_or(&place))?;
            std::fs::write(place, bytes)?;
        }
        Ok(())
    }

    /// The verb as a command; of a start, the one that serves. Once a copy was put back whole, that
    /// is a commit which the copy lacks, and whoever puts it back again has to say so.
    fn command(&self, lose: u64) -> anyhow::Result<Command> {
        let program = self.program.to_str().context("the program's path is no text")?;
        let mut command = Command::new(program);
        match self.verb {
            Verb::Start => {
                let mut command = serve(program, &self.data_dir());
                command.args(NO_RESERVE).stderr(Stdio::null());
                return Ok(command);
            }
            Verb::Backup => command.arg("backup").arg("--to").arg(self.copy()),
            Verb::Files => command.arg("rebuild"),
            Verb::FromReceipts => command.args(["rebuild", "--from-receipts"]),
            Verb::Restore => {
                command.args(["restore", "--lose", &lose.to_string(), "--from"]).arg(self.copy())
            }
        };
        command.arg("--data-dir").arg(self.data_dir()).env_remove("RUST_LOG");
        Ok(command)
    }

    /// Tells the verb under the shim. Answers whether it died on the way.
    fn tell(&self, plan: &Plan) -> anyhow::Result<bool> {
        let mut command = self.command(self.lacks()?)?;
        self.shim.wire(&mut command, self.home.path(), plan);
        if self.verb == Verb::Start {
            return Ok(match Process::spawn(command) {
                Ok(process) => {
                    process.kill()?;
                    false
                }
                Err(_) => true,
            });
        }
        let ended = command.output()?;
        if ended.status.code().is_some_and(|code| code != 0) && plan.deed.is_none() {
            anyhow::bail!("{:?}", ended);
        }
        Ok(ended.status.code().is_none())
    }

    /// Commits that the ledger has and the copy has not.
    fn lacks(&self) -> anyhow::Result<u64> {
        if self.verb != Verb::Restore {
            return Ok(0);
        }
        let commits = |path: &Path| Snapshot::open(path).and_then(|ledger| ledger.commits());
        let data_dir = self.data_dir();
        let known = commits(&data_dir.join("gateway/ledger.db")).unwrap_or(0);
        let mark = tollgate_backend::recovery::mark(&data_dir).unwrap_or(0);
        Ok(known.max(mark).saturating_sub(commits(&self.copy())?))
    }

    /// Learns its storage calls.
    fn record(&self) -> anyhow::Result<Vec<Call>> {
        self.lay_out()?;
        let trace = self.home.path().join("trace");
        self.tell(&Plan { trace: Some(trace.clone()), ..Plan::default() })?;
        shim::calls(&trace)
    }

    /// Dies at a call, dies again wherever chance says, and is told to its end. Answers how many
    /// statements were checked, and how many deaths there were.
    fn story(
        &self,
        call: &Call,
        moment: Moment,
        chance: &mut Chance,
        calls: u64,
    ) -> anyhow::Result<(u64, u64)> {
        self.lay_out()?;
        let plan = |number| Plan { deed: Some((number, Deed::Kill(moment))), ..Plan::default() };
        let (mut deaths, mut checks) = (u64::from(self.tell(&plan(call.number))?), 0);
        for _ in 1..DEEP {
            checks += self.between()?;
            deaths += u64::from(self.tell(&plan(1 + chance.below(calls)))?);
        }
        checks += self.between()?;
        self.end()?;
        Ok((checks + END_CHECKS, deaths))
    }

    /// What must hold wherever it died. Answers how many statements were checked.
    fn between(&self) -> anyhow::Result<u64> {
        match self.verb {
            Verb::Backup if self.copy().exists() => {
                self.is_good_copy()?;
                // It would be in the way of the next.
                std::fs::remove_file(self.copy())?;
            }
            Verb::FromReceipts => {
                let mut command = Command::new(self.program);
                command.args(["verify", "--data-dir"]).arg(self.data_dir());
                let is_new = command.output()?.status.success();
                let refused = tollgate_backend::recovery::look(&self.data_dir()).is_err();
                ensure!(is_new || refused, "neither the old ledger, refused, nor the new one");
            }
            _ => return Ok(0),
        }
        Ok(1)
    }

    fn is_good_copy(&self) -> anyhow::Result<()> {
        let report = verify(&self.copy(), None, Beside::Nobody)?;
        ensure!(report.is_clean(), "a copy that does not prove itself: {:?}", report.findings);
        let found = rows::rows(&self.copy())?;
        let other = rows::difference(&self.truth, &found);
        ensure!(other.is_none(), "the copy is another: {other:?}");
        Ok(())
    }

    /// Tells it to its end, and judges what is there then.
    fn end(&self) -> anyhow::Result<()> {
        self.tell(&Plan::default())?;
        if self.verb == Verb::Backup {
            self.is_good_copy()?;
        }
        let ledger = self.data_dir().join("gateway/ledger.db");
        // Before anything else starts and adds to it.
        let lost = rows::lacking(&self.truth, &rows::rows(&ledger)?, "receipts by run");
        ensure!(lost.is_none(), "a receipt is gone: {lost:?}");
        if self.verb == Verb::Files {
            let kept = flips::everything_in(&self.data_dir().join("quarantine"))?;
            let altered = self.before.get(Path::new("costs/trunk.jsonl"));
            ensure!(kept.values().any(|bytes| Some(bytes) == altered), "altered bytes are gone");
        }
        let program = self.program.to_str().context("the program's path is no text")?;
        let mut command = serve(program, &self.data_dir());
        command.args(NO_RESERVE).stderr(Stdio::null());
        let ended = Process::spawn(command).context("after it was told to its end")?.terminate()?;
        ensure!(ended.success(), "it stopped with {ended}");
        let costs = self.data_dir().join("costs");
        let report = verify(&ledger, Some(&costs), Beside::Nobody)?;
        ensure!(report.is_clean(), "{:?}", report.findings);
        Ok(())
    }
}

/// Deaths of one story, where the verb lives to the call that is its next.
const DEEP: u32 = 5;

/// Statements that are checked at the end of a story.
const END_CHECKS: u64 = 4;
