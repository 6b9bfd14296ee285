//! Numbers as people read them, each with its unit.
//!
//! Everything here is whole-number arithmetic on exact values; nothing is rounded before it is
//! shown. Refuses to know where a number stands and in which colour.

use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

/// A count of tokens or requests: `811`, `6.1k`, `412k`, `1.2M`.
pub fn count(value: u64) -> String {
    match value {
        0..=999 => value.to_string(),
        1_000..=99_949 => tenths((value + 50) / 100, "k"),
        99_950..=999_499 => format!("{}k", (value + 500) / 1_000),
        999_500..=99_949_999 => tenths((value + 50_000) / 100_000, "M"),
        99_950_000..=999_499_999 => format!("{}M", (value + 500_000) / 1_000_000),
        _ => format!("{}G", value / 1_000_000_000),
    }
}

/// A whole count with separators: `1,204`.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A span ahead, coarse: `18m`, `1h30m`, `3d4h`, `45s`.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{minutes}m"),
        3_600..=86_399 => format!("{hours}h{:02}m", minutes % 60),
        86_400..=8_639_999 => format!("{days}d{:02}h", hours % 24),
        _ => ">99d".into(),
    }
}

/// An age, exact while it is young: `16s`, `4m12s`, `54m`, `3h12m`.
pub fn age(seconds: u64) -> String {
    match seconds {
        60..=1_799 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => span(seconds),
    }
}

/// Whole seconds from `since` to `now`, never negative.
pub fn seconds_since(now: Timestamp, since: Timestamp) -> u64 {
    u64::try_from(now.millis_since(since) / 1_000).unwrap_or(0)
}

/// A latency in seconds with two decimals: `2.48`.
pub fn seconds(ms: u64) -> String {
    let hundredths = (ms + 5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A promise in seconds with one decimal: `2.0`.
pub fn seconds_short(ms: u64) -> String {
    tenths((ms + 50) / 100, "")
}

/// `part` of `whole` in tenths of a percent; zero of nothing.
pub fn permille(part: u64, whole: u64) -> u64 {
    part.saturating_mul(1_000).checked_div(whole).unwrap_or(0)
}

/// Tenths of a percent with a decimal: `98.9`, `100`.
pub fn percent(permille: u64) -> String {
    if permille == 1_000 { "100".into() } else { tenths(permille, "") }
}

/// A share from 0 to 1 in tenths of a percent, as measured by the backend.
pub fn permille_of_share(share: f64) -> u64 {
    #[expect(
        clippy::float_arithmetic,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a measured share is a float on the wire; it is shown, never charged"
    )]
    {
        (share.clamp(0.0, 1.0) * 1_000.0).round() as u64
    }
}

/// Money a minute: what left over `seconds` seconds, scaled to sixty.
pub fn per_minute(amount: Usd, seconds: u64) -> Usd {
    let seconds = i128::from(seconds.max(1));
    Usd::from_picos(amount.picos().saturating_mul(60) / seconds)
}

/// `amount` as a multiple of `norm`, in tenths: `34` is 3.4 times. `None` without a norm.
pub fn ratio_tenths(amount: Usd, norm: Usd) -> Option<u64> {
    amount.ppm_of(norm).map(|ppm| (ppm + 50_000) / 100_000)
}

/// Tenths with a unit: `(61, "k")` is `6.1k`.
pub fn tenths(value: u64, unit: &str) -> String {
    format!("{}.{}{unit}", value / 10, value % 10)
}

/// What clocks here show at a moment: `14:32:07`.
pub fn clock(at: Timestamp) -> String {
    crate::zone::local(at).clock()
}

/// The same without the seconds: `14:32`.
pub fn clock_short(at: Timestamp) -> String {
    let mut clock = clock(at);
    clock.truncate(5);
    clock
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_on_the_drawings() {
        assert_eq!(
            [count(811), count(6_100), count(412_345), count(1_240_000)],
            ["811", "6.1k", "412k", "1.2M"]
        );
        assert_eq!([count(99_950), count(999_499), count(999_500)], ["100k", "999k", "1.0M"]);
        assert_eq!(
            [span(1_080), span(5_400), span(59), span(270_000)],
            ["18m", "1h30m", "59s", "3d03h"]
        );
        assert_eq!([age(16), age(252), age(3_240), age(11_520)], ["16s", "4m12s", "54m", "3h12m"]);
        assert_eq!([seconds(2_480), seconds(994), seconds(30_000)], ["2.48", "0.99", "30.00"]);
        assert_eq!([percent(989), percent(1_000), percent(0)], ["98.9", "100", "0.0"]);
        assert_eq!([grouped(8_310), grouped(12), grouped(1_204_000)], ["8,310", "12", "1,204,000"]);
        assert_eq!(permille_of_share(0.9994), 999);
        assert_eq!(seconds_short(1_200), "1.2");
    }

    #[test]
    fn rates_and_ratios_are_exact() {
        let usd = |text: &str| text.parse::<Usd>().unwrap();
        assert_eq!(per_minute(usd("0.21"), 15), usd("0.84"));
        assert_eq!(ratio_tenths(usd("0.34"), usd("0.1")), Some(34));
        assert_eq!(ratio_tenths(usd("1"), Usd::ZERO), None);
    }
}
