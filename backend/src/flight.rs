//! One request from accept to answer.
//!
//! The story in verbs: **plan** over a snapshot of the registry; for each candidate **hold** the
//! worst it can cost, **attempt** it, **settle**; answer with the first that succeeds. A flight is
//! a task of its own: the client's connection only listens, so a client that hangs up never loses
//! us the bill. Refuses to know HTTP: a door hands in an [`Accepted`] and takes a [`Delivery`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tollgate_shared::api::{RouteAnswer, RouteRequest};
use tollgate_shared::body::Body;
use tollgate_shared::budget::{Account, CapSource, Need};
use tollgate_shared::id::{AgentName, ModelName, ProviderName, RequestId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::provider::Requirements;
use tollgate_shared::receipt::{Decision, Receipt, Status, hex_sha256};
use tollgate_shared::retry::FALLBACKS_MAX;
use tollgate_shared::select::{Demand, Objective, why};
use tollgate_shared::usage::{CostIs, Usage, UsageSource};

use crate::clock;
use crate::ledger::{HoldError, Ledger, Order, Ticket, Unbound};
use crate::registry::{Choice, Entry, Registry};
use crate::upstream::Upstream;
use crate::upstream::dialect::Shape;

mod attempt;
mod plans;

pub use attempt::AttemptError;
pub use plans::{PLANS_MAX, Plans};

/// What flights need; cheap to clone.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Who gives money.
    pub ledger: Ledger,
    /// Who can be asked.
    pub registry: Arc<Registry>,
    /// How they are asked.
    pub upstream: Upstream,
    /// How long an attempt may take.
    pub deadline: Duration,
    /// Why the latest requests went where they went.
    pub plans: Plans,
}

/// A request that was read and found to be one.
#[derive(Debug)]
pub struct Accepted {
    /// The caller's name for it, or ours.
    pub request_id: RequestId,
    /// Fingerprint of its body, where the caller named it.
    pub body_hash: Option<String>,
    /// Who pays.
    pub run_id: RunId,
    /// Who asks.
    pub agent: AgentName,
    /// What a provider must have.
    pub requirements: Requirements,
    /// What to prefer.
    pub objective: Objective,
    /// The chat request, in OpenAI's shape.
    pub payload: Body,
    /// What of it matters for metering.
    pub shape: Shape,
    /// Its length, in bytes.
    pub payload_bytes: u64,
    /// Whether it may be sent again though its outcome is unknown.
    pub retry_unknown: bool,
}

/// Facts about an answer, for headers.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The request.
    pub request_id: RequestId,
    /// Who paid.
    pub run_id: RunId,
    /// Who answered.
    pub provider: ProviderName,
    /// The model that was asked for.
    pub model: ModelName,
    /// How many attempts were made.
    pub attempts: u32,
    /// The output cap, where the gateway chose it, and by what.
    pub output_cap: Option<(u64, CapSource)>,
    /// What it cost, and the run's account after it; known once it is settled.
    pub settled: Option<(Usd, Account)>,
}

/// What a door gives to its client.
#[derive(Debug)]
pub enum Delivery {
    /// One JSON answer.
    Whole(Facts, Box<RouteAnswer>),
    /// Server-sent events as they come.
    Stream(Facts, mpsc::Receiver<Bytes>),
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum FlightError {
    /// Nobody fits; everyone's reason is in the choice.
    #[error("no provider fits this request")]
    NoProvider(Arc<Choice>),
    /// The ledger gives no money.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// Every candidate failed; what each did, in order.
    #[error("every provider that was tried failed")]
    Upstream(Vec<AttemptError>),
    /// The flight itself died.
    #[error("the request was lost inside the gateway")]
    Lost,
}

impl Accepted {
    /// Completes a request that was read.
    pub fn new(request: RouteRequest, shape: Shape) -> Self {
        // Only a caller that names its requests needs to be told two bodies apart.
        let body_hash = request.request_id.as_ref().map(|_| fingerprint(&request));
        Self {
            request_id: request.request_id.unwrap_or_else(clock::request_id),
            body_hash,
            run_id: request.run_id,
            agent: request.agent,
            requirements: request.requirements,
            objective: request.optimization,
            payload: request.payload,
            shape,
            payload_bytes: request.payload_bytes,
            retry_unknown: false,
        }
    }

    /// What it will probably use: a token is about four bytes of English, and few answers are long.
    fn expected(&self) -> Usage {
        let output = self.shape.stated_cap.unwrap_or(u64::MAX).min(EXPECTED_OUTPUT);
        Usage::plain(self.payload_bytes.div_ceil(4), output * self.shape.choices)
    }

    /// The most it can cost at a provider, before its cap is decided, and its input bound.
    fn need(&self, entry: &Entry) -> (Need, u64) {
        let provider = &entry.registration;
        let input = self.shape.input_bound(self.payload_bytes).min(provider.context_window);
        let likely = self.expected().input_tokens().min(input);
        let need = Need {
            fixed: provider.card.input_at_worst().cost(input) + provider.card.request_fee,
            likely_fixed: provider.card.input_at_worst().cost(likely) + provider.card.request_fee,
            per_output_token: provider.card.output_at_worst().usd().times(self.shape.choices),
            stated_cap: self.shape.stated_cap,
            model_max: provider.output_at_most(input),
        };
        (need, input)
    }
}

impl Gateway {
    /// Sends a request on its way. The flight goes on whatever becomes of the caller.
    pub async fn fly(&self, request: Accepted) -> Result<Delivery, FlightError> {
        let (reply, answer) = oneshot::channel();
        let gateway = self.clone();
        tokio::spawn(async move { gateway.flight(request, reply).await });
        answer.await.unwrap_or(Err(FlightError::Lost))
    }

    async fn flight(
        self,
        request: Accepted,
        reply: oneshot::Sender<Result<Delivery, FlightError>>,
    ) {
        let demand = Demand {
            requirements: &request.requirements,
            objective: request.objective,
            expected: request.expected(),
        };
        let choice = Arc::new(self.registry.choose(&demand));
        self.plans.keep(plans::Made {
            request_id: request.request_id.clone(),
            run_id: request.run_id.clone(),
            at: clock::now(),
            objective: request.objective,
            expected: demand.expected,
            choice: Arc::clone(&choice),
        });
        let mut client = attempt::Client::new(reply);
        if let Err(error) = self.try_candidates(&request, choice, &mut client).await {
            client.refuse(error);
        }
    }

    /// Tries the plan's candidates in order, each with its own hold, until one answers.
    async fn try_candidates(
        &self,
        request: &Accepted,
        choice: Arc<Choice>,
        client: &mut attempt::Client,
    ) -> Result<(), FlightError> {
        if choice.plan.candidates.is_empty() {
            return Err(FlightError::NoProvider(choice));
        }
        let mut failed: Vec<AttemptError> = Vec::new();
        let mut ticket: Option<Ticket> = None;
        let (mut number, mut unproven) = (None, None);
        for place in 0..choice.plan.candidates.len().min(1 + FALLBACKS_MAX) {
            let entry = &choice.entries[choice.plan.candidates[place].index];
            let Some(passage) = self.registry.start(entry) else { continue };
            let fallback_from = failed.last().map(|failure| failure.provider.clone());
            let order = order(request, &choice, place, (number, fallback_from));
            let mut hold = match self.ledger.hold(order).await {
                Ok(hold) => hold,
                // Another provider may have kept its word.
                Err(error @ HoldError::Unbounded(Unbound::Provider(_))) => {
                    unproven = Some(error);
                    continue;
                }
                // What was tried before may have cost money: that is the answer, not the refusal.
                Err(error) if !failed.is_empty() => {
                    tracing::warn!(%error, run.id = %request.run_id, "no money for a fallback");
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            ticket = ticket.or_else(|| hold.take_ticket());
            let attempt_number = hold.attempt();
            let deadline = Instant::now() + self.deadline;
            let attempt =
                attempt::Attempt { gateway: self, request, entry, deadline, failed: &failed };
            match attempt.run(hold, passage, client).await {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    number = attempt_number.map(|number| number + u32::from(failure.was_sent));
                    let may_fall_back = failure.may_fall_back;
                    failed.push(failure);
                    if !may_fall_back {
                        break;
                    }
                }
            }
        }
        drop(ticket);
        if failed.is_empty() {
            return Err(unproven.map_or(FlightError::NoProvider(choice), FlightError::Hold));
        }
        Err(FlightError::Upstream(failed))
    }
}

/// SHA-256 over everything that a request asks for, but its name.
fn fingerprint(request: &RouteRequest) -> String {
    let asked = (&request.agent, &request.requirements, request.optimization, &request.payload);
    hex_sha256(&serde_json::to_vec(&asked).unwrap_or_default())
}

/// The order for one candidate: its need, and the receipt it would get if it were lost.
fn order(
    request: &Accepted,
    choice: &Choice,
    place: usize,
    (number, fallback_from): (Option<u32>, Option<ProviderName>),
) -> Order {
    let plan = &choice.plan;
    let entry = &choice.entries[plan.candidates[place].index];
    let (need, input_bound) = request.need(entry);
    let smallest = plan
        .candidates
        .iter()
        .map(|candidate| request.need(&choice.entries[candidate.index]).0.smallest())
        .min()
        .unwrap_or_default();
    let decision = Decision {
        objective: request.objective,
        why: match &fallback_from {
            Some(failed) => format!("fallback: {failed} failed"),
            None => why(plan, place, request.objective),
        },
        cheapest_usd: plan
            .candidates
            .iter()
            .map(|candidate| candidate.cost)
            .min()
            .unwrap_or_default(),
        candidates: u32::try_from(plan.candidates.len()).unwrap_or(u32::MAX),
    };
    let receipt = draft(request, entry, decision, (number.unwrap_or(1), fallback_from));
    Order {
        receipt,
        need,
        smallest,
        input_bound,
        unbounded: match &request.shape.unbounded {
            Some(field) => Some(Unbound::Field(field.clone())),
            None => (!entry.registration.bounded)
                .then(|| Unbound::Provider(entry.registration.name.clone())),
        },
        choices: request.shape.choices,
        body_hash: request.body_hash.clone(),
        retry_unknown: request.retry_unknown,
        first: number.is_none(),
        card: Arc::clone(&entry.card),
    }
}

/// The receipt of an attempt that was sent and of which nothing more was ever heard.
fn draft(
    request: &Accepted,
    entry: &Entry,
    decision: Decision,
    (attempt, fallback_from): (u32, Option<ProviderName>),
) -> Receipt {
    Receipt {
        request_id: request.request_id.clone(),
        run_id: request.run_id.clone(),
        agent: request.agent.clone(),
        timestamp: clock::now(),
        provider: entry.registration.name.clone(),
        model: request.requirements.model.clone(),
        input_tokens: 0,
        output_tokens: 0,
        cost_usd: Usd::ZERO,
        latency_ms: 0,
        status: Status::Unknown,
        attempt,
        attempt_id: clock::attempt_id(),
        seq: 0,
        usage: Usage::default(),
        usage_source: UsageSource::Bound,
        cost_is: CostIs::Hold,
        cost: Default::default(),
        held_usd: Usd::ZERO,
        cap: None,
        cap_source: CapSource::None,
        price_id: entry.card.0.clone(),
        fallback_from,
        ttft_ms: None,
        uncertain_usd: Usd::ZERO,
        error: None,
        corrects: None,
        evidence: None,
        flags: Vec::new(),
        decision,
        prev: String::new(),
        hash: String::new(),
    }
}

/// Output that a request probably has where its cap allows more, in tokens.
const EXPECTED_OUTPUT: u64 = 256;
