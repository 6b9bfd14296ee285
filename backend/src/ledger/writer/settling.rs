//! How attempts end: settled by their flight, or resolved when more is known.

use tokio::sync::oneshot;
use tollgate_shared::budget::{Outcome, Settled};
use tollgate_shared::money::Usd;
use tollgate_shared::price::Cost;
use tollgate_shared::receipt::{Receipt, Status};
use tollgate_shared::usage::{CostIs, UsageSource};

use super::{Owed, Writer};
use crate::ledger::{ChangeError, Ending, Recorded, Resolve, Told, Word};
use crate::store::{Facts, Lost, StoreError};

impl Writer {
    /// Ends an attempt. The settlement is kept until the group is on disk.
    pub(super) fn settle(&mut self, mut owed: Owed) -> Result<(), StoreError> {
        let mut receipt = owed.draft.clone();
        let absurd = match owed.ending.outcome {
            Outcome::Posted { cost, .. } if !self.books.may_post(&receipt.attempt_id, cost) => {
                Some(absurd(&receipt))
            }
            _ => None,
        };
        let ending = absurd.as_ref().unwrap_or(&owed.ending);
        let written = self.write_settlement(&mut receipt, ending);
        owed.receipt = Some(receipt);
        self.group.settled.push(owed);
        written
    }

    fn write_settlement(
        &mut self,
        receipt: &mut Receipt,
        ending: &Ending,
    ) -> Result<(), StoreError> {
        let outcome = beyond_bound(receipt, ending);
        let was = self.state_of(&receipt.run_id);
        let Ok(settled) = self.books.settle(&receipt.attempt_id, outcome, self.now) else {
            return self.settle_late(receipt, ending);
        };
        let state = match outcome {
            Outcome::Posted { .. } => "posted",
            Outcome::Voided => "voided",
            Outcome::Unknown => "unknown",
        };
        write_ending(receipt, ending);
        receipt.cost_usd = settled.charged;
        if ending.usage_source == UsageSource::Reported {
            let tokens = ending.usage.output_tokens();
            self.books.note_output(&receipt.run_id, &receipt.model, tokens);
        }
        flag_violation(receipt, &settled);
        self.record_freeze(&receipt.run_id, was)?;
        if ending.status.is_some() {
            self.seal(receipt)?;
            self.store.settle_attempt(receipt, state, self.now)?;
        } else {
            self.store.delete_attempt(receipt)?;
        }
        self.moved(settled);
        Ok(())
    }

    /// An attempt whose hold was swept, and that ended after all: what it says is evidence.
    fn settle_late(&mut self, receipt: &mut Receipt, ending: &Ending) -> Result<(), StoreError> {
        let Some(lost) = self.store.lost(&receipt.attempt_id)? else {
            // Somebody said what it cost before it came back: that stands.
            let corrupt =
                || StoreError::Corrupt(format!("attempt {} has no hold", receipt.attempt_id));
            tracing::warn!(run.id = %receipt.run_id, attempt.id = %receipt.attempt_id,
                "an attempt came back after it was resolved");
            *receipt = self.store.receipt_of(receipt)?.ok_or_else(corrupt)?;
            return Ok(());
        };
        let (cost, beyond) = match beyond_bound(receipt, ending) {
            Outcome::Posted { cost, uncertain, beyond_bound } if uncertain.is_zero() => {
                (cost, beyond_bound)
            }
            Outcome::Voided => (Usd::ZERO, false),
            // Nothing new, or an estimate, which is no evidence.
            Outcome::Unknown | Outcome::Posted { .. } => {
                *receipt = lost.receipt;
                return Ok(());
            }
        };
        let resolve = Resolve {
            attempt_id: receipt.attempt_id.clone(),
            voided: ending.outcome == Outcome::Voided,
            cost,
            cost_is: ending.cost_is,
            beyond_bound: beyond,
            evidence: "it ended after its hold was swept".into(),
            bill: Some(ending.clone()),
        };
        let unchanged = lost.receipt.clone();
        *receipt = self.correct(lost, &resolve)?.unwrap_or(unchanged);
        Ok(())
    }

    /// An operator, or the end of patience, says what an unknown attempt has cost.
    pub(super) fn resolve(
        &mut self,
        resolve: &Resolve,
        word: &Word,
        reply: oneshot::Sender<Result<Receipt, ChangeError>>,
    ) -> Result<(), StoreError> {
        let Some(lost) = self.store.lost(&resolve.attempt_id)? else {
            let error = ChangeError::NotUnknown(resolve.attempt_id.clone());
            self.group.answers.push(Box::new(move |_| drop(reply.send(Err(error)))));
            return Ok(());
        };
        let run_id = lost.receipt.run_id.clone();
        let held = lost.receipt.held_usd.to_string();
        let Some(receipt) = self.correct(lost, resolve)? else {
            let error = ChangeError::TooLarge(resolve.cost);
            self.group.answers.push(Box::new(move |_| drop(reply.send(Err(error)))));
            return Ok(());
        };
        self.claim(word.key.as_ref())?;
        let fact = |name: &str, value: String| (name.to_owned(), value);
        self.record(Recorded {
            who: word.who.clone(),
            what: "resolve",
            subject: run_id.to_string(),
            note: Some(resolve.evidence.clone()),
            before: Facts::from([fact("cost_usd", held)]),
            after: Facts::from([
                fact("cost_usd", resolve.cost.to_string()),
                fact("attempt_id", resolve.attempt_id.to_string()),
            ]),
        })?;
        self.group.answers.push(Box::new(move |done| {
            drop(reply.send(done.map(|_| receipt).map_err(ChangeError::Outage)));
        }));
        Ok(())
    }

    /// Writes a correction: the difference between what was held and what it has cost. `None`
    /// where that is more than an account can count.
    pub(super) fn correct(
        &mut self,
        lost: Lost,
        resolve: &Resolve,
    ) -> Result<Option<Receipt>, StoreError> {
        let Lost { receipt: original, unresolved } = lost;
        let bill = (resolve.cost, resolve.beyond_bound);
        let was = self.state_of(&original.run_id);
        let Some(settled) = self.books.resolve(unresolved, bill, self.now) else {
            return Ok(None);
        };
        self.record_freeze(&original.run_id, was)?;
        let mut receipt = Receipt {
            status: Status::Correction,
            corrects: Some(original.seq),
            evidence: Some(resolve.evidence.clone()),
            // Without the bill itself its counts are the bounds that were held for.
            cost_is: resolve.cost_is,
            cost: Default::default(),
            error: None,
            flags: original.flags.iter().filter(|flag| *flag == "expected").cloned().collect(),
            ..original.clone()
        };
        if let Some(bill) = &resolve.bill {
            write_ending(&mut receipt, bill);
            receipt.status = Status::Correction;
        } else if resolve.voided {
            (receipt.usage, receipt.input_tokens, receipt.output_tokens) = Default::default();
            receipt.usage_source = UsageSource::Counted;
        }
        receipt.cost_usd = resolve.cost - settled.held;
        // What is not told by class is told as hold, so that the parts add up in every line.
        receipt.cost.hold += receipt.cost_usd - receipt.cost.total();
        flag_violation(&mut receipt, &settled);
        self.seal(&mut receipt)?;
        let state = if resolve.voided { "voided" } else { "posted" };
        self.store.resolve_attempt(&original, state, resolve.cost)?;
        self.moved(settled);
        Ok(Some(receipt))
    }

    /// Puts a receipt at the end of its run's chain.
    fn seal(&mut self, receipt: &mut Receipt) -> Result<(), StoreError> {
        let corrupt = |why: String| StoreError::Corrupt(why);
        let run = self
            .books
            .run_mut(&receipt.run_id)
            .ok_or_else(|| corrupt(format!("run {} has no page", receipt.run_id)))?;
        receipt.timestamp = self.now;
        receipt.seq = run.seq + 1;
        receipt.prev.clone_from(&run.head);
        let line = receipt.seal().map_err(|error| corrupt(format!("receipt: {error}")))?;
        let is_new = receipt.attempt == 1 && receipt.status != Status::Correction;
        run.requests += u64::from(is_new);
        run.seq = receipt.seq;
        run.head.clone_from(&receipt.hash);
        self.store.insert_receipt(receipt, &line)?;
        self.group.told.push(Told::Receipt(Box::new(receipt.clone()), line.into()));
        Ok(())
    }

    /// Money moved: accounts are written, those who wait are looked at, thresholds are told.
    fn moved(&mut self, settled: Settled) {
        self.group.dirty.extend(settled.touched.iter().cloned());
        self.group.freed.extend(settled.touched);
        self.wakes_all |= settled.violation;
        self.tell_crossings(settled.crossed);
    }
}

/// A bill that no account can count is none: charged at the hold, and nobody trusts its author.
fn absurd(draft: &Receipt) -> Ending {
    Ending {
        outcome: Outcome::Posted { cost: draft.held_usd, uncertain: Usd::ZERO, beyond_bound: true },
        status: Some(Status::Error),
        usage: draft.usage,
        usage_source: UsageSource::Bound,
        cost_is: CostIs::Hold,
        cost: Cost::of_hold(draft.held_usd),
        error: Some("usage_absurd".into()),
        ..Ending::not_sent()
    }
}

fn flag_violation(receipt: &mut Receipt, settled: &Settled) {
    if !settled.violation {
        return;
    }
    receipt.flags.push("bound_violation".into());
    tracing::error!(run.id = %receipt.run_id, provider.name = %receipt.provider,
        charged = %settled.charged, held = %settled.held,
        input_tokens = receipt.input_tokens, output_tokens = receipt.output_tokens,
        "a provider went beyond what was held: the run is frozen");
}

/// The outcome, marked where the provider reports more than the attempt's bound: the draft's
/// usage is the most that the cap and the window allow.
fn beyond_bound(draft: &Receipt, ending: &Ending) -> Outcome {
    let beyond = ending.usage_source == UsageSource::Reported
        && draft.cap.is_some()
        && (ending.usage.output_tokens() > draft.output_tokens
            || ending.usage.input_tokens() > draft.input_tokens);
    match ending.outcome {
        Outcome::Posted { cost, uncertain, beyond_bound } => {
            Outcome::Posted { cost, uncertain, beyond_bound: beyond_bound || beyond }
        }
        other => other,
    }
}

fn write_ending(receipt: &mut Receipt, ending: &Ending) {
    receipt.status = ending.status.unwrap_or(receipt.status);
    receipt.usage = ending.usage;
    receipt.input_tokens = ending.usage.input_tokens();
    receipt.output_tokens = ending.usage.output_tokens();
    receipt.usage_source = ending.usage_source;
    receipt.cost_is = ending.cost_is;
    receipt.cost = ending.cost;
    receipt.latency_ms = ending.latency_ms;
    receipt.ttft_ms = ending.ttft_ms;
    receipt.error.clone_from(&ending.error);
    receipt.flags.extend(ending.flags.iter().cloned());
    if let Outcome::Posted { uncertain, .. } = ending.outcome {
        receipt.uncertain_usd = uncertain;
    }
}
