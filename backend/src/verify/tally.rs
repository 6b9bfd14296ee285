//! What every account must say, counted from attempts alone.
//!
//! An attempt counts on its agent's account where there is one, on its run, on the runs above, and
//! on the fleet: but on those only whose period had begun when it was settled. What is in flight
//! counts everywhere. Refuses to know where rows come from, so that a check, a start and a rebuild
//! count alike.
//!
//! ```text
//! attempt of worker-1 in R-7 ──▶ (R-7, worker-1) ──▶ R-7 ──▶ its parent ──▶ the fleet
//! ```

use std::collections::HashMap;
use std::fmt;

use tollgate_shared::money::Usd;

use crate::store::{PurseRow, RunRow, Sums};

/// Whose account: both empty is the fleet's, an empty agent the run's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Owner {
    /// Which run.
    pub run_id: String,
    /// Which agent of it.
    pub agent: String,
}

/// What an attempt is to the accounts it counts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// It is in flight and holds this.
    Pending(Usd),
    /// Its bill is not known since a moment, in microseconds; it is charged at its hold.
    Unknown(Usd, i64),
    /// Its bill is known; it was settled at a moment, in microseconds.
    Posted(Usd, i64),
    /// What may still be billed on top, since a moment, in microseconds.
    Uncertain(Usd, i64),
}

/// Accounts as they say they are, and as they are counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    accounts: HashMap<Owner, Account>,
    parents: HashMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Where its period begins; everything counts for a lifetime.
    from_us: i64,
    said: Sums,
    counted: Sums,
}

/// An account that does not say what its attempts add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose account.
    pub owner: Owner,
    /// Which of its sums.
    pub part: &'static str,
    /// What it says.
    pub said: Usd,
    /// What is right.
    pub counted: Usd,
    /// Whether the account counts a day, where a clock decides what belongs to it.
    pub is_daily: bool,
}

impl Tally {
    /// Accounts with nothing counted yet.
    pub fn of(runs: &[RunRow], purses: &[PurseRow]) -> Self {
        let mut tally = Self::default();
        for run in runs {
            let account = Account::new(&run.period, run.period_us, run.sums);
            tally.accounts.insert(Owner::run(&run.run_id), account);
            if let Some(parent) = &run.parent {
                tally.parents.insert(run.run_id.clone(), parent.clone());
            }
        }
        for purse in purses {
            let owner = Owner { run_id: purse.run_id.clone(), agent: purse.agent.clone() };
            let account = Account::new(&purse.period, purse.period_us, purse.sums);
            tally.accounts.insert(owner, account);
        }
        tally
    }

    /// Counts an attempt on every account that it counts on.
    pub fn count(&mut self, run_id: &str, agent: &str, charge: Charge) {
        if !agent.is_empty() {
            self.add(&Owner { run_id: run_id.into(), agent: agent.into() }, charge);
        }
        let mut above = Some(run_id.to_owned());
        for _ in 0..TREE_DEPTH_MAX {
            let Some(run) = above.take() else { break };
            self.add(&Owner::run(&run), charge);
            above = self.parents.get(&run).cloned();
        }
        self.add(&Owner::default(), charge);
    }

    /// What an account must say.
    pub fn counted(&self, owner: &Owner) -> Sums {
        self.accounts.get(owner).map(|account| account.counted).unwrap_or_default()
    }

    /// Every account that says something else, in order.
    pub fn differences(&self, parts: Parts) -> Vec<Difference> {
        let mut found = Vec::new();
        for (owner, account) in &self.accounts {
            let (said, counted) = (account.said, account.counted);
            let mut compare = |part, said, counted| {
                if said != counted {
                    let is_daily = account.from_us != i64::MIN && part != "pending";
                    let owner = owner.clone();
                    found.push(Difference { owner, part, said, counted, is_daily });
                }
            };
            compare("posted", said.posted, counted.posted);
            compare("pending", said.pending, counted.pending);
            compare("unknown", said.unknown, counted.unknown);
            if parts == Parts::All {
                compare("uncertain", said.uncertain, counted.uncertain);
            }
        }
        found.sort_by(|a, b| (&a.owner, a.part).cmp(&(&b.owner, b.part)));
        found
    }

    fn add(&mut self, owner: &Owner, charge: Charge) {
        let Some(account) = self.accounts.get_mut(owner) else { return };
        let from_us = account.from_us;
        let sums = &mut account.counted;
        match charge {
            Charge::Pending(held) => sums.pending += held,
            Charge::Unknown(held, at_us) if at_us >= from_us => sums.unknown += held,
            Charge::Posted(cost, at_us) if at_us >= from_us => sums.posted += cost,
            Charge::Uncertain(amount, at_us) if at_us >= from_us => sums.uncertain += amount,
            _ => {}
        }
    }
}

/// Which sums are compared: attempts alone do not say what is uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Posted, pending and unknown.
    Charged,
    /// Those and uncertain.
    All,
}

impl Account {
    fn new(period: &str, period_us: i64, said: Sums) -> Self {
        let from_us = if period == "day" { period_us } else { i64::MIN };
        Self { from_us, said, counted: Sums::default() }
    }
}

impl Owner {
    /// The account of a run.
    pub fn run(run_id: &str) -> Self {
        Self { run_id: run_id.into(), agent: String::new() }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.run_id.as_str(), self.agent.as_str()) {
            ("", _) => f.write_str("the fleet's account"),
            (run_id, "") => write!(f, "the account of run `{run_id}`"),
            (run_id, agent) => write!(f, "the account of agent `{agent}` in run `{run_id}`"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, part, said, counted, .. } = self;
        write!(f, "{owner} says {said} USD {part}, its attempts say {counted}")
    }
}

/// Most runs above each other that are followed: beyond what the books allow, and an end where rows
/// were edited into a circle.
const TREE_DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn run(run_id: &str, parent: Option<&str>, period: (&str, i64), posted: i64) -> RunRow {
        RunRow {
            run_id: run_id.into(),
            parent: parent.map(str::to_owned),
            state: "open".into(),
            mode: "clamp".into(),
            version: 1,
            limit: None,
            sums: Sums { posted: Usd::from_column(posted), ..Sums::default() },
            seq: 0,
            head: String::new(),
            created_us: 0,
            last_us: 0,
            period: period.0.into(),
            period_us: period.1,
        }
    }

    #[test]
    fn a_charge_counts_up_the_tree_and_only_in_periods_that_had_begun() {
        let runs = [
            run("child", Some("root"), ("lifetime", 0), 7),
            run("root", None, ("day", 100), 5),
            run("other", None, ("lifetime", 0), 0),
        ];
        let mut tally = Tally::of(&runs, &[]);
        tally.count("child", "a", Charge::Posted(Usd::from_column(2), 99));
        tally.count("child", "a", Charge::Posted(Usd::from_column(5), 100));
        assert_eq!(tally.differences(Parts::All), []);
        tally.count("child", "a", Charge::Unknown(Usd::from_column(3), 101));
        let parts: Vec<_> = tally
            .differences(Parts::All)
            .into_iter()
            .map(|found| (found.owner.run_id, found.part, found.counted))
            .collect();
        let three = Usd::from_column(3);
        assert_eq!(parts, [("child".into(), "unknown", three), ("root".into(), "unknown", three)]);
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let runs =
            [run("a", Some("b"), ("lifetime", 0), 0), run("b", Some("a"), ("lifetime", 0), 0)];
        let mut tally = Tally::of(&runs, &[]);
        tally.count("a", "x", Charge::Pending(Usd::from_column(1)));
        assert!(!tally.differences(Parts::Charged).is_empty());
    }
}
