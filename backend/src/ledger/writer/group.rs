//! One group: what it changed, whom it answers, and what must not be lost should it fail.

use std::collections::HashSet;

use tokio::sync::oneshot;
use tollgate_shared::budget::{Books, Owner};
use tollgate_shared::receipt::Receipt;

use crate::ledger::{Ending, Settlement, Told};
use crate::store::Outage;

/// Sends an answer on its way; it may look into the books as they were committed, or must say that
/// nothing was.
pub(super) type Answer = Box<dyn FnOnce(Result<&Books, Outage>) + Send>;

/// What one group leaves to do once it is on disk.
#[derive(Default)]
pub(super) struct Group {
    /// Accounts to be written.
    pub dirty: HashSet<Owner>,
    /// Accounts on which money came free.
    pub freed: HashSet<Owner>,
    /// Whether something beside the money was written.
    pub noted: bool,
    pub told: Vec<Told>,
    pub answers: Vec<Answer>,
    /// Settlements in the group: money in flight is never refused, so they outlive its failure.
    pub settled: Vec<Owed>,
}

impl Group {
    /// Whether nothing in the books was moved by it.
    pub(super) fn is_untouched(&self) -> bool {
        self.dirty.is_empty() && self.settled.is_empty() && self.answers.is_empty()
    }
}

/// A settlement that is to be committed.
pub(super) struct Owed {
    pub draft: Box<Receipt>,
    pub ending: Box<Ending>,
    pub reply: Option<oneshot::Sender<Settlement>>,
    /// What it came to, in this group.
    pub receipt: Option<Box<Receipt>>,
}
