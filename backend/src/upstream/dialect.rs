//! Three languages for one question.
//!
//! Translates the OpenAI-chat-shaped payload of `/route` to what a provider speaks, and the
//! provider's answer, whole or streamed, back to the OpenAI chat shape; and reads from it what
//! was used. Refuses to know sockets, clocks and prices. The one idea: what cannot be carried is
//! refused by its name before anything is sent, never dropped, and what was not understood of a
//! usage report is no usage at all, never zero.
//!
//! | | here | in |
//! |---|---|---|
//! | what the payload says about cost | [`Shape`] | `shape` |
//! | the request for a provider | [`outgoing`], [`key_header`] | `openai`, `anthropic`, `gemini` |
//! | a whole answer | [`answer`] | the same |
//! | a streamed answer | [`StreamReader`] | `stream`, and the same |
//! | the OpenAI shapes we read and write | | `chat`, `reply` |

mod anthropic;
mod chat;
mod gemini;
mod openai;
mod reply;
mod shape;
mod stream;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::value::RawValue;
use tollgate_shared::body::Body;
use tollgate_shared::id::ModelName;
use tollgate_shared::provider::{Dialect, Endpoint};
use tollgate_shared::usage::Usage;

pub use shape::{Shape, input_bound};
pub use stream::{StreamError, StreamReader};

/// One attempt's question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The caller's payload, in the OpenAI chat shape.
    pub payload: &'a Body,
    /// The model as the provider knows it.
    pub model: &'a ModelName,
    /// Most output tokens to ask for, every spelling rewritten to it; `None` leaves the payload's
    /// own cap, or its lack of one, as it is.
    pub cap: Option<u64>,
    /// The longest answer the model gives, for dialects in which a request must state a cap.
    pub output_at_most: u64,
    /// Whether to ask for a stream.
    pub stream: bool,
}

/// What goes over the wire, less the provider's key and our attempt id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// What follows the endpoint: path and query.
    pub path: String,
    /// Headers that the dialect itself needs, beyond `content-type: application/json`.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A field that the provider's dialect has no place for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`payload.{field}` cannot be carried to a provider of the {dialect} dialect")]
pub struct Untranslatable {
    /// Its place within the payload, such as `messages[2].content[0]`.
    pub field: String,
    /// The dialect, as registrations spell it.
    pub dialect: &'static str,
}

/// What an answer calls itself where the provider gave it no id, no time, no model.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The request's id.
    pub id: &'a str,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// The model that was asked for.
    pub model: &'a ModelName,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// An OpenAI `chat.completion`; of a provider of that dialect exactly as it came.
    pub response: Box<RawValue>,
    /// What the provider says was used: `None` when that is missing, negative, no whole number,
    /// or beyond belief.
    pub usage: Option<Usage>,
}

/// A complete 2xx that is no answer in its dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer cannot be read as {dialect}: {reason}")]
pub struct Unreadable {
    /// The dialect, as registrations spell it.
    pub dialect: &'static str,
    /// In words, without any of the answer's text.
    pub reason: String,
}

/// The request for a provider of this dialect.
pub fn outgoing(
    dialect: Dialect,
    endpoint: &Endpoint,
    ask: &Ask<'_>,
) -> Result<Outgoing, Untranslatable> {
    let versioned = endpoint.ends_in_version();
    match dialect {
        Dialect::Openai => {
            let hosts = ["://api.openai.com", ".openai.azure.com"];
            // Their reasoning models refuse the spelling that every copy of the dialect reads.
            let is_their_own = hosts.iter().any(|host| endpoint.origin().ends_with(host));
            let cap_field = if is_their_own { "max_completion_tokens" } else { "max_tokens" };
            openai::outgoing(versioned, cap_field, ask)
        }
        Dialect::Anthropic => anthropic::outgoing(versioned, ask),
        Dialect::Gemini => gemini::outgoing(versioned, ask),
    }
}

/// The version of Anthropic's API that is spoken.
pub const ANTHROPIC_VERSION: &str = anthropic::VERSION;

/// The header that carries a provider's key.
pub fn key_header(dialect: Dialect, key: &str) -> (&'static str, String) {
    match dialect {
        Dialect::Openai => ("authorization", format!("Bearer {key}")),
        Dialect::Anthropic => ("x-api-key", key.to_owned()),
        Dialect::Gemini => ("x-goog-api-key", key.to_owned()),
    }
}

/// Reads a whole 2xx answer.
pub fn answer(dialect: Dialect, stamp: &Stamp<'_>, bytes: &[u8]) -> Result<Answer, Unreadable> {
    let read = match dialect {
        Dialect::Openai => openai::answer(bytes),
        Dialect::Anthropic => anthropic::answer(stamp, bytes),
        Dialect::Gemini => gemini::answer(stamp, bytes),
    };
    // An error of serde_json may quote the answer; its category and place do not.
    read.map_err(|error| Unreadable {
        dialect: name(dialect),
        reason: format!(
            "{:?} error at line {} column {}",
            error.classify(),
            error.line(),
            error.column()
        ),
    })
}

/// The dialect, as registrations spell it.
const fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Openai => "openai",
        Dialect::Anthropic => "anthropic",
        Dialect::Gemini => "gemini",
    }
}

/// A JSON object read as `T`, and nothing else: serde would take a list for a struct.
fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> serde_json::Result<T> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(serde_json::Error::custom("no object"));
    }
    serde_json::from_slice(bytes)
}

/// A usage report read as `T`; `None` where it is absent, null or not what it should be.
fn report<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    object(raw?.get().as_bytes()).ok()
}

/// A usage that can be believed.
fn credible(usage: Usage) -> Option<Usage> {
    (!usage.is_absurd()).then_some(usage)
}

/// What the rows of the dialects' tests are made with.
#[cfg(test)]
mod rows {
    use bytes::Bytes;
    use serde_json::Value;
    use tollgate_shared::body::Body;
    use tollgate_shared::id::ModelName;
    use tollgate_shared::provider::{Dialect, Endpoint};
    use tollgate_shared::usage::Usage;

    use super::{Ask, Stamp, StreamReader, Untranslatable, answer, outgoing};

    /// The model of every row.
    pub fn model() -> &'static ModelName {
        static MODEL: std::sync::OnceLock<ModelName> = std::sync::OnceLock::new();
        MODEL.get_or_init(|| "m-1".parse().unwrap())
    }

    pub fn payload(text: &str) -> Body {
        Body::parse(text.as_bytes()).unwrap()
    }

    pub fn ask(payload: &Body) -> Ask<'_> {
        Ask { payload, model: model(), cap: None, output_at_most: 4096, stream: false }
    }

    pub fn stamp() -> Stamp<'static> {
        Stamp { id: "req-1", created: 1_700_000_000, model: model() }
    }

    pub fn endpoint() -> Endpoint {
        "http://localhost:1".parse().unwrap()
    }

    /// The body that a payload becomes.
    pub fn sent(dialect: Dialect, text: &str, cap: Option<u64>) -> Result<Value, Untranslatable> {
        let payload = payload(text);
        let ask = Ask { cap, ..ask(&payload) };
        let sent = outgoing(dialect, &endpoint(), &ask)?;
        Ok(serde_json::from_slice(&sent.body).unwrap())
    }

    /// The field for which a payload is refused.
    pub fn refused(dialect: Dialect, fields: &str) -> String {
        let text = format!(r#"{{"messages":[{{"role":"user","content":"x"}}],{fields}}}"#);
        sent(dialect, &text, None).map_or_else(|error| error.field, |body| format!("sent {body}"))
    }

    /// The answer in the OpenAI shape, and its usage.
    pub fn answered(dialect: Dialect, body: &str) -> (Value, Option<Usage>) {
        let answer = answer(dialect, &stamp(), body.as_bytes()).unwrap();
        (serde_json::from_str(answer.response.get()).unwrap(), answer.usage)
    }

    /// A stream that was read to its end.
    pub struct Read {
        pub reader: StreamReader,
        pub frames: Vec<Bytes>,
    }

    impl Read {
        /// What the frames and the tail say: chunks, and `[DONE]` last.
        pub fn chunks(&self, include_usage: bool) -> Vec<Value> {
            let tail = self.reader.tail(include_usage);
            let all: Vec<_> =
                self.frames.iter().chain(&tail).flat_map(|frame| frame.to_vec()).collect();
            let text = String::from_utf8(all).unwrap();
            let mut chunks: Vec<_> = text.split_terminator("\n\n").collect();
            assert_eq!(chunks.pop(), Some("data: [DONE]"));
            chunks
                .into_iter()
                .map(|chunk| serde_json::from_str(chunk.strip_prefix("data: ").unwrap()).unwrap())
                .collect()
        }

        /// The text that a client puts together, and why it ended.
        pub fn said(&self) -> (String, Option<String>) {
            let mut text = String::new();
            let mut finish = None;
            for chunk in self.chunks(false) {
                let choice = &chunk["choices"][0];
                text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
                finish = choice["finish_reason"].as_str().map(str::to_owned).or(finish);
            }
            (text, finish)
        }

        /// Name, id and arguments of each call that a client puts together.
        pub fn calls(&self) -> Vec<(String, String, String)> {
            let mut calls: Vec<(String, String, String)> = Vec::new();
            for chunk in self.chunks(false) {
                let call = &chunk["choices"][0]["delta"]["tool_calls"][0];
                let Some(index) = call["index"].as_u64() else { continue };
                let function = &call["function"];
                if let Some(id) = call["id"].as_str() {
                    assert_eq!(index as usize, calls.len());
                    let name = function["name"].as_str().unwrap();
                    calls.push((name.to_owned(), id.to_owned(), String::new()));
                }
                calls[index as usize].2.push_str(function["arguments"].as_str().unwrap());
            }
            calls
        }
    }

    /// Reads a stream that comes in these pieces.
    pub fn read<'a>(dialect: Dialect, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
        let mut reader = StreamReader::new(dialect, &stamp());
        let mut frames = Vec::new();
        for piece in pieces {
            reader.push(piece, &mut frames).unwrap();
        }
        reader.end(&mut frames).unwrap();
        Read { reader, frames }
    }

    /// Reads a stream whole, and byte by byte, which must give the same.
    pub fn read_any_split(dialect: Dialect, text: &str) -> Read {
        let whole = read(dialect, [text.as_bytes()]);
        for size in [1, 2, 3, 7] {
            let split = read(dialect, text.as_bytes().chunks(size));
            assert_eq!(split.frames, whole.frames);
            assert_eq!(split.reader.usage(), whole.reader.usage());
            assert_eq!(split.reader.partial_usage(), whole.reader.partial_usage());
            assert_eq!(split.reader.delivered_bytes(), whole.reader.delivered_bytes());
            assert_eq!(split.reader.tail(true), whole.reader.tail(true));
        }
        whole
    }

    /// One event of a stream for each of these.
    pub fn events(data: &[&str]) -> String {
        data.iter().map(|data| format!("data: {data}\n\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_own_key_header() {
        let rows = [
            (Dialect::Openai, ("authorization", "Bearer k".to_owned())),
            (Dialect::Anthropic, ("x-api-key", "k".to_owned())),
            (Dialect::Gemini, ("x-goog-api-key", "k".to_owned())),
        ];
        for (dialect, expected) in rows {
            assert_eq!(key_header(dialect, "k"), expected);
        }
    }

    #[test]
    fn paths_hang_under_the_endpoint() {
        let rows = [
            (Dialect::Openai, "http://h", false, "/v1/chat/completions"),
            (Dialect::Openai, "http://h/v1/", true, "/chat/completions"),
            (Dialect::Openai, "http://h/openai", false, "/v1/chat/completions"),
            (Dialect::Anthropic, "http://h", false, "/v1/messages"),
            (Dialect::Anthropic, "http://h/v1", true, "/messages"),
            (Dialect::Gemini, "http://h", false, "/v1beta/models/m-1:generateContent"),
            (Dialect::Gemini, "http://h/v1", true, "/models/m-1:streamGenerateContent?alt=sse"),
        ];
        for (dialect, endpoint, stream, path) in rows {
            let payload = rows::payload(r#"{"messages":[{"role":"user","content":"x"}]}"#);
            let ask = Ask { stream, ..rows::ask(&payload) };
            let sent = outgoing(dialect, &endpoint.parse().unwrap(), &ask).unwrap();
            assert_eq!(sent.path, path, "{endpoint}");
        }
    }

    #[test]
    fn what_is_no_answer_is_unreadable_and_its_text_is_not_repeated() {
        let bodies = [
            "",
            "null",
            "<html>secret</html>",
            "[]",
            "[[],{\"secret\":1}]",
            "{}",
            r#"{"error":{"message":"secret"}}"#,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"secret"}}"#,
            r#"{"choices":"secret","content":"secret","candidates":"secret"}"#,
            r#"{"choices":[],"content":[],"candidates":[]"#,
        ];
        for dialect in [Dialect::Openai, Dialect::Anthropic, Dialect::Gemini] {
            for body in bodies {
                let error = answer(dialect, &rows::stamp(), body.as_bytes()).unwrap_err();
                assert!(!error.to_string().contains("secret"), "{error}");
            }
        }
    }

    #[test]
    fn an_error_inside_a_stream_is_reported_after_what_came_before_it() {
        let rows = [
            (
                Dialect::Openai,
                "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"message\":\"boom\"}}\n\n",
            ),
            (
                Dialect::Anthropic,
                "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n\
                 event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"boom\"}}\n\n",
            ),
            (
                Dialect::Gemini,
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\n\n\
                 data: [{\"error\":{\"message\":\"boom\"}}]\n\n",
            ),
        ];
        for (dialect, text) in rows {
            let mut reader = StreamReader::new(dialect, &rows::stamp());
            let mut frames = Vec::new();
            let error = reader.push(text.as_bytes(), &mut frames).unwrap_err();
            assert_eq!(error, StreamError::Reported("boom".to_owned()));
            assert!(!frames.is_empty() && !reader.is_complete() && reader.usage().is_none());
            assert_eq!(reader.delivered_bytes(), 1);
        }
    }

    #[test]
    fn before_the_first_content_nothing_is_handed_out() {
        let rows = [
            (
                Dialect::Openai,
                "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
            ),
            (Dialect::Anthropic, "data: {\"type\":\"message_start\",\"message\":{}}\n\n"),
            (Dialect::Gemini, "data: {\"candidates\":[{\"content\":{\"parts\":[]}}]}\n\n"),
        ];
        for (dialect, text) in rows {
            let mut reader = StreamReader::new(dialect, &rows::stamp());
            let mut frames = Vec::new();
            reader.push(text.as_bytes(), &mut frames).unwrap();
            assert!(frames.is_empty() && !reader.has_content(), "{dialect:?}");
            assert_eq!(reader.tail(true).len(), 2, "{dialect:?}: the role, and the end");
        }
    }

    #[test]
    fn garbage_in_a_stream_is_an_error() {
        for dialect in [Dialect::Openai, Dialect::Anthropic, Dialect::Gemini] {
            for text in ["data: {\"cho\n\n", "data: hello\n\n", "data: 7\n\n", "data: []\n\n"] {
                let mut reader = StreamReader::new(dialect, &rows::stamp());
                let error = reader.push(text.as_bytes(), &mut Vec::new()).unwrap_err();
                assert!(matches!(error, StreamError::Unreadable(_)), "{dialect:?} {text}");
            }
        }
    }

    #[test]
    fn the_error_frame_is_an_error_and_no_end() {
        let frame = StreamReader::error_frame("it \"broke\"\nbadly");
        let text = std::str::from_utf8(&frame).unwrap();
        let body: serde_json::Value =
            serde_json::from_str(text.strip_prefix("data: ").unwrap().trim_end()).unwrap();
        assert_eq!(body["error"]["message"], "it \"broke\"\nbadly");
        assert_eq!(body["error"].as_object().unwrap().len(), 4);
        assert!(text.ends_with("\n\n"));
    }
}
