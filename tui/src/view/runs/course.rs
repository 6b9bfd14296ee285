//! A run's money over time: what is known of the past, and a band for what may come.
//!
//! The past is the ledger's sum less what the seconds since then add up to, so that the curve ends
//! in the number that enforces. The band is the 10th to the 90th of the last fifteen one-minute
//! burns, as the backend tells it, else as they are known here. Refuses to know cells and scales.
//!
//! ```text
//!  spent(14:10) = spent now − Σ of the run's spans after 14:10
//!  empty in       18m by the burn, 14m by a fast minute, 25m by a slow one
//! ```

use std::sync::Arc;

use tollgate_shared::event::BudgetEvent;
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

use crate::format;
use crate::model::{Day, Group, SPAN_S};

/// A run's money over time.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// What was spent at some moments, newest first.
    pub past: Vec<(Timestamp, Usd)>,
    /// The moment that the past ends with.
    pub until: Timestamp,
    /// What is spent.
    pub spent: Usd,
    /// The limit.
    pub limit: Option<Usd>,
    /// Dollars a minute; nothing where the run spends no more.
    pub burn: Usd,
    /// Dollars a minute of a slow and of a fast minute; none while too few are known.
    pub band: Option<(Usd, Usd)>,
    /// Mean dollars a minute over the minutes that are known, and how many those are.
    pub mean: (Usd, u64),
}

impl Course {
    /// The course of a run over at most `back_s` seconds.
    pub fn of(day: &Day, run: &RunId, budget: &BudgetEvent, back_s: i64) -> Self {
        let until = day.history.until();
        let spent = budget.enforced.spent_usd();
        let mut past = vec![(until, spent)];
        let mut left = spent;
        for (start, cost) in spans(day, run, back_s) {
            let end = start.plus_millis(1_000 * SPAN_S).min(until);
            past.push((end, left));
            left -= cost;
            past.push((start, left));
        }
        let edge = until.plus_millis(-1_000 * i64::try_from(known_s(day, back_s)).unwrap_or(0));
        past.push((edge, left));
        let burns = minutes(day, run);
        let ends = budget.blocked || budget.state != tollgate_shared::budget::RunState::Open;
        Self {
            past,
            until,
            spent,
            limit: budget.enforced.limit_usd,
            burn: if ends { Usd::ZERO } else { budget.burn_usd_per_min },
            band: if ends { None } else { told(budget).or_else(|| band(&burns)) },
            mean: mean(&burns),
        }
    }

    /// Seconds until the limit at this burn; none without either.
    pub fn runway_s(&self, burn: Usd) -> Option<u64> {
        let left = (self.limit? - self.spent).or_zero();
        left.times(60).divided_by(burn)
    }

    /// What will be spent after so many seconds at this burn; a run that refuses ends at its
    /// limit.
    pub fn after(&self, burn: Usd, seconds: u64) -> Usd {
        let free = self.spent + Usd::from_picos(burn.times(seconds).picos() / 60);
        self.limit.map_or(free, |limit| free.min(limit.max(self.spent)))
    }
}

/// How many seconds of the past are known, at most `most`.
fn known_s(day: &Day, most: i64) -> u64 {
    day.history.known_s(most.unsigned_abs())
}

/// What a run spent in each span, newest first.
fn spans<'a>(
    day: &'a Day,
    run: &'a RunId,
    back_s: i64,
) -> impl Iterator<Item = (Timestamp, Usd)> + 'a {
    let name: Arc<str> = run.as_str().into();
    day.history.spans(back_s).rev().filter_map(move |span| {
        let sums = span.by(Group::Run).get(&name)?;
        Some((span.start, sums.cost_usd))
    })
}

/// One-minute burns of the last fifteen minutes, as many as are known, newest first.
fn minutes(day: &Day, run: &RunId) -> Vec<Usd> {
    let known = usize::try_from(known_s(day, 900) / 60).unwrap_or(0);
    let mut burns = vec![Usd::ZERO; known];
    // The span that is still going on would make the newest minute look slow.
    let newest = day.history.until().floor_to(SPAN_S);
    for (start, cost) in spans(day, run, 960).filter(|(start, _)| *start < newest) {
        let age = format::seconds_since(newest, start).saturating_sub(1) / 60;
        if let Some(burn) = usize::try_from(age).ok().and_then(|age| burns.get_mut(age)) {
            *burn += cost;
        }
    }
    burns
}

/// The band as the backend reckons it, in dollars a minute: slow, fast.
fn told(budget: &BudgetEvent) -> Option<(Usd, Usd)> {
    let left = (budget.enforced.limit_usd? - budget.enforced.spent_usd()).or_zero();
    let burn = |seconds: u64| {
        let seconds = i128::from(seconds.max(1));
        Usd::from_picos(left.picos().saturating_mul(60) / seconds)
    };
    let slow = budget.runway_high_s.map_or(Usd::ZERO, burn);
    Some((slow, burn(budget.runway_low_s?)))
}

/// The 10th and the 90th of some burns, while they are enough to say anything.
fn band(burns: &[Usd]) -> Option<(Usd, Usd)> {
    let mut sorted = burns.to_vec();
    sorted.sort_unstable();
    let rank = |percent: usize| (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    let (slow, fast) = (sorted.get(rank(10))?, sorted.get(rank(90))?);
    (sorted.len() >= MINUTES_MIN).then_some((*slow, *fast))
}

/// The mean of some burns, and how many there are.
fn mean(burns: &[Usd]) -> (Usd, u64) {
    let count = u64::try_from(burns.len()).unwrap_or(0);
    let sum: Usd = burns.iter().copied().sum();
    (Usd::from_picos(sum.picos() / i128::from(count.max(1))), count)
}

/// Fewer minutes than these make no band.
const MINUTES_MIN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, usd};

    fn course(run: &str) -> Course {
        let model = fixture::model((120, 40));
        let run: RunId = run.parse().unwrap();
        let budget = model.live.runs[&run].budget.clone().unwrap();
        Course::of(model.day(), &run, &budget, 900)
    }

    #[test]
    fn the_curve_ends_in_the_number_that_enforces_and_never_rises_backwards() {
        let course = course("R-207");
        assert_eq!(course.past[0], (course.until, usd("45.12")));
        assert!(course.past.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        assert!(course.past.windows(2).all(|pair| pair[0].0 >= pair[1].0));
        let (first, _) = course.past[course.past.len() - 1];
        assert_eq!(course.until.millis_since(first), 900_000);
    }

    #[test]
    fn the_band_holds_the_slow_and_the_fast_minutes() {
        let burns: Vec<Usd> = (1..=15).map(|cents| usd(&format!("0.{cents:02}"))).collect();
        assert_eq!(band(&burns), Some((usd("0.02"), usd("0.14"))));
        assert_eq!(mean(&burns), (usd("0.08"), 15));
        assert_eq!(band(&burns[..4]), None, "too few minutes");
        let course = course("R-207");
        let (slow, fast) = course.band.unwrap();
        assert!(slow < course.mean.0 && course.mean.0 < fast, "{course:?}");
        assert!(course.runway_s(fast) < course.runway_s(course.burn));
    }

    #[test]
    fn a_blocked_run_goes_nowhere_and_a_run_stops_at_its_limit() {
        let blocked = course("R-198");
        assert_eq!((blocked.burn, blocked.band), (Usd::ZERO, None));
        assert_eq!(blocked.runway_s(Usd::ZERO), None);
        let course = course("R-207");
        assert_eq!(course.after(usd("0.6"), 60), usd("45.72"));
        assert_eq!(course.after(usd("0.6"), 6_000), usd("50"));
    }
}
