//! A corner of a screen: speed, runway, counts, and a line for each budget while rows last.
//!
//! ```text
//!  $0.84/min ▲31% ▅▅▄▄▅▅▆▆▇▇█▇▆  ● 0.2s
//!  R-207 empty in 18m 14:32
//!  ✖2 ▲3 ●1 azure-gpt4o circuit open
//!  R-198 ━━━━━━━━━━━━━━━━━━━╸··   100% blocked
//! ```
//!
//! Down to 20 × 3 and below; never "terminal too small".

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, Seg, seg};
use super::gauge::Gauge;
use super::{budgets, header, status};
use crate::model::{Dialog, Model, rows};

/// Draws the whole area.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, area: Rect) {
    let theme = canvas.theme;
    let row = |y: u16| Rect {
        x: area.x + u16::from(area.width > 20),
        y: area.y + y,
        width: area.width.saturating_sub(2 * u16::from(area.width > 20)),
        height: 1,
    };
    let mut left = header::burn(canvas, model);
    let spark = usize::from(area.width).saturating_sub(28).min(26);
    left.push(seg(
        5,
        format!(" {}", header::sparkline(model, spark)),
        theme.tone(crate::theme::Tone::Ok),
    ));
    let right: Vec<Seg> = header::freshness(canvas, model, false);
    canvas.row(row(0), left, right);
    if area.height > 1 {
        let left = header::runway(canvas, model, false);
        canvas.row(row(1), left, Vec::new());
    }
    if area.height > 2 {
        let mut left = header::counts(canvas, model, false);
        if let Some(worst) = rows::alerts(model.day()).first() {
            let text = format!(" {} {}", worst.subject, worst.what);
            let room = usize::from(area.width).saturating_sub(14);
            left.push(seg(3, crate::text::clean(&text, room), theme.text()));
        }
        canvas.row(row(2), left, Vec::new());
    }
    let hints = area.height > 9;
    let last = area.height.saturating_sub(u16::from(hints));
    for ((run, entry), y) in rows::budgets(model).into_iter().zip(3..last) {
        let rect = row(y);
        let name = u16::try_from(run.as_str().len().clamp(5, 12)).unwrap_or(12);
        let style = theme.strong();
        canvas.put((rect.x, rect.y), name, &crate::text::left(run.as_str(), name.into()), style);
        let tone = theme.tone(status::tone_of(budgets::level_of(entry)));
        let share = entry.budget.as_ref().map_or("—".into(), budgets::share);
        let (runway, runway_tone) = status::runway(entry);
        let runway_style = runway_tone.map_or(theme.text(), |tone| theme.tone(tone));
        let end: [Piece; 2] =
            [(crate::text::right(&share, 7), tone), (crate::text::right(&runway, 8), runway_style)];
        let gauge = rect.width.saturating_sub(name + 1 + 15);
        let pieces = entry.budget.as_ref().and_then(|budget| {
            Some(Gauge::of(budget, model.freshness().is_old())?.pieces(gauge, theme))
        });
        let pieces = pieces.unwrap_or_else(|| vec![("no limit".into(), theme.dim())]);
        let x = rect.x + name + 1;
        canvas.pieces((x, rect.y), gauge, &pieces);
        canvas.pieces((x + gauge, rect.y), rect.right().saturating_sub(x + gauge), &end);
    }
    if let Some(Dialog::Filter(line)) = &model.dialog {
        let text = format!("/{}▏", line.input.value());
        canvas.put((area.x, area.bottom().saturating_sub(1)), area.width, &text, theme.text());
    } else if hints {
        let hints = super::frame::hints(canvas, &[("?", "help"), ("b", "budget"), ("q", "quit")]);
        canvas.row(row(area.height - 1), hints, Vec::new());
    }
}
