//! What an attempt used, in token classes that never overlap.
//!
//! Providers report totals that contain one another in different ways; each dialect maps its own
//! report to these disjoint leaves once, and everything later only adds them up. Refuses to know
//! prices. The one idea: a total is a sum of leaves, never a field of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens of one attempt by class; the classes are disjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// Input billed at the plain input rate.
    pub input_uncached: u64,
    /// Input read from the provider's prompt cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// Input written to the cache for five minutes, or for a time that was not said.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_5m: u64,
    /// Input written to the cache for one hour.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Output that the caller can see.
    pub output_visible: u64,
    /// Output spent on reasoning.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: u64,
}

impl Usage {
    /// Plain input and output, no caches, no reasoning.
    pub fn plain(input: u64, output: u64) -> Self {
        Self { input_uncached: input, output_visible: output, ..Self::default() }
    }

    /// All input, cache kinds included: what selects a long-context tier.
    pub fn input_tokens(&self) -> u64 {
        [self.input_uncached, self.cache_read, self.cache_write_5m, self.cache_write_1h]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// All output, reasoning included: what an output cap bounds.
    pub fn output_tokens(&self) -> u64 {
        self.output_visible.saturating_add(self.reasoning)
    }

    /// Whether some count is beyond anything a model can do, so the report is not to be believed.
    pub fn is_absurd(&self) -> bool {
        self.input_tokens() > TOKENS_MAX || self.output_tokens() > TOKENS_MAX
    }
}

/// Where the counts of a receipt come from, best first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider said so.
    Reported,
    /// We counted what was delivered.
    Counted,
    /// A guess from sizes.
    Estimated,
    /// Nothing is known; these are the most it can have been.
    Bound,
}

/// How far a receipt's cost may be from the bill.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CostIs {
    /// The bill, to the last digit.
    Exact,
    /// The bill is this or more.
    LowerBound,
    /// The bill is near this.
    Estimate,
    /// The whole hold, because the bill is not known.
    Hold,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Most tokens of one direction that a report may claim. A thousand times the largest window.
pub const TOKENS_MAX: u64 = 10_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_sums_of_leaves() {
        let usage = Usage {
            input_uncached: 5,
            cache_read: 7,
            cache_write_5m: 11,
            cache_write_1h: 13,
            output_visible: 17,
            reasoning: 19,
        };
        assert_eq!((usage.input_tokens(), usage.output_tokens()), (36, 36));
        assert!(Usage::plain(u64::MAX, 1).is_absurd());
    }
}
