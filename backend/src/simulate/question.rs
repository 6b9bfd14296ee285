//! A request as a simulated provider understands it.
//!
//! Reads the three dialects by itself, not with the gateway's translation, and counts tokens by a
//! rule anybody can do in their head. Refuses to know faults. The one idea: input is a quarter of
//! the text's bytes and three a message, and never more than the bytes of the whole request.
//!
//! | text | in | out |
//! |---|---|---|
//! | one message `Hello!`, 6 bytes | 2 + 3 = 5 | 16 + 6 = 22 |
//! | one message `[out:7]`, 7 bytes | 2 + 3 = 5 | 7 |
//! | the same with a cap of 4 | 5 | 4, and it says that it was cut short |

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_shared::provider::Dialect;

use super::fault::marker;

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Question {
    /// The model as it was named.
    pub model: String,
    /// Whether a stream is wanted.
    pub stream: bool,
    /// Whether the stream shall tell its usage, where the dialect lets one choose.
    pub include_usage: bool,
    /// The cap on output.
    pub cap: Option<u64>,
    /// How many answers are wanted.
    pub choices: u64,
    /// What is billed for the input.
    pub input_tokens: u64,
    /// The output there would be without a cap, for each answer.
    pub output_tokens: u64,
    /// Text of the last message from the user, where wishes stand.
    pub last_user: String,
}

/// The path's part of a Gemini request: the model, and whether a stream is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub model: &'a str,
    pub stream: bool,
}

impl Question {
    /// Reads a body; `target` is what a Gemini path says.
    pub fn read(dialect: Dialect, target: Option<Target<'_>>, body: &[u8]) -> Result<Self, String> {
        let read = match dialect {
            Dialect::Openai => openai(body),
            Dialect::Anthropic => anthropic(body),
            Dialect::Gemini => gemini(body, target),
        };
        let (mut question, heard) = read.map_err(|error| error.to_string())?;
        // What a real provider refuses is refused, so that the gateway's own check is not trusted.
        if question.choices == 0 || question.choices > CHOICES_MAX {
            return Err(format!("`n` is not from 1 to {CHOICES_MAX}"));
        }
        question.input_tokens =
            (heard.bytes.div_ceil(4) + 3 * heard.messages).min(body.len() as u64);
        question.output_tokens = match marker(&heard.last_user, "[out:") {
            Some(count) => {
                count.parse().map_err(|_| format!("`[out:{count}]` has no whole number"))?
            }
            None => 16 + heard.bytes % 48,
        };
        if question.output_tokens > OUTPUT_MAX {
            return Err(format!("more than {OUTPUT_MAX} tokens of output"));
        }
        question.last_user = heard.last_user;
        Ok(question)
    }

    /// The output of one answer: never above the cap.
    pub fn said_tokens(&self) -> u64 {
        self.cap.map_or(self.output_tokens, |cap| self.output_tokens.min(cap))
    }

    /// Whether the cap cuts the answer short.
    pub fn is_capped(&self) -> bool {
        self.cap.is_some_and(|cap| self.output_tokens > cap)
    }
}

/// What was counted while listening.
#[derive(Default)]
struct Heard {
    /// The system's counts as one, wherever the dialect puts it.
    messages: u64,
    /// Of text, after JSON's escapes were read.
    bytes: u64,
    /// Wishes stand in the newest message only: a conversation must not repeat them.
    last_user: String,
}

impl Heard {
    /// Counts one message.
    fn message(&mut self, role: &str, content: Option<&RawValue>) {
        let mut text = String::new();
        if let Some(content) = content {
            texts(content, &mut text);
        }
        self.messages += 1;
        self.bytes += text.len() as u64;
        if role == "user" {
            self.last_user = text;
        }
    }
}

/// Adds all text of a content: a string, or parts with a text or with a content of their own.
fn texts(content: &RawValue, text: &mut String) {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        text: Option<Cow<'a, str>>,
        content: Option<&'a RawValue>,
    }
    let raw = content.get();
    if raw.starts_with('"') {
        let string: Cow<'_, str> = serde_json::from_str(raw).unwrap_or_default();
        text.push_str(&string);
    } else if raw.starts_with('[') {
        for part in serde_json::from_str::<Vec<Part<'_>>>(raw).unwrap_or_default() {
            text.push_str(&part.text.unwrap_or_default());
            if let Some(inner) = part.content {
                texts(inner, text);
            }
        }
    }
}

/// A message, as OpenAI and Anthropic both have it.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    content: Option<&'a RawValue>,
}

/// Reads `/v1/chat/completions`. Both spellings of the cap count, the smaller one if they differ.
fn openai(body: &[u8]) -> serde_json::Result<(Question, Heard)> {
    #[derive(Deserialize)]
    struct Request<'a> {
        model: String,
        #[serde(borrow)]
        messages: Vec<Message<'a>>,
        max_tokens: Option<u64>,
        max_completion_tokens: Option<u64>,
        n: Option<u64>,
        stream: Option<bool>,
        stream_options: Option<Options>,
    }
    #[derive(Deserialize)]
    struct Options {
        include_usage: Option<bool>,
    }
    let request: Request<'_> = serde_json::from_slice(body)?;
    let mut heard = Heard::default();
    for message in &request.messages {
        heard.message(&message.role, message.content);
    }
    let question = Question {
        model: request.model,
        stream: request.stream.unwrap_or(false),
        include_usage: request.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
        cap: [request.max_tokens, request.max_completion_tokens].into_iter().flatten().min(),
        choices: request.n.unwrap_or(1),
        ..Question::default()
    };
    Ok((question, heard))
}

/// Reads `/v1/messages`, which must state its cap and always tells its usage.
fn anthropic(body: &[u8]) -> serde_json::Result<(Question, Heard)> {
    #[derive(Deserialize)]
    struct Request<'a> {
        model: String,
        max_tokens: u64,
        #[serde(borrow)]
        messages: Vec<Message<'a>>,
        system: Option<&'a RawValue>,
        stream: Option<bool>,
    }
    let request: Request<'_> = serde_json::from_slice(body)?;
    let mut heard = Heard::default();
    // A text or a list of blocks: one message either way.
    if let Some(system) = request.system {
        heard.message("system", Some(system));
    }
    for message in &request.messages {
        heard.message(&message.role, message.content);
    }
    let question = Question {
        model: request.model,
        stream: request.stream.unwrap_or(false),
        include_usage: true,
        cap: Some(request.max_tokens),
        choices: 1,
        ..Question::default()
    };
    Ok((question, heard))
}

/// Reads `:generateContent`: the model and whether to stream stand in the path.
fn gemini(body: &[u8], target: Option<Target<'_>>) -> serde_json::Result<(Question, Heard)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        #[serde(borrow)]
        contents: Vec<Content<'a>>,
        system_instruction: Option<Content<'a>>,
        generation_config: Option<Generation>,
    }
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        role: Option<Cow<'a, str>>,
        parts: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Generation {
        max_output_tokens: Option<u64>,
    }
    let request: Request<'_> = serde_json::from_slice(body)?;
    let mut heard = Heard::default();
    if let Some(system) = &request.system_instruction {
        heard.message("system", system.parts);
    }
    // A content without a role is the user's.
    for content in &request.contents {
        heard.message(content.role.as_deref().unwrap_or("user"), content.parts);
    }
    let question = Question {
        model: target.map_or_else(String::new, |target| target.model.to_owned()),
        stream: target.is_some_and(|target| target.stream),
        include_usage: true,
        cap: request.generation_config.and_then(|config| config.max_output_tokens),
        choices: 1,
        ..Question::default()
    };
    Ok((question, heard))
}

/// Most answers to one request, as at OpenAI.
const CHOICES_MAX: u64 = 128;

/// Most tokens of one answer; a wish beyond it is surely a slip.
const OUTPUT_MAX: u64 = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dialect: Dialect, body: &str) -> Question {
        let target = Some(Target { model: "m", stream: false });
        Question::read(dialect, target, body.as_bytes()).unwrap()
    }

    #[test]
    fn tokens_can_be_told_in_advance() {
        let rows = [
            // 6 bytes: 2 and 3 in, 16 + 6 out.
            (r#"{"model":"m","messages":[{"role":"user","content":"Hello!"}]}"#, 5, 22),
            (r#"{"model":"m","messages":[{"role":"user","content":"[out:7]"}]}"#, 5, 7),
            (
                r#"{"model":"m","messages":[{"role":"user","content":"[out:7]"}],"max_tokens":4}"#,
                5,
                4,
            ),
            (
                r#"{"model":"m","messages":[{"role":"system","content":"ab"},
                {"role":"user","content":[{"type":"text","text":"cd"},{"type":"image_url"}]},
                {"role":"assistant","content":null}],"max_completion_tokens":9,"max_tokens":12}"#,
                10,
                9,
            ),
            (r#"{"model":"m","messages":[]}"#, 0, 16),
        ];
        for (body, input, output) in rows {
            let question = read(Dialect::Openai, body);
            assert_eq!((question.input_tokens, question.said_tokens()), (input, output), "{body}");
        }
    }

    #[test]
    fn the_dialects_are_counted_alike() {
        let anthropic = read(
            Dialect::Anthropic,
            r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"ab"}],"messages":[
            {"role":"user","content":[{"type":"text","text":"cd"},
             {"type":"tool_result","tool_use_id":"t","content":"ef"}]}]}"#,
        );
        let gemini = read(
            Dialect::Gemini,
            r#"{"systemInstruction":{"parts":[{"text":"ab"}]},"contents":[{"role":"user",
            "parts":[{"text":"cd"},{"text":"ef"}]}],"generationConfig":{"maxOutputTokens":9}}"#,
        );
        assert_eq!(anthropic, gemini);
        assert_eq!((anthropic.input_tokens, anthropic.said_tokens()), (8, 9));
        assert!(anthropic.is_capped());
    }

    #[test]
    fn bad_requests_are_refused() {
        let rows = [
            (Dialect::Openai, "x"),
            (Dialect::Openai, r#"{"messages":[]}"#),
            (Dialect::Openai, r#"{"model":"m","messages":[],"n":0}"#),
            (Dialect::Openai, r#"{"model":"m","messages":[],"max_tokens":-1}"#),
            (
                Dialect::Openai,
                r#"{"model":"m","messages":[{"role":"user","content":"[out:many]"}]}"#,
            ),
            (
                Dialect::Openai,
                r#"{"model":"m","messages":[{"role":"user","content":"[out:999999999]"}]}"#,
            ),
            (Dialect::Anthropic, r#"{"model":"m","messages":[]}"#),
            (Dialect::Gemini, r#"{"messages":[]}"#),
        ];
        for (dialect, body) in rows {
            assert!(Question::read(dialect, None, body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn input_never_exceeds_the_request() {
        let body = r#"{"model":"m","messages":[]}"#
            .replace("[]", &format!("[{}]", ["{\"role\":\"\"}"; 99].join(",")));
        assert_eq!(read(Dialect::Openai, &body).input_tokens, 297);
        assert!(read(Dialect::Openai, &body).input_tokens <= body.len() as u64);
    }
}
