//! The cap on a request's output, and so the most it can cost.
//!
//! Under a limit every forwarded request carries an output cap that the gateway set or checked;
//! that turns an estimate into a bound. This module decides the cap and the amount to hold, in
//! one step, from what the accounts above a request have left.
//!
//! | mode | a stated cap | no cap stated | can be passed by |
//! |---|---|---|---|
//! | `clamp` | lowered to what fits | injected: what fits, at most the default | nothing |
//! | `hard` | kept; refused where it does not fit | injected: what fits, at most the default | nothing |
//! | `expected` | kept; what is likely is held | none is forwarded; what is likely is held | what is in flight |
//! | `soft` | kept; admitted where it does not fit | injected: at most the default | everything |
//!
//! While others hold money on an account, `clamp` gives at most half of what is left to one
//! request: the first large one would else leave nothing for those beside it.

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
    /// What is expected is held, not the worst: the limit may be passed by what is in flight.
    Expected,
    /// The limit is told, not held: what does not fit is admitted all the same.
    Soft,
}

impl Mode {
    /// Whether bills never exceed a limit in this mode while providers keep their word.
    pub const fn is_strict(self) -> bool {
        matches!(self, Self::Clamp | Self::Hard)
    }
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

impl CapSource {
    /// The word for it, as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Model => "model",
            Self::Budget => "budget",
            Self::Gateway => "gateway",
            Self::None => "none",
        }
    }
}

/// What one request can cost at one provider, before its cap is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Cost of the most input it can have, and of the request itself.
    pub fixed: Usd,
    /// The same for the input it probably has.
    pub likely_fixed: Usd,
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
    /// The most it can cost above the amount: nothing, unless only what is expected is held.
    pub exposed: Usd,
}

/// A need together with the rule to apply to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// What the request can cost.
    pub need: Need,
    /// The run's mode.
    pub mode: Mode,
    /// How long answers of this model have been in this run, where enough were seen.
    pub likely_output: Option<u64>,
}

/// An account with a limit, on the way from the agent up to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Its money.
    pub account: Account,
    /// How its owner treats what may not fit.
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
            (Mode::Clamp, _) | (_, None) => self.smallest(),
            (_, Some(cap)) => self.at_cap(cap.min(self.model_max)),
        }
    }

    /// The least that a useful answer to this request can be held at.
    pub fn smallest(&self) -> Usd {
        self.at_cap(self.smallest_cap())
    }
}

impl Want {
    /// Decides cap and amount from every account with a limit that it counts on, or says which of
    /// them says no. A run that promises less than the worst case is held to it all the same where
    /// an account above it promises more.
    pub fn grant(&self, limited: &[Limited]) -> Result<Grant, (usize, Refusal)> {
        if limited.is_empty() {
            return Ok(self.as_stated(|most| self.need.at_cap(most)));
        }
        let strict = limited.iter().any(|one| one.mode.is_strict());
        match self.mode {
            Mode::Expected if !strict => self.expected(limited),
            Mode::Hard | Mode::Soft => self.capped(Mode::Hard, limited),
            Mode::Clamp | Mode::Expected => self.capped(Mode::Clamp, limited),
        }
    }

    /// The worst case is held, under a cap that makes it the worst.
    fn capped(&self, mode: Mode, limited: &[Limited]) -> Result<Grant, (usize, Refusal)> {
        let need = &self.need;
        let (wanted, source) = need.wanted();
        let smallest = need.smallest_cap();
        let lowerable = mode == Mode::Clamp || need.stated_cap.is_none();
        let mut cap = wanted;
        for account in binding(limited).filter(|_| lowerable).map(|(_, account)| account) {
            let available = account.available().unwrap_or_default();
            let shared = !account.pending.is_zero() && mode == Mode::Clamp;
            let share = if shared { available.half() } else { available };
            cap = need.affordable(share).min(cap).max(smallest);
        }
        let amount = need.at_cap(cap);
        let least = if lowerable { need.smallest() } else { amount };
        fits(limited, amount, least)?;
        let source = match (cap < wanted, need.stated_cap) {
            (false, _) => source,
            (true, Some(_)) => CapSource::Budget,
            (true, None) => CapSource::Gateway,
        };
        Ok(Grant { amount, cap, source, exposed: Usd::ZERO })
    }

    /// What is probably used is held; the request is forwarded as it is.
    fn expected(&self, limited: &[Limited]) -> Result<Grant, (usize, Refusal)> {
        let granted = self.as_stated(|most| {
            let guess = self.likely_output.unwrap_or(OUTPUT_CAP_DEFAULT);
            self.need.likely_fixed + self.need.per_output_token.times(guess.min(most))
        });
        fits(limited, granted.amount, granted.amount)?;
        Ok(granted)
    }

    /// The caller's own cap or none, held at what `price` says.
    fn as_stated(&self, price: impl Fn(u64) -> Usd) -> Grant {
        let stated = self.need.stated_cap;
        let cap = stated.unwrap_or(self.need.model_max);
        let source = if stated.is_some() { CapSource::Caller } else { CapSource::None };
        // Forwarded as it is; the model gives no more than its maximum all the same.
        let most = cap.min(self.need.model_max);
        let (worst, amount) = (self.need.at_cap(most), price(most));
        Grant { amount: amount.min(worst), cap, source, exposed: (worst - amount).or_zero() }
    }
}

/// The accounts that can say no, with their places.
fn binding(limited: &[Limited]) -> impl Iterator<Item = (usize, &Account)> {
    limited
        .iter()
        .enumerate()
        .filter(|(_, one)| one.mode != Mode::Soft)
        .map(|(at, one)| (at, &one.account))
}

/// Whether `amount` fits everywhere. A refusal is for `least`: a larger amount was never needed.
/// Exhausted wins over contended, for waiting cannot help then.
fn fits(limited: &[Limited], amount: Usd, least: Usd) -> Result<(), (usize, Refusal)> {
    let mut refused = None;
    for (at, account) in binding(limited) {
        match account.check(amount) {
            Ok(()) => {}
            // `amount` is never above `least` where that fits, so the second arm needs a limit that
            // changed in between, which one thread cannot see. Waiting is the harmless answer.
            Err(_) => match account.check(least) {
                Err(refusal @ Refusal::Exhausted(_)) => return Err((at, refusal)),
                Err(refusal) => refused = refused.or(Some((at, refusal))),
                Ok(()) => {
                    let refusal = Refusal::Contended(account.shortfall(least));
                    refused = refused.or(Some((at, refusal)));
                }
            },
        }
    }
    refused.map_or(Ok(()), Err)
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
            likely_fixed: Usd::from_picos(250),
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

    fn want(mode: Mode, stated: Option<u64>) -> Want {
        Want { need: need(stated), mode, likely_output: None }
    }

    fn grant(
        mode: Mode,
        stated: Option<u64>,
        account: &Account,
    ) -> Result<(u64, CapSource), Refusal> {
        let limited = [Limited { account: *account, mode }];
        let granted = want(mode, stated).grant(&limited).map_err(|(_, refusal)| refusal)?;
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
        let granted = want(Mode::Clamp, None).grant(&[]).unwrap();
        assert_eq!((granted.cap, granted.source), (4_096, CapSource::None));
        let granted = want(Mode::Clamp, Some(9_999)).grant(&[]).unwrap();
        assert_eq!((granted.cap, granted.source), (9_999, CapSource::Caller));
    }

    #[test]
    fn free_output_is_never_short_of_money() {
        let free = Need { fixed: Usd::ZERO, per_output_token: Usd::ZERO, ..need(None) };
        let limited = [Limited { account: account(0, 0), mode: Mode::Clamp }];
        let granted = Want { need: free, ..want(Mode::Clamp, None) }.grant(&limited).unwrap();
        assert_eq!((granted.amount, granted.cap), (Usd::ZERO, 4_096));
    }

    #[test]
    fn expected_holds_what_is_likely_and_says_what_it_may_cost_more() {
        let limited = [Limited { account: account(100_000, 0), mode: Mode::Expected }];
        let likely = Want { likely_output: Some(100), ..want(Mode::Expected, Some(1_000)) };
        let granted = likely.grant(&limited).unwrap();
        let worst = need(Some(1_000)).at_cap(1_000);
        assert_eq!(granted.amount, Usd::from_picos(250 + 100 * 10));
        assert_eq!(granted.amount + granted.exposed, worst);
        assert_eq!((granted.cap, granted.source), (1_000, CapSource::Caller));
        let nothing_seen = want(Mode::Expected, None).grant(&limited).unwrap();
        assert_eq!(nothing_seen.amount, Usd::from_picos(250 + 4_096 * 10));
        assert_eq!(nothing_seen.source, CapSource::None);
    }

    #[test]
    fn a_strict_account_above_holds_an_expected_run_to_its_worst_case() {
        let own = Limited { account: account(100_000, 0), mode: Mode::Expected };
        let above = Limited { account: account(6_000, 0), mode: Mode::Hard };
        let granted = want(Mode::Expected, Some(1_000)).grant(&[own, above]).unwrap();
        assert_eq!((granted.cap, granted.exposed), (500, Usd::ZERO));
        assert_eq!(granted.source, CapSource::Budget);
    }

    #[test]
    fn soft_passes_its_own_limit_and_not_its_parents() {
        let own = Limited { account: account(10, 0), mode: Mode::Soft };
        let granted = want(Mode::Soft, Some(1_000)).grant(&[own]).unwrap();
        assert_eq!((granted.cap, granted.source), (1_000, CapSource::Caller));
        let above = Limited { account: account(6_000, 0), mode: Mode::Clamp };
        let refused = want(Mode::Soft, Some(1_000)).grant(&[own, above]);
        assert!(matches!(refused, Err((1, Refusal::Exhausted(_)))), "{refused:?}");
    }

    #[test]
    fn the_tightest_account_decides_and_is_named() {
        let roomy = Limited { account: account(1_000_000, 0), mode: Mode::Clamp };
        let tight = Limited { account: account(6_000, 0), mode: Mode::Clamp };
        let granted = want(Mode::Clamp, Some(1_000)).grant(&[roomy, tight, roomy]).unwrap();
        assert_eq!(granted.cap, 500);
        let busy = Limited { account: account(2_000, 900), mode: Mode::Clamp };
        let gone = Limited { account: account(100, 0), mode: Mode::Clamp };
        let refused = want(Mode::Clamp, None).grant(&[busy, roomy, gone]);
        assert!(matches!(refused, Err((2, Refusal::Exhausted(_)))), "waiting cannot help");
        let refused = want(Mode::Clamp, None).grant(&[roomy, busy]);
        assert!(matches!(refused, Err((1, Refusal::Contended(_)))));
    }
}
