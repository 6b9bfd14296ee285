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

use tokio::sync::{mpsc, oneshot};
use tollgate_shared::budget::{
    Books, BudgetChange, BudgetError, Level, Refusal, Run, RunState, Shortfall,
};
use tollgate_shared::event::Refused;
use tollgate_shared::id::{AttemptId, RequestId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;

use crate::store::{Store, StoreError};

mod hold;
mod writer;

pub use hold::{Ending, Hold, Order, Settlement, Ticket};
use writer::Writer;

/// A way to the ledger; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    queue: mpsc::UnboundedSender<Command>,
    waiting: Arc<AtomicUsize>,
    dead: Arc<AtomicBool>,
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
    /// A run crossed a threshold.
    Crossed {
        /// Which run.
        run_id: RunId,
        /// The level it has now.
        level: Level,
        /// Its limit.
        limit: Usd,
        /// When.
        at: Timestamp,
    },
}

/// Why an attempt gets no money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// The account says no.
    #[error("run `{run_id}` has no budget left for this request")]
    Refused {
        /// Whose account.
        run_id: RunId,
        /// The figures.
        refusal: Refusal,
    },
    /// Others hold the money and gave none back in time.
    #[error("run `{run_id}` has its money in flight; try again")]
    Contended {
        /// Whose account.
        run_id: RunId,
        /// The figures.
        shortfall: Shortfall,
    },
    /// The request has no upper bound, and its run has a limit.
    #[error("`payload.{0}` can cost any amount: a run with a limit cannot send it")]
    Unbounded(String),
    /// Runs without a budget are refused here.
    #[error("run `{0}` has no budget, and runs without one are refused here")]
    Unbudgeted(RunId),
    /// The run's state forbids spending.
    #[error("run `{run_id}` may not spend: its state is {state:?}; an operator must act")]
    State {
        /// Which run.
        run_id: RunId,
        /// What it is.
        state: RunState,
    },
    /// Another run has this name in other letters' case.
    #[error("run `{run_id}` would share its receipt file with `{known}` on some systems")]
    Twin {
        /// The name asked for.
        run_id: RunId,
        /// The name that is taken.
        known: RunId,
    },
    /// This request was seen before.
    #[error("request_id `{request_id}` {what} in run `{run_id}`; send a new id, or none")]
    Repeated {
        /// Which run.
        run_id: RunId,
        /// Which request.
        request_id: RequestId,
        /// Stable code.
        code: &'static str,
        /// What became of it, in words.
        what: &'static str,
        /// What the run was charged for it.
        charged: Usd,
    },
    /// Too many requests wait for the ledger.
    #[error("the ledger's queue is full")]
    Overloaded,
    /// The ledger cannot commit.
    #[error("the ledger cannot commit")]
    Unavailable,
}

/// Why a budget is not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The rules say no.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// Another run has this name in other letters' case.
    #[error("run `{run_id}` would share its receipt file with `{known}` on some systems")]
    Twin {
        /// The name asked for.
        run_id: RunId,
        /// The name that is taken.
        known: RunId,
    },
    /// The ledger cannot commit.
    #[error("the ledger cannot commit")]
    Unavailable,
}

/// A settlement could not be committed; the hold is on disk and start will find it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the settlement is not on disk yet")]
pub struct Unsettled;

type Read = Box<dyn FnOnce(&Books) + Send>;

enum Command {
    Hold(Box<Order>, oneshot::Sender<Result<Hold, HoldError>>),
    /// The caller no longer waits for contended money.
    GiveUp(RunId, AttemptId),
    Settle(Box<Receipt>, Box<Ending>, Option<oneshot::Sender<Settlement>>),
    Done(RunId, RequestId),
    Change(BudgetChange, Option<String>, oneshot::Sender<Result<Run, ChangeError>>),
    Read(Read),
}

/// What the ledger does where nobody said otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Limit of a run that nobody gave a budget.
    pub default_limit: Option<Usd>,
    /// Whether a run without a limit is refused.
    pub refuse_unbudgeted: bool,
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
        };
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

    /// Asks for money for one attempt. Waits for money that others hold as long as
    /// `contention_wait`; the answer is on disk when it comes.
    pub async fn hold(
        &self,
        order: Order,
        contention_wait: std::time::Duration,
    ) -> Result<Hold, HoldError> {
        if self.dead.load(Ordering::Acquire) {
            return Err(HoldError::Unavailable);
        }
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= QUEUE_MAX {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(HoldError::Overloaded);
        }
        let _place = Place(&self.waiting);
        let key = (order.receipt.run_id.clone(), order.receipt.attempt_id.clone());
        let (reply, mut answer) = oneshot::channel();
        self.send(Command::Hold(Box::new(order), reply)).map_err(|()| HoldError::Unavailable)?;
        if let Ok(decided) = tokio::time::timeout(contention_wait, &mut answer).await {
            return decided.unwrap_or(Err(HoldError::Unavailable));
        }
        // Only the ledger knows whether the money is contended or the disk is slow: it answers.
        self.send(Command::GiveUp(key.0, key.1)).map_err(|()| HoldError::Unavailable)?;
        answer.await.unwrap_or(Err(HoldError::Unavailable))
    }

    /// Sets a budget; the answer is the run as it is on disk.
    pub async fn set_budget(
        &self,
        change: BudgetChange,
        note: Option<String>,
    ) -> Result<Run, ChangeError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Change(change, note, reply)).map_err(|()| ChangeError::Unavailable)?;
        answer.await.unwrap_or(Err(ChangeError::Unavailable))
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

/// Most commands in one transaction: bounds what one commit can take and what one crash undoes.
const GROUP_MAX: usize = 512;
