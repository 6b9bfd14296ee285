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
pub(super) fn outgoing(versioned: bool, ask: &Ask<'_>) -> Result<Outgoing, Untranslatable> {
    let path = if versioned { "/chat/completions" } else { "/v1/chat/completions" };
    let mut body = ask.payload.clone();
    splice(&mut body, ask)
        .map_err(|field| Untranslatable { field: field.to_owned(), dialect: "openai" })?;
    let body = serde_json::to_vec(&body)
        .map_err(|_| Untranslatable { field: "messages".to_owned(), dialect: "openai" })?;
    Ok(Outgoing { path: path.to_owned(), headers: Vec::new(), body })
}

fn splice(body: &mut Body, ask: &Ask<'_>) -> Result<(), &'static str> {
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
        // Where the caller stated none, the spelling that every copy of the dialect reads.
        if !is_stated {
            body.set("max_tokens", &cap).map_err(|_| "max_tokens")?;
        }
    }
    if ask.stream {
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

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
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

#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's word for cached ones.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

/// The spellings that bound an answer at OpenAI itself.
const READ_BY_OPENAI: [&str; 2] = ["max_tokens", "max_completion_tokens"];
