//! OpenAI chat completions, and the many that copy them.
//!
//! Nothing is translated: the payload goes out with four fields spliced, the answer comes back as
//! it is. Refuses to rebuild anything. The one idea: in a report `prompt_tokens` holds the cached
//! ones and `completion_tokens` the reasoning, so leaves are what is left after taking those out.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tollgate_shared::body::Body;
use tollgate_shared::usage::Usage;

use super::shape::CAPS;
use super::stream::{Progress, StreamError, text_bytes};
use super::{Answer, Ask, Outgoing, Untranslatable, credible, object, reply, report};

/// The payload, byte for byte but for model, cap and stream.
pub(super) fn outgoing(
    versioned: bool,
    cap_field: &'static str,
    ask: &Ask<'_>,
) -> Result<Outgoing, Untranslatable> {
    let path = if versioned { "/chat/completions" } else { "/v1/chat/completions" };
    let mut body = ask.payload.clone();
    splice(&mut body, cap_field, ask)
        .map_err(|field| Untranslatable { field: field.to_owned(), dialect: "openai" })?;
    let body = serde_json::to_vec(&body)
        .map_err(|_| Untranslatable { field: "messages".to_owned(), dialect: "openai" })?;
    Ok(Outgoing { path: path.to_owned(), headers: Vec::new(), body })
}

/// Puts model, cap and stream into the payload's own fields:
///
/// ```text
/// {"messages":[…],"max_tokens":900,"stream":true}
/// {"messages":[…],"max_tokens":64,"stream":true,"model":"gpt-4",
///  "stream_options":{"include_usage":true}}
/// ```
///
/// A failure names the field; only one that [`super::Shape`] refuses as well can fail.
fn splice(body: &mut Body, cap_field: &'static str, ask: &Ask<'_>) -> Result<(), &'static str> {
    body.set("model", ask.model).map_err(|_| "model")?;
    if let Some(cap) = ask.cap {
        let mut is_stated = false;
        for name in CAPS {
            let stated: Option<IgnoredAny> = body.read(name).map_err(|_| name)?;
            if stated.is_some() {
                body.set(name, &cap).map_err(|_| name)?;
                is_stated |= READ_BY_OPENAI.contains(&name);
            }
        }
        if !is_stated {
            body.set(cap_field, &cap).map_err(|_| cap_field)?;
        }
    }
    if ask.stream {
        // Without it a stream says nothing of what it used.
        body.set("stream", &true).map_err(|_| "stream")?;
        let mut options: Body =
            body.read("stream_options").map_err(|_| "stream_options")?.unwrap_or_default();
        options.set("include_usage", &true).map_err(|_| "stream_options")?;
        body.set("stream_options", &options).map_err(|_| "stream_options")?;
    } else {
        // OpenAI refuses options of a stream where none is asked for.
        body.remove("stream_options");
        if body.raw("stream").is_some() {
            body.set("stream", &false).map_err(|_| "stream")?;
        }
    }
    Ok(())
}

/// The answer as it came, and its usage.
pub(super) fn answer(bytes: &[u8]) -> serde_json::Result<Answer> {
    #[derive(Deserialize)]
    struct Completion<'a> {
        #[serde(rename = "choices")]
        _choices: Vec<IgnoredAny>,
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
    }
    let completion: Completion<'_> = object(bytes)?;
    let usage = usage(completion.usage);
    Ok(Answer { response: serde_json::from_slice(bytes)?, usage })
}

/// Reads a `usage` object into disjoint classes.
pub(super) fn usage(raw: Option<&RawValue>) -> Option<Usage> {
    let wire: WireUsage = report(raw)?;
    let (prompt, completion) = (wire.prompt_tokens?, wire.completion_tokens?);
    // A leaf below zero is zero and its parts are charged as reported: rather too much.
    let details = wire.prompt_tokens_details.unwrap_or_default();
    let cache_read = details.cached_tokens.or(wire.prompt_cache_hit_tokens).unwrap_or(0);
    let cache_write = details.cache_write_tokens.unwrap_or(0);
    let reasoning =
        wire.completion_tokens_details.unwrap_or_default().reasoning_tokens.unwrap_or(0);
    // Some copies leave reasoning out of `completion_tokens`; their total still has it.
    let described = prompt.saturating_add(completion);
    let outside = wire.total_tokens.unwrap_or(0).saturating_sub(described);
    credible(Usage {
        input_uncached: prompt.saturating_sub(cache_read.saturating_add(cache_write)),
        cache_read,
        cache_write_5m: cache_write,
        cache_write_1h: 0,
        output_visible: completion.saturating_add(outside).saturating_sub(reasoning),
        reasoning,
    })
}

/// The state of one stream.
#[derive(Debug, Default)]
pub(super) struct Fold {
    /// The provider's own usage chunk, kept for the client that asked for one.
    usage_data: Option<Vec<u8>>,
}

impl Fold {
    /// Takes one event: [`Progress`] learns what it says, its frame is forwarded as it came.
    pub fn event(&mut self, data: &[u8], progress: &mut Progress) -> Result<(), StreamError> {
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            progress.is_complete = true;
            progress.is_usage_final = true;
            return Ok(());
        }
        let chunk: Chunk<'_> = object(data).map_err(StreamError::unreadable)?;
        if let Some(error) = chunk.error.filter(|error| error.get() != "null") {
            return Err(StreamError::reported(error.get()));
        }
        let choices = chunk.choices.unwrap_or_default();
        let reported = chunk.usage.or(chunk.x_groq.and_then(|groq| groq.usage));
        if let Some(reported) = reported.filter(|usage| usage.get() != "null") {
            progress.usage = usage(Some(reported));
            // Running reports, as of vLLM, stand on chunks that have a choice.
            progress.is_usage_final = choices.is_empty();
            if choices.is_empty() {
                self.usage_data = Some(data.to_vec());
                return Ok(());
            }
        }
        for choice in choices {
            progress.has_content |= choice.finish_reason.is_some();
            progress.deliver(choice.delta.map_or(0, |delta| delta.bytes()));
        }
        progress.frames.push(reply::frame(data));
        Ok(())
    }

    /// The usage chunk as it came.
    pub fn usage_frame(&self) -> Option<bytes::Bytes> {
        self.usage_data.as_deref().map(reply::frame)
    }
}

/// `{"id":…,"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}`
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    /// Where Groq's older streams report.
    x_groq: Option<Groq<'a>>,
}

#[derive(Deserialize)]
struct Groq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    finish_reason: Option<IgnoredAny>,
}

/// The fields of a delta that hold what the model made.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    refusal: Option<&'a RawValue>,
    reasoning: Option<&'a RawValue>,
    reasoning_content: Option<&'a RawValue>,
    function_call: Option<&'a RawValue>,
    tool_calls: Option<&'a RawValue>,
    audio: Option<&'a RawValue>,
}

impl Delta<'_> {
    /// What the model made of it, in bytes.
    fn bytes(&self) -> u64 {
        [
            self.content,
            self.refusal,
            // Some send the same text under both names.
            self.reasoning_content.or(self.reasoning),
            self.function_call,
            self.tool_calls,
            self.audio,
        ]
        .into_iter()
        .flatten()
        .map(text_bytes)
        .sum()
    }
}

/// The report: two totals, and what is inside each of them.
#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    /// Read only to find output that the other counts leave out.
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's word for cached ones.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    /// A raw count, though a token of it costs more; its lifetime is not told.
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

/// The spellings that bound an answer at OpenAI itself.
const READ_BY_OPENAI: [&str; 2] = ["max_tokens", "max_completion_tokens"];

#[cfg(test)]
mod tests {
    use tollgate_shared::provider::Dialect::Openai;

    use super::super::rows;
    use super::*;

    fn spliced(text: &str, cap: Option<u64>, stream: bool) -> String {
        let payload = rows::payload(text);
        let ask = Ask { cap, stream, ..rows::ask(&payload) };
        String::from_utf8(outgoing(false, "max_tokens", &ask).unwrap().body).unwrap()
    }

    #[test]
    fn only_model_cap_and_stream_are_spliced() {
        let rest = r#""messages":[{"role":"user",  "content":"\u00e9"}],"seed":12345678901234567890123,"top_p":1.10"#;
        let text = format!(r#"{{{rest},"model":"alias"}}"#);
        assert_eq!(
            spliced(&text, Some(64), false),
            format!(r#"{{{rest},"model":"m-1","max_tokens":64}}"#)
        );
    }

    #[test]
    fn every_spelling_of_the_cap_agrees() {
        let rows = [
            (r#""max_tokens":9"#, Some(5), false, r#""max_tokens":5,"model":"m-1""#),
            (
                r#""max_completion_tokens":9"#,
                Some(5),
                false,
                r#""max_completion_tokens":5,"model":"m-1""#,
            ),
            (
                r#""max_completion_tokens":9,"max_tokens":7"#,
                Some(5),
                false,
                r#""max_completion_tokens":5,"max_tokens":5,"model":"m-1""#,
            ),
            (
                r#""maxOutputTokens":9"#,
                Some(5),
                false,
                r#""maxOutputTokens":5,"model":"m-1","max_tokens":5"#,
            ),
            (r#""max_tokens":null"#, Some(5), false, r#""max_tokens":5,"model":"m-1""#),
            (r#""max_tokens":9"#, None, false, r#""max_tokens":9,"model":"m-1""#),
            (r#""n":2"#, None, false, r#""n":2,"model":"m-1""#),
            (
                r#""stream":true,"stream_options":{"include_usage":true}"#,
                None,
                false,
                r#""stream":false,"model":"m-1""#,
            ),
            (
                r#""n":1"#,
                None,
                true,
                r#""n":1,"model":"m-1","stream":true,"stream_options":{"include_usage":true}"#,
            ),
            (
                r#""stream_options":{"include_usage":false,"include_obfuscation":false}"#,
                None,
                true,
                r#""stream_options":{"include_usage":true,"include_obfuscation":false},"model":"m-1","stream":true"#,
            ),
        ];
        for (fields, cap, stream, expected) in rows {
            assert_eq!(spliced(&format!("{{{fields}}}"), cap, stream), format!("{{{expected}}}"));
        }
    }

    #[test]
    fn usage_is_read_into_leaves_or_not_at_all() {
        let leaves = |input, read, write, visible, reasoning| {
            Some(Usage {
                input_uncached: input,
                cache_read: read,
                cache_write_5m: write,
                cache_write_1h: 0,
                output_visible: visible,
                reasoning,
            })
        };
        let rows = [
            (r#"{"prompt_tokens":10,"completion_tokens":5}"#, leaves(10, 0, 0, 5, 0)),
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#,
                leaves(10, 0, 0, 5, 0),
            ),
            (
                r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
                "prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":30,"audio_tokens":0},
                "completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":0}}"#,
                leaves(10, 60, 30, 30, 20),
            ),
            (
                r#"{"prompt_tokens":100,"completion_tokens":5,"prompt_tokens_details":null,
                "prompt_cache_hit_tokens":70,"prompt_cache_miss_tokens":30}"#,
                leaves(30, 70, 0, 5, 0),
            ),
            // More cached than prompted: the leaf is 0, the rest is charged as reported.
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":12}}"#,
                leaves(0, 12, 0, 5, 0),
            ),
            // Reasoning beside `completion_tokens`, as the total shows.
            (
                r#"{"prompt_tokens":10,"completion_tokens":9,"total_tokens":319,
                "completion_tokens_details":{"reasoning_tokens":300}}"#,
                leaves(10, 0, 0, 9, 300),
            ),
            (r#"{"prompt_tokens":0,"completion_tokens":0}"#, leaves(0, 0, 0, 0, 0)),
            ("null", None),
            ("{}", None),
            ("[10,5,15]", None),
            ("\"15\"", None),
            (r#"{"prompt_tokens":10}"#, None),
            (r#"{"prompt_tokens":10,"completion_tokens":null}"#, None),
            (r#"{"prompt_tokens":10,"completion_tokens":-5}"#, None),
            (r#"{"prompt_tokens":10,"completion_tokens":5.5}"#, None),
            (r#"{"prompt_tokens":10,"completion_tokens":1e308}"#, None),
            (r#"{"prompt_tokens":10,"completion_tokens":"5"}"#, None),
            (r#"{"prompt_tokens":10,"completion_tokens":18446744073709551615}"#, None),
            (r#"{"prompt_tokens":10,"completion_tokens":5,"completion_tokens":6}"#, None),
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":-1}}"#,
                None,
            ),
        ];
        for (text, expected) in rows {
            let body = format!(r#"{{"choices":[],"usage":{text}}}"#);
            assert_eq!(rows::answered(Openai, &body).1, expected, "{text}");
        }
        assert_eq!(rows::answered(Openai, r#"{"choices":[]}"#).1, None);
    }

    #[test]
    fn an_answer_is_forwarded_as_it_came() {
        let body = "{ \"id\":\"x\", \"choices\":[ ], \"cost\":1.10, \"new\":{\"b\":1,\"a\":2} }";
        let answer = answer(body.as_bytes()).unwrap();
        assert_eq!(answer.response.get(), body);
    }

    const ROLE: &str = r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#;
    const TEXT: &str = r#"{"id":"c","choices":[{"index":0,"delta":{"content":"héllo"},"finish_reason":null}],"usage":null}"#;
    const STOP: &str =
        r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#;
    const USAGE: &str = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#;

    #[test]
    fn a_stream_flows_but_for_its_usage_and_its_end() {
        let text = rows::events(&[ROLE, TEXT, STOP, USAGE, "[DONE] "]);
        let read = rows::read_any_split(Openai, &text);
        assert_eq!(read.frames.concat(), rows::events(&[ROLE, TEXT, STOP]).as_bytes());
        assert_eq!(read.reader.usage(), Some(Usage::plain(7, 3)));
        assert_eq!(read.reader.delivered_bytes(), 6);
        assert!(read.reader.is_complete() && read.reader.is_over());
        assert_eq!(read.reader.tail(true).concat(), rows::events(&[USAGE, "[DONE]"]).as_bytes());
        assert_eq!(read.reader.tail(false).concat(), rows::events(&["[DONE]"]).as_bytes());
    }

    #[test]
    fn usage_counts_wherever_it_stands() {
        let on_last = r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
        let running = r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":7,"completion_tokens":1}}"#;
        let groq = r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":7,"completion_tokens":3}}}"#;
        let negative = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":-3}}"#;
        let filter = r#"{"choices":[],"prompt_filter_results":[]}"#;
        let known = Some(Usage::plain(7, 3));
        let rows: [(&[&str], Option<Usage>, Option<Usage>); 10] = [
            (&[TEXT, on_last, "[DONE]"], known, known),
            (&[TEXT, groq, "[DONE]"], known, known),
            (&[filter, TEXT, STOP, USAGE, "[DONE]"], known, known),
            (&[running, STOP, USAGE, "[DONE]"], known, known),
            // Cut: a running report is no final one, the usage chunk is.
            (&[running], None, Some(Usage::plain(7, 1))),
            (&[TEXT, STOP, USAGE], known, known),
            (&[TEXT, STOP], None, None),
            (&[TEXT, STOP, "[DONE]"], None, None),
            (&[TEXT, STOP, negative, "[DONE]"], None, None),
            // Nothing counts after the end.
            (&[TEXT, STOP, USAGE, "[DONE]", negative, "[DONE]", "garbage"], known, known),
        ];
        for (data, last, partial) in rows {
            let read = rows::read_any_split(Openai, &rows::events(data));
            assert_eq!(read.reader.usage(), last, "{data:?}");
            assert_eq!(read.reader.partial_usage(), partial, "{data:?}");
        }
    }

    #[test]
    fn everything_the_model_makes_is_counted() {
        let rows = [
            (r#"{"content":"abc"}"#, 3),
            (r#"{"content":"\u00e9\n"}"#, 3),
            (r#"{"content":null,"refusal":"no"}"#, 2),
            (r#"{"reasoning_content":"hm","reasoning":"hm"}"#, 2),
            (r#"{"tool_calls":[1]}"#, 3),
            (r#"{"content":[{"type":"text"}]}"#, 17),
            (r#"{"role":"assistant"}"#, 0),
        ];
        for (delta, bytes) in rows {
            let text = rows::events(&[&format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#)]);
            assert_eq!(rows::read(Openai, [text.as_bytes()]).reader.delivered_bytes(), bytes);
        }
    }
}
