//! The books: every run, its account, the accounts beside it, and the holds that are open.
//!
//! This is the whole state that decides admissions, as plain data. One thread of the backend owns
//! it and applies commands in order; a model in the tests does the same from random histories.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::budget::outputs::Outputs;
use crate::budget::{
    Account, DEPTH_MAX, Denied, Grant, HoldRequest, Limited, Mode, OpenHold, Owner, Period, Purse,
    Refusal, Run, Want,
};
use crate::id::{AgentName, AttemptId, ModelName, RunId};
use crate::money::{PICOS_PER_USD, Usd};
use crate::time::Timestamp;

/// Every run, every account beside them, and every open hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Books {
    pub(super) runs: HashMap<RunId, Run>,
    pub(super) holds: HashMap<AttemptId, OpenHold>,
    pub(super) fleet: Purse,
    /// Agents with a limit of their own.
    pub(super) purses: HashMap<RunId, BTreeMap<AgentName, Purse>>,
    /// Runs that count a day.
    pub(super) daily: BTreeSet<RunId>,
    /// Limit of a run that nobody gave one.
    pub(super) default_limit: Option<Usd>,
    /// The day that they count.
    pub(super) day: Timestamp,
    folded: HashMap<String, RunId>,
    agents: HashMap<RunId, BTreeSet<AgentName>>,
    outputs: Outputs,
}

impl Books {
    /// Empty books, in which runs that nobody gave a limit have this one.
    pub fn with_default(default_limit: Option<Usd>) -> Self {
        Self { default_limit, ..Self::default() }
    }

    /// Puts a run that storage remembers back into the books.
    pub fn restore(&mut self, run: Run) {
        self.folded.insert(run.id.folded(), run.id.clone());
        if run.period == Period::Day {
            self.daily.insert(run.id.clone());
        }
        self.runs.insert(run.id.clone(), run);
    }

    /// Puts an account beside the runs back; a run's own comes with [`Self::restore`].
    pub fn restore_purse(&mut self, owner: Owner, purse: Purse) {
        match owner {
            Owner::Fleet => self.fleet = purse,
            Owner::Agent(run_id, agent) => {
                self.purses.entry(run_id).or_default().insert(agent, purse);
            }
            Owner::Run(_) => {}
        }
    }

    /// The day that daily accounts counted when storage last heard of them.
    pub fn restore_day(&mut self, day: Timestamp) {
        self.day = day;
    }

    /// Puts an open hold that storage remembers back; its amount is in every pending already.
    pub fn restore_hold(&mut self, attempt_id: AttemptId, hold: OpenHold) {
        self.holds.insert(attempt_id, hold);
    }

    /// Opens a page for a run that is not known yet, with the limit that runs have by default, and
    /// hands out its page. Whoever opens it (a request, an agent's limit, a child) opens the same.
    pub fn open_run(&mut self, id: &RunId, now: Timestamp) -> &mut Run {
        let limit = self.default_limit;
        self.folded.entry(id.folded()).or_insert_with(|| id.clone());
        self.runs.entry(id.clone()).or_insert_with(|| Run::new(id.clone(), limit, now))
    }

    /// Every account that an agent's hold in a run counts on, from the narrowest to the widest.
    pub fn path(&self, run_id: &RunId, agent: &AgentName) -> Vec<Owner> {
        let mut path = Vec::with_capacity(4);
        if self.purses.get(run_id).is_some_and(|agents| agents.contains_key(agent)) {
            path.push(Owner::Agent(run_id.clone(), agent.clone()));
        }
        path.extend(self.lineage(run_id).map(|run| Owner::Run(run.id.clone())));
        path.push(Owner::Fleet);
        path
    }

    /// A run and those above it.
    pub fn lineage(&self, run_id: &RunId) -> impl Iterator<Item = &Run> {
        let first = self.runs.get(run_id);
        std::iter::successors(first, |run| self.runs.get(run.parent.as_ref()?)).take(1 + DEPTH_MAX)
    }

    /// Whose account it is, and its money.
    pub fn account(&self, owner: &Owner) -> Option<&Account> {
        match owner {
            Owner::Fleet => Some(&self.fleet.account),
            Owner::Run(id) => self.runs.get(id).map(|run| &run.account),
            Owner::Agent(..) => self.purse(owner).map(|purse| &purse.account),
        }
    }

    /// An account beside the runs.
    pub fn purse(&self, owner: &Owner) -> Option<&Purse> {
        match owner {
            Owner::Fleet => Some(&self.fleet),
            Owner::Run(_) => None,
            Owner::Agent(run_id, agent) => self.purses.get(run_id)?.get(agent),
        }
    }

    /// The agents of a run that have limits of their own.
    pub fn purses_of(&self, run_id: &RunId) -> impl Iterator<Item = (&AgentName, &Purse)> {
        self.purses.get(run_id).into_iter().flatten()
    }

    /// The mode that decides over an account: its run's. The fleet's limit is held like a run's.
    pub(super) fn mode_of(&self, owner: &Owner) -> Mode {
        match owner {
            Owner::Fleet => Mode::Clamp,
            Owner::Run(id) | Owner::Agent(id, _) => {
                self.runs.get(id).map(|run| run.mode).unwrap_or_default()
            }
        }
    }

    /// What would be granted, with nothing changed.
    pub fn weigh(&self, request: &HoldRequest) -> Result<Grant, Denied> {
        self.weigh_on(&self.path(&request.run_id, &request.agent), request)
    }

    /// The same on a path that is known.
    pub(super) fn weigh_on(&self, path: &[Owner], request: &HoldRequest) -> Result<Grant, Denied> {
        let (owners, limited): (Vec<&Owner>, Vec<Limited>) = path
            .iter()
            .filter_map(|owner| Some((owner, *self.account(owner)?)))
            .filter(|(_, account)| account.limit.is_some())
            .map(|(owner, account)| {
                let mode = self.mode_of(owner);
                let account = if mode.is_strict() { account.at_worst() } else { account };
                (owner, Limited { account, mode })
            })
            .unzip();
        let want = Want {
            need: request.need,
            mode: self.runs.get(&request.run_id).map(|run| run.mode).unwrap_or_default(),
            likely_output: self.outputs.p95(&request.run_id, &request.model),
        };
        let grant = want.grant(&limited).map_err(|(at, refusal)| Denied {
            owner: owners.get(at).map_or(Owner::Fleet, |owner| (*owner).clone()),
            refusal,
        })?;
        let amount = grant.amount + grant.exposed;
        let vast = amount > Usd::from_picos(HOLD_MAX_USD * PICOS_PER_USD);
        let full = path.iter().find_map(|owner| {
            let account =
                self.account(owner).filter(|account| vast || !account.can_count(amount))?;
            let refusal = Refusal::TooLarge(account.shortfall(grant.amount));
            Some(Denied { owner: owner.clone(), refusal })
        });
        full.map_or(Ok(grant), Err)
    }

    /// Notes how long an answer was, for runs that hold what is expected.
    pub fn note_output(&mut self, run_id: &RunId, model: &ModelName, tokens: u64) {
        if self.runs.get(run_id).is_some_and(|run| run.mode == Mode::Expected) {
            self.outputs.note(run_id, model, tokens);
        }
    }

    /// Notes that an agent works in a run. Answers whether that is news.
    pub fn meet_agent(&mut self, run_id: &RunId, agent: &AgentName) -> bool {
        let known = self.agents.entry(run_id.clone()).or_default();
        if known.len() >= AGENTS_MAX || known.contains(agent) {
            return false;
        }
        known.insert(agent.clone());
        let count = known.len();
        if let Some(run) = self.runs.get_mut(run_id) {
            run.agents = count;
        }
        true
    }

    /// The page of a run.
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(id)
    }

    /// The page of a run, to be changed by the ledger alone.
    pub fn run_mut(&mut self, id: &RunId) -> Option<&mut Run> {
        self.runs.get_mut(id)
    }

    /// A known run whose name differs from `id` by case alone.
    pub fn twin(&self, id: &RunId) -> Option<&RunId> {
        self.folded.get(&id.folded()).filter(|known| *known != id)
    }

    /// The day that daily accounts count.
    pub fn day(&self) -> Timestamp {
        self.day
    }

    /// Every page, in no order.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// Every open hold, in no order.
    pub fn holds(&self) -> impl Iterator<Item = (&AttemptId, &OpenHold)> {
        self.holds.iter()
    }

    /// Attempts in flight.
    pub fn open_holds(&self) -> usize {
        self.holds.len()
    }
}

/// A day, in seconds.
pub(super) const DAY_S: i64 = 86_400;

/// Most that one attempt may cost, in USD: far above any real request, and far below what would
/// leave no room to count the others.
pub(super) const HOLD_MAX_USD: i128 = 10_000;

/// Most agents counted in one run: enough for a swarm, a bound for an attacker's memory.
pub const AGENTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
