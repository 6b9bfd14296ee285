//! One attempt: sent with its hold, read to its end, settled before the last byte goes out.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tollgate_shared::api::{ReceiptState, RouteAnswer};
use tollgate_shared::budget::{CapSource, Outcome};
use tollgate_shared::id::ProviderName;
use tollgate_shared::price::Cost;
use tollgate_shared::receipt::Status;
use tollgate_shared::retry::{Failure, Fault, Money, judge};
use tollgate_shared::usage::{CostIs, Usage, UsageSource};

use crate::clock;
use crate::flight::{Accepted, Delivery, Facts, FlightError, Gateway};
use crate::ledger::{Ending, Hold, Note, Settlement, Unsettled};
use crate::registry::{Entry, Passage};
use crate::upstream::dialect::{self, Ask, Stamp};
use crate::upstream::{Failed, Upstream, rejected};

mod stream;

/// How one attempt failed, for the caller.
#[derive(Clone, Debug)]
pub struct AttemptError {
    /// Where.
    pub provider: ProviderName,
    /// A stable word.
    pub word: String,
    /// For people.
    pub detail: String,
    /// The status the provider answered with, if it did.
    pub status: Option<u16>,
    /// Whose fault it was.
    pub fault: Fault,
    /// Whether another provider may be tried.
    pub may_fall_back: bool,
    /// Whether anything left for the provider, so that there is a receipt.
    pub was_sent: bool,
}

/// The client's end: it gets one delivery or one refusal.
pub(super) struct Client {
    reply: Option<oneshot::Sender<Result<Delivery, FlightError>>>,
}

impl Client {
    pub(super) fn new(reply: oneshot::Sender<Result<Delivery, FlightError>>) -> Self {
        Self { reply: Some(reply) }
    }

    /// Hands over an answer. A client that left gets none, and the bill is settled all the same.
    fn deliver(&mut self, delivery: Delivery) {
        if let Some(reply) = self.reply.take() {
            drop(reply.send(Ok(delivery)));
        }
    }

    /// Says why there is no answer.
    pub(super) fn refuse(&mut self, error: FlightError) {
        if let Some(reply) = self.reply.take() {
            drop(reply.send(Err(error)));
        }
    }
}

/// Everything one attempt works with.
pub(super) struct Attempt<'a> {
    pub gateway: &'a Gateway,
    pub request: &'a Accepted,
    pub entry: &'a Entry,
    pub deadline: Instant,
    /// Attempts that failed before it.
    pub failed: &'a [AttemptError],
}

impl Attempt<'_> {
    /// Sends it, reads it, settles it, answers the client. On failure it is settled as well.
    pub(super) async fn run(
        &self,
        mut hold: Hold,
        passage: Passage,
        client: &mut Client,
    ) -> Result<(), AttemptError> {
        let provider = &self.entry.registration;
        let ask = Ask {
            payload: &self.request.payload,
            model: &provider.upstream_model,
            cap: hold.cap(),
            output_at_most: provider.output_at_most(hold.bound().input_tokens()),
            stream: self.request.shape.stream,
        };
        let outgoing = match dialect::outgoing(provider.dialect, &provider.endpoint, &ask) {
            Ok(outgoing) => outgoing,
            Err(field) => return Err(self.untranslatable(hold, field).await),
        };
        let started = Instant::now();
        let sent = self.gateway.upstream.send(&mut hold, provider, outgoing, self.deadline).await;
        let response = match sent {
            Ok(response) => response,
            Err(failed) => return Err(self.fail(hold, passage, failed, started).await),
        };
        let status = response.status().as_u16();
        if (200..300).contains(&status) && self.request.shape.stream {
            let stream = stream::Stream { attempt: self, started, client };
            return stream.run(hold, passage, response).await;
        }
        let body = match Upstream::read(response, self.deadline).await {
            Ok(body) => body,
            Err(failed) => return Err(self.fail(hold, passage, failed, started).await),
        };
        if !(200..300).contains(&status) {
            return Err(self.fail(hold, passage, rejected(status, &body), started).await);
        }
        self.answer(hold, passage, (&body, started), client).await
    }

    /// A complete 2xx: meters it, settles it, delivers it.
    async fn answer(
        &self,
        hold: Hold,
        passage: Passage,
        (body, started): (&Bytes, Instant),
        client: &mut Client,
    ) -> Result<(), AttemptError> {
        let read = dialect::answer(self.entry.registration.dialect, &self.stamp(), body);
        let answer = match read {
            Ok(answer) => answer,
            Err(error) => {
                let failed = Failed {
                    failure: Failure::Unreadable,
                    word: "unreadable".into(),
                    detail: error.to_string(),
                };
                return Err(self.fail(hold, passage, failed, started).await);
            }
        };
        let latency_ms = millis(started.elapsed());
        let ending = self.posted(&hold, answer.usage, latency_ms);
        let usage = ending.usage;
        let (output_cap, status) = (chosen_cap(&hold), self.status());
        let (cost, settled) = (ending.cost.total(), self.settle(hold, ending).await);
        let settlement = match settled {
            Ok(settlement) => Some(settlement),
            Err(error) => {
                tracing::error!(%error, run.id = %self.request.run_id, "an answer goes out before its receipt");
                None
            }
        };
        passage.answered(latency_ms, None, usage.input_tokens() + usage.output_tokens());
        let attempts = self.failed.len() + 1;
        let cost_usd = settlement.as_ref().map_or(cost, |settled| settled.receipt.cost_usd);
        let facts = Facts { settled: settlement.as_ref().map(amounts), ..self.facts(output_cap) };
        client.deliver(Delivery::Whole(
            facts,
            Box::new(RouteAnswer {
                request_id: self.request.request_id.clone(),
                run_id: self.request.run_id.clone(),
                agent: self.request.agent.clone(),
                provider: self.entry.registration.name.clone(),
                model: self.request.requirements.model.clone(),
                status,
                input_tokens: usage.input_tokens(),
                output_tokens: usage.output_tokens(),
                cost_usd,
                latency_ms,
                attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                fallback: !self.failed.is_empty(),
                receipt: if settlement.is_some() {
                    ReceiptState::Durable
                } else {
                    ReceiptState::Pending
                },
                response: answer.response,
            }),
        ));
        Ok(())
    }

    /// Settles. A provider that went beyond its bound is no longer trusted to have one.
    async fn settle(&self, hold: Hold, ending: Ending) -> Result<Settlement, Unsettled> {
        let settled = hold.settle(ending).await;
        let broke = |settlement: &Settlement| {
            settlement.receipt.flags.iter().any(|flag| flag == "bound_violation")
        };
        if settled.as_ref().is_ok_and(broke) {
            self.distrust();
        }
        settled
    }

    /// Takes a provider's mark away, and writes into the audit that it was no person's hand.
    fn distrust(&self) {
        let name = &self.entry.registration.name;
        match self.gateway.registry.lose_bound(name) {
            Ok(Some(entry)) => {
                // Nobody waits for it: a ledger that cannot write says so to everyone.
                let note = Note { change: Some(entry.distrusted()), ..Note::default() };
                drop(self.gateway.ledger.keeper().keep(note));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "a provider's mark is taken away in memory alone");
            }
        }
    }

    /// The ending of an answer that is complete, by what it says was used: exact where it says
    /// so, else the whole hold.
    fn posted(&self, hold: &Hold, usage: Option<Usage>, latency_ms: u64) -> Ending {
        let known = |usage: Usage| {
            (usage, UsageSource::Reported, CostIs::Exact, self.entry.card.1.cost(&usage))
        };
        let unknown =
            || (hold.bound(), UsageSource::Bound, CostIs::Hold, Cost::of_hold(hold.amount()));
        let (usage, usage_source, cost_is, cost) = usage.map_or_else(unknown, known);
        let mut flags = Vec::new();
        if usage_source == UsageSource::Bound {
            tracing::warn!(provider.name = %self.entry.registration.name, run.id = %self.request.run_id,
                "an answer came without usage: it is charged at its hold");
            flags.push("usage_missing".into());
        }
        Ending {
            outcome: Outcome::posted(cost.total()),
            status: Some(self.status()),
            usage,
            usage_source,
            cost_is,
            cost,
            latency_ms,
            flags,
            ..Ending::not_sent()
        }
    }

    /// Settles a failure by the rules of money and tells the circuit whose fault it was.
    async fn fail(
        &self,
        hold: Hold,
        passage: Passage,
        failed: Failed,
        started: Instant,
    ) -> AttemptError {
        let verdict = judge(failed.failure, &self.entry.card.1);
        let latency_ms = millis(started.elapsed());
        let word = failed.word.clone();
        let ending = match (verdict.money, failed.failure) {
            (Money::Void, Failure::NotSent) => Ending::not_sent(),
            (Money::Void, _) => Ending::voided(word, latency_ms),
            (Money::Unknown, _) => Ending::unknown(&hold, word, latency_ms),
            (Money::PostHold, _) => Ending {
                outcome: Outcome::posted(hold.amount()),
                status: Some(Status::Error),
                ..Ending::unknown(&hold, word, latency_ms)
            },
            (Money::PostInput, _) => self.posted_input(&hold, word, latency_ms),
        };
        if let Err(error) = hold.settle(ending).await {
            tracing::error!(%error, run.id = %self.request.run_id, "a failure is not settled yet");
        }
        match verdict.fault {
            Fault::Provider => passage.failed(&failed.word),
            Fault::Quota => passage.turned_away(&failed.word),
            Fault::Caller => drop(passage),
        }
        tracing::warn!(provider.name = %self.entry.registration.name, run.id = %self.request.run_id,
            error = %failed.word, detail = %failed.detail, latency_ms, "an attempt failed");
        AttemptError {
            provider: self.entry.registration.name.clone(),
            word: failed.word,
            detail: failed.detail,
            status: match failed.failure {
                Failure::Status(status) => Some(status),
                _ => None,
            },
            fault: verdict.fault,
            may_fall_back: verdict.may_fall_back,
            was_sent: failed.failure != Failure::NotSent,
        }
    }

    /// A provider that charges the input of what it refused.
    fn posted_input(&self, hold: &Hold, word: String, latency_ms: u64) -> Ending {
        let usage = Usage::plain(hold.bound().input_tokens(), 0);
        let card = &self.entry.card.1;
        let cost = Cost {
            input: card.input_at_worst().cost(usage.input_tokens()),
            request: card.request_fee,
            ..Cost::default()
        };
        Ending {
            outcome: Outcome::posted(cost.total()),
            status: Some(Status::Error),
            usage,
            cost,
            cost_is: CostIs::Estimate,
            ..Ending::unknown(hold, word, latency_ms)
        }
    }

    /// The payload has a field that this provider's dialect cannot carry; another's may.
    async fn untranslatable(&self, hold: Hold, field: dialect::Untranslatable) -> AttemptError {
        if let Err(error) = hold.settle(Ending::not_sent()).await {
            tracing::error!(%error, run.id = %self.request.run_id, "a hold is not voided yet");
        }
        AttemptError {
            provider: self.entry.registration.name.clone(),
            word: "untranslatable".into(),
            detail: field.to_string(),
            status: None,
            fault: Fault::Caller,
            may_fall_back: true,
            was_sent: false,
        }
    }

    fn status(&self) -> Status {
        if self.failed.is_empty() { Status::Success } else { Status::Fallback }
    }

    fn stamp(&self) -> Stamp<'_> {
        Stamp {
            id: self.request.request_id.as_str(),
            created: clock::now().seconds(),
            model: &self.request.requirements.model,
        }
    }

    fn facts(&self, output_cap: Option<(u64, CapSource)>) -> Facts {
        Facts {
            request_id: self.request.request_id.clone(),
            run_id: self.request.run_id.clone(),
            provider: self.entry.registration.name.clone(),
            model: self.request.requirements.model.clone(),
            attempts: u32::try_from(self.failed.len() + 1).unwrap_or(u32::MAX),
            output_cap,
            settled: None,
        }
    }
}

/// The cap, where the gateway chose it: a short answer is then explainable.
fn chosen_cap(hold: &Hold) -> Option<(u64, CapSource)> {
    match hold.cap_source() {
        CapSource::Caller | CapSource::None => None,
        source @ (CapSource::Model | CapSource::Budget | CapSource::Gateway) => {
            hold.cap().map(|cap| (cap, source))
        }
    }
}

fn amounts(
    settlement: &Settlement,
) -> (tollgate_shared::money::Usd, tollgate_shared::budget::Account) {
    (settlement.receipt.cost_usd, settlement.account)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Frames that wait for a client who reads slowly; beyond it the upstream waits as well.
const FRAMES_WAITING: usize = 64;

type Frames = mpsc::Sender<Bytes>;
