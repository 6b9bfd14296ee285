//! The cap on a request's output, and so the most it can cost.
//!
//! Under a limit every forwarded request carries an output cap that the gateway set or checked;
//! that turns an estimate into a bound. This module decides the cap and the amount to hold, in
//! one step, from what an account has left.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::{Account, Refusal};
use crate::money::Usd;

/// How a run treats requests that may not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The cap is lowered until the worst case fits a fair share of what is left.
    #[default]
    Clamp,
    /// The stated cap is kept; a worst case that does not fit is refused.
    Hard,
}

/// Who chose the cap that was forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CapSource {
    /// The caller's own, unchanged.
    Caller,
    /// The caller's, lowered to the model's maximum.
    Model,
    /// The caller's, lowered to what the budget affords.
    Budget,
    /// The caller stated none; the gateway did.
    Gateway,
    /// None was forwarded: the run has no limit.
    None,
}

/// What one request can cost at one provider, before its cap is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Cost of the most input it can have, and of the request itself.
    pub fixed: Usd,
    /// Cost of one more token of output, at the dearest rate, for all choices together.
    pub per_output_token: Usd,
    /// The cap that the caller stated.
    pub stated_cap: Option<u64>,
    /// The longest answer the model gives.
    pub model_max: u64,
}

/// The amount to hold, and the cap that makes it enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Held until the attempt is settled.
    pub amount: Usd,
    /// Output tokens that the amount pays for.
    pub cap: u64,
    /// Who chose the cap; [`CapSource::None`] forwards none.
    pub source: CapSource,
}

/// A need together with the rule to apply to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// What the request can cost.
    pub need: Need,
    /// The run's mode.
    pub mode: Mode,
}

impl Need {
    /// The worst case with this cap.
    pub fn at_cap(&self, cap: u64) -> Usd {
        self.fixed + self.per_output_token.times(cap)
    }

    /// The cap to aim for under a limit, before looking at the money.
    fn wanted(&self) -> (u64, CapSource) {
        match self.stated_cap {
            None => (OUTPUT_CAP_DEFAULT.min(self.model_max), CapSource::Gateway),
            Some(cap) if cap > self.model_max => (self.model_max, CapSource::Model),
            Some(cap) => (cap, CapSource::Caller),
        }
    }

    /// The smallest cap that still makes a useful answer for this request.
    fn smallest_cap(&self) -> u64 {
        self.wanted().0.min(USEFUL_OUTPUT_MIN)
    }

    /// The least that must be held in this mode: a stated cap is kept where it is not lowered.
    pub fn least(&self, mode: Mode) -> Usd {
        match (mode, self.stated_cap) {
            (Mode::Hard, Some(cap)) => self.at_cap(cap.min(self.model_max)),
            _ => self.smallest(),
        }
    }

    /// The least that a useful answer to this request can be held at.
    pub fn smallest(&self) -> Usd {
        self.at_cap(self.smallest_cap())
    }
}

impl Want {
    /// Decides cap and amount, or says what is missing.
    pub fn grant(&self, account: &Account) -> Result<Grant, Refusal> {
        let need = &self.need;
        let Some(available) = account.available() else {
            let cap = need.stated_cap.unwrap_or(need.model_max);
            let source =
                if need.stated_cap.is_some() { CapSource::Caller } else { CapSource::None };
            return Ok(Grant { amount: need.at_cap(cap), cap, source });
        };
        let (wanted, source) = need.wanted();
        let lowerable = self.mode == Mode::Clamp || need.stated_cap.is_none();
        if !lowerable {
            let amount = need.at_cap(wanted);
            return account.check(amount).map(|()| Grant { amount, cap: wanted, source });
        }
        let others_hold = !account.pending.is_zero();
        let share =
            if others_hold && self.mode == Mode::Clamp { available.half() } else { available };
        let smallest = need.smallest_cap();
        let cap = need.affordable(share).min(wanted).max(smallest);
        let amount = need.at_cap(cap);
        account.check(amount).map_err(|_| smallest_refusal(account, need))?;
        let source = match (cap < wanted, need.stated_cap) {
            (false, _) => source,
            (true, Some(_)) => CapSource::Budget,
            (true, None) => CapSource::Gateway,
        };
        Ok(Grant { amount, cap, source })
    }
}

impl Need {
    /// The largest cap that `money` pays for.
    fn affordable(&self, money: Usd) -> u64 {
        let left = money - self.fixed;
        if left.is_negative() {
            return 0;
        }
        left.divided_by(self.per_output_token).unwrap_or(u64::MAX)
    }
}

/// The refusal for the smallest useful answer: a larger one was never needed.
fn smallest_refusal(account: &Account, need: &Need) -> Refusal {
    match account.check(need.smallest()) {
        Err(refusal) => refusal,
        // The smallest cap is the floor of what was tried, so this arm needs a limit that
        // changed in between, which one thread cannot see. Waiting is the harmless answer.
        Ok(()) => Refusal::Contended(account.shortfall(need.smallest())),
    }
}

/// The cap of a request that states none, in tokens: long enough for nearly every answer, short
/// enough that a hundred of them do not hold a whole budget.
pub const OUTPUT_CAP_DEFAULT: u64 = 8192;

/// Answers capped below this many tokens are useless; the request is refused instead.
pub const USEFUL_OUTPUT_MIN: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn need(stated_cap: Option<u64>) -> Need {
        Need {
            fixed: Usd::from_picos(1_000),
            per_output_token: Usd::from_picos(10),
            stated_cap,
            model_max: 4_096,
        }
    }

    fn account(limit: i128, pending: i128) -> Account {
        Account {
            limit: Some(Usd::from_picos(limit)),
            pending: Usd::from_picos(pending),
            ..Account::default()
        }
    }

    fn grant(
        mode: Mode,
        stated: Option<u64>,
        account: &Account,
    ) -> Result<(u64, CapSource), Refusal> {
        let granted = Want { need: need(stated), mode }.grant(account)?;
        assert_eq!(granted.amount, need(stated).at_cap(granted.cap));
        assert!(account.check(granted.amount).is_ok());
        Ok((granted.cap, granted.source))
    }

    #[test]
    fn caps_are_kept_injected_or_lowered() {
        let rich = account(1_000_000, 0);
        let rows = [
            (Mode::Clamp, Some(100), &rich, (100, CapSource::Caller)),
            (Mode::Clamp, Some(9_999), &rich, (4_096, CapSource::Model)),
            (Mode::Clamp, None, &rich, (4_096, CapSource::Gateway)),
            (Mode::Clamp, Some(1_000), &account(6_000, 0), (500, CapSource::Budget)),
            (Mode::Clamp, None, &account(6_000, 0), (500, CapSource::Gateway)),
            (Mode::Hard, None, &account(6_000, 0), (500, CapSource::Gateway)),
            (Mode::Clamp, Some(1_000), &account(12_001, 1), (500, CapSource::Budget)),
            (Mode::Hard, Some(500), &account(6_001, 1), (500, CapSource::Caller)),
        ];
        for (mode, stated, account, expected) in rows {
            assert_eq!(grant(mode, stated, account), Ok(expected), "{mode:?} {stated:?}");
        }
    }

    #[test]
    fn the_smallest_useful_answer_may_take_more_than_a_fair_share() {
        assert_eq!(grant(Mode::Clamp, None, &account(1_641, 1)), Ok((64, CapSource::Gateway)));
        assert!(matches!(grant(Mode::Clamp, None, &account(1_639, 0)), Err(Refusal::Exhausted(_))));
        assert!(matches!(grant(Mode::Clamp, None, &account(1_640, 1)), Err(Refusal::Contended(_))));
        assert_eq!(grant(Mode::Clamp, Some(5), &account(1_050, 0)), Ok((5, CapSource::Caller)));
    }

    #[test]
    fn hard_refuses_what_clamp_would_lower() {
        assert!(matches!(
            grant(Mode::Hard, Some(501), &account(6_000, 0)),
            Err(Refusal::Exhausted(_))
        ));
        assert!(matches!(
            grant(Mode::Hard, Some(500), &account(6_000, 1)),
            Err(Refusal::Contended(_))
        ));
    }

    #[test]
    fn without_a_limit_nothing_is_capped_and_the_model_maximum_is_held() {
        let granted =
            Want { need: need(None), mode: Mode::Clamp }.grant(&Account::default()).unwrap();
        assert_eq!((granted.cap, granted.source), (4_096, CapSource::None));
        let stated = Want { need: need(Some(9_999)), mode: Mode::Clamp };
        let granted = stated.grant(&Account::default()).unwrap();
        assert_eq!((granted.cap, granted.source), (9_999, CapSource::Caller));
    }

    #[test]
    fn free_output_is_never_short_of_money() {
        let free = Need { fixed: Usd::ZERO, per_output_token: Usd::ZERO, ..need(None) };
        let granted = Want { need: free, mode: Mode::Clamp }.grant(&account(0, 0)).unwrap();
        assert_eq!((granted.amount, granted.cap), (Usd::ZERO, 4_096));
    }
}
