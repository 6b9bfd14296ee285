//! Why money is not given, and changes are not made.

use tollgate_shared::budget::{BudgetError, Owner, Refusal, RunState, Shortfall};
use tollgate_shared::id::{AttemptId, ProviderName, RequestId, RunId};
use tollgate_shared::money::Usd;

use crate::store::Outage;

/// Why a request has no upper bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbound {
    /// A field of it makes any bound impossible.
    #[error("`payload.{0}` can cost any amount")]
    Field(String),
    /// Its provider has billed more than what was held.
    #[error("provider `{0}` has billed more than its bound")]
    Provider(ProviderName),
}

/// Why an attempt gets no money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// The account says no.
    #[error("{owner} has no budget left for this request")]
    Refused {
        /// Whose account.
        owner: Owner,
        /// The figures.
        refusal: Refusal,
    },
    /// Others hold the money and gave none back in time.
    #[error("{owner} has its money in flight; try again")]
    Contended {
        /// Whose account.
        owner: Owner,
        /// The figures.
        shortfall: Shortfall,
    },
    /// The request has no upper bound, and its run has a limit.
    #[error("{0}: a run with a limit cannot send it")]
    Unbounded(Unbound),
    /// Runs without a budget are refused here.
    #[error("run `{0}` has no budget, and runs without one are refused here")]
    Unbudgeted(RunId),
    /// The run's state forbids spending.
    #[error("run `{run_id}` is {}; an operator must act", format!("{state:?}").to_lowercase())]
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
    /// The ledger cannot commit for now.
    #[error("no new money: {0}")]
    Outage(Outage),
    /// An audit found that the books do not add up.
    #[error("no new money until an operator has looked: {0}")]
    Stopped(String),
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
    /// No attempt of this name has an unknown outcome.
    #[error("no attempt `{0}` has an unknown outcome: it was resolved before, or never was one")]
    NotUnknown(AttemptId),
    /// The bill is more than an account can count.
    #[error("a bill of `{0}` USD is more than an account can count")]
    TooLarge(Usd),
    /// The ledger cannot commit for now.
    #[error("nothing was changed: {0}")]
    Outage(Outage),
    /// The ledger cannot commit.
    #[error("the ledger cannot commit")]
    Unavailable,
}
