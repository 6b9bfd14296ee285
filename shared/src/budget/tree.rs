//! Whose money it is: accounts that a hold counts on, from the agent's up to the fleet's.
//!
//! ```text
//! agent `Worker-5` of `task-2`   where it has a limit of its own
//!   run `task-2`                 its lifetime, or each day
//!     run `release`              the run that it is part of, and so on upwards
//!       the fleet                each day, where it has a limit
//! ```
//!
//! A hold is given on all of them or on none, and it ends on all of them. A place in the tree is
//! chosen before the first hold, so what an account has spent is always the sum of what is below.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::{Account, Level};
use crate::id::{AgentName, RunId};
use crate::money::Usd;
use crate::time::Timestamp;

/// Whose account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// Everyone's.
    Fleet,
    /// A run's, its child runs included.
    Run(RunId),
    /// An agent's in a run.
    Agent(RunId, AgentName),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str("the fleet"),
            Self::Run(run) => write!(f, "run `{run}`"),
            Self::Agent(run, agent) => write!(f, "agent `{agent}` of run `{run}`"),
        }
    }
}

/// The time an account counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From its first cent to its last; it never looks at a clock.
    #[default]
    Lifetime,
    /// A day in UTC; what is in flight at midnight counts for the day that it ends in.
    Day,
}

/// An account with the time it counts, for owners that are no run.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Purse {
    /// The money.
    pub account: Account,
    /// The time it counts.
    pub period: Period,
    /// When that began.
    pub since: Timestamp,
    /// Counts changes, from 1.
    pub version: u64,
    /// The level that was last told.
    pub level: Level,
}

/// An account that crossed a threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Whose.
    pub owner: Owner,
    /// The level it has now.
    pub level: Level,
    /// Its limit.
    pub limit: Usd,
}

impl Purse {
    /// A purse that counts a day.
    pub fn daily(since: Timestamp) -> Self {
        Self { period: Period::Day, since, ..Self::default() }
    }
}

impl Account {
    /// A new period begins: what was spent is history, what is in flight goes on.
    pub fn begin_anew(&mut self, exposed: Usd) {
        *self = Self { limit: self.limit, pending: self.pending, exposed, ..Self::default() };
    }
}

/// Most runs above a run: enough for any swarm, a bound for every walk up the tree.
pub const DEPTH_MAX: usize = 8;
