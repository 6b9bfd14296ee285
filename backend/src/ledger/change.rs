//! What operators ask of the ledger, and what it leaves behind.

use tollgate_shared::budget::{Books, Owner, Purse, Run, StateChange};
use tollgate_shared::id::{AttemptId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::usage::CostIs;

use crate::ledger::Ending;

/// What a change left behind, on disk.
#[derive(Clone, Debug)]
pub enum Change {
    /// A run's page.
    Run(Box<Run>),
    /// An account beside the runs.
    Purse(Purse),
}

impl Change {
    pub(super) fn of(books: &Books, owner: &Owner) -> Self {
        match owner {
            Owner::Run(run_id) => books
                .run(run_id)
                .map_or_else(|| Self::Purse(Purse::default()), |run| Self::Run(run.clone().into())),
            _ => Self::Purse(books.purse(owner).cloned().unwrap_or_default()),
        }
    }
}

/// A step of a run's state.
#[derive(Clone, Debug)]
pub struct StateStep {
    /// Which run.
    pub run_id: RunId,
    /// Which step.
    pub change: StateChange,
    /// Why.
    pub note: Option<String>,
    /// Only if the run is still at this version.
    pub if_version: Option<u64>,
}

/// What became of an unknown attempt.
#[derive(Clone, Debug)]
pub struct Resolve {
    /// Which attempt.
    pub attempt_id: AttemptId,
    /// Whether it was not billed at all.
    pub voided: bool,
    /// What it has cost.
    pub cost: Usd,
    /// Whether more was used than the cap allows.
    pub beyond_bound: bool,
    /// How sure that is.
    pub cost_is: CostIs,
    /// How it is known.
    pub evidence: String,
    /// The bill in full, where the attempt itself came back with it.
    pub bill: Option<Ending>,
}
