//! Who gets money: at once, after a wait in line, or not at all.

use tollgate_shared::budget::{CapSource, HoldRequest, Refusal, RunState};
use tollgate_shared::event::Refused;
use tollgate_shared::id::{AttemptId, RunId};
use tollgate_shared::money::Usd;

use super::{HoldReply, Writer};
use crate::ledger::{Hold, HoldError, Order, Ticket, Told};
use crate::store::{LastAttempt, NewAttempt, StoreError};

impl Writer {
    pub(super) fn hold(
        &mut self,
        mut order: Box<Order>,
        reply: HoldReply,
    ) -> Result<(), StoreError> {
        if let Some(error) = self.forbids(&order) {
            return self.refuse(&order, reply, error);
        }
        if order.first && order.body_hash.is_some() {
            let key = (order.receipt.run_id.clone(), order.receipt.request_id.clone());
            match self.seen_before(&order)? {
                Ok(attempt) => order.receipt.attempt = attempt,
                Err(error) => return self.refuse(&order, reply, error),
            }
            self.active.insert(key);
        }
        if self.parked.contains_key(&order.receipt.run_id) {
            self.park(order, reply);
            return Ok(());
        }
        self.try_hold(order, reply).map(drop)
    }

    /// Why this run may not spend at all.
    pub(super) fn forbids(&mut self, order: &Order) -> Option<HoldError> {
        let run_id = &order.receipt.run_id;
        if let Some(known) = self.books.twin(run_id) {
            return Some(HoldError::Twin { run_id: run_id.clone(), known: known.clone() });
        }
        let limit =
            self.books.run(run_id).map_or(self.policy.default_limit, |run| run.account.limit);
        if limit.is_some()
            && let Some(field) = &order.unbounded
        {
            return Some(HoldError::Unbounded(field.clone()));
        }
        if limit.is_none() && self.policy.refuse_unbudgeted {
            return Some(HoldError::Unbudgeted(run_id.clone()));
        }
        let run = self.books.open_run(run_id, self.policy.default_limit, self.now);
        (run.state != RunState::Open)
            .then(|| HoldError::State { run_id: run_id.clone(), state: run.state })
    }

    /// The attempt number this request goes on with, or what became of it before.
    pub(super) fn seen_before(&self, order: &Order) -> Result<Result<u32, HoldError>, StoreError> {
        let (run_id, request_id) = (&order.receipt.run_id, &order.receipt.request_id);
        let last = self.store.last_attempt(run_id, request_id)?;
        let repeated = |code, what, last: Option<&LastAttempt>| {
            Err(HoldError::Repeated {
                run_id: run_id.clone(),
                request_id: request_id.clone(),
                code,
                what,
                charged: last.map(|last| last.charged).unwrap_or_default(),
            })
        };
        let other_body =
            last.as_ref().is_some_and(|last| order.body_hash.as_deref() != Some(&last.body_hash));
        if other_body {
            return Ok(repeated(
                "idempotency_mismatch",
                "came with another body before",
                last.as_ref(),
            ));
        }
        if self.active.contains(&(run_id.clone(), request_id.clone())) {
            return Ok(repeated("request_in_progress", "is in progress", None));
        }
        Ok(match last.as_ref().map(|last| last.state.as_str()) {
            None => Ok(1),
            Some("posted") => repeated("already_completed", "was already completed", last.as_ref()),
            Some("unknown") => {
                repeated("outcome_unknown", "ended with an unknown outcome", last.as_ref())
            }
            Some("pending") => repeated("request_in_progress", "is in progress", None),
            Some(_) => Ok(last.map_or(1, |last| last.attempt + 1)),
        })
    }

    /// Gives money, parks, or refuses. Answers whether the order is done with.
    pub(super) fn try_hold(
        &mut self,
        mut order: Box<Order>,
        reply: HoldReply,
    ) -> Result<bool, StoreError> {
        let request = HoldRequest {
            attempt_id: order.receipt.attempt_id.clone(),
            run_id: order.receipt.run_id.clone(),
            agent: order.receipt.agent.clone(),
            need: order.need,
            smallest: order.smallest,
        };
        let granted = match self.books.hold(&request, self.now) {
            Ok(granted) => granted,
            Err(Refusal::Contended(_)) => {
                self.park(order, reply);
                return Ok(false);
            }
            Err(refusal) => {
                let run_id = request.run_id.clone();
                self.refuse(&order, reply, HoldError::Refused { run_id, refusal })?;
                return Ok(true);
            }
        };
        let receipt = &mut order.receipt;
        receipt.held_usd = granted.grant.amount;
        receipt.cost_usd = granted.grant.amount;
        receipt.cost.hold = granted.grant.amount;
        receipt.usage.input_uncached = order.input_bound;
        receipt.usage.output_visible = granted.grant.cap.saturating_mul(order.choices);
        receipt.input_tokens = receipt.usage.input_tokens();
        receipt.output_tokens = receipt.usage.output_tokens();
        receipt.cap_source = granted.grant.source;
        receipt.cap = (granted.grant.source != CapSource::None).then_some(granted.grant.cap);
        if granted.new_agent {
            self.store.insert_agent(&receipt.run_id, &receipt.agent)?;
        }
        if self.cards.insert(order.card.0.clone()) {
            self.store.insert_card(&order.card.0, &order.card.1)?;
        }
        let body_hash = order.body_hash.as_deref().unwrap_or_default();
        self.store.insert_attempt(&NewAttempt { draft: receipt, body_hash, at: self.now })?;
        self.group.dirty.insert(request.run_id);
        self.give(order, reply);
        Ok(true)
    }

    /// The answer to a granted order leaves when the group is on disk.
    pub(super) fn give(&mut self, order: Box<Order>, reply: HoldReply) {
        let ledger = self.ledger.clone();
        let ticket = (order.first && order.body_hash.is_some()).then(|| {
            let key = (order.receipt.run_id.clone(), order.receipt.request_id.clone());
            Ticket::new(key, ledger.clone())
        });
        let hold = Hold::new(Box::new(order.receipt), ticket, ledger);
        self.group.answers.push(Box::new(move |_| {
            // A caller that left drops the hold, which settles itself.
            drop(reply.send(Ok(hold)));
        }));
    }

    pub(super) fn refuse(
        &mut self,
        order: &Order,
        reply: HoldReply,
        error: HoldError,
    ) -> Result<(), StoreError> {
        let receipt = &order.receipt;
        let key = (receipt.run_id.clone(), receipt.request_id.clone());
        // A later attempt rides on its request's ticket, which ends the request, not this.
        if marks(order) && !matches!(error, HoldError::Repeated { .. }) {
            self.active.remove(&key);
        }
        if let Some((code, needed)) = told_as(&error) {
            self.group.told.push(Told::Refused(Refused {
                seq: 0,
                at: self.now,
                run_id: key.0.clone(),
                agent: receipt.agent.clone(),
                request_id: key.1,
                code: code.into(),
                hold_usd: needed.unwrap_or(order.smallest),
            }));
            // A refusal can show that nothing useful fits any more.
            self.tell_crossing(&key.0);
            self.group.dirty.insert(key.0);
        }
        self.group.answers.push(Box::new(move |_| drop(reply.send(Err(error)))));
        Ok(())
    }

    pub(super) fn park(&mut self, order: Box<Order>, reply: HoldReply) {
        self.parked.entry(order.receipt.run_id.clone()).or_default().push_back((order, reply));
    }

    /// Gives freed money to those who waited longest.
    pub(super) fn serve_parked(&mut self) -> Result<(), StoreError> {
        for run_id in std::mem::take(&mut self.group.freed) {
            let Some(mut queue) = self.parked.remove(&run_id) else { continue };
            while let Some((order, reply)) = queue.pop_front() {
                if reply.is_closed() {
                    if marks(&order) {
                        let request_id = order.receipt.request_id.clone();
                        self.active.remove(&(run_id.clone(), request_id));
                    }
                    continue;
                }
                // The run may have been frozen, paused or limited while they waited.
                if let Some(error) = self.forbids(&order) {
                    self.refuse(&order, reply, error)?;
                    continue;
                }
                // Parked again, it stands alone in a new queue: put it back in front.
                if !self.try_hold(order, reply)? {
                    let again = self.parked.remove(&run_id).and_then(|mut one| one.pop_front());
                    again.into_iter().for_each(|order| queue.push_front(order));
                    break;
                }
            }
            if !queue.is_empty() {
                self.parked.insert(run_id, queue);
            }
        }
        Ok(())
    }

    /// Refuses an order that still waits; one that was served meanwhile has its answer already.
    pub(super) fn give_up(
        &mut self,
        run_id: RunId,
        attempt_id: &AttemptId,
    ) -> Result<(), StoreError> {
        let Some(queue) = self.parked.get_mut(&run_id) else { return Ok(()) };
        let waits = |(order, _): &(Box<Order>, HoldReply)| order.receipt.attempt_id == *attempt_id;
        let Some((order, reply)) = queue.iter().position(waits).and_then(|at| queue.remove(at))
        else {
            return Ok(());
        };
        if queue.is_empty() {
            self.parked.remove(&run_id);
        }
        // Those behind it may fit where it did not.
        self.group.freed.insert(run_id.clone());
        let run = self.books.run(&run_id);
        let account = run.map(|run| run.account).unwrap_or_default();
        let needed = order.need.least(run.map(|run| run.mode).unwrap_or_default());
        let error = match account.check(needed) {
            Err(Refusal::Exhausted(shortfall)) => {
                HoldError::Refused { run_id, refusal: Refusal::Exhausted(shortfall) }
            }
            _ => HoldError::Contended { run_id, shortfall: account.shortfall(needed) },
        };
        self.refuse(&order, reply, error)
    }
}

/// Whether this order marked its request as worked on.
fn marks(order: &Order) -> bool {
    order.first && order.body_hash.is_some()
}

/// The code under which a refusal is told, and what was needed; `None` for a request that is no
/// new demand for money.
fn told_as(error: &HoldError) -> Option<(&'static str, Option<Usd>)> {
    match error {
        HoldError::Refused { refusal: Refusal::TooLarge(shortfall), .. } => {
            Some(("amount_too_large", Some(shortfall.needed_usd)))
        }
        HoldError::Refused { refusal, .. } => {
            Some(("budget_exhausted", Some(refusal.shortfall().needed_usd)))
        }
        HoldError::Unbounded(_) => Some(("unbounded_request", None)),
        HoldError::Contended { shortfall, .. } => {
            Some(("budget_contended", Some(shortfall.needed_usd)))
        }
        HoldError::Unbudgeted(_) => Some(("budget_required", None)),
        HoldError::State { state, .. } => Some((state.refusal_code(), None)),
        _ => None,
    }
}
