//! Money in hand: the only key to an upstream.
//!
//! A [`Hold`] is what the ledger gives for one attempt. It must be settled; dropped unsettled it
//! settles itself: voided where nothing was sent, unknown where something was.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tollgate_shared::budget::{Account, CapSource, Need, Outcome};
use tollgate_shared::id::{AttemptId, PriceId, RequestId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::price::{Cost, PriceCard};
use tollgate_shared::receipt::{Receipt, Status};
use tollgate_shared::usage::{CostIs, Usage, UsageSource};

use crate::ledger::{Command, Unbound, Unsettled};

/// A request for money.
#[derive(Debug)]
pub struct Order {
    /// The receipt that the attempt would get if nothing more were ever heard of it. The ledger
    /// fills in what it decides: hold, cap, attempt number, time and chain.
    pub receipt: Receipt,
    /// What the attempt can cost.
    pub need: Need,
    /// The least that any candidate of the request's plan needs.
    pub smallest: Usd,
    /// The most input it can have, in tokens.
    pub input_bound: u64,
    /// What makes any bound impossible: refused where the run has a limit.
    pub unbounded: Option<Unbound>,
    /// How many answers are asked for, each of them up to the cap.
    pub choices: u64,
    /// Fingerprint of the body; `None` where the caller gave no request id to deduplicate by.
    pub body_hash: Option<String>,
    /// Whether the caller wants a request sent again whose outcome is unknown.
    pub retry_unknown: bool,
    /// Whether this is the request's first attempt; later ones ride on its ticket.
    pub first: bool,
    /// The price card and its id.
    pub card: Arc<(PriceId, PriceCard)>,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// For its money.
    pub outcome: Outcome,
    /// For its receipt; `None` where nothing was sent, so there is none.
    pub status: Option<Status>,
    /// Tokens by class.
    pub usage: Usage,
    /// Where they come from.
    pub usage_source: UsageSource,
    /// How sure the cost is.
    pub cost_is: CostIs,
    /// The cost by class.
    pub cost: Cost,
    /// From the first byte sent to the last received.
    pub latency_ms: u64,
    /// From the first byte sent to the first token received, for streams.
    pub ttft_ms: Option<u64>,
    /// What went wrong, as a stable word.
    pub error: Option<String>,
    /// What is remarkable, as stable words.
    pub flags: Vec<String>,
}

impl Ending {
    /// Nothing was sent, so nothing was billed and there is no receipt.
    pub fn not_sent() -> Self {
        Self {
            outcome: Outcome::Voided,
            status: None,
            usage: Usage::default(),
            usage_source: UsageSource::Counted,
            cost_is: CostIs::Exact,
            cost: Cost::default(),
            latency_ms: 0,
            ttft_ms: None,
            error: None,
            flags: Vec::new(),
        }
    }

    /// It was sent, and there is proof that nothing was billed.
    pub fn voided(error: String, latency_ms: u64) -> Self {
        Self { status: Some(Status::Voided), error: Some(error), latency_ms, ..Self::not_sent() }
    }

    /// It was sent, and nobody knows what was billed: charged at `held`, with the bounds of `hold`.
    pub fn unknown(hold: &Hold, error: String, latency_ms: u64) -> Self {
        Self {
            outcome: Outcome::Unknown,
            status: Some(Status::Unknown),
            usage: hold.bound(),
            usage_source: UsageSource::Bound,
            cost_is: CostIs::Hold,
            cost: Cost::of_hold(hold.amount()),
            error: Some(error),
            latency_ms,
            ..Self::not_sent()
        }
    }
}

/// What a settlement left behind, on disk.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The receipt, sealed where there is one.
    pub receipt: Receipt,
    /// The run's account after it.
    pub account: Account,
}

/// Money set aside for one attempt, on disk.
#[must_use = "a hold must be settled; dropped, it settles itself as voided or unknown"]
#[derive(Debug)]
pub struct Hold {
    receipt: Option<Box<Receipt>>,
    ticket: Option<Ticket>,
    bound: Usage,
    amount: Usd,
    sent: bool,
    ledger: WeakLedger,
}

/// The right to work on a request: while it lives, the same request is `in_progress`.
#[derive(Debug)]
pub struct Ticket {
    key: Option<(RunId, RequestId)>,
    ledger: WeakLedger,
}

/// A way to the ledger that does not keep it alive.
#[derive(Clone, Debug)]
pub struct WeakLedger(pub(super) mpsc::WeakUnboundedSender<Command>);

impl WeakLedger {
    fn send(&self, command: Command) -> Result<(), Unsettled> {
        self.0.upgrade().ok_or(Unsettled)?.send(command).map_err(|_| Unsettled)
    }
}

impl Hold {
    pub(super) fn new(receipt: Box<Receipt>, ticket: Option<Ticket>, ledger: WeakLedger) -> Self {
        let (bound, amount) = (receipt.usage, receipt.held_usd);
        Self { receipt: Some(receipt), ticket, bound, amount, sent: false, ledger }
    }

    /// How much is set aside.
    pub fn amount(&self) -> Usd {
        self.amount
    }

    /// The most it can use, which the amount pays for.
    pub fn bound(&self) -> Usage {
        self.bound
    }

    /// The id that goes upstream.
    pub fn attempt_id(&self) -> Option<&AttemptId> {
        self.receipt.as_ref().map(|receipt| &receipt.attempt_id)
    }

    /// Which attempt of its request this is.
    pub fn attempt(&self) -> Option<u32> {
        self.receipt.as_ref().map(|receipt| receipt.attempt)
    }

    /// The cap to forward, where one must be.
    pub fn cap(&self) -> Option<u64> {
        self.receipt.as_ref().and_then(|receipt| receipt.cap)
    }

    /// Who chose the cap.
    pub fn cap_source(&self) -> CapSource {
        self.receipt.as_ref().map_or(CapSource::None, |receipt| receipt.cap_source)
    }

    /// From now on something may have been billed.
    pub fn mark_sent(&mut self) {
        self.sent = true;
    }

    /// The request's ticket, where this is its first attempt.
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        self.ticket.take()
    }

    /// The group that gave it was undone: there is nothing to settle.
    pub(super) fn forget(mut self) {
        self.receipt = None;
        self.ticket = None;
    }

    /// Ends the hold. The receipt that comes back is on disk.
    pub async fn settle(mut self, ending: Ending) -> Result<Settlement, Unsettled> {
        let receipt = self.receipt.take().ok_or(Unsettled)?;
        let (reply, answer) = oneshot::channel();
        self.ledger.send(Command::Settle(receipt, Box::new(ending), Some(reply)))?;
        answer.await.map_err(|_| Unsettled)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let ending = match self.sent {
            false => Ending::not_sent(),
            true => Ending::unknown(self, "abandoned".into(), 0),
        };
        if let Some(receipt) = self.receipt.take() {
            // A ledger that is gone finds the hold on disk when it starts.
            self.ledger.send(Command::Settle(receipt, Box::new(ending), None)).ok();
        }
    }
}

impl Ticket {
    pub(super) fn new(key: (RunId, RequestId), ledger: WeakLedger) -> Self {
        Self { key: Some(key), ledger }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some((run_id, request_id)) = self.key.take() {
            self.ledger.send(Command::Done(run_id, request_id)).ok();
        }
    }
}
