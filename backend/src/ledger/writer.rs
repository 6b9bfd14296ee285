//! The ledger's thread: applies commands in groups and commits them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::mpsc::SyncSender;

use tokio::sync::{mpsc, oneshot};
use tollgate_shared::budget::{Books, BudgetChange, OpenHold, Outcome, Run};
use tollgate_shared::id::{PriceId, RequestId, RunId};
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;
use tollgate_shared::usage::UsageSource;

use crate::clock;
use crate::ledger::hold::WeakLedger;
use crate::ledger::{
    ChangeError, Command, Ending, GROUP_MAX, Hold, HoldError, Order, Policy, Settlement, Told,
};
use crate::store::{AuditRow, Store, StoreError};

mod admission;

type HoldReply = oneshot::Sender<Result<Hold, HoldError>>;

/// The thread's state.
pub(super) struct Writer {
    books: Books,
    store: Store,
    policy: Policy,
    told: SyncSender<Vec<Told>>,
    ledger: WeakLedger,
    /// Never goes back, whatever the wall clock does.
    now: Timestamp,
    /// Requests being worked on.
    active: HashSet<(RunId, RequestId)>,
    /// Requests that wait for money, first come first served within their run.
    parked: HashMap<RunId, VecDeque<(Box<Order>, HoldReply)>>,
    /// Cards that are in the store already.
    cards: HashSet<PriceId>,
    group: Group,
}

/// Sends an answer on its way; it may look into the books as they were committed.
type Answer = Box<dyn FnOnce(&Books) + Send>;

/// What one group leaves to do once it is on disk.
#[derive(Default)]
struct Group {
    dirty: HashSet<RunId>,
    freed: HashSet<RunId>,
    told: Vec<Told>,
    answers: Vec<Answer>,
}

impl Writer {
    /// Reads the books back and turns what was pending into unknown, in one transaction.
    pub(super) fn open(
        store: Store,
        policy: Policy,
        told: SyncSender<Vec<Told>>,
        ledger: WeakLedger,
    ) -> Result<Self, StoreError> {
        let (books, orphans, now) = (store.load()?, store.orphans()?, store.last_moment()?);
        let mut writer = Self {
            books,
            store,
            policy,
            told,
            ledger,
            now,
            active: HashSet::new(),
            parked: HashMap::new(),
            cards: HashSet::new(),
            group: Group::default(),
        };
        if orphans.is_empty() {
            return Ok(writer);
        }
        writer.tick();
        writer.store.begin()?;
        for orphan in orphans {
            let receipt = Box::new(orphan.receipt);
            let open = OpenHold { run_id: receipt.run_id.clone(), amount: orphan.held };
            writer.books.restore_hold(receipt.attempt_id.clone(), open);
            let ending = recovered(&receipt);
            writer.settle(receipt, ending, None)?;
        }
        // Told to nobody: projections begin with what the store holds, and this is in it.
        drop(writer.finish()?);
        Ok(writer)
    }

    /// Works until every handle is gone.
    pub(super) fn run(
        &mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) -> Result<(), StoreError> {
        while let Some(first) = commands.blocking_recv() {
            self.tick();
            self.store.begin()?;
            self.apply(first)?;
            for _ in 1..GROUP_MAX {
                match commands.try_recv() {
                    Ok(next) => self.apply(next)?,
                    Err(_) => break,
                }
            }
            self.serve_parked()?;
            let told = self.finish()?;
            if !told.is_empty() {
                // A projection that is gone catches up from the store when it starts again.
                self.told.send(told).ok();
            }
        }
        Ok(())
    }

    fn apply(&mut self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Hold(order, reply) => self.hold(order, reply),
            Command::Settle(receipt, ending, reply) => self.settle(receipt, *ending, reply),
            Command::Change(change, note, reply) => self.change(&change, note, reply),
            Command::Done(run_id, request_id) => {
                self.active.remove(&(run_id, request_id));
                Ok(())
            }
            Command::GiveUp(run_id, attempt_id) => self.give_up(run_id, &attempt_id),
            Command::Read(read) => {
                self.group.answers.push(read);
                Ok(())
            }
        }
    }

    /// Writes what the group changed, commits, and lets the answers leave. What is to be told
    /// comes back.
    fn finish(&mut self) -> Result<Vec<Told>, StoreError> {
        let group = std::mem::take(&mut self.group);
        let mut told = group.told;
        for run_id in group.dirty {
            if let Some(run) = self.books.run(&run_id) {
                assert!(run.account.is_sound(), "account of run {run_id} is unsound: {run:?}");
                self.store.save_run(run)?;
                told.push(Told::Run(Box::new(run.clone())));
            }
        }
        self.store.commit()?;
        for answer in group.answers {
            answer(&self.books);
        }
        Ok(told)
    }

    fn settle(
        &mut self,
        mut receipt: Box<Receipt>,
        ending: Ending,
        reply: Option<oneshot::Sender<Settlement>>,
    ) -> Result<(), StoreError> {
        let outcome = beyond_bound(&receipt, &ending);
        let settled = self
            .books
            .settle(&receipt.attempt_id, outcome, self.now)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let state = match outcome {
            Outcome::Posted { .. } => "posted",
            Outcome::Voided => "voided",
            Outcome::Unknown => "unknown",
        };
        let has_receipt = ending.status.is_some();
        write_ending(&mut receipt, ending);
        receipt.timestamp = self.now;
        receipt.cost_usd = settled.charged;
        if settled.violation {
            receipt.flags.push("bound_violation".into());
            tracing::error!(run.id = %settled.run_id, provider.name = %receipt.provider,
                charged = %settled.charged, held = %settled.held,
                input_tokens = receipt.input_tokens, output_tokens = receipt.output_tokens,
                "a provider went beyond what was held: the run is frozen");
        }
        if has_receipt {
            self.store.settle_attempt(&receipt, state, self.now)?;
            self.seal(&mut receipt)?;
        } else {
            self.store.delete_attempt(&receipt)?;
        }
        if let Some((_, level)) = settled.crossed {
            self.crossed(&settled.run_id, level);
        }
        self.group.dirty.insert(settled.run_id.clone());
        self.group.freed.insert(settled.run_id);
        if let Some(reply) = reply {
            let run = self.books.run(&receipt.run_id);
            let account = run.map(|run| run.account).unwrap_or_default();
            let settlement = Settlement { receipt: *receipt, account };
            self.group.answers.push(Box::new(move |_| drop(reply.send(settlement))));
        }
        Ok(())
    }

    /// Puts a receipt at the end of its run's chain.
    fn seal(&mut self, receipt: &mut Receipt) -> Result<(), StoreError> {
        let corrupt = |why: String| StoreError::Corrupt(why);
        let run = self
            .books
            .run_mut(&receipt.run_id)
            .ok_or_else(|| corrupt(format!("run {} has no page", receipt.run_id)))?;
        receipt.seq = run.seq + 1;
        receipt.prev.clone_from(&run.head);
        let line = receipt.seal().map_err(|error| corrupt(format!("receipt: {error}")))?;
        run.requests += u64::from(receipt.attempt == 1);
        run.seq = receipt.seq;
        run.head.clone_from(&receipt.hash);
        self.store.insert_receipt(receipt, &line)?;
        self.group.told.push(Told::Receipt(Box::new(receipt.clone()), line.into()));
        Ok(())
    }

    fn change(
        &mut self,
        change: &BudgetChange,
        note: Option<String>,
        reply: oneshot::Sender<Result<Run, ChangeError>>,
    ) -> Result<(), StoreError> {
        let run_id = &change.run_id;
        if let Some(known) = self.books.twin(run_id) {
            let error = ChangeError::Twin { run_id: run_id.clone(), known: known.clone() };
            self.group.answers.push(Box::new(move |_| drop(reply.send(Err(error)))));
            return Ok(());
        }
        let before = self.books.run(run_id).and_then(|run| run.account.limit);
        match self.books.set_budget(change, self.now) {
            Err(error) => {
                self.group.answers.push(Box::new(move |_| drop(reply.send(Err(error.into())))));
            }
            Ok(crossed) => {
                self.store.insert_audit(&AuditRow {
                    at: self.now,
                    action: "budget",
                    subject: run_id.as_str(),
                    before: before.map(|limit| limit.to_string()),
                    after: Some(change.limit.to_string()),
                    note: note.as_deref(),
                })?;
                if let Some((_, level)) = crossed {
                    self.crossed(run_id, level);
                }
                self.group.dirty.insert(run_id.clone());
                self.group.freed.insert(run_id.clone());
                let id = run_id.clone();
                self.group.answers.push(Box::new(move |books| {
                    if let Some(run) = books.run(&id) {
                        drop(reply.send(Ok(run.clone())));
                    }
                }));
            }
        }
        Ok(())
    }

    fn tell_crossing(&mut self, run_id: &RunId) {
        if let Some((_, level)) = self.books.relevel(run_id) {
            self.crossed(run_id, level);
        }
    }

    fn crossed(&mut self, run_id: &RunId, level: tollgate_shared::budget::Level) {
        let limit = self.books.run(run_id).and_then(|run| run.account.limit).unwrap_or_default();
        self.group.told.push(Told::Crossed { run_id: run_id.clone(), level, limit, at: self.now });
    }

    /// Time goes on, at least by a microsecond: order is never lost to a clock that jumps back.
    fn tick(&mut self) {
        let next = Timestamp::from_micros(self.now.micros() + 1);
        self.now = clock::now().max(next);
    }
}

/// The outcome, marked where the provider reports more than the attempt's bound: the draft's
/// usage is the most that the cap and the window allow.
fn beyond_bound(draft: &Receipt, ending: &Ending) -> Outcome {
    let beyond = ending.usage_source == UsageSource::Reported
        && draft.cap.is_some()
        && (ending.usage.output_tokens() > draft.output_tokens
            || ending.usage.input_tokens() > draft.input_tokens);
    match ending.outcome {
        Outcome::Posted { cost, uncertain, .. } => {
            Outcome::Posted { cost, uncertain, beyond_bound: beyond }
        }
        other => other,
    }
}

fn write_ending(receipt: &mut Receipt, ending: Ending) {
    receipt.status = ending.status.unwrap_or(receipt.status);
    receipt.usage = ending.usage;
    receipt.input_tokens = ending.usage.input_tokens();
    receipt.output_tokens = ending.usage.output_tokens();
    receipt.usage_source = ending.usage_source;
    receipt.cost_is = ending.cost_is;
    receipt.cost = ending.cost;
    receipt.latency_ms = ending.latency_ms;
    receipt.ttft_ms = ending.ttft_ms;
    receipt.error = ending.error;
    receipt.flags.extend(ending.flags);
    if let Outcome::Posted { uncertain, .. } = ending.outcome {
        receipt.uncertain_usd = uncertain;
    }
}

/// The ending of an attempt that the last process did not live to see.
fn recovered(receipt: &Receipt) -> Ending {
    Ending {
        outcome: Outcome::Unknown,
        status: Some(receipt.status),
        usage: receipt.usage,
        usage_source: receipt.usage_source,
        cost_is: receipt.cost_is,
        cost: receipt.cost,
        latency_ms: receipt.latency_ms,
        ttft_ms: None,
        error: Some("recovered".into()),
        flags: Vec::new(),
    }
}
