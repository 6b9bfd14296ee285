//! How long answers have been, for runs that hold what is expected instead of the worst.

use std::collections::{HashMap, VecDeque};

use crate::id::{ModelName, RunId};

/// The latest outputs of each run and model, in tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    seen: HashMap<(RunId, ModelName), VecDeque<u64>>,
}

impl Outputs {
    /// An answer was so long.
    pub fn note(&mut self, run_id: &RunId, model: &ModelName, tokens: u64) {
        let key = (run_id.clone(), model.clone());
        if self.seen.len() >= PAIRS_MAX && !self.seen.contains_key(&key) {
            return;
        }
        let latest = self.seen.entry(key).or_default();
        if latest.len() >= KEPT {
            latest.pop_front();
        }
        latest.push_back(tokens);
    }

    /// The length that 95 of 100 answers did not pass; `None` before there are enough of them.
    pub fn p95(&self, run_id: &RunId, model: &ModelName) -> Option<u64> {
        let latest = self.seen.get(&(run_id.clone(), model.clone()))?;
        if latest.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<u64> = latest.iter().copied().collect();
        sorted.sort_unstable();
        // The smallest value that at least 95 % do not pass.
        sorted.get((sorted.len() * 95).div_ceil(100) - 1).copied()
    }
}

/// Answers kept of each run and model: the behaviour of now, not of yesterday.
const KEPT: usize = 64;

/// Answers before their lengths say anything.
const ENOUGH: usize = 8;

/// Most pairs of run and model: a bound for memory; those beyond it hold the worst case.
const PAIRS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_95th_percentile_is_one_of_the_latest_64() {
        let (run, model): (RunId, ModelName) = ("r".parse().unwrap(), "m".parse().unwrap());
        let mut outputs = Outputs::default();
        for tokens in 1..=7 {
            outputs.note(&run, &model, tokens);
            assert_eq!(outputs.p95(&run, &model), None);
        }
        outputs.note(&run, &model, 8);
        assert_eq!(outputs.p95(&run, &model), Some(8));
        for tokens in 1_001..=1_100 {
            outputs.note(&run, &model, tokens);
        }
        assert_eq!(outputs.p95(&run, &model), Some(1_097));
    }
}
