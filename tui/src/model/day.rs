//! What the backend told: runs, budgets, providers, alerts, seconds and receipts.
//!
//! Changed by frames only, and in their order; what a person does is elsewhere. Refuses to know
//! sockets and screens. A copy of it is the frozen screen.

use std::collections::{BTreeMap, VecDeque};

use tollgate_shared::alert::{Alert, AlertState, RESOLVED_MAX, Severity};
use tollgate_shared::api::{AuditEntry, RunView};
use tollgate_shared::budget::RunState;
use tollgate_shared::event::{BudgetEvent, Checkpoint, Second, Snapshot};
use tollgate_shared::id::{ProviderName, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::provider::{ProviderStatus, ProviderView};
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;

use super::{Audit, History, Pulse, Tail};

/// What the backend told.
#[derive(Clone, Debug)]
pub struct Day {
    /// The server's time, as far as it is known.
    pub now: Timestamp,
    /// Every run.
    pub runs: BTreeMap<RunId, RunEntry>,
    /// Every active provider.
    pub providers: BTreeMap<ProviderName, ProviderView>,
    /// Alerts that hold, by identity.
    pub alerts: BTreeMap<String, Alert>,
    /// Alerts that ended, oldest first; at most [`RESOLVED_MAX`].
    pub resolved: VecDeque<Alert>,
    /// Seconds and spans.
    pub history: History,
    /// Receipts and refusals.
    pub tail: Tail,
    /// How providers did.
    pub pulse: Pulse,
    /// What operators changed, oldest first; at most [`CHANGES_MAX`].
    pub changes: VecDeque<AuditEntry>,
    /// The self-audit.
    pub audit: Audit,
    /// What was spent since midnight, UTC.
    pub today: Option<Today>,
    /// Whether a snapshot came.
    pub ready: bool,
}

/// One run: what it did, and its money.
#[derive(Clone, Debug, Default)]
pub struct RunEntry {
    /// As in `GET /runs`.
    pub view: Option<RunView>,
    /// Its budget.
    pub budget: Option<BudgetEvent>,
}

/// What was spent since midnight, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Today {
    /// The midnight it began.
    pub since: Timestamp,
    /// Receipts since then.
    pub spent: Usd,
}

impl RunEntry {
    /// Whether the run may spend.
    pub fn state(&self) -> RunState {
        let of_view = self.view.as_ref().map(|view| view.state);
        self.budget.as_ref().map(|budget| budget.state).or(of_view).unwrap_or_default()
    }
}

impl Day {
    /// A day of which nothing is known.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            runs: BTreeMap::new(),
            providers: BTreeMap::new(),
            alerts: BTreeMap::new(),
            resolved: VecDeque::new(),
            history: History::default(),
            tail: Tail::default(),
            pulse: Pulse::default(),
            changes: VecDeque::new(),
            audit: Audit::default(),
            today: None,
            ready: false,
        }
    }

    /// Replaces everything by a snapshot; rows of the tail stay where it does not repeat them.
    pub fn reset(&mut self, snapshot: &Snapshot) {
        self.history.reset(&snapshot.seconds, self.now);
        self.runs.clear();
        for view in &snapshot.runs {
            self.runs.entry(view.run_id.clone()).or_default().view = Some(view.clone());
        }
        for budget in &snapshot.budgets {
            self.set_budget(budget.clone());
        }
        self.providers =
            snapshot.providers.iter().map(|view| (view.name.clone(), view.clone())).collect();
        self.alerts =
            snapshot.alerts.iter().map(|alert| (alert.id.clone(), alert.clone())).collect();
        for view in &snapshot.providers {
            self.pulse.turn(&view.name, &view.circuit, self.now);
        }
        for receipt in &snapshot.receipts {
            let known = self.tail.last_seq(&receipt.run_id);
            if known.is_none_or(|known| known < receipt.seq) {
                self.tail.push(receipt, self.is_slow(receipt));
                self.pulse.beat(receipt);
            }
        }
        for change in &snapshot.audit {
            self.add_change(change.clone());
        }
        self.audit.reset(&snapshot.checkpoint);
        self.ready = true;
    }

    /// A second has ended.
    pub fn add_second(&mut self, second: &Second) {
        if let Some(today) = &mut self.today {
            let midnight = second.at.floor_to(86_400);
            if midnight > today.since {
                *today = Today { since: midnight, spent: Usd::ZERO };
            }
            today.spent += second.all.cost_usd;
        }
        self.history.add(second);
    }

    /// A receipt came.
    pub fn add_receipt(&mut self, receipt: &Receipt) {
        self.audit.add(&receipt.run_id, receipt.cost_usd);
        self.tail.push(receipt, self.is_slow(receipt));
        self.pulse.beat(receipt);
    }

    /// An operator changed something; a snapshot repeats what is known already.
    pub fn add_change(&mut self, change: AuditEntry) {
        if self.changes.back().is_some_and(|known| known.id >= change.id) {
            return;
        }
        self.changes.push_back(change);
        if self.changes.len() > CHANGES_MAX {
            self.changes.pop_front();
        }
    }

    /// The ledger says what it all adds up to.
    pub fn check(&mut self, checkpoint: &Checkpoint) {
        self.audit.check(checkpoint);
    }

    /// A run's money changed.
    pub fn set_budget(&mut self, budget: BudgetEvent) {
        let entry = self.runs.entry(budget.run_id.clone()).or_default();
        // The answer to a change may come after the news of a later one.
        if entry.budget.as_ref().is_some_and(|known| known.version > budget.version) {
            return;
        }
        entry.budget = Some(budget);
    }

    /// A provider changed; one that was removed is forgotten.
    pub fn set_provider(&mut self, view: ProviderView) {
        self.pulse.turn(&view.name, &view.circuit, self.now);
        match view.status {
            ProviderStatus::Active => self.providers.insert(view.name.clone(), view),
            ProviderStatus::Inactive => self.providers.remove(&view.name),
        };
    }

    /// An alert changed; one that was resolved is remembered among those.
    pub fn set_alert(&mut self, alert: Alert) {
        match alert.state {
            AlertState::Resolved => {
                self.alerts.remove(&alert.id);
                self.end(alert);
            }
            AlertState::Open | AlertState::Acked => {
                self.alerts.insert(alert.id.clone(), alert);
            }
        }
    }

    /// An alert has ended, now or long ago; told twice it is kept once, in the order of the ends.
    pub fn end(&mut self, alert: Alert) {
        let is_same = |known: &Alert| known.id == alert.id && known.since == alert.since;
        if self.resolved.iter().any(is_same) {
            return;
        }
        let after = self.resolved.partition_point(|known| known.resolved_at <= alert.resolved_at);
        self.resolved.insert(after, alert);
        if self.resolved.len() > RESOLVED_MAX {
            self.resolved.pop_front();
        }
    }

    /// How many alerts of a severity hold.
    pub fn count(&self, severity: Severity) -> usize {
        self.alerts.values().filter(|alert| alert.severity == severity).count()
    }

    /// The run that will be empty first, with its seconds; none while nobody burns under a limit.
    pub fn next_empty(&self) -> Option<(&RunId, u64)> {
        self.runs
            .iter()
            .filter_map(|(run, entry)| {
                let budget = entry.budget.as_ref()?;
                let open = budget.state == RunState::Open && !budget.blocked;
                Some((run, budget.runway_s.filter(|_| open)?))
            })
            .min_by_key(|(_, seconds)| *seconds)
    }

    /// What will have been spent by midnight: a run that refuses ends at its limit.
    pub fn projected(&self) -> Option<Usd> {
        self.projected_with(None)
    }

    /// The same with another budget in place of the one that its run has.
    pub fn projected_with(&self, other: Option<&BudgetEvent>) -> Option<Usd> {
        let today = self.today?;
        let midnight = today.since.plus_millis(86_400_000);
        let minutes = u64::try_from(midnight.millis_since(self.now) / 60_000).unwrap_or(0);
        let to_come: Usd = self
            .runs
            .values()
            .filter_map(|entry| entry.budget.as_ref())
            .map(|own| other.filter(|other| other.run_id == own.run_id).unwrap_or(own))
            .filter(|budget| budget.state == RunState::Open)
            .map(|budget| {
                let free = budget.burn_usd_per_min.times(minutes);
                let enforced = &budget.enforced;
                let left = enforced.limit_usd.map(|limit| (limit - enforced.spent_usd()).or_zero());
                left.map_or(free, |left| left.min(free))
            })
            .sum();
        Some(today.spent + to_come)
    }

    /// Whether it took longer than its provider promised when it came; the promise may change
    /// later.
    fn is_slow(&self, receipt: &Receipt) -> bool {
        let promise = self
            .providers
            .get(&receipt.provider)
            .and_then(|provider| provider.slo.as_ref()?.latency_p95_ms);
        promise.is_some_and(|promise| receipt.latency_ms > u64::from(promise))
    }
}

/// Changes kept; older ones are read from the backend when somebody looks.
pub const CHANGES_MAX: usize = 1_000;
