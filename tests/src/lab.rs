//! The crash lab: a backend in a process of its own is broken, started again, and judged.
//!
//! The one idea: **the simulated provider's bill is the truth**, not our books. The provider lives
//! in the lab's process and is never killed; what it billed, the limits that were set and what
//! clients saw are held against the ledger, the API and the files by the oracles O1 to O8 of
//! [`oracle`]. Refuses to know how the backend works inside.
//!
//! ```text
//! chance ─▶ load ─▶ scene: backend process ─▶ provider ─▶ bill ─┐
//!             └── what clients saw ──────────────────────────────┤
//!   fault ───────────▶ kill, tear, stop, crowd …                 ▼
//!                      evidence: rows, API, files ────────────▶ oracle ─▶ report
//! ```
//!
//! | fault | what is done |
//! |---|---|
//! | [`images`] | every disk that a power cut may leave of a story: unsynced writes dropped and reordered |
//! | [`kill`] | kill -9 at a random moment under streaming clients, also while it starts |
//! | [`clock`] | the wall clock jumps by hours and years, under load |
//! | [`crowd`] | thousands at once on a limit for exactly k |
//! | [`flips`] | one bit of the ledger, its log or a receipt file is another |
//! | [`halt`] | SIGTERM with streams in flight, SIGSTOP and SIGCONT |
//! | [`link`] | the provider in a network of its own, cut off and back |
//! | [`narrow`] | no memory, a twentieth of a core, no descriptors |
//! | [`proxy`] | the wire to the provider cut, spoilt, slowed, swallowed, at every byte |
//! | [`model`] | no process at all: the pure ledger against a naive one, in random histories |
//! | [`verbs`] | kill -9 at every storage call of backup, rebuild, restore, and of starts, five deep |
//! | [`torn`] | receipt files and the WAL's end torn at every byte; acknowledged frames lost |

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub mod chance;
pub mod clock;
pub mod crowd;
pub mod cut;
pub mod evidence;
pub mod flips;
pub mod full;
pub mod halt;
pub mod images;
pub mod kill;
pub mod link;
pub mod load;
pub mod model;
pub mod mutants;
pub mod narrow;
pub mod oracle;
pub mod points;
pub mod proxy;
pub mod record;
pub mod referee;
pub mod relay;
pub mod rules;
pub mod scene;
pub mod shim;
pub mod sync;
pub mod torn;
pub mod verbs;
pub mod volume;

/// What every fault is run with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The backend's program.
    pub program: PathBuf,
    /// How many times the fault is brought about.
    pub cycles: u64,
    /// Where chance begins: the same seed, the same load and the same moments.
    pub seed: u64,
    /// Whether a line on stderr tells now and then how far it is.
    pub tells_progress: bool,
}

impl Options {
    /// Tells how far it is, now and then.
    pub fn tell_progress(&self, cycle: u64, report: &Report) {
        if self.tells_progress && cycle.is_multiple_of(PROGRESS_EVERY) {
            let (checks, breaches) = (report.checks, report.breaches.len());
            eprintln!("{cycle} of {}: {checks} checks, {breaches} breaches", self.cycles);
        }
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The oracle that found it: `O1` to `O8`, or the name of a checker from outside.
    pub oracle: &'static str,
    /// The run.
    pub run_id: String,
    /// The attempt or request, or nothing where it is about the whole run.
    pub attempt: String,
    /// What is wrong, with both sides of it.
    pub what: String,
}

/// What a fault's run came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many times the fault was brought about.
    pub cycles: u64,
    /// How many single statements were checked.
    pub checks: u64,
    /// Those that were false.
    pub breaches: Vec<Breach>,
    /// Counts worth knowing, such as how many attempts were billed.
    pub facts: BTreeMap<&'static str, u64>,
    /// What could not run here, by name and with the reason. Never counted as passed.
    pub not_run: Vec<String>,
}

impl Report {
    /// Adds what a judgement found.
    pub fn add(&mut self, verdict: oracle::Verdict) {
        self.checks += verdict.checks;
        self.breaches.extend(verdict.breaches);
        for (name, count) in verdict.facts {
            self.count(name, count);
        }
        for (name, value) in verdict.peaks {
            self.most(name, value);
        }
        for reason in verdict.not_run {
            self.skip(reason);
        }
    }

    /// Notes a promise that was broken outside of a judgement.
    pub fn breach(&mut self, oracle: &'static str, what: impl fmt::Display) {
        let what = what.to_string();
        self.breaches.push(Breach { oracle, run_id: String::new(), attempt: String::new(), what });
    }

    /// Adds to a count.
    pub fn count(&mut self, name: &'static str, more: u64) {
        *self.facts.entry(name).or_default() += more;
    }

    /// Keeps the largest.
    pub fn most(&mut self, name: &'static str, value: u64) {
        let known = self.facts.entry(name).or_default();
        *known = value.max(*known);
    }

    /// Notes once what could not run.
    pub fn skip(&mut self, reason: String) {
        if !self.not_run.contains(&reason) {
            self.not_run.push(reason);
        }
    }

    /// Whether every statement was true.
    pub fn is_clean(&self) -> bool {
        self.breaches.is_empty()
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} run `{}` attempt `{}`: {}", self.oracle, self.run_id, self.attempt, self.what)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for breach in self.breaches.iter().take(BREACHES_SHOWN) {
            writeln!(f, "BREACH {breach}")?;
        }
        for reason in &self.not_run {
            writeln!(f, "not run: {reason}")?;
        }
        for (name, count) in &self.facts {
            writeln!(f, "{name}: {count}")?;
        }
        let (cycles, checks) = (self.cycles, self.checks);
        write!(f, "{cycles} cycles, {checks} checks, {} breaches", self.breaches.len())
    }
}

/// Breaches that are printed: the first ones explain the others.
const BREACHES_SHOWN: usize = 20;

/// Cycles between two lines of progress.
const PROGRESS_EVERY: u64 = 25;
