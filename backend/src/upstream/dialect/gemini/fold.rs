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
    has_role: bool,
    calls: u64,
    is_report_whole: bool,
}

impl Fold {
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
