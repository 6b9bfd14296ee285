//! Anthropic's usage reports.
//!
//! Refuses to know prices. The one idea: classes are added, not contained: all input is
//! `input_tokens` and both cache classes; only thinking is inside `output_tokens`.

use serde::Deserialize;
use tollgate_shared::usage::Usage;

use crate::upstream::dialect::credible;

/// A report, or the fields of several, each as it was last stated.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct WireUsage {
    /// Without either cache class.
    input_tokens: Option<u64>,
    /// All output, thinking included.
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<Lifetimes>,
    output_tokens_details: Option<OutputDetails>,
    iterations: Option<Vec<Iteration>>,
}

/// How long what was written to the cache is kept; stands only in whole reports.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Lifetimes {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

/// What is inside the output.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

/// One of the calls to a model that an answer took.
#[derive(Clone, Debug, Deserialize)]
struct Iteration {
    r#type: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

impl WireUsage {
    /// Overrides field by field with a later report; what that leaves out stays.
    pub fn merge(&mut self, later: Self) {
        let Self {
            input_tokens,
            output_tokens,
            cache_read_input_tokens,
            cache_creation_input_tokens,
            cache_creation,
            output_tokens_details,
            iterations,
        } = later;
        self.input_tokens = input_tokens.or(self.input_tokens);
        self.output_tokens = output_tokens.or(self.output_tokens);
        self.cache_read_input_tokens = cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.cache_creation_input_tokens =
            cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_creation = cache_creation.or(self.cache_creation);
        self.output_tokens_details = output_tokens_details.or(self.output_tokens_details);
        self.iterations = iterations.or_else(|| self.iterations.take());
    }

    /// The disjoint classes.
    pub fn usage(&self) -> Option<Usage> {
        let output = self.output_tokens?;
        let reasoning = self.output_tokens_details.unwrap_or_default().thinking_tokens.unwrap_or(0);
        let (cache_write_5m, cache_write_1h) = self.cache_writes();
        let mut usage = Usage {
            input_uncached: self.input_tokens?,
            cache_read: self.cache_read_input_tokens.unwrap_or(0),
            cache_write_5m,
            cache_write_1h,
            output_visible: output.saturating_sub(reasoning),
            reasoning,
        };
        // A compaction is billed beside the totals, not inside them.
        for iteration in self.iterations.iter().flatten() {
            if iteration.r#type.as_deref() == Some("compaction") {
                iteration.add_to(&mut usage);
            }
        }
        credible(usage)
    }

    /// Writes for five minutes, and for an hour.
    ///
    /// The total may be reported anew without its split; what it exceeds the split by has no
    /// known lifetime and counts as the dearer one. Without any split all of it counts as minutes,
    /// which is what a request gets that names no lifetime.
    fn cache_writes(&self) -> (u64, u64) {
        let split = self.cache_creation.map(|split| {
            (
                split.ephemeral_5m_input_tokens.unwrap_or(0),
                split.ephemeral_1h_input_tokens.unwrap_or(0),
            )
        });
        match (self.cache_creation_input_tokens, split) {
            (None, None) => (0, 0),
            (None, Some(split)) => split,
            (Some(total), None) => (total, 0),
            (Some(total), Some((minutes, _))) => {
                let minutes = minutes.min(total);
                (minutes, total - minutes)
            }
        }
    }
}

impl Iteration {
    /// Adds its counts to those of the answer.
    fn add_to(&self, usage: &mut Usage) {
        let add = |sum: &mut u64, count: Option<u64>| *sum = sum.saturating_add(count.unwrap_or(0));
        add(&mut usage.input_uncached, self.input_tokens);
        add(&mut usage.cache_read, self.cache_read_input_tokens);
        add(&mut usage.cache_write_5m, self.cache_creation_input_tokens);
        add(&mut usage.output_visible, self.output_tokens);
    }
}

#[cfg(test)]
mod tests {
    use tollgate_shared::provider::Dialect::Anthropic;

    use super::*;
    use crate::upstream::dialect::rows;

    #[test]
    fn a_report_is_read_into_leaves_or_not_at_all() {
        let leaves = |input, read, minutes, hour, visible, reasoning| {
            Some(Usage {
                input_uncached: input,
                cache_read: read,
                cache_write_5m: minutes,
                cache_write_1h: hour,
                output_visible: visible,
                reasoning,
            })
        };
        let rows = [
            (r#"{"input_tokens":3,"output_tokens":4}"#, leaves(3, 0, 0, 0, 4, 0)),
            (
                r#"{"input_tokens":100,"output_tokens":200,"cache_read_input_tokens":9000,
                "cache_creation_input_tokens":1200,
                "cache_creation":{"ephemeral_5m_input_tokens":500,"ephemeral_1h_input_tokens":700},
                "output_tokens_details":{"thinking_tokens":120},"service_tier":"standard"}"#,
                leaves(100, 9000, 500, 700, 80, 120),
            ),
            // No split: minutes. A split without its total: itself. A surplus: the dearer.
            (
                r#"{"input_tokens":1,"output_tokens":1,"cache_creation_input_tokens":9}"#,
                leaves(1, 0, 9, 0, 1, 0),
            ),
            (
                r#"{"input_tokens":1,"output_tokens":1,"cache_creation":{"ephemeral_1h_input_tokens":9}}"#,
                leaves(1, 0, 0, 9, 1, 0),
            ),
            (
                r#"{"input_tokens":1,"output_tokens":1,"cache_creation_input_tokens":12,
                "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":0}}"#,
                leaves(1, 0, 10, 2, 1, 0),
            ),
            // A compaction is billed beside the totals; another iteration is inside them.
            (
                r#"{"input_tokens":10,"output_tokens":20,"iterations":[
                {"type":"compaction","input_tokens":1000,"output_tokens":200},
                {"type":"message","input_tokens":10,"output_tokens":20}]}"#,
                leaves(1010, 0, 0, 0, 220, 0),
            ),
            (
                r#"{"input_tokens":3,"output_tokens":4,"cache_read_input_tokens":null,"cache_creation":null}"#,
                leaves(3, 0, 0, 0, 4, 0),
            ),
            (r#"{"input_tokens":3}"#, None),
            (r#"{"output_tokens":3}"#, None),
            (r#"{"input_tokens":3,"output_tokens":-4}"#, None),
            (r#"{"input_tokens":3,"output_tokens":"4"}"#, None),
            (r#"{"input_tokens":3,"output_tokens":1e308}"#, None),
            (r#"{"input_tokens":99999999999,"output_tokens":1}"#, None),
            (r#"{"input_tokens":3,"output_tokens":4,"cache_read_input_tokens":-1}"#, None),
            ("[3,4]", None),
            ("null", None),
            ("{}", None),
        ];
        for (text, expected) in rows {
            let body = format!(r#"{{"content":[],"usage":{text}}}"#);
            assert_eq!(rows::answered(Anthropic, &body).1, expected, "{text}");
        }
    }
}
