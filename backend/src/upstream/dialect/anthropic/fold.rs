//! An Anthropic stream, event by event.
//!
//! Refuses to know bytes and lines. The one idea: an event is known by the `type` in its data;
//! one that is not known is passed over with whatever usage it carries, because only
//! `message_start` and `message_delta` report.

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

fn say(text: Option<&str>, head: &Head, progress: &mut Progress) {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return };
    progress.deliver(text.len() as u64);
    progress.frames.push(head.chunk(&Delta::text(text), None));
}

/// Reads a part of an event as `T`; absent and null are none, a wrong form is an error.
fn part<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> serde_json::Result<Option<T>> {
    raw.map_or(Ok(None), |raw| serde_json::from_str(raw.get()))
}

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

#[derive(Deserialize)]
struct Started<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MessageDelta<'a> {
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
}

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
