//! One registered way to reach one model.
//!
//! A registration is what somebody asked for, read strictly; a provider is a registration that
//! was accepted, with its prices resolved. Refuses to know health, traffic and sockets: those are
//! facts that [`crate::select`] is given beside it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{Body, BodyError, invalid};
use crate::id::{ModelName, ProviderName};
use crate::money::Usd;
use crate::price::{BillsOn4xx, BillsOn5xx, BillsPartial, PriceCard, StatedRates, UsdPerToken};

mod endpoint;
mod view;

pub use endpoint::{ENDPOINT_LENGTH_MAX, Endpoint};
pub use view::{LastError, ManagedBy, ProviderStatus, ProviderView, Quality};

/// The language a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI chat completions, and the many that copy it.
    #[default]
    Openai,
    /// Anthropic messages.
    Anthropic,
    /// Gemini `generateContent`.
    Gemini,
}

/// What a provider promises to keep. Empty promises are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// 95 of 100 answers come within this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p95_ms: Option<u32>,
    /// Output tokens per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<f64>,
    /// Share of requests that are answered, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<f64>,
}

/// How much traffic a provider takes. Absent means unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Attempts started in any 60 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_min: Option<u32>,
    /// Tokens settled in any 60 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_min: Option<u64>,
    /// Attempts at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// What becomes of a stream whose client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// It is read on for its bill, which is then exact.
    #[default]
    Drain,
    /// It is cut, which saves what it would have made; its bill is an estimate.
    Cancel,
}

/// A registration that was accepted: valid in itself, with every price resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// Its name, unique among providers.
    pub name: ProviderName,
    /// The model as callers ask for it.
    pub model: ModelName,
    /// The model as the provider knows it; the same unless stated.
    pub upstream_model: ModelName,
    /// Largest input and output together, in tokens.
    pub context_window: u64,
    /// Longest answer the model gives, in tokens; where unknown it is derived from the window.
    pub max_output_tokens: Option<u64>,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The language it speaks.
    pub dialect: Dialect,
    /// What it can do, in its registrar's words.
    pub features: Vec<String>,
    /// What it promises.
    pub slo: Option<Slo>,
    /// How much it takes.
    pub limits: Limits,
    /// What becomes of a stream whose client has left.
    #[serde(default)]
    pub on_disconnect: OnDisconnect,
    /// Whether its bills have stayed within what was held; a larger one takes the mark away until
    /// it is registered anew.
    #[serde(default = "yes")]
    pub bounded: bool,
    /// The environment variable that holds its key; never the key.
    pub api_key_env: Option<String>,
    /// Said aloud: it costs nothing.
    pub free: bool,
    /// What it costs.
    pub card: PriceCard,
}

/// Why a registration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// A field is wrong, missing, unknown or there twice.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// No price, and nobody said that it is free.
    #[error("a provider needs `{0}`; only `free: true` means that it costs nothing")]
    MissingPrice(&'static str),
    /// Free, and yet with a price.
    #[error("`free: true` and a price above zero contradict each other")]
    FreeWithPrice,
}

impl Registration {
    /// Reads the body of `POST /register`.
    pub fn from_body(mut body: Body) -> Result<Self, RegistrationError> {
        let name = required(&mut body, "name")?;
        let model: ModelName = required(&mut body, "model")?;
        let upstream_model = body.take_parsed("upstream_model")?.unwrap_or_else(|| model.clone());
        let context_window = positive(body.require("context_window")?, "context_window")?;
        let max_output_tokens = body
            .take("max_output_tokens")?
            .map(|count| positive(count, "max_output_tokens"))
            .transpose()?;
        let endpoint = required(&mut body, "endpoint")?;
        let dialect = body.take("dialect")?.unwrap_or_default();
        let features = features(&mut body)?;
        let slo = body.take("slo")?.map(checked_slo).transpose()?;
        let limits = body.take("limits")?.unwrap_or_default();
        let on_disconnect = body.take("on_disconnect")?.unwrap_or_default();
        let api_key_env = body.take::<String>("api_key_env")?.map(env_name).transpose()?;
        let free = body.take("free")?.unwrap_or(false);
        let card = card(&mut body, dialect, free)?;
        body.finish()?;
        Ok(Self {
            name,
            model,
            upstream_model,
            context_window,
            max_output_tokens,
            endpoint,
            dialect,
            features,
            slo,
            limits,
            on_disconnect,
            bounded: true,
            api_key_env,
            free,
            card,
        })
    }

    /// The longest answer to expect beside `input_bound` tokens of input: what was registered,
    /// else what the window leaves, and at least a quarter of the window.
    pub fn output_at_most(&self, input_bound: u64) -> u64 {
        self.max_output_tokens.unwrap_or_else(|| {
            let left = self.context_window.saturating_sub(input_bound);
            left.max(self.context_window / 4).max(1)
        })
    }
}

/// What a request needs of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// Exactly this model.
    pub model: ModelName,
    /// At least this window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// All of these.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub features: Vec<String>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn required<T>(body: &mut Body, field: &'static str) -> Result<T, BodyError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    body.take_parsed(field)?.ok_or(BodyError::Missing(field))
}

fn positive(count: u64, field: &'static str) -> Result<u64, BodyError> {
    if count == 0 || count > WINDOW_MAX {
        return Err(invalid(field, format_args!("`{count}` is not from 1 to {WINDOW_MAX}")));
    }
    Ok(count)
}

fn features(body: &mut Body) -> Result<Vec<String>, BodyError> {
    let mut features: Vec<String> = body.take("features")?.unwrap_or_default();
    let fits = |text: &String| {
        !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if features.len() > FEATURES_MAX {
        return Err(invalid("features", format_args!("more than {FEATURES_MAX}")));
    }
    if let Some(feature) = features.iter().find(|feature| !fits(feature)) {
        return Err(invalid("features", format_args!("`{}`", feature.escape_debug())));
    }
    features.sort_unstable();
    features.dedup();
    Ok(features)
}

/// What is not said of an older registration: nobody had broken their word.
const fn yes() -> bool {
    true
}

fn checked_slo(slo: Slo) -> Result<Slo, BodyError> {
    if slo.latency_p95_ms == Some(0) {
        return Err(invalid("slo", "`latency_p95_ms` is 0"));
    }
    if slo.throughput.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
        return Err(invalid("slo", "`throughput` is not above 0"));
    }
    if slo.availability.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        return Err(invalid("slo", "`availability` is not from 0 to 1"));
    }
    Ok(slo)
}

fn env_name(name: String) -> Result<String, BodyError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if !plain || name.len() > 128 {
        let shown: String = name.chars().take(8).flat_map(char::escape_debug).collect();
        return Err(invalid(
            "api_key_env",
            format_args!("`{shown}…` names no environment variable"),
        ));
    }
    Ok(name)
}

fn card(body: &mut Body, dialect: Dialect, free: bool) -> Result<PriceCard, RegistrationError> {
    let mut pricing: Body = body.take("pricing")?.unwrap_or_default();
    let mut rates: Body = pricing.take("rates")?.unwrap_or_default();
    let input = base_rate(body, &mut rates, "cost_per_input_token", "input")?;
    let output = base_rate(body, &mut rates, "cost_per_output_token", "output")?;
    let (input, output) = match (input, output) {
        (Some(input), Some(output)) => (input, output),
        (input, output) if free => (input.unwrap_or_default(), output.unwrap_or_default()),
        (None, _) => return Err(RegistrationError::MissingPrice("cost_per_input_token")),
        (_, None) => return Err(RegistrationError::MissingPrice("cost_per_output_token")),
    };
    let stated = StatedRates {
        cache_read: per_million(&mut rates, "cache_read")?,
        cache_write: per_million(&mut rates, "cache_write")?,
        cache_write_1h: per_million(&mut rates, "cache_write_1h")?,
        reasoning: per_million(&mut rates, "reasoning")?,
    };
    rates.finish()?;
    let mut card = PriceCard::resolve(input, output, stated, dialect == Dialect::Anthropic);
    let fee: Option<Usd> = pricing.take("request_fee_usd")?;
    card.request_fee =
        fee.map(|fee| non_negative(fee, "request_fee_usd")).transpose()?.unwrap_or_default();
    card.bills_on_4xx = pricing.take::<BillsOn4xx>("bills_on_4xx")?.unwrap_or_default();
    card.bills_on_5xx = pricing.take::<BillsOn5xx>("bills_on_5xx")?.unwrap_or_default();
    card.bills_partial = pricing.take::<BillsPartial>("bills_partial")?.unwrap_or_default();
    pricing.finish()?;
    match (free, card.is_free()) {
        (true, false) => Err(RegistrationError::FreeWithPrice),
        (false, true) => Err(RegistrationError::MissingPrice("a price above zero")),
        _ => Ok(card),
    }
}

/// A base rate by its short name, per token, or in the card, per million; both must not disagree.
fn base_rate(
    body: &mut Body,
    rates: &mut Body,
    short: &'static str,
    long: &'static str,
) -> Result<Option<UsdPerToken>, BodyError> {
    let per_token = body
        .take::<Usd>(short)?
        .map(|amount| UsdPerToken::new(amount).map_err(|error| invalid(short, error)))
        .transpose()?;
    let listed = per_million(rates, long)?;
    match (per_token, listed) {
        (Some(one), Some(other)) if one != other => {
            Err(invalid(short, format_args!("it differs from `pricing.rates.{long}`")))
        }
        (one, other) => Ok(one.or(other)),
    }
}

fn per_million(rates: &mut Body, field: &str) -> Result<Option<UsdPerToken>, BodyError> {
    rates
        .take::<Usd>(field)?
        .map(|amount| UsdPerToken::per_million(amount).map_err(|error| invalid(field, error)))
        .transpose()
}

fn non_negative(amount: Usd, field: &str) -> Result<Usd, BodyError> {
    if amount.is_negative() {
        return Err(invalid(field, format_args!("`{amount}` is negative")));
    }
    Ok(amount)
}

/// Largest context window, in tokens. A hundred times the largest of 2026.
pub const WINDOW_MAX: u64 = 1_000_000_000;

/// Most features of one provider; a list, not a database.
pub const FEATURES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Registration, RegistrationError> {
        Registration::from_body(Body::parse(text.as_bytes()).unwrap())
    }

    fn seed_with(extra: &str) -> String {
        format!(
            r#"{{"name":"my-gpt4","model":"gpt-4","context_window":8192,"endpoint":"http://localhost:8100"{extra}}}"#
        )
    }

    const PRICES: &str = r#","cost_per_input_token":0.00003,"cost_per_output_token":0.00006"#;

    #[test]
    fn the_seed_registration_is_read_as_it_stands() {
        let seed = seed_with(
            r#","cost_per_input_token":0.00003,"cost_per_output_token":0.00006,
            "features":["function_calling","vision"],"slo":{"latency_p95_ms":2000}"#,
        );
        let provider = read(&seed).unwrap();
        assert_eq!(provider.card.input.usd().to_string(), "0.00003");
        assert_eq!(provider.slo.unwrap().latency_p95_ms, Some(2000));
        assert_eq!(provider.dialect, Dialect::Openai);
        let bare = read(&seed_with(&format!(r#"{PRICES},"features":null"#))).unwrap();
        assert!(bare.features.is_empty() && bare.slo.is_none());
        let slo = read(&seed_with(&format!(
            r#"{PRICES},"slo":{{"latency_p95_ms":900,"throughput":50.5,"availability":0.999}}"#
        )));
        assert!(slo.is_ok());
    }

    #[test]
    fn bad_registrations_are_refused_by_field() {
        let rows = [
            (r#","cost_per_input_token":-0.1,"cost_per_output_token":1"#, "cost_per_input_token"),
            (r#","cost_per_input_token":1e400,"cost_per_output_token":1"#, "cost_per_input_token"),
            (r#","cost_per_input_token":2.5e3,"cost_per_output_token":1"#, "per million"),
            (r#","cost_per_input_token":0.00003"#, "cost_per_output_token"),
            (r#","cost_per_input_token":0,"cost_per_output_token":0"#, "free"),
            (r#","free":true,"cost_per_input_token":0.1"#, "contradict"),
            (r#","free":true,"colour":"red""#, "`colour`"),
            (r#","free":true,"features":["a b"]"#, "features"),
            (r#","free":true,"api_key_env":"sk-live-123""#, "api_key_env"),
            (r#","free":true,"slo":{"availability":1.5}"#, "availability"),
            (r#","free":true,"slo":{"p95":1}"#, "slo"),
            (r#","free":true,"dialect":"klingon""#, "dialect"),
            (r#","free":true,"max_output_tokens":0"#, "max_output_tokens"),
        ];
        for (extra, named) in rows {
            let error = read(&seed_with(extra)).unwrap_err().to_string();
            assert!(error.contains(named), "{extra}: {error}");
        }
    }

    #[test]
    fn prices_per_million_are_the_same_card() {
        let short = read(&seed_with(PRICES)).unwrap();
        let long =
            read(&seed_with(r#","pricing":{"rates":{"input":"30","output":"60"}}"#)).unwrap();
        assert_eq!(short.card.id(), long.card.id());
        let clash = seed_with(&format!(r#"{PRICES},"pricing":{{"rates":{{"input":"31"}}}}"#));
        assert!(read(&clash).unwrap_err().to_string().contains("differs"));
    }
}
