//! What usage costs.
//!
//! A price card gives each token class its rate and says what a provider charges for failures.
//! Refuses to know models and catalogues. The one idea: a rate is a whole number of 1e-12 USD per
//! token, so every product is exact; a missing rate is inferred from its parent, never zero.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use crate::id::PriceId;
use crate::money::{MoneyError, Usd};
use crate::usage::Usage;

/// What one token costs. Never negative, at most [`RATE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct UsdPerToken(Usd);

/// Why an amount is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// The text is no exact amount.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Providers do not pay us.
    #[error("a price of `{0}` is negative")]
    Negative(Usd),
    /// Surely a price per thousand or per million tokens in the wrong field.
    #[error("`{0}` USD for one token is beyond {RATE_MAX} USD; was a price per million meant?")]
    TooLarge(Usd),
    /// A price per million that is not a whole number of 1e-12 USD per token.
    #[error("`{0}` USD per million tokens is not exact at 12 decimals per token")]
    TooFine(Usd),
}

impl UsdPerToken {
    /// A price given per token.
    pub fn new(amount: Usd) -> Result<Self, RateError> {
        if amount.is_negative() {
            return Err(RateError::Negative(amount));
        }
        if amount > Usd::from_picos(RATE_MAX as i128 * crate::money::PICOS_PER_USD) {
            return Err(RateError::TooLarge(amount));
        }
        Ok(Self(amount))
    }

    /// A price given per million tokens, as price lists print it.
    pub fn per_million(amount: Usd) -> Result<Self, RateError> {
        if amount.picos() % 1_000_000 != 0 {
            return Err(RateError::TooFine(amount));
        }
        Self::new(Usd::from_picos(amount.picos() / 1_000_000))
    }

    /// The price of one token.
    pub const fn usd(self) -> Usd {
        self.0
    }

    /// The price of a million tokens, as people compare it.
    pub fn usd_per_million(self) -> Usd {
        self.0.times(1_000_000)
    }

    /// What `tokens` cost, exactly.
    pub fn cost(self, tokens: u64) -> Usd {
        self.0.times(tokens)
    }

    /// Five quarters of the rate, rounded up to a whole pico.
    fn five_quarters(self) -> Self {
        Self(Usd::from_picos(
            (self.0.picos() * 5).div_euclid(4) + i128::from(self.0.picos() % 4 != 0),
        ))
    }
}

impl<'de> Deserialize<'de> for UsdPerToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Usd::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Whether a provider charges for an answer that failed completely with a 5xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BillsOn5xx {
    /// It never does: the hold is voided.
    Never,
    /// It may: the hold stays as unknown until evidence comes.
    #[default]
    Maybe,
}

/// Whether a provider charges for a request it answered with 400 or 408.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BillsOn4xx {
    /// It does not: the hold is voided.
    #[default]
    No,
    /// It charges the input: posted at the input bound.
    Input,
}

/// What a provider charges for a stream that ended before its final usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BillsPartial {
    /// What it had delivered; nobody has checked this against real bills.
    #[default]
    Delivered,
    /// The whole answer, as if it had been read to its end.
    Full,
    /// Nobody knows.
    Unknown,
}

/// A provider's prices and billing habits, with every rate resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceCard {
    /// Plain input.
    pub input: UsdPerToken,
    /// Input read from the prompt cache.
    pub cache_read: UsdPerToken,
    /// Input written to the cache for minutes.
    pub cache_write: UsdPerToken,
    /// Input written to the cache for an hour.
    pub cache_write_1h: UsdPerToken,
    /// Output.
    pub output: UsdPerToken,
    /// Reasoning output.
    pub reasoning: UsdPerToken,
    /// Charged once for each request.
    pub request_fee: Usd,
    /// See [`BillsOn4xx`].
    pub bills_on_4xx: BillsOn4xx,
    /// See [`BillsOn5xx`].
    pub bills_on_5xx: BillsOn5xx,
    /// See [`BillsPartial`].
    pub bills_partial: BillsPartial,
}

/// Rates as somebody stated them; what is absent is inferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatedRates {
    /// Input read from the prompt cache.
    pub cache_read: Option<UsdPerToken>,
    /// Input written to the cache for minutes.
    pub cache_write: Option<UsdPerToken>,
    /// Input written to the cache for an hour.
    pub cache_write_1h: Option<UsdPerToken>,
    /// Reasoning output.
    pub reasoning: Option<UsdPerToken>,
}

/// The parts of one attempt's cost; parts that are nothing are left out on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cost {
    /// Plain input.
    pub input: Usd,
    /// Reads from the prompt cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read: Usd,
    /// Writes to the prompt cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write: Usd,
    /// Visible output.
    pub output: Usd,
    /// Reasoning.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: Usd,
    /// The fee for the request itself.
    #[serde(skip_serializing_if = "is_zero")]
    pub request: Usd,
    /// What a hold charges beyond the parts that are known.
    #[serde(skip_serializing_if = "is_zero")]
    pub hold: Usd,
}

impl PriceCard {
    /// A card from its two base rates; caches cost what input costs, reasoning what output costs.
    pub fn of(input: UsdPerToken, output: UsdPerToken) -> Self {
        Self::resolve(input, output, StatedRates::default(), false)
    }

    /// A card with the rates that are missing inferred from their parents. With `cache_premium`
    /// (the Anthropic dialect) a write to the cache costs 1.25 times the input, for an hour twice.
    pub fn resolve(
        input: UsdPerToken,
        output: UsdPerToken,
        stated: StatedRates,
        cache_premium: bool,
    ) -> Self {
        let (minutes, hour) = if cache_premium {
            (input.five_quarters(), UsdPerToken(input.0.times(2)))
        } else {
            (input, input)
        };
        let cache_write = stated.cache_write.unwrap_or(minutes);
        Self {
            input,
            cache_read: stated.cache_read.unwrap_or(input),
            cache_write,
            cache_write_1h: stated.cache_write_1h.unwrap_or(hour.max(cache_write)),
            output,
            reasoning: stated.reasoning.unwrap_or(output),
            request_fee: Usd::ZERO,
            bills_on_4xx: BillsOn4xx::default(),
            bills_on_5xx: BillsOn5xx::default(),
            bills_partial: BillsPartial::default(),
        }
    }

    /// What `usage` costs, part by part, exactly.
    pub fn cost(&self, usage: &Usage) -> Cost {
        Cost {
            input: self.input.cost(usage.input_uncached),
            cache_read: self.cache_read.cost(usage.cache_read),
            cache_write: self.cache_write.cost(usage.cache_write_5m)
                + self.cache_write_1h.cost(usage.cache_write_1h),
            output: self.output.cost(usage.output_visible),
            reasoning: self.reasoning.cost(usage.reasoning),
            request: self.request_fee,
            hold: Usd::ZERO,
        }
    }

    /// The dearest rate that a token of input can reach.
    pub fn input_at_worst(&self) -> UsdPerToken {
        self.input.max(self.cache_read).max(self.cache_write).max(self.cache_write_1h)
    }

    /// The dearest rate that a token of output can reach.
    pub fn output_at_worst(&self) -> UsdPerToken {
        self.output.max(self.reasoning)
    }

    /// Whether nothing can ever be charged by this card.
    pub fn is_free(&self) -> bool {
        self.input_at_worst().0.is_zero()
            && self.output_at_worst().0.is_zero()
            && self.request_fee.is_zero()
    }

    /// The version of this card: equal cards have equal ids, wherever and whenever they are made.
    pub fn id(&self) -> PriceId {
        let parts = [
            self.input.0,
            self.cache_read.0,
            self.cache_write.0,
            self.cache_write_1h.0,
            self.output.0,
            self.reasoning.0,
            self.request_fee,
        ];
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(part.picos().to_le_bytes());
        }
        digest.update([self.bills_on_4xx as u8, self.bills_on_5xx as u8, self.bills_partial as u8]);
        let hex: String =
            digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        #[expect(clippy::expect_used, reason = "sixteen hex digits are visible ASCII")]
        format!("pc-{hex}").parse().expect("a price id of hex digits")
    }
}

impl Cost {
    /// A whole hold, where nothing better is known.
    pub fn of_hold(amount: Usd) -> Self {
        Self { hold: amount, ..Self::default() }
    }

    /// The sum of the parts.
    pub fn total(&self) -> Usd {
        [
            self.input,
            self.cache_read,
            self.cache_write,
            self.output,
            self.reasoning,
            self.request,
            self.hold,
        ]
        .into_iter()
        .sum()
    }
}

fn is_zero(amount: &Usd) -> bool {
    amount.is_zero()
}

/// Largest price of a single token, in USD. Ten thousand times the dearest known one.
pub const RATE_MAX: i64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn per_million(text: &str) -> UsdPerToken {
        UsdPerToken::per_million(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_seed_receipt_costs_what_it_says() {
        let card = PriceCard::of(
            UsdPerToken::new("0.00003".parse().unwrap()).unwrap(),
            UsdPerToken::new("0.00006".parse().unwrap()).unwrap(),
        );
        assert_eq!(card.cost(&Usage::plain(500, 200)).total().to_string(), "0.027");
    }

    #[test]
    fn a_cent_per_million_is_not_nothing() {
        let card = PriceCard::of(per_million("0.01"), per_million("0.05"));
        assert_eq!(card.cost(&Usage::plain(1, 1)).total().to_string(), "0.00000006");
    }

    #[test]
    fn missing_rates_come_from_their_parents_never_from_zero() {
        let card = PriceCard::resolve(
            per_million("3"),
            per_million("15"),
            StatedRates { cache_read: Some(per_million("0.3")), ..StatedRates::default() },
            true,
        );
        let shown = |rate: UsdPerToken| rate.usd_per_million().to_string();
        assert_eq!(shown(card.cache_write), "3.75");
        assert_eq!(shown(card.cache_write_1h), "6");
        assert_eq!(shown(card.reasoning), "15");
        assert_eq!(shown(card.input_at_worst()), "6");
        let usage = Usage {
            input_uncached: 1000,
            cache_read: 1000,
            cache_write_5m: 1000,
            cache_write_1h: 1000,
            output_visible: 1000,
            reasoning: 1000,
        };
        assert_eq!(card.cost(&usage).total().to_string(), "0.04305");
    }

    #[test]
    fn rates_that_cannot_be_are_refused() {
        let usd = |text: &str| text.parse::<Usd>().unwrap();
        assert!(matches!(UsdPerToken::new(usd("-0.1")), Err(RateError::Negative(_))));
        assert!(matches!(UsdPerToken::new(usd("1001")), Err(RateError::TooLarge(_))));
        assert!(matches!(UsdPerToken::per_million(usd("0.0000001")), Err(RateError::TooFine(_))));
    }

    #[test]
    fn a_changed_digit_is_another_version() {
        let card = PriceCard::of(per_million("3"), per_million("15"));
        let other = PriceCard::of(per_million("3.000001"), per_million("15"));
        assert_eq!(card.id(), card.clone().id());
        assert_ne!(card.id(), other.id());
    }
}
