//! WHO: the share of each in what was spent, and how far each is from its own mean.
//!
//! Refuses to know how shares are summed: that is [`crate::model::rows::who`].
//!
//! ```text
//!  R-207 ━━╸····   0.271  32% ▲3.4×     over three times its own mean of 15 minutes
//!  R-190 ━╸·····   0.190  23%  1.0×
//!  R-198 ·······   0.000   0%  idle
//! ```

use ratatui::layout::Rect;
use tollgate_shared::money::{Percent, Usd};

use super::canvas::{Canvas, Piece, seg};
use super::frame::{self, Frame};
use super::table::{self, Column, Look, flexible, number, text};
use super::{gauge, layout::Class};
use crate::format;
use crate::model::rows::{self, WhoLine};
use crate::model::{Key, Model, PaneId};
use crate::theme::Tone;

/// Draws the pane.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let lines = rows::who(model);
    let total: Usd = lines.iter().map(|line| line.quarter).sum();
    let pane = model.panes.at(PaneId::Who);
    let focused = model.panes.focus == PaneId::Who;
    let about = format!(" by {} · share of 15 min · now vs own mean", model.group.word());
    let frame = Frame {
        title: PaneId::Who.title(),
        about: vec![seg(1, about, theme.dim())],
        legend: Vec::new(),
        hints: &[("c", "group: run agent provider model")],
        focused,
        boxed: class != Class::Small,
    };
    let inner = frame::draw(canvas, rect, frame);
    if lines.is_empty() {
        let text = " nothing was spent in the last 15 minutes";
        canvas.put((inner.x, inner.y), inner.width, text, theme.dim());
        return;
    }
    let longest = lines.iter().map(|line| crate::text::width_of(&line.name)).max().unwrap_or(4);
    let name = u16::try_from(longest.clamp(5, 22)).unwrap_or(22);
    let columns: [Column; 5] = [
        text("NAME", name, 0),
        flexible("SHARE", (6, 40), 1),
        number("$/MIN", 7, 0),
        number("%", 4, 0),
        number("NOW", 6, 2),
    ];
    let fit = table::fit(&columns, inner.width, 0);
    let shown = lines.iter().skip(pane.offset).take(usize::from(inner.height));
    for (line, y) in shown.zip(inner.y..) {
        let selected = pane.selected == Some(Key::Name(line.name.clone()));
        let row = Rect { y, height: 1, ..inner };
        let money = canvas.money(line.now, 3);
        table::row(canvas, row, (&columns, &fit), Look { selected, focused }, |index, width| {
            cell(theme, line, (index, width), (total, &money))
        });
    }
}

/// The pieces of one cell.
fn cell(
    theme: &crate::theme::Theme,
    line: &WhoLine,
    (index, width): (usize, u16),
    (total, money): (Usd, &str),
) -> Vec<Piece> {
    match index {
        0 => vec![(line.name.to_string(), theme.strong())],
        1 => gauge::bar(line.quarter, total, width, (theme.tone(Tone::Ok), theme.dim())),
        2 => vec![(money.to_owned(), theme.text())],
        3 => {
            let share = Percent::of(line.quarter, total).whole();
            vec![(format!("{share}%"), theme.dim())]
        }
        _ => vec![norm(theme, line)],
    }
}

/// How the last minute compares with the subject's own mean: `▲3.4×`, or idle.
fn norm(theme: &crate::theme::Theme, line: &WhoLine) -> Piece {
    if line.now.is_zero() {
        return ("idle".into(), theme.dim());
    }
    let Some(tenths) = format::ratio_tenths(line.now, line.mean) else {
        return ("new".into(), theme.dim());
    };
    let text = if tenths > 999 { ">99×".into() } else { format::tenths(tenths, "×") };
    match tenths {
        30.. => (format!("▲{text}"), theme.tone(Tone::Warning)),
        20..=29 => (format!("▲{text}"), theme.tone(Tone::Caution)),
        11..=19 => (format!("▲{text}"), theme.dim()),
        ..=9 => (format!("▼{text}"), theme.dim()),
        _ => (text, theme.dim()),
    }
}
