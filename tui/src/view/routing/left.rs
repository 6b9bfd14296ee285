//! MONEY LEFT ON THE TABLE: what the cheapest eligible would have spared, by objective and run.
//!
//! Not a fault by itself: whoever asks for speed pays for it. Refuses to judge.
//!
//! ```text
//! latency on R-183       $29.13 ━━━━━━╸···
//! total                  $61.22 of $274.22 spent
//! ```

use ratatui::layout::Rect;
use ratatui::style::Style;
use tollgate_shared::money::{Percent, Usd};

use super::since;
use crate::model::{Model, objective_word};
use crate::theme::Tone;
use crate::view::canvas::{Canvas, Piece};
use crate::view::frame::{self, Frame};
use crate::view::gauge;
use crate::view::layout::Class;

/// Draws the panel.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let routing = &model.routing;
    let frame = Frame {
        title: "MONEY LEFT ON THE TABLE",
        about: vec![since(canvas, model)],
        legend: Vec::new(),
        hints: &[],
        focused: false,
        boxed: class != Class::Small,
    };
    let inner = frame::draw(canvas, rect, frame);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    if inner.height == 0 {
        return;
    }
    let total: Usd = routing.left.iter().map(|line| line.over).sum();
    if total.is_zero() && routing.unknown.is_zero() {
        let text = "every request went to the cheapest provider that could do it";
        let text = if routing.since.is_some() { text } else { "nothing was spent yet" };
        canvas.put((inner.x, inner.y), inner.width, text, theme.dim());
        return;
    }
    let room =
        usize::from(inner.height).saturating_sub(1 + usize::from(!routing.unknown.is_zero()));
    let lines = named(canvas, model, total, room);
    let bar = inner.width.saturating_sub(NAME + MONEY + 1).min(24);
    let mut y = inner.y;
    for (words, over, style) in lines {
        let mut pieces: Vec<Piece> = vec![
            (crate::text::left(&words, usize::from(NAME)), style),
            (crate::text::right(&format!("${}", canvas.money(over, 4)), usize::from(MONEY)), style),
            (" ".into(), theme.dim()),
        ];
        pieces.extend(gauge::bar(over, total, bar, (style, theme.dim())));
        canvas.pieces((inner.x, y), inner.width, &pieces);
        y += 1;
    }
    if !routing.unknown.is_zero() {
        let money = format!("${}", canvas.money(routing.unknown, 4));
        let pieces = [
            (crate::text::left("unknown, at its hold", usize::from(NAME)), theme.text()),
            (crate::text::right(&money, usize::from(MONEY)), theme.text()),
        ];
        canvas.pieces((inner.x, y), inner.width, &pieces);
        y += 1;
    }
    let pieces = [
        (crate::text::left("total", usize::from(NAME)), theme.strong()),
        (
            crate::text::right(&format!("${}", canvas.money(total, 4)), usize::from(MONEY)),
            theme.strong(),
        ),
        (format!(" of ${} spent", canvas.money(routing.spent, 4)), theme.dim()),
    ];
    if y < inner.bottom() {
        canvas.pieces((inner.x, y), inner.width, &pieces);
    }
}

/// The lines that fit, the largest first; the rest is summed in the last of them.
fn named(canvas: &Canvas<'_>, model: &Model, total: Usd, room: usize) -> Vec<(String, Usd, Style)> {
    let (theme, routing) = (canvas.theme, &model.routing);
    let style = |over: Usd| match Percent::of(over, total).whole() {
        50.. => theme.tone(Tone::Warning),
        10.. => theme.tone(Tone::Caution),
        _ => theme.text(),
    };
    let mut lines: Vec<(String, Usd, Style)> = routing
        .left
        .iter()
        .map(|line| {
            let words = format!("{} on {}", objective_word(line.objective), line.run);
            (words, line.over, style(line.over))
        })
        .collect();
    let hidden = lines.len().saturating_sub(room);
    if hidden > 0 {
        let others: Usd = lines.iter().skip(room.saturating_sub(1)).map(|line| line.1).sum();
        lines.truncate(room.saturating_sub(1));
        lines.push((format!("{} others", hidden + 1), others, theme.text()));
    }
    lines
}

/// Cells of a name and of an amount.
const NAME: u16 = 24;
const MONEY: u16 = 10;
