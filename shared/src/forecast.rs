//! Burn and runway: how fast money leaves, and when it is gone.
//!
//! The only floats of the house live here, because a forecast is a guess whatever its digits. No
//! result of this module is ever charged, held or compared with a limit.
#![expect(clippy::float_arithmetic, reason = "forecasts are guesses, never money that is charged")]

use crate::money::Usd;
use crate::time::Timestamp;

/// Spending per minute, with old spending forgotten by halves every [`HALF_LIFE_MS`].
///
/// ```text
/// burn = Σ cost · 2^(−age ÷ half-life) · ln 2 ÷ half-life
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Burn {
    weight: f64,
    at: Timestamp,
}

impl Burn {
    /// Notes money that left at `at`.
    pub fn spend(&mut self, amount: Usd, at: Timestamp) {
        let at = at.max(self.at);
        self.weight = self.decayed(at) + amount.approx();
        self.at = at;
    }

    /// Dollars a minute at `now`.
    pub fn usd_per_min(&self, now: Timestamp) -> f64 {
        self.decayed(now) * std::f64::consts::LN_2 * 60_000.0 / HALF_LIFE_MS
    }

    /// Whole seconds until `left` is gone at the present rate; `None` when next to nothing burns.
    pub fn runway_s(&self, left: Usd, now: Timestamp) -> Option<u64> {
        let rate = self.usd_per_min(now);
        if rate < BURN_MIN_USD_PER_MIN {
            return None;
        }
        let seconds = left.or_zero().approx() / rate * 60.0;
        // Beyond a century a number of seconds says nothing.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
        (seconds.is_finite() && seconds < 3.2e9).then_some(seconds as u64)
    }

    fn decayed(&self, now: Timestamp) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of age, for a guess")]
        let age = now.millis_since(self.at).max(0) as f64;
        self.weight * (-age / HALF_LIFE_MS).exp2()
    }
}

/// Whole seconds until `left` is gone: at a rate that nine of ten minutes stayed below, and at one
/// that nine of ten exceeded. `minutes` are what each of the latest whole minutes cost, in any order.
/// `None` where too few of them are known, or where nothing was spent at that rate.
///
/// ```text
/// minutes 0.1 0.2 0.2 … 0.4, left $4   ─▶   (600, 2400): between 10 and 40 minutes
/// ```
pub fn runway_band_s(left: Usd, minutes: &[Usd]) -> (Option<u64>, Option<u64>) {
    if minutes.len() < BAND_MINUTES_MIN {
        return (None, None);
    }
    let mut sorted = minutes.to_vec();
    sorted.sort_unstable();
    let tenth = sorted.len().div_ceil(10);
    let at = |rate: Option<&Usd>| left.or_zero().times(60).divided_by(*rate?);
    (at(sorted.iter().rev().nth(tenth - 1)), at(sorted.get(tenth - 1)))
}

/// Dollars a minute rounded to whole millionths, as an exact amount to print.
pub fn per_minute(rate: f64) -> Usd {
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the clamp")]
    let millionths = (rate.clamp(0.0, 1e9) * 1e6).round() as i64;
    Usd::from_picos(i128::from(millionths) * 1_000_000)
}

/// Half-life of a burn, in milliseconds: three minutes follow a swarm within a sip of coffee and
/// do not jump at every request.
pub const HALF_LIFE_MS: f64 = 180_000.0;

/// Whole minutes that a band looks back.
pub const BAND_MINUTES: usize = 15;

/// Fewer minutes than this say nothing of how much they differ.
pub const BAND_MINUTES_MIN: usize = 5;

/// Below this rate a run counts as idle and has no runway.
pub const BURN_MIN_USD_PER_MIN: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn steady_spending_is_found_within_a_few_half_lives() {
        let mut burn = Burn::default();
        for second in 0..1_800 {
            burn.spend("0.01".parse().unwrap(), at(second));
        }
        let rate = burn.usd_per_min(at(1_800));
        assert!((0.58..0.62).contains(&rate), "{rate}");
        let runway = burn.runway_s("6".parse().unwrap(), at(1_800)).unwrap();
        assert!((560..640).contains(&runway), "{runway}");
    }

    #[test]
    fn silence_halves_the_rate_and_ends_in_no_runway() {
        let mut burn = Burn::default();
        burn.spend("1".parse().unwrap(), at(0));
        let (now, later) = (burn.usd_per_min(at(0)), burn.usd_per_min(at(180)));
        assert!((now / later - 2.0).abs() < 1e-9);
        assert_eq!(burn.runway_s("1".parse().unwrap(), at(86_400)), None);
        assert_eq!(Burn::default().runway_s("1".parse().unwrap(), at(5)), None);
    }

    #[test]
    fn a_band_is_as_wide_as_the_minutes_differ() {
        let usd = |text: &str| text.parse::<Usd>().unwrap();
        let minutes: Vec<Usd> = (1..=15).map(|cents| usd("0.01").times(cents)).collect();
        // The 14th and the 2nd of fifteen.
        assert_eq!(runway_band_s(usd("1.4"), &minutes), (Some(600), Some(4_200)));
        let idle = [vec![Usd::ZERO; 2], minutes[2..].to_vec()].concat();
        assert_eq!(runway_band_s(usd("1.4"), &idle), (Some(600), None), "some spent nothing");
        assert_eq!(runway_band_s(usd("-1"), &minutes), (Some(0), Some(0)));
        assert_eq!(runway_band_s(usd("1"), &minutes[..4]), (None, None), "too few");
    }

    #[test]
    fn an_overdrawn_budget_has_no_time_left() {
        let mut burn = Burn::default();
        burn.spend("1".parse().unwrap(), at(0));
        assert_eq!(burn.runway_s("-3".parse().unwrap(), at(0)), Some(0));
    }
}
