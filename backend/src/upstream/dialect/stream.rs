//! A streamed answer, on its way from a provider to the caller.
//!
//! Turns a provider's stream into frames of the OpenAI chat shape that may flow at once, and keeps
//! back what may only follow the settlement. Refuses to know sockets. The one idea: until the
//! first content nothing is handed out, so a provider that fails before it can be replaced unseen.
//!
//! ```text
//! bytes → push → frames to forward at once          … error_frame, where it broke
//!           └──→ usage, partial_usage, delivered    … tail, where it ended well
//! ```

use bytes::Bytes;
use serde_json::value::RawValue;
use tollgate_shared::provider::Dialect;
use tollgate_shared::usage::Usage;

use super::{Stamp, anthropic, gemini, openai, reply};
use crate::upstream::sse;

/// Why a stream cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A line or an event beyond its cap.
    #[error(transparent)]
    TooLong(#[from] sse::TooLong),
    /// An event that is not in the provider's dialect.
    #[error("an event of the stream cannot be read: {0}")]
    Unreadable(String),
    /// The provider said in the stream that it failed; this is its text, cut to a sane length.
    #[error("the provider broke off: {0}")]
    Reported(String),
}

/// Reads one stream.
#[derive(Debug)]
pub struct StreamReader {
    sse: sse::Reader,
    events: Vec<sse::Event>,
    fold: Fold,
    head: reply::Head,
    progress: Progress,
}

/// What a fold of any dialect keeps up to date.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Frames not handed out yet.
    pub frames: Vec<Bytes>,
    /// Bytes of text that the model made so far, as far as it can be seen.
    pub delivered: u64,
    /// Something worth a caller's attention is among the frames, now or earlier.
    pub has_content: bool,
    /// The terminal event came.
    pub is_complete: bool,
    /// The last usage reported, if it can be believed.
    pub usage: Option<Usage>,
    /// That usage is the whole bill.
    pub is_usage_final: bool,
}

impl Progress {
    /// Counts text the model made.
    pub fn deliver(&mut self, bytes: u64) {
        self.delivered = self.delivered.saturating_add(bytes);
        self.has_content |= bytes > 0;
    }
}

#[derive(Debug)]
enum Fold {
    Openai(openai::Fold),
    Anthropic(anthropic::Fold),
    Gemini(gemini::Fold),
}

impl StreamReader {
    /// A reader of one answer; `stamp` names it where the provider does not.
    pub fn new(dialect: Dialect, stamp: &Stamp<'_>) -> Self {
        let fold = match dialect {
            Dialect::Openai => Fold::Openai(openai::Fold::default()),
            Dialect::Anthropic => Fold::Anthropic(anthropic::Fold::default()),
            Dialect::Gemini => Fold::Gemini(gemini::Fold::default()),
        };
        Self {
            sse: sse::Reader::default(),
            events: Vec::new(),
            fold,
            head: reply::Head::of(stamp),
            progress: Progress::default(),
        }
    }

    /// Takes the next bytes and adds to `frames` what may flow at once. After an error the frames
    /// of the events before it are there as well; nothing more may be pushed.
    pub fn push(&mut self, bytes: &[u8], frames: &mut Vec<Bytes>) -> Result<(), StreamError> {
        let mut events = std::mem::take(&mut self.events);
        let read = self.sse.push(bytes, &mut events);
        let folded = events.drain(..).try_for_each(|event| self.fold(&event.data));
        self.events = events;
        self.hand_out(frames);
        folded?;
        Ok(read?)
    }

    /// Ends the stream where the provider closed it: a last event without its blank line counts.
    pub fn end(&mut self, frames: &mut Vec<Bytes>) -> Result<(), StreamError> {
        let folded = match self.sse.finish()? {
            Some(event) => self.fold(&event.data),
            None => Ok(()),
        };
        self.hand_out(frames);
        folded
    }

    fn fold(&mut self, data: &[u8]) -> Result<(), StreamError> {
        if self.is_over() {
            return Ok(());
        }
        match &mut self.fold {
            Fold::Openai(fold) => fold.event(data, &mut self.progress),
            Fold::Anthropic(fold) => fold.event(data, &mut self.head, &mut self.progress),
            Fold::Gemini(fold) => fold.event(data, &mut self.head, &mut self.progress),
        }
    }

    fn hand_out(&mut self, frames: &mut Vec<Bytes>) {
        if self.progress.has_content {
            frames.append(&mut self.progress.frames);
        }
    }

    /// Whether content was handed out; until then another provider may answer instead.
    pub fn has_content(&self) -> bool {
        self.progress.has_content
    }

    /// Whether the terminal event came, so that an end here is a good end.
    pub fn is_complete(&self) -> bool {
        self.progress.is_complete
    }

    /// Whether nothing that follows can matter, so that reading may stop. A Gemini stream is over
    /// only when it is closed: usage may follow the finish.
    pub fn is_over(&self) -> bool {
        self.progress.is_complete && !matches!(self.fold, Fold::Gemini(_))
    }

    /// The final usage: the whole bill, as the provider reports it.
    pub fn usage(&self) -> Option<Usage> {
        self.progress.usage.filter(|_| self.progress.is_usage_final)
    }

    /// The last usage that the provider reported, whole or running.
    pub fn partial_usage(&self) -> Option<Usage> {
        self.progress.usage
    }

    /// Bytes of text that the model made as far as can be seen, arguments of calls and shown
    /// reasoning included: at least as many as the tokens they took.
    pub fn delivered_bytes(&self) -> u64 {
        self.progress.delivered
    }

    /// What follows the settlement: frames still kept back, the usage chunk if the client asked,
    /// and `data: [DONE]` as the last, apart, so that a comment can stand before it.
    pub fn tail(&self, include_usage: bool) -> Vec<Bytes> {
        let mut tail = self.progress.frames.clone();
        if include_usage {
            let as_it_came = match &self.fold {
                Fold::Openai(fold) => fold.usage_frame(),
                _ => None,
            };
            tail.extend(as_it_came.or_else(|| self.usage().map(|u| self.head.usage_chunk(&u))));
        }
        tail.push(Bytes::from_static(b"data: [DONE]\n\n"));
        tail
    }

    /// The end of a stream that broke: an error, never `[DONE]`.
    pub fn error_frame(message: &str) -> Bytes {
        reply::error_frame(message)
    }
}

impl StreamError {
    /// An event that is not JSON of the expected form; its text is not repeated.
    #[expect(clippy::needless_pass_by_value, reason = "it serves `map_err`")]
    pub(super) fn unreadable(error: serde_json::Error) -> Self {
        Self::Unreadable(format!("{:?} error at column {}", error.classify(), error.column()))
    }

    /// An error object of any dialect.
    pub(super) fn reported(object: &str) -> Self {
        #[derive(serde::Deserialize, Default)]
        #[serde(default)]
        struct Reported {
            message: Option<String>,
        }
        let reported: Reported = serde_json::from_str(object).unwrap_or_default();
        let message = reported.message.unwrap_or_default();
        Self::Reported(message.chars().take(REPORTED_LENGTH_MAX).collect())
    }
}

/// Bytes of text in a value: of a string its own, of anything else all of it.
pub(super) fn text_bytes(raw: &RawValue) -> u64 {
    let text = raw.get();
    if text == "null" {
        return 0;
    }
    serde_json::from_str::<std::borrow::Cow<'_, str>>(text).map_or(text.len(), |text| text.len())
        as u64
}

/// Most characters of a provider's error that are shown to the caller.
const REPORTED_LENGTH_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tollgate_shared::body::Body;

    use super::super::{Shape, answer, input_bound, rows};
    use super::*;

    const DIALECTS: [Dialect; 3] = [Dialect::Openai, Dialect::Anthropic, Dialect::Gemini];

    /// A good stream of each dialect, for mutations to spoil.
    fn good(dialect: Dialect) -> String {
        match dialect {
            Dialect::Openai => rows::events(&[
                r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
                r#"{"choices":[{"delta":{"content":"hé"}}]}"#,
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
                r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
                "[DONE]",
            ]),
            Dialect::Anthropic => rows::events(&[
                r#"{"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":1}}}"#,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f"}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"hé"}}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#,
                r#"{"type":"message_stop"}"#,
            ]),
            Dialect::Gemini => rows::events(&[
                r#"{"candidates":[{"content":{"parts":[{"text":"hé"}]}}],"usageMetadata":{"promptTokenCount":7}}"#,
                r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":3}}"#,
            ]),
        }
    }

    /// Everything that can be seen of a stream that was read in these pieces.
    fn seen<'a>(
        dialect: Dialect,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<Bytes>, String) {
        let mut reader = StreamReader::new(dialect, &rows::stamp());
        let mut frames = Vec::new();
        let mut end = Ok(());
        for piece in pieces {
            end = end.and_then(|()| reader.push(piece, &mut frames));
        }
        end = end.and_then(|()| reader.end(&mut frames));
        let usage = (reader.usage(), reader.partial_usage(), reader.delivered_bytes());
        (frames, format!("{end:?} {usage:?} {}", reader.is_complete()))
    }

    proptest! {
        #[test]
        fn a_spoilt_stream_reads_the_same_in_any_pieces(
            dialect in prop::sample::select(&DIALECTS[..]),
            spoilt in prop::collection::vec((0_usize..800, any::<u8>()), 0..6),
            length in 0_usize..800,
            size in 1_usize..90,
        ) {
            let mut bytes = good(dialect).into_bytes();
            for (at, byte) in spoilt {
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
            }
            bytes.truncate(length);
            prop_assert_eq!(
                seen(dialect, [bytes.as_slice()]),
                seen(dialect, bytes.chunks(size))
            );
        }

        #[test]
        fn a_cut_stream_has_no_final_usage_unless_all_of_it_was_reported(
            dialect in prop::sample::select(&DIALECTS[..]),
            length in 0_usize..800,
        ) {
            let text = good(dialect);
            let bytes = &text.as_bytes()[..length.min(text.len())];
            let mut reader = StreamReader::new(dialect, &rows::stamp());
            let mut frames = Vec::new();
            reader.push(bytes, &mut frames).unwrap();
            if let Some(usage) = reader.usage() {
                prop_assert_eq!(usage, Usage::plain(7, 3));
            }
            if reader.is_complete() {
                prop_assert!(reader.usage().is_some());
            }
        }

        #[test]
        fn no_bytes_make_a_reader_panic(
            dialect in prop::sample::select(&DIALECTS[..]),
            text in r#"(\{|\}|\[|\]|:|,|"(choices|usage|content|candidates|parts|messages|type|n|text)"|"|\\u|é|1|-1|1e9|null|true|data: |\n){0,40}"#,
        ) {
            drop(answer(dialect, &rows::stamp(), text.as_bytes()));
            drop(seen(dialect, [format!("data: {text}\n\n").as_bytes()]));
            if let Ok(payload) = Body::parse(text.as_bytes()) {
                drop(Shape::of(&payload));
                prop_assert!(input_bound(&payload, 10) >= 10);
            }
        }
    }
}
