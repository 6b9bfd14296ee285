//! What came within 100 ms, merged: states last wins, receipts and seconds appended in order.
//!
//! Ten thousand receipts a second are ten messages a second. Refuses to know sockets.
//!
//! ```text
//! tick tick receipts budget(7) budget(8) receipts checkpoint  ─▶  Delta { 2 seconds, receipts,
//!                                                                 budget(8), checkpoint }
//! ```

use std::collections::BTreeMap;

use tollgate_shared::alert::Alert;
use tollgate_shared::api::AuditEntry;
use tollgate_shared::event::{
    BudgetEvent, Checkpoint, CircuitEvent, Event, Hello, Lagged, Refused, RunEvent, Second,
    Snapshot, Tick,
};
use tollgate_shared::id::{ProviderName, RunId};
use tollgate_shared::provider::ProviderView;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;

/// The connection changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// It is up.
    Up {
        /// Whether events go on where they stopped, without a snapshot.
        resumed: bool,
    },
    /// It is gone.
    Lost {
        /// Which try comes next, from 1.
        attempt: u32,
        /// When it comes, by this machine's clock.
        retry_at: Timestamp,
        /// What went wrong.
        why: String,
    },
}

/// What came since the last one.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// When it was handed over, by this machine's clock.
    pub at: Timestamp,
    /// When the last frame came, by this machine's clock.
    pub last_frame: Option<Timestamp>,
    /// The connection changed.
    pub link: Option<LinkChange>,
    /// First frame of a connection.
    pub hello: Option<Hello>,
    /// The server's clock and this machine's, read at the same moment.
    pub clocks: Option<(Timestamp, Timestamp)>,
    /// Everything anew; what follows here came after it.
    pub snapshot: Option<Box<Snapshot>>,
    /// The client was too slow.
    pub lagged: Option<Lagged>,
    /// Seconds that ended.
    pub seconds: Vec<Second>,
    /// Receipts, in order.
    pub receipts: Vec<Receipt>,
    /// Refusals, in order.
    pub refusals: Vec<Refused>,
    /// The newest budget of each run.
    pub budgets: BTreeMap<RunId, BudgetEvent>,
    /// The newest state of each run.
    pub runs: BTreeMap<RunId, RunEvent>,
    /// The newest state of each provider.
    pub providers: BTreeMap<ProviderName, ProviderView>,
    /// The newest state of each circuit.
    pub circuits: BTreeMap<ProviderName, CircuitEvent>,
    /// Alerts that changed, in order.
    pub alerts: Vec<Alert>,
    /// What the ledger said last, after how many receipts of this delta it said so.
    pub checkpoint: Option<(usize, Checkpoint)>,
    /// Changes by operators.
    pub changes: Vec<AuditEntry>,
    /// Lines that could not be read.
    pub unread: u64,
}

impl Delta {
    /// Adds one frame that came at `now`.
    pub fn add(&mut self, event: Event, now: Timestamp) {
        self.last_frame = Some(now);
        match event {
            Event::Hello(hello) => {
                self.clocks = Some((hello.now, now));
                self.hello = Some(hello);
            }
            Event::Snapshot(snapshot) => self.begin_anew(snapshot),
            Event::Tick(tick) => self.seconds.push(second(tick)),
            Event::Receipts(receipts) => {
                for line in &receipts.items {
                    match serde_json::from_str(line.get()) {
                        Ok(receipt) => self.receipts.push(receipt),
                        Err(_) => self.unread += 1,
                    }
                }
            }
            Event::Refusal(refused) => self.refusals.push(refused),
            Event::Budget(budget) => {
                self.budgets.insert(budget.run_id.clone(), budget);
            }
            Event::Run(run) => {
                self.runs.insert(run.run.run_id.clone(), run);
            }
            Event::Provider(event) => {
                // A provider's own news are newer than a circuit's that came before.
                self.circuits.remove(&event.provider.name);
                self.providers.insert(event.provider.name.clone(), event.provider);
            }
            Event::Circuit(circuit) => {
                self.circuits.insert(circuit.provider.clone(), circuit);
            }
            Event::Alert(event) => self.alerts.push(event.alert),
            Event::Audit(event) => self.changes.push(event.change),
            Event::Checkpoint(checkpoint) => {
                self.checkpoint = Some((self.receipts.len(), checkpoint));
            }
            Event::Ping(ping) => self.clocks = Some((ping.now, now)),
            Event::Lagged(lagged) => self.lagged = Some(lagged),
        }
    }

    /// Whether there is nothing to hand over.
    pub fn is_empty(&self) -> bool {
        self.last_frame.is_none() && self.link.is_none()
    }

    /// Whether it says only that time has passed: such news wait for the clock's own frame, so that
    /// a console over a sleeping swarm writes next to nothing.
    pub fn is_quiet(&self) -> bool {
        self.link.is_none()
            && self.snapshot.is_none()
            && self.lagged.is_none()
            && self.checkpoint.is_none()
            && self.receipts.is_empty()
            && self.changes.is_empty()
            && self.refusals.is_empty()
            && self.budgets.is_empty()
            && self.runs.is_empty()
            && self.providers.is_empty()
            && self.circuits.is_empty()
            && self.alerts.is_empty()
            && self.seconds.iter().all(|second| second.all.is_empty())
    }

    /// A snapshot holds everything that came before it.
    fn begin_anew(&mut self, snapshot: Box<Snapshot>) {
        *self = Self {
            at: self.at,
            last_frame: self.last_frame,
            link: self.link.take(),
            hello: self.hello.take(),
            clocks: self.clocks,
            lagged: self.lagged.take(),
            unread: self.unread,
            snapshot: Some(snapshot),
            ..Self::default()
        };
    }
}

/// A tick is a second with a place; the place has served its purpose by now.
fn second(tick: Tick) -> Second {
    let Tick { at, all, by_provider, by_run, by_agent, by_model, .. } = tick;
    Second { at, all, by_provider, by_run, by_agent, by_model }
}
