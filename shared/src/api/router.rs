//! Bodies of the provider router.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{Body, BodyError};
use crate::id::{ModelName, ProviderName};
use crate::money::Usd;
use crate::provider::{ProviderView, Requirements};
use crate::select::{Objective, Score};
use crate::time::Timestamp;
use crate::usage::Usage;

/// Body of `POST /select`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SelectRequest {
    /// What a provider must have.
    pub requirements: Requirements,
    /// What to prefer.
    pub optimization: Objective,
    /// The tokens that estimates of cost rest on.
    pub estimate: ExpectedTokens,
}

/// Tokens that a request is expected to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedTokens {
    /// Input.
    pub input_tokens: u64,
    /// Output.
    pub output_tokens: u64,
}

impl Default for ExpectedTokens {
    /// A middling request, where nobody said how large it is.
    fn default() -> Self {
        Self { input_tokens: 1_000, output_tokens: 250 }
    }
}

impl From<ExpectedTokens> for Usage {
    fn from(tokens: ExpectedTokens) -> Self {
        Self::plain(tokens.input_tokens, tokens.output_tokens)
    }
}

impl SelectRequest {
    /// Reads the body.
    pub fn from_body(mut body: Body) -> Result<Self, BodyError> {
        let requirements = body.require("requirements")?;
        let optimization = body.take("optimization")?.unwrap_or_default();
        let estimate = body.take("estimate")?.unwrap_or_default();
        body.finish()?;
        Ok(Self { requirements, optimization, estimate })
    }
}

/// Answer of `POST /select`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SelectAnswer {
    /// The winner.
    pub provider: ProviderView,
    /// Its score.
    pub score: Score,
    /// What the request is expected to use and cost there.
    pub estimate: Estimate,
    /// The next two.
    pub alternatives: Vec<Alternative>,
    /// Everyone who does not fit.
    pub rejected: Vec<RejectedProvider>,
}

/// What a request is expected to use and cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Input.
    pub input_tokens: u64,
    /// Output.
    pub output_tokens: u64,
    /// At this provider's prices.
    pub cost_usd: Usd,
}

/// A runner-up.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Alternative {
    /// The provider.
    pub provider: ProviderView,
    /// Its score.
    pub score: Score,
    /// What the request is expected to use and cost there.
    pub estimate: Estimate,
}

/// A provider that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejectedProvider {
    /// Its name.
    pub name: ProviderName,
    /// Why, as a stable word.
    pub reason: String,
    /// Why, for people.
    pub detail: String,
}

/// Answer of `GET /providers`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProviderList {
    /// The providers.
    pub providers: Vec<ProviderView>,
    /// How many.
    pub count: usize,
}

/// Answer of `POST /providers/{name}/probe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeView {
    /// Who was asked for the list of its models.
    pub name: ProviderName,
    /// When.
    pub at: Timestamp,
    /// Whether it answered with a list.
    pub ok: bool,
    /// HTTP status; null where nothing answered.
    pub status: Option<u16>,
    /// How long the answer took.
    pub latency_ms: u64,
    /// Whether its list has the model; null where there is no list.
    pub lists_model: Option<bool>,
    /// A stable word for what went wrong: `connect_failed`, `no_key`, `timeout`, `status_401`.
    pub error: Option<String>,
    /// The same for people; a provider's own words, cut short.
    pub detail: Option<String>,
}

/// Answer of the router's `GET /stats`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RouterStats {
    /// Providers that take traffic.
    pub active: usize,
    /// Providers that were removed.
    pub inactive: usize,
    /// Different models.
    pub models: usize,
    /// Active providers by model.
    pub by_model: BTreeMap<ModelName, usize>,
    /// Active providers by feature.
    pub features: BTreeMap<String, usize>,
    /// The cheapest active provider of each model, for a middling request.
    pub cheapest: BTreeMap<ModelName, ProviderName>,
}
