//! The lines of a proof: the bill, the hold, the chain, the attempts, the budget.
//!
//! Each says a number and how it is known. Refuses to know where the lines stand.

use ratatui::style::Style;
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Status;

use super::chain::{self, Place};
use super::sums::{self, Sum};
use crate::format;
use crate::model::{Model, Row, Sent, What};
use crate::text;
use crate::theme::Tone;
use crate::view::detail::{Line, Page};
use crate::view::status;

/// Who asked for what, and where it went.
pub(super) fn who(page: &Page<'_>, (row, sent): (&Row, &Sent)) -> Vec<Line> {
    let (word, tone) = status::receipt(row.status());
    let mut lines = vec![
        page.fact("run", format!("{} · {}", row.run, row.agent)),
        page.fact("settled", row.at.to_string()),
        page.toned("status", word, tone),
    ];
    if let Some(from) = &sent.fallback_from {
        lines.push(page.toned("after", format!("{from} had failed"), Some(Tone::Caution)));
    }
    if let Some(error) = &sent.error {
        lines.push(page.toned("error", &**error, Some(Tone::Critical)));
    }
    lines
}

/// The bill part by part, what it comes to, its place in the chain, and the hold.
pub(super) fn money(page: &Page<'_>, model: &Model, (row, sent): (&Row, &Sent)) -> Vec<Line> {
    let theme = page.theme;
    let card = sums::card(model, row, sent);
    let parts = sums::parts(sent, card);
    let attempt = format!("  {} on {}, attempt {}", sent.model, sent.provider, sent.attempt);
    let mut lines =
        vec![page.with(
            "cost",
            vec![(page.usd(sent.cost_usd), theme.strong()), (attempt, theme.text())],
        )];
    let name = parts.iter().map(|part| part.name.len()).max().unwrap_or(0).max(7);
    let count = parts.iter().map(|part| format::grouped(part.tokens).len()).max().unwrap_or(0);
    for part in &parts {
        let label = format!("  {} ", text::left(part.name, name));
        let tokens = match part.tokens {
            0 => text::right("", count),
            tokens => text::right(&format::grouped(tokens), count),
        };
        let rate = match part.rate {
            Some(rate) => format!(" × ${}/M", page.digits(&sums::per_million(rate))),
            None if part.tokens > 0 => " tokens".into(),
            None => String::new(),
        };
        lines.push(vec![
            (label, theme.dim()),
            (tokens, theme.text()),
            (text::left(&rate, 11), theme.dim()),
            (format!(" = {}", page.usd(part.cost)), theme.text()),
        ]);
    }
    let mut proof = verdict(page, sums::sum(sent, card));
    proof.insert(0, ("  sum ".into(), theme.dim()));
    lines.push(proof);
    lines.push(in_chain(page, chain::place(model, row, sent)));
    lines.extend(hold(page, sent));
    lines
}

/// What the arithmetic comes to, in words.
pub(super) fn verdict(page: &Page<'_>, sum: Sum) -> Line {
    let (words, tone) = match sum {
        Sum::Proven => ("✓ equals cost_usd".into(), Tone::Ok),
        Sum::Adds => ("✓ parts are cost_usd; their price card has changed since".into(), Tone::Ok),
        Sum::Held => ("≈ the bill is not known: charged at its hold".into(), Tone::Warning),
        Sum::Nothing => ("✓ nothing was billed".into(), Tone::Ok),
        Sum::Differs(by) => {
            (format!("✖ differs from cost_usd by {}", page.usd(by)), Tone::Critical)
        }
    };
    vec![(words, page.theme.tone(tone))]
}

/// The place in the chain, in words.
pub(super) fn in_chain(page: &Page<'_>, place: Place) -> Line {
    let (words, style): (String, Style) = match place {
        Place::First => ("✓ sealed, the first of its run".into(), page.theme.tone(Tone::Ok)),
        Place::Follows(seq) => {
            let words = format!("✓ follows seq {}", format::grouped(seq));
            (words, page.theme.tone(Tone::Ok))
        }
        Place::Sealed => ("✓ sealed; the line before it is not here".into(), page.theme.text()),
        Place::Open => ("? its exact line is not here".into(), page.theme.dim()),
        Place::Broken(why) => (format!("✖ {why}"), page.theme.tone(Tone::Critical)),
    };
    vec![("  chain ".into(), page.theme.dim()), (words, style)]
}

/// What was set aside, what became of it, what may still come.
fn hold(page: &Page<'_>, sent: &Sent) -> Vec<Line> {
    let theme = page.theme;
    let mut lines = vec![page.fact("held", fate(page, sent))];
    if !sent.uncertain_usd.is_zero() {
        let words = format!("up to {} may still be billed on top", page.usd(sent.uncertain_usd));
        lines.push(page.toned("", words, Some(Tone::Caution)));
    }
    let over = sent.cost_usd - sent.held_usd;
    if over > Usd::ZERO && sent.status != Status::Correction {
        let words = format!("{} above its hold: its provider broke its word", page.usd(over));
        lines.push(vec![("  ✖ ".into(), theme.dim()), (words, theme.tone(Tone::Critical))]);
    }
    lines
}

/// What became of the hold.
pub(super) fn fate(page: &Page<'_>, sent: &Sent) -> String {
    let (held, cost) = (page.usd(sent.held_usd), page.usd(sent.cost_usd));
    let freed = page.usd((sent.held_usd - sent.cost_usd).or_zero());
    match sent.status {
        Status::Voided => format!("{held} → voided, freed {held}"),
        Status::Unknown => format!("{held} → unknown, held until its bill is known"),
        Status::Correction => format!("corrected by {cost}"),
        _ => format!("{held} → posted {cost}, freed {freed}"),
    }
}

/// How long it took against the promise, and every attempt of the request on one axis.
pub(super) fn time(page: &Page<'_>, model: &Model, (row, sent): (&Row, &Sent)) -> Vec<Line> {
    let theme = page.theme;
    let mut took = vec![(format!("{} s", format::seconds(sent.latency_ms)), theme.strong())];
    took.extend(promise(page, model, sent));
    let mut lines = vec![page.with("time", took)];
    let tries = attempts(model, row);
    let spans: Vec<(i64, i64)> = tries.iter().map(|(row, sent)| span(row, sent)).collect();
    let from = spans.iter().map(|(start, _)| *start).min().unwrap_or(0);
    let whole = spans.iter().map(|(_, end)| end - from).max().unwrap_or(0).max(1);
    let name = tries.iter().map(|(_, sent)| text::width_of(sent.provider.as_str())).max();
    let name = name.unwrap_or(0).clamp(8, 16);
    for ((try_row, sent), (start, end)) in tries.iter().zip(spans) {
        let (word, tone) = status::receipt(try_row.status());
        let tone = tone.map_or(theme.dim(), |tone| theme.tone(tone));
        let cell = |at: i64| usize::try_from((at - from) * AXIS / whole).unwrap_or(0);
        let (before, until) = (cell(start), cell(end).max(cell(start) + 1));
        let rest = usize::try_from(AXIS).unwrap_or(0).saturating_sub(until);
        lines.push(vec![
            (
                format!("  {} {} ", sent.attempt, text::left(sent.provider.as_str(), name)),
                theme.text(),
            ),
            ("·".repeat(before), theme.dim()),
            ("━".repeat(until - before), tone),
            ("·".repeat(rest), theme.dim()),
            (format!(" {:>6} s ", format::seconds(sent.latency_ms)), theme.text()),
            (word.to_owned(), tone),
        ]);
    }
    lines
}

/// The promise of its provider, and whether it was kept.
pub(super) fn promise(page: &Page<'_>, model: &Model, sent: &Sent) -> Line {
    let view = model.day().providers.get(&sent.provider);
    let promise = view.and_then(|view| view.slo.as_ref()?.latency_p95_ms);
    let Some(promise) = promise else { return Vec::new() };
    let (mark, tone) = if sent.slow { ("✖", Tone::Caution) } else { ("✓", Tone::Ok) };
    let words = format!("  SLO {} s {mark}", format::seconds(promise.into()));
    vec![(words, page.theme.tone(tone))]
}

/// Every attempt of a row's request that is kept, first try first.
pub(super) fn attempts<'a>(model: &'a Model, row: &Row) -> Vec<(&'a Row, &'a Sent)> {
    let around = model.day().tail.around(row.serial, REACH);
    let mut tries: Vec<(&Row, &Sent)> = around
        .filter(|other| other.request == row.request && other.run == row.run)
        .filter_map(|other| Some((&**other, other.sent()?)))
        .filter(|(_, sent)| sent.status != Status::Correction)
        .collect();
    tries.sort_by_key(|(_, sent)| sent.attempt);
    tries
}

/// When an attempt began and when it was settled, in milliseconds.
fn span(row: &Row, sent: &Sent) -> (i64, i64) {
    let end = row.at.micros() / 1_000;
    (end.saturating_sub_unsigned(sent.latency_ms), end)
}

/// The budget of the run that pays, as the ledger has it now.
pub(super) fn budget(page: &Page<'_>, model: &Model, row: &Row) -> Line {
    let entry = model.day().runs.get(&row.run);
    let Some(budget) = entry.and_then(|entry| entry.budget.as_ref()) else {
        return page.fact("budget", format!("{} has none that is known", row.run));
    };
    let (spent, limit) = (budget.enforced.spent_usd(), budget.enforced.limit_usd);
    let money = |amount| page.money(amount, 2);
    let words = match limit {
        Some(limit) => format!("{} ${} of ${} spent now", row.run, money(spent), money(limit)),
        None => format!("{} ${} spent now, without a limit", row.run, money(spent)),
    };
    page.toned("budget", words, None)
}

/// Ids and sources: what one needs to find the bill at the provider.
pub(super) fn papers(page: &Page<'_>, model: &Model, (row, sent): (&Row, &Sent)) -> Vec<Line> {
    let mut lines = vec![page.fact("card", sent.price_id.to_string())];
    let Some(receipt) = model.day().tail.whole(row.serial) else { return lines };
    let word = |value: serde_json::Result<String>| value.unwrap_or_default().replace('"', "");
    let source = word(serde_json::to_string(&receipt.usage_source));
    let sure = word(serde_json::to_string(&receipt.cost_is)).replace('_', " ");
    lines.push(page.fact("sent as", receipt.attempt_id.to_string()));
    lines.push(page.fact("usage", format!("{source}; the cost is {sure}")));
    if let Some(cap) = receipt.cap {
        let by = word(serde_json::to_string(&receipt.cap_source));
        lines.push(page.fact("cap", format!("{} tokens of output, by {by}", format::grouped(cap))));
    }
    if let Some(ttft) = receipt.ttft_ms {
        lines.push(page.fact("first token", format!("after {} s", format::seconds(ttft))));
    }
    if let Some(evidence) = &receipt.evidence {
        lines.push(page.fact("evidence", evidence.clone()));
    }
    if !receipt.flags.is_empty() {
        lines.push(page.fact("flags", receipt.flags.join(", ")));
    }
    lines.push(page.fact("hash", receipt.hash.clone()));
    lines
}

/// A request that was turned away: what it would have held, and what helps.
pub(super) fn refusal(page: &Page<'_>, model: &Model, row: &Row) -> Vec<Line> {
    let What::Refused { code, hold_usd } = &row.what else { return Vec::new() };
    vec![
        page.toned("refused", &**code, Some(Tone::Critical)),
        page.fact("run", format!("{} · {}", row.run, row.agent)),
        page.fact("at", row.at.to_string()),
        page.fact("wanted", format!("{} to hold", page.usd(*hold_usd))),
        budget(page, model, row),
        Vec::new(),
        page.note("Nothing was sent: this is in no sum and in no export."),
        page.note("b opens the run's budget, + raises it one step."),
    ]
}

/// Cells of the time axis.
const AXIS: i64 = 18;

/// Rows on either side among which the attempts of one request are looked for.
const REACH: u64 = 2_000;
