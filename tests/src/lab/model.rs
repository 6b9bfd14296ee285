//! The pure ledger against a naive one, in random histories.
//!
//! The naive ledger keeps a list of attempts and nothing else: every balance is added up anew, every
//! time it is asked. Holds, bills, voids, losses, resolutions, limits, modes, days and crashes come
//! in random order over a small tree of runs; after every step all accounts of both must agree, and
//! the invariants I1 to I3 must hold. A history that fails is replayed by its seed alone.

use tollgate_shared::budget::{
    Account, Books, BudgetChange, Mode, Need, OpenHold, Outcome, Owner, Period, Purse, Refusal,
    Unresolved,
};
use tollgate_shared::id::AttemptId;
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

use crate::lab::chance::Chance;
use crate::lab::{Options, Report};
use naive::{Ledger, State};

mod naive;

/// The comparison.
#[derive(Debug)]
pub struct Model {
    options: Options,
}

impl Model {
    /// So many histories from a seed.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Tells every history in both ledgers.
    pub fn run(&self) -> Report {
        let mut report = Report::default();
        for cycle in 0..self.options.cycles {
            report.cycles += 1;
            let seed = self.options.seed.wrapping_add(cycle);
            let mut history = History::begin(seed);
            if let Err(what) = history.tell(&mut report) {
                report.breach("model", format!("history {seed}: {what}"));
            }
            if cycle.is_multiple_of(PROGRESS_EVERY) {
                self.options.tell_progress(0, &report);
            }
        }
        report
    }
}

/// One history in both ledgers.
struct History {
    chance: Chance,
    books: Books,
    naive: Ledger,
    now: i64,
    /// Since when daily accounts count.
    day: i64,
    /// Which day it is.
    today: i64,
    attempts: u64,
}

/// One event in both ledgers; answers what it was.
type Step = fn(&mut History) -> Result<&'static str, String>;

/// What a history is made of, and how often.
const STEPS: [(u64, Step); 9] = [
    (40, History::hold),
    (18, History::post),
    (6, History::void),
    (6, History::lose),
    (5, History::resolve),
    (8, History::limit),
    (2, History::crash),
    (3, History::midnight),
    (2, History::mode),
];

impl History {
    fn begin(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            books: Books::default(),
            naive: Ledger::default(),
            now: 0,
            day: 0,
            today: 0,
            attempts: 0,
        }
    }

    fn tell(&mut self, report: &mut Report) -> Result<(), String> {
        self.plant()?;
        let total: u64 = STEPS.iter().map(|(weight, _)| weight).sum();
        for _ in 0..8 + self.chance.below(24) {
            let mut at = self.chance.below(total);
            let (_, step) = STEPS
                .iter()
                .find(|(weight, _)| {
                    let here = at < *weight;
                    at = at.saturating_sub(*weight);
                    here
                })
                .ok_or("no step")?;
            self.now += 1;
            let name = step(self)?;
            report.count(name, 1);
            report.checks += 1;
            self.compare().map_err(|what| format!("after {name}: {what}"))?;
        }
        Ok(())
    }

    /// A tree of four runs, some with limits, and two agents.
    fn plant(&mut self) -> Result<(), String> {
        for (run, parent) in naive::TREE.iter().enumerate() {
            let owner = naive::owner(run, None);
            let limit = self.amount(20_000);
            let mode = [Mode::Clamp, Mode::Hard, Mode::Expected, Mode::Soft];
            let mode = mode.get(usize::try_from(self.chance.below(8)).unwrap_or(0)).copied();
            let daily = self.chance.once_in(4);
            let change = BudgetChange {
                mode,
                parent: parent.map(naive::run),
                period: daily.then_some(Period::Day),
                ..limit_of(owner.clone(), Some(limit))
            };
            self.change(&change)?;
        }
        Ok(())
    }

    fn change(&mut self, change: &BudgetChange) -> Result<(), String> {
        let times = (Timestamp::from_micros(self.day), Timestamp::from_micros(self.now));
        let spent = self.naive.charged(&change.owner, change.period, self.day);
        self.books.set_budget(change, spent, times).map_err(|error| error.to_string())?;
        self.naive.change(change, self.day);
        Ok(())
    }

    fn hold(&mut self) -> Result<&'static str, String> {
        self.attempts += 1;
        let run = usize::try_from(self.chance.below(naive::TREE.len() as u64)).unwrap_or(0);
        let agent = usize::try_from(self.chance.below(2)).unwrap_or(0);
        let fixed = self.amount(400);
        let need = Need {
            fixed,
            likely_fixed: Usd::from_picos(fixed.picos() / 3),
            per_output_token: Usd::from_picos(i128::from(self.chance.below(20))),
            stated_cap: self.chance.once_in(2).then(|| 1 + self.chance.below(400)),
            model_max: 300,
        };
        let request = naive::request(self.attempts, (run, agent), need);
        let expected = self.naive.judge(&request);
        let now = Timestamp::from_micros(self.now);
        let name = match (self.books.hold(&request, now), expected) {
            (Ok(granted), Ok(grant)) if granted.grant == grant => {
                self.naive.hold(&request, grant);
                "held"
            }
            (Err(denied), Err(naive::No::Exhausted))
                if matches!(denied.refusal, Refusal::Exhausted(_)) =>
            {
                "exhausted"
            }
            (Err(denied), Err(naive::No::Contended))
                if matches!(denied.refusal, Refusal::Contended(_)) =>
            {
                "contended"
            }
            (ours, theirs) => return Err(format!("{request:?}: {ours:?}, not {theirs:?}")),
        };
        Ok(name)
    }

    fn post(&mut self) -> Result<&'static str, String> {
        let Some(at) = self.one_of(|state| matches!(state, State::Pending)) else {
            return Ok("nothing");
        };
        let attempt = &self.naive.attempts[at];
        let most = attempt.amount + attempt.exposed;
        // Once in a while a provider breaks its word.
        let cost = match self.chance.once_in(15) {
            true => most + 1 + i128::from(self.chance.below(50)),
            false => i128::from(self.chance.below(u64::try_from(most + 1).unwrap_or(1))),
        };
        let uncertain = match self.chance.once_in(5) {
            true => (attempt.amount - cost).max(0),
            false => 0,
        };
        let outcome = Outcome::Posted {
            cost: Usd::from_picos(cost),
            uncertain: Usd::from_picos(uncertain),
            beyond_bound: false,
        };
        let violation = cost > most;
        let settled = self.settle(at, outcome, State::Posted { cost, uncertain, at: self.now })?;
        if settled != violation {
            return Err(format!("a bill of {cost} is told as {settled}"));
        }
        Ok(if violation { "violated" } else { "posted" })
    }

    fn void(&mut self) -> Result<&'static str, String> {
        match self.one_of(|state| matches!(state, State::Pending)) {
            Some(at) => self.settle(at, Outcome::Voided, State::Voided).map(|_| "voided"),
            None => Ok("nothing"),
        }
    }

    fn lose(&mut self) -> Result<&'static str, String> {
        let lost = State::Unknown { at: self.now };
        match self.one_of(|state| matches!(state, State::Pending)) {
            Some(at) => self.settle(at, Outcome::Unknown, lost).map(|_| "lost"),
            None => Ok("nothing"),
        }
    }

    fn settle(&mut self, at: usize, outcome: Outcome, state: State) -> Result<bool, String> {
        let id = self.naive.attempts[at].id.clone();
        let now = Timestamp::from_micros(self.now);
        let settled = self.books.settle(&id, outcome, now).map_err(|error| error.to_string())?;
        if self.books.settle(&id, outcome, now).is_ok() {
            return Err(format!("{id} settles twice"));
        }
        self.naive.attempts[at].state = state;
        Ok(settled.violation)
    }

    fn resolve(&mut self) -> Result<&'static str, String> {
        let Some(at) = self.one_of(|state| matches!(state, State::Unknown { .. })) else {
            return Ok("nothing");
        };
        let attempt = &mut self.naive.attempts[at];
        let State::Unknown { at: since } = attempt.state else { return Ok("nothing") };
        let most = u64::try_from(attempt.amount + 1).unwrap_or(1);
        let cost = i128::from(self.chance.below(most));
        // It counts for the time in which it was lost, as an attempt that was posted then.
        attempt.state = State::Posted { cost, uncertain: 0, at: since };
        let unknown = Unresolved { hold: attempt.as_open(), at: Timestamp::from_micros(since) };
        let (cost, now) = (Usd::from_picos(cost), Timestamp::from_micros(self.now));
        self.books.resolve(unknown, (cost, false), now).ok_or("it cannot be counted")?;
        Ok("resolved")
    }

    fn limit(&mut self) -> Result<&'static str, String> {
        let run = usize::try_from(self.chance.below(naive::TREE.len() as u64)).unwrap_or(0);
        let owner = match self.chance.below(6) {
            0 => Owner::Fleet,
            1 => naive::owner(run, Some(usize::try_from(self.chance.below(2)).unwrap_or(0))),
            _ => naive::owner(run, None),
        };
        let none = owner == Owner::Fleet && self.chance.once_in(3);
        let limit = self.amount(30_000);
        let period = match (&owner, self.chance.below(6)) {
            (Owner::Fleet, _) => None,
            (_, 0) => Some(Period::Day),
            (_, 1) => Some(Period::Lifetime),
            _ => None,
        };
        let change = BudgetChange { period, ..limit_of(owner, (!none).then_some(limit)) };
        self.change(&change)?;
        Ok("limited")
    }

    fn mode(&mut self) -> Result<&'static str, String> {
        let run = usize::try_from(self.chance.below(naive::TREE.len() as u64)).unwrap_or(0);
        let modes = [Mode::Clamp, Mode::Hard, Mode::Expected, Mode::Soft];
        let mode = self.chance.pick(&modes).copied();
        let limit = self.amount(30_000);
        self.change(&BudgetChange { mode, ..limit_of(naive::owner(run, None), Some(limit)) })?;
        Ok("changed mode")
    }

    /// The process dies: what storage has is all there is, and what was pending is unknown.
    fn crash(&mut self) -> Result<&'static str, String> {
        let mut books = Books::default();
        for run in self.books.runs() {
            books.restore(run.clone());
        }
        let purses = (0..naive::TREE.len()).flat_map(|run| {
            self.books
                .purses_of(&naive::run(run))
                .map(|(agent, purse)| (Owner::Agent(naive::run(run), agent.clone()), purse.clone()))
                .collect::<Vec<(Owner, Purse)>>()
        });
        let fleet = self.books.purse(&Owner::Fleet).cloned().unwrap_or_default();
        for (owner, purse) in purses.chain([(Owner::Fleet, fleet)]).collect::<Vec<_>>() {
            books.restore_purse(owner, purse);
        }
        let open: Vec<(AttemptId, OpenHold)> =
            self.books.holds().map(|(id, hold)| (id.clone(), hold.clone())).collect();
        for (id, hold) in &open {
            books.restore_hold(id.clone(), hold.clone());
        }
        books.restore_day(self.books.day());
        self.books = books;
        for (at, _) in self.naive.pending() {
            self.settle(at, Outcome::Unknown, State::Unknown { at: self.now })?;
        }
        Ok("crashed")
    }

    fn midnight(&mut self) -> Result<&'static str, String> {
        // The moment at which it is noticed is where the counting begins.
        self.today += 86_400_000_000;
        self.now += 1;
        self.day = self.now;
        let (day, now) = (Timestamp::from_micros(self.today), Timestamp::from_micros(self.now));
        self.books.begin_day(day, now);
        self.naive.begin_day(self.day);
        Ok("a day began")
    }

    /// Every account of both, and what must always be true.
    fn compare(&self) -> Result<(), String> {
        for owner in naive::owners() {
            let ours = self.books.account(&owner).copied();
            let theirs = self.naive.account(&owner);
            if ours != theirs && (ours, &theirs) != (Some(Account::default()), &None) {
                return Err(format!("{owner}: {ours:?}, not {theirs:?}"));
            }
        }
        if !self.books.is_sound() {
            return Err("the books are unsound".into());
        }
        Ok(())
    }

    fn one_of(&mut self, which: impl Fn(State) -> bool) -> Option<usize> {
        let found: Vec<usize> = (0..self.naive.attempts.len())
            .filter(|at| which(self.naive.attempts[*at].state))
            .collect();
        self.chance.pick(&found).copied()
    }

    fn amount(&mut self, most: u64) -> Usd {
        Usd::from_picos(i128::from(self.chance.below(most)))
    }
}

fn limit_of(owner: Owner, limit: Option<Usd>) -> BudgetChange {
    BudgetChange { owner, limit, mode: None, parent: None, period: None, if_version: None }
}

/// Histories between two lines that tell how far it is.
const PROGRESS_EVERY: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_histories_agree_with_a_naive_ledger() {
        let cycles = std::env::var("TOLLGATE_LAB_HISTORIES").ok();
        let cycles = cycles.and_then(|text| text.parse().ok()).unwrap_or(6_000);
        let options =
            Options { program: Default::default(), cycles, seed: 1, tells_progress: false };
        let report = Model::new(options).run();
        assert!(report.is_clean(), "{report}");
        for kind in ["held", "exhausted", "contended", "violated", "resolved", "crashed"] {
            assert!(report.facts.get(kind).is_some_and(|count| *count > 50), "{kind}: {report}");
        }
    }
}
