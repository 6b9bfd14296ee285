//! The ledger's thread: applies commands in groups and commits them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tollgate_shared::budget::{Books, Calendar, Crossing, Owner};
use tollgate_shared::id::{PriceId, RequestId, RunId};
use tollgate_shared::time::Timestamp;

use crate::clock;
use crate::ledger::hold::WeakLedger;
use crate::ledger::mark::Mark;
use crate::ledger::space::Space;
use crate::ledger::{ChangeError, Command, GROUP_MAX, Hold, HoldError, Policy, Settlement, Told};
use crate::store::{Outage, Store, StoreError};
use group::{Group, Owed};
use line::{Lines, Place};

mod admission;
mod changes;
mod group;
mod line;
mod notes;
mod settling;
mod sweep;

pub(super) type HoldReply = oneshot::Sender<Result<Hold, HoldError>>;

/// The thread's state.
pub(super) struct Writer {
    books: Books,
    store: Store,
    policy: Policy,
    told: SyncSender<Vec<Told>>,
    ledger: WeakLedger,
    /// Never goes back, whatever the wall clock does.
    now: Timestamp,
    /// Which day it is, for accounts that refill.
    calendar: Calendar,
    started: Instant,
    /// Whether the clocks have parted, and that was told.
    doubtful: bool,
    /// Groups committed so far.
    commits: u64,
    mark: Mark,
    space: Space,
    /// Requests being worked on, and the fingerprints of their bodies.
    active: HashMap<(RunId, RequestId), String>,
    /// Requests that wait for money, or for their run to be resumed.
    lines: Lines,
    /// Cards that are in the store already.
    cards: HashSet<PriceId>,
    /// Settlements that could not be committed yet.
    owed: VecDeque<Owed>,
    /// Why they could not.
    outage: Option<Outage>,
    /// Everyone who waits is asked again: more changed than one can say.
    wakes_all: bool,
    group: Group,
}

impl Writer {
    /// Reads the books back and turns what was pending into unknown, in one transaction.
    pub(super) fn open(
        store: Store,
        policy: Policy,
        told: SyncSender<Vec<Told>>,
        ledger: WeakLedger,
    ) -> Result<Self, StoreError> {
        let now = store.last_moment()?;
        let books = store.load(policy.default_limit)?;
        let mut writer = Self {
            commits: store.commits()?,
            mark: Mark::open(store.dir()),
            space: Space::new(store.dir(), policy.reserve),
            calendar: Calendar::new(clock::now(), 0, books.day()),
            books,
            store,
            policy,
            told,
            ledger,
            now,
            started: Instant::now(),
            doubtful: false,
            active: HashMap::new(),
            lines: Lines::default(),
            cards: HashSet::new(),
            owed: VecDeque::new(),
            outage: None,
            wakes_all: false,
            group: Group::default(),
        };
        writer.recover()?;
        Ok(writer)
    }

    /// Works until every handle is gone.
    pub(super) fn run(
        &mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) -> Result<(), StoreError> {
        while let Some(mut batch) = self.next(&mut commands) {
            self.tick();
            match self.work(&mut batch) {
                Ok(told) if told.is_empty() => {}
                // A projection that is gone catches up from the store when it starts again.
                Ok(told) => drop(self.told.send(told)),
                Err(StoreError::Outage(outage)) => self.undo(outage, batch)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What arrived, at most a group of it; `None` when every handle is gone and nothing is owed.
    fn next(&self, commands: &mut mpsc::UnboundedReceiver<Command>) -> Option<VecDeque<Command>> {
        let mut batch = VecDeque::new();
        if self.owed.is_empty() {
            batch.push_back(commands.blocking_recv()?);
        } else if commands.is_empty() {
            // Nothing wakes this thread when a disk has room again.
            std::thread::sleep(OUTAGE_PAUSE);
            if commands.is_closed() && commands.is_empty() {
                tracing::error!(owed = self.owed.len(), "settlements are left to the next start");
                return None;
            }
        }
        while batch.len() < GROUP_MAX {
            match commands.try_recv() {
                Ok(next) => batch.push_back(next),
                Err(_) => break,
            }
        }
        Some(batch)
    }

    /// Applies a batch and commits it; on an error what is left of it was not applied.
    fn work(&mut self, batch: &mut VecDeque<Command>) -> Result<Vec<Told>, StoreError> {
        if self.outage.is_some() {
            // A word to try the disk with, before the books move.
            self.store.begin()?;
            self.store.count_commit(self.commits)?;
            self.store.commit()?;
        }
        self.store.begin()?;
        // First, so that everything in the group counts for the day that its time says.
        self.pass_midnight()?;
        while let Some(owed) = self.owed.pop_front() {
            self.settle(owed)?;
        }
        while let Some(command) = batch.pop_front() {
            self.apply(command)?;
        }
        self.serve_waiting()?;
        let told = self.finish()?;
        if self.outage.take().is_some() {
            tracing::info!("the ledger commits again");
        }
        self.keep_log_short()?;
        Ok(told)
    }

    fn apply(&mut self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Hold(order, reply) => self.hold(order, reply),
            Command::Settle(draft, ending, reply) => {
                self.settle(Owed { draft, ending, reply, receipt: None })
            }
            Command::Change(change, word, reply) => self.change(&change, word, reply),
            Command::State(step, word, reply) => self.change_state(step, word, reply),
            Command::Resolve(resolve, word, reply) => self.resolve(&resolve, &word, reply),
            Command::Note(note, reply) => self.note(*note, reply),
            Command::Sweep => self.sweep(),
            Command::Done(run_id, request_id) => {
                self.active.remove(&(run_id, request_id));
                Ok(())
            }
            Command::GiveUp(attempt_id, patience) => self.give_up(&attempt_id, patience),
            Command::Read(read) => {
                self.group.answers.push(Box::new(move |books| {
                    // Without a commit there is nothing to look at that would last.
                    if let Ok(books) = books {
                        read(books);
                    }
                }));
                Ok(())
            }
        }
    }

    /// Writes what the group changed, commits, and lets the answers leave. What is to be told
    /// comes back.
    fn finish(&mut self) -> Result<Vec<Told>, StoreError> {
        let is_change = !self.group.dirty.is_empty() || self.group.noted;
        for owner in &self.group.dirty {
            let sound = self.books.account(owner).is_none_or(|account| account.is_sound());
            assert!(sound, "the account of {owner} is unsound: {:?}", self.books.account(owner));
            match owner {
                Owner::Run(run_id) => {
                    if let Some(run) = self.books.run(run_id) {
                        self.store.save_run(run)?;
                        self.group.told.push(Told::Run(Box::new(run.clone())));
                    }
                }
                Owner::Fleet | Owner::Agent(..) => {
                    if let Some(purse) = self.books.purse(owner) {
                        self.store.save_purse(owner, purse)?;
                    }
                }
            }
        }
        if is_change {
            self.store.count_commit(self.commits + 1)?;
        }
        self.store.commit()?;
        if is_change {
            self.commits += 1;
            self.mark.write(self.commits);
        }
        let group = std::mem::take(&mut self.group);
        for answer in group.answers {
            answer(Ok(&self.books));
        }
        for owed in group.settled {
            self.confirm(owed);
        }
        Ok(group.told)
    }

    /// A settlement is on disk.
    fn confirm(&self, owed: Owed) {
        if let (Some(reply), Some(receipt)) = (owed.reply, owed.receipt) {
            let run = self.books.run(&receipt.run_id);
            let account = run.map(|run| run.account).unwrap_or_default();
            // Who left wants no answer.
            drop(reply.send(Settlement { receipt: *receipt, account }));
        }
    }

    /// A group that could not be written has not happened: its changes are forgotten, its new money
    /// is refused, and its settlements are owed.
    fn undo(&mut self, outage: Outage, batch: VecDeque<Command>) -> Result<(), StoreError> {
        tracing::error!(%outage, "a group could not be committed and is undone");
        self.store.rollback()?;
        if outage == Outage::Full {
            self.space.give_up_ballast();
        }
        self.outage = Some(outage);
        let group = std::mem::take(&mut self.group);
        if !group.is_untouched() {
            self.reload()?;
        }
        // What a person should know is true whatever became of the group.
        let alarms = |told: &Told| matches!(told, Told::Alarm(_) | Told::Calm(_));
        let alarms: Vec<Told> = group.told.into_iter().filter(alarms).collect();
        if !alarms.is_empty() {
            self.told.send(alarms).ok();
        }
        self.wakes_all = true;
        for answer in group.answers {
            answer(Err(outage));
        }
        self.owed.extend(group.settled.into_iter().map(|owed| Owed { receipt: None, ..owed }));
        for command in batch {
            self.put_off(command, outage);
        }
        Ok(())
    }

    /// A command that came too late for a group that was undone.
    fn put_off(&mut self, command: Command, outage: Outage) {
        match command {
            Command::Settle(draft, ending, reply) => {
                self.owed.push_back(Owed { draft, ending, reply, receipt: None });
            }
            Command::Hold(_, reply) => drop(reply.send(Err(HoldError::Outage(outage)))),
            Command::Change(_, _, reply) => drop(reply.send(Err(ChangeError::Outage(outage)))),
            Command::State(_, _, reply) => drop(reply.send(Err(ChangeError::Outage(outage)))),
            Command::Resolve(_, _, reply) => drop(reply.send(Err(ChangeError::Outage(outage)))),
            Command::Note(_, Some(reply)) => drop(reply.send(Err(ChangeError::Outage(outage)))),
            Command::Done(run_id, request_id) => {
                self.active.remove(&(run_id, request_id));
            }
            // The line is looked at again when money moves; a caller that gave up is told then.
            Command::GiveUp(attempt_id, _) => {
                if let Some((_, waiting)) = self.lines.take(&attempt_id) {
                    self.forget_mark(&waiting.order);
                    drop(waiting.reply.send(Err(HoldError::Outage(outage))));
                }
            }
            Command::Read(_) | Command::Sweep | Command::Note(_, None) => {}
        }
    }

    /// The books as they are on disk.
    fn reload(&mut self) -> Result<(), StoreError> {
        loop {
            match self.read_back() {
                Err(StoreError::Outage(_)) => std::thread::sleep(OUTAGE_PAUSE),
                Err(error) => return Err(error),
                Ok(books) => {
                    self.books = books;
                    self.cards.clear();
                    return Ok(());
                }
            }
        }
    }

    fn read_back(&self) -> Result<Books, StoreError> {
        let mut books = self.store.load(self.policy.default_limit)?;
        for orphan in self.store.orphans()? {
            books.restore_hold(orphan.receipt.attempt_id, orphan.hold);
        }
        Ok(books)
    }

    fn tell_crossings(&mut self, crossed: Vec<Crossing>) {
        let at = self.now;
        self.group.told.extend(crossed.into_iter().map(|crossing| Told::Crossed(crossing, at)));
    }

    /// Time goes on, at least by a microsecond: order is never lost to a clock that jumps back.
    fn tick(&mut self) {
        let next = Timestamp::from_micros(self.now.micros() + 1);
        self.now = clock::now().max(next);
    }

    /// Moves committed pages into the database when there are many; beside the groups, since SQLite
    /// would not say when the sync of it fails.
    fn keep_log_short(&self) -> Result<(), StoreError> {
        if self.store.log_bytes() < LOG_BYTES {
            return Ok(());
        }
        match self.store.checkpoint() {
            // The log grows until there is room, or until a reader is done.
            Err(StoreError::Outage(_)) => Ok(()),
            other => other,
        }
    }
}

/// Log beyond which it is moved into the database: rare beside commits, short beside a time-out.
const LOG_BYTES: u64 = 16 << 20;

/// How long the thread waits for a disk that could not be written.
const OUTAGE_PAUSE: Duration = Duration::from_millis(20);
