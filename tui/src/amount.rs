//! Amounts as people type them.
//!
//! A budget takes `75`, `+25`, `-5`, `x1.5`, `until 18:00`. A price needs a unit, because the commonest
//! mistake with prices is a price per million in a field per token: sixty dollars for one token. Refuses
//! to know fields and dialogs.

use tollgate_shared::event::BudgetEvent;
use tollgate_shared::money::{PICOS_PER_USD, Usd};
use tollgate_shared::price::UsdPerToken;
use tollgate_shared::time::Timestamp;

use crate::zone;

/// A price as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// So much for one token.
    PerToken(UsdPerToken),
    /// Said aloud: nothing.
    Free,
}

impl Price {
    /// The price of one token.
    pub fn rate(self) -> UsdPerToken {
        match self {
            Self::PerToken(rate) => rate,
            Self::Free => UsdPerToken::default(),
        }
    }
}

/// Reads a new budget, given the one that holds.
pub fn budget(text: &str, now: Option<Usd>) -> Result<Usd, String> {
    let text = text.trim();
    let base = || now.ok_or("there is no budget yet to add to; type an amount".to_owned());
    let mut rest = text.chars();
    let amount = match rest.next() {
        None => return Err("type 75, +25 or x1.5".into()),
        Some('+') => base()? + usd(rest.as_str())?,
        Some('-') => base()? - usd(rest.as_str())?,
        Some('x' | '×' | '*') => scaled(base()?, usd(rest.as_str())?),
        Some(_) => usd(text)?,
    };
    if amount <= Usd::ZERO {
        return Err(format!("${amount} is not above 0; a pause stops a run"));
    }
    if amount > Usd::from_picos(i128::from(tollgate_shared::money::LIMIT_MAX_USD) * PICOS_PER_USD) {
        return Err("beyond the largest budget of $9,000,000".into());
    }
    Ok(amount)
}

/// Reads `until 18:00`: the budget that pays for the present rate until clocks here show that time.
/// `None` where the text is not of that kind.
pub fn until(text: &str, base: &BudgetEvent, now: Timestamp) -> Option<Result<Usd, String>> {
    let clock = text.trim().strip_prefix("until")?.trim();
    let read = clock.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute) = (hour.parse::<i64>().ok()?, minute.parse::<i64>().ok()?);
        ((0..24).contains(&hour) && (0..60).contains(&minute)).then_some(hour * 60 + minute)
    });
    let Some(minutes) = read else { return Some(Err("type until 18:00".into())) };
    let midnight = zone::local(now).floor_to(86_400);
    let today = zone::from_local(midnight.plus_millis(minutes * 60_000));
    // A time that has passed today is meant for tomorrow.
    let end = if today > now { today } else { today.plus_millis(86_400_000) };
    let seconds = u64::try_from(end.millis_since(now) / 1_000).unwrap_or(0);
    if base.burn_usd_per_min <= Usd::ZERO {
        return Some(Err("nothing is spent now, so no time says how much; type an amount".into()));
    }
    let needed =
        Usd::from_picos(base.burn_usd_per_min.picos().saturating_mul(i128::from(seconds)) / 60);
    // Whole cents, upwards: it should last until then, not almost until then.
    let cent = PICOS_PER_USD / 100;
    let exact = (base.enforced.spent_usd() + needed).picos();
    let target = Usd::from_picos((exact + cent - 1) / cent * cent);
    Some(budget(&target.to_string(), None))
}

/// Reads a price: `$2.50/M`, `2.5/M`, `3/k`, `0.0000025`, `free`.
pub fn price(text: &str) -> Result<Price, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("free") {
        return Ok(Price::Free);
    }
    let (number, unit) = match text.split_once('/') {
        Some((number, unit)) => (number.trim_end(), Some(unit.trim())),
        None => (text, None),
    };
    let amount = usd(number)?;
    if amount.is_zero() {
        return Err("a price of zero is said with the word free".into());
    }
    let rate = match unit {
        Some("M" | "m" | "Mtok" | "1M" | "million") => UsdPerToken::per_million(amount),
        Some("k" | "K" | "1k" | "1K") => UsdPerToken::per_million(amount.times(1_000)),
        Some("token" | "tok") => UsdPerToken::new(amount),
        Some(unit) => return Err(format!("unit `{unit}`? type {number}/M for a million tokens")),
        None if amount.picos() > BARE_MAX_PICOS => {
            let per_token = UsdPerToken::per_million(amount).map(|rate| rate.usd().to_string());
            let or = per_token.map_or(String::new(), |text| format!(" or {text}"));
            return Err(format!("unit? type {number}/M{or}"));
        }
        None => UsdPerToken::new(amount),
    };
    rate.map(Price::PerToken).map_err(|error| error.to_string())
}

/// A round step of about a quarter of `limit`: 1, 2, 2.5 or 5 times a power of ten.
pub fn step(limit: Usd) -> Usd {
    let quarter = limit.or_zero().picos() / 4;
    let mut unit = PICOS_PER_USD / 100;
    while unit.saturating_mul(10) <= quarter {
        unit *= 10;
    }
    let size = [50, 25, 20, 10].into_iter().map(|tenths| unit * tenths / 10);
    Usd::from_picos(size.into_iter().find(|size| *size <= quarter).unwrap_or(unit))
}

/// An amount with or without its `$`; nothing is rounded on the way.
fn usd(text: &str) -> Result<Usd, String> {
    let text = text.trim();
    let bare = text.strip_prefix('$').unwrap_or(text).trim_start();
    // `.5` and `5.` are how people type; the exact reader wants digits on both sides.
    let padded = match (bare.starts_with('.'), bare.ends_with('.')) {
        (true, _) => format!("0{bare}"),
        (false, true) => format!("{bare}0"),
        _ => bare.to_owned(),
    };
    padded.parse().map_err(|_| format!("`{text}` is no amount"))
}

/// `amount` times a decimal factor, rounded down to a whole pico. A product beyond counting
/// becomes the largest number, which the limit then refuses.
fn scaled(amount: Usd, factor: Usd) -> Usd {
    let product = amount.picos().checked_mul(factor.picos()).unwrap_or(i128::MAX);
    Usd::from_picos(product / PICOS_PER_USD)
}

/// Largest price of one token that is believed without a unit: a thousand dollars a million.
const BARE_MAX_PICOS: i128 = PICOS_PER_USD / 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn until_pays_for_the_present_rate() {
        let base = crate::fixture::snapshot().budgets.remove(0);
        let at = crate::fixture::now();
        let base = BudgetEvent { burn_usd_per_min: usd("0.10"), ..base };
        let spent = base.enforced.spent_usd();
        // From 14:14:07 to 15:14 are 59 minutes and 53 seconds.
        let target = until("until 15:14", &base, at).unwrap().unwrap();
        assert!(target >= spent + usd("5.98") && target < spent + usd("6.00"), "{target}");
        let tomorrow = until("until 14:00", &base, at).unwrap().unwrap();
        assert!(tomorrow > spent + usd("142"), "{tomorrow}");
        for bad in ["until", "until noon", "until 25:00", "until 7"] {
            assert!(until(bad, &base, at).unwrap().is_err(), "{bad}");
        }
        assert!(until("75", &base, at).is_none());
        let idle = BudgetEvent { burn_usd_per_min: Usd::ZERO, ..base };
        assert!(until("until 15:14", &idle, at).unwrap().is_err());
    }

    #[test]
    fn budgets_are_absolute_relative_or_scaled() {
        let rows = [
            ("75", Some("75")),
            ("$75", Some("75")),
            (" 75.50 ", Some("75.5")),
            ("+25", Some("75")),
            ("+$25", Some("75")),
            ("-5", Some("45")),
            ("x1.5", Some("75")),
            ("×2", Some("100")),
            (".5", Some("0.5")),
            ("", None),
            ("+", None),
            ("0", None),
            ("-50", None),
            ("abc", None),
            ("1e9", None),
            ("x99999999999", None),
        ];
        for (text, amount) in rows {
            assert_eq!(budget(text, Some(usd("50"))).ok(), amount.map(usd), "{text}");
        }
        assert!(budget("+5", None).is_err());
        assert_eq!(budget("5", None), Ok(usd("5")));
    }

    #[test]
    fn prices_need_a_unit_or_are_small() {
        let rows = [
            ("$2.50/M", Some("0.0000025")),
            ("2.5/M", Some("0.0000025")),
            ("2.5 / M", Some("0.0000025")),
            ("30/M", Some("0.00003")),
            ("3/k", Some("0.003")),
            ("0.0000025", Some("0.0000025")),
            ("$0.00003", Some("0.00003")),
            ("60", None),
            ("$60", None),
            ("0.5", None),
            ("0", None),
            ("0/M", None),
            ("60/x", None),
            ("-1/M", None),
            ("", None),
        ];
        for (text, per_token) in rows {
            let read = price(text).ok().map(|price| price.rate().usd());
            assert_eq!(read, per_token.map(usd), "{text}");
        }
        assert_eq!(price("free"), Ok(Price::Free));
        assert_eq!(price("60"), Err("unit? type 60/M or 0.00006".into()));
    }

    #[test]
    fn a_step_is_round_and_about_a_quarter() {
        let rows = [("50", "10"), ("100", "25"), ("10", "2.5"), ("1", "0.25"), ("0", "0.01")];
        for (limit, size) in rows {
            assert_eq!(step(usd(limit)), usd(size), "{limit}");
        }
    }
}
