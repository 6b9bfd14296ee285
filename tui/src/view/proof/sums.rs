//! The arithmetic of one receipt, done again: tokens times the card, part by part.
//!
//! Nothing is believed that can be worked out. Where the card is no longer known the parts are
//! still added up, and the difference between the two is said. Refuses to know cells.
//!
//! | what is known | what is proven |
//! |---|---|
//! | the card of the receipt | tokens × rate = part, and the parts are the cost |
//! | the parts alone | they are the cost |
//! | neither, for nobody saw a bill | the cost is the hold |

use tollgate_shared::money::Usd;
use tollgate_shared::price::{PriceCard, UsdPerToken};
use tollgate_shared::receipt::Status;

use crate::model::{Answer, Model, Row, Sent};

/// One line of the arithmetic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// What was charged for.
    pub name: &'static str,
    /// How many.
    pub tokens: u64,
    /// What one of them costs, where the card is known.
    pub rate: Option<UsdPerToken>,
    /// What the receipt charges for them.
    pub cost: Usd,
}

/// What the arithmetic comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sum {
    /// Tokens times rates are the parts, and the parts are the cost.
    Proven,
    /// The parts are the cost; the card that made them is not in force any more.
    Adds,
    /// Nobody knows the bill: the cost is what was held.
    Held,
    /// Nothing was billed, and the receipt says how that is known.
    Nothing,
    /// It does not come to the cost: by so much.
    Differs(Usd),
}

/// The card that a receipt was priced with: its provider's, while that has not changed, else the one
/// that the backend named when it was asked.
pub(super) fn card<'a>(model: &'a Model, row: &Row, sent: &Sent) -> Option<&'a PriceCard> {
    let view = model.day().providers.get(&sent.provider);
    if let Some(view) = view.filter(|view| view.price_id == sent.price_id) {
        return Some(&view.pricing);
    }
    let Some(Answer::Here(explained)) = model.fetched.plan(&row.run, &row.request) else {
        return None;
    };
    let tried = explained.attempts.iter().find(|tried| tried.attempt == sent.attempt)?;
    tried.price.as_ref().filter(|card| card.id() == sent.price_id)
}

/// Every part that is there, in the order of the bill.
pub(super) fn parts(sent: &Sent, card: Option<&PriceCard>) -> Vec<Part> {
    let (usage, cost) = (&sent.usage, &sent.cost);
    let rate = |of: &dyn Fn(&PriceCard) -> UsdPerToken| card.map(of);
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    let write = match usage.cache_write_1h {
        0 => rate(&|card| card.cache_write),
        _ if usage.cache_write_5m == 0 => rate(&|card| card.cache_write_1h),
        // Two rates in one part: neither of them is the part's own.
        _ => None,
    };
    let all = [
        ("input", usage.input_uncached, rate(&|card| card.input), cost.input),
        ("cached", usage.cache_read, rate(&|card| card.cache_read), cost.cache_read),
        ("cache write", written, write, cost.cache_write),
        ("output", usage.output_visible, rate(&|card| card.output), cost.output),
        ("reasoning", usage.reasoning, rate(&|card| card.reasoning), cost.reasoning),
        ("request fee", 0, None, cost.request),
        ("hold", 0, None, cost.hold),
    ];
    let is_held = !cost.hold.is_zero();
    all.into_iter()
        .filter(|(_, tokens, _, cost)| !cost.is_zero() || (*tokens > 0 && !is_held))
        .map(|(name, tokens, rate, cost)| Part { name, tokens, rate, cost })
        .collect()
}

/// What the parts come to, held against the cost.
pub(super) fn sum(sent: &Sent, card: Option<&PriceCard>) -> Sum {
    let total = sent.cost.total();
    let is_void = sent.status == Status::Voided && sent.cost_usd.is_zero();
    match card {
        _ if total != sent.cost_usd => Sum::Differs(sent.cost_usd - total),
        _ if is_void => Sum::Nothing,
        _ if !sent.cost.hold.is_zero() => Sum::Held,
        // A correction moves what was charged; no tokens are its own.
        _ if sent.status == Status::Correction => Sum::Adds,
        None => Sum::Adds,
        Some(card) => match card.cost(&sent.usage).total() {
            anew if anew == total => Sum::Proven,
            anew => Sum::Differs(total - anew),
        },
    }
}

/// A rate as price lists print it, with no digit lost: `2.50`, `0.075`.
pub(super) fn per_million(rate: UsdPerToken) -> String {
    let amount = rate.usd_per_million();
    let short = amount.rounded(2);
    if short.parse() == Ok(amount) { short } else { amount.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn sent(serial: u64) -> Sent {
        let model = fixture::model((80, 24));
        model.day().tail.row(serial).unwrap().sent().unwrap().clone()
    }

    #[test]
    fn a_cost_is_proven_added_held_void_or_wrong() {
        let model = fixture::model((80, 24));
        let row = model.day().tail.row(14).unwrap().clone();
        let newest = sent(14);
        let of = |sent: &Sent| sum(sent, card(&model, &row, sent));
        assert_eq!(of(&newest), Sum::Proven);
        assert_eq!(sum(&newest, None), Sum::Adds, "without the card");
        let dearer = Sent { cost_usd: newest.cost_usd + fixture::usd("0.01"), ..newest.clone() };
        assert_eq!(of(&dearer), Sum::Differs(fixture::usd("0.01")));
        let mut more = newest.clone();
        more.usage.output_visible += 1;
        assert_eq!(of(&more), Sum::Differs(fixture::usd("-0.000015")), "a token too many");
        assert_eq!(of(&sent(0)), Sum::Held);
        assert_eq!(of(&sent(12)), Sum::Nothing);
    }

    #[test]
    fn parts_are_the_lines_of_the_bill() {
        let model = fixture::model((80, 24));
        let sent = sent(13);
        let parts = parts(&sent, card(&model, model.day().tail.row(13).unwrap(), &sent));
        let lines: Vec<String> = parts
            .iter()
            .map(|part| {
                let rate = part.rate.map(per_million).unwrap_or_default();
                format!("{} {}×{rate}={}", part.name, part.tokens, part.cost)
            })
            .collect();
        let drawn =
            ["input 1098×2.50=0.002745", "cached 732×1.25=0.000915", "output 402×10.00=0.00402"];
        assert_ne!(lines.len(), 0);
        assert_eq!(lines[2], drawn[2]);
        assert_eq!(parts.iter().map(|part| part.cost).sum::<Usd>(), sent.cost_usd);
    }
}
