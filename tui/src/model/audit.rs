//! The console audits itself.
//!
//! It adds up the receipts it saw since the snapshot and compares with what the ledger says at
//! every checkpoint. Refuses to know how receipts look: only runs and amounts matter here.
//!
//! ```text
//! base of the snapshot + receipts since  =  posted + unknown of the ledger   → Σ✓
//! ```

use std::collections::BTreeMap;

use tollgate_shared::event::Checkpoint;
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;

/// What the last comparison found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Verdict {
    /// There was none yet.
    #[default]
    Waiting,
    /// Equal to the last digit.
    Equal,
    /// Not equal.
    Differs {
        /// Ledger less console.
        by: Usd,
        /// The first run that differs, where it is known.
        run: Option<RunId>,
    },
}

/// The console's own sums.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    total: Usd,
    receipts: u64,
    by_run: BTreeMap<RunId, Usd>,
    uncertain: Usd,
    compared: Option<(Usd, Usd)>,
    verdict: Verdict,
}

impl Audit {
    /// Begins anew from what a snapshot says.
    pub fn reset(&mut self, base: &Checkpoint) {
        *self = Self {
            total: base.posted_usd + base.unknown_usd,
            receipts: base.receipts,
            by_run: base.by_run.clone(),
            uncertain: base.uncertain_usd,
            compared: Some((
                base.posted_usd + base.unknown_usd,
                base.posted_usd + base.unknown_usd,
            )),
            verdict: Verdict::Equal,
        };
    }

    /// Adds one receipt.
    pub fn add(&mut self, run: &RunId, cost: Usd) {
        self.total += cost;
        self.receipts += 1;
        match self.by_run.get_mut(run) {
            Some(sum) => *sum += cost,
            None => {
                self.by_run.insert(run.clone(), cost);
            }
        }
    }

    /// Compares with the ledger, as of this very place in the stream.
    pub fn check(&mut self, ledger: &Checkpoint) {
        self.uncertain = ledger.uncertain_usd;
        let theirs = ledger.posted_usd + ledger.unknown_usd;
        self.compared = Some((self.total, theirs));
        self.verdict = if theirs == self.total {
            Verdict::Equal
        } else {
            let differs = |(run, sum): &(&RunId, &Usd)| self.by_run.get(*run) != Some(*sum);
            let run = ledger.by_run.iter().find(differs).map(|(run, _)| run.clone());
            Verdict::Differs { by: theirs - self.total, run }
        };
    }

    /// What the last comparison found.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Everything ever spent: base and receipts.
    pub fn total(&self) -> Usd {
        self.total
    }

    /// Our sum and the ledger's at its last word, which has a place in the stream.
    pub fn compared(&self) -> Option<(Usd, Usd)> {
        self.compared
    }

    /// How many receipts that is.
    pub fn receipts(&self) -> u64 {
        self.receipts
    }

    /// What may still be billed for streams that were cut off.
    pub fn uncertain(&self) -> Usd {
        self.uncertain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    fn ledger(total: &str, run: &str, sum: &str) -> Checkpoint {
        Checkpoint {
            posted_usd: usd(total),
            by_run: [(run.parse().unwrap(), usd(sum))].into(),
            ..Checkpoint::default()
        }
    }

    #[test]
    fn equal_sums_are_equal_and_the_run_that_differs_is_named() {
        let (run, mut audit) = ("R-1".parse::<RunId>().unwrap(), Audit::default());
        assert_eq!(audit.verdict(), &Verdict::Waiting);
        audit.reset(&ledger("10", "R-1", "10"));
        audit.add(&run, usd("0.000000000001"));
        audit.check(&ledger("10.000000000001", "R-1", "10.000000000001"));
        assert_eq!(audit.verdict(), &Verdict::Equal);
        audit.check(&ledger("10.03", "R-1", "10.03"));
        let by = usd("0.029999999999");
        assert_eq!(audit.verdict(), &Verdict::Differs { by, run: Some(run) });
        audit.reset(&ledger("10.03", "R-1", "10.03"));
        assert_eq!(audit.verdict(), &Verdict::Equal);
    }
}
