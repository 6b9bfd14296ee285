//! A chat completion, whole and in chunks.
//!
//! Written by hand rather than through a model of it: a bench waits for these lines, and a mistake
//! shared with the gateway's own reader would go unnoticed.

use std::fmt::Write as _;

use super::Speech;

/// Every choice says the same.
pub(super) fn whole(speech: &Speech) -> String {
    // Words need no escapes, and the model comes escaped.
    let text = speech.text();
    let finish = finish(speech);
    let mut body = head(speech, "chat.completion");
    for index in 0..speech.choices {
        let comma = if index > 0 { "," } else { "" };
        append(
            &mut body,
            format_args!(
                r#"{comma}{{"index":{index},"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"{finish}"}}"#
            ),
        );
    }
    body.push(']');
    if let Some(usage) = usage(speech) {
        append(&mut body, format_args!(r#","usage":{usage}"#));
    }
    body.push('}');
    body
}

/// The role of each choice.
pub(super) fn opening(speech: &Speech) -> String {
    let chunk = |choice| chunk(speech, choice, r#""role":"assistant","content":"""#, "null");
    (0..speech.choices).map(chunk).collect()
}

/// One word of one choice.
pub(super) fn frame(speech: &Speech, choice: u64, word: &str) -> String {
    chunk(speech, choice, &format!(r#""content":"{word}""#), "null")
}

/// The end of each choice, and the usage where it was asked for.
pub(super) fn closing(speech: &Speech) -> String {
    let finish = format!(r#""{}""#, finish(speech));
    let mut text: String =
        (0..speech.choices).map(|choice| chunk(speech, choice, "", &finish)).collect();
    if let Some(usage) = usage(speech).filter(|_| speech.include_usage) {
        let head = head(speech, "chat.completion.chunk");
        append(&mut text, format_args!("data: {head}],\"usage\":{usage}}}\n\n"));
    }
    text
}

/// One chunk of one choice; `delta` is the inside of its object, `finish` a JSON value.
fn chunk(speech: &Speech, choice: u64, delta: &str, finish: &str) -> String {
    let mut text = String::with_capacity(256);
    text.push_str("data: ");
    text.push_str(&head(speech, "chat.completion.chunk"));
    append(
        &mut text,
        format_args!(
            "{{\"index\":{choice},\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
        ),
    );
    text
}

/// Everything up to the bracket that opens the choices.
fn head(speech: &Speech, object: &str) -> String {
    let Speech { number, created, model, .. } = speech;
    format!(
        r#"{{"id":"chatcmpl-sim-{number}","object":"{object}","created":{created},"model":{model},"choices":["#
    )
}

/// What was used, by all choices; `None` where the fault is that nothing is said.
fn usage(speech: &Speech) -> Option<String> {
    let (input, output) = (speech.input, speech.tokens());
    let (reported, total) = (speech.reported(output)?, input.saturating_add(output));
    Some(format!(
        r#"{{"prompt_tokens":{input},"completion_tokens":{reported},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0}}}}"#
    ))
}

/// Why it ended, in this dialect's word.
fn finish(speech: &Speech) -> &'static str {
    if speech.is_capped { "length" } else { "stop" }
}

/// Writing to a string cannot fail.
fn append(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).unwrap_or_default();
}
