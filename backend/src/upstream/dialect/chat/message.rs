//! The messages of a chat request.
//!
//! Refuses to know the rest of the request. The one idea: a role decides which fields a message
//! may have; a field of another role is refused like one that nobody knows.

use serde_json::value::RawValue;
use tollgate_shared::body::Body;

use super::{Call, Chat, Part, Reader, Turn};
use crate::upstream::dialect::{Untranslatable, object};

impl Reader {
    /// Reads one message into the system's texts or the conversation.
    pub(super) fn message(
        self,
        mut message: Body,
        field: &str,
        chat: &mut Chat,
    ) -> Result<(), Untranslatable> {
        let role: String = self.require(&mut message, field, "role")?;
        let content = message.remove("content");
        let content_field = format!("{field}.content");
        // Read before the role is judged: every role has one, and most are plain text.
        let parts = self.parts(content.as_deref(), &content_field)?;
        match role.as_str() {
            // Their place in the conversation is lost, their order among themselves is not.
            "system" | "developer" => chat.system.extend(self.texts(parts, &content_field)?),
            "user" => chat.turns.push(Turn::User(parts)),
            "assistant" => {
                let text = self.texts(parts, &content_field)?;
                // A call is known by its id; its result will name it.
                let mut calls = Vec::new();
                let listed = self.list(&mut message, field, "tool_calls")?;
                for (index, call) in listed.into_iter().enumerate() {
                    calls.push(self.call(call, &format!("{field}.tool_calls[{index}]"))?);
                }
                // What models answer with, echoed back: fine while it says nothing.
                for name in ["refusal", "audio", "annotations", "function_call"] {
                    self.absent(&mut message, field, name)?;
                }
                chat.turns.push(Turn::Assistant { text, calls });
            }
            // Results are texts in every dialect.
            "tool" => {
                let call_id = self.require(&mut message, field, "tool_call_id")?;
                let text = self.texts(parts, &content_field)?.concat();
                let field = format!("{field}.tool_call_id");
                chat.turns.push(Turn::Tool { call_id, text, field });
            }
            _ => return Err(self.refuse(&format!("{field}.role"))),
        }
        // Such as `name`, or a field of another role.
        self.finish(message, field)
    }

    /// A call of the past. Its arguments are a text that must hold an object, because that is
    /// what the other dialects carry.
    fn call(self, mut call: Body, field: &str) -> Result<Call, Untranslatable> {
        self.expect_type(&mut call, field, "function")?;
        let id = self.require(&mut call, field, "id")?;
        let mut function: Body = self.require(&mut call, field, "function")?;
        // Streams number their calls, and some clients echo that.
        call.remove("index");
        self.finish(call, field)?;
        let field = format!("{field}.function");
        let name = self.require(&mut function, &field, "name")?;
        let text: String = self.require(&mut function, &field, "arguments")?;
        self.finish(function, &field)?;
        // A call without arguments is often an empty text.
        let text = if text.trim().is_empty() { "{}" } else { text.trim() };
        let arguments: Box<RawValue> =
            object(text.as_bytes()).map_err(|_| self.refuse(&format!("{field}.arguments")))?;
        Ok(Call { id, name, arguments })
    }

    /// A content: a text, or a list of parts.
    fn parts(self, content: Option<&RawValue>, field: &str) -> Result<Vec<Part>, Untranslatable> {
        // An assistant that only calls has none.
        let Some(raw) = content.filter(|raw| raw.get() != "null") else { return Ok(Vec::new()) };
        if raw.get().starts_with('"') {
            return Ok(vec![Part::Text(self.parse(field, raw)?)]);
        }
        // Each part is an object; a bare text in a list is not the OpenAI shape.
        let listed: Vec<Body> = self.parse(field, raw)?;
        listed
            .into_iter()
            .enumerate()
            .map(|(index, part)| self.part(part, &format!("{field}[{index}]")))
            .collect()
    }

    /// One part. A field that only some providers know, such as `cache_control`, is refused.
    fn part(self, mut part: Body, field: &str) -> Result<Part, Untranslatable> {
        let kind: String = self.require(&mut part, field, "type")?;
        let read = match kind.as_str() {
            "text" => Part::Text(self.require(&mut part, field, "text")?),
            "image_url" => {
                let mut image: Body = self.require(&mut part, field, "image_url")?;
                let field = format!("{field}.image_url");
                let url: String = self.require(&mut image, &field, "url")?;
                let detail: Option<String> = self.take(&mut image, &field, "detail")?;
                // How closely to look changes the price, and has no name elsewhere.
                if detail.is_some_and(|detail| detail != "auto") {
                    return Err(self.refuse(&format!("{field}.detail")));
                }
                self.finish(image, &field)?;
                self.image(url, field)?
            }
            _ => return Err(self.refuse(field)),
        };
        self.finish(part, field)?;
        Ok(read)
    }

    /// A picture, inline or at an address; anything else inline is no picture.
    fn image(self, url: String, field: String) -> Result<Part, Untranslatable> {
        let Some(inline) = url.strip_prefix("data:") else {
            return Ok(Part::ImageUrl { url, field: format!("{field}.url") });
        };
        match inline.split_once(";base64,") {
            Some((media_type, base64)) if media_type.starts_with("image/") => {
                Ok(Part::Image { media_type: media_type.to_owned(), base64: base64.to_owned() })
            }
            _ => Err(self.refuse(&format!("{field}.url"))),
        }
    }

    /// Parts of a role that has no pictures.
    fn texts(self, parts: Vec<Part>, field: &str) -> Result<Vec<String>, Untranslatable> {
        parts
            .into_iter()
            .map(|part| match part {
                Part::Text(text) => Ok(text),
                _ => Err(self.refuse(field)),
            })
            .collect()
    }
}
