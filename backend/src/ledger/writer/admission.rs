//! Who gets money: at once, after a wait in line, or not at all.

use tollgate_shared::budget::{CapSource, Denied, HoldRequest, Owner, Refusal, RunState};
use tollgate_shared::event::Refused;
use tollgate_shared::id::AttemptId;
use tollgate_shared::money::Usd;

use super::line::{Place, Waiting};
use super::{HoldReply, Writer};
use crate::ledger::{Hold, HoldError, Order, Patience, Ticket, Told};
use crate::store::{LastAttempt, NewAttempt, Outage, StoreError};

impl Writer {
    pub(super) fn hold(
        &mut self,
        mut order: Box<Order>,
        reply: HoldReply,
    ) -> Result<(), StoreError> {
        let receipt = &order.receipt;
        let is_named = order.first && order.body_hash.is_some();
        // What became of it before is true whatever the run's state is now.
        if is_named && self.books.twin(&receipt.run_id).is_none() {
            match self.seen_before(&order)? {
                Ok(attempt) => order.receipt.attempt = attempt,
                Err(error) => return self.refuse(&order, reply, error),
            }
        }
        let open_holds = self.books.open_holds();
        if self.outage.is_some() || self.space.is_low(open_holds) {
            let outage = self.outage.unwrap_or(Outage::Full);
            return self.refuse(&order, reply, HoldError::Outage(outage));
        }
        if let Err(error) = self.forbids(&order) {
            return self.refuse(&order, reply, error);
        }
        if let Some(hash) = order.body_hash.clone().filter(|_| is_named) {
            let key = (order.receipt.run_id.clone(), order.receipt.request_id.clone());
            self.active.insert(key, hash);
        }
        let number = self.lines.arrive();
        self.try_hold(Waiting { order, reply, number })
    }

    /// Why this run may not spend at all, now or for a while.
    pub(super) fn forbids(&mut self, order: &Order) -> Result<(), HoldError> {
        let run_id = &order.receipt.run_id;
        if let Some(known) = self.books.twin(run_id) {
            return Err(HoldError::Twin { run_id: run_id.clone(), known: known.clone() });
        }
        if let Some(reason) = &self.policy.stopped.load_full() {
            return Err(HoldError::Stopped(reason.to_string()));
        }
        self.books.open_run(run_id, self.now);
        let path = self.books.path(run_id, &order.receipt.agent);
        let limit_of = |owner: &&Owner| self.books.account(owner).and_then(|one| one.limit);
        let limited = path.iter().find(|owner| limit_of(owner).is_some());
        if limited.is_none() && self.policy.refuse_unbudgeted {
            return Err(HoldError::Unbudgeted(run_id.clone()));
        }
        let stopped = self
            .books
            .lineage(run_id)
            .find(|run| !matches!(run.state, RunState::Open | RunState::Paused));
        if let Some(run) = stopped {
            return Err(HoldError::State { run_id: run.id.clone(), state: run.state });
        }
        if let (Some(_), Some(why)) = (limited, &order.unbounded) {
            return Err(HoldError::Unbounded(why.clone()));
        }
        Ok(())
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
        // An attempt that is known from its receipt alone has no fingerprint to compare.
        let other_body = last.as_ref().is_some_and(|last| {
            !last.body_hash.is_empty() && order.body_hash.as_deref() != Some(&last.body_hash)
        });
        if other_body {
            return Ok(repeated(
                "idempotency_mismatch",
                "came with another body before",
                last.as_ref(),
            ));
        }
        if let Some(hash) = self.active.get(&(run_id.clone(), request_id.clone())) {
            return Ok(match order.body_hash.as_ref() == Some(hash) {
                true => repeated("request_in_progress", "is in progress", None),
                false => repeated("idempotency_mismatch", "came with another body before", None),
            });
        }
        Ok(match last.as_ref().map(|last| last.state.as_str()) {
            None => Ok(1),
            Some("posted") => repeated("already_completed", "was already completed", last.as_ref()),
            Some("unknown") if !order.retry_unknown => {
                repeated("outcome_unknown", "ended with an unknown outcome", last.as_ref())
            }
            Some("pending") => repeated("request_in_progress", "is in progress", None),
            Some(_) => Ok(last.map_or(1, |last| last.attempt + 1)),
        })
    }

    /// Gives money, puts in line, or refuses.
    pub(super) fn try_hold(&mut self, waiting: Waiting) -> Result<(), StoreError> {
        let receipt = &waiting.order.receipt;
        let paused = self.books.lineage(&receipt.run_id).find(|run| run.state == RunState::Paused);
        if let Some(run) = paused {
            let place = Place::Run(run.id.clone());
            self.lines.wait(place, waiting);
            return Ok(());
        }
        if !self.lines.is_empty() {
            let path = self.books.path(&receipt.run_id, &receipt.agent);
            if let Some(place) = self.lines.ahead(&path, waiting.number) {
                self.lines.wait(place, waiting);
                return Ok(());
            }
        }
        let request = demand(&waiting.order);
        match self.books.hold(&request, self.now) {
            Ok(granted) => self.grant(waiting, granted),
            Err(Denied { owner, refusal: Refusal::Contended(_) }) => {
                self.lines.wait(Place::Account(owner), waiting);
                Ok(())
            }
            Err(Denied { owner, refusal }) => {
                let error = HoldError::Refused { owner, refusal };
                self.refuse(&waiting.order, waiting.reply, error)
            }
        }
    }

    /// Writes the hold down; the answer leaves when it is on disk.
    fn grant(
        &mut self,
        waiting: Waiting,
        granted: tollgate_shared::budget::Granted,
    ) -> Result<(), StoreError> {
        let Waiting { mut order, reply, .. } = waiting;
        let receipt = &mut order.receipt;
        let grant = granted.grant;
        receipt.held_usd = grant.amount;
        receipt.cost_usd = grant.amount;
        receipt.cost.hold = grant.amount;
        receipt.usage.input_uncached = order.input_bound;
        receipt.usage.output_visible = grant.cap.saturating_mul(order.choices);
        receipt.input_tokens = receipt.usage.input_tokens();
        receipt.output_tokens = receipt.usage.output_tokens();
        receipt.cap_source = grant.source;
        receipt.cap = (grant.source != CapSource::None).then_some(grant.cap);
        if !grant.exposed.is_zero() {
            receipt.flags.push("expected".into());
        }
        if !granted.past_limit.is_zero() {
            receipt.flags.push("past_limit".into());
            let alarm =
                tollgate_shared::alert::of_soft(&receipt.run_id, granted.past_limit, self.now);
            self.group.told.push(Told::Alarm(alarm));
        }
        if granted.new_agent {
            self.store.insert_agent(&receipt.run_id, &receipt.agent)?;
        }
        if self.cards.insert(order.card.0.clone()) {
            self.store.insert_card(&order.card.0, &order.card.1)?;
        }
        let body_hash = order.body_hash.as_deref().unwrap_or_default();
        let exposed = grant.exposed;
        self.store.insert_attempt(&NewAttempt {
            draft: receipt,
            body_hash,
            exposed,
            at: self.now,
        })?;
        self.group.dirty.extend(granted.touched);
        self.give(order, reply);
        Ok(())
    }

    /// The answer to a granted order leaves when the group is on disk.
    pub(super) fn give(&mut self, order: Box<Order>, reply: HoldReply) {
        let ledger = self.ledger.clone();
        let ticket = (order.first && order.body_hash.is_some()).then(|| {
            let key = (order.receipt.run_id.clone(), order.receipt.request_id.clone());
            Ticket::new(key, ledger.clone())
        });
        let hold = Hold::new(Box::new(order.receipt), ticket, ledger);
        self.group.answers.push(Box::new(move |done| match done {
            // A caller that left drops the hold, which settles itself.
            Ok(_) => drop(reply.send(Ok(hold))),
            Err(outage) => {
                hold.forget();
                drop(reply.send(Err(HoldError::Outage(outage))));
            }
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
        if !matches!(error, HoldError::Repeated { .. }) {
            self.forget_mark(order);
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
            let owner = Owner::Run(key.0);
            let crossed = self.books.relevel(&owner);
            self.tell_crossings(crossed.into_iter().collect());
            self.group.dirty.insert(owner);
        }
        self.group.answers.push(Box::new(move |_| drop(reply.send(Err(error)))));
        Ok(())
    }

    /// A request that is not worked on after all may be sent again.
    pub(super) fn forget_mark(&mut self, order: &Order) {
        if marks(order) {
            let receipt = &order.receipt;
            self.active.remove(&(receipt.run_id.clone(), receipt.request_id.clone()));
        }
    }

    /// Asks those again who waited for what came free, those who came first before the others.
    pub(super) fn serve_waiting(&mut self) -> Result<(), StoreError> {
        let mut freed = std::mem::take(&mut self.group.freed);
        let wakes_all = std::mem::take(&mut self.wakes_all);
        if self.lines.is_empty() {
            return Ok(());
        }
        // The state of a run changes by an operator's word or a broken one, and both wake all.
        for place in if wakes_all { self.lines.places() } else { Vec::new() } {
            if self.resumed(&place) {
                for waiting in self.lines.take_all(&place) {
                    self.ask_again(waiting)?;
                }
            } else if let Place::Account(owner) = place {
                freed.insert(owner);
            }
        }
        for owner in freed {
            let place = Place::Account(owner);
            while let Some(waiting) = self.lines.first(&place) {
                let attempt_id = waiting.order.receipt.attempt_id.clone();
                self.ask_again(waiting)?;
                // Still the first in the same line: nobody behind it may overtake.
                if self.lines.place_of(&attempt_id) == Some(&place) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The run may have been frozen, closed or limited while it waited, and its caller may be gone.
    fn ask_again(&mut self, waiting: Waiting) -> Result<(), StoreError> {
        if waiting.reply.is_closed() {
            self.forget_mark(&waiting.order);
            return Ok(());
        }
        match self.forbids(&waiting.order) {
            Ok(()) => self.try_hold(waiting),
            Err(error) => self.refuse(&waiting.order, waiting.reply, error),
        }
    }

    /// Refuses an order that has waited long enough; one that was served has its answer already.
    pub(super) fn give_up(
        &mut self,
        attempt_id: &AttemptId,
        patience: Patience,
    ) -> Result<(), StoreError> {
        let waits_for_run = matches!(self.lines.place_of(attempt_id), Some(Place::Run(_)));
        if waits_for_run && patience == Patience::Contention {
            return Ok(());
        }
        let Some((place, waiting)) = self.lines.take(attempt_id) else { return Ok(()) };
        let error = match &place {
            Place::Run(run_id) => {
                HoldError::State { run_id: run_id.clone(), state: RunState::Paused }
            }
            Place::Account(owner) => {
                // Those behind it may fit where it did not.
                self.group.freed.insert(owner.clone());
                self.why_not(&waiting.order, owner)
            }
        };
        self.refuse(&waiting.order, waiting.reply, error)
    }

    /// Why an order that waited got nothing: it may be that waiting no longer helps.
    fn why_not(&self, order: &Order, owner: &Owner) -> HoldError {
        match self.books.weigh(&demand(order)) {
            Err(Denied {
                owner,
                refusal: refusal @ (Refusal::Exhausted(_) | Refusal::TooLarge(_)),
            }) => HoldError::Refused { owner, refusal },
            Err(Denied { owner, refusal: Refusal::Contended(shortfall) }) => {
                HoldError::Contended { owner, shortfall }
            }
            // It fits, and somebody who came before it waits there.
            Ok(grant) => {
                let account = self.books.account(owner).copied().unwrap_or_default();
                HoldError::Contended {
                    owner: owner.clone(),
                    shortfall: account.shortfall(grant.amount),
                }
            }
        }
    }
}

fn demand(order: &Order) -> HoldRequest {
    let receipt = &order.receipt;
    HoldRequest {
        attempt_id: receipt.attempt_id.clone(),
        run_id: receipt.run_id.clone(),
        agent: receipt.agent.clone(),
        model: receipt.model.clone(),
        need: order.need,
        smallest: order.smallest,
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
        HoldError::Outage(Outage::Full) => Some(("storage_low", None)),
        _ => None,
    }
}
