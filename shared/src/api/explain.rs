//! Why a request went where it went, and what became of each attempt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::RejectedProvider;
use crate::id::{AttemptId, PriceId, ProviderName, RequestId, RunId};
use crate::money::Usd;
use crate::price::PriceCard;
use crate::select::{Objective, Score};
use crate::time::Timestamp;

/// Answer of `GET /explain/{request_id}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ExplainView {
    /// The request.
    pub request_id: RequestId,
    /// The run that paid.
    pub run_id: RunId,
    /// What its receipts add up to, corrections included.
    pub cost_usd: Usd,
    /// Its attempts, in order; none where it got no money or nobody fitted.
    pub attempts: Vec<ExplainedAttempt>,
    /// The plan as it was made; null where it is not kept any more.
    pub plan: Option<PlanView>,
    /// Why there is no plan.
    pub plan_missing: Option<String>,
}

/// One try at one provider.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedAttempt {
    /// Which try, from 1.
    pub attempt: u32,
    /// The id that went upstream.
    pub attempt_id: AttemptId,
    /// `pending`, `posted`, `voided` or `unknown`, as it is now.
    pub state: String,
    /// What was set aside.
    pub held_usd: Usd,
    /// What the run is charged.
    pub charged_usd: Usd,
    /// When it was held.
    pub held_at: Timestamp,
    /// When it was settled; null while it is in flight.
    pub settled_at: Option<Timestamp>,
    /// Its receipt, exactly as in the run's file; null while it is in flight.
    #[schemars(with = "Option<crate::receipt::Receipt>")]
    pub receipt: Option<Box<RawValue>>,
    /// The correction that followed, where one did.
    #[schemars(with = "Option<crate::receipt::Receipt>")]
    pub correction: Option<Box<RawValue>>,
    /// The price card it was held and priced with: its rates times the receipt's tokens are its cost.
    pub price: Option<PriceCard>,
}

/// The plan of a request: everyone who was looked at, with score or reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanView {
    /// When it was made.
    pub at: Timestamp,
    /// What was preferred.
    pub objective: Objective,
    /// Input that was expected, in tokens.
    pub expected_input_tokens: u64,
    /// Output that was expected, in tokens.
    pub expected_output_tokens: u64,
    /// Who fitted, best first.
    pub candidates: Vec<PlannedCandidate>,
    /// Who did not, and why.
    pub rejected: Vec<RejectedProvider>,
}

/// One who fitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedCandidate {
    /// Its name.
    pub provider: ProviderName,
    /// How well it serves the objective.
    pub score: Score,
    /// What the request was expected to cost there.
    pub cost_usd: Usd,
    /// The latency that was judged by; null without any.
    pub latency_ms: Option<u32>,
    /// Its price card then.
    pub price_id: PriceId,
}
