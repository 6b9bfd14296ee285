//! Why this provider: what was wanted, who else could have done it, what that would have cost.
//!
//! Refuses to know how a plan is made. What the receipt itself says is always here; every
//! candidate with its score comes when the backend was asked.

use tollgate_shared::money::Usd;

use super::lines;
use crate::model::{Answer, Model, Row, Sent, objective_word};
use crate::text;
use crate::theme::Tone;
use crate::view::detail::{Line, Page};

/// The lines of the plan.
pub(super) fn lines(page: &Page<'_>, model: &Model, (row, sent): (&Row, &Sent)) -> Vec<Line> {
    let theme = page.theme;
    let candidates = model.day().tail.whole(row.serial).map(|receipt| receipt.decision.candidates);
    let eligible = candidates.map_or(String::new(), |count| format!("  {count} eligible"));
    let mut all = vec![page.with(
        "plan",
        vec![(objective_word(sent.objective).into(), theme.strong()), (eligible, theme.text())],
    )];
    if !sent.why.is_empty() {
        all.push(page.fact("  why", &*sent.why));
    }
    if let Some(from) = &sent.fallback_from {
        let words = format!("{from} was tried before and failed");
        all.push(page.toned("  after", words, Some(Tone::Caution)));
    }
    if let Some(error) = &sent.error {
        all.push(page.toned("  error", &**error, Some(Tone::Critical)));
    }
    all.push(cheapest(page, sent));
    all.extend(everyone(page, model, (row, sent)));
    all
}

/// Every candidate with its score and every other with its reason, once the backend has told.
fn everyone(page: &Page<'_>, model: &Model, (row, sent): (&Row, &Sent)) -> Vec<Line> {
    let view = match model.fetched.plan(&row.run, &row.request) {
        None => return Vec::new(),
        Some(Answer::Asked) => return vec![page.note("  every candidate is being asked for …")],
        Some(Answer::Missing(why)) => {
            return vec![page.note(&format!("  the other candidates are not known: {why}"))];
        }
        Some(Answer::Here(view)) => view,
    };
    let Some(plan) = &view.plan else {
        let why = view.plan_missing.as_deref().unwrap_or("the plan is not kept any more");
        return vec![page.note(&format!("  the other candidates are not known: {why}"))];
    };
    let theme = page.theme;
    let fitted = plan.candidates.iter().map(|candidate| candidate.provider.as_str());
    let others = plan.rejected.iter().map(|rejected| rejected.name.as_str());
    let name = fitted.chain(others).map(text::width_of).max().unwrap_or(0).clamp(8, 18);
    let mut all = Vec::new();
    for (candidate, place) in plan.candidates.iter().zip(1_u32..) {
        let hundredths = candidate.score.ppm() / 10_000;
        let tried = lines::attempts(model, row).into_iter().rev();
        let mut tried = tried.map(|(row, sent)| (row.status(), sent));
        let found = tried.find(|(_, sent)| sent.provider == candidate.provider);
        let is_chosen = candidate.provider == sent.provider;
        let (fate, style) = match found {
            _ if is_chosen => ("chosen".to_owned(), theme.tone(Tone::Ok)),
            Some((status, sent)) => {
                let words = format!("tried: {status}, {}", page.usd(sent.cost_usd));
                (words, theme.tone(Tone::Caution))
            }
            None => (String::new(), theme.dim()),
        };
        let look = if is_chosen { theme.text() } else { theme.dim() };
        let score = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        let called = text::left(candidate.provider.as_str(), name);
        all.push(vec![
            (format!("  {place} {called} {score}  {}  ", page.usd(candidate.cost_usd)), look),
            (fate, style),
        ]);
    }
    all.extend(plan.rejected.iter().map(|rejected| {
        let called = text::left(rejected.name.as_str(), name);
        vec![(format!("  ✖ {called} {}", page.words(&rejected.detail)), theme.dim())]
    }));
    all
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
