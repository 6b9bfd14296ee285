//! A Gemini stream, chunk by chunk.
//!
//! Refuses to know bytes and lines. The one idea: every chunk is a whole answer to what was said
//! since the last one; its usage is the sum so far, so the last report is the one that counts.

use super::wire::{Answered, AnsweredPart};
use crate::upstream::dialect::object;
use crate::upstream::dialect::reply::{Delta, Finish, Head};
use crate::upstream::dialect::stream::{Progress, StreamError};

/// The state of one stream.
#[derive(Debug, Default)]
pub(in super::super) struct Fold {
    /// The first chunk came, and with it the role went out.
    has_role: bool,
    /// Calls so far; the next one gets this number.
    calls: u64,
    /// The last report counts the output, too.
    is_report_whole: bool,
}

impl Fold {
    /// Takes one chunk and adds what it says in the OpenAI shape.
    pub fn event(
        &mut self,
        data: &[u8],
        head: &mut Head,
        progress: &mut Progress,
    ) -> Result<(), StreamError> {
        // An error may come wrapped in a list of one.
        let data = data.strip_prefix(b"[").and_then(|d| d.strip_suffix(b"]")).unwrap_or(data);
        let mut chunk: Answered<'_> = object(data).map_err(StreamError::unreadable)?;
        if let Some(error) = chunk.error {
            return Err(StreamError::reported(error.get()));
        }
        let finish = chunk.finish();
        if chunk.has_report() {
            let report = chunk.usage();
            self.is_report_whole = report.is_some_and(|report| report.is_whole);
            progress.usage = report.map(|report| report.usage);
        }
        progress.is_usage_final =
            self.is_report_whole && (progress.is_complete || finish.is_some());
        // After the finish only usage may follow.
        if progress.is_complete {
            return Ok(());
        }
        if !std::mem::replace(&mut self.has_role, true) {
            *head = head.clone().named(chunk.response_id.take(), chunk.model_version.take());
            progress.frames.push(head.chunk(&Delta::role(), None));
        }
        for part in chunk.parts() {
            self.part(part, head, progress);
        }
        if let Some(finish) = finish {
            // There is no reason of its own for a call.
            let finish = match finish {
                Finish::Stop if self.calls > 0 => Finish::ToolCalls,
                finish => finish,
            };
            progress.has_content = true;
            progress.is_complete = true;
            progress.frames.push(head.chunk(&Delta::default(), Some(finish)));
        }
        Ok(())
    }

    /// Forwards a part; shown reasoning is only counted, it has no place there.
    fn part(&mut self, part: AnsweredPart<'_>, head: &Head, progress: &mut Progress) {
        let text = part.text.unwrap_or_default();
        if let Some(call) = part.function_call {
            let call = call.numbered(&head.id, self.calls);
            progress.deliver((call.name.len() + call.arguments.len()) as u64);
            progress.frames.push(head.chunk(&Delta::call(self.calls, &call), None));
            self.calls += 1;
        } else if part.thought == Some(true) {
            progress.delivered = progress.delivered.saturating_add(text.len() as u64);
        } else if !text.is_empty() {
            progress.deliver(text.len() as u64);
            progress.frames.push(head.chunk(&Delta::text(&text), None));
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_shared::provider::Dialect::Gemini;
    use tollgate_shared::usage::Usage;

    use crate::upstream::dialect::rows;

    fn chunk(parts: &str, finish: &str, usage: &str) -> String {
        format!(
            r#"{{"candidates":[{{"content":{{"role":"model","parts":[{parts}]}},"index":0{finish}}}],"usageMetadata":{usage},"responseId":"r-1"}}"#
        )
    }

    const STOP: &str = r#","finishReason":"STOP""#;

    fn read(data: &[String]) -> rows::Read {
        let data: Vec<&str> = data.iter().map(String::as_str).collect();
        rows::read_any_split(Gemini, &rows::events(&data))
    }

    #[test]
    fn a_stream_becomes_chunks_and_the_last_report_counts() {
        let read = read(&[
            chunk(r#"{"text":"hm","thought":true}"#, "", r#"{"promptTokenCount":7}"#),
            chunk(
                r#"{"text":"Hé"}"#,
                "",
                r#"{"promptTokenCount":7,"candidatesTokenCount":1,"thoughtsTokenCount":2}"#,
            ),
            chunk(
                r#"{"text":"llo"}"#,
                STOP,
                r#"{"promptTokenCount":7,"candidatesTokenCount":3,"thoughtsTokenCount":2}"#,
            ),
        ]);
        assert_eq!(read.said(), ("Héllo".to_owned(), Some("stop".to_owned())));
        assert_eq!(read.reader.usage(), Some(Usage { reasoning: 2, ..Usage::plain(7, 3) }));
        assert_eq!(read.reader.delivered_bytes(), 2 + 3 + 3);
        assert!(read.reader.is_complete() && !read.reader.is_over());
        assert!(read.chunks(true).iter().all(|chunk| chunk["id"] == "r-1"));
    }

    #[test]
    fn calls_are_numbered() {
        let read = read(&[
            chunk(r#"{"functionCall":{"name":"look","args":{"at":1}}}"#, "", "{}"),
            chunk(r#"{"functionCall":{"id":"x","name":"hear"}}"#, STOP, "{}"),
        ]);
        assert_eq!(read.said().1.as_deref(), Some("tool_calls"));
        assert_eq!(
            read.calls(),
            [
                ("look".into(), "call-r-1-0".into(), "{\"at\":1}".into()),
                ("hear".into(), "x".into(), "{}".into())
            ]
        );
    }

    #[test]
    fn only_the_last_report_of_a_finished_stream_is_final() {
        let whole = r#"{"promptTokenCount":7,"candidatesTokenCount":3}"#;
        let early = r#"{"promptTokenCount":7}"#;
        let negative = r#"{"promptTokenCount":7,"candidatesTokenCount":-3}"#;
        let text = r#"{"text":"a"}"#;
        let only = |usage: &str| format!(r#"{{"usageMetadata":{usage}}}"#);
        let known = Some(Usage::plain(7, 3));
        let blocked =
            format!(r#"{{"promptFeedback":{{"blockReason":"SAFETY"}},"usageMetadata":{whole}}}"#);
        let rows = [
            (vec![chunk(text, "", early), chunk(text, STOP, whole)], known, known),
            (vec![chunk(text, "", whole)], None, known),
            (vec![chunk(text, "", early)], None, Some(Usage::plain(7, 0))),
            (vec![chunk(text, STOP, early), only(whole)], known, known),
            (vec![chunk(text, STOP, early)], None, Some(Usage::plain(7, 0))),
            (vec![chunk(text, STOP, "null")], None, None),
            (vec![chunk(text, "", whole), chunk(text, STOP, negative)], None, None),
            (vec![chunk(text, STOP, whole), chunk(text, STOP, whole)], known, known),
            (vec![blocked], known, known),
        ];
        for (data, last, partial) in rows {
            let read = read(&data);
            assert_eq!(read.reader.usage(), last, "{data:?}");
            assert_eq!(read.reader.partial_usage(), partial, "{data:?}");
            assert!(read.said().0.len() <= 2, "{data:?}");
        }
    }
}
