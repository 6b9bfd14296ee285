//! A streamed attempt: frames flow as they come, the end waits for the settlement.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tollgate_shared::budget::Outcome;
use tollgate_shared::money::Usd;
use tollgate_shared::price::BillsPartial;
use tollgate_shared::provider::OnDisconnect;
use tollgate_shared::receipt::Status;
use tollgate_shared::retry::Failure;
use tollgate_shared::usage::{CostIs, Usage, UsageSource};

use super::{Attempt, AttemptError, Client, FRAMES_WAITING, Frames, amounts, chosen_cap, millis};
use crate::flight::{Delivery, Facts};
use crate::ledger::{Ending, Hold, Settlement, Unsettled};
use crate::registry::Passage;
use crate::upstream::dialect::{StreamError, StreamReader};
use crate::upstream::{Failed, next_chunk};

/// A streamed attempt under way.
pub(super) struct Stream<'a, 'b> {
    pub attempt: &'a Attempt<'b>,
    pub started: Instant,
    pub client: &'a mut Client,
}

/// Where a stream has got to.
struct Progress {
    reader: StreamReader,
    frames: Vec<Bytes>,
    /// The client, once content has come; before that another provider may still answer.
    client: Option<Frames>,
    /// The client has hung up: what follows is read for the bill alone.
    client_left: Option<Instant>,
    /// Its place among the streams that are read for nobody.
    drain: Option<OwnedSemaphorePermit>,
    ttft_ms: Option<u64>,
}

impl Stream<'_, '_> {
    /// Reads to the end, forwarding; settles; sends the end.
    pub(super) async fn run(
        mut self,
        hold: Hold,
        passage: Passage,
        mut response: reqwest::Response,
    ) -> Result<(), AttemptError> {
        let attempt = self.attempt;
        let mut progress = Progress {
            reader: StreamReader::new(attempt.entry.registration.dialect, &attempt.stamp()),
            frames: Vec::new(),
            client: None,
            client_left: None,
            drain: None,
            ttft_ms: None,
        };
        match self.read(&mut response, &hold, &mut progress).await {
            // Nothing reached the client: a failure like any other.
            Err(failed) if progress.client.is_none() && failed.word != BEYOND_BOUND => {
                return Err(attempt.fail(hold, passage, failed, self.started).await);
            }
            Err(failed) => {
                if progress.client.is_none() {
                    self.open(&hold, &mut progress);
                }
                self.cut_off(hold, passage, (progress, failed)).await;
            }
            Ok(()) => {
                if progress.client.is_none() {
                    // Complete without content: the client gets its empty answer.
                    self.open(&hold, &mut progress);
                }
                self.complete(hold, passage, progress).await;
            }
        }
        Ok(())
    }

    async fn read(
        &mut self,
        response: &mut reqwest::Response,
        hold: &Hold,
        progress: &mut Progress,
    ) -> Result<(), Failed> {
        while !progress.reader.is_over() {
            let silence = Instant::now() + SILENCE_MAX;
            let mut until = silence.min(self.attempt.deadline);
            if let Some(left) = progress.client_left {
                until = until.min(left + DRAIN_MAX);
            }
            let next = match self.wait(response, until, progress).await {
                Some(next) => next,
                // Told once; from now on it is read for its bill alone, or not at all.
                None if self.drains(progress) => continue,
                None => return Err(client_left()),
            };
            let chunk = match next {
                Ok(chunk) => chunk,
                // The answer is whole; how its connection ends says nothing about it.
                Err(_) if progress.reader.is_complete() => None,
                Err(failed) => return Err(failed),
            };
            let pushed = match &chunk {
                Some(bytes) => progress.reader.push(bytes, &mut progress.frames),
                None => progress.reader.end(&mut progress.frames),
            };
            self.forward(hold, progress).await;
            pushed.map_err(|error| unreadable(&error))?;
            if hold.cap().is_some() && is_beyond(&progress.reader, &hold.bound()) {
                return Err(beyond_bound());
            }
            if progress.client_left.is_some() && !self.drains(progress) {
                return Err(client_left());
            }
            if chunk.is_none() {
                break;
            }
        }
        if progress.reader.is_complete() {
            return Ok(());
        }
        Err(Failed {
            failure: Failure::Broken,
            word: "stream_cut".into(),
            detail: "the provider's stream ended before its end".into(),
        })
    }

    /// The next chunk; `None` where the client left while it was waited for.
    async fn wait(
        &self,
        response: &mut reqwest::Response,
        until: Instant,
        progress: &mut Progress,
    ) -> Option<Result<Option<Bytes>, Failed>> {
        let Some(client) = progress.client.as_ref().filter(|_| progress.client_left.is_none())
        else {
            return Some(next_chunk(response, until).await);
        };
        tokio::select! {
            biased;
            next = next_chunk(response, until) => Some(next),
            () = client.closed() => {
                progress.client_left = Some(Instant::now());
                None
            }
        }
    }

    /// Whether a stream without a client is read on: where its provider is to be, and as long as
    /// not too many are.
    fn drains(&self, progress: &mut Progress) -> bool {
        if self.attempt.entry.registration.on_disconnect == OnDisconnect::Cancel {
            return false;
        }
        if progress.drain.is_none() {
            progress.drain = self.attempt.gateway.upstream.may_drain();
        }
        progress.drain.is_some()
    }

    /// Sends on what may flow. A client that left is noted; its bill is still read.
    async fn forward(&mut self, hold: &Hold, progress: &mut Progress) {
        if progress.client.is_none() {
            if !progress.reader.has_content() {
                return;
            }
            progress.ttft_ms = Some(millis(self.started.elapsed()));
            self.open(hold, progress);
        }
        for frame in std::mem::take(&mut progress.frames) {
            if progress.client_left.is_none() && !send(progress.client.as_ref(), frame).await {
                progress.client_left = Some(Instant::now());
            }
        }
    }

    fn open(&mut self, hold: &Hold, progress: &mut Progress) {
        let (frames, receiver) = mpsc::channel(FRAMES_WAITING);
        let facts = self.attempt.facts(chosen_cap(hold));
        self.client.deliver(Delivery::Stream(facts, receiver));
        progress.client = Some(frames);
    }

    async fn complete(self, hold: Hold, passage: Passage, progress: Progress) {
        let attempt = self.attempt;
        let latency_ms = millis(self.started.elapsed());
        let ending = Ending {
            ttft_ms: progress.ttft_ms,
            ..attempt.posted(&hold, progress.reader.usage(), latency_ms)
        };
        let tokens = ending.usage.input_tokens() + ending.usage.output_tokens();
        let facts = attempt.facts(chosen_cap(&hold));
        let settled = attempt.settle(hold, ending).await;
        passage.answered(latency_ms, progress.ttft_ms, tokens);
        let mut tail = progress.reader.tail(attempt.request.shape.include_usage);
        let done = tail.pop();
        let end = [Some(comment(&facts, &settled)), done].into_iter().flatten();
        for frame in progress.frames.into_iter().chain(tail).chain(end) {
            if progress.client_left.is_some() || !send(progress.client.as_ref(), frame).await {
                break;
            }
        }
    }

    /// Content had reached the client, so nobody else can be asked: what was delivered is charged
    /// as the provider bills it, and the client is told that this is not the end.
    async fn cut_off(self, hold: Hold, passage: Passage, (progress, failed): (Progress, Failed)) {
        let attempt = self.attempt;
        let latency_ms = millis(self.started.elapsed());
        let facts = attempt.facts(chosen_cap(&hold));
        let ending = match (progress.reader.usage(), attempt.entry.card.1.bills_partial) {
            // The whole usage came before the stream broke: that is the bill.
            (Some(usage), _) => Ending {
                status: Some(Status::CutOff),
                error: Some(failed.word.clone()),
                ..attempt.posted(&hold, Some(usage), latency_ms)
            },
            (None, BillsPartial::Delivered) => self.delivered(&hold, &progress, &failed),
            (None, BillsPartial::Full | BillsPartial::Unknown) => {
                Ending::unknown(&hold, failed.word.clone(), latency_ms)
            }
        };
        let ending = Ending { ttft_ms: progress.ttft_ms, latency_ms, ..ending };
        let settled = attempt.settle(hold, ending).await;
        // A client that left, and our patience with what it left behind, are not the provider's.
        if progress.client_left.is_some() {
            drop(passage);
        } else {
            passage.failed(&failed.word);
        }
        tracing::warn!(provider.name = %facts.provider, run.id = %facts.run_id, error = %failed.word,
            "a stream was cut off after content had reached the client");
        let message = format!("the provider's stream broke: {}", failed.word);
        for frame in progress.frames {
            send(progress.client.as_ref(), frame).await;
        }
        send(progress.client.as_ref(), comment(&facts, &settled)).await;
        send(progress.client.as_ref(), StreamReader::error_frame(&message)).await;
    }

    /// The most that was delivered, plus what may have been under way; the rest of the hold stays
    /// in sight as uncertain.
    fn delivered(&self, hold: &Hold, progress: &Progress, failed: &Failed) -> Ending {
        let bound = hold.bound();
        let reported = progress.reader.partial_usage().unwrap_or_default();
        let counted = progress.reader.delivered_bytes().saturating_add(LAG_TOKENS);
        let beyond = failed.word == BEYOND_BOUND;
        let most = if beyond { u64::MAX } else { bound.output_tokens() };
        let output = reported.output_tokens().max(counted).min(most);
        let usage = match progress.reader.partial_usage() {
            Some(known) => {
                Usage { output_visible: output.saturating_sub(known.reasoning), ..known }
            }
            None => Usage::plain(bound.input_tokens(), output),
        };
        let cost = self.attempt.entry.card.1.cost(&usage);
        // Within the bound, so within the hold as well, where the run's mode holds the worst case.
        let charged = cost.total();
        let uncertain = (hold.amount() - charged).or_zero();
        Ending {
            outcome: Outcome::Posted { cost: charged, uncertain, beyond_bound: beyond },
            status: Some(Status::CutOff),
            usage,
            usage_source: UsageSource::Counted,
            cost_is: CostIs::Estimate,
            cost,
            error: Some(failed.word.clone()),
            ..Ending::not_sent()
        }
    }
}

/// Whether the least that a stream can have used passes what was held for it: a provider that
/// ignores its cap is stopped while it does.
fn is_beyond(reader: &StreamReader, bound: &Usage) -> bool {
    let reported = reader.partial_usage().map_or(0, |usage| usage.output_tokens());
    let counted = reader.delivered_bytes() / TOKEN_BYTES_MAX;
    reported.max(counted) > bound.output_tokens()
}

fn client_left() -> Failed {
    Failed {
        failure: Failure::Broken,
        word: "client_left".into(),
        detail: "the client left, and its stream was cut".into(),
    }
}

fn beyond_bound() -> Failed {
    Failed {
        failure: Failure::Broken,
        word: BEYOND_BOUND.into(),
        detail: "the provider went on beyond the output cap".into(),
    }
}

fn unreadable(error: &StreamError) -> Failed {
    Failed { failure: Failure::Broken, word: "stream_error".into(), detail: error.to_string() }
}

/// Sends a frame; waits while the client reads slowly. Answers whether the client is there: one
/// that takes nothing for long must not keep money and a provider waiting.
async fn send(client: Option<&Frames>, frame: Bytes) -> bool {
    let Some(client) = client else { return false };
    tokio::time::timeout(SILENCE_MAX, client.send(frame)).await.is_ok_and(|sent| sent.is_ok())
}

/// The amounts, known only at the end, as a comment that every SDK of this dialect passes over.
fn comment(facts: &Facts, settled: &Result<Settlement, Unsettled>) -> Bytes {
    let text = match settled.as_ref().map(amounts) {
        Ok((cost, account)) => format!(
            ": tollgate {{\"request_id\":\"{}\",\"cost_usd\":\"{cost}\",\"run_posted_usd\":\"{}\",\"run_available_usd\":{},\"receipt\":\"durable\"}}\n\n",
            facts.request_id,
            account.posted,
            account.available().map_or("null".to_owned(), |left: Usd| format!("\"{left}\"")),
        ),
        Err(_) => format!(
            ": tollgate {{\"request_id\":\"{}\",\"receipt\":\"pending\"}}\n\n",
            facts.request_id
        ),
    };
    text.into()
}

/// Longest silence between two chunks of a stream, and longest wait for a client that reads nothing.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long a stream is read on for its bill after its client has left.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// Why a stream was cut that went on beyond its cap.
const BEYOND_BOUND: &str = "beyond_bound";

/// Longest text that one token of output can stand for, in bytes: the long runs of spaces and rules
/// in the vocabularies of today's models.
const TOKEN_BYTES_MAX: u64 = 128;

/// Tokens that a provider may have made and not delivered when a stream is cut.
const LAG_TOKENS: u64 = 32;
