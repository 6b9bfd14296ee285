//! The form that registers a provider.
//!
//! Prices need a unit, secrets are names of environment variables, and the body is read back with
//! the very parser that the router uses, so what the form accepts the router accepts. A pasted
//! JSON object fills the form. Refuses to know keys and cells.

use serde_json::{Map, Value};
use tollgate_shared::body::Body;
use tollgate_shared::id::ProviderName;
use tollgate_shared::price::{PriceCard, StatedRates};
use tollgate_shared::provider::{Dialect, Endpoint, ProviderView, Registration};
use tui_input::Input;

use super::Sending;
use crate::amount::{self, Price};

/// One field of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Its name.
    Name,
    /// The model as callers ask for it.
    Model,
    /// Where it listens.
    Endpoint,
    /// The language it speaks.
    Dialect,
    /// The environment variable with its key.
    KeyEnv,
    /// Largest input and output together.
    Context,
    /// Price of input.
    PriceIn,
    /// Price of output.
    PriceOut,
    /// Its promise.
    Slo,
    /// What it can do.
    Features,
}

impl Field {
    /// In the order of Tab, which is the order on the screen.
    pub const ALL: [Self; 10] = [
        Self::Name,
        Self::Model,
        Self::Endpoint,
        Self::Dialect,
        Self::KeyEnv,
        Self::Context,
        Self::PriceIn,
        Self::PriceOut,
        Self::Slo,
        Self::Features,
    ];

    /// Its label, with a star where it must be filled.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Name => "name *",
            Self::Model => "model *",
            Self::Endpoint => "endpoint *",
            Self::Dialect => "dialect",
            Self::KeyEnv => "api_key_env",
            Self::Context => "context *",
            Self::PriceIn => "price in *",
            Self::PriceOut => "price out *",
            Self::Slo => "latency SLO",
            Self::Features => "features",
        }
    }

    /// What to type, shown while the field is empty or right.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Name => "such as my-gpt4",
            Self::Model => "as callers ask for it",
            Self::Endpoint => "http://localhost:8100",
            Self::Dialect => "openai anthropic gemini",
            Self::KeyEnv => "a variable's name, never a key",
            Self::Context => "tokens",
            Self::PriceIn | Self::PriceOut => "$2.50/M, 0.0000025, free",
            Self::Slo => "ms p95",
            Self::Features => "function_calling, vision",
        }
    }

    /// The field's name in the body of `POST /register`.
    const fn json(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Model => "model",
            Self::Endpoint => "endpoint",
            Self::Dialect => "dialect",
            Self::KeyEnv => "api_key_env",
            Self::Context => "context_window",
            Self::PriceIn => "cost_per_input_token",
            Self::PriceOut => "cost_per_output_token",
            Self::Slo => "slo",
            Self::Features => "features",
        }
    }
}

/// The form.
#[derive(Clone, Debug)]
pub struct RegisterForm {
    inputs: Vec<Input>,
    /// The field that keys go to.
    pub focus: usize,
    /// Whether Enter was pressed once: from then on every bad field says so.
    pub checked: bool,
    /// The version that is edited; a new provider has none.
    pub version: Option<u64>,
    /// Whom it edits: an edit keeps its name.
    edits: Option<ProviderName>,
    /// What the form has no field for, as it was pasted or registered; sent as it is.
    kept: Vec<(String, String)>,
    /// The parts of the promise that the form has no field for.
    slo: Map<String, Value>,
    /// Where the request is.
    pub sending: Sending,
}

impl Default for RegisterForm {
    fn default() -> Self {
        let mut form = Self {
            inputs: vec![Input::default(); Field::ALL.len()],
            focus: 0,
            checked: false,
            version: None,
            edits: None,
            kept: Vec::new(),
            slo: Map::new(),
            sending: Sending::Not,
        };
        form.set(Field::Dialect, "openai");
        form
    }
}

impl RegisterForm {
    /// A form for a provider as it is registered: a new price card under the same name.
    pub fn edit(view: &ProviderView) -> Self {
        let mut form = Self { version: Some(view.version), ..Self::default() };
        // A view says more than a registration takes, and its card in other words.
        let view_text = serde_json::to_string(view).unwrap_or_default();
        form.paste(&view_text);
        form.kept.retain(|(name, raw)| KEPT.contains(&name.as_str()) && raw != "null");
        form.kept.extend(pricing(view).map(|raw| ("pricing".to_owned(), raw)));
        form.edits = Some(view.name.clone());
        let (input, output) = (view.cost_per_input_token, view.cost_per_output_token);
        for (field, rate) in [(Field::PriceIn, input), (Field::PriceOut, output)] {
            let text = if view.free { "free".into() } else { rate.usd().to_string() };
            form.set(field, &text);
        }
        form.focus = Field::PriceIn as usize;
        form
    }

    /// The name, where it is one already.
    pub fn name(&self) -> Option<ProviderName> {
        self.text(Field::Name).parse().ok()
    }

    /// Types `text` into a field, in place of what it holds.
    pub fn set(&mut self, field: Field, text: &str) {
        if let Some(input) = self.inputs.get_mut(field as usize) {
            *input = text.to_owned().into();
        }
    }

    /// The input that keys go to.
    pub fn focused(&mut self) -> Option<&mut Input> {
        self.inputs.get_mut(self.focus)
    }

    /// What a field holds.
    pub fn input(&self, field: Field) -> Option<&Input> {
        self.inputs.get(field as usize)
    }

    /// What was typed, without the spaces around it.
    fn text(&self, field: Field) -> &str {
        self.input(field).map_or("", |input| input.value().trim())
    }

    /// What is wrong with a field; `None` when it is right.
    pub fn error(&self, field: Field) -> Option<String> {
        let text = self.text(field);
        let may_be_empty = matches!(field, Field::KeyEnv | Field::Slo | Field::Features);
        if text.is_empty() {
            return (!may_be_empty).then(|| "must be filled".into());
        }
        match field {
            Field::PriceIn | Field::PriceOut => amount::price(text).err(),
            Field::Endpoint => text.parse::<Endpoint>().err(),
            Field::Name => match (text.parse::<ProviderName>(), &self.edits) {
                (Err(error), _) => Some(error.rule.into()),
                (Ok(name), Some(edits)) if name != *edits => {
                    Some(format!("an edit keeps its name: {edits}"))
                }
                _ => None,
            },
            Field::Dialect => (!["openai", "anthropic", "gemini"].contains(&text))
                .then(|| "openai, anthropic or gemini".into()),
            Field::Context => digits(text).err(),
            Field::Slo => digits(text.trim_end_matches("ms").trim_end()).err(),
            Field::Model | Field::KeyEnv | Field::Features => None,
        }
    }

    /// The first field that must be mended.
    pub fn first_bad(&self) -> Option<usize> {
        Field::ALL.iter().position(|field| self.error(*field).is_some())
    }

    /// The canonical price of a field, for the screen: `= 0.00003 per token`.
    pub fn canonical(&self, field: Field) -> Option<String> {
        match amount::price(self.text(field)).ok()? {
            Price::Free => Some("= nothing, said aloud".into()),
            Price::PerToken(rate) => Some(format!("= {} per token", rate.usd())),
        }
    }

    /// The exact body that would be sent, checked by the router's own parser.
    pub fn body(&self) -> Result<String, String> {
        let mut parts = Vec::new();
        let mut free = false;
        for field in Field::ALL {
            let text = self.text(field);
            if text.is_empty() {
                continue;
            }
            let value = match field {
                Field::PriceIn | Field::PriceOut => match amount::price(text)? {
                    Price::Free => {
                        free = true;
                        continue;
                    }
                    Price::PerToken(rate) => rate.usd().to_string(),
                },
                Field::Context => digits(text)?.to_string(),
                Field::Slo => {
                    let ms = digits(text.trim_end_matches("ms").trim_end())?;
                    let mut slo = self.slo.clone();
                    slo.insert("latency_p95_ms".into(), ms.into());
                    Value::Object(slo).to_string()
                }
                Field::Features => Value::from(
                    text.split([',', ' ']).filter(|word| !word.is_empty()).collect::<Vec<_>>(),
                )
                .to_string(),
                _ => Value::from(text).to_string(),
            };
            parts.push(format!("\"{}\":{value}", field.json()));
        }
        parts.extend(self.kept.iter().map(|(name, raw)| format!("\"{name}\":{raw}")));
        if self.text(Field::Slo).is_empty() && !self.slo.is_empty() {
            parts.push(format!("\"slo\":{}", Value::Object(self.slo.clone())));
        }
        if free {
            parts.push("\"free\":true".into());
        }
        let body = format!("{{{}}}", parts.join(","));
        let read = Body::parse(body.as_bytes()).map_err(|error| error.to_string())?;
        Registration::from_body(read).map_err(|error| error.to_string())?;
        Ok(body)
    }

    /// Fills the form from a pasted JSON object; answers whether the text was one.
    pub fn paste(&mut self, text: &str) -> bool {
        let Ok(object) = serde_json::from_str::<Map<String, Value>>(text.trim()) else {
            return false;
        };
        // Prices keep the digits they were pasted with, so they are read without a float.
        let exact = Body::parse(text.trim().as_bytes()).ok();
        let raw = |name: &str| exact.as_ref()?.raw(name).map(|raw| raw.get().to_owned());
        for field in Field::ALL {
            let Some(value) = object.get(field.json()) else { continue };
            let text = match (field, value) {
                (_, Value::Null) => String::new(),
                (Field::Slo, value) => {
                    value.get("latency_p95_ms").map_or(String::new(), |ms| ms.to_string())
                }
                (Field::Features, Value::Array(words)) => {
                    words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
                }
                (_, Value::String(text)) => text.clone(),
                (_, other) => raw(field.json()).unwrap_or_else(|| other.to_string()),
            };
            self.set(field, &text);
        }
        // Nothing that was pasted is dropped: what the router does not take it refuses by name.
        let has_field = |name: &str| Field::ALL.iter().any(|field| field.json() == name);
        self.kept = object
            .keys()
            .filter(|name| !has_field(name) && name.as_str() != "free")
            .filter_map(|name| Some((name.clone(), raw(name)?)))
            .collect();
        self.slo = object.get("slo").and_then(Value::as_object).cloned().unwrap_or_default();
        self.slo.remove("latency_p95_ms");
        if object.get("free") == Some(&Value::Bool(true)) {
            self.set(Field::PriceIn, "free");
            self.set(Field::PriceOut, "free");
        }
        true
    }
}

/// What a card says beyond its two prices, as a registration says it: rates per million tokens, and
/// only those that differ from what would be inferred.
fn pricing(view: &ProviderView) -> Option<String> {
    let card = &view.pricing;
    let premium = view.dialect == Dialect::Anthropic;
    let plain = PriceCard::resolve(card.input, card.output, StatedRates::default(), premium);
    let rates: Map<String, Value> = [
        ("cache_read", card.cache_read, plain.cache_read),
        ("cache_write", card.cache_write, plain.cache_write),
        ("cache_write_1h", card.cache_write_1h, plain.cache_write_1h),
        ("reasoning", card.reasoning, plain.reasoning),
    ]
    .into_iter()
    .filter(|(_, rate, inferred)| rate != inferred)
    // Amounts are taken as text too, which keeps every digit.
    .map(|(name, rate, _)| (name.into(), rate.usd().times(1_000_000).to_string().into()))
    .collect();
    let mut pricing = Map::new();
    if !rates.is_empty() {
        pricing.insert("rates".into(), Value::Object(rates));
    }
    if card.request_fee != plain.request_fee {
        pricing.insert("request_fee_usd".into(), card.request_fee.to_string().into());
    }
    let habits = [
        (
            "bills_on_4xx",
            serde_json::to_value(card.bills_on_4xx),
            serde_json::to_value(plain.bills_on_4xx),
        ),
        (
            "bills_on_5xx",
            serde_json::to_value(card.bills_on_5xx),
            serde_json::to_value(plain.bills_on_5xx),
        ),
        (
            "bills_partial",
            serde_json::to_value(card.bills_partial),
            serde_json::to_value(plain.bills_partial),
        ),
    ];
    for (name, habit, usual) in habits {
        if let (Ok(habit), Ok(usual)) = (habit, usual)
            && habit != usual
        {
            pricing.insert(name.into(), habit);
        }
    }
    (!pricing.is_empty()).then(|| Value::Object(pricing).to_string())
}

/// What the router takes and the form has no field for.
const KEPT: [&str; 4] = ["upstream_model", "max_output_tokens", "limits", "on_disconnect"];

/// A whole number; separators that people type are passed over.
fn digits(text: &str) -> Result<u64, String> {
    let plain: String = text.chars().filter(|letter| !matches!(letter, ',' | '_')).collect();
    plain.parse().map_err(|_| "a whole number".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = r#"{"name":"my-gpt4","model":"gpt-4","context_window":8192,
        "cost_per_input_token":0.00003,"cost_per_output_token":0.00006,
        "endpoint":"http://localhost:8100","features":["function_calling","vision"],
        "slo":{"latency_p95_ms":2000}}"#;

    #[test]
    fn a_pasted_object_fills_the_form_and_comes_out_the_same() {
        let mut form = RegisterForm::default();
        assert!(!form.paste("no object"));
        assert!(form.paste(SEED));
        assert_eq!(form.first_bad(), None);
        assert_eq!(
            form.body().unwrap(),
            concat!(
                r#"{"name":"my-gpt4","model":"gpt-4","endpoint":"http://localhost:8100","#,
                r#""dialect":"openai","context_window":8192,"cost_per_input_token":0.00003,"#,
                r#""cost_per_output_token":0.00006,"slo":{"latency_p95_ms":2000},"#,
                r#""features":["function_calling","vision"]}"#
            )
        );
    }

    #[test]
    fn an_edit_changes_only_what_was_typed() {
        let body = r#"{"name":"rich","model":"m","context_window":8192,"max_output_tokens":100,
            "upstream_model":"m-1","cost_per_input_token":0.000003,"cost_per_output_token":0.000015,
            "endpoint":"http://localhost:8100","limits":{"requests_per_min":60},
            "slo":{"latency_p95_ms":2000,"availability":0.99},
            "pricing":{"rates":{"cache_read":0.3,"cache_write":3.75,"reasoning":40},
                "request_fee_usd":0.01,"bills_on_5xx":"never"}}"#;
        let read =
            |text: &str| Registration::from_body(Body::parse(text.as_bytes()).unwrap()).unwrap();
        let before = read(body);
        let mut view = crate::fixture::snapshot().providers.remove(0);
        view.name = before.name.clone();
        view.model = before.model.clone();
        view.upstream_model = before.upstream_model.clone();
        view.context_window = before.context_window;
        view.max_output_tokens = before.max_output_tokens;
        view.endpoint = before.endpoint.clone();
        view.dialect = before.dialect;
        view.features = before.features.clone();
        view.slo = before.slo;
        view.limits = before.limits;
        view.on_disconnect = before.on_disconnect;
        view.api_key_env = before.api_key_env.clone();
        view.free = false;
        (view.cost_per_input_token, view.cost_per_output_token) =
            (before.card.input, before.card.output);
        view.pricing = before.card.clone();
        let mut form = RegisterForm::edit(&view);
        assert_eq!(read(&form.body().unwrap()), before);
        form.set(Field::Name, "another");
        assert!(form.error(Field::Name).unwrap().contains("keeps its name"));
        // Pasted, the same body comes out as it went in; what the router does not know it refuses.
        let mut form = RegisterForm::default();
        assert!(form.paste(body));
        assert_eq!(read(&form.body().unwrap()), before);
        assert!(form.paste(&body.replace("upstream_model", "upstraem_model")));
        assert!(form.body().unwrap_err().contains("upstraem_model"));
    }

    #[test]
    fn bare_prices_are_refused_and_nothing_is_said_with_free() {
        let mut form = RegisterForm::default();
        form.paste(SEED);
        form.set(Field::PriceOut, "60");
        assert_eq!(form.error(Field::PriceOut).unwrap(), "unit? type 60/M or 0.00006");
        assert_eq!(form.first_bad(), Some(7));
        form.set(Field::PriceOut, "60/M");
        assert_eq!(form.canonical(Field::PriceOut).unwrap(), "= 0.00006 per token");
        assert!(form.body().unwrap().contains(r#""cost_per_output_token":0.00006"#));
        form.set(Field::PriceIn, "free");
        assert!(form.body().is_err(), "free beside a price");
        form.set(Field::PriceOut, "free");
        assert!(form.body().unwrap().ends_with(r#""free":true}"#));
    }
}
