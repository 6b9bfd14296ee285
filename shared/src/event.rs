//! The closed list of what a console can be told, version 1.
//!
//! Every frame of `/events` is one of these as JSON text. `seq` counts events, dense within an
//! epoch; a frame of receipts covers `from` to `to`. Refuses to know sockets and buffers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::alert::Alert;
use crate::api::{AuditEntry, RunView};
use crate::circuit::{CircuitState, CircuitView};
use crate::id::{AgentName, ModelName, ProviderName, RequestId, RunId};
use crate::money::Usd;
use crate::provider::ProviderView;
use crate::receipt::Receipt;
use crate::time::Timestamp;
use crate::window::Sums;

mod budget;

pub use budget::{BudgetEvent, Enforced};

/// The version of this list, in `hello`.
pub const PROTO: u32 = 1;

/// First frame of every connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTO`].
    pub proto: u32,
    /// This start of this node; another one means that `seq` began anew.
    pub epoch: String,
    /// The newest event.
    pub seq: u64,
    /// The server's clock.
    pub now: Timestamp,
    /// The version of the price catalogue.
    pub catalogue: String,
    /// Whether this connection may change nothing.
    pub read_only: bool,
}

/// Everything a console needs to draw, as of `seq`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The newest event that it contains.
    pub seq: u64,
    /// The last sixteen minutes, second by second; seconds without traffic are absent.
    pub seconds: Vec<Second>,
    /// Every run.
    pub runs: Vec<RunView>,
    /// Every budget, as in the `budget` event.
    pub budgets: Vec<BudgetEvent>,
    /// Every active provider.
    pub providers: Vec<ProviderView>,
    /// Alerts that hold.
    pub alerts: Vec<Alert>,
    /// The latest receipts, oldest first.
    #[serde(default)]
    pub receipts: Vec<Receipt>,
    /// The latest changes by operators, oldest first; at most [`AUDIT_KEPT`].
    #[serde(default)]
    pub audit: Vec<AuditEntry>,
    /// What the ledger says it all adds up to.
    pub checkpoint: Checkpoint,
}

/// What happened in one second.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Its start.
    pub at: Timestamp,
    /// Everything.
    pub all: Sums,
    /// The same by provider.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_provider: BTreeMap<ProviderName, Sums>,
    /// The same by run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_run: BTreeMap<RunId, Sums>,
    /// The same by agent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_agent: BTreeMap<AgentName, Sums>,
    /// The same by model.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_model: BTreeMap<ModelName, Sums>,
}

impl Second {
    /// Folds one receipt in.
    pub fn add(&mut self, receipt: &Receipt) {
        let sums = Sums::of(receipt);
        self.all.add(&sums);
        add_to(&mut self.by_provider, &receipt.provider, &sums);
        add_to(&mut self.by_run, &receipt.run_id, &sums);
        add_to(&mut self.by_agent, &receipt.agent, &sums);
        add_to(&mut self.by_model, &receipt.model, &sums);
    }
}

/// Looked up before cloning the key: the usual case is that it is there.
fn add_to<K: Ord + Clone>(map: &mut BTreeMap<K, Sums>, key: &K, sums: &Sums) {
    match map.get_mut(key) {
        Some(known) => known.add(sums),
        None => {
            map.insert(key.clone(), *sums);
        }
    }
}

/// The second that has just ended, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Its place.
    pub seq: u64,
    /// Its start.
    pub at: Timestamp,
    /// Everything.
    pub all: Sums,
    /// The same by provider.
    #[serde(default)]
    pub by_provider: BTreeMap<ProviderName, Sums>,
    /// The same by run.
    #[serde(default)]
    pub by_run: BTreeMap<RunId, Sums>,
    /// The same by agent.
    #[serde(default)]
    pub by_agent: BTreeMap<AgentName, Sums>,
    /// The same by model.
    #[serde(default)]
    pub by_model: BTreeMap<ModelName, Sums>,
}

/// Receipts, at most ten frames a second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Receipts {
    /// Place of the first.
    pub from: u64,
    /// Place of the last.
    pub to: u64,
    /// Their exact lines.
    pub items: Vec<Box<RawValue>>,
}

/// A request that was refused before anything was sent. Not a receipt: it is in no sum of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its place.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Whose budget.
    pub run_id: RunId,
    /// Who asked.
    pub agent: AgentName,
    /// The request.
    pub request_id: RequestId,
    /// The stable code of the refusal.
    pub code: String,
    /// What would have been held.
    pub hold_usd: Usd,
}

/// A run appeared or changed its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Its place.
    pub seq: u64,
    /// The run.
    pub run: RunView,
}

/// A provider was registered, changed or removed, or was measured anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderEvent {
    /// Its place.
    pub seq: u64,
    /// The provider.
    pub provider: ProviderView,
}

/// A circuit changed its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitEvent {
    /// Its place.
    pub seq: u64,
    /// Whose.
    pub provider: ProviderName,
    /// Whether traffic flows.
    pub state: CircuitState,
    /// Why not.
    pub reason: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When one request will be tried.
    pub retry_at: Option<Timestamp>,
    /// How often it opened since it last stayed closed.
    pub opened: u32,
}

impl CircuitEvent {
    /// The event of a circuit as it is now; its place is given later.
    pub fn of(provider: ProviderName, circuit: CircuitView) -> Self {
        let CircuitView { state, reason, since, retry_at, opened } = circuit;
        Self { seq: 0, provider, state, reason, since, retry_at, opened }
    }

    /// The circuit.
    pub fn view(&self) -> CircuitView {
        CircuitView {
            state: self.state,
            reason: self.reason.clone(),
            since: self.since,
            retry_at: self.retry_at,
            opened: self.opened,
        }
    }
}

/// An alert appeared, changed or was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// Its place.
    pub seq: u64,
    /// The alert.
    pub alert: Alert,
}

/// An operator changed something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Its place.
    pub seq: u64,
    /// The change.
    pub change: AuditEntry,
}

/// What the ledger says receipts up to this event add up to. A console that sums receipts itself
/// must find the same, or shows that it does not.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkpoint {
    /// Its place.
    pub seq: u64,
    /// What bills are known to be, over all runs.
    pub posted_usd: Usd,
    /// Holds whose bill is not known, over all runs.
    pub unknown_usd: Usd,
    /// What may still be billed for streams that were cut off, over all runs.
    pub uncertain_usd: Usd,
    /// How many receipts there are.
    pub receipts: u64,
    /// Posted plus unknown by run; at most [`CHECKPOINT_RUNS_MAX`] runs, the largest.
    pub by_run: BTreeMap<RunId, Usd>,
}

/// Nothing happened, and the server is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The server's clock.
    pub now: Timestamp,
}

/// The client was too slow; a fresh snapshot follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lagged {
    /// The first event it missed.
    pub from: u64,
    /// The last event it missed.
    pub to: u64,
    /// How many of them were receipts.
    pub receipts: u64,
}

/// One frame.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is named after its struct, which is documented")]
pub enum Event {
    Hello(Hello),
    Snapshot(Box<Snapshot>),
    Tick(Tick),
    Receipts(Receipts),
    Refusal(Refused),
    Budget(BudgetEvent),
    Run(RunEvent),
    Provider(Box<ProviderEvent>),
    Circuit(CircuitEvent),
    Alert(AlertEvent),
    Audit(AuditEvent),
    Checkpoint(Checkpoint),
    Ping(Ping),
    Lagged(Lagged),
}

impl Event {
    /// Reads one frame. `None` for a type this version does not know: newer servers may say more.
    ///
    /// Not derived: serde buffers tagged enums through floats, and money must keep its digits.
    pub fn read(text: &str) -> Result<Option<Self>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Kind<'a> {
            #[serde(rename = "type", borrow)]
            kind: std::borrow::Cow<'a, str>,
        }
        let kind = serde_json::from_str::<Kind<'_>>(text)?.kind;
        let read = match kind.as_ref() {
            "hello" => Self::Hello(serde_json::from_str(text)?),
            "snapshot" => Self::Snapshot(serde_json::from_str(text)?),
            "tick" => Self::Tick(serde_json::from_str(text)?),
            "receipts" => Self::Receipts(serde_json::from_str(text)?),
            "refusal" => Self::Refusal(serde_json::from_str(text)?),
            "budget" => Self::Budget(serde_json::from_str(text)?),
            "run" => Self::Run(serde_json::from_str(text)?),
            "provider" => Self::Provider(serde_json::from_str(text)?),
            "circuit" => Self::Circuit(serde_json::from_str(text)?),
            "alert" => Self::Alert(serde_json::from_str(text)?),
            "audit" => Self::Audit(serde_json::from_str(text)?),
            "checkpoint" => Self::Checkpoint(serde_json::from_str(text)?),
            "ping" => Self::Ping(serde_json::from_str(text)?),
            "lagged" => Self::Lagged(serde_json::from_str(text)?),
            _ => return Ok(None),
        };
        Ok(Some(read))
    }
}

/// Seconds of history in a snapshot: the console's longest live chart, and one minute more.
pub const SECONDS_KEPT: usize = 960;

/// Changes in a snapshot: what a tall screen lists beside everything else.
pub const AUDIT_KEPT: usize = 100;

/// Most runs listed in a checkpoint; totals cover all of them.
pub const CHECKPOINT_RUNS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_keep_every_digit_both_ways() {
        let tick = r#"{"type":"tick","seq":7,"at":"2026-11-23T14:14:07Z","all":{"cost_usd":0.123456789012,"input_tokens":3,"output_tokens":2,"requests":1}}"#;
        let Some(Event::Tick(read)) = Event::read(tick).unwrap() else { panic!("no tick") };
        assert_eq!(read.all.cost_usd.to_string(), "0.123456789012");
        let written = serde_json::to_string(&Event::Tick(read.clone())).unwrap();
        assert!(written.starts_with(r#"{"type":"tick","seq":7,"#), "{written}");
        let Some(Event::Tick(again)) = Event::read(&written).unwrap() else { panic!("no tick") };
        assert_eq!(again, read);
    }

    #[test]
    fn unknown_frames_are_passed_over_and_broken_ones_are_errors() {
        assert!(Event::read(r#"{"type":"horoscope"}"#).unwrap().is_none());
        assert!(Event::read(r#"{"type":"tick"}"#).is_err());
        assert!(Event::read("[]").is_err());
    }

    #[test]
    fn receipts_travel_as_their_exact_lines() {
        let frame =
            r#"{"type":"receipts","from":2,"to":2,"items":[{"b":1.10,"a":0.1234567890123}]}"#;
        let Some(Event::Receipts(read)) = Event::read(frame).unwrap() else { panic!("none") };
        assert_eq!(read.items[0].get(), r#"{"b":1.10,"a":0.1234567890123}"#);
    }
}
