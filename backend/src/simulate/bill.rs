//! The bill a simulated provider keeps.
//!
//! Refuses to know the gateway's price cards: a truth that shared their arithmetic could not catch
//! their mistakes. The one idea: a USD price per million tokens with six decimals is a whole number
//! of 1e-12 USD per token, so a bill is sums of whole numbers.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

/// Everything billed so far: what `GET /bill` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// In the order in which they were billed.
    pub attempts: Vec<BillEntry>,
    /// How many there are.
    pub count: usize,
    /// What they add up to.
    pub total_cost_usd: Usd,
}

/// One attempt that was billed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillEntry {
    /// The request's `x-client-request-id`; empty where it had none.
    pub attempt_id: String,
    /// The model that was asked.
    pub model: String,
    /// Input.
    pub input_tokens: u64,
    /// Output; of a stream what was made so far.
    pub output_tokens: u64,
    /// What both cost.
    pub cost_usd: Usd,
    /// When it was billed.
    pub at: Timestamp,
}

/// A price in units of 1e-12 USD per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    input: u64,
    output: u64,
}

impl Price {
    /// What the seed's example provider costs: 30 and 60 USD per million tokens.
    pub const DEFAULT: Self = Self { input: 30_000_000, output: 60_000_000 };

    fn cost(self, input: u64, output: u64) -> i128 {
        i128::from(self.input) * i128::from(input) + i128::from(self.output) * i128::from(output)
    }
}

/// `MODEL=IN,OUT` in USD per million tokens; the model `*` is any that is not named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceRule {
    /// Whom it prices.
    pub model: String,
    /// What it costs.
    pub price: Price,
}

impl FromStr for PriceRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not MODEL=IN,OUT in USD per million tokens");
        let (model, rates) = text.rsplit_once('=').ok_or_else(wrong)?;
        let (input, output) = rates.split_once(',').ok_or_else(wrong)?;
        let rate = |rate| millionths(rate).filter(|rate| *rate <= RATE_MAX).ok_or_else(wrong);
        let price = Price { input: rate(input)?, output: rate(output)? };
        if model.is_empty() {
            return Err(wrong());
        }
        Ok(Self { model: model.to_owned(), price })
    }
}

/// The bill while it is kept. One lock, held for a few additions.
#[derive(Debug)]
pub(super) struct Ledger {
    prices: BTreeMap<String, Price>,
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    attempt_id: Box<str>,
    model: Box<str>,
    price: Price,
    input: u64,
    output: u64,
    at: Timestamp,
}

impl Ledger {
    pub fn new(rules: &[PriceRule]) -> Self {
        let prices = rules.iter().map(|rule| (rule.model.clone(), rule.price)).collect();
        Self { prices, entries: Mutex::default() }
    }

    /// The models with a price of their own.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.prices.keys().map(String::as_str).filter(|model| *model != "*")
    }

    /// Bills the input of one attempt; output is added as it is made.
    pub fn open(self: &Arc<Self>, attempt_id: &str, model: &str, input: u64, at: Timestamp) -> Tab {
        let price = self.prices.get(model).or_else(|| self.prices.get("*"));
        let entry = Entry {
            attempt_id: attempt_id.into(),
            model: model.into(),
            price: price.copied().unwrap_or(Price::DEFAULT),
            input,
            output: 0,
            at,
        };
        let mut entries = self.entries();
        entries.push(entry);
        Tab { ledger: Arc::clone(self), index: entries.len() - 1 }
    }

    pub fn bill(&self) -> Bill {
        let entries = self.entries();
        let mut total = 0;
        let attempts: Vec<BillEntry> = entries
            .iter()
            .map(|entry| {
                let cost = entry.price.cost(entry.input, entry.output);
                total += cost;
                BillEntry {
                    attempt_id: entry.attempt_id.to_string(),
                    model: entry.model.to_string(),
                    input_tokens: entry.input,
                    output_tokens: entry.output,
                    cost_usd: Usd::from_picos(cost),
                    at: entry.at,
                }
            })
            .collect();
        Bill { count: attempts.len(), attempts, total_cost_usd: Usd::from_picos(total) }
    }

    /// A list of plain numbers is never half-changed, so a lock that a panic left is good.
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt's line on the bill.
#[derive(Debug)]
pub(super) struct Tab {
    ledger: Arc<Ledger>,
    index: usize,
}

impl Tab {
    /// Bills more output. Always before that output leaves.
    pub fn add_output(&self, tokens: u64) {
        if tokens > 0
            && let Some(entry) = self.ledger.entries().get_mut(self.index)
        {
            entry.output += tokens;
        }
    }
}

/// A plain decimal with at most six places, in millionths.
pub(super) fn millionths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<6}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)
}

/// Largest price, in 1e-12 USD per token: a thousand dollars for one token. It keeps every sum of
/// a bill within 128 bits.
const RATE_MAX: u64 = 1_000_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        let rows = [
            ("0.1", Some(100_000)),
            ("30", Some(30_000_000)),
            ("2.5", Some(2_500_000)),
            ("0.000001", Some(1)),
            ("1", Some(1_000_000)),
            ("0.0000001", None),
            ("-1", None),
            ("1e3", None),
            (".5", None),
            ("5.", None),
            ("", None),
            ("99999999999999999999", None),
        ];
        for (text, expected) in rows {
            assert_eq!(millionths(text), expected, "{text}");
        }
    }

    #[test]
    fn prices_are_per_model_with_a_default() {
        let rules: Vec<PriceRule> =
            ["gpt-4=30,60", "a=b=0.05,0.4", "*=1,2"].map(|rule| rule.parse().unwrap()).into();
        let ledger = Arc::new(Ledger::new(&rules));
        for (id, model) in [("1", "gpt-4"), ("2", "a=b"), ("3", "other")] {
            ledger.open(id, model, 1000, Timestamp::default()).add_output(500);
        }
        let bill = ledger.bill();
        let costs: Vec<String> =
            bill.attempts.iter().map(|entry| entry.cost_usd.to_string()).collect();
        assert_eq!(costs, ["0.06", "0.00025", "0.002"]);
        assert_eq!(bill.total_cost_usd.to_string(), "0.06225");
        assert_eq!(ledger.models().collect::<Vec<_>>(), ["a=b", "gpt-4"]);
        for wrong in ["gpt-4", "gpt-4=1", "=1,2", "m=1,-2", "m=1,x", "m=9999999999,1"] {
            assert!(wrong.parse::<PriceRule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_bill_is_an_exact_number_on_the_wire() {
        let ledger = Arc::new(Ledger::new(&[]));
        ledger.open("a", "m", 1, Timestamp::default());
        let text = serde_json::to_string(&ledger.bill()).unwrap();
        assert!(text.contains(r#""cost_usd":0.00003,"at":"1970"#), "{text}");
        assert_eq!(serde_json::from_str::<Bill>(&text).unwrap(), ledger.bill());
    }
}
