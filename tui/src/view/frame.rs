//! The frame of a pane: a box with a title and key hints, or a titled rule where room is scarce.
//!
//! ```text
//! ╭─ BUDGETS shortest runway first · 1 more ──╮     ─ BUDGETS shortest runway first ── b budget ─
//! ╰──────────────────── b budget  + raise ─╯
//! ```
//!
//! Refuses to know what stands inside.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, Seg, seg};

/// What stands on a frame.
pub(super) struct Frame<'a> {
    /// Its title, in capitals.
    pub title: &'a str,
    /// What follows the title, by rank.
    pub about: Vec<Seg>,
    /// What stands on the lower border, at its left.
    pub legend: Vec<Piece>,
    /// Keys and what they do here.
    pub hints: &'a [(&'a str, &'a str)],
    /// Whether keys act on it.
    pub focused: bool,
    /// Whether it is a box; else it is a rule.
    pub boxed: bool,
}

/// Draws a frame; answers what is left inside it.
pub(super) fn draw(canvas: &mut Canvas<'_>, rect: Rect, frame: Frame<'_>) -> Rect {
    if rect.width < 4 || rect.height < 1 + u16::from(frame.boxed) {
        return Rect::ZERO;
    }
    let theme = canvas.theme;
    let line = if frame.focused { theme.key() } else { theme.dim() };
    let dim = theme.dim();
    let mut title = vec![seg(0, format!(" {}", frame.title), theme.strong())];
    title.extend(frame.about);
    title.push(seg(0, " ", dim));
    if !frame.boxed {
        rule(canvas, Rect { height: 1, ..rect }, ["─", "─", "─"], line);
        let hints = if frame.hints.is_empty() { Vec::new() } else { hints(canvas, frame.hints) };
        let inner = Rect { x: rect.x + 1, width: rect.width - 2, height: 1, ..rect };
        canvas.row(inner, title, hints);
        return Rect { y: rect.y + 1, height: rect.height - 1, ..rect };
    }
    let bottom = Rect { y: rect.bottom() - 1, height: 1, ..rect };
    for y in rect.y + 1..rect.bottom() {
        canvas.put((rect.x, y), 1, "│", line);
        canvas.put((rect.right() - 1, y), 1, "│", line);
    }
    rule(canvas, Rect { height: 1, ..rect }, ["╭", "─", "╮"], line);
    rule(canvas, bottom, ["╰", "─", "╯"], line);
    let within = |row: Rect| Rect { x: row.x + 2, width: row.width - 4, ..row };
    canvas.row(within(Rect { height: 1, ..rect }), title, Vec::new());
    let mut legend = Vec::new();
    if !frame.legend.is_empty() {
        legend.push(seg(0, " ", dim));
        // Series that do not fit are still in the chart; their names go from the end, in pairs
        // of mark and name, and after the hints.
        let ranked = frame.legend.into_iter().zip(0_u8..);
        legend.extend(ranked.map(|((text, style), place)| seg(1 + place / 2, text, style)));
    }
    let mut hints = if frame.hints.is_empty() { Vec::new() } else { hints(canvas, frame.hints) };
    if !legend.is_empty() {
        hints.iter_mut().for_each(|hint| hint.go_first());
    }
    canvas.row(within(bottom), legend, hints);
    Rect { x: rect.x + 1, y: rect.y + 1, width: rect.width - 2, height: rect.height - 2 }
}

/// A horizontal line with its ends.
fn rule(canvas: &mut Canvas<'_>, rect: Rect, glyphs: [&str; 3], style: ratatui::style::Style) {
    let [first, middle, last] = glyphs;
    let line = middle.repeat(usize::from(rect.width.saturating_sub(2)));
    canvas.put((rect.x, rect.y), rect.width, &format!("{first}{line}{last}"), style);
}

/// Keys lit, their words dim: ` b budget  + raise `.
pub(super) fn hints(canvas: &Canvas<'_>, hints: &[(&str, &str)]) -> Vec<Seg> {
    let theme = canvas.theme;
    let mut segs = Vec::with_capacity(hints.len() * 2 + 1);
    for ((key, word), rank) in hints.iter().zip(2_u8..) {
        segs.push(seg(rank, format!(" {key}"), theme.key()));
        segs.push(seg(rank, format!(" {word} "), theme.dim()));
    }
    segs
}
