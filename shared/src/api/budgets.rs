//! Bodies of budgets and runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{Body, BodyError, invalid};
use crate::budget::{Account, Level, Mode, Owner, Period, Run, RunState};
use crate::id::{AgentName, RunId};
use crate::money::{Percent, Usd};
use crate::time::Timestamp;

/// Body of `POST /budget`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BudgetRequest {
    /// Whose budget.
    pub run_id: RunId,
    /// The new limit.
    pub budget_usd: Usd,
    /// The agent of the run that the limit is for, instead of the whole run.
    pub agent: Option<AgentName>,
    /// The new mode, or the old one.
    pub mode: Option<Mode>,
    /// The run it is part of: its holds count there as well. Fixed once it has spent.
    pub parent: Option<RunId>,
    /// The time the limit is for, or the old one.
    pub period: Option<Period>,
    /// What people call the run, or the old name; an empty one takes it away.
    pub name: Option<String>,
    /// Why, for the audit.
    pub note: Option<String>,
}

impl BudgetRequest {
    /// Reads the body.
    pub fn from_body(mut body: Body) -> Result<Self, BodyError> {
        let run_id = body.take_parsed("run_id")?.ok_or(BodyError::Missing("run_id"))?;
        let request = Self {
            run_id,
            budget_usd: body.require("budget_usd")?,
            agent: body.take_parsed("agent")?,
            mode: body.take("mode")?,
            parent: body.take_parsed("parent")?,
            period: body.take("period")?,
            name: body.take("name")?,
            note: body.take("note")?,
        };
        body.finish()?;
        request.checked()
    }

    /// Refuses limits that are not positive, notes that are too long, and what an agent cannot have.
    pub fn checked(self) -> Result<Self, BodyError> {
        positive(self.budget_usd)?;
        if self.agent.is_some() && self.mode.is_some() {
            return Err(invalid("mode", "an agent's limit is held in the mode of its run"));
        }
        if self.agent.is_some() && self.parent.is_some() {
            return Err(invalid("parent", "an agent is part of its run; give the run a parent"));
        }
        if self.agent.is_some() && self.name.is_some() {
            return Err(invalid("name", "an agent's name is its id; give the run a name"));
        }
        let plain =
            |name: &String| name.len() <= NAME_LENGTH_MAX && !name.chars().any(char::is_control);
        if !self.name.as_ref().is_none_or(plain) {
            let reason = format_args!("longer than {NAME_LENGTH_MAX} bytes, or with controls");
            return Err(invalid("name", reason));
        }
        short(self.note.as_deref())?;
        Ok(self)
    }
}

/// Body of `POST /fleet/budget`: the limit of everything together, for each day in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FleetRequest {
    /// The new limit; null takes it away.
    pub budget_usd: Option<Usd>,
    /// Why, for the audit.
    pub note: Option<String>,
}

impl FleetRequest {
    /// Reads the body.
    pub fn from_body(mut body: Body) -> Result<Self, BodyError> {
        if body.raw("budget_usd").is_none() {
            return Err(BodyError::Missing("budget_usd"));
        }
        let request = Self { budget_usd: body.take("budget_usd")?, note: body.take("note")? };
        body.finish()?;
        request.budget_usd.map(positive).transpose()?;
        short(request.note.as_deref())?;
        Ok(request)
    }
}

fn positive(limit: Usd) -> Result<(), BodyError> {
    if limit <= Usd::ZERO {
        return Err(invalid("budget_usd", format_args!("`{limit}` is not above 0")));
    }
    Ok(())
}

pub(super) fn short(note: Option<&str>) -> Result<(), BodyError> {
    if note.is_some_and(|note| note.len() > NOTE_LENGTH_MAX) {
        return Err(invalid("note", format_args!("longer than {NOTE_LENGTH_MAX} bytes")));
    }
    Ok(())
}

/// An account that a run's holds count on as well, or an agent's in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccountView {
    /// Whose: `agent`, `parent` or `fleet`.
    pub kind: AccountKind,
    /// The agent's or the parent run's name; null for the fleet.
    pub name: Option<String>,
    /// The limit; null without one.
    pub budget_usd: Option<Usd>,
    /// Posted plus unknown.
    pub spent_usd: Usd,
    /// Pending plus unknown.
    pub held_usd: Usd,
    /// What is left; null without a limit.
    pub available_usd: Option<Usd>,
    /// Spent of the limit, as a word.
    pub level: Level,
    /// The time it counts.
    pub period: Period,
    /// Counts changes.
    pub version: u64,
}

/// Whose account it is, seen from a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// An agent's in the run.
    Agent,
    /// A run's above it.
    Parent,
    /// Everyone's.
    Fleet,
}

impl AccountView {
    /// The view of an account.
    pub fn of(owner: &Owner, account: &Account, (period, version): (Period, u64)) -> Self {
        let (kind, name) = match owner {
            Owner::Fleet => (AccountKind::Fleet, None),
            Owner::Run(id) => (AccountKind::Parent, Some(id.to_string())),
            Owner::Agent(_, agent) => (AccountKind::Agent, Some(agent.to_string())),
        };
        Self {
            kind,
            name,
            budget_usd: account.limit,
            spent_usd: account.spent(),
            held_usd: account.held(),
            available_usd: account.available(),
            level: account.level(Usd::ZERO),
            period,
            version,
        }
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
    /// The same at a rate that nine of the last fifteen minutes in ten stayed below.
    #[serde(default)]
    pub runway_low_s: Option<u64>,
    /// The same at a rate that nine of ten exceeded; null where some of them spent nothing.
    #[serde(default)]
    pub runway_high_s: Option<u64>,
    /// When its account begins anew; null where it counts a lifetime.
    #[serde(default)]
    pub resets_at: Option<Timestamp>,
    /// The run it is part of.
    #[serde(default)]
    pub parent: Option<RunId>,
    /// The time the limit is for.
    #[serde(default)]
    pub period: Period,
    /// Other accounts that its holds count on, and those of its agents.
    #[serde(default)]
    pub accounts: Vec<AccountView>,
}

/// How fast a run spends, and so when its money is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Dollars a minute.
    pub burn_usd_per_min: Usd,
    /// Seconds until it is gone.
    pub runway_s: Option<u64>,
    /// The same at a fast and at a slow minute of the last fifteen.
    pub runway_band_s: (Option<u64>, Option<u64>),
}

impl BudgetView {
    /// The view of a run that spends at this pace.
    pub fn of(run: &Run, pace: Pace) -> Self {
        let account = &run.account;
        let strict = run.mode.is_strict();
        Self {
            run_id: run.id.clone(),
            budget_usd: account.limit,
            spent_usd: account.spent(),
            held_usd: account.held(),
            available_usd: if strict { account.at_worst() } else { *account }.available(),
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
            max_overshoot_usd: account.overshoot(run.mode),
            burn_usd_per_min: pace.burn_usd_per_min,
            runway_s: pace.runway_s,
            runway_low_s: pace.runway_band_s.0,
            runway_high_s: pace.runway_band_s.1,
            resets_at: (run.period == Period::Day).then(|| run.since.plus_millis(DAY_MS)),
            parent: run.parent.clone(),
            period: run.period,
            accounts: Vec::new(),
        }
    }
}

/// Answer of `GET /budgets`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BudgetList {
    /// The budgets, by run.
    pub budgets: Vec<BudgetView>,
}

/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// Longest name of a run beside its id, in bytes.
const NAME_LENGTH_MAX: usize = 100;

/// Longest note of a change, in bytes.
pub const NOTE_LENGTH_MAX: usize = 500;
