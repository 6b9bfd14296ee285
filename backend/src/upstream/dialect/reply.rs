//! The OpenAI chat answer, whole and in chunks, as we write it for other dialects.
//!
//! Refuses to know how those dialects said it. The one idea: client libraries build objects
//! without checking them and fail where user code touches a gap, so every field they know is
//! there, null where there is nothing to say.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tollgate_shared::usage::Usage;

use super::Stamp;

/// What every piece of one answer repeats.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub id: String,
    pub created: i64,
    pub model: String,
}

impl Head {
    /// The name of an answer whose provider may not name it.
    pub fn of(stamp: &Stamp<'_>) -> Self {
        Self {
            id: format!("chatcmpl-{}", stamp.id),
            created: stamp.created,
            model: stamp.model.to_string(),
        }
    }

    /// Takes the provider's own id and model where it states them.
    pub fn named(mut self, id: Option<String>, model: Option<String>) -> Self {
        self.id = id.filter(|id| !id.is_empty()).unwrap_or(self.id);
        self.model = model.filter(|model| !model.is_empty()).unwrap_or(self.model);
        self
    }

    /// One chunk of a stream, framed.
    pub fn chunk(&self, delta: &Delta<'_>, finish: Option<Finish>) -> Bytes {
        let choice = ChunkChoice { index: 0, delta, logprobs: (), finish_reason: finish };
        self.framed(std::slice::from_ref(&choice), None)
    }

    /// The chunk that tells the usage, framed: it has no choices.
    pub fn usage_chunk(&self, usage: &Usage) -> Bytes {
        self.framed(&[], Some(usage.into()))
    }

    /// A chunk with these choices and this usage, framed.
    fn framed(&self, choices: &[ChunkChoice<'_>], usage: Option<WireUsage>) -> Bytes {
        let chunk = Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage,
        };
        frame(&serde_json::to_vec(&chunk).unwrap_or_default())
    }

    /// A whole answer.
    pub fn completion(
        &self,
        said: &Said,
        usage: Option<&Usage>,
    ) -> serde_json::Result<Box<RawValue>> {
        let calls: Vec<WireCall<'_>> = said.calls.iter().map(WireCall::of).collect();
        serde_json::value::to_raw_value(&Completion {
            id: &self.id,
            object: "chat.completion",
            created: self.created,
            model: &self.model,
            choices: [CompletionChoice {
                index: 0,
                message: Message {
                    role: "assistant",
                    content: (!said.text.is_empty() || calls.is_empty()).then_some(&said.text),
                    refusal: (),
                    tool_calls: (!calls.is_empty()).then_some(calls),
                },
                logprobs: (),
                finish_reason: said.finish,
            }],
            usage: usage.map(WireUsage::from),
        })
    }
}

/// What the model said, whole.
#[derive(Debug)]
pub(super) struct Said {
    /// All of it that is text; null on the wire where there are only calls.
    pub text: String,
    pub calls: Vec<SaidCall>,
    pub finish: Finish,
}

/// A call the model makes; `arguments` is JSON text, as OpenAI has it.
#[derive(Debug)]
pub(super) struct SaidCall {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finish {
    /// It was done, or met a text to stop at.
    Stop,
    /// The cap, or the window, was reached.
    Length,
    /// It waits for results of its calls.
    ToolCalls,
    /// Somebody's rules forbade more.
    ContentFilter,
}

/// What one chunk adds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<[CallDelta<'a>; 1]>,
}

impl<'a> Delta<'a> {
    /// The first one of every answer.
    pub fn role() -> Self {
        Self { role: Some("assistant"), content: Some(""), tool_calls: None }
    }

    /// More text.
    pub fn text(text: &'a str) -> Self {
        Self { content: Some(text), ..Self::default() }
    }

    /// The begin of the call number `index`, with as much of its arguments as is known.
    pub fn call(index: u64, call: &'a SaidCall) -> Self {
        let function = FunctionDelta { name: Some(&call.name), arguments: &call.arguments };
        let call = CallDelta { index, id: Some(&call.id), kind: Some("function"), function };
        Self { tool_calls: Some([call]), ..Self::default() }
    }

    /// More of its arguments.
    pub fn arguments(index: u64, arguments: &'a str) -> Self {
        let function = FunctionDelta { name: None, arguments };
        let call = CallDelta { index, id: None, kind: None, function };
        Self { tool_calls: Some([call]), ..Self::default() }
    }
}

/// A piece of a call: the first one names it, the others only go on.
#[derive(Debug, Serialize)]
pub(super) struct CallDelta<'a> {
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: FunctionDelta<'a>,
}

/// The function's name, once, and a piece of its arguments.
#[derive(Debug, Serialize)]
struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

/// `data` as one event, a line of `data:` for each of its lines.
pub(super) fn frame(data: &[u8]) -> Bytes {
    let mut framed = Vec::with_capacity(data.len() + 8);
    for line in data.split(|byte| *byte == b'\n') {
        framed.extend_from_slice(b"data: ");
        framed.extend_from_slice(line);
        framed.push(b'\n');
    }
    framed.push(b'\n');
    framed.into()
}

/// An error inside a stream. OpenAI's libraries raise it; what follows is never `[DONE]`.
pub(super) fn error_frame(message: &str) -> Bytes {
    #[derive(Serialize)]
    struct Body<'a> {
        error: Fault<'a>,
    }
    #[derive(Serialize)]
    struct Fault<'a> {
        message: &'a str,
        r#type: &'static str,
        param: (),
        code: &'static str,
    }
    let error = Fault { message, r#type: "upstream_error", param: (), code: "upstream_broken" };
    frame(&serde_json::to_vec(&Body { error }).unwrap_or_default())
}

/// ```json
/// {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m",
///  "choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}]}
/// ```
#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: &'a [ChunkChoice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

/// The one choice of a chunk; `()` is written as null.
#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: u64,
    delta: &'a Delta<'a>,
    logprobs: (),
    finish_reason: Option<Finish>,
}

/// ```json
/// {"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m",
///  "choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},
///    "logprobs":null,"finish_reason":"stop"}],
///  "usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4, … }}
/// ```
#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: [CompletionChoice<'a>; 1],
    usage: Option<WireUsage>,
}

/// The one choice of a whole answer.
#[derive(Serialize)]
struct CompletionChoice<'a> {
    index: u64,
    message: Message<'a>,
    logprobs: (),
    finish_reason: Finish,
}

/// What was said.
#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a String>,
    /// OpenAI's own way to refuse; others end with `content_filter`.
    refusal: (),
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<WireCall<'a>>>,
}

/// A whole call.
#[derive(Serialize)]
struct WireCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: FunctionDelta<'a>,
}

impl<'a> WireCall<'a> {
    fn of(call: &'a SaidCall) -> Self {
        let function = FunctionDelta { name: Some(&call.name), arguments: &call.arguments };
        Self { id: &call.id, r#type: "function", function }
    }
}

/// OpenAI's report: totals, and what is inside them.
#[derive(Serialize)]
struct WireUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

/// What is inside the input.
#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    /// Both lifetimes together.
    cache_write_tokens: u64,
}

/// What is inside the output.
#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl From<&Usage> for WireUsage {
    fn from(usage: &Usage) -> Self {
        let (prompt_tokens, completion_tokens) = (usage.input_tokens(), usage.output_tokens());
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            prompt_tokens_details: PromptDetails {
                cached_tokens: usage.cache_read,
                cache_write_tokens: usage.cache_write_5m.saturating_add(usage.cache_write_1h),
            },
            completion_tokens_details: CompletionDetails { reasoning_tokens: usage.reasoning },
        }
    }
}
