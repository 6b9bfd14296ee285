//! What an attempt's ending means: for its money, for the provider's circuit, for the next try.
//!
//! Refuses to know sockets; the backend says what it observed. The one idea: a hold is given back
//! only with proof that nothing was billed, and a time-out is proof of nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::price::{BillsOn4xx, BillsOn5xx, PriceCard};

/// How an attempt ended without a usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No byte of the request was written: no address, no connection, no TLS, or ours to refuse.
    NotSent,
    /// A complete answer with this status, not 2xx.
    Status(u16),
    /// Sent, and then a reset, a time-out or silence; no complete answer.
    Broken,
    /// A complete 2xx that cannot be read as its dialect.
    Unreadable,
}

/// What becomes of the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Money {
    /// Nothing was billed.
    Void,
    /// The input may have been billed.
    PostInput,
    /// Anything may have been billed; it is charged whole until evidence comes.
    Unknown,
    /// Something was billed but not said how much: charged whole.
    PostHold,
}

/// Whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The request itself; another provider would refuse it as well.
    Caller,
    /// The provider; its circuit counts this.
    Provider,
    /// The provider is only busy, or our key there is spent or wrong.
    Quota,
}

/// Everything that follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of the hold.
    pub money: Money,
    /// Whose fault it was.
    pub fault: Fault,
    /// Whether another provider may be tried, with a hold of its own.
    pub may_fall_back: bool,
}

/// Judges a failure by the price card of the provider that caused it.
pub fn judge(failure: Failure, card: &PriceCard) -> Verdict {
    match failure {
        Failure::NotSent => verdict(Money::Void, Fault::Provider, true),
        // After silence only a policy may try again: the first may have been billed.
        Failure::Broken => verdict(Money::Unknown, Fault::Provider, false),
        Failure::Unreadable => verdict(Money::PostHold, Fault::Provider, false),
        Failure::Status(status) => judge_status(status, card),
    }
}

fn judge_status(status: u16, card: &PriceCard) -> Verdict {
    match status {
        400 | 408 => {
            let money = match card.bills_on_4xx {
                BillsOn4xx::No => Money::Void,
                BillsOn4xx::Input => Money::PostInput,
            };
            verdict(
                money,
                if status == 408 { Fault::Provider } else { Fault::Caller },
                status == 408,
            )
        }
        // The key or the model is not known there; another provider may know it.
        401..=404 => verdict(Money::Void, Fault::Quota, true),
        429 => verdict(Money::Void, Fault::Quota, true),
        405..=499 => verdict(Money::Void, Fault::Caller, false),
        500..=599 => {
            let money = match card.bills_on_5xx {
                BillsOn5xx::Never => Money::Void,
                BillsOn5xx::Maybe => Money::Unknown,
            };
            verdict(money, Fault::Provider, true)
        }
        // 1xx and 3xx as a final answer: nobody generated anything, and we never follow.
        _ => verdict(Money::Void, Fault::Provider, true),
    }
}

const fn verdict(money: Money, fault: Fault, may_fall_back: bool) -> Verdict {
    Verdict { money, fault, may_fall_back }
}

/// Providers tried after the first: more would only make a caller wait for the same failure.
pub const FALLBACKS_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::UsdPerToken;

    #[test]
    fn money_comes_back_only_with_proof() {
        let careful = PriceCard::of(UsdPerToken::default(), UsdPerToken::default());
        let mut honest = careful.clone();
        honest.bills_on_5xx = BillsOn5xx::Never;
        let mut strict = careful.clone();
        strict.bills_on_4xx = BillsOn4xx::Input;
        let rows = [
            (Failure::NotSent, &careful, Money::Void, true),
            (Failure::Broken, &careful, Money::Unknown, false),
            (Failure::Unreadable, &careful, Money::PostHold, false),
            (Failure::Status(302), &careful, Money::Void, true),
            (Failure::Status(400), &careful, Money::Void, false),
            (Failure::Status(400), &strict, Money::PostInput, false),
            (Failure::Status(408), &careful, Money::Void, true),
            (Failure::Status(401), &careful, Money::Void, true),
            (Failure::Status(404), &careful, Money::Void, true),
            (Failure::Status(422), &careful, Money::Void, false),
            (Failure::Status(429), &careful, Money::Void, true),
            (Failure::Status(500), &careful, Money::Unknown, true),
            (Failure::Status(529), &careful, Money::Unknown, true),
            (Failure::Status(503), &honest, Money::Void, true),
        ];
        for (failure, card, money, may_fall_back) in rows {
            let verdict = judge(failure, card);
            assert_eq!(
                (verdict.money, verdict.may_fall_back),
                (money, may_fall_back),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn only_the_provider_feels_its_own_faults() {
        let card = PriceCard::of(UsdPerToken::default(), UsdPerToken::default());
        assert_eq!(judge(Failure::Status(400), &card).fault, Fault::Caller);
        assert_eq!(judge(Failure::Status(429), &card).fault, Fault::Quota);
        assert_eq!(judge(Failure::Status(500), &card).fault, Fault::Provider);
    }
}
