//! Accounts and holds: who may spend, who is refused, and by how much.
//!
//! Money is never checked first and added later. It is **held** before an attempt leaves, and the
//! hold becomes exactly one of posted, voided or unknown. Refuses to know storage and time; the
//! backend's ledger makes what is decided here durable.
//!
//! | limit 10 | posted | pending | unknown | available | |
//! |---|---|---|---|---|---|
//! | hold 3 | 0 | 3 | 0 | 7 | |
//! | post 1 of it | 1 | 0 | 0 | 9 | the rest of the hold is free again |
//! | hold 4 | 1 | 4 | 0 | 5 | |
//! | it times out | 1 | 0 | 4 | 5 | a time-out is proof of nothing |
//! | hold 6 | 1 | 0 | 4 | 5 | refused: 6 > 5 |
//!
//! A hold counts on every account above it, all or none: the agent's, where it has one, the run's,
//! its parents', and the fleet's. [`Books`] keeps them all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::money::{LIMIT_MAX_USD, PICOS_PER_USD, Percent, Usd};

mod books;
mod calendar;
mod cap;
mod change;
mod moves;
mod outputs;
mod request;
mod run;
mod tree;

pub use books::{AGENTS_MAX, Books};
pub use calendar::{Calendar, Reading};
pub use cap::{CapSource, Grant, Limited, Mode, Need, OUTPUT_CAP_DEFAULT, USEFUL_OUTPUT_MIN, Want};
pub use change::{BudgetChange, Changed, StateChange};
pub use request::{
    BudgetError, Denied, Granted, HoldRequest, OpenHold, Outcome, Settled, Unresolved,
};
pub use run::{Run, RunState};
pub use tree::{Crossing, DEPTH_MAX, Owner, Period, Purse};

/// A balance with an optional limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Account {
    /// Most that may ever be posted and held together; `None` for no limit.
    pub limit: Option<Usd>,
    /// What bills are known to be.
    pub posted: Usd,
    /// Held by attempts in flight.
    pub pending: Usd,
    /// Held by attempts whose bill is not known.
    pub unknown: Usd,
    /// What may still be billed for streams that were cut off: not charged, and not given again.
    pub uncertain: Usd,
    /// Most that open and unknown holds can cost above what they hold: only runs in mode
    /// `expected` hold less than the worst case.
    pub exposed: Usd,
}

/// Why money is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not fit even when every pending hold comes free.
    Exhausted(Shortfall),
    /// It will fit when enough pending holds have settled for less than they hold.
    Contended(Shortfall),
    /// It is more than an account can count, whatever its limit.
    TooLarge(Shortfall),
}

/// The figures behind a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shortfall {
    /// The account's limit.
    pub limit_usd: Usd,
    /// Posted so far.
    pub posted_usd: Usd,
    /// Pending and unknown holds.
    pub held_usd: Usd,
    /// Those of them that come free only with evidence: see `GET /unknowns`.
    #[serde(default)]
    pub unknown_usd: Usd,
    /// What is left.
    pub available_usd: Usd,
    /// The least that the request needs.
    pub needed_usd: Usd,
}

/// How much of a limit is spent, as a word.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below 75 %, or no limit.
    #[default]
    Ok,
    /// From 75 %.
    Caution,
    /// From 90 %.
    Warning,
    /// From 100 %, or when what is left no longer pays for the smallest useful request.
    Critical,
}

impl Account {
    /// Pending and unknown together: what the limit must leave room for.
    pub fn held(&self) -> Usd {
        self.pending + self.unknown
    }

    /// Posted and unknown: what receipts add up to.
    pub fn spent(&self) -> Usd {
        self.posted + self.unknown
    }

    /// `limit − posted − held − uncertain`; `None` without a limit, negative when it was lowered.
    pub fn available(&self) -> Option<Usd> {
        self.limit.map(|limit| limit - self.posted - self.held() - self.uncertain)
    }

    /// What would be available if every pending hold came free.
    pub fn available_at_best(&self) -> Option<Usd> {
        self.limit.map(|limit| limit - self.spent() - self.uncertain)
    }

    /// Whether `amount` may be held now.
    pub fn check(&self, amount: Usd) -> Result<(), Refusal> {
        let (Some(available), Some(at_best)) = (self.available(), self.available_at_best()) else {
            return Ok(());
        };
        if amount <= available {
            return Ok(());
        }
        let shortfall = self.shortfall(amount);
        Err(if amount <= at_best {
            Refusal::Contended(shortfall)
        } else {
            Refusal::Exhausted(shortfall)
        })
    }

    /// The figures behind refusing `needed`.
    pub fn shortfall(&self, needed: Usd) -> Shortfall {
        Shortfall {
            limit_usd: self.limit.unwrap_or_default(),
            posted_usd: self.posted,
            held_usd: self.held(),
            unknown_usd: self.unknown,
            available_usd: self.available().unwrap_or_default(),
            needed_usd: needed,
        }
    }

    /// Whether the account could still count itself with `amount` more in it: its columns end a
    /// little above the largest limit.
    pub fn can_count(&self, amount: Usd) -> bool {
        let most = Usd::from_picos(i128::from(LIMIT_MAX_USD) * PICOS_PER_USD);
        self.posted + self.held() + self.uncertain + self.exposed + amount <= most
    }

    /// Most that can be billed above the limit by what is in flight, while providers keep their
    /// word: nothing in the modes that hold the worst case.
    pub fn overshoot(&self, mode: Mode) -> Usd {
        match self.available() {
            Some(available) if !mode.is_strict() || !self.exposed.is_zero() => {
                (self.exposed - available).or_zero()
            }
            _ => Usd::ZERO,
        }
    }

    /// The account as one that must hold the worst case has to see it: what open holds of a laxer
    /// time or child can cost above their amounts is not given again.
    pub fn at_worst(mut self) -> Self {
        self.uncertain += std::mem::take(&mut self.exposed);
        self
    }

    /// Sets `amount` aside. The caller has checked that it fits.
    pub fn hold(&mut self, amount: Usd) {
        self.pending += amount;
    }

    /// A pending hold turns into a bill of `cost`; what it held beyond that is free again.
    pub fn post(&mut self, held: Usd, cost: Usd) {
        self.pending -= held;
        self.posted += cost;
    }

    /// A pending hold turns out never to have cost anything.
    pub fn void(&mut self, held: Usd) {
        self.pending -= held;
    }

    /// A pending hold whose bill nobody knows keeps its whole amount.
    pub fn lose_sight(&mut self, held: Usd) {
        self.pending -= held;
        self.unknown += held;
    }

    /// An unknown hold is resolved by evidence: a bill of `cost`, or of nothing.
    pub fn resolve(&mut self, held: Usd, cost: Usd) {
        self.unknown -= held;
        self.posted += cost;
    }

    /// How much of the limit is spent. `smallest` is the least a useful request costs here.
    pub fn level(&self, smallest: Usd) -> Level {
        let (Some(limit), Some(left)) = (self.limit, self.available_at_best()) else {
            return Level::Ok;
        };
        let share = Percent::of(self.spent(), limit).whole();
        if share >= 100 || left <= Usd::ZERO || left < smallest {
            Level::Critical
        } else if share >= 90 {
            Level::Warning
        } else if share >= 75 {
            Level::Caution
        } else {
            Level::Ok
        }
    }

    /// **I1** and the signs: what must be true of every account after every event. A limit may
    /// have been lowered below what was spent, so I1 is checked where a hold is granted.
    pub fn is_sound(&self) -> bool {
        !self.posted.is_negative() && !self.pending.is_negative() && !self.unknown.is_negative()
    }
}

impl Refusal {
    /// The figures.
    pub fn shortfall(&self) -> &Shortfall {
        match self {
            Self::Exhausted(shortfall) | Self::Contended(shortfall) | Self::TooLarge(shortfall) => {
                shortfall
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    fn limited(text: &str) -> Account {
        Account { limit: Some(usd(text)), ..Account::default() }
    }

    #[test]
    fn the_table_of_the_module_holds() {
        let mut account = limited("10");
        account.hold(usd("3"));
        account.post(usd("3"), usd("1"));
        assert_eq!(account.available(), Some(usd("9")));
        account.hold(usd("4"));
        assert_eq!(account.available(), Some(usd("5")));
        account.lose_sight(usd("4"));
        assert_eq!(account.available(), Some(usd("5")));
        assert!(matches!(account.check(usd("6")), Err(Refusal::Exhausted(_))));
        assert!(account.check(usd("5")).is_ok());
        account.resolve(usd("4"), usd("0.5"));
        assert_eq!(account.posted, usd("1.5"));
        assert!(account.is_sound());
    }

    #[test]
    fn contended_means_that_waiting_can_help() {
        let mut account = limited("10");
        account.hold(usd("9"));
        assert!(matches!(account.check(usd("2")), Err(Refusal::Contended(_))));
        account.lose_sight(usd("9"));
        assert!(matches!(account.check(usd("2")), Err(Refusal::Exhausted(_))));
    }

    #[test]
    fn levels_stand_at_75_90_and_100_percent() {
        let mut account = limited("100");
        for (posted, level) in [
            ("74.99", Level::Ok),
            ("75", Level::Caution),
            ("89.99", Level::Caution),
            ("90", Level::Warning),
            ("99.99", Level::Warning),
            ("100", Level::Critical),
            ("101", Level::Critical),
        ] {
            account.posted = usd(posted);
            assert_eq!(account.level(Usd::ZERO), level, "{posted}");
        }
        account.posted = usd("99.5");
        assert_eq!(account.level(usd("0.6")), Level::Critical, "nothing useful fits");
        account.pending = usd("0.5");
        assert_eq!(account.level(usd("0.4")), Level::Warning, "pending holds come free");
        account.limit = None;
        assert_eq!(account.level(usd("1")), Level::Ok);
    }

    #[test]
    fn a_limit_of_nothing_admits_nothing_but_the_free() {
        let account = limited("0");
        assert!(account.check(Usd::ZERO).is_ok());
        assert!(account.check(Usd::from_picos(1)).is_err());
    }
}
