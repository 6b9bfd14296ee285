//! The books: every run, its account, the accounts beside it, and the holds that are open.
//!
//! This is the whole state that decides admissions, as plain data. One thread of the backend owns
//! it and applies commands in order; a model in the tests does the same from random histories.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::outputs::Outputs;
use crate::budget::{
    Account, Crossing, DEPTH_MAX, Grant, Level, Limited, Mode, Need, Owner, Period, Purse, Refusal,
    Want,
};
use crate::id::{AgentName, AttemptId, ModelName, RunId};
use crate::money::{LIMIT_MAX_USD, Usd};
use crate::time::Timestamp;

/// Whether a run may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It may.
    #[default]
    Open,
    /// A person stopped it for now.
    Paused,
    /// It is over.
    Closed,
    /// A bill was larger than its hold; a person must look.
    Frozen,
}

impl RunState {
    /// The stable code of a refusal in this state.
    pub const fn refusal_code(self) -> &'static str {
        match self {
            Self::Paused => "run_paused",
            Self::Closed => "run_closed",
            Self::Frozen | Self::Open => "run_frozen",
        }
    }
}

/// One run's page in the books.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// The run it is part of; fixed once it has spent.
    pub parent: Option<RunId>,
    /// Its money, that of its child runs included.
    pub account: Account,
    /// The time its account counts.
    pub period: Period,
    /// When that began.
    pub since: Timestamp,
    /// How it treats requests that may not fit.
    pub mode: Mode,
    /// Whether it may spend.
    pub state: RunState,
    /// Counts changes of budget and state, from 1.
    pub version: u64,
    /// Receipts written so far; the next one has this plus one.
    pub seq: u64,
    /// Hash of the last receipt.
    pub head: String,
    /// Requests that reached a provider.
    pub requests: u64,
    /// The least that its latest request needed.
    pub smallest: Usd,
    /// The level that was last told.
    pub level: Level,
    /// How many agents have worked in it; counted up to [`AGENTS_MAX`].
    pub agents: usize,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When its money last moved.
    pub last_at: Timestamp,
}

/// A request for money, for one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct HoldRequest {
    /// The attempt that will spend it.
    pub attempt_id: AttemptId,
    /// On whose budget.
    pub run_id: RunId,
    /// For whom.
    pub agent: AgentName,
    /// Of which model.
    pub model: ModelName,
    /// What it can cost.
    pub need: Need,
    /// The least that any candidate of the request's plan needs for a useful answer.
    pub smallest: Usd,
}

/// Money that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHold {
    /// On whose budget.
    pub run_id: RunId,
    /// For whom.
    pub agent: AgentName,
    /// How much.
    pub amount: Usd,
    /// The most it can cost above that.
    pub exposed: Usd,
}

/// A hold whose bill is not known, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// The hold.
    pub hold: OpenHold,
    /// When sight of it was lost: periods that began later do not count it.
    pub at: Timestamp,
}

/// A hold that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Amount and cap.
    pub grant: Grant,
    /// Whether the agent had not worked in this run before.
    pub new_agent: bool,
    /// How far the run's own limit is passed by it, in mode `soft`.
    pub past_limit: Usd,
    /// Every account that changed.
    pub touched: Vec<Owner>,
}

/// Money that was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Which account says no.
    pub owner: Owner,
    /// Why.
    pub refusal: Refusal,
}

/// How an attempt ended, for its money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The bill is known, or assumed at this.
    Posted {
        /// What it is.
        cost: Usd,
        /// What may still be billed on top.
        uncertain: Usd,
        /// More was used than the cap or the window allows, whatever it cost.
        beyond_bound: bool,
    },
    /// There is proof that nothing was billed.
    Voided,
    /// Nobody knows; the hold stays.
    Unknown,
}

impl Outcome {
    /// A bill that is known.
    pub const fn posted(cost: Usd) -> Self {
        Self::Posted { cost, uncertain: Usd::ZERO, beyond_bound: false }
    }
}

/// What a settlement did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What had been held.
    pub held: Usd,
    /// What the run is charged now: the cost, the hold, or nothing.
    pub charged: Usd,
    /// The bill was larger than it can be, or more was used than the cap allows: the provider broke
    /// its word, and the run is frozen.
    pub violation: bool,
    /// Every account that changed.
    pub touched: Vec<Owner>,
    /// Those of them that crossed a threshold.
    pub crossed: Vec<Crossing>,
}

/// Why a change or a settlement is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// The limit is beyond what the ledger's columns can count.
    #[error("a limit of `{0}` USD is above {LIMIT_MAX_USD} USD")]
    LimitTooLarge(Usd),
    /// Somebody else changed it first.
    #[error("it is at version {current}, not {expected}")]
    Stale {
        /// What the caller had seen.
        expected: u64,
        /// What it is.
        current: u64,
    },
    /// Nothing is held under this attempt: it was settled before, or never held.
    #[error("attempt `{0}` has no open hold")]
    NoHold(AttemptId),
    /// The run has spent under another parent.
    #[error("run `{0}` has spent already: its parent is fixed")]
    ParentFixed(RunId),
    /// A run would be above itself.
    #[error("run `{0}` would be part of itself")]
    Circle(RunId),
    /// Too many runs above each other.
    #[error("run `{0}` would have more than {DEPTH_MAX} runs above it")]
    TooDeep(RunId),
    /// A child run has its money in the tree; a parent that counts days could not tell its own.
    #[error("no run is called `{0}`")]
    UnknownRun(RunId),
    /// The state does not allow the step.
    #[error("run `{run_id}` is {state:?}: it cannot be {step}")]
    WrongState {
        /// Which run.
        run_id: RunId,
        /// What it is.
        state: RunState,
        /// What was asked for, as a participle.
        step: &'static str,
    },
    /// Lifting a freeze or reopening needs a reason.
    #[error("run `{0}` was stopped for a reason: resuming it needs a note that says why")]
    NoteRequired(RunId),
}

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
    folded: HashMap<String, RunId>,
    agents: HashMap<RunId, BTreeSet<AgentName>>,
    outputs: Outputs,
}

impl Run {
    /// A run that has spent nothing.
    pub fn new(id: RunId, limit: Option<Usd>, now: Timestamp) -> Self {
        Self {
            id,
            parent: None,
            account: Account { limit, ..Account::default() },
            period: Period::default(),
            since: Timestamp::default(),
            mode: Mode::default(),
            state: RunState::default(),
            version: 1,
            seq: 0,
            head: String::new(),
            requests: 0,
            smallest: Usd::ZERO,
            level: Level::Ok,
            agents: 0,
            created_at: now,
            last_at: now,
        }
    }

    /// Whether new requests are refused for want of money.
    pub fn is_blocked(&self) -> bool {
        self.mode != Mode::Soft && self.account.level(self.smallest) == Level::Critical
    }
}

impl Books {
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

    /// Puts an open hold that storage remembers back; its amount is in every pending already.
    pub fn restore_hold(&mut self, attempt_id: AttemptId, hold: OpenHold) {
        self.holds.insert(attempt_id, hold);
    }

    /// Opens a page for a run that is not known yet, and hands out its page.
    pub fn open_run(&mut self, id: &RunId, limit: Option<Usd>, now: Timestamp) -> &mut Run {
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
    fn mode_of(&self, owner: &Owner) -> Mode {
        match owner {
            Owner::Fleet => Mode::Clamp,
            Owner::Run(id) | Owner::Agent(id, _) => {
                self.runs.get(id).map(|run| run.mode).unwrap_or_default()
            }
        }
    }

    /// What would be granted, with nothing changed.
    pub fn weigh(&self, request: &HoldRequest) -> Result<Grant, Denied> {
        let path = self.path(&request.run_id, &request.agent);
        let (owners, limited): (Vec<&Owner>, Vec<Limited>) = path
            .iter()
            .filter_map(|owner| Some((owner, *self.account(owner)?)))
            .filter(|(_, account)| account.limit.is_some())
            .map(|(owner, account)| (owner, Limited { account, mode: self.mode_of(owner) }))
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
        let full = path.iter().find_map(|owner| {
            let account = self.account(owner).filter(|account| !account.can_count(amount))?;
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

/// Most agents counted in one run: enough for a swarm, a bound for an attacker's memory.
pub const AGENTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
