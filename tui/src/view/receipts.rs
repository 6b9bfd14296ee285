//! RECEIPTS: a row for each attempt as it is settled, and for each refusal.
//!
//! Follows only at the newest row; any move pauses, and a badge counts what came since. Refused
//! requests are rows without money: nothing was sent. Refuses to know sums.
//!
//! ```text
//!  14:14:07 R-207 Worker-CPE-5 anthropic-son 6.1k→811 $0.030525  2.48s ✓ ok      balanced
//!  14:14:05 R-198 Eval-3       —                    —         —      — ■ refused 402: no budget left
//! ```

use std::sync::Arc;

use ratatui::layout::Rect;
use tollgate_shared::select::Objective;

use super::canvas::{Canvas, Piece, seg};
use super::frame::{self, Frame};
use super::table::{self, Column, Look, flexible, number, text};
use super::{layout, layout::Class, status};
use crate::format;
use crate::model::{Key, Model, PaneId, Row, Sent, What, rows};
use crate::theme::{Theme, Tone};

/// How many columns there are in all.
pub(super) const COLUMNS: usize = 14;

/// Draws the pane.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let pane = model.panes.at(PaneId::Receipts);
    let focused = model.panes.focus == PaneId::Receipts;
    let height = usize::from(layout::rows(class, PaneId::Receipts, rect));
    let shown: Vec<_> = rows::receipts(model).skip(pane.offset).take(height).cloned().collect();
    let columns = columns(&shown, pane.wide);
    let edge = if class == Class::Small { 0 } else { 2 };
    let fit = table::fit(&columns, rect.width.saturating_sub(edge), pane.first_column);
    let frame = Frame {
        title: PaneId::Receipts.title(),
        about: about(canvas, model, &fit),
        legend: Vec::new(),
        hints: &[("Enter", "open"), ("y", "copy"), ("/", "filter")],
        focused,
        boxed: class != Class::Small,
    };
    let mut inner = frame::draw(canvas, rect, frame);
    if layout::has_header(class, PaneId::Receipts, rect) {
        table::header(canvas, Rect { height: 1, ..inner }, &columns, &fit);
        inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    }
    if shown.is_empty() {
        let text = match (&model.filter, model.day().ready) {
            (Some(_), _) => " no receipt fits the filter; Esc clears it",
            (None, true) => " no receipt yet; POST a request to :6120/route",
            (None, false) => " waiting for the backend",
        };
        canvas.put((inner.x, inner.y), inner.width, text, theme.dim());
        return;
    }
    for (row, y) in shown.iter().zip(inner.y..inner.bottom()) {
        let selected = pane.selected == Some(Key::Row(row.serial));
        let place = Rect { y, height: 1, ..inner };
        let cost =
            row.sent().map_or("—".into(), |sent| format!("${}", canvas.money(sent.cost_usd, 6)));
        table::row(canvas, place, (&columns, &fit), Look { selected, focused }, |index, _| {
            cell(theme, row, index, &cost)
        });
    }
}

/// What the title says: following or not, the filter, the rate, what is not shown.
fn about(canvas: &Canvas<'_>, model: &Model, fit: &table::Fit) -> Vec<super::canvas::Seg> {
    let theme = canvas.theme;
    let (pane, tail) = (model.panes.at(PaneId::Receipts), &model.day().tail);
    let dim = theme.dim();
    let mut segs = vec![seg(3, " newest first", dim)];
    match (pane.follows(), pane.arrivals) {
        (true, _) => segs.push(seg(2, " · following", dim)),
        (false, 0) => segs.push(seg(2, " · paused", theme.tone(Tone::Caution))),
        (false, count) => {
            let text = format!(" · paused, ↑{} new", format::grouped(count));
            segs.push(seg(0, text, theme.tone(Tone::Caution)));
        }
    }
    if let Some(filter) = &model.filter {
        segs.push(seg(0, format!(" · / {}", crate::text::clean(&filter.text, 50)), theme.key()));
    }
    let minute = model.day().history.minute_sums();
    let rate = format!(" · {}/min", format::grouped(minute.attempts.max(minute.requests)));
    segs.push(seg(4, rate, dim));
    if tail.dropped() > 0 {
        let count = format::grouped(u64::try_from(tail.len()).unwrap_or(0));
        let text = format!(", {count} of {} kept", format::grouped(tail.seen()));
        segs.push(seg(5, text, dim));
    }
    segs.push(seg(6, table::hidden(fit), dim));
    segs
}

/// Widths by what is shown; a column without anything to say goes first.
fn columns(shown: &[Arc<Row>], wide: bool) -> [Column; COLUMNS] {
    let longest = |of: &dyn Fn(&Row) -> usize, least: usize, most: usize| -> u16 {
        let found = shown.iter().map(|row| of(row)).max().unwrap_or(least);
        u16::try_from(found.clamp(least, most)).unwrap_or(16)
    };
    let run = longest(&|row| row.run.as_str().len(), 5, 16);
    let agent = longest(&|row| crate::text::width_of(row.agent.as_str()), 5, 16);
    let provider = longest(&|row| row.sent().map_or(0, |s| s.provider.as_str().len()), 8, 18);
    let has_fallback =
        shown.iter().any(|row| row.sent().is_some_and(|s| s.fallback_from.is_some()));
    let fallback = if has_fallback { 9 } else { 11 };
    let has_cache = shown.iter().any(|row| row.sent().is_some_and(|s| s.usage.cache_read > 0));
    let cache = if has_cache { 8 } else { 15 };
    // Long run names take from the reason, not from whether it is shown.
    let why = if wide { (10, 10) } else { (39_u16.saturating_sub(run).max(20), 200) };
    [
        text("TIME", 8, 0),
        text("RUN", run, 0),
        text("AGENT", agent, 2),
        text("PROVIDER", provider, 1),
        text("FALLBACK FROM", 15, fallback),
        number("TOK IN→OUT", 10, 4),
        number("CACHE", 5, cache),
        number("COST", 9, 0),
        number("LAT", 6, 3),
        text("STATUS", 9, 0),
        flexible("WHY THIS PROVIDER", why, 5),
        text("MODEL", 14, 12),
        text("REQUEST", 20, 13),
        number("TRY", 3, 14),
    ]
}

/// The pieces of one cell.
fn cell(theme: &Theme, row: &Row, index: usize, cost: &str) -> Vec<Piece> {
    let plain = |text: String| vec![(text, theme.text())];
    let dim = |text: String| vec![(text, theme.dim())];
    match index {
        0 => return dim(format::clock(row.at)),
        1 => return vec![(row.run.to_string(), theme.strong())],
        2 => return plain(row.agent.to_string()),
        7 => return plain(cost.to_owned()),
        9 => {
            let (text, tone) = status::receipt(row.status());
            let style = tone.map_or(theme.dim(), |tone| theme.tone(tone));
            return vec![(text.to_owned(), style)];
        }
        12 => return dim(row.request.to_string()),
        _ => {}
    }
    let sent = match &row.what {
        What::Sent(sent) => sent,
        What::Refused { code, .. } if index == 10 => return dim(refusal(code, row)),
        What::Refused { .. } => return dim("—".into()),
    };
    let (input, output) = (sent.usage.input_tokens(), sent.usage.output_tokens());
    match index {
        3 => plain(sent.provider.to_string()),
        4 => match &sent.fallback_from {
            Some(name) => vec![(format!("↪ {name}"), theme.tone(Tone::Caution))],
            None => Vec::new(),
        },
        5 => plain(format!("{}→{}", format::count(input), format::count(output))),
        6 if sent.usage.cache_read == 0 => dim("·".into()),
        6 => dim(format!("{}%", format::permille(sent.usage.cache_read, input) / 10)),
        8 => {
            let style = if sent.slow { theme.tone(Tone::Caution) } else { theme.text() };
            vec![(format!("{}s", format::seconds(sent.latency_ms)), style)]
        }
        10 => dim(why(sent)),
        11 => dim(sent.model.to_string()),
        _ => dim(sent.attempt.to_string()),
    }
}

/// Why this provider, in words: what went wrong comes before what was wanted.
fn why(sent: &Sent) -> String {
    let wanted = match sent.objective {
        Objective::Cost => "cost",
        Objective::Latency => "latency",
        Objective::Balanced => "balanced",
        Objective::Availability => "availability",
    };
    match (&sent.error, sent.why.starts_with(wanted)) {
        (Some(error), _) if sent.why.is_empty() => error.to_string(),
        (Some(error), _) => format!("{error} · {}", sent.why),
        (None, _) if sent.why.is_empty() => wanted.into(),
        (None, true) => sent.why.to_string(),
        (None, false) => format!("{wanted}: {}", sent.why),
    }
}

/// A refusal in words; a code that is not known is shown as it is.
fn refusal(code: &str, row: &Row) -> String {
    match code {
        "budget_exhausted" => format!("402: {} has no budget left", row.run),
        "budget_contended" => format!("429: {} has the rest on hold", row.run),
        other => other.to_owned(),
    }
}
