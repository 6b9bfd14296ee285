//! An Anthropic stream, event by event.
//!
//! Refuses to know bytes and lines. The one idea: an event is known by the `type` in its data;
//! one that is not known is passed over with whatever usage it carries, because only
//! `message_start` and `message_delta` report.
//!
//! ```text
//! message_start        role; input and caches exactly, output provisionally
//! content_block_start  the begin of a text or a call
//! content_block_delta  more of it
//! message_delta        why it ended; the output so far, which then is all of it
//! message_stop         the end; what follows does not count
//! ping, error          anywhere
//! ```

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage::WireUsage;
use super::{AnsweredBlock, finish};
use crate::upstream::dialect::reply::{Delta, Head, SaidCall};
use crate::upstream::dialect::stream::{Progress, StreamError};
use crate::upstream::dialect::{object, report};

/// The state of one stream.
#[derive(Debug, Default)]
pub(in super::super) struct Fold {
    usage: WireUsage,
    /// Some report could not be read: then none of it is believed.
    is_usage_broken: bool,
    /// Indices of the blocks that are calls; a call's number is its place.
    calls: Vec<u64>,
}

impl Fold {
    /// Takes one event and adds what it says in the OpenAI shape.
    pub fn event(
        &mut self,
        data: &[u8],
        head: &mut Head,
        progress: &mut Progress,
    ) -> Result<(), StreamError> {
        let event: Event<'_> = object(data).map_err(StreamError::unreadable)?;
        match event.kind.as_deref() {
            Some("message_start") => {
                let message: Option<Started<'_>> =
                    part(event.message).map_err(StreamError::unreadable)?;
                if let Some(message) = message {
                    *head = head.clone().named(message.id, message.model);
                    self.merge(message.usage, progress);
                }
                progress.frames.push(head.chunk(&Delta::role(), None));
            }
            Some("content_block_start") => self.block_start(&event, head, progress)?,
            Some("content_block_delta") => self.block_delta(&event, head, progress)?,
            Some("message_delta") => {
                let delta: Option<MessageDelta<'_>> =
                    part(event.delta).map_err(StreamError::unreadable)?;
                self.merge(event.usage, progress);
                if let Some(reason) = delta.and_then(|delta| delta.stop_reason) {
                    // What `message_start` says of the output is provisional.
                    progress.is_usage_final = event.usage.is_some();
                    progress.has_content = true;
                    let finish = finish(Some(&reason));
                    progress.frames.push(head.chunk(&Delta::default(), Some(finish)));
                }
            }
            Some("message_stop") => progress.is_complete = true,
            Some("error") => {
                return Err(StreamError::reported(event.error.map_or("{}", RawValue::get)));
            }
            // Pings, ends of blocks, and events not invented yet.
            _ => {}
        }
        Ok(())
    }

    /// A block begins: a text that may have a first piece, or a call that is named.
    fn block_start(
        &mut self,
        event: &Event<'_>,
        head: &Head,
        progress: &mut Progress,
    ) -> Result<(), StreamError> {
        let block: Option<AnsweredBlock<'_>> =
            part(event.content_block).map_err(StreamError::unreadable)?;
        let Some(block) = block else { return Ok(()) };
        match block.kind.as_deref() {
            Some("text") => say(block.text.as_deref(), head, progress),
            Some("tool_use") => {
                // The input follows in pieces; here it is an empty object.
                let call = SaidCall { arguments: String::new(), ..block.call() };
                let number = self.calls.len() as u64;
                self.calls.push(event.index.unwrap_or(0));
                progress.deliver(call.name.len() as u64);
                progress.frames.push(head.chunk(&Delta::call(number, &call), None));
            }
            _ => {}
        }
        Ok(())
    }

    /// A block goes on.
    fn block_delta(
        &mut self,
        event: &Event<'_>,
        head: &Head,
        progress: &mut Progress,
    ) -> Result<(), StreamError> {
        let delta: Option<BlockDelta<'_>> = part(event.delta).map_err(StreamError::unreadable)?;
        let Some(delta) = delta else { return Ok(()) };
        match delta.kind.as_deref() {
            Some("text_delta") => say(delta.text.as_deref(), head, progress),
            Some("input_json_delta") => {
                let index = event.index.unwrap_or(0);
                // Blocks of the provider's own tools stream their input as well.
                let number = self.calls.iter().rposition(|call| *call == index);
                let piece = delta.partial_json.as_deref().unwrap_or_default();
                progress.delivered = progress.delivered.saturating_add(piece.len() as u64);
                if let (Some(number), false) = (number, piece.is_empty()) {
                    let delta = Delta::arguments(number as u64, piece);
                    progress.frames.push(head.chunk(&delta, None));
                }
            }
            // Reasoning has no place in the OpenAI shape, but it was made and will be billed.
            Some("thinking_delta") => {
                let bytes = delta.thinking.as_deref().map_or(0, str::len) as u64;
                progress.delivered = progress.delivered.saturating_add(bytes);
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets the fields of a later report override those of the earlier ones.
    fn merge(&mut self, raw: Option<&RawValue>, progress: &mut Progress) {
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return };
        match report::<WireUsage>(Some(raw)) {
            Some(later) => self.usage.merge(later),
            None => self.is_usage_broken = true,
        }
        progress.usage = self.usage.usage().filter(|_| !self.is_usage_broken);
    }
}

/// Forwards a piece of text, if there is any.
fn say(text: Option<&str>, head: &Head, progress: &mut Progress) {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return };
    progress.deliver(text.len() as u64);
    progress.frames.push(head.chunk(&Delta::text(text), None));
}

/// Reads a part of an event as `T`; absent and null are none, a wrong form is an error.
fn part<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> serde_json::Result<Option<T>> {
    raw.map_or(Ok(None), |raw| serde_json::from_str(raw.get()))
}

/// Any event; which fields it has depends on its `type`.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    index: Option<u64>,
    message: Option<&'a RawValue>,
    content_block: Option<&'a RawValue>,
    delta: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
}

/// The message of `message_start`.
#[derive(Deserialize)]
struct Started<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// The delta of `message_delta`.
#[derive(Deserialize)]
struct MessageDelta<'a> {
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
}

/// The delta of `content_block_delta`.
#[derive(Deserialize)]
struct BlockDelta<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    partial_json: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tollgate_shared::provider::Dialect::Anthropic;
    use tollgate_shared::usage::Usage;

    use crate::upstream::dialect::rows;

    const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"claude-x","usage":{"input_tokens":25,"cache_read_input_tokens":5,"output_tokens":1}}}"#;
    const TEXT: &str =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#;
    const END: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":8}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;

    fn usage(output: u64) -> Usage {
        Usage { cache_read: 5, ..Usage::plain(25, output) }
    }

    #[test]
    fn a_stream_becomes_chunks() {
        let ping = r#"{"type":"ping"}"#;
        let read = rows::read_any_split(
            Anthropic,
            &rows::events(&[START, ping, TEXT, TEXT, ping, END, STOP]),
        );
        assert_eq!(read.said(), ("hihi".to_owned(), Some("stop".to_owned())));
        let chunks = read.chunks(true);
        assert!(chunks.iter().all(|chunk| {
            chunk["id"] == "msg_1"
                && chunk["model"] == "claude-x"
                && chunk["object"] == "chat.completion.chunk"
                && chunk["created"] == 1_700_000_000
        }));
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(chunks.last().unwrap()["usage"]["prompt_tokens"], 30);
        assert_eq!(chunks.last().unwrap()["choices"], serde_json::json!([]));
        assert_eq!(read.chunks(false).len(), chunks.len() - 1);
        assert_eq!(read.reader.usage(), Some(usage(8)));
        assert_eq!(read.reader.delivered_bytes(), 4);
    }

    #[test]
    fn calls_are_pieced_together() {
        let call = |index: u64, id: &str| {
            format!(
                r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"tool_use","id":"{id}","name":"look","input":{{}}}}}}"#
            )
        };
        let piece = |index: u64, text: &str| {
            let text = serde_json::to_string(text).unwrap();
            format!(
                r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"input_json_delta","partial_json":{text}}}}}"#
            )
        };
        let data = [
            START.to_owned(),
            TEXT.to_owned(),
            call(1, "t1"),
            piece(1, ""),
            piece(1, "{\"a\":"),
            piece(1, "1}"),
            // The provider's own tool streams its input too, which is not the caller's.
            piece(2, "{\"query\":1}"),
            call(3, "t2"),
            piece(3, "{}"),
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}"#.to_owned(),
            STOP.to_owned(),
        ];
        let data: Vec<&str> = data.iter().map(String::as_str).collect();
        let read = rows::read_any_split(Anthropic, &rows::events(&data));
        assert_eq!(read.said(), ("hi".to_owned(), Some("tool_calls".to_owned())));
        let call = |id: &str, arguments: &str| ("look".into(), id.into(), arguments.into());
        assert_eq!(read.calls(), [call("t1", "{\"a\":1}"), call("t2", "{}")]);
        assert_eq!(read.reader.delivered_bytes(), 2 + 4 + 7 + 11 + 4 + 2);
    }

    #[test]
    fn reports_override_each_other_field_by_field() {
        let unknown = r#"{"type":"future","usage":{"input_tokens":99,"output_tokens":99}}"#;
        let omitted = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
        let negative = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":-8}}"#;
        let late = r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":99}}"#;
        let more = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":40,"output_tokens":9}}"#;
        let fed_back = Usage { cache_read: 5, ..Usage::plain(40, 9) };
        let rows: [(&[&str], Option<Usage>, Option<Usage>); 9] = [
            (&[START, TEXT, END, STOP], Some(usage(8)), Some(usage(8))),
            (&[START, TEXT, more, STOP], Some(fed_back), Some(fed_back)),
            (&[unknown, START, unknown, END, STOP, unknown], Some(usage(8)), Some(usage(8))),
            (&[START, TEXT, END, STOP, late, STOP], Some(usage(8)), Some(usage(8))),
            // Cut before the last report: its output is provisional.
            (&[START, TEXT], None, Some(usage(1))),
            (&[START, TEXT, END], Some(usage(8)), Some(usage(8))),
            (&[START, TEXT, omitted, STOP], None, Some(usage(1))),
            (&[START, TEXT, negative, STOP], None, None),
            (&[TEXT, END, STOP], None, None),
        ];
        for (data, last, partial) in rows {
            let read = rows::read_any_split(Anthropic, &rows::events(data));
            assert_eq!(read.reader.usage(), last, "{data:?}");
            assert_eq!(read.reader.partial_usage(), partial, "{data:?}");
        }
    }

    /// Name, input with caches, output, cache read, cache write.
    const FIXTURES: [(&str, u64, u64, u64, u64); 19] = [
        ("basic_response.txt", 11, 6, 0, 0),
        ("unknown_events_response.txt", 11, 6, 0, 0),
        ("compaction_response.txt", 30, 8, 0, 0),
        ("context_management_response.txt", 25, 8, 0, 0),
        ("fallback_response.txt", 25, 8, 0, 0),
        ("fallback_credit_response.txt", 25, 8, 0, 0),
        ("input_transformations_delta_response.txt", 25, 8, 0, 0),
        ("input_transformations_empty_delta_response.txt", 25, 8, 0, 0),
        ("input_transformations_start_only_response.txt", 25, 8, 0, 0),
        ("incomplete_partial_json_response.txt", 450, 124, 0, 0),
        ("message_delta_fields_response.txt", 40, 8, 7, 12),
        ("message_delta_omitted_usage_response.txt", 25, 8, 5, 10),
        ("refusal_response.txt", 20, 0, 0, 0),
        ("server_tool_use_response.txt", 9281, 97, 0, 0),
        ("stream-a-refusal.sse", 28, 106, 0, 0),
        ("stream-a-toolrefusal.sse", 28, 106, 0, 0),
        ("stream-b-fallback.sse", 31, 547, 0, 0),
        ("tool_use_response.txt", 377, 65, 0, 0),
        ("tool_use_invalid_json_response.txt", 377, 65, 0, 0),
    ];

    /// Bodies recorded by others, with the figures that their own library adds up to. They are
    /// not ours to keep: they are read from beside the project, where somebody put them.
    #[test]
    fn recorded_streams_add_up() {
        let beside = "../../shared/data/anthropic-sse-fixtures";
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(beside);
        if !folder.is_dir() {
            println!("skipped: recorded streams: ../shared/data/anthropic-sse-fixtures not found");
            return;
        }
        for (name, input, output, cache_read, cache_write) in FIXTURES {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            for text in [format!("{}\n\n", text.trim_end()), text.trim_end().to_owned()] {
                let read = rows::read_any_split(Anthropic, &text);
                let usage = read.reader.usage().unwrap_or_else(|| panic!("{name}: no usage"));
                assert!(read.reader.is_complete(), "{name}");
                let written = usage.cache_write_5m + usage.cache_write_1h;
                assert_eq!(
                    (usage.input_uncached, usage.output_tokens(), usage.cache_read, written),
                    (input, output, cache_read, cache_write),
                    "{name}"
                );
            }
        }
    }
}
