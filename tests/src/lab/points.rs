//! kill -9 at every storage call: before it, inside it, after it, for every short story.
//!
//! A story is at most three operations and a stop. It is told once to learn how many storage calls
//! its last operation and the stop make, then once for each of them and each moment, and dies
//! there. Calls of the operations before it are those of a shorter story, so every call of every
//! story is a place to die. Starts that recover from such a death are killed the same way, and the
//! start after that again.
//!
//! ```text
//! budget · route · [stream · stop]          calls 1 … n, × before, inside, after
//!                        └─▶ [start]        of some: calls 1 … m, × before, inside, after
//!                                └─▶ [start]    of some of these as well
//! ```

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::lab::chance::Chance;
use crate::lab::oracle::Truth;
use crate::lab::shim::{self, Call, Deed, Moment, Plan, Shim};
use crate::lab::{Options, Report};

mod story;

pub use story::Operation;
use story::Stage;

/// The fault.
#[derive(Debug)]
pub struct Points {
    options: Options,
    longest: usize,
}

/// Every operation that a story is made of.
pub const OPERATIONS: [Operation; 6] = [
    Operation::Budget,
    Operation::Success,
    Operation::Voided,
    Operation::Unknown,
    Operation::Stream,
    Operation::Restart,
];

impl Points {
    /// Stories of up to so many operations; `options.cycles` of them, spread over all.
    pub fn new(options: Options, longest: usize) -> Self {
        Self { options, longest }
    }

    /// Brings it about, at every call of the stories that were asked for.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let shim = match Shim::build() {
            Ok(shim) => Arc::new(shim),
            Err(reason) => {
                let mut report = Report::default();
                report.skip(format!("points: {reason}"));
                return Ok(report);
            }
        };
        let report = Arc::new(Mutex::new(Report::default()));
        let (seats, mut tasks) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
        for (number, story) in chosen(self.longest, self.options.cycles).into_iter().enumerate() {
            let teller = Teller {
                shim: Arc::clone(&shim),
                options: self.options.clone(),
                report: Arc::clone(&report),
                story,
                number: number as u64,
            };
            let seat = Arc::clone(&seats).acquire_owned().await?;
            tasks.spawn(async move {
                let told = teller.tell_all().await;
                drop(seat);
                told.with_context(|| format!("{:?}", teller.story))
            });
            while let Some(done) = tasks.try_join_next() {
                done??;
            }
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        let report = report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(report)
    }
}

/// One story and all the deaths in it.
struct Teller {
    shim: Arc<Shim>,
    options: Options,
    report: Arc<Mutex<Report>>,
    story: Vec<Operation>,
    number: u64,
}

impl Teller {
    async fn tell_all(&self) -> anyhow::Result<()> {
        let mut chance = Chance::of(self.options.seed, self.number);
        let calls = self.record().await?;
        // Not at the first story of a few: recoveries take as long as all else.
        let deep =
            (self.number % DEEP_EVERY == DEEP_EVERY - 1).then(|| chance.below(calls.len() as u64));
        for (index, call) in calls.iter().enumerate() {
            for moment in moments(call) {
                if self.with_report(|report| report.breaches.len() >= BREACHES_ENOUGH) {
                    return Ok(());
                }
                let is_deep = deep == Some(index as u64) && moment != Moment::After;
                self.die_at(call, moment, is_deep.then_some(&mut chance)).await?;
            }
        }
        self.with_report(|report| {
            report.count("stories", 1);
            self.options.tell_progress(report.facts["stories"], report);
        });
        Ok(())
    }

    /// Tells the story without a death and learns the calls of its end.
    async fn record(&self) -> anyhow::Result<Vec<Call>> {
        let mut stage = Stage::open(&self.options.program).await?;
        let trace = stage.scene.beside("trace");
        let plan = Plan { trace: Some(trace.clone()), ..stage.plan() };
        stage.tell(&self.story, &self.shim, &plan).await?;
        shim::calls(&trace)
    }

    /// Tells the story, dies at a call, recovers, judges. With chance in hand the recovery itself
    /// dies at every one of its calls as well.
    async fn die_at(
        &self,
        call: &Call,
        moment: Moment,
        deep: Option<&mut Chance>,
    ) -> anyhow::Result<()> {
        let mut stage = Stage::open(&self.options.program).await?;
        let deed = Some((call.number, Deed::Kill(moment)));
        let plan = Plan { deed, linger_ms: linger_ms(moment), ..stage.plan() };
        let has_died = stage.tell(&self.story, &self.shim, &plan).await?;
        let what = if has_died { "deaths at a storage call" } else { "stories that ended first" };
        self.with_report(|report| {
            report.cycles += 1;
            report.count(what, 1);
        });
        if let Some(chance) = deep {
            self.recoveries(&mut stage, chance).await?;
        }
        self.recover(&mut stage, &format!("{moment:?} {call}")).await
    }

    /// Kills the start that recovers, at every call of it; for one of them the next start as well.
    async fn recoveries(&self, stage: &mut Stage, chance: &mut Chance) -> anyhow::Result<()> {
        let (dead, again) = (stage.scene.beside("dead"), stage.scene.beside("dead-again"));
        let truth = stage.scene.truth.clone();
        stage.keep(&dead)?;
        let calls = stage.record_start(&self.shim).await?;
        let deeper = chance.below(calls.len() as u64);
        for (index, call) in calls.iter().enumerate() {
            for moment in moments(call) {
                if self.with_report(|report| report.breaches.len() >= BREACHES_ENOUGH) {
                    return Ok(());
                }
                stage.branch_from(&dead, &truth)?;
                stage.die_starting(&self.shim, call, moment).await?;
                self.with_report(|report| report.count("deaths in recovery", 1));
                if index as u64 == deeper && moment == Moment::Before {
                    copy(&stage.scene.data_dir, &again)?;
                    self.recoveries_of_recovery(stage, (&again, &truth)).await?;
                    continue;
                }
                self.recover(stage, &format!("recovering, {moment:?} {call}")).await?;
            }
        }
        stage.branch_from(&dead, &truth)
    }

    /// The start after a start that died dies at every call of its own.
    async fn recoveries_of_recovery(
        &self,
        stage: &mut Stage,
        (again, truth): (&Path, &Truth),
    ) -> anyhow::Result<()> {
        for call in stage.record_start(&self.shim).await? {
            stage.branch_from(again, truth)?;
            stage.die_starting(&self.shim, &call, Moment::Before).await?;
            self.with_report(|report| report.count("deaths two deep", 1));
            self.recover(stage, &format!("two deep, before {call}")).await?;
        }
        Ok(())
    }

    /// Starts over what is left, without a shim, and judges it.
    async fn recover(&self, stage: &mut Stage, place: &str) -> anyhow::Result<()> {
        let with_python = self.with_report(|report| {
            report.count("judgements", 1);
            report.facts["judgements"] % PYTHON_EVERY == 1
        });
        let judged = stage.recover(with_python).await;
        self.with_report(|report| {
            let known = report.breaches.len();
            match judged {
                Ok(verdict) => report.add(verdict),
                Err(error) => report.breach("O7", format!("{error:#}")),
            }
            for breach in report.breaches.iter_mut().skip(known) {
                breach.what = format!("{:?}, {place}: {}", self.story, breach.what);
            }
        });
        Ok(())
    }

    fn with_report<T>(&self, work: impl FnOnce(&mut Report) -> T) -> T {
        work(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Up to `most` stories of up to `longest` operations, spread evenly over all of them.
fn chosen(longest: usize, most: u64) -> Vec<Vec<Operation>> {
    let mut stories: Vec<Vec<Operation>> = Vec::new();
    let mut last: Vec<Vec<Operation>> = vec![Vec::new()];
    for _ in 0..longest {
        last = last
            .iter()
            .flat_map(|story| OPERATIONS.map(|next| [story.as_slice(), &[next]].concat()))
            .collect();
        stories.extend_from_slice(&last);
    }
    spread_over(stories.len(), most).filter_map(|place| stories.get(place).cloned()).collect()
}

/// At most `most` places of so many, evenly spread.
pub(super) fn spread_over(count: usize, most: u64) -> impl Iterator<Item = usize> {
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(count);
    (0..most).map(move |number| number * count / most)
}

/// A call that writes can be torn; of any other there is only before and after.
pub(super) fn moments(call: &Call) -> impl Iterator<Item = Moment> + use<> {
    let writes = matches!(call.kind.as_str(), "write" | "pwrite" | "writev");
    let inside = writes.then_some(Moment::Inside);
    [Some(Moment::Before), inside, Some(Moment::After)].into_iter().flatten()
}

/// Before a call the other threads get a while to let out what was promised too early.
fn linger_ms(moment: Moment) -> u32 {
    if moment == Moment::Before { LINGER_MS } else { 0 }
}

/// Makes a directory the copy of another.
fn copy(source: &Path, target: &Path) -> anyhow::Result<()> {
    if target.exists() {
        std::fs::remove_dir_all(target)?;
    }
    std::fs::create_dir_all(target)?;
    for entry in std::fs::read_dir(source)? {
        let entry = entry?;
        let place = target.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &place)?;
        } else {
            std::fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

/// Stories told at once: a lingering death and a starting process leave a core to others.
const AT_ONCE: usize = 4;

/// How long a death before a call takes. Long enough for an answer to cross two threads and a
/// socket.
const LINGER_MS: u32 = 15;

/// One story in so many has its recovery killed as well, at every call.
const DEEP_EVERY: u64 = 3;

/// After so many breaches the rest is not told: more would say the same, and slowly.
const BREACHES_ENOUGH: usize = 4;

/// The checker in Python judges one judgement in so many.
const PYTHON_EVERY: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stories_are_told_where_nobody_asks_for_fewer() {
        assert_eq!(chosen(3, u64::MAX).len(), 6 + 36 + 216);
        assert_eq!(chosen(1, 6).len(), 6);
        let few = chosen(3, 10);
        assert_eq!(few.len(), 10);
        assert!(few.iter().any(|story| story.len() == 3));
    }
}
