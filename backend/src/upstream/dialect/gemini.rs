//! Gemini `generateContent`.
//!
//! The model is in the path, the assistant is called `model`, results of calls carry the
//! function's name. Refuses to know files, safety settings and cached content, which the OpenAI
//! shape cannot ask for. The one idea of its reports: `candidatesTokenCount` excludes thoughts,
//! `promptTokenCount` includes what was cached, and in a stream the last report is the sum of all.

mod fold;
mod wire;

use serde::Serialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

use super::chat::{Chat, Part, Reader, Tool, ToolChoice, Turn};
use super::reply::{Finish, Head, Said};
use super::{Answer, Ask, Outgoing, Stamp, Untranslatable, object};

pub(super) use fold::Fold;
use wire::Answered;

/// The request, built anew:
///
/// ```json
/// {"contents":[{"role":"user","parts":[{"text":"hi"}]}],
///  "systemInstruction":{"parts":[{"text":"be brief"}]},
///  "generationConfig":{"maxOutputTokens":64}}
/// ```
pub(super) fn outgoing(versioned: bool, ask: &Ask<'_>) -> Result<Outgoing, Untranslatable> {
    // The endpoint's own version stands, where it has one.
    let version = if versioned { "" } else { "/v1beta" };
    let verb = if ask.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    let reader = Reader { dialect: "gemini" };
    // A model name becomes a segment of the path and must not reach beyond it.
    if ask.model.as_str().contains(['/', '?', '#', '%', '\\']) || ask.model.as_str() == ".." {
        return Err(reader.refuse("model"));
    }
    let chat = reader.chat(ask)?;
    // Things that Anthropic has a place for and Gemini has not.
    if chat.user.is_some() {
        return Err(reader.refuse("user"));
    }
    if chat.parallel == Some(false) {
        return Err(reader.refuse("parallel_tool_calls"));
    }
    let system: Vec<_> = chat.system.iter().map(|text| WirePart::text(text)).collect();
    let functions: Vec<_> = chat.tools.iter().map(Function::of).collect();
    let request = Request {
        contents: contents(&chat, reader)?,
        system_instruction: (!system.is_empty()).then_some(Content { role: None, parts: system }),
        tools: (!functions.is_empty()).then_some([Functions { function_declarations: functions }]),
        tool_config: chat.tool_choice.as_ref().map(ToolConfig::of),
        generation_config: GenerationConfig {
            max_output_tokens: chat.cap,
            temperature: chat.temperature.as_deref(),
            top_p: chat.top_p.as_deref(),
            stop_sequences: &chat.stop,
        },
    };
    let body = serde_json::to_vec(&request).map_err(|_| reader.refuse("messages"))?;
    Ok(Outgoing {
        path: format!("{version}/models/{}:{verb}", ask.model),
        headers: Vec::new(),
        body,
    })
}

/// The conversation. Turns of one role in a row become one content, as the dialect wants it.
fn contents<'a>(chat: &'a Chat, reader: Reader) -> Result<Vec<Content<'a>>, Untranslatable> {
    let mut contents: Vec<Content<'a>> = Vec::new();
    for turn in &chat.turns {
        let (role, parts) = match turn {
            Turn::User(parts) => {
                let parts: Result<_, _> =
                    parts.iter().map(|part| user_part(part, reader)).collect();
                ("user", parts?)
            }
            Turn::Assistant { text, calls } => {
                let text = text.iter().filter(|text| !text.is_empty());
                let calls = calls.iter().map(|call| WirePart {
                    function_call: Some(Call { name: &call.name, args: &call.arguments }),
                    ..WirePart::default()
                });
                ("model", text.map(|text| WirePart::text(text)).chain(calls).collect())
            }
            // A result names the function, where OpenAI names the call.
            Turn::Tool { call_id, text, field } => {
                let name = chat.called(call_id).ok_or_else(|| reader.refuse(field))?;
                let response = Outcome::of(text);
                let part = WirePart {
                    function_response: Some(FunctionResponse { name, response }),
                    ..WirePart::default()
                };
                ("user", vec![part])
            }
        };
        // The roles must alternate.
        match contents.last_mut() {
            Some(last) if last.role == Some(role) => last.parts.extend(parts),
            _ => contents.push(Content { role: Some(role), parts }),
        }
    }
    Ok(contents)
}

/// A part of a user's message.
fn user_part(part: &Part, reader: Reader) -> Result<WirePart<'_>, Untranslatable> {
    match part {
        Part::Text(text) => Ok(WirePart::text(text)),
        Part::Image { media_type, base64 } => Ok(WirePart {
            inline_data: Some(Blob { mime_type: media_type, data: base64 }),
            ..WirePart::default()
        }),
        // It takes only addresses of its own file store.
        Part::ImageUrl { field, .. } => Err(reader.refuse(field)),
    }
}

/// The answer in the OpenAI shape, of its first candidate: more are never asked for.
pub(super) fn answer(stamp: &Stamp<'_>, bytes: &[u8]) -> serde_json::Result<Answer> {
    let mut answered: Answered<'_> = object(bytes)?;
    let Some(finish) = answered.finish() else {
        return Err(serde_json::Error::custom("neither an end nor a reason for none"));
    };
    let usage = answered.usage().filter(|report| report.is_whole).map(|report| report.usage);
    let head = Head::of(stamp).named(answered.response_id.take(), answered.model_version.take());
    let mut said = Said { text: String::new(), calls: Vec::new(), finish };
    for part in answered.parts() {
        match part.function_call {
            Some(call) => said.calls.push(call.numbered(stamp.id, said.calls.len() as u64)),
            None if part.thought != Some(true) => {
                said.text.push_str(&part.text.unwrap_or_default());
            }
            None => {}
        }
    }
    // There is no reason of its own for a call.
    if !said.calls.is_empty() && said.finish == Finish::Stop {
        said.finish = Finish::ToolCalls;
    }
    Ok(Answer { response: head.completion(&said, usage.as_ref())?, usage })
}

/// What goes out. Only fields that the payload spoke of are there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    /// The conversation.
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Every system message of the conversation, a part each.
    system_instruction: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<[Functions<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    generation_config: GenerationConfig<'a>,
}

/// One turn, of the `user` or the `model`; the system's has no role.
#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<WirePart<'a>>,
}

/// One part; exactly one of its fields is there.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct WirePart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_response: Option<FunctionResponse<'a>>,
}

impl<'a> WirePart<'a> {
    /// A part that is text.
    fn text(text: &'a str) -> Self {
        Self { text: Some(text), ..Self::default() }
    }
}

/// Bytes inline, in base64.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    mime_type: &'a str,
    data: &'a str,
}

/// A call the model made; its arguments are an object, where OpenAI has a text.
#[derive(Serialize)]
struct Call<'a> {
    name: &'a str,
    /// The caller's text, digits and all.
    args: &'a RawValue,
}

/// What the caller's function answered.
#[derive(Serialize)]
struct FunctionResponse<'a> {
    /// The function's: calls have no id here that all models know.
    name: &'a str,
    response: Outcome<'a>,
}

/// What a call gave: an object as it is, anything else as the `result` of one.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome<'a> {
    Object(&'a RawValue),
    Text { result: &'a str },
}

impl<'a> Outcome<'a> {
    /// The outcome that a tool message tells.
    fn of(text: &'a str) -> Self {
        match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) if raw.get().starts_with('{') => Self::Object(raw),
            _ => Self::Text { result: text },
        }
    }
}

/// The tools: all functions stand in one of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Functions<'a> {
    function_declarations: Vec<Function<'a>>,
}

/// A function that may be called.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// The field for a whole JSON Schema; `parameters` takes but a part of it.
    parameters_json_schema: &'a RawValue,
}

impl<'a> Function<'a> {
    /// The function as this dialect spells it.
    fn of(tool: &'a Tool) -> Self {
        Self {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters_json_schema: &tool.parameters,
        }
    }
}

/// Whether, and which, function to call: `{"functionCallingConfig":{"mode":"ANY"}}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: Calling<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    /// `AUTO`, `NONE` or `ANY`.
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// With `ANY`: this one.
    allowed_function_names: Option<[&'a str; 1]>,
}

impl<'a> ToolConfig<'a> {
    /// The choice as this dialect spells it: one function is any function of a list of one.
    fn of(choice: &'a ToolChoice) -> Self {
        let (mode, name) = match choice {
            ToolChoice::Auto => ("AUTO", None),
            ToolChoice::None => ("NONE", None),
            ToolChoice::Required => ("ANY", None),
            ToolChoice::Function(name) => ("ANY", Some([name.as_str()])),
        };
        Self { function_calling_config: Calling { mode, allowed_function_names: name } }
    }
}

/// How to answer. A request without a cap gets as long an answer as the model gives.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Thoughts count in it.
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The caller's literal; the scale is OpenAI's.
    temperature: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tollgate_shared::provider::Dialect::Gemini;
    use tollgate_shared::usage::Usage;

    use super::super::rows;
    use super::*;

    fn sent(text: &str) -> Value {
        rows::sent(Gemini, text, None).unwrap()
    }

    #[test]
    fn a_question_is_built_anew() {
        let body = sent(
            r#"{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"},
            {"role":"assistant","content":"yes?"},{"role":"user","content":[{"type":"text","text":"look"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],
            "max_tokens":9,"temperature":0.5,"top_p":0.9,"stop":["A","B"]}"#,
        );
        assert_eq!(
            body,
            json!({"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[{"text":"yes?"}]},
                {"role":"user","parts":[{"text":"look"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}],
                "systemInstruction":{"parts":[{"text":"be brief"}]},
                "generationConfig":{"maxOutputTokens":9,"temperature":0.5,"topP":0.9,"stopSequences":["A","B"]}})
        );
    }

    #[test]
    fn tools_and_their_results_are_carried() {
        let body = sent(
            r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[
              {"id":"c1","type":"function","function":{"name":"look","arguments":"{\"at\":1}"}},
              {"id":"c2","type":"function","function":{"name":"hear","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"c2","content":"{\"sound\":\"none\"}"},
            {"role":"tool","tool_call_id":"c1","content":"rain"}],
            "tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object"}}}],
            "tool_choice":{"type":"function","function":{"name":"look"}}}"#,
        );
        assert_eq!(
            body,
            json!({"contents":[
                {"role":"model","parts":[{"functionCall":{"name":"look","args":{"at":1}}},
                    {"functionCall":{"name":"hear","args":{}}}]},
                {"role":"user","parts":[{"functionResponse":{"name":"hear","response":{"sound":"none"}}},
                    {"functionResponse":{"name":"look","response":{"result":"rain"}}}]}],
                "tools":[{"functionDeclarations":[{"name":"look","parametersJsonSchema":{"type":"object"}}]}],
                "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["look"]}},
                "generationConfig":{}})
        );
    }

    #[test]
    fn what_cannot_be_carried_is_named() {
        let rows = [
            (r#""n":2"#, "n"),
            (r#""user":"u""#, "user"),
            (r#""parallel_tool_calls":false"#, "parallel_tool_calls"),
            (r#""seed":1"#, "seed"),
            (r#""response_format":{"type":"json_schema"}"#, "response_format"),
        ];
        for (fields, named) in rows {
            assert_eq!(rows::refused(Gemini, fields), named, "{fields}");
        }
        let messages = [
            (
                r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://h/x"}}]}"#,
                "messages[0].content[0].image_url.url",
            ),
            (r#"{"role":"tool","tool_call_id":"c9","content":"x"}"#, "messages[0].tool_call_id"),
        ];
        for (message, named) in messages {
            let text = format!(r#"{{"messages":[{message}]}}"#);
            assert_eq!(rows::sent(Gemini, &text, None).unwrap_err().field, named);
        }
    }

    #[test]
    fn a_model_name_stays_one_segment_of_the_path() {
        let payload = rows::payload(r#"{"messages":[]}"#);
        for name in ["../files", "a/b", "a?key=1", "a#b", "a%2fb", ".."] {
            let model = name.parse().unwrap();
            let ask = Ask { model: &model, ..rows::ask(&payload) };
            assert_eq!(outgoing(false, &ask).unwrap_err().field, "model", "{name}");
        }
    }

    #[test]
    fn an_answer_becomes_a_chat_completion() {
        let (response, usage) = rows::answered(
            Gemini,
            r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hm","thought":true},{"text":"It is "},
            {"text":"late."},{"functionCall":{"name":"look","args":{"at":1}}}]},"finishReason":"STOP"}],
            "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4,"totalTokenCount":7},
            "modelVersion":"gemini-x","responseId":"r-1"}"#,
        );
        assert_eq!(usage, Some(Usage::plain(3, 4)));
        assert_eq!((&response["id"], &response["model"]), (&json!("r-1"), &json!("gemini-x")));
        assert_eq!(
            response["choices"],
            json!([{"index":0,"message":{"role":"assistant","content":"It is late.","refusal":null,
                "tool_calls":[{"id":"call-req-1-0","type":"function","function":{"name":"look","arguments":"{\"at\":1}"}}]},
                "logprobs":null,"finish_reason":"tool_calls"}])
        );
    }

    #[test]
    fn reasons_to_stop_are_mapped() {
        let rows = [
            ("STOP", "stop"),
            ("MAX_TOKENS", "length"),
            ("SAFETY", "content_filter"),
            ("RECITATION", "content_filter"),
            ("INVENTED_LATER", "stop"),
        ];
        for (reason, expected) in rows {
            let body = format!(r#"{{"candidates":[{{"finishReason":"{reason}"}}]}}"#);
            assert_eq!(rows::answered(Gemini, &body).0["choices"][0]["finish_reason"], expected);
        }
        let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5}}"#;
        let (response, usage) = rows::answered(Gemini, blocked);
        assert_eq!(response["choices"][0]["finish_reason"], "content_filter");
        assert_eq!(usage, Some(Usage::plain(5, 0)));
    }
}
