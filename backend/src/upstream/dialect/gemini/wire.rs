//! What Gemini answers, whole or a chunk at a time.
//!
//! Refuses to know the OpenAI shape beyond its reasons to stop. The one idea: any count of a
//! report may be absent; it is whole only where the text that was made is counted somehow.

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_shared::usage::Usage;

use crate::upstream::dialect::reply::{Finish, SaidCall};
use crate::upstream::dialect::{credible, report};

/// An answer, or one chunk of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answered<'a> {
    #[serde(borrow, default)]
    candidates: Option<Vec<Candidate<'a>>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<&'a RawValue>,
    pub response_id: Option<String>,
    pub model_version: Option<String>,
    pub error: Option<&'a RawValue>,
}

/// One of the answers; a finish stands on its last chunk.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
    finish_reason: Option<String>,
}

/// What it says; a filter may leave it without parts.
#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<AnsweredPart<'a>>>,
}

/// Why there is no answer at all: a blocked prompt is a 200.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

/// A part of what the model made.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AnsweredPart<'a> {
    pub text: Option<String>,
    /// Reasoning, shown on request.
    pub thought: Option<bool>,
    #[serde(borrow)]
    pub function_call: Option<AnsweredCall<'a>>,
}

/// A call that the model makes.
#[derive(Deserialize)]
pub(super) struct AnsweredCall<'a> {
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

impl AnsweredCall<'_> {
    /// The call in the OpenAI shape; where it has no id it gets one, unique within its answer.
    pub fn numbered(self, seed: &str, number: u64) -> SaidCall {
        SaidCall {
            id: self.id.unwrap_or_else(|| format!("call-{seed}-{number}")),
            name: self.name.unwrap_or_default(),
            arguments: self.args.map_or("{}", RawValue::get).to_owned(),
        }
    }
}

/// A report in disjoint classes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub usage: Usage,
    /// The output is counted, so this can be the whole bill.
    pub is_whole: bool,
}

impl<'a> Answered<'a> {
    /// Why it ended; `None` while it goes on.
    pub fn finish(&self) -> Option<Finish> {
        if self.prompt_feedback.as_ref().is_some_and(|feedback| feedback.block_reason.is_some()) {
            return Some(Finish::ContentFilter);
        }
        let reason = self.candidates.as_deref()?.first()?.finish_reason.as_deref()?;
        Some(match reason {
            "MAX_TOKENS" => Finish::Length,
            "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
            | "IMAGE_SAFETY" => Finish::ContentFilter,
            _ => Finish::Stop,
        })
    }

    /// What the first candidate says.
    pub fn parts(&mut self) -> Vec<AnsweredPart<'a>> {
        let first = self.candidates.as_deref_mut().and_then(<[_]>::first_mut);
        let content = first.and_then(|candidate| candidate.content.take());
        content.and_then(|content| content.parts).unwrap_or_default()
    }

    /// Whether it reports any usage, well-formed or not.
    pub fn has_report(&self) -> bool {
        self.usage_metadata.is_some()
    }

    /// Its usage; `None` where it has none that can be believed.
    pub fn usage(&self) -> Option<Report> {
        let wire: WireUsage = report(self.usage_metadata)?;
        let prompt = wire.prompt_token_count?;
        let tool_input = wire.tool_use_prompt_token_count.unwrap_or(0);
        let cache_read = wire.cached_content_token_count.unwrap_or(0);
        let reasoning = wire.thoughts_token_count.unwrap_or(0);
        let candidates = wire.candidates_token_count.unwrap_or(0);
        let described =
            [prompt, tool_input, reasoning, candidates].into_iter().fold(0, u64::saturating_add);
        // What the total holds beyond its described parts is output that nobody described.
        let outside = wire.total_token_count.unwrap_or(0).saturating_sub(described);
        let usage = credible(Usage {
            input_uncached: prompt.saturating_sub(cache_read).saturating_add(tool_input),
            cache_read,
            output_visible: candidates.saturating_add(outside),
            reasoning,
            ..Usage::default()
        })?;
        let is_counted = wire.candidates_token_count.or(wire.total_token_count).is_some();
        Some(Report { usage, is_whole: is_counted })
    }
}

/// `{"promptTokenCount":7,"candidatesTokenCount":3,"thoughtsTokenCount":2,"totalTokenCount":12}`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireUsage {
    /// All input, what was cached included.
    prompt_token_count: Option<u64>,
    /// Output that can be seen.
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    /// What the provider's own tools fed back: input beside the prompt.
    tool_use_prompt_token_count: Option<u64>,
    total_token_count: Option<u64>,
}

#[cfg(test)]
mod tests {
    use tollgate_shared::provider::Dialect::Gemini;

    use super::*;
    use crate::upstream::dialect::rows;

    #[test]
    fn a_report_is_read_into_leaves_or_not_at_all() {
        let leaves = |input, cache_read, visible, reasoning| {
            Some(Usage { cache_read, reasoning, ..Usage::plain(input, visible) })
        };
        let rows = [
            (r#"{"promptTokenCount":3,"candidatesTokenCount":4}"#, leaves(3, 0, 4, 0)),
            (
                r#"{"promptTokenCount":9000,"cachedContentTokenCount":8000,"candidatesTokenCount":200,
                "thoughtsTokenCount":50,"toolUsePromptTokenCount":30,"totalTokenCount":9280,
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":9000}]}"#,
                leaves(1030, 8000, 200, 50),
            ),
            (
                r#"{"promptTokenCount":3,"thoughtsTokenCount":9,"totalTokenCount":12}"#,
                leaves(3, 0, 0, 9),
            ),
            (r#"{"promptTokenCount":3,"totalTokenCount":12}"#, leaves(3, 0, 9, 0)),
            (r#"{"promptTokenCount":3}"#, None),
            (r#"{"candidatesTokenCount":3}"#, None),
            (r#"{"promptTokenCount":3,"candidatesTokenCount":-4}"#, None),
            (r#"{"promptTokenCount":3,"candidatesTokenCount":"4"}"#, None),
            (r#"{"promptTokenCount":3,"candidatesTokenCount":1e308}"#, None),
            (r#"{"promptTokenCount":3,"candidatesTokenCount":4,"totalTokenCount":-1}"#, None),
            (r#"{"promptTokenCount":3,"candidatesTokenCount":99999999999}"#, None),
            ("[3,4]", None),
            ("{}", None),
            ("null", None),
        ];
        for (text, expected) in rows {
            let body =
                format!(r#"{{"candidates":[{{"finishReason":"STOP"}}],"usageMetadata":{text}}}"#);
            assert_eq!(rows::answered(Gemini, &body).1, expected, "{text}");
        }
    }
}
