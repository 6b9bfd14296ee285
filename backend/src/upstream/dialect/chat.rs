//! The OpenAI chat request, read strictly for translation.
//!
//! For dialects other than OpenAI's, which get a request built anew from what is understood here.
//! Refuses to know how those dialects spell things. The one idea: every field is taken out, and
//! whatever is left over is refused by its name, so nothing is lost on the way.

mod message;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tollgate_shared::body::{Body, BodyError};

use super::shape::CAPS;
use super::{Ask, Untranslatable};

/// A request, understood whole.
#[derive(Debug, Default)]
pub(super) struct Chat {
    /// System and developer messages, in their order.
    pub system: Vec<String>,
    /// The conversation.
    pub turns: Vec<Turn>,
    /// Functions that the model may call.
    pub tools: Vec<Tool>,
    /// Which of them, if stated.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several calls in one answer are allowed, if stated.
    pub parallel: Option<bool>,
    /// The literal, so that its digits stay.
    pub temperature: Option<Box<RawValue>>,
    /// The literal.
    pub top_p: Option<Box<RawValue>>,
    /// Texts at which to stop.
    pub stop: Vec<String>,
    /// The end user, as the caller names them.
    pub user: Option<String>,
    /// The output cap: the gateway's, else the caller's.
    pub cap: Option<u64>,
}

/// One message after the system's.
#[derive(Debug)]
pub(super) enum Turn {
    /// From the user.
    User(Vec<Part>),
    /// From the model, earlier.
    Assistant { text: Vec<String>, calls: Vec<Call> },
    /// The result of a call; `field` is the id's place in the payload.
    Tool { call_id: String, text: String, field: String },
}

/// A part of a user's message.
#[derive(Debug)]
pub(super) enum Part {
    /// Text.
    Text(String),
    /// A picture inline, in base64.
    Image { media_type: String, base64: String },
    /// A picture elsewhere; `field` is its place in the payload.
    ImageUrl { url: String, field: String },
}

/// A call that the model made.
#[derive(Debug)]
pub(super) struct Call {
    /// By which its result will refer to it.
    pub id: String,
    /// The function's.
    pub name: String,
    /// A JSON object.
    pub arguments: Box<RawValue>,
}

/// A function that the model may call.
#[derive(Debug)]
pub(super) struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// A JSON Schema.
    pub parameters: Box<RawValue>,
}

/// Whether, and which, function to call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ToolChoice {
    Auto,
    None,
    Required,
    Function(String),
}

impl Chat {
    /// The function that an earlier call of this id named.
    pub fn called(&self, call_id: &str) -> Option<&str> {
        let calls = self.turns.iter().filter_map(|turn| match turn {
            Turn::Assistant { calls, .. } => Some(calls),
            _ => None,
        });
        calls.flatten().find(|call| call.id == call_id).map(|call| call.name.as_str())
    }
}

/// Reads fields and names those that cannot be carried.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub dialect: &'static str,
}

impl Reader {
    /// Reads a payload whole, or names the field that has no place.
    pub fn chat(self, ask: &Ask<'_>) -> Result<Chat, Untranslatable> {
        let mut body = ask.payload.clone();
        let mut chat = Chat { cap: ask.cap, ..Chat::default() };
        for name in ["model", "stream", "stream_options"] {
            body.remove(name);
        }
        // The gateway's cap stands; without one the smallest that the caller states.
        for name in CAPS {
            let stated: Option<u64> = self.take(&mut body, "", name)?;
            chat.cap = match (ask.cap, chat.cap, stated) {
                (None, Some(one), Some(other)) => Some(one.min(other)),
                (None, None, stated) => stated,
                _ => chat.cap,
            };
        }
        // Whatever asks for nothing may go; the rest is read, or is left over and refused.
        self.neutral(&mut body)?;
        for name in ["temperature", "top_p"] {
            let literal = body.remove(name).filter(|raw| raw.get() != "null");
            if literal.as_ref().is_some_and(|raw| !is_number(raw.get())) {
                return Err(self.refuse(name));
            }
            *(if name == "top_p" { &mut chat.top_p } else { &mut chat.temperature }) = literal;
        }
        chat.stop = self.stop(&mut body)?;
        chat.user = self.take(&mut body, "", "user")?;
        chat.parallel = self.take(&mut body, "", "parallel_tool_calls")?;
        chat.tool_choice = self.tool_choice(&mut body)?;
        for (index, tool) in self.list(&mut body, "", "tools")?.into_iter().enumerate() {
            chat.tools.push(self.tool(tool, &format!("tools[{index}]"))?);
        }
        for (index, message) in self.list(&mut body, "", "messages")?.into_iter().enumerate() {
            self.message(message, &format!("messages[{index}]"), &mut chat)?;
        }
        self.finish(body, "")?;
        Ok(chat)
    }

    /// Takes fields whose stated value asks for nothing that another dialect lacks.
    fn neutral(self, body: &mut Body) -> Result<(), Untranslatable> {
        for (name, allowed) in NEUTRAL {
            if let Some(raw) = body.remove(name) {
                let compact: String = raw.get().split_ascii_whitespace().collect();
                if compact != "null" && !allowed.contains(&compact.as_str()) {
                    return Err(self.refuse(name));
                }
            }
        }
        Ok(())
    }

    /// One text, or several.
    fn stop(self, body: &mut Body) -> Result<Vec<String>, Untranslatable> {
        match body.remove("stop") {
            Some(raw) if raw.get().starts_with('"') => Ok(vec![self.parse("stop", &raw)?]),
            Some(raw) => Ok(self.parse::<Option<_>>("stop", &raw)?.unwrap_or_default()),
            None => Ok(Vec::new()),
        }
    }

    /// A word, or `{"type":"function","function":{"name":…}}`.
    fn tool_choice(self, body: &mut Body) -> Result<Option<ToolChoice>, Untranslatable> {
        let field = "tool_choice";
        let Some(raw) = body.remove(field) else { return Ok(None) };
        Ok(match raw.get() {
            "null" => None,
            "\"auto\"" => Some(ToolChoice::Auto),
            "\"none\"" => Some(ToolChoice::None),
            "\"required\"" => Some(ToolChoice::Required),
            _ => {
                let mut choice: Body = self.parse(field, &raw)?;
                self.expect_type(&mut choice, field, "function")?;
                let mut function: Body = self.require(&mut choice, field, "function")?;
                self.finish(choice, field)?;
                let name = self.require(&mut function, field, "name")?;
                self.finish(function, field)?;
                Some(ToolChoice::Function(name))
            }
        })
    }

    /// `{"type":"function","function":{"name":…,"description":…,"parameters":{…}}}`
    fn tool(self, mut tool: Body, field: &str) -> Result<Tool, Untranslatable> {
        self.expect_type(&mut tool, field, "function")?;
        let mut function: Body = self.require(&mut tool, field, "function")?;
        self.finish(tool, field)?;
        let field = format!("{field}.function");
        if self.take::<bool>(&mut function, &field, "strict")? == Some(true) {
            return Err(self.refuse(&format!("{field}.strict")));
        }
        let read = Tool {
            name: self.require(&mut function, &field, "name")?,
            description: self.take(&mut function, &field, "description")?,
            parameters: match function.remove("parameters").filter(|raw| raw.get() != "null") {
                Some(schema) => schema,
                None => RawValue::from_string(EMPTY_SCHEMA.to_owned())
                    .map_err(|_| self.refuse(&field))?,
            },
        };
        self.finish(function, &field)?;
        Ok(read)
    }

    /// The refusal of one field.
    pub fn refuse(self, field: &str) -> Untranslatable {
        Untranslatable { field: field.to_owned(), dialect: self.dialect }
    }

    /// Objects in a list that may be absent.
    fn list(self, body: &mut Body, field: &str, name: &str) -> Result<Vec<Body>, Untranslatable> {
        Ok(self.take(body, field, name)?.unwrap_or_default())
    }

    /// Takes a field; one of a wrong type cannot be carried.
    fn take<T: DeserializeOwned>(
        self,
        body: &mut Body,
        field: &str,
        name: &str,
    ) -> Result<Option<T>, Untranslatable> {
        body.take(name).map_err(|_| self.refuse(&joined(field, name)))
    }

    /// Takes a field that must be there.
    fn require<T: DeserializeOwned>(
        self,
        body: &mut Body,
        field: &str,
        name: &str,
    ) -> Result<T, Untranslatable> {
        self.take(body, field, name)?.ok_or_else(|| self.refuse(&joined(field, name)))
    }

    fn parse<T: DeserializeOwned>(self, field: &str, raw: &RawValue) -> Result<T, Untranslatable> {
        serde_json::from_str(raw.get()).map_err(|_| self.refuse(field))
    }

    fn expect_type(
        self,
        body: &mut Body,
        field: &str,
        expected: &str,
    ) -> Result<(), Untranslatable> {
        match self.take::<String>(body, field, "type")? {
            Some(kind) if kind == expected => Ok(()),
            _ => Err(self.refuse(&joined(field, "type"))),
        }
    }

    /// Takes a field that may only be null, empty, or not there at all.
    fn absent(self, body: &mut Body, field: &str, name: &str) -> Result<(), Untranslatable> {
        match body.remove(name) {
            Some(raw) if !matches!(raw.get(), "null" | "[]") => {
                Err(self.refuse(&joined(field, name)))
            }
            _ => Ok(()),
        }
    }

    /// Ends an object: what was not taken has no place.
    fn finish(self, body: Body, field: &str) -> Result<(), Untranslatable> {
        match body.finish() {
            Err(BodyError::Unknown(name)) => Err(self.refuse(&joined(field, &name))),
            Err(_) => Err(self.refuse(field)),
            Ok(()) => Ok(()),
        }
    }
}

fn joined(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}

fn is_number(literal: &str) -> bool {
    literal.starts_with(|first: char| first.is_ascii_digit() || first == '-')
}

/// Fields that change nothing where they have one of these values, and are refused otherwise.
const NEUTRAL: [(&str, &[&str]); 14] = [
    ("n", &["1"]),
    ("best_of", &["1"]),
    ("logprobs", &["false"]),
    ("top_logprobs", &["0"]),
    ("logit_bias", &["{}"]),
    ("presence_penalty", &["0", "0.0"]),
    ("frequency_penalty", &["0", "0.0"]),
    ("response_format", &["{\"type\":\"text\"}"]),
    ("modalities", &["[\"text\"]"]),
    ("store", &["false"]),
    ("service_tier", &["\"auto\"", "\"default\""]),
    ("metadata", &["{}"]),
    ("functions", &["[]"]),
    ("function_call", &["\"none\"", "\"auto\""]),
];

/// What a function without parameters takes.
const EMPTY_SCHEMA: &str = "{\"type\":\"object\",\"properties\":{}}";
