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

/// The request, built anew:
///
/// ```json
/// {"model":"claude-x","max_tokens":64,"system":[{"type":"text","text":"be brief"}],
///  "messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}
/// ```
pub(super) fn outgoing(versioned: bool, ask: &Ask<'_>) -> Result<Outgoing, Untranslatable> {
    let path = if versioned { "/messages" } else { "/v1/messages" };
    let reader = Reader { dialect: "anthropic" };
    let chat = reader.chat(ask)?;
    if chat.temperature.as_deref().is_some_and(is_too_warm) {
        return Err(reader.refuse("temperature"));
    }
    let request = Request {
        model: ask.model.as_str(),
        max_tokens: chat.cap.unwrap_or(ask.output_at_most),
        system: chat.system.iter().filter_map(|text| block(text)).collect(),
        messages: messages(&chat),
        // Absent is not empty: an empty list would be a statement.
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

/// Whether a temperature is beyond this dialect's scale, which ends at 1 where OpenAI's ends at 2.
fn is_too_warm(literal: &RawValue) -> bool {
    serde_json::from_str::<f64>(literal.get()).is_ok_and(|temperature| temperature > 1.0)
}

/// The conversation. Turns of one role in a row become one message, because all results of a
/// turn's calls must stand in the message that follows it.
fn messages(chat: &Chat) -> Vec<Message<'_>> {
    let mut messages: Vec<Message<'_>> = Vec::new();
    for turn in &chat.turns {
        // Calls follow the text that announces them.
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
            Turn::Tool { call_id, text, .. } => {
                ("user", vec![Block::ToolResult { tool_use_id: call_id, content: text }])
            }
        };
        // The roles must alternate.
        match messages.last_mut() {
            Some(last) if last.role == role => last.content.extend(blocks),
            _ => messages.push(Message { role, content: blocks }),
        }
    }
    messages
}

/// A part of a user's message; nothing of an empty text.
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

/// Which tool to use. That calls may not be parallel is said here, so a choice is stated for it
/// even where the caller stated none.
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

/// The answer in the OpenAI shape: blocks of text run together, calls stand beside them. Shown
/// reasoning and blocks of the provider's own tools have no place there.
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

/// Why it stopped; a reason not invented yet is a plain end.
fn finish(stop_reason: Option<&str>) -> Finish {
    match stop_reason {
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("tool_use") => Finish::ToolCalls,
        Some("refusal") => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

/// What goes out. Only fields that the payload spoke of are there.
#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    /// Must be there; reasoning counts in it.
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// Every system message of the conversation, a block each.
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The caller's literal, as are the next.
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

/// One turn; roles alternate between `user` and `assistant`.
#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

/// A piece of a turn, told apart by its `type`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    /// A call the model made; its input is an object, where OpenAI has a text.
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: &'a RawValue,
    },
    /// What the caller's tool answered.
    ToolResult {
        tool_use_id: &'a str,
        content: &'a str,
    },
}

/// Where a picture is.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

/// A tool; its schema is the caller's text.
#[derive(Serialize)]
struct WireTool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: &'a RawValue,
}

impl<'a> WireTool<'a> {
    /// The tool as this dialect spells it.
    fn of(tool: &'a Tool) -> Self {
        Self {
            name: &tool.name,
            description: tool.description.as_deref(),
            input_schema: &tool.parameters,
        }
    }
}

/// `{"type":"tool","name":"look","disable_parallel_tool_use":true}`
#[derive(Serialize)]
struct WireChoice<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// OpenAI's `parallel_tool_calls`, the other way round.
    disable_parallel_tool_use: Option<bool>,
}

impl WireChoice<'_> {
    /// A kind by itself.
    fn of(kind: &'static str) -> Self {
        Self { r#type: kind, name: None, disable_parallel_tool_use: None }
    }
}

/// The end user, the only thing this dialect keeps beside a request.
#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

/// A whole answer; without `content` it is none.
#[derive(Deserialize)]
struct Answered<'a> {
    /// The provider's own id and model name, which the answer keeps.
    id: Option<String>,
    model: Option<String>,
    /// Null only in a stream's start.
    stop_reason: Option<String>,
    #[serde(borrow)]
    content: Vec<AnsweredBlock<'a>>,
    usage: Option<&'a RawValue>,
}

/// A block of an answer; which fields it has depends on its `type`.
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
    /// A `tool_use` as a call; the input's text goes on unchanged, digits and all.
    fn call(self) -> SaidCall {
        SaidCall {
            id: self.id.unwrap_or_default(),
            name: self.name.unwrap_or_default(),
            arguments: self.input.map_or("{}", RawValue::get).to_owned(),
        }
    }
}

/// The version whose requests and answers are written here.
pub(super) const VERSION: &str = "2023-06-01";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tollgate_shared::provider::Dialect::Anthropic;
    use tollgate_shared::usage::Usage;

    use super::super::rows;

    fn sent(text: &str) -> Value {
        rows::sent(Anthropic, text, None).unwrap()
    }

    #[test]
    fn a_plain_question_is_built_anew() {
        let body = sent(
            r#"{"model":"alias","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"},
            {"role":"developer","content":[{"type":"text","text":"and kind"}]}],
            "temperature":0.70,"top_p":1,"stop":"END","user":"u-1","n":1,"logprobs":false,
            "presence_penalty":0,"response_format":{ "type": "text" },"stream":false}"#,
        );
        assert_eq!(
            body,
            json!({"model":"m-1","max_tokens":4096,
                "system":[{"type":"text","text":"be brief"},{"type":"text","text":"and kind"}],
                "messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],
                "temperature":0.7,"top_p":1,"stop_sequences":["END"],"metadata":{"user_id":"u-1"}})
        );
    }

    #[test]
    fn a_cap_is_always_stated() {
        let question = r#"{"messages":[{"role":"user","content":"hi"}]"#;
        let rows = [
            ("", None, 4096),
            ("", Some(64), 64),
            (r#","max_tokens":100"#, None, 100),
            (r#","max_tokens":100,"max_completion_tokens":90"#, None, 90),
            (r#","max_tokens":100"#, Some(64), 64),
        ];
        for (fields, cap, expected) in rows {
            let body = rows::sent(Anthropic, &format!("{question}{fields}}}"), cap).unwrap();
            assert_eq!(body["max_tokens"], expected, "{fields}");
        }
    }

    #[test]
    fn tools_and_their_results_are_carried() {
        let body = sent(
            r#"{"messages":[{"role":"user","content":"weather?"},
            {"role":"assistant","content":"","refusal":null,"tool_calls":[
              {"id":"c1","type":"function","function":{"name":"look","arguments":"{\"at\": 1.10}"}},
              {"id":"c2","type":"function","function":{"name":"look","arguments":""}}]},
            {"role":"tool","tool_call_id":"c1","content":"rain"},
            {"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"sun"}]},
            {"role":"user","content":"so?"}],
            "tools":[{"type":"function","function":{"name":"look","description":"d","parameters":{"type":"object"},"strict":false}},
              {"type":"function","function":{"name":"nop"}}],
            "tool_choice":"required","parallel_tool_calls":false}"#,
        );
        assert_eq!(
            body["messages"],
            json!([
                {"role":"user","content":[{"type":"text","text":"weather?"}]},
                {"role":"assistant","content":[
                    {"type":"tool_use","id":"c1","name":"look","input":{"at":1.10}},
                    {"type":"tool_use","id":"c2","name":"look","input":{}}]},
                {"role":"user","content":[
                    {"type":"tool_result","tool_use_id":"c1","content":"rain"},
                    {"type":"tool_result","tool_use_id":"c2","content":"sun"},
                    {"type":"text","text":"so?"}]}
            ])
        );
        assert_eq!(
            body["tools"],
            json!([{"name":"look","description":"d","input_schema":{"type":"object"}},
                {"name":"nop","input_schema":{"type":"object","properties":{}}}])
        );
        assert_eq!(body["tool_choice"], json!({"type":"any","disable_parallel_tool_use":true}));
    }

    #[test]
    fn a_choice_of_tool_is_carried() {
        let rows = [
            (r#""auto""#, json!({"type":"auto"})),
            (r#""none""#, json!({"type":"none"})),
            (r#""required""#, json!({"type":"any"})),
            (r#"{"type":"function","function":{"name":"f"}}"#, json!({"type":"tool","name":"f"})),
        ];
        for (choice, expected) in rows {
            let text = format!(
                r#"{{"messages":[],"tools":[{{"type":"function","function":{{"name":"f"}}}}],"tool_choice":{choice}}}"#
            );
            assert_eq!(sent(&text)["tool_choice"], expected);
        }
    }

    #[test]
    fn pictures_are_carried() {
        let body = sent(
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"what?"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"auto"}},
            {"type":"image_url","image_url":{"url":"https://h/x.png"}}]}]}"#,
        );
        assert_eq!(
            body["messages"][0]["content"],
            json!([{"type":"text","text":"what?"},
                {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},
                {"type":"image","source":{"type":"url","url":"https://h/x.png"}}])
        );
    }

    #[test]
    fn what_cannot_be_carried_is_named() {
        let rows = [
            (r#""n":2"#, "n"),
            (r#""logprobs":true"#, "logprobs"),
            (r#""seed":1"#, "seed"),
            (r#""logit_bias":{"1":2}"#, "logit_bias"),
            (r#""frequency_penalty":0.5"#, "frequency_penalty"),
            (r#""response_format":{"type":"json_object"}"#, "response_format"),
            (r#""reasoning_effort":"high""#, "reasoning_effort"),
            (r#""prediction":{}"#, "prediction"),
            (r#""audio":{}"#, "audio"),
            (r#""modalities":["audio"]"#, "modalities"),
            (r#""temperature":"hot""#, "temperature"),
            (r#""temperature":1.01"#, "temperature"),
            (r#""stop":7"#, "stop"),
            (r#""functions":[{"name":"f"}]"#, "functions"),
            (r#""service_tier":"flex""#, "service_tier"),
            (r#""new_field":1"#, "new_field"),
            (r#""tools":[{"type":"web_search"}]"#, "tools[0].type"),
            (
                r#""tools":[{"type":"function","function":{"name":"f","strict":true}}]"#,
                "tools[0].function.strict",
            ),
            (r#""tool_choice":"any""#, "tool_choice"),
        ];
        for (fields, named) in rows {
            assert_eq!(rows::refused(Anthropic, fields), named, "{fields}");
        }
        let messages = [
            (r#"{"role":"judge","content":"x"}"#, "messages[0].role"),
            (r#"{"content":"x"}"#, "messages[0].role"),
            (r#"{"role":"user","content":7}"#, "messages[0].content"),
            (r#"{"role":"user","name":"n","content":"x"}"#, "messages[0].name"),
            (r#"{"role":"user","content":[{"type":"file"}]}"#, "messages[0].content[0]"),
            (
                r#"{"role":"user","content":[{"type":"text","text":"x","cache_control":{}}]}"#,
                "messages[0].content[0].cache_control",
            ),
            (
                r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:text/plain,x"}}]}"#,
                "messages[0].content[0].image_url.url",
            ),
            (
                r#"{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://h"}}]}"#,
                "messages[0].content",
            ),
            (r#"{"role":"assistant","content":null,"refusal":"no"}"#, "messages[0].refusal"),
            (r#"{"role":"tool","content":"x"}"#, "messages[0].tool_call_id"),
            (
                r#"{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"[1]"}}]}"#,
                "messages[0].tool_calls[0].function.arguments",
            ),
            (r#"{"role":"user","content":"x","content":"y"}"#, "messages[0].content"),
        ];
        for (message, named) in messages {
            let text = format!(r#"{{"messages":[{message}]}}"#);
            let error = rows::sent(Anthropic, &text, None).unwrap_err();
            assert_eq!((error.field.as_str(), error.dialect), (named, "anthropic"), "{message}");
        }
    }

    #[test]
    fn an_answer_becomes_a_chat_completion() {
        let (response, usage) = rows::answered(
            Anthropic,
            r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[
            {"type":"thinking","thinking":"hm"},{"type":"text","text":"It is "},{"type":"text","text":"late."},
            {"type":"tool_use","id":"t1","name":"look","input":{"at": 1.10}}],
            "stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":4}}"#,
        );
        assert_eq!(usage, Some(Usage::plain(3, 4)));
        assert_eq!(
            response,
            json!({"id":"msg_1","object":"chat.completion","created":1_700_000_000,"model":"claude-x",
                "choices":[{"index":0,"message":{"role":"assistant","content":"It is late.","refusal":null,
                    "tool_calls":[{"id":"t1","type":"function","function":{"name":"look","arguments":"{\"at\": 1.10}"}}]},
                    "logprobs":null,"finish_reason":"tool_calls"}],
                "usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,
                    "prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},
                    "completion_tokens_details":{"reasoning_tokens":0}}})
        );
    }

    #[test]
    fn reasons_to_stop_are_mapped() {
        let rows = [
            ("\"end_turn\"", "stop"),
            ("\"stop_sequence\"", "stop"),
            ("\"max_tokens\"", "length"),
            ("\"model_context_window_exceeded\"", "length"),
            ("\"tool_use\"", "tool_calls"),
            ("\"refusal\"", "content_filter"),
            ("\"invented_later\"", "stop"),
            ("null", "stop"),
        ];
        for (reason, expected) in rows {
            let (response, usage) =
                rows::answered(Anthropic, &format!(r#"{{"content":[],"stop_reason":{reason}}}"#));
            assert_eq!(response["choices"][0]["finish_reason"], expected);
            assert_eq!(response["choices"][0]["message"]["content"], "");
            assert_eq!((usage, &response["usage"]), (None, &Value::Null));
        }
    }
}
