//! The provider as the wire shows it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::circuit::CircuitView;
use crate::id::{ModelName, PriceId, ProviderName};
use crate::price::{PriceCard, UsdPerToken};
use crate::provider::{Dialect, Endpoint, Limits, OnDisconnect, Slo};
use crate::time::Timestamp;

/// Whether a provider takes traffic at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderStatus {
    /// It is registered.
    Active,
    /// It was removed; its history stays.
    Inactive,
}

/// Who declared a provider, and so who may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ManagedBy {
    /// Somebody over REST.
    Api,
    /// A configuration file; REST may not change it.
    File,
}

/// What was measured of a provider lately; absent until it was.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Quality {
    /// Half of the successful answers came within this, over five minutes.
    pub p50_ms: Option<u32>,
    /// 95 of 100 successful answers came within this, over five minutes.
    pub p95_ms: Option<u32>,
    /// 95 of 100 streams had their first token within this.
    pub ttft_p95_ms: Option<u32>,
    /// Share of attempts that were answered, 0 to 1.
    pub success_rate: Option<f64>,
    /// Share of the time the circuit was closed, 0 to 1.
    pub availability: Option<f64>,
    /// How many attempts these figures rest on.
    pub attempts: u64,
    /// Share of attempts that were turned away for their number (429), 0 to 1.
    pub throttled_rate: Option<f64>,
    /// Tokens a minute that were answered, over five minutes.
    pub tokens_per_min: u64,
}

/// The latest failure of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// A stable word: `connect_failed`, `status_503`, `timeout`, `broken`.
    pub what: String,
}

/// The provider as the wire shows it: the registration's fields, and what became of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderView {
    /// Its name.
    pub name: ProviderName,
    /// The model as callers ask for it.
    pub model: ModelName,
    /// The model as the provider knows it.
    pub upstream_model: ModelName,
    /// Largest input and output together, in tokens.
    pub context_window: u64,
    /// Longest answer, in tokens, where it was stated.
    pub max_output_tokens: Option<u64>,
    /// Price of one input token.
    pub cost_per_input_token: UsdPerToken,
    /// Price of one output token.
    pub cost_per_output_token: UsdPerToken,
    /// The whole card.
    pub pricing: PriceCard,
    /// The card's version.
    pub price_id: PriceId,
    /// Said aloud: it costs nothing.
    pub free: bool,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The language it speaks.
    pub dialect: Dialect,
    /// What it can do.
    pub features: Vec<String>,
    /// What it promises.
    pub slo: Option<Slo>,
    /// How much it takes.
    pub limits: Limits,
    /// What becomes of a stream whose client has left.
    #[serde(default)]
    pub on_disconnect: OnDisconnect,
    /// Whether runs with a limit may use it: its bills have stayed within what was held.
    #[serde(default = "super::yes")]
    pub bounded: bool,
    /// The environment variable that holds its key.
    pub api_key_env: Option<String>,
    /// Whether it takes traffic.
    pub status: ProviderStatus,
    /// Counts its changes, from 1.
    pub version: u64,
    /// When it was first registered.
    pub registered_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Who may change it.
    pub managed_by: ManagedBy,
    /// Whether traffic flows, and why not.
    pub circuit: CircuitView,
    /// What was measured.
    pub quality: Quality,
    /// Its latest failure since the start; null without one.
    #[serde(default)]
    pub last_error: Option<LastError>,
}
