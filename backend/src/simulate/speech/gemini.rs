//! A `generateContent` answer, and the chunks that are each a whole one.
//!
//! Every chunk repeats the sum so far, so only the last report is the bill.

use super::{Speech, word};

/// One candidate with one part.
pub(super) fn whole(speech: &Speech) -> String {
    let text = speech.text();
    let finish = format!(r#","finishReason":"{}""#, finish(speech));
    body(speech, &text, &finish, usage(speech, speech.tokens()))
}

/// One word, and the sum so far; the first one says nothing of the output yet.
pub(super) fn frame(speech: &Speech, index: u64) -> String {
    let usage = match index {
        0 => speech.reported(0).map(|_| format!(r#"{{"promptTokenCount":{}}}"#, speech.input)),
        _ => usage(speech, index + 1),
    };
    format!("data: {}\n\n", body(speech, word(index), "", usage))
}

/// The last chunk: no more text, the reason, and the whole sum.
pub(super) fn terminal(speech: &Speech) -> String {
    let finish = format!(r#","finishReason":"{}""#, finish(speech));
    format!("data: {}\n\n", body(speech, "", &finish, usage(speech, speech.tokens())))
}

/// An answer, or a chunk: they have one shape.
fn body(speech: &Speech, text: &str, finish: &str, usage: Option<String>) -> String {
    let Speech { number, model, .. } = speech;
    let usage = usage.map(|usage| format!(r#","usageMetadata":{usage}"#)).unwrap_or_default();
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}],"role":"model"}}{finish},"index":0}}]{usage},"modelVersion":{model},"responseId":"sim-{number}"}}"#
    )
}

/// The sum so far; `None` where the fault is that there is none.
fn usage(speech: &Speech, output: u64) -> Option<String> {
    let (input, reported) = (speech.input, speech.reported(output)?);
    let total = input.saturating_add(output);
    Some(format!(
        r#"{{"promptTokenCount":{input},"candidatesTokenCount":{reported},"totalTokenCount":{total}}}"#
    ))
}

/// Why it ended, in this dialect's word.
fn finish(speech: &Speech) -> &'static str {
    if speech.is_capped { "MAX_TOKENS" } else { "STOP" }
}
