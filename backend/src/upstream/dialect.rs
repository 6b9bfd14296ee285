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
//! | the request as the provider wants it | [`outgoing`], [`key_header`] | `openai`, `anthropic`, `gemini` |
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
        Dialect::Openai => openai::outgoing(versioned, ask),
        Dialect::Anthropic => anthropic::outgoing(versioned, ask),
        Dialect::Gemini => gemini::outgoing(versioned, ask),
    }
}

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
