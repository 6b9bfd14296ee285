//! A run's money as the stream tells it: the numbers that enforce, and how fast they change.

use serde::{Deserialize, Serialize};

use crate::api::BudgetView;
use crate::budget::{Level, Mode, Period, RunState};
use crate::id::RunId;
use crate::money::Usd;
use crate::time::Timestamp;

/// The numbers that enforce, straight from the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Enforced {
    /// The limit; null without one.
    pub limit_usd: Option<Usd>,
    /// What bills are known to be.
    pub posted_usd: Usd,
    /// Pending plus unknown.
    pub held_usd: Usd,
    /// Holds whose bill is not known.
    pub unknown_usd: Usd,
    /// What may still be billed for streams that were cut off.
    pub uncertain_usd: Usd,
    /// The limit less posted, held and uncertain; null without one.
    pub available_usd: Option<Usd>,
}

impl Enforced {
    /// Posted plus unknown: what receipts add up to.
    pub fn spent_usd(&self) -> Usd {
        self.posted_usd + self.unknown_usd
    }

    /// Held by attempts in flight: what screens call HELD.
    pub fn pending_usd(&self) -> Usd {
        self.held_usd - self.unknown_usd
    }
}

/// A run's money changed; at most two a second for each run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetEvent {
    /// Its place; zero within a snapshot.
    #[serde(default)]
    pub seq: u64,
    /// Whose.
    pub run_id: RunId,
    /// How requests that may not fit are treated.
    pub mode: Mode,
    /// Counts changes; `If-Match` wants it.
    pub version: u64,
    /// The numbers that enforce.
    pub enforced: Enforced,
    /// How fast it is spent.
    pub burn_usd_per_min: Usd,
    /// Seconds until it is gone at this rate.
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
    /// Most that can be billed above the limit while providers keep their word.
    #[serde(default)]
    pub max_overshoot_usd: Usd,
    /// The time the limit is for.
    #[serde(default)]
    pub period: Period,
    /// Spent of the limit, as a word.
    pub level: Level,
    /// Whether new requests are refused for want of money.
    #[serde(default)]
    pub blocked: bool,
    /// Whether the run may spend.
    pub state: RunState,
}

impl From<&BudgetView> for BudgetEvent {
    fn from(view: &BudgetView) -> Self {
        Self {
            seq: 0,
            run_id: view.run_id.clone(),
            mode: view.mode,
            version: view.version,
            enforced: Enforced {
                limit_usd: view.budget_usd,
                posted_usd: view.posted_usd,
                held_usd: view.held_usd,
                unknown_usd: view.unknown_usd,
                uncertain_usd: view.uncertain_usd,
                available_usd: view.available_usd,
            },
            burn_usd_per_min: view.burn_usd_per_min,
            runway_s: view.runway_s,
            runway_low_s: view.runway_low_s,
            runway_high_s: view.runway_high_s,
            resets_at: view.resets_at,
            max_overshoot_usd: view.max_overshoot_usd,
            period: view.period,
            level: view.level,
            blocked: view.blocked,
            state: view.state,
        }
    }
}
