//! ALERTS: what holds, worst first, with its age. Refuses to know how conditions are found.
//!
//! ```text
//!  ✖ 4m12s  azure-gpt4o: circuit open: 5 × 5xx in a row
//!  ▲ 16s    R-207: budget at 90% of $50.00
//!  ✓ 12m    R-198: budget at 100% of $10.00          somebody knows
//! ```

use ratatui::layout::Rect;
use tollgate_shared::alert::AlertState;

use super::canvas::{Canvas, seg};
use super::frame::{self, Frame};
use super::layout::{Class, Places};
use super::status;
use crate::format;
use crate::model::{Key, Model, PaneId, rows};
use crate::theme::Tone;

/// How many columns there are in all.
pub(super) const COLUMNS: usize = 1;

/// Where everything stands on screen 6.
pub(super) fn places(body: Rect, _class: Class) -> Places {
    Places { panes: vec![(PaneId::Alerts, body)], panels: Vec::new() }
}

/// Draws the alert that the cursor is on: what, then, why, do.
pub(super) fn incident(_: &mut Canvas<'_>, _: &Model, _: Rect, _: Class) {}

/// Draws the pane.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let day = model.day();
    let alerts = rows::alerts(day);
    let open = alerts.iter().filter(|alert| alert.state == AlertState::Open).count();
    let focused = model.panes.focus == PaneId::Alerts;
    let pane = model.panes.at(PaneId::Alerts);
    let frame = Frame {
        title: PaneId::Alerts.title(),
        about: vec![seg(1, format!(" {open} open"), theme.dim())],
        legend: Vec::new(),
        hints: &[("Enter", "open")],
        focused,
        boxed: class != Class::Small,
    };
    let inner = frame::draw(canvas, rect, frame);
    if alerts.is_empty() {
        canvas.put((inner.x, inner.y), inner.width, " ○ nothing is wrong", theme.tone(Tone::Ok));
        return;
    }
    let cursor = focused.then(|| rows::cursor(model, PaneId::Alerts)).flatten();
    let shown = alerts.iter().skip(pane.offset).take(usize::from(inner.height));
    for (alert, y) in shown.zip(inner.y..) {
        let row = Rect { y, height: 1, ..inner };
        if cursor == Some(Key::Alert(alert.id.clone())) {
            canvas.paint(row, theme.selected());
            canvas.put((row.x, y), 1, "▌", theme.key());
        }
        let (mark, _, tone) = status::severity(alert.severity);
        let known = alert.state == AlertState::Acked;
        let age = format::age(format::seconds_since(day.now, alert.since));
        let (mark, style) = if known { ("✓", theme.dim()) } else { (mark, theme.tone(tone)) };
        let text = if known { theme.dim() } else { theme.text() };
        canvas.pieces(
            (row.x + 1, y),
            row.width.saturating_sub(1),
            &[
                (mark.to_owned(), style),
                (format!(" {} ", crate::text::left(&age, 6)), theme.dim()),
                (alert.subject.clone(), theme.strong()),
                (format!(": {}", alert.what), text),
            ],
        );
    }
}
