//! What a payload says about its cost, read once, before anything is held.
//!
//! Caps, choices and the size of the input, for the bound that a hold is made of. Refuses to know
//! prices and providers. The one idea: a field that could cost more than we would hold is either
//! read here or refused here; a second spelling of a metered field never slips through.

mod growth;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tollgate_shared::body::{Body, BodyError, invalid};

/// What matters for metering.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Shape {
    /// The smallest of the output caps that the caller states.
    pub stated_cap: Option<u64>,
    /// How many answers are asked for, each of them billed up to the cap.
    pub choices: u64,
    /// Whether the caller wants a stream.
    pub stream: bool,
    /// Whether the caller wants the stream's last chunk to tell the usage.
    pub include_usage: bool,
    /// A field that makes any bound impossible, such as `web_search_options`: refused as
    /// `unbounded_request` where a budget applies.
    pub unbounded: Option<String>,
    input: Input,
}

/// The parts of the input bound that do not depend on the body's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Input {
    messages: u64,
    tools: u64,
    /// Pictures, inline or at an address.
    images: u64,
    /// Bytes of pictures sent inline: counted as images, not as text.
    image_bytes: u64,
    /// Bytes that the text can gain before it is counted.
    growth: u64,
    /// Some of the input is not in the body, as behind a file id.
    is_hidden: bool,
}

impl Shape {
    /// Reads a payload; errors name `payload.<field>`.
    pub fn of(payload: &Body) -> Result<Self, BodyError> {
        for name in STEERING {
            if payload.raw(name).is_some() {
                return Err(refused(name, "a caller cannot choose where or at what price"));
            }
        }
        let mut shape = Self {
            stated_cap: smallest(payload, &CAPS)?,
            choices: largest_choice(payload)?,
            stream: read(payload, "stream")?.unwrap_or(false),
            ..Self::default()
        };
        if let Some(mut options) = object(payload, "stream_options")? {
            shape.include_usage = options
                .take("include_usage")
                .map_err(|_| refused("stream_options.include_usage", "it is not true or false"))?
                .unwrap_or(false);
        }
        let unbounded =
            payload.names().find(|name| !BOUNDED.contains(name) && is_set(payload.raw(name)));
        shape.unbounded = unbounded.map(str::to_owned);
        shape.read_tier(payload)?;
        shape.read_tools(payload)?;
        shape.read_messages(payload)?;
        let texts = TEXTS.into_iter().filter_map(|name| payload.raw(name));
        shape.input.growth = texts.map(|text| growth::growth(text.get())).sum();
        Ok(shape)
    }

    /// Most input tokens that a provider can count for a payload of this many bytes, saturating;
    /// `u64::MAX`, so that the window decides, where some input is out of sight.
    ///
    /// A token covers at least a byte, of the text or of what normalising makes of it. The
    /// provider's template adds 16 a message and 32, 32 a tool, and 1,000 where there are tools at
    /// all (a hidden prompt); a picture counts [`IMAGE_TOKENS`] instead of its bytes.
    pub fn input_bound(&self, body_bytes: u64) -> u64 {
        let Input { messages, tools, images, image_bytes, growth, is_hidden } = self.input;
        if is_hidden {
            return u64::MAX;
        }
        let hidden_prompt = if tools > 0 { TOOL_PROMPT_TOKENS } else { 0 };
        [
            body_bytes.saturating_sub(image_bytes),
            growth,
            messages.saturating_mul(MESSAGE_TOKENS),
            tools.saturating_mul(TOOL_TOKENS),
            images.saturating_mul(IMAGE_TOKENS),
            hidden_prompt,
            PRIMING_TOKENS,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// The tiers that cost what the card says; a dearer one would break the bound.
    fn read_tier(&mut self, payload: &Body) -> Result<(), BodyError> {
        let tier: Option<String> = read(payload, "service_tier")?;
        if tier.is_some_and(|tier| !matches!(tier.as_str(), "auto" | "default")) {
            self.unbounded.get_or_insert_with(|| "service_tier".to_owned());
        }
        Ok(())
    }

    /// Counts the tools and finds those that the provider would run itself.
    fn read_tools(&mut self, payload: &Body) -> Result<(), BodyError> {
        for (index, text) in list(payload, "tools")?.iter().enumerate() {
            let field = format!("tools[{index}]");
            let mut tool = nested(&field, text)?;
            let kind: Option<String> = tool.take("type").map_err(|e| at(&field, &e))?;
            // Anything else runs at the provider and feeds its findings back as input.
            if !matches!(kind.as_deref(), Some("function" | "custom")) {
                self.unbounded.get_or_insert(field);
            }
            self.input.tools += 1;
        }
        self.input.tools += list(payload, "functions")?.len() as u64;
        Ok(())
    }

    /// Counts the messages and looks into those that may hold more than text.
    fn read_messages(&mut self, payload: &Body) -> Result<(), BodyError> {
        let messages = list(payload, "messages")?;
        self.input.messages = messages.len() as u64;
        for (index, text) in messages.iter().enumerate() {
            let field = format!("messages[{index}]");
            if is_text_alone(text.get()) {
                continue;
            }
            let mut message = nested(&field, text)?;
            // An earlier spoken answer, kept at the provider under this id.
            if is_set(message.raw("audio")) {
                self.input.is_hidden = true;
            }
            let Some(content) = message.remove("content") else { continue };
            if !content.get().starts_with('[') {
                continue;
            }
            let field = format!("{field}.content");
            let parts: Vec<Box<RawValue>> = decode(&field, content.get())?;
            for (index, part) in parts.iter().enumerate() {
                self.read_part(&format!("{field}[{index}]"), part)?;
            }
        }
        Ok(())
    }

    /// Counts what is no text.
    fn read_part(&mut self, field: &str, part: &RawValue) -> Result<(), BodyError> {
        let mut part = nested(field, part)?;
        let kind: Option<String> = part.take("type").map_err(|e| at(field, &e))?;
        match kind.as_deref() {
            Some("text" | "refusal") => {}
            Some("image_url") => {
                self.input.images += 1;
                let image = part.raw("image_url").map_or("", RawValue::get);
                self.input.image_bytes += inline_bytes(&format!("{field}.image_url"), image)?;
            }
            // Sound has a rate of its own, which no price card states yet.
            Some("input_audio") => {
                self.unbounded.get_or_insert_with(|| format!("{field}: input_audio"));
            }
            // Documents and whatever comes next: nothing shorter than the window is sure.
            _ => self.input.is_hidden = true,
        }
        Ok(())
    }
}

/// [`Shape::input_bound`] of a payload that may not even be readable; the window decides then.
pub fn input_bound(payload: &Body, body_bytes: u64) -> u64 {
    Shape::of(payload).map_or(u64::MAX, |shape| shape.input_bound(body_bytes))
}

/// Whether a message can only be plain text, which nearly every one is: a scan spares parsing it.
/// Parts come in brackets; an escaped name could hide a field.
fn is_text_alone(text: &str) -> bool {
    text.starts_with('{')
        && !text.contains('[')
        && !text.contains("\"audio\"")
        && !text.contains("\\u")
}

/// How many bytes of a picture stand in the body itself.
fn inline_bytes(field: &str, text: &str) -> Result<u64, BodyError> {
    #[derive(Deserialize)]
    struct Image<'a> {
        #[serde(borrow)]
        url: Cow<'a, str>,
    }
    let image: Image<'_> = decode(field, text)?;
    Ok(if image.url.starts_with("data:image/") { image.url.len() as u64 } else { 0 })
}

/// The smallest of the caps that are stated: a provider reads one of them, and which is its own
/// business.
fn smallest(payload: &Body, names: &[&str]) -> Result<Option<u64>, BodyError> {
    let mut smallest: Option<u64> = None;
    for name in names {
        let Some(cap) = read::<u64>(payload, name)? else { continue };
        if cap == 0 {
            return Err(refused(name, "`0` is not above 0"));
        }
        smallest = Some(smallest.map_or(cap, |other| other.min(cap)));
    }
    Ok(smallest)
}

/// The largest number of answers that some spelling asks for.
fn largest_choice(payload: &Body) -> Result<u64, BodyError> {
    let mut largest = 1;
    for name in ["n", "best_of"] {
        let Some(choices) = read::<u64>(payload, name)? else { continue };
        if choices == 0 || choices > CHOICES_MAX {
            let reason = format!("`{choices}` is not from 1 to {CHOICES_MAX}");
            return Err(refused(name, &reason));
        }
        largest = choices.max(largest);
    }
    Ok(largest)
}

fn read<T: DeserializeOwned>(payload: &Body, name: &str) -> Result<Option<T>, BodyError> {
    payload.read(name).map_err(|error| at("", &error))
}

fn object(payload: &Body, name: &str) -> Result<Option<Body>, BodyError> {
    match payload.raw(name) {
        Some(raw) if is_set(Some(raw)) => nested(name, raw).map(Some),
        _ => Ok(None),
    }
}

fn list(payload: &Body, name: &str) -> Result<Vec<Box<RawValue>>, BodyError> {
    Ok(read(payload, name)?.unwrap_or_default())
}

/// An object within the payload, in which as at its top no field may stand twice.
fn nested(field: &str, raw: &RawValue) -> Result<Body, BodyError> {
    Body::parse(raw.get().as_bytes()).map_err(|error| match error {
        BodyError::NotAnObject(_) => refused(field, "it is not an object"),
        other => at(field, &other),
    })
}

fn decode<'a, T: Deserialize<'a>>(field: &str, text: &'a str) -> Result<T, BodyError> {
    serde_json::from_str(text).map_err(|_| refused(field, "it cannot be read"))
}

/// Whether a field says anything: neither absent nor null.
fn is_set(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get() != "null")
}

/// The error of a field, with its place within the payload.
fn at(field: &str, error: &BodyError) -> BodyError {
    let dot = if field.is_empty() { "" } else { "." };
    match error {
        BodyError::Duplicate(name) => BodyError::Duplicate(format!("payload.{field}{dot}{name}")),
        BodyError::Invalid { field: name, reason } => BodyError::Invalid {
            field: format!("payload.{field}{dot}{name}"),
            reason: reason.clone(),
        },
        other => other.clone(),
    }
}

fn refused(field: &str, reason: &str) -> BodyError {
    invalid(&format!("payload.{field}"), reason)
}

/// Every spelling of the output cap that some provider of the OpenAI dialect reads.
pub(super) const CAPS: [&str; 4] =
    ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"];

/// Fields by which other gateways let a caller steer the request; a provider might obey as well.
const STEERING: [&str; 8] = [
    "api_base",
    "base_url",
    "api_key",
    "extra_headers",
    "extra_body",
    "input_cost_per_token",
    "output_cost_per_token",
    "custom_llm_provider",
];

/// Fields that are read here, or that cannot change what is billed. Any other may carry a fee, name
/// another model or fetch input from elsewhere (`plugins`, `search_parameters`, `prediction`, a
/// metered name in other case), so it has no bound.
const BOUNDED: [&str; 38] = [
    "messages",
    "model",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "maxOutputTokens",
    "n",
    "best_of",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "user",
    "seed",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "reasoning_effort",
    "verbosity",
    "metadata",
    "store",
    "service_tier",
    "prompt_cache_key",
    "safety_identifier",
    "modalities",
    "thinking",
];

/// Fields whose text a model reads.
const TEXTS: [&str; 4] = ["messages", "tools", "functions", "response_format"];

/// Most answers to one request; OpenAI's own limit.
pub const CHOICES_MAX: u64 = 128;

/// Tokens of one picture at most, whichever provider looks at it.
pub const IMAGE_TOKENS: u64 = 50_000;

/// Tokens that a template puts around one message at most.
const MESSAGE_TOKENS: u64 = 16;

/// Tokens that a template puts around one tool at most.
const TOOL_TOKENS: u64 = 32;

/// Tokens of the hidden prompt that some providers add where there are tools.
const TOOL_PROMPT_TOKENS: u64 = 1_000;

/// Tokens that a template puts around the whole at most.
const PRIMING_TOKENS: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(fields: &str) -> Result<Shape, BodyError> {
        let text = format!(r#"{{"messages":[]{fields}}}"#);
        Shape::of(&Body::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn caps_and_choices_are_read_in_every_spelling() {
        let rows = [
            ("", None, 1),
            (r#","max_tokens":null"#, None, 1),
            (r#","max_tokens":100"#, Some(100), 1),
            (r#","max_completion_tokens":7"#, Some(7), 1),
            (r#","max_tokens":100,"max_completion_tokens":7"#, Some(7), 1),
            (r#","max_output_tokens":9,"maxOutputTokens":8,"n":3"#, Some(8), 3),
            (r#","n":2,"best_of":5"#, None, 5),
            (r#","n":128,"max_tokens":4294967297"#, Some(4_294_967_297), 128),
        ];
        for (fields, cap, choices) in rows {
            let shape = shape(fields).unwrap();
            assert_eq!((shape.stated_cap, shape.choices), (cap, choices), "{fields}");
        }
    }

    #[test]
    fn a_stream_and_its_usage_are_asked_for_apart() {
        let rows = [
            ("", false, false),
            (r#","stream":true"#, true, false),
            (r#","stream":true,"stream_options":null"#, true, false),
            (r#","stream":true,"stream_options":{"include_usage":true}"#, true, true),
            (r#","stream":true,"stream_options":{"include_usage":false}"#, true, false),
        ];
        for (fields, stream, include_usage) in rows {
            let shape = shape(fields).unwrap();
            assert_eq!((shape.stream, shape.include_usage), (stream, include_usage), "{fields}");
        }
    }

    #[test]
    fn bad_fields_are_named() {
        let rows = [
            (r#","max_tokens":0"#, "payload.max_tokens"),
            (r#","max_tokens":-1"#, "payload.max_tokens"),
            (r#","max_tokens":"100""#, "payload.max_tokens"),
            (r#","max_tokens":1e3"#, "payload.max_tokens"),
            (r#","max_tokens":1.5"#, "payload.max_tokens"),
            (r#","max_tokens":1e400"#, "payload.max_tokens"),
            (r#","max_completion_tokens":99999999999999999999"#, "payload.max_completion_tokens"),
            (r#","n":0"#, "payload.n"),
            (r#","n":129"#, "payload.n"),
            (r#","n":true"#, "payload.n"),
            (r#","best_of":1000"#, "payload.best_of"),
            (r#","stream":1"#, "payload.stream"),
            (r#","stream_options":[]"#, "payload.stream_options"),
            (
                r#","stream_options":{"include_usage":"yes"}"#,
                "payload.stream_options.include_usage",
            ),
            (
                r#","stream_options":{"include_usage":true,"include_usage":false}"#,
                "payload.stream_options.include_usage",
            ),
            (r#","tools":{}"#, "payload.tools"),
            (r#","tools":[7]"#, "payload.tools[0]"),
            (r#","tools":[{"type":"function","type":"web_search"}]"#, "payload.tools[0].type"),
            (r#","api_base":"http://evil""#, "payload.api_base"),
            (r#","api_key":"sk""#, "payload.api_key"),
            (r#","output_cost_per_token":0"#, "payload.output_cost_per_token"),
            (r#","service_tier":7"#, "payload.service_tier"),
        ];
        for (fields, named) in rows {
            let error = shape(fields).unwrap_err().to_string();
            assert!(error.contains(&format!("`{named}`")), "{fields}: {error}");
        }
    }

    #[test]
    fn fields_without_a_bound_are_found() {
        let rows = [
            ("", None),
            (r#","web_search_options":null,"prediction":null"#, None),
            (r#","web_search_options":{}"#, Some("web_search_options")),
            (r#","prediction":{"type":"content","content":"x"}"#, Some("prediction")),
            (r#","audio":{"voice":"x"}"#, Some("audio")),
            (r#","service_tier":"default""#, None),
            (r#","service_tier":"priority""#, Some("service_tier")),
            (r#","tools":[{"type":"function","function":{}},{"type":"custom"}]"#, None),
            (r#","tools":[{"type":"function"},{"type":"web_search"}]"#, Some("tools[1]")),
            (r#","tools":[{}]"#, Some("tools[0]")),
        ];
        for (fields, unbounded) in rows {
            assert_eq!(shape(fields).unwrap().unbounded.as_deref(), unbounded, "{fields}");
        }
    }

    #[test]
    fn the_input_is_bounded_by_bytes_templates_and_pictures() {
        let picture = "A".repeat(100_000);
        let inline = format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}"}}}}]}}]}}"#
        );
        let rows: [(&str, u64); 8] = [
            (r#"{"messages":[]}"#, 1_032),
            (r#"{"messages":[{"role":"user","content":"x"}]}"#, 1_048),
            (r#"{"messages":[{"content":"[x]"},{"content":"y"}]}"#, 1_064),
            (r#"{"messages":[],"tools":[{"type":"function"}]}"#, 2_064),
            (r#"{"messages":[],"functions":[{},{}]}"#, 2_096),
            (
                r#"{"messages":[{"content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"http://h/x"}}]}]}"#,
                51_048,
            ),
            (r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}"#, u64::MAX),
            (r#"{"messages":[{"role":"assistant","audio":{"id":"a"}}]}"#, u64::MAX),
        ];
        for (text, bound) in rows {
            let payload = Body::parse(text.as_bytes()).unwrap();
            assert_eq!(input_bound(&payload, 1_000), bound, "{text}");
        }
        let growing = "{\"messages\":[{\"content\":\"\u{fdfa}\"}]}";
        assert_eq!(input_bound(&Body::parse(growing.as_bytes()).unwrap(), 1_000), 1_078);
        let payload = Body::parse(inline.as_bytes()).unwrap();
        assert!(input_bound(&payload, inline.len() as u64) < 50_300);
        assert_eq!(Shape::default().input_bound(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_field_cannot_hide_in_a_message() {
        let rows = [
            r#"{"messages":[7]}"#,
            r#"{"messages":["[x]"]}"#,
            r#"{"messages":[{"content":"[","content":[]}]}"#,
            r#"{"messages":[{"content":[{"type":"text","type":"file"}]}]}"#,
            r#"{"messages":[{"content":[7]}]}"#,
            r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"a","url":"b"}}]}]}"#,
        ];
        for text in rows {
            let payload = Body::parse(text.as_bytes()).unwrap();
            assert!(Shape::of(&payload).is_err(), "{text}");
            assert_eq!(input_bound(&payload, 1), u64::MAX, "{text}");
        }
        let escaped = r#"{"messages":[{"role":"assistant","aud\u0069o":{"id":"a"}}]}"#;
        let payload = Body::parse(escaped.as_bytes()).unwrap();
        assert_eq!(input_bound(&payload, 1), u64::MAX);
    }
}
