//! TIMELINE: what happened to a run, newest first, and what happens next.
//!
//! Thresholds and other alerts that hold, refusals by their code, attempts whose bill is not
//! known. Refuses to know how conditions are found.
//!
//! ```text
//!  14:32    → empty at this rate
//!  14:13:51 ▲ budget at 90% of $50.00
//!  14:02:11 ■ 3 refused: budget_exhausted
//! ```

use std::collections::BTreeMap;

use ratatui::layout::Rect;
use tollgate_shared::alert::AlertState;
use tollgate_shared::budget::RunState;
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Status;
use tollgate_shared::time::Timestamp;

use super::super::canvas::{Canvas, Piece, seg};
use super::super::frame::{self, Frame};
use super::super::status;
use crate::format;
use crate::model::{Day, Model, RunEntry, What};
use crate::theme::{Theme, Tone};
use crate::zone;

/// Something that happened.
struct Mark {
    at: Timestamp,
    pieces: Vec<Piece>,
}

/// Draws the panel.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, boxed: bool) {
    let theme = canvas.theme;
    let frame = Frame {
        title: "TIMELINE",
        about: vec![seg(1, " budget, alerts, changes", theme.dim())],
        legend: Vec::new(),
        hints: &[],
        focused: false,
        boxed,
    };
    let inner = frame::draw(canvas, rect, frame);
    let Some((run, entry)) = super::selected(model) else {
        super::nobody(canvas, model, inner);
        return;
    };
    let day = model.day();
    let mut marks = alerts(theme, day, run);
    marks.extend(of_tail(canvas, day, run));
    marks.extend(changes(canvas, day, run));
    marks.sort_by_key(|mark| std::cmp::Reverse(mark.at));
    let mut lines: Vec<Vec<Piece>> = next(theme, day, entry).into_iter().collect();
    lines.extend(marks.into_iter().map(|mark| {
        let mut pieces = vec![(format!(" {} ", clock(day.now, mark.at)), theme.dim())];
        pieces.extend(mark.pieces);
        pieces
    }));
    if lines.is_empty() {
        let text = " nothing worth a line happened to this run";
        canvas.put((inner.x, inner.y), inner.width, text, theme.dim());
    }
    for (line, y) in lines.iter().zip(inner.y..inner.bottom()) {
        canvas.pieces((inner.x, y), inner.width, line);
    }
}

/// The clock time, with the date where it is not today.
fn clock(now: Timestamp, at: Timestamp) -> String {
    if zone::local(now).floor_to(86_400) == zone::local(at).floor_to(86_400) {
        return format::clock(at);
    }
    let [_, month, date, hour, minute, _] = zone::local(at).civil();
    format!("{month:02}-{date:02} {hour:02}:{minute:02}")
}

/// What the rate leads to, above what happened.
fn next(theme: &Theme, day: &Day, entry: &RunEntry) -> Option<Vec<Piece>> {
    let budget = entry.budget.as_ref()?;
    if budget.blocked || budget.state != RunState::Open {
        return None;
    }
    let seconds = budget.runway_s?;
    let at = status::clock_in(day.now, seconds);
    let look = status::runway_tone(seconds).map_or(theme.dim(), |tone| theme.tone(tone));
    Some(vec![
        (format!(" {} ", crate::text::left(&at, 8)), theme.dim()),
        ("→ empty at this rate".into(), look),
        (format!(", in {}", format::span(seconds)), theme.dim()),
    ])
}

/// Conditions of this run.
fn alerts(theme: &Theme, day: &Day, run: &RunId) -> Vec<Mark> {
    let own = day.alerts.values().filter(|alert| alert.subject == run.as_str());
    own.map(|alert| {
        let (mark, _, tone) = status::severity(alert.severity);
        let mut pieces = vec![(format!("{mark} {}", alert.what), theme.tone(tone))];
        if alert.state == AlertState::Acked {
            let by = alert.acked_by.as_deref().unwrap_or("somebody");
            pieces.push((format!(" ✓ {by}"), theme.dim()));
        }
        Mark { at: alert.since, pieces }
    })
    .collect()
}

/// What operators changed of this run, with their notes.
fn changes(canvas: &Canvas<'_>, day: &Day, run: &RunId) -> Vec<Mark> {
    let theme = canvas.theme;
    let alert = tollgate_shared::alert::budget_id(run);
    let agents = format!("{run}/");
    let is_own =
        |subject: &str| subject == run.as_str() || subject == alert || subject.starts_with(&agents);
    let own = day.changes.iter().filter(|change| is_own(&change.subject));
    own.map(|change| {
        let values = change.after.iter().map(|(field, after)| {
            let before = change.before.get(field).map(String::as_str);
            value(canvas, field, (before, after))
        });
        let values: Vec<String> = values.collect();
        let text = format!("✎ {} {} {}", change.who, change.what, values.join(", "));
        let mut pieces = vec![(text, theme.text())];
        if let Some(note) = &change.note {
            pieces.push((format!(" \"{note}\""), theme.dim()));
        }
        Mark { at: change.at, pieces }
    })
    .collect()
}

/// One value that changed: `$40.00 → $50.00`, `mode clamp`. Amounts are hidden with the others.
fn value(canvas: &Canvas<'_>, field: &str, (before, after): (Option<&str>, &str)) -> String {
    let is_money = field.ends_with("_usd");
    let shown = |text: &str| match text.parse::<Usd>() {
        Ok(amount) if is_money => format!("${}", canvas.money(amount, 2)),
        // A limit that was lifted is no amount.
        Err(_) if is_money => "no limit".to_owned(),
        _ => text.to_owned(),
    };
    let name = if is_money { String::new() } else { format!("{} ", field.replace('_', " ")) };
    match before {
        Some(before) => format!("{name}{} → {}", shown(before), shown(after)),
        None => format!("{name}{}", shown(after)),
    }
}

/// Refusals, one line for each code, and attempts whose bill is not known.
fn of_tail(canvas: &Canvas<'_>, day: &Day, run: &RunId) -> Vec<Mark> {
    let theme = canvas.theme;
    let mut marks = Vec::new();
    let mut refused: BTreeMap<&str, (u64, Timestamp)> = BTreeMap::new();
    for row in day.tail.newest_first().take(ROWS_MAX).filter(|row| row.run == *run) {
        match &row.what {
            What::Refused { code, .. } => refused.entry(code).or_insert((0, row.at)).0 += 1,
            What::Sent(sent) if sent.status == Status::Unknown => {
                let cost = canvas.money(sent.cost_usd, 6);
                let text = format!("◌ {}: no bill known, charged ${cost}", row.agent);
                marks.push(Mark { at: row.at, pieces: vec![(text, theme.tone(Tone::Warning))] });
            }
            What::Sent(_) => {}
        }
    }
    marks.extend(refused.into_iter().map(|(code, (count, at))| {
        let text = format!("■ {count} refused: {}", code.replace('_', " "));
        Mark { at, pieces: vec![(text, theme.tone(Tone::Critical))] }
    }));
    marks
}

/// Most rows of the tail that one drawing looks at.
const ROWS_MAX: usize = 4_096;
