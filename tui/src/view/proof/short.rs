//! The proof in seven lines, for small terminals: nothing is left out, everything is shorter.
//!
//! Refuses to know more than the long one does.

use super::{chain, lines, plan, sums};
use crate::format;
use crate::model::{Model, Row, Sent, objective_word};
use crate::view::detail::{Line, Page};
use crate::view::status;

/// The lines.
pub(super) fn lines(page: &Page<'_>, model: &Model, (row, sent): (&Row, &Sent)) -> Vec<Line> {
    let page = &Page { label: 5, ..*page };
    let theme = page.theme;
    let card = sums::card(model, row, sent);
    let mut bill = Vec::new();
    for part in sums::parts(sent, card) {
        bill.push((format!(" {} ", part.name), theme.dim()));
        let words = match (part.tokens, part.rate) {
            (0, _) => page.usd(part.cost),
            (tokens, None) => format::grouped(tokens),
            (tokens, Some(rate)) => {
                let rate = page.digits(&sums::per_million(rate));
                format!("{}×{rate}", format::grouped(tokens))
            }
        };
        bill.push((words, theme.text()));
    }
    let mut cost = vec![(format!("{} ", page.usd(sent.cost_usd)), theme.strong())];
    cost.append(&mut bill);
    let mut proof = lines::verdict(page, sums::sum(sent, card));
    proof.extend(lines::in_chain(page, chain::place(model, row, sent)));
    let mut took = vec![(format!("{}s", format::seconds(sent.latency_ms)), theme.strong())];
    for (row, sent) in lines::attempts(model, row) {
        let (word, tone) = status::receipt(row.status());
        let tone = tone.map_or(theme.dim(), |tone| theme.tone(tone));
        let ms = format::seconds(sent.latency_ms);
        took.push((format!("  {} {} {ms}s ", sent.attempt, sent.provider), theme.text()));
        took.push((word.to_owned(), tone));
    }
    took.extend(lines::promise(page, model, sent));
    let why = format!("{}  {}", objective_word(sent.objective), sent.why);
    vec![
        page.with("cost", cost),
        page.with("", proof),
        page.fact("held", lines::fate(page, sent)),
        page.with("time", took),
        page.fact("why", why),
        plan::cheapest(page, sent),
        lines::budget(page, model, row),
    ]
}
