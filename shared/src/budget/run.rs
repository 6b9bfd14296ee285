//! One run's page in the books.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::{Account, Level, Mode, Period};
use crate::id::RunId;
use crate::money::Usd;
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
    /// How many agents have worked in it; counted up to [`AGENTS_MAX`](crate::budget::AGENTS_MAX).
    pub agents: usize,
    /// What people call it, where they gave it a name beside its id.
    pub name: Option<String>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When its money last moved.
    pub last_at: Timestamp,
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
            name: None,
            created_at: now,
            last_at: now,
        }
    }

    /// Whether new requests are refused for want of money.
    pub fn is_blocked(&self) -> bool {
        self.mode != Mode::Soft && self.account.level(self.smallest) == Level::Critical
    }
}
