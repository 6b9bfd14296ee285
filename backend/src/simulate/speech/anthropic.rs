//! A message, whole and as named events.
//!
//! A stream reports twice, as the real one does: at its start the input with an output that is
//! provisional, at its end the output alone.

use super::Speech;

/// One block of text.
pub(super) fn whole(speech: &Speech) -> String {
    let (head, text, finish) = (head(speech), speech.text(), finish(speech));
    let usage = usage(speech, speech.tokens())
        .map(|usage| format!(r#","usage":{usage}"#))
        .unwrap_or_default();
    format!(
        r#"{{{head},"content":[{{"type":"text","text":"{text}"}}],"stop_reason":"{finish}","stop_sequence":null{usage}}}"#
    )
}

/// The input, with an output that is provisional, and the first block.
pub(super) fn opening(speech: &Speech) -> String {
    let head = head(speech);
    let usage = usage(speech, 1).map(|usage| format!(r#","usage":{usage}"#)).unwrap_or_default();
    let start = format!(
        r#"{{"type":"message_start","message":{{{head},"content":[],"stop_reason":null,"stop_sequence":null{usage}}}}}"#
    );
    let block =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    [
        event("message_start", &start),
        event("content_block_start", block),
        event("ping", r#"{"type":"ping"}"#),
    ]
    .concat()
}

/// One word.
pub(super) fn frame(word: &str) -> String {
    let delta = format!(
        r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{word}"}}}}"#
    );
    event("content_block_delta", &delta)
}

/// The end of the block, the reason, and the output so far, which is all of it.
pub(super) fn closing(speech: &Speech) -> String {
    let finish = finish(speech);
    let usage = speech
        .reported(speech.tokens())
        .map(|output| format!(r#","usage":{{"output_tokens":{output}}}"#))
        .unwrap_or_default();
    let delta = format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{finish}","stop_sequence":null}}{usage}}}"#
    );
    let stop = event("content_block_stop", r#"{"type":"content_block_stop","index":0}"#);
    [stop, event("message_delta", &delta)].concat()
}

/// Every event has its name: clients drop those that have none.
fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// What a message says of itself, without the braces.
fn head(speech: &Speech) -> String {
    let Speech { number, model, .. } = speech;
    format!(r#""id":"msg_sim_{number}","type":"message","role":"assistant","model":{model}"#)
}

/// A whole report; `None` where the fault is that there is none.
fn usage(speech: &Speech, output: u64) -> Option<String> {
    let (input, reported) = (speech.input, speech.reported(output)?);
    Some(format!(
        r#"{{"input_tokens":{input},"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":{reported},"service_tier":"standard"}}"#
    ))
}

/// Why it ended, in this dialect's word.
fn finish(speech: &Speech) -> &'static str {
    if speech.is_capped { "max_tokens" } else { "end_turn" }
}

/// The last event.
pub(super) const TERMINAL: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
