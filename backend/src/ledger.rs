//! The single writer: the one place where money is given, taken back and charged.
//!
//! One thread owns the books in memory and the only writing connection. It takes the commands
//! that arrived while the last commit ran, applies them in order, commits them as one transaction,
//! and only then lets any answer leave. So a decision is never acted on before it is on disk, and
//! the cost of a sync is shared by everyone who waited for it. Refuses to know HTTP and providers.
//!
//! ```text
//! hold, settle, change ──▶ queue ──▶ [ apply · apply · apply ] ──▶ commit ──▶ answers, told
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, oneshot};
use tollgate_shared::alert::Alert;
use tollgate_shared::api::AuditEntry;
use tollgate_shared::budget::{Books, BudgetChange, Crossing, Run};
use tollgate_shared::event::Refused;
use tollgate_shared::id::{AttemptId, RequestId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;

use crate::config::{Reserve, UNKNOWN_TTL};
use crate::store::{Store, StoreError};

mod change;
mod error;
mod hold;
mod mark;
mod space;
mod writer;

pub use change::{Change, ITSELF, LOCAL, Note, Recorded, Resolve, StateStep, Word};
pub use error::{ChangeError, HoldError, Unbound};
pub use hold::{Ending, Hold, Order, Settlement, Ticket};
use writer::Writer;

/// A way to the ledger; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    queue: mpsc::UnboundedSender<Command>,
    waiting: Arc<AtomicUsize>,
    dead: Arc<AtomicBool>,
    stopped: Arc<ArcSwapOption<String>>,
    /// What a request waits for, and how long, soonest first.
    waits: [(Duration, Patience); 2],
}

/// What the ledger has committed, in order, for projections and the event stream.
#[derive(Debug)]
pub enum Told {
    /// A receipt and its exact line.
    Receipt(Box<Receipt>, Arc<str>),
    /// A run's page as it is after the group.
    Run(Box<Run>),
    /// A request that got no money.
    Refused(Refused),
    /// An account crossed a threshold, and when.
    Crossed(Crossing, Timestamp),
    /// A condition that a person should know.
    Alarm(Alert),
    /// It no longer holds.
    Calm(&'static str),
    /// An operator changed something.
    Changed(AuditEntry),
}

/// What a request waited for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// Money that others hold.
    Contention,
    /// Anything, its paused run included.
    All,
}

/// A settlement could not be committed; the hold is on disk and start will find it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the settlement is not on disk yet")]
pub struct Unsettled;

type Read = Box<dyn FnOnce(&Books) + Send>;

enum Command {
    Hold(Box<Order>, oneshot::Sender<Result<Hold, HoldError>>),
    /// The caller no longer waits.
    GiveUp(AttemptId, Patience),
    Settle(Box<Receipt>, Box<Ending>, Option<oneshot::Sender<Settlement>>),
    Done(RunId, RequestId),
    Change(Box<BudgetChange>, Word, oneshot::Sender<Result<Change, ChangeError>>),
    State(StateStep, Word, oneshot::Sender<Result<Change, ChangeError>>),
    Resolve(Box<Resolve>, Word, oneshot::Sender<Result<Receipt, ChangeError>>),
    Note(Box<Note>, Option<oneshot::Sender<Result<(), ChangeError>>>),
    /// Time has passed.
    Sweep,
    Read(Read),
}

/// What the ledger does where nobody said otherwise.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Limit of a run that nobody gave a budget.
    pub default_limit: Option<Usd>,
    /// Whether a run without a limit is refused.
    pub refuse_unbudgeted: bool,
    /// How long a request waits for money that others hold.
    pub contention_wait: Duration,
    /// How long it waits for its paused run.
    pub pause_wait: Duration,
    /// How long a hold may be pending before sight of it is lost.
    pub hold_timeout: Duration,
    /// How long an unknown outcome waits for evidence before its hold is taken for its bill.
    pub unknown_ttl: Duration,
    /// Room on the disk that is kept free.
    pub reserve: Reserve,
    /// Why no money is given, where an audit found that the books do not add up.
    pub stopped: Arc<ArcSwapOption<String>>,
}

impl Default for Policy {
    /// Everyone is admitted, and every wait is as long as it is by default.
    fn default() -> Self {
        Self {
            default_limit: None,
            refuse_unbudgeted: false,
            contention_wait: Duration::from_secs(5),
            pause_wait: Duration::from_secs(10),
            hold_timeout: HOLD_TIMEOUT,
            unknown_ttl: UNKNOWN_TTL,
            reserve: Reserve::NONE,
            stopped: Arc::default(),
        }
    }
}

impl Ledger {
    /// Starts the writer thread over an open store. Every hold that was pending is now unknown,
    /// with its receipt. `told` gets what each group committed; `fatal` runs when the ledger dies.
    pub fn start(
        store: Store,
        policy: Policy,
        told: SyncSender<Vec<Told>>,
        fatal: impl FnOnce(&StoreError) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (queue, commands) = mpsc::unbounded_channel();
        let ledger = Self {
            queue,
            waiting: Arc::new(AtomicUsize::new(0)),
            dead: Arc::new(AtomicBool::new(false)),
            stopped: Arc::clone(&policy.stopped),
            waits: [
                (policy.contention_wait, Patience::Contention),
                (policy.pause_wait.max(policy.contention_wait), Patience::All),
            ],
        };
        ledger.sweep_by_itself();
        let mut writer = Writer::open(store, policy, told, ledger.downgraded())?;
        let dead = Arc::clone(&ledger.dead);
        std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || {
                // A broken invariant panics; whatever was in the group is not committed, and
                // nothing may go on with these books.
                let ran = catch_unwind(AssertUnwindSafe(|| writer.run(commands)));
                let broken = || StoreError::Corrupt("an invariant of the books is broken".into());
                if let Err(error) = ran.unwrap_or_else(|_| Err(broken())) {
                    dead.store(true, Ordering::Release);
                    tracing::error!(%error, "the ledger stopped: no more money is given");
                    fatal(&error);
                }
            })
            .map_err(|error| StoreError::Corrupt(format!("no thread for the ledger: {error}")))?;
        Ok(ledger)
    }

    /// Time passes for the ledger as well, as long as it is there.
    fn sweep_by_itself(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let queue = self.queue.downgrade();
        runtime.spawn(async move {
            let mut every = tokio::time::interval(SWEEP_EVERY);
            loop {
                every.tick().await;
                let alive = queue.upgrade().is_some_and(|queue| queue.send(Command::Sweep).is_ok());
                if !alive {
                    return;
                }
            }
        });
    }

    /// Asks for money for one attempt. Waits for money that others hold, and for a paused run; the
    /// answer is on disk when it comes.
    pub async fn hold(&self, order: Order) -> Result<Hold, HoldError> {
        if self.dead.load(Ordering::Acquire) {
            return Err(HoldError::Unavailable);
        }
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= QUEUE_MAX {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(HoldError::Overloaded);
        }
        let _place = Place(&self.waiting);
        let attempt_id = order.receipt.attempt_id.clone();
        let (reply, mut answer) = oneshot::channel();
        self.send(Command::Hold(Box::new(order), reply)).map_err(|()| HoldError::Unavailable)?;
        let began = tokio::time::Instant::now();
        for (wait, patience) in self.waits {
            if let Ok(decided) = tokio::time::timeout_at(began + wait, &mut answer).await {
                return decided.unwrap_or(Err(HoldError::Unavailable));
            }
            // Only the ledger knows whether the money is contended or the disk is slow: it answers.
            self.send(Command::GiveUp(attempt_id.clone(), patience))
                .map_err(|()| HoldError::Unavailable)?;
        }
        answer.await.unwrap_or(Err(HoldError::Unavailable))
    }

    /// Sets a budget; the answer is the account as it is on disk.
    pub async fn set_budget(
        &self,
        change: BudgetChange,
        word: impl Into<Word>,
    ) -> Result<Change, ChangeError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Change(Box::new(change), word.into(), reply))
            .map_err(|()| ChangeError::Unavailable)?;
        answer.await.unwrap_or(Err(ChangeError::Unavailable))
    }

    /// Pauses, resumes or closes a run; the answer is the run as it is on disk.
    pub async fn change_state(&self, step: StateStep) -> Result<Change, ChangeError> {
        self.change_state_as(step, None.into()).await
    }

    /// The same by somebody's word; the reason is the step's own note.
    pub async fn change_state_as(
        &self,
        step: StateStep,
        word: Word,
    ) -> Result<Change, ChangeError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::State(step, word, reply)).map_err(|()| ChangeError::Unavailable)?;
        answer.await.unwrap_or(Err(ChangeError::Unavailable))
    }

    /// Keeps something beside the money; it is on disk when this returns.
    pub async fn note(&self, note: Note) -> Result<(), ChangeError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Note(Box::new(note), Some(reply)))
            .map_err(|()| ChangeError::Unavailable)?;
        answer.await.unwrap_or(Err(ChangeError::Unavailable))
    }

    /// Who keeps what was said about alerts, for as long as the ledger lives.
    pub fn keeper(&self) -> Keeper {
        Keeper(self.queue.downgrade())
    }

    /// Says what an unknown attempt has cost; the answer is the correction as it is on disk.
    pub async fn resolve(&self, resolve: Resolve) -> Result<Receipt, ChangeError> {
        self.resolve_as(resolve, None.into()).await
    }

    /// The same by somebody's word; the reason is the evidence.
    pub async fn resolve_as(&self, resolve: Resolve, word: Word) -> Result<Receipt, ChangeError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Resolve(Box::new(resolve), word, reply))
            .map_err(|()| ChangeError::Unavailable)?;
        answer.await.unwrap_or(Err(ChangeError::Unavailable))
    }

    /// No money is given any more: the books do not add up. What is in flight is settled.
    pub fn stop_admission(&self, reason: String) {
        tracing::error!(%reason, "no more money is given");
        self.stopped.store(Some(Arc::new(reason)));
    }

    /// Why no money is given.
    pub fn stopped(&self) -> Option<Arc<String>> {
        self.stopped.load_full()
    }

    /// Looks into the books, after everything asked before is on disk. `None`: the ledger is dead.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Books) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let read: Read = Box::new(move |books| {
            // A reader that left wants no answer.
            drop(reply.send(look(books)));
        });
        self.send(Command::Read(read)).ok()?;
        answer.await.ok()
    }

    /// Whether so many wait already that one more would be refused.
    pub fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Acquire) >= QUEUE_MAX
    }

    /// Whether it still commits.
    pub fn is_alive(&self) -> bool {
        !self.dead.load(Ordering::Acquire)
    }

    fn send(&self, command: Command) -> Result<(), ()> {
        self.queue.send(command).map_err(drop)
    }

    /// A handle for the writer itself to put into holds; it must not keep its own queue open.
    fn downgraded(&self) -> hold::WeakLedger {
        hold::WeakLedger(self.queue.downgrade())
    }
}

/// A way to keep notes that does not keep the ledger open.
#[derive(Clone, Debug)]
pub struct Keeper(mpsc::WeakUnboundedSender<Command>);

impl Keeper {
    /// Keeps a note behind those that were given before. The answer comes when it is on disk, to
    /// those who wait for it.
    pub fn keep(&self, note: Note) -> oneshot::Receiver<Result<(), ChangeError>> {
        let (reply, answer) = oneshot::channel();
        if let Some(queue) = self.0.upgrade() {
            // A ledger that is gone drops the reply, which is an answer as well.
            queue.send(Command::Note(Box::new(note), Some(reply))).ok();
        }
        answer
    }
}

/// A place in the queue, given back on every way out.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Most requests that wait for money at once, contended ones included. Beyond it the answer is
/// `overloaded` at once: a longer queue would only hand out time-outs.
pub const QUEUE_MAX: usize = 16_384;

/// How long a hold may be pending: twice the longest deadline, and a little.
pub const HOLD_TIMEOUT: Duration = Duration::from_secs(1_260);

/// How often holds and unknowns are looked at, and a new day is noticed when nothing else happens.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Most commands in one transaction: bounds what one commit can take and what one crash undoes.
const GROUP_MAX: usize = 512;
