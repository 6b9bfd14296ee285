//! Why this provider: what was wanted, who else could have done it, what that would have cost.
//!
//! Refuses to know how a plan is made. What the receipt itself says is always here; every
//! candidate with its score comes when the backend was asked.

use tollgate_shared::money::Usd;

use crate::model::{Model, Row, Sent, objective_word};
use crate::theme::Tone;
use crate::view::detail::{Line, Page};

/// The lines of the plan.
pub(super) fn lines(page: &Page<'_>, model: &Model, (row, sent): (&Row, &Sent)) -> Vec<Line> {
    let theme = page.theme;
    let candidates = model.day().tail.whole(row.serial).map(|receipt| receipt.decision.candidates);
    let eligible = candidates.map_or(String::new(), |count| format!("  {count} eligible"));
    let mut lines = vec![page.with(
        "plan",
        vec![(objective_word(sent.objective).into(), theme.strong()), (eligible, theme.text())],
    )];
    if !sent.why.is_empty() {
        lines.push(page.fact("  why", &*sent.why));
    }
    if let Some(from) = &sent.fallback_from {
        let words = format!("{from} was tried before and failed");
        lines.push(page.toned("  after", words, Some(Tone::Caution)));
    }
    if let Some(error) = &sent.error {
        lines.push(page.toned("  error", &**error, Some(Tone::Critical)));
    }
    lines.push(cheapest(page, sent));
    lines
}

/// What the cheapest eligible provider would have cost for the same usage.
pub(super) fn cheapest(page: &Page<'_>, sent: &Sent) -> Line {
    let over = sent.cost_usd - sent.cheapest_usd;
    if sent.cheapest_usd.is_zero() && over.is_zero() {
        return page.note("  it cost nothing, and nothing could have been cheaper");
    }
    if !sent.status.is_answer() {
        let words = page.usd(sent.cheapest_usd);
        return vec![
            ("  cheapest eligible was expected to cost ".into(), page.theme.dim()),
            (words, page.theme.text()),
        ];
    }
    if over <= Usd::ZERO {
        return vec![("  no eligible provider was cheaper".into(), page.theme.tone(Tone::Ok))];
    }
    vec![
        ("  cheapest eligible ".into(), page.theme.dim()),
        (page.usd(sent.cheapest_usd), page.theme.text()),
        (format!(", {} less", page.usd(over)), page.theme.tone(Tone::Caution)),
    ]
}
