//! Bodies of budgets and runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{Body, BodyError, invalid};
use crate::budget::{Level, Mode, Run, RunState};
use crate::id::RunId;
use crate::money::{Percent, Usd};
use crate::time::Timestamp;

/// Body of `POST /budget`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BudgetRequest {
    /// Whose budget.
    pub run_id: RunId,
    /// The new limit.
    pub budget_usd: Usd,
    /// The new mode, or the old one.
    pub mode: Option<Mode>,
    /// Why, for the audit.
    pub note: Option<String>,
}

impl BudgetRequest {
    /// Reads the body.
    pub fn from_body(mut body: Body) -> Result<Self, BodyError> {
        let run_id = body.take_parsed("run_id")?.ok_or(BodyError::Missing("run_id"))?;
        let budget_usd = body.require("budget_usd")?;
        let mode = body.take("mode")?;
        let note: Option<String> = body.take("note")?;
        body.finish()?;
        Self { run_id, budget_usd, mode, note }.checked()
    }

    /// Refuses limits that are not positive, and notes that are too long.
    pub fn checked(self) -> Result<Self, BodyError> {
        if self.budget_usd <= Usd::ZERO {
            return Err(invalid(
                "budget_usd",
                format_args!("`{}` is not above 0", self.budget_usd),
            ));
        }
        if self.note.as_ref().is_some_and(|note| note.len() > NOTE_LENGTH_MAX) {
            return Err(invalid("note", format_args!("longer than {NOTE_LENGTH_MAX} bytes")));
        }
        Ok(self)
    }
}

/// Answer of `GET /budget/{run_id}` and `POST /budget`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetView {
    /// Whose budget.
    pub run_id: RunId,
    /// The limit; null without one.
    pub budget_usd: Option<Usd>,
    /// Posted plus unknown.
    pub spent_usd: Usd,
    /// Pending plus unknown.
    pub held_usd: Usd,
    /// The limit less posted, held and uncertain; null without one.
    pub available_usd: Option<Usd>,
    /// Spent, of the limit.
    pub percent_used: Percent,
    /// The same as a word.
    pub level: Level,
    /// Whether new requests are refused for want of money.
    pub blocked: bool,
    /// How requests that may not fit are treated.
    pub mode: Mode,
    /// Counts changes; `If-Match` wants it.
    pub version: u64,
    /// Whether the run may spend.
    pub state: RunState,
    /// What bills are known to be.
    pub posted_usd: Usd,
    /// Holds whose bill is not known.
    pub unknown_usd: Usd,
    /// What may still be billed for streams that were cut off.
    pub uncertain_usd: Usd,
    /// Most that can be billed above the limit while providers keep their word.
    pub max_overshoot_usd: Usd,
    /// How fast it is spent.
    pub burn_usd_per_min: Usd,
    /// Seconds until it is gone at this rate; null when idle or without a limit.
    pub runway_s: Option<u64>,
}

impl BudgetView {
    /// The view of a run that burns at this rate.
    pub fn of(run: &Run, burn_usd_per_min: Usd, runway_s: Option<u64>) -> Self {
        let account = &run.account;
        Self {
            run_id: run.id.clone(),
            budget_usd: account.limit,
            spent_usd: account.spent(),
            held_usd: account.held(),
            available_usd: account.available(),
            percent_used: account
                .limit
                .map_or(Percent::default(), |limit| Percent::of(account.spent(), limit)),
            level: account.level(run.smallest),
            blocked: run.is_blocked(),
            mode: run.mode,
            version: run.version,
            state: run.state,
            posted_usd: account.posted,
            unknown_usd: account.unknown,
            uncertain_usd: account.uncertain,
            max_overshoot_usd: Usd::ZERO,
            burn_usd_per_min,
            runway_s,
        }
    }
}

/// One line of `GET /runs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunView {
    /// The run.
    pub run_id: RunId,
    /// Whether it may spend.
    pub state: RunState,
    /// The run it is part of.
    pub parent: Option<RunId>,
    /// How many agents have worked in it.
    pub agents: usize,
    /// Requests that reached a provider.
    pub requests: u64,
    /// Posted plus unknown.
    pub spent_usd: Usd,
    /// The limit; null without one.
    pub budget_usd: Option<Usd>,
    /// Spent of the limit, as a word.
    pub level: Level,
    /// When its money last moved.
    pub last_at: Timestamp,
}

impl RunView {
    /// The view of a run.
    pub fn of(run: &Run) -> Self {
        Self {
            run_id: run.id.clone(),
            state: run.state,
            parent: None,
            agents: run.agents,
            requests: run.requests,
            spent_usd: run.account.spent(),
            budget_usd: run.account.limit,
            level: run.account.level(run.smallest),
            last_at: run.last_at,
        }
    }
}

/// Answer of `GET /runs`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunList {
    /// The runs, by name.
    pub runs: Vec<RunView>,
}

/// Answer of `GET /budgets`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BudgetList {
    /// The budgets, by run.
    pub budgets: Vec<BudgetView>,
}

/// Longest note of a change, in bytes.
pub const NOTE_LENGTH_MAX: usize = 500;
