//! Days, and where their money went.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::money::Usd;
use crate::time::Timestamp;
use crate::window::Sums;

/// Answer of `GET /report/daily`.
///
/// A day is one in UTC, and a receipt belongs to the day on which it was written: a correction to
/// the day on which the bill was found, not to that of its attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DailyReport {
    /// Up to which moment it counts.
    pub as_of: Timestamp,
    /// Every day that was asked for, oldest first; those without receipts too.
    pub days: Vec<DayReport>,
    /// All of them together.
    pub total: Breakdown,
}

/// One day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DayReport {
    /// `2026-11-23`, in UTC.
    pub date: String,
    /// Whether it is over.
    pub is_over: bool,
    /// What each of its 24 hours cost.
    pub hours_usd: Vec<Usd>,
    /// Its sums and lists. Not flattened: serde would read its money through floats.
    pub breakdown: Breakdown,
}

/// Sums, and who they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Breakdown {
    /// What receipts add up to.
    pub sums: Sums,
    /// What may still be billed for streams that were cut off.
    pub uncertain_usd: Usd,
    /// Receipts, corrections included.
    pub receipts: u64,
    /// By run, the largest first.
    pub by_run: Ranking,
    /// By agent, whatever its run.
    pub by_agent: Ranking,
    /// By provider: to be held against an invoice.
    pub by_provider: Ranking,
    /// By model.
    pub by_model: Ranking,
}

/// The largest, and the rest of them in one row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ranking {
    /// At most [`RANKING_MAX`] rows.
    pub top: Vec<RankedRow>,
    /// How many are not among them.
    pub others: u64,
    /// What those add up to.
    pub others_sums: Sums,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RankedRow {
    /// Whose.
    pub name: String,
    /// What its receipts add up to.
    pub sums: Sums,
}

/// Rows of a ranking.
pub const RANKING_MAX: usize = 20;
