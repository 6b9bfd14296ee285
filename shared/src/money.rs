//! Exact dollars.
//!
//! For everything that is paid, held or limited. Refuses to know floats: a number is read from its
//! literal text and printed from its digits. The one idea: an amount is a whole count of 1e-12 USD
//! ("picos"), so sums and products of whole tokens are exact and two amounts that look equal are.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// An exact amount of US dollars, positive or negative, in whole units of 1e-12 USD.
///
/// On the wire it is a JSON number with exactly its digits; a decimal string is read as well.
///
/// ```
/// use tollgate_shared::money::Usd;
/// let third: Usd = "0.000000000001".parse().unwrap();
/// assert_eq!((third + third).to_string(), "0.000000000002");
/// assert!("0.0000000000001".parse::<Usd>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usd(i128);

/// Why a text is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not a decimal number.
    #[error("`{0}` is not a decimal number")]
    NotANumber(String),
    /// The text has digits below 1e-12, which the ledger cannot hold.
    #[error("`{0}` has more than 12 decimals")]
    TooFine(String),
    /// The amount is beyond what the ledger can count.
    #[error("`{0}` is beyond the largest amount of {MAX_USD} USD")]
    TooLarge(String),
}

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The amount of this many units of 1e-12 USD.
    pub const fn from_picos(picos: i128) -> Self {
        Self(picos)
    }

    /// How many units of 1e-12 USD this is.
    pub const fn picos(self) -> i128 {
        self.0
    }

    /// The count as the database's 64-bit column holds it; `None` beyond 9,223,372 USD.
    pub fn to_column(self) -> Option<i64> {
        i64::try_from(self.0).ok()
    }

    /// An amount read back from the database's column.
    pub fn from_column(picos: i64) -> Self {
        Self(i128::from(picos))
    }

    /// Whether this is exactly nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether this is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The amount, or nothing where it is negative: "what is left" is never below zero.
    pub fn or_zero(self) -> Self {
        Self(self.0.max(0))
    }

    /// This amount `count` times, stopping at the largest countable one instead of wrapping.
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(i128::from(count)))
    }

    /// Half of it, rounded down to a whole pico.
    pub fn half(self) -> Self {
        Self(self.0.div_euclid(2))
    }

    /// How many whole times `price` fits into this amount; `None` where the price is zero.
    pub fn divided_by(self, price: Self) -> Option<u64> {
        if price.0 <= 0 {
            return None;
        }
        u64::try_from((self.0 / price.0).max(0)).ok()
    }

    /// Parts per million of `whole`, rounded down; `None` where `whole` is not positive.
    pub fn ppm_of(self, whole: Self) -> Option<u64> {
        if whole.0 <= 0 {
            return None;
        }
        u64::try_from(self.0.max(0).saturating_mul(1_000_000) / whole.0).ok()
    }

    /// **The only rounding in the house**, for screens and summaries: half away from zero, to
    /// `decimals` (at most 12) places, all of them printed.
    pub fn rounded(self, decimals: u32) -> String {
        let decimals = decimals.min(12);
        let unit = 10_i128.pow(12 - decimals);
        let (sign, size) = if self.0 < 0 { ("-", -self.0) } else { ("", self.0) };
        let count = (size + unit / 2) / unit;
        let scale = 10_i128.pow(decimals);
        let sign = if count == 0 { "" } else { sign };
        if decimals == 0 {
            return format!("{sign}{count}");
        }
        format!("{sign}{}.{:0width$}", count / scale, count % scale, width = decimals as usize)
    }

    /// The nearest float, for charts and forecasts only. Nothing that is charged passes here.
    pub fn approx(self) -> f64 {
        #[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "display only")]
        {
            self.0 as f64 / 1e12
        }
    }

    /// The amount of a decimal, refused where the ledger could not hold it exactly.
    pub fn from_decimal(decimal: Decimal) -> Result<Self, MoneyError> {
        let text = || decimal.to_string();
        let decimal = decimal.normalize();
        if decimal.scale() > 12 {
            return Err(MoneyError::TooFine(text()));
        }
        let picos = decimal
            .mantissa()
            .checked_mul(10_i128.pow(12 - decimal.scale()))
            .ok_or_else(|| MoneyError::TooLarge(text()))?;
        if picos.abs() > i128::from(MAX_USD) * PICOS_PER_USD {
            return Err(MoneyError::TooLarge(text()));
        }
        Ok(Self(picos))
    }

    /// The amount that a JSON literal (a number or a string) stands for.
    pub fn from_json(raw: &RawValue) -> Result<Self, MoneyError> {
        let text = raw.get();
        if text.starts_with('"') {
            let inner: String = serde_json::from_str(text)
                .map_err(|_| MoneyError::NotANumber(text.chars().take(40).collect()))?;
            return inner.parse();
        }
        text.parse()
    }
}

impl FromStr for Usd {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let shown = || text.chars().take(40).collect::<String>();
        if !is_decimal_text(text) {
            return Err(MoneyError::NotANumber(shown()));
        }
        let exponent = text.split_once(['e', 'E']).map(|(_, exponent)| exponent);
        let parsed = match exponent {
            Some(_) => Decimal::from_scientific(text),
            None => Decimal::from_str_exact(text),
        };
        match (parsed, exponent) {
            (Ok(decimal), _) => Self::from_decimal(decimal),
            (Err(_), Some(exponent)) if exponent.starts_with('-') => {
                Err(MoneyError::TooFine(shown()))
            }
            (Err(rust_decimal::Error::Underflow), None) => Err(MoneyError::TooFine(shown())),
            (Err(_), _) => Err(MoneyError::TooLarge(shown())),
        }
    }
}

impl fmt::Display for Usd {
    /// Exactly its digits, without trailing zeros: `0.027`, `10`, `-0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.unsigned_abs();
        let scale = PICOS_PER_USD.unsigned_abs();
        let (whole, fraction) = (size / scale, size % scale);
        let sign = if self.0 < 0 { "-" } else { "" };
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{fraction:012}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${self}")
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Usd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Usd {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_number(&self.to_string(), serializer)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_json(&raw).map_err(D::Error::custom)
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Usd".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Exact US dollars, at most 12 decimals: a number, or a decimal string.",
            "anyOf": [
                {"type": "number"},
                {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?$"}
            ]
        })
    }
}

/// A share in hundredths of a percent, printed as a JSON number such as `74.25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Percent(u64);

impl Percent {
    /// The percentage that `part` is of `whole`, rounded down to a hundredth; zero of nothing.
    pub fn of(part: Usd, whole: Usd) -> Self {
        Self(part.ppm_of(whole).unwrap_or(0) / 100)
    }

    /// The percentage that `part` is of `whole`, in plain counts.
    pub fn of_counts(part: u64, whole: u64) -> Self {
        Self(part.saturating_mul(10_000).checked_div(whole).unwrap_or(0))
    }

    /// Whole percents, rounded down.
    pub const fn whole(self) -> u64 {
        self.0 / 100
    }

    /// Hundredths of a percent.
    pub const fn hundredths(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}"),
        }
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_number(&self.to_string(), serializer)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amount = Usd::deserialize(deserializer)?;
        let hundredths = amount.picos() / (PICOS_PER_USD / 100);
        u64::try_from(hundredths).map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "minimum": 0})
    }
}

/// Writes `text`, which must be a JSON number, digit for digit.
pub(crate) fn serialize_number<S: Serializer>(
    text: &str,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    RawValue::from_string(text.to_owned()).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

/// Whether `text` is plain ASCII decimal: an optional sign, digits, a fraction, an exponent.
/// Stricter than the decimal parser, which skips underscores and takes a bare dot.
fn is_decimal_text(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_is_decimal = match mantissa.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(mantissa),
    };
    mantissa_is_decimal
        && exponent.is_none_or(|text| {
            let text = text.strip_prefix(['+', '-']).unwrap_or(text);
            digits(text) && text.len() <= 3
        })
}

/// Units of 1e-12 USD in one dollar.
pub const PICOS_PER_USD: i128 = 1_000_000_000_000;

/// Largest amount that is read from outside, in USD. Sums of a trillion of them still fit.
pub const MAX_USD: i64 = 1_000_000_000_000;

/// Largest limit of an account, in USD: a signed 64-bit column of picos ends at 9,223,372.
pub const LIMIT_MAX_USD: i64 = 9_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_prints_exactly() {
        let rows = [
            ("0.027", "0.027"),
            ("1.10", "1.1"),
            ("3e-05", "0.00003"),
            ("2.5e-06", "0.0000025"),
            ("0.000000000001", "0.000000000001"),
            ("1e0", "1"),
            ("-0.5", "-0.5"),
            ("0.1000000000000", "0.1"),
            ("123456789.123456789123", "123456789.123456789123"),
        ];
        for (text, printed) in rows {
            assert_eq!(text.parse::<Usd>().unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_hold_exactly() {
        for text in ["", ".", "1,5", "１", "NaN", "inf", "1_0", "+1", "0x1", "1e", "--1", " 1"] {
            assert!(matches!(text.parse::<Usd>(), Err(MoneyError::NotANumber(_))), "{text}");
        }
        for text in ["1e-30", "0.0000000000001", "6.2499999999999996e-08", "1e-400"] {
            let error = text.parse::<Usd>().unwrap_err();
            assert!(!matches!(error, MoneyError::TooLarge(_)), "{text}: {error}");
        }
        for text in ["1e13", "79228162514264337593543950336", "1e308"] {
            assert!(matches!(text.parse::<Usd>(), Err(MoneyError::TooLarge(_))), "{text}");
        }
    }

    #[test]
    fn json_keeps_every_digit_and_takes_strings() {
        let read: Usd = serde_json::from_str("123456.123456789012").unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), "123456.123456789012");
        assert_eq!(serde_json::from_str::<Usd>("\"0.5\"").unwrap().to_string(), "0.5");
        assert!(serde_json::from_str::<Usd>("null").is_err());
        assert!(serde_json::from_str::<Usd>("true").is_err());
    }

    #[test]
    fn rounds_half_away_from_zero_for_display_only() {
        let rows = [("0.0000005", 6, "0.000001"), ("-0.0000005", 6, "-0.000001")];
        for (text, decimals, shown) in rows {
            assert_eq!(text.parse::<Usd>().unwrap().rounded(decimals), shown);
        }
        assert_eq!("-0.0000001".parse::<Usd>().unwrap().rounded(6), "0.000000");
        assert_eq!("12.5".parse::<Usd>().unwrap().rounded(0), "13");
    }

    #[test]
    fn percent_prints_as_a_short_number() {
        let usd = |text: &str| text.parse::<Usd>().unwrap();
        assert_eq!(Percent::of(usd("7.5"), usd("10")).to_string(), "75");
        assert_eq!(Percent::of(usd("1"), usd("3")).to_string(), "33.33");
        assert_eq!(Percent::of(usd("1"), Usd::ZERO).to_string(), "0");
        let back: Percent = serde_json::from_str("74.25").unwrap();
        assert_eq!(back.hundredths(), 7425);
    }

    proptest! {
        #[test]
        fn print_and_parse_are_inverse(picos in -1_000_000_000_000_000_000_i128..1_000_000_000_000_000_000) {
            let amount = Usd::from_picos(picos);
            prop_assert_eq!(amount.to_string().parse::<Usd>().unwrap(), amount);
            let json = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Usd>(&json).unwrap(), amount);
        }

        #[test]
        fn any_text_is_an_amount_or_an_error(text in "\\PC{0,24}") {
            if let Ok(amount) = text.parse::<Usd>() {
                prop_assert_eq!(amount.to_string().parse::<Usd>().unwrap(), amount);
            }
        }
    }
}
