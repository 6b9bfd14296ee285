//! A look at a provider that costs nothing: the list of its models.
//!
//! The one request that leaves without a hold, because nobody bills for it. It says whether the
//! endpoint answers and takes the key, and whether it knows the model; never what a request would do.

use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::time::Instant;
use tollgate_shared::provider::{Dialect, Registration};

use crate::upstream::{Failed, Upstream, dialect, root_cause};

/// What was seen of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// HTTP status; `None` where nothing answered.
    pub status: Option<u16>,
    /// How long the answer took, in milliseconds.
    pub latency_ms: u64,
    /// Whether its list has the model; `None` where there is no list to look into.
    pub lists_model: Option<bool>,
    /// A stable word for what went wrong, and what it was.
    pub error: Option<(String, String)>,
}

impl Upstream {
    /// Asks for the list of models, once.
    pub async fn probe(&self, provider: &Registration) -> Seen {
        let started = Instant::now();
        let seen = self.look(provider, started + PROBE_TIMEOUT).await;
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let failed =
            |failed: Failed| Seen { error: Some((failed.word, failed.detail)), ..Seen::default() };
        Seen { latency_ms, ..seen.unwrap_or_else(failed) }
    }

    async fn look(&self, provider: &Registration, deadline: Instant) -> Result<Seen, Failed> {
        let url = format!("{}{}", provider.endpoint.as_str(), models_path(provider));
        let mut request = self.client.get(url);
        if provider.dialect == Dialect::Anthropic {
            request = request.header("anthropic-version", dialect::ANTHROPIC_VERSION);
        }
        if let Some((name, value)) = key_of(provider)? {
            request = request.header(name, value);
        }
        let response = match tokio::time::timeout_at(deadline, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() || error.is_builder() => {
                return Err(Failed::not_sent("connect_failed", root_cause(&error)));
            }
            Ok(Err(error)) => return Err(super::broken(&error)),
            Err(_) => return Err(super::timed_out()),
        };
        let status = response.status().as_u16();
        let is_list = response.status().is_success();
        let body = Self::read(response, deadline).await?;
        if !is_list {
            let failed = super::rejected(status, &body);
            let error = Some((failed.word, failed.detail));
            return Ok(Seen { status: Some(status), error, ..Seen::default() });
        }
        let lists_model = serde_json::from_slice(&body).ok().map(|list| has(&list, provider));
        Ok(Seen { status: Some(status), lists_model, ..Seen::default() })
    }
}

/// Where the dialect lists its models; the endpoint's own version stands, where it has one.
fn models_path(provider: &Registration) -> &'static str {
    match (provider.endpoint.ends_in_version(), provider.dialect) {
        (true, _) => "/models",
        (false, Dialect::Openai | Dialect::Anthropic) => "/v1/models",
        (false, Dialect::Gemini) => "/v1beta/models",
    }
}

/// Whether a list of models has the provider's.
fn has(list: &serde_json::Value, provider: &Registration) -> bool {
    let model = provider.upstream_model.as_str();
    let rows = ["data", "models"].iter().filter_map(|field| list[field].as_array()).flatten();
    rows.filter_map(|row| row["id"].as_str().or_else(|| row["name"].as_str()))
        .any(|name| name == model || name.strip_prefix("models/") == Some(model))
}

/// The header with the provider's key, from the environment.
pub(super) fn key_of(
    provider: &Registration,
) -> Result<Option<(&'static str, HeaderValue)>, Failed> {
    let Some(variable) = &provider.api_key_env else { return Ok(None) };
    let no_key = |why: &str| {
        Failed::not_sent("no_key", format!("the environment variable `{variable}` {why}"))
    };
    let key = std::env::var(variable).map_err(|_| no_key("is not set"))?;
    let (name, value) = dialect::key_header(provider.dialect, &key);
    let mut value = HeaderValue::from_str(&value).map_err(|_| no_key("holds no header value"))?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

/// How long a list may take: who waits for it sits before a screen.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
