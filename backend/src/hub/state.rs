//! What the hub knows: enough for a console that comes in the middle.

use std::collections::{BTreeMap, VecDeque};

use tollgate_shared::alert::Alerts;
use tollgate_shared::api::{AuditEntry, RunView};
use tollgate_shared::event::{
    AUDIT_KEPT, BudgetEvent, CHECKPOINT_RUNS_MAX, Checkpoint, Second, Snapshot,
};
use tollgate_shared::id::{ProviderName, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::provider::ProviderView;
use tollgate_shared::receipt::Receipt;

use crate::hub::{Frame, Place};
use crate::ledger::Keeper;

/// Frames to resume from, and the world as of the newest.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) seq: u64,
    pub(super) frames: VecDeque<Frame>,
    pub(super) bytes: usize,
    pub(super) seconds: VecDeque<Second>,
    pub(super) runs: BTreeMap<RunId, RunView>,
    pub(super) budgets: BTreeMap<RunId, BudgetEvent>,
    pub(super) providers: BTreeMap<ProviderName, ProviderView>,
    pub(super) alerts: Alerts,
    pub(super) recent: VecDeque<Receipt>,
    pub(super) receipts: u64,
    pub(super) audit: VecDeque<AuditEntry>,
    /// Where alerts are kept; until it is there, nobody has said anything.
    pub(super) keeper: Option<Keeper>,
}

impl State {
    pub(super) fn place(&self) -> Place {
        Place { seq: self.seq, receipts: self.receipts }
    }

    /// The event before the oldest that is kept.
    pub(super) fn oldest(&self) -> u64 {
        self.frames.front().map_or(self.seq, |frame| frame.from - 1)
    }

    /// The latest changes are part of a snapshot.
    pub(super) fn remember(&mut self, change: AuditEntry) {
        if self.audit.len() >= AUDIT_KEPT {
            self.audit.pop_front();
        }
        self.audit.push_back(change);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            seq: self.seq,
            seconds: self.seconds.iter().cloned().collect(),
            runs: self.runs.values().cloned().collect(),
            budgets: self.budgets.values().cloned().collect(),
            providers: self.providers.values().cloned().collect(),
            alerts: self.alerts.iter().cloned().collect(),
            receipts: self.recent.iter().cloned().collect(),
            audit: self.audit.iter().cloned().collect(),
            checkpoint: self.checkpoint(self.seq),
        }
    }

    pub(super) fn checkpoint(&self, seq: u64) -> Checkpoint {
        let all = || self.budgets.values().map(|budget| &budget.enforced);
        let mut by_run: Vec<(RunId, Usd)> = self
            .budgets
            .values()
            .map(|budget| (budget.run_id.clone(), budget.enforced.spent_usd()))
            .collect();
        if by_run.len() > CHECKPOINT_RUNS_MAX {
            by_run.sort_unstable_by(|(_, one), (_, other)| other.cmp(one));
            by_run.truncate(CHECKPOINT_RUNS_MAX);
        }
        Checkpoint {
            seq,
            posted_usd: all().map(|money| money.posted_usd).sum(),
            unknown_usd: all().map(|money| money.unknown_usd).sum(),
            uncertain_usd: all().map(|money| money.uncertain_usd).sum(),
            receipts: self.receipts,
            by_run: by_run.into_iter().collect(),
        }
    }
}
