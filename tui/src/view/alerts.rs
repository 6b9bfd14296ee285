//! ALERTS: what holds, worst first, with its age and who knows; and screen 6, which shows one whole.
//!
//! Where there is room it is a table, else a line for each. Refuses to know how conditions are
//! found.
//!
//! ```text
//!  SEVERITY   SINCE       AGE SUBJECT      WHAT                              STATE
//!  ✖ critical 14:09:55  4m12s azure-gpt4o  circuit open: 5 × 5xx in a row    firing
//!  ▲ warning  14:13:51    16s R-207        budget at 90% of $50.00           acked by dana
//!  ✓ clear    12:58:40  1h15m mistral-lg   circuit half-open                 resolved 13:02
//! ```

use ratatui::layout::Rect;
use tollgate_shared::alert::{Alert, AlertState};

use super::canvas::{Canvas, Piece, Seg, seg};
use super::frame::{self, Frame};
use super::layout::{self, Class, Panel, Places};
use super::table::{self, Column, Look, flexible, number, text};
use super::{detail, status};
use crate::format;
use crate::model::{Key, Model, PaneId, rows};
use crate::theme::{Theme, Tone};

mod incident;

/// How many columns there are in all.
pub(super) const COLUMNS: usize = 6;

/// Where everything stands on screen 6: the list above, the alert at the cursor below.
pub(super) fn places(body: Rect, _class: Class) -> Places {
    let [list, incident, _] = match body.height {
        ..12 => [body.height, 0, 0],
        _ => layout::parts(body.height, [48, 52]),
    };
    let below = Rect { y: body.y + list, height: incident, ..body };
    let panels = if incident > 0 { vec![(Panel::Incident, below)] } else { Vec::new() };
    Places { panes: vec![(PaneId::Alerts, Rect { height: list, ..body })], panels }
}

/// Draws the alert that the cursor is on: what, then, why, do.
pub(super) fn incident(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let found = match rows::cursor(model, PaneId::Alerts) {
        Some(Key::Alert(id)) => rows::alert(model, &id),
        _ => None,
    };
    let mut about = Vec::new();
    if let Some(alert) = found {
        let (mark, _, style) = severity(theme, alert);
        about.push(seg(0, format!(" {mark}"), style));
        about.push(seg(0, format!(" {}", alert.subject), theme.strong()));
        about.push(seg(1, format!(" rule {}", alert.rule), theme.dim()));
    }
    let frame = Frame {
        title: "INCIDENT",
        about,
        legend: Vec::new(),
        hints: &[("Enter", "whole")],
        focused: false,
        boxed: class != Class::Small,
    };
    let inner = frame::draw(canvas, rect, frame);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let Some(alert) = found else {
        let text = "when something goes wrong, what, why and what to do stand here";
        canvas.put((inner.x, inner.y), inner.width, text, theme.dim());
        return;
    };
    let page = detail::Page { theme, hide_money: canvas.hides_money(), label: 7 };
    let lines = incident::lines(&page, model, alert);
    for (line, y) in lines.iter().zip(inner.y..inner.bottom()) {
        canvas.pieces((inner.x, y), inner.width, line);
    }
}

/// One alert whole, for its detail: how bad, then what, then, why, do.
pub(super) fn whole(page: &detail::Page<'_>, model: &Model, alert: &Alert) -> Vec<detail::Line> {
    let (mark, word, style) = severity(page.theme, alert);
    let mut lines = vec![page.with("alert", vec![(format!("{mark} {word}"), style)])];
    lines.push(page.fact("about", alert.subject.clone()));
    lines.extend(incident::lines(page, model, alert));
    lines
}

/// Draws the pane.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let alerts = rows::alert_lines(model);
    let focused = model.panes.focus == PaneId::Alerts;
    let columns = columns(&alerts);
    let edge = if class == Class::Small { 0 } else { 2 };
    let pane = model.panes.at(PaneId::Alerts);
    let fit = table::fit(&columns, rect.width.saturating_sub(edge), pane.first_column);
    let is_table = layout::has_header(class, PaneId::Alerts, rect);
    let frame = Frame {
        title: PaneId::Alerts.title(),
        about: about(theme, model, is_table.then_some(&fit)),
        legend: Vec::new(),
        hints: &[("a", "ack"), ("A", "ack all"), ("Z", "snooze 30m"), ("v", "resolved too")],
        focused,
        boxed: class != Class::Small,
    };
    let mut inner = frame::draw(canvas, rect, frame);
    if alerts.is_empty() {
        let (text, style) = match model.day().ready {
            true => (" ○ nothing is wrong", theme.tone(Tone::Ok)),
            false => (" waiting for the backend", theme.dim()),
        };
        canvas.put((inner.x, inner.y), inner.width, text, style);
        return;
    }
    if is_table {
        table::header(canvas, Rect { height: 1, ..inner }, &columns, &fit);
        inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    }
    let cursor = focused.then(|| rows::cursor(model, PaneId::Alerts)).flatten();
    let shown = alerts.iter().skip(pane.offset).take(usize::from(inner.height));
    for (alert, y) in shown.zip(inner.y..) {
        let row = Rect { y, height: 1, ..inner };
        let selected = cursor == Some(Key::Alert(alert.id.clone()));
        let look = Look { selected, focused };
        if is_table {
            let what = what(canvas, alert);
            table::row(canvas, row, (&columns, &fit), look, |index, _| match index {
                4 => vec![(what.clone(), plain(theme, alert))],
                _ => cell(theme, model, alert, index),
            });
        } else {
            line(canvas, row, (model, alert), selected);
        }
    }
}

/// How many fire, are known, are away, and ended.
fn about(theme: &Theme, model: &Model, fit: Option<&table::Fit>) -> Vec<Seg> {
    let day = model.day();
    let count = |of: &dyn Fn(&Alert) -> bool| day.alerts.values().filter(|alert| of(alert)).count();
    let open = count(&|alert| alert.state == AlertState::Open);
    let known = count(&|alert| alert.state == AlertState::Acked && alert.snoozed_until.is_none());
    let away = count(&|alert| alert.snoozed_until.is_some());
    let mut segs = vec![seg(0, format!(" {open} firing"), theme.dim())];
    if known > 0 {
        segs.push(seg(1, format!(" · {known} acked"), theme.dim()));
    }
    if away > 0 {
        segs.push(seg(2, format!(" · {away} snoozed"), theme.dim()));
    }
    let ended = day.resolved.len();
    if ended > 0 {
        let hint = if model.resolved { "" } else { " hidden" };
        segs.push(seg(3, format!(" · {ended} resolved{hint}"), theme.dim()));
    }
    segs.push(seg(6, fit.map_or(String::new(), table::hidden), theme.dim()));
    segs
}

fn columns(alerts: &[&Alert]) -> [Column; COLUMNS] {
    let longest = alerts.iter().map(|alert| crate::text::width_of(&alert.subject)).max();
    let subject = u16::try_from(longest.unwrap_or(0).clamp(7, 18)).unwrap_or(18);
    let state = alerts.iter().map(|alert| crate::text::width_of(&state(alert))).max();
    let state = u16::try_from(state.unwrap_or(0).clamp(6, 20)).unwrap_or(20);
    [
        text("SEVERITY", 10, 0),
        text("SINCE", 8, 3),
        number("AGE", 6, 1),
        text("SUBJECT", subject, 0),
        flexible("WHAT", (24, 200), 0),
        text("STATE", state, 2),
    ]
}

/// The pieces of one cell but what happened.
fn cell(theme: &Theme, model: &Model, alert: &Alert, index: usize) -> Vec<Piece> {
    let open = alert.state == AlertState::Open;
    let plain = plain(theme, alert);
    match index {
        0 => {
            let (mark, word, style) = severity(theme, alert);
            vec![(format!("{mark} {word}"), style)]
        }
        1 => vec![(format::clock(alert.since), theme.dim())],
        2 => vec![(age(model, alert), plain)],
        3 => vec![(alert.subject.clone(), if open { theme.strong() } else { theme.dim() })],
        _ => vec![(state(alert), plain)],
    }
}

/// One alert in one line, for narrow places.
fn line(canvas: &mut Canvas<'_>, row: Rect, (model, alert): (&Model, &Alert), selected: bool) {
    let theme = canvas.theme;
    if selected {
        canvas.paint(row, theme.selected());
        canvas.put((row.x, row.y), 1, "▌", theme.key());
    }
    let (mark, _, style) = severity(theme, alert);
    let known = alert.state != AlertState::Open;
    let (mark, style) = if known { ("✓", theme.dim()) } else { (mark, style) };
    let what = what(canvas, alert);
    canvas.pieces(
        (row.x + 1, row.y),
        row.width.saturating_sub(1),
        &[
            (mark.to_owned(), style),
            (format!(" {} ", crate::text::left(&age(model, alert), 6)), theme.dim()),
            (alert.subject.clone(), theme.strong()),
            (format!(": {what}"), plain(theme, alert)),
        ],
    );
}

/// Shape, word and look: one that ended is clear, however bad it was.
fn severity(theme: &Theme, alert: &Alert) -> (&'static str, &'static str, ratatui::style::Style) {
    if alert.state == AlertState::Resolved {
        return ("✓", "clear", theme.tone(Tone::Ok));
    }
    let (mark, word, tone) = status::severity(alert.severity);
    (mark, word, theme.tone(tone))
}

/// The look of its words: what somebody knows of is dim.
fn plain(theme: &Theme, alert: &Alert) -> ratatui::style::Style {
    if alert.state == AlertState::Open { theme.text() } else { theme.dim() }
}

/// What happened, without its amounts while money is hidden.
fn what(canvas: &Canvas<'_>, alert: &Alert) -> String {
    if canvas.hides_money() { detail::without_amounts(&alert.what) } else { alert.what.clone() }
}

/// How long ago it began.
fn age(model: &Model, alert: &Alert) -> String {
    format::age(format::seconds_since(model.day().now, alert.since))
}

/// Whether anybody knows, and until when.
fn state(alert: &Alert) -> String {
    let by = alert.acked_by.as_deref().unwrap_or("somebody");
    match (alert.state, alert.snoozed_until, alert.resolved_at) {
        (AlertState::Open, ..) => "firing".into(),
        (AlertState::Acked, Some(until), _) => format!("until {}", format::clock_short(until)),
        (AlertState::Acked, None, _) => format!("acked {by}"),
        (AlertState::Resolved, _, Some(at)) => format!("resolved {}", format::clock_short(at)),
        (AlertState::Resolved, _, None) => "resolved".into(),
    }
}

#[cfg(test)]
mod tests;
