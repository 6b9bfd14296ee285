//! What operators ask of the ledger, whose word it is, and what it leaves behind.

use tollgate_shared::alert::Alert;
use tollgate_shared::budget::{Books, Owner, Purse, Run, StateChange};
use tollgate_shared::id::{AttemptId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::usage::CostIs;

use crate::ledger::Ending;
use crate::store::{Facts, Key};

/// Whose word a change is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The operator's name.
    pub who: String,
    /// Why, in the operator's words.
    pub note: Option<String>,
    /// By what it is the same change when it is sent again: on disk with the change.
    pub key: Option<Key>,
    /// What the run is called from now on; nothing leaves it, an empty name takes it away.
    pub name: Option<String>,
}

impl From<Option<String>> for Word {
    /// A change from this machine, with or without a note.
    fn from(note: Option<String>) -> Self {
        Self { who: LOCAL.into(), note, key: None, name: None }
    }
}

/// What is kept beside the money, in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Note {
    /// An alert as it is now.
    pub alert: Option<Alert>,
    /// A change of something that is not an account.
    pub change: Option<Recorded>,
    /// The key that the change came with.
    pub key: Option<Key>,
    /// What a key was answered: its name, the status, the body.
    pub answer: Option<(String, u16, String)>,
}

/// A change that happened elsewhere, for the audit.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Whose hand it was.
    pub who: String,
    /// The verb.
    pub what: &'static str,
    /// Of what.
    pub subject: String,
    /// Why.
    pub note: Option<String>,
    /// What it was.
    pub before: Facts,
    /// What it is.
    pub after: Facts,
}

/// Whose hand it is where no person's was.
pub const ITSELF: &str = "tollgate";

/// Who is meant where nobody gave a name.
pub const LOCAL: &str = "local";

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
