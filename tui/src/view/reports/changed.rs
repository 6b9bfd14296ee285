//! WHAT CHANGED: a day against the one before it, in dollars that add up.
//!
//! By run and by provider, the largest difference first; what has no line of its own is in the last
//! one, so that each list comes to the difference to the last digit. Refuses to guess causes it
//! cannot count.
//!
//! ```text
//! +$24.38   Mon 23 so far, against all of Sun 22
//!   +$44.60   R-207 is new
//!   −$4.52    mistral-lg, 0.9× requests at the same price
//! ```

use ratatui::layout::Rect;
use ratatui::style::Style;
use tollgate_shared::api::{DayReport, Ranking};
use tollgate_shared::money::Usd;

use super::day_name;
use crate::format;
use crate::model::{Difference, Model, differences, selected_day};
use crate::theme::Tone;
use crate::view::canvas::{Canvas, Piece, seg};
use crate::view::frame::{self, Frame};
use crate::view::layout::Class;

/// Draws the panel.
pub(in crate::view) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let pair = selected_day(model).and_then(|(day, before)| Some((day, before?)));
    let about =
        pair.map_or(String::new(), |(_, before)| format!(" since {}", day_name(&before.date)));
    let frame = Frame {
        title: "WHAT CHANGED",
        about: vec![seg(1, about, theme.dim())],
        legend: Vec::new(),
        hints: &[],
        focused: false,
        boxed: class != Class::Small,
    };
    let inner = frame::draw(canvas, rect, frame);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let Some((day, before)) = pair else {
        let text = "two days are needed to say what changed";
        canvas.put((inner.x, inner.y), inner.width, text, theme.dim());
        return;
    };
    let lines = lines(canvas, (day, before), usize::from(inner.height));
    for (line, y) in lines.iter().zip(inner.y..inner.bottom()) {
        canvas.pieces((inner.x, y), inner.width, line);
    }
}

/// The difference, then where it comes from, twice.
fn lines(
    canvas: &Canvas<'_>,
    (day, before): (&DayReport, &DayReport),
    rows: usize,
) -> Vec<Vec<Piece>> {
    let theme = canvas.theme;
    let (now, then) = (&day.breakdown, &before.breakdown);
    let total = now.sums.cost_usd - then.sums.cost_usd;
    let whole = match day.is_over {
        true => "  the whole day".into(),
        false => format!("  so far, against all of {}", day_name(&before.date)),
    };
    let mut lines = vec![vec![(signed(canvas, total), theme.strong()), (whole, theme.dim())]];
    let each = rows.saturating_sub(4) / 2;
    let lists: [(&str, &Ranking, &Ranking); 2] = [
        ("by run", &now.by_run, &then.by_run),
        ("by provider", &now.by_provider, &then.by_provider),
    ];
    for (title, later, earlier) in lists {
        let (found, rest) = differences((later, earlier), total);
        lines.push(vec![(format!("{title} ✓ adds up"), theme.dim())]);
        let room = if rows >= 12 { each } else { rows.saturating_sub(2) };
        let shown =
            if found.len() > room || !rest.is_zero() { room.saturating_sub(1) } else { room };
        let hidden: Usd = found.iter().skip(shown).map(|line| line.by).sum();
        lines.extend(found.iter().take(shown).map(|line| reason(canvas, line)));
        let others = hidden + rest;
        if found.len() > shown || !rest.is_zero() {
            lines.push(amount(canvas, others, "all others".into()));
        }
        if rows < 12 {
            break;
        }
    }
    if now.sums.refused > 0 {
        let count = format::grouped(now.sums.refused);
        lines.push(vec![(format!("{count} requests were refused"), theme.text())]);
    }
    lines
}

/// One difference, with what can be counted about it.
fn reason(canvas: &Canvas<'_>, line: &Difference) -> Vec<Piece> {
    let (now, then) = (line.sums.0, line.sums.1);
    let words = match (now.requests, then.requests) {
        (_, 0) if then.cost_usd.is_zero() => format!("{} is new", line.name),
        (0, _) if now.cost_usd.is_zero() => format!("{} had nothing to do", line.name),
        (0, _) | (_, 0) => line.name.clone(),
        (now, then) => {
            let tenths = now.saturating_mul(10).saturating_add(then / 2) / then;
            match tenths {
                10 => format!("{}, as many requests", line.name),
                tenths => format!("{}, {}× requests", line.name, format::tenths(tenths, "")),
            }
        }
    };
    amount(canvas, line.by, words)
}

/// A signed amount and its words; more is warmer.
fn amount(canvas: &Canvas<'_>, by: Usd, words: String) -> Vec<Piece> {
    let theme = canvas.theme;
    let style: Style = match by {
        by if by.is_negative() => theme.tone(Tone::Ok),
        by if by.is_zero() => theme.dim(),
        by if by.picos() > 10 * tollgate_shared::money::PICOS_PER_USD => theme.tone(Tone::Warning),
        _ => theme.tone(Tone::Caution),
    };
    let money = crate::text::left(&signed(canvas, by), 10);
    vec![(format!("  {money} "), style), (words, style)]
}

/// `+$45.12`, `−$4.52`, `±$0.00`.
fn signed(canvas: &Canvas<'_>, by: Usd) -> String {
    let size = if by.is_negative() { Usd::ZERO - by } else { by };
    let sign = match by {
        by if by.is_zero() => "±",
        by if by.is_negative() => "−",
        _ => "+",
    };
    format!("{sign}${}", canvas.money(size, 2))
}
