//! Anthropic messages.
//!
//! System messages are lifted, results of calls become part of the user's turn, a cap is always
//! stated. Refuses to know prompt caching and thinking, which the OpenAI shape cannot ask for.
//! The one idea of its reports: `input_tokens` excludes both cache classes, and in a stream each
//! field counts as it was last reported, never as a sum of reports.

mod fold;
mod usage;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::chat::{Chat, Part, Reader, Tool, ToolChoice, Turn};
use super::reply::{Finish, Head, Said, SaidCall};
use super::{Answer, Ask, Outgoing, Stamp, Untranslatable, object, report};

pub(super) use fold::Fold;
use usage::WireUsage;

/// The request, built anew.
pub(super) fn outgoing(versioned: bool, ask: &Ask<'_>) -> Result<Outgoing, Untranslatable> {
    let path = if versioned { "/messages" } else { "/v1/messages" };
    let reader = Reader { dialect: "anthropic" };
    let chat = reader.chat(ask)?;
    let request = Request {
        model: ask.model.as_str(),
        max_tokens: chat.cap.unwrap_or(ask.output_at_most),
        system: chat.system.iter().filter_map(|text| block(text)).collect(),
        messages: messages(&chat),
        tools: chat.tools.iter().map(WireTool::of).collect(),
        tool_choice: tool_choice(&chat),
        temperature: chat.temperature.as_deref(),
        top_p: chat.top_p.as_deref(),
        stop_sequences: &chat.stop,
        metadata: chat.user.as_deref().map(|user_id| Metadata { user_id }),
        stream: ask.stream,
    };
    let body = serde_json::to_vec(&request).map_err(|_| reader.refuse("messages"))?;
    Ok(Outgoing {
        path: path.to_owned(),
        headers: vec![("anthropic-version", VERSION.to_owned())],
        body,
    })
}

/// The conversation. Turns of one role in a row become one message, because all results of a
/// turn's calls must stand in the message that follows it.
fn messages(chat: &Chat) -> Vec<Message<'_>> {
    let mut messages: Vec<Message<'_>> = Vec::new();
    for turn in &chat.turns {
        let (role, blocks): (_, Vec<Block<'_>>) = match turn {
            Turn::User(parts) => ("user", parts.iter().filter_map(part).collect()),
            Turn::Assistant { text, calls } => {
                let calls = calls.iter().map(|call| Block::ToolUse {
                    id: &call.id,
                    name: &call.name,
                    input: &call.arguments,
                });
                ("assistant", text.iter().filter_map(|text| block(text)).chain(calls).collect())
            }
            Turn::Tool { call_id, text } => {
                ("user", vec![Block::ToolResult { tool_use_id: call_id, content: text }])
            }
        };
        match messages.last_mut() {
            Some(last) if last.role == role => last.content.extend(blocks),
            _ => messages.push(Message { role, content: blocks }),
        }
    }
    messages
}

fn part(part: &Part) -> Option<Block<'_>> {
    match part {
        Part::Text(text) => block(text),
        Part::Image { media_type, base64 } => {
            Some(Block::Image { source: Source::Base64 { media_type, data: base64 } })
        }
        Part::ImageUrl { url, .. } => Some(Block::Image { source: Source::Url { url } }),
    }
}

/// A block of text; empty ones are refused over there, and say nothing.
fn block(text: &str) -> Option<Block<'_>> {
    (!text.is_empty()).then_some(Block::Text { text })
}

fn tool_choice(chat: &Chat) -> Option<WireChoice<'_>> {
    let (kind, name) = match &chat.tool_choice {
        Some(ToolChoice::None) => return Some(WireChoice::of("none")),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Function(name)) => ("tool", Some(name.as_str())),
        Some(ToolChoice::Auto) => ("auto", None),
        None if chat.parallel == Some(false) && !chat.tools.is_empty() => ("auto", None),
        None => return None,
    };
    let serial = (chat.parallel == Some(false)).then_some(true);
    Some(WireChoice { name, disable_parallel_tool_use: serial, ..WireChoice::of(kind) })
}

/// The answer in the OpenAI shape.
pub(super) fn answer(stamp: &Stamp<'_>, bytes: &[u8]) -> serde_json::Result<Answer> {
    let message: Answered<'_> = object(bytes)?;
    let mut said = Said {
        text: String::new(),
        calls: Vec::new(),
        finish: finish(message.stop_reason.as_deref()),
    };
    for block in message.content {
        match block.kind.as_deref() {
            Some("text") => said.text.push_str(&block.text.unwrap_or_default()),
            Some("tool_use") => said.calls.push(block.call()),
            _ => {}
        }
    }
    let usage = report::<WireUsage>(message.usage).and_then(|wire| wire.usage());
    let head = Head::of(stamp).named(message.id, message.model);
    Ok(Answer { response: head.completion(&said, usage.as_ref())?, usage })
}

fn finish(stop_reason: Option<&str>) -> Finish {
    match stop_reason {
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("tool_use") => Finish::ToolCalls,
        Some("refusal") => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: &'a str },
    Image { source: Source<'a> },
    ToolUse { id: &'a str, name: &'a str, input: &'a RawValue },
    ToolResult { tool_use_id: &'a str, content: &'a str },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

#[derive(Serialize)]
struct WireTool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: &'a RawValue,
}

impl<'a> WireTool<'a> {
    fn of(tool: &'a Tool) -> Self {
        Self {
            name: &tool.name,
            description: tool.description.as_deref(),
            input_schema: &tool.parameters,
        }
    }
}

#[derive(Serialize)]
struct WireChoice<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

impl WireChoice<'_> {
    fn of(kind: &'static str) -> Self {
        Self { r#type: kind, name: None, disable_parallel_tool_use: None }
    }
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

#[derive(Deserialize)]
struct Answered<'a> {
    id: Option<String>,
    model: Option<String>,
    stop_reason: Option<String>,
    #[serde(borrow)]
    content: Vec<AnsweredBlock<'a>>,
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct AnsweredBlock<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    text: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<&'a RawValue>,
}

impl AnsweredBlock<'_> {
    fn call(self) -> SaidCall {
        SaidCall {
            id: self.id.unwrap_or_default(),
            name: self.name.unwrap_or_default(),
            arguments: self.input.map_or("{}", RawValue::get).to_owned(),
        }
    }
}

/// The version whose requests and answers are written here.
const VERSION: &str = "2023-06-01";
