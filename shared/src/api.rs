//! Bodies of the router and gateway APIs, and the one error shape.
//!
//! What is read strictly from outside has a `from_body`; what is answered derives its JSON. Refuses
//! to know HTTP beyond the words in these shapes. `contracts/` holds the same shapes as JSON Schemas.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::body::{Body, BodyError, invalid};
use crate::id::{AgentName, ModelName, ProviderName, RequestId, RunId};
use crate::money::Usd;
use crate::provider::Requirements;
use crate::receipt::Status;
use crate::select::Objective;
use crate::time::Timestamp;
use crate::window::WindowKind;

mod budgets;
mod changes;
mod explain;
mod report;
mod router;
mod runs;

pub use budgets::{
    AccountKind, AccountView, BudgetList, BudgetRequest, BudgetView, FleetRequest, NOTE_LENGTH_MAX,
    Pace,
};
pub use changes::{
    AckRequest, AlertList, AuditEntry, AuditList, SNOOZE_MINUTES_MAX, SnoozeRequest,
};
pub use explain::{ExplainView, ExplainedAttempt, PlanView, PlannedCandidate};
pub use report::{Breakdown, DailyReport, DayReport, RANKING_MAX, RankedRow, Ranking};
pub use router::{
    Alternative, Estimate, ExpectedTokens, ProbeView, ProviderList, RejectedProvider, RouterStats,
    SelectAnswer, SelectRequest,
};
pub use runs::{
    Resolution, ResolveRequest, RunList, RunView, StateRequest, UnknownList, UnknownView, Work,
};

/// The one error shape: `{"error":{"code","message","details"}}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorFacts,
}

/// What is in an error.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorFacts {
    /// Stable; programs decide by it.
    pub code: String,
    /// For people; it may change.
    pub message: String,
    /// Figures and reasons, by code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub details: Option<Box<RawValue>>,
}

/// Body of `POST /route`.
#[derive(Clone, Debug)]
pub struct RouteRequest {
    /// The caller's name for it, or none.
    pub request_id: Option<RequestId>,
    /// Who pays.
    pub run_id: RunId,
    /// Who asks.
    pub agent: AgentName,
    /// What a provider must have.
    pub requirements: Requirements,
    /// What to prefer.
    pub optimization: Objective,
    /// The chat request, in OpenAI's shape.
    pub payload: Body,
    /// The length of its text, in bytes: no token covers less than one.
    pub payload_bytes: u64,
}

impl RouteRequest {
    /// Reads the body.
    pub fn from_body(mut body: Body) -> Result<Self, BodyError> {
        let request_id = body.take_parsed("request_id")?;
        let run_id = body.take_parsed("run_id")?.ok_or(BodyError::Missing("run_id"))?;
        let agent = match body.take_parsed("agent")? {
            Some(agent) => agent,
            None => crate::body::parsed("agent", "unnamed")?,
        };
        let requirements = body.require("requirements")?;
        let optimization = body.take("optimization")?.unwrap_or_default();
        let payload = body.remove("payload").ok_or(BodyError::Missing("payload"))?;
        body.finish()?;
        let payload_bytes = payload.get().len() as u64;
        let payload = Body::parse(payload.get().as_bytes()).map_err(|error| match error {
            BodyError::NotAnObject(_) => invalid("payload", "it is not an object"),
            BodyError::Duplicate(field) => BodyError::Duplicate(format!("payload.{field}")),
            other => other,
        })?;
        if payload.raw("messages").is_none_or(|raw| !raw.get().starts_with('[')) {
            return Err(invalid("payload", "it has no list of `messages`"));
        }
        Ok(Self { request_id, run_id, agent, requirements, optimization, payload, payload_bytes })
    }
}

/// Whether a receipt is on disk when its answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// It is.
    Durable,
    /// The hold is; the receipt follows.
    Pending,
}

/// Answer of `POST /route`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RouteAnswer {
    /// The request.
    pub request_id: RequestId,
    /// Who paid.
    pub run_id: RunId,
    /// Who asked.
    pub agent: AgentName,
    /// Who answered.
    pub provider: ProviderName,
    /// The model that was asked for.
    pub model: ModelName,
    /// `success`, or `fallback` when it was not the first choice.
    pub status: Status,
    /// Input that was billed.
    pub input_tokens: u64,
    /// Output that was billed.
    pub output_tokens: u64,
    /// What this attempt cost.
    pub cost_usd: Usd,
    /// What this attempt took.
    pub latency_ms: u64,
    /// How many attempts were made.
    pub attempts: u32,
    /// Whether an earlier choice had failed.
    pub fallback: bool,
    /// Whether the receipt is on disk.
    pub receipt: ReceiptState,
    /// The answer, in OpenAI's chat shape.
    #[schemars(with = "serde_json::Value")]
    pub response: Box<RawValue>,
}

/// Answer of `GET /receipts/{run_id}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptList {
    /// The run.
    pub run_id: RunId,
    /// How many there are.
    pub count: u64,
    /// What they add up to: all of them, also when fewer are shown.
    pub total_cost_usd: Usd,
    /// Their exact lines, oldest first.
    #[schemars(with = "Vec<crate::receipt::Receipt>")]
    pub receipts: Vec<Box<RawValue>>,
}

/// Answer of `GET /metrics?window=`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MetricsView {
    /// Which window.
    pub window: WindowKind,
    /// What receipts of the window add up to.
    pub total_cost_usd: Usd,
    /// Requests that reached a provider.
    pub total_requests: u64,
    /// Attempts.
    pub total_attempts: u64,
    /// Requests refused before anything was sent.
    pub total_refused: u64,
    /// Input.
    pub total_input_tokens: u64,
    /// Output.
    pub total_output_tokens: u64,
    /// Both.
    pub total_tokens: u64,
    /// Total cost over total requests, rounded down to 1e-12 USD; 0 without requests.
    pub cost_per_request_usd: Usd,
    /// Requests whose first attempt went there.
    pub requests_per_provider: BTreeMap<ProviderName, u64>,
    /// What was paid there.
    pub cost_per_provider_usd: BTreeMap<ProviderName, Usd>,
    /// Every span of the window, oldest first.
    pub buckets: Vec<MetricsBucket>,
}

/// One span of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MetricsBucket {
    /// Its start.
    pub start: Timestamp,
    /// What receipts add up to.
    pub cost_usd: Usd,
    /// Requests that reached a provider.
    pub requests: u64,
    /// Input.
    pub input_tokens: u64,
    /// Output.
    pub output_tokens: u64,
}

/// Answer of `GET /health`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `healthy` or `degraded`.
    pub status: String,
    /// `provider_router`, `gateway` or `event_stream`.
    pub service: String,
    /// Where it listens.
    pub port: u16,
    /// The program's version.
    pub version: String,
    /// `power` or `process`: what a receipt survives.
    pub durability: String,
    /// What is wrong, where it is degraded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// Answer of the event stream's `GET /stats`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StreamStats {
    /// Frames that a late client can still resume from.
    pub buffered: usize,
    /// Most that are kept.
    pub capacity: usize,
    /// Clients now.
    pub subscribers: usize,
    /// The newest event.
    pub last_seq: u64,
    /// This start of this node.
    pub epoch: String,
    /// How often a client was too slow and got a fresh snapshot.
    pub lagged_total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Result<RouteRequest, BodyError> {
        RouteRequest::from_body(Body::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn the_seed_route_is_read_as_it_stands() {
        let request = route(
            r#"{"request_id":"req-001","run_id":"my-run","agent":"my-agent",
            "requirements":{"model":"gpt-4","context_window":4000},"optimization":"cost",
            "payload":{"messages":[{"role":"user","content":"Hello!"}]}}"#,
        )
        .unwrap();
        assert_eq!(request.requirements.context_window, Some(4000));
        assert_eq!(request.optimization, Objective::Cost);
    }

    #[test]
    fn bad_routes_name_what_is_wrong() {
        let rows = [
            (r#"{"run_id":"r"}"#, "requirements"),
            (r#"{"run_id":"../x"}"#, "run_id"),
            (r#"{"run_id":"r","requirements":{"model":"m"}}"#, "payload"),
            (r#"{"run_id":"r","requirements":{"model":"m"},"payload":[]}"#, "payload"),
            (
                r#"{"run_id":"r","requirements":{"model":"m"},"payload":{"n":1,"n":2,"messages":[]}}"#,
                "payload.n",
            ),
            (
                r#"{"run_id":"r","requirements":{"model":"m"},"payload":{"messages":{}}}"#,
                "messages",
            ),
            (
                r#"{"run_id":"r","requirements":{"model":"m","colour":1},"payload":{"messages":[]}}"#,
                "colour",
            ),
            (
                r#"{"run_id":"r","requirements":{"model":"m"},"optimization":"best","payload":{"messages":[]}}"#,
                "optimization",
            ),
            (
                r#"{"run_id":"r","requirements":{"model":"m"},"payload":{"messages":[]},"api_key":"x"}"#,
                "api_key",
            ),
        ];
        for (text, named) in rows {
            let error = route(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_budget_is_a_positive_decimal() {
        let read = |text: &str| BudgetRequest::from_body(Body::parse(text.as_bytes()).unwrap());
        assert!(read(r#"{"run_id":"r","budget_usd":10.0}"#).is_ok());
        assert!(read(r#"{"run_id":"r","budget_usd":"0.5","mode":"hard","note":"more"}"#).is_ok());
        for bad in ["0", "-1", "\"1,5\"", "1e400", "null", "\"NaN\"", "true"] {
            assert!(read(&format!(r#"{{"run_id":"r","budget_usd":{bad}}}"#)).is_err(), "{bad}");
        }
    }
}
