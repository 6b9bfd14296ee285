//! What the books are asked, and what they answer.
//!
//! Plain data on both sides, so that the ledger, a model in the tests and a replay of a history can
//! ask the same questions. A refusal carries the account that says no and the figures behind it; a
//! settlement carries every account that moved, so that whoever stores them need not know the tree.

use crate::budget::{Crossing, DEPTH_MAX, Grant, Need, Owner, Refusal, RunState};
use crate::id::{AgentName, AttemptId, ModelName, RunId};
use crate::money::{LIMIT_MAX_USD, Usd};
use crate::time::Timestamp;

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
