//! Pausing, resuming, closing, removing: what is in flight, what will be, and the exact request.
//!
//! The consequence stands above the key that brings it about. Refuses to know how keys change the
//! form.

use ratatui::layout::Rect;
use tollgate_shared::circuit::CircuitState;
use tollgate_shared::id::{ProviderName, RunId};

use super::canvas::{Canvas, seg};
use super::dialog::{Rows, field, middle, open, request, sending};
use crate::format;
use crate::message::RunVerb;
use crate::model::{Change, ConfirmForm, Group, History, Model};
use crate::theme::Tone;

/// ```text
///  now   open   spent $45.12   $0.62 in flight   $0.271/min
///  then  what is in flight ends and is paid; new requests wait, then get 409
///  note  ▏
///  name  ▏ type R-207 to go on
///  POST :6120/runs/R-207/close  if-match 7
/// ```
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, form: &ConfirmForm, area: Rect) {
    let theme = canvas.theme;
    let dim = theme.dim();
    let word = match &form.change {
        Change::Run(_, RunVerb::Pause, _) => "PAUSE",
        Change::Run(_, RunVerb::Resume, _) => "RESUME",
        Change::Run(_, RunVerb::Close, _) => "CLOSE",
        Change::Remove(_) => "REMOVE",
    };
    let rect = middle(area, 76, 13);
    let title = (word, vec![seg(0, format!(" {}", form.subject()), theme.strong())]);
    let hints = [("Enter", "apply"), ("Tab", "field"), ("Esc", "cancel")];
    let inner = open(canvas, rect, title, &hints);
    let mut rows = Rows { rect: inner, next: u16::from(inner.height > 9) };
    let (now, then, tone) = match &form.change {
        Change::Run(run, verb, _) => run_facts(canvas, model, run, *verb),
        Change::Remove(provider) => provider_facts(canvas, model, provider),
    };
    rows.line(canvas, &[("now   ".into(), dim), (now, theme.text())]);
    rows.line(canvas, &[("then  ".into(), dim), (then, theme.tone(tone))]);
    rows.next += u16::from(inner.height > 9);
    let must = if form.wants_note { " it stays with the run" } else { "" };
    let mut line = vec![("note  ".into(), if form.focus == 0 { theme.key() } else { dim })];
    line.extend(field(canvas, &form.note, form.focus == 0, 40));
    line.push((must.into(), dim));
    rows.line(canvas, &line);
    if form.wants_name {
        let mut line = vec![("name  ".into(), if form.focus == 1 { theme.key() } else { dim })];
        line.extend(field(canvas, &form.name, form.focus == 1, 28));
        line.push((format!("  type {} to go on", form.subject()), dim));
        rows.line(canvas, &line);
    }
    rows.next += u16::from(inner.height > 9);
    let call = form.call();
    let head = match &form.change {
        Change::Run(_, _, version) => format!("POST :6120{}  if-match {version}", call.path),
        Change::Remove(_) => format!("DELETE :6103{}", call.path),
    };
    request(canvas, &mut rows, &head, call.body.as_deref().unwrap_or_default());
    sending(canvas, &mut rows, &form.sending);
}

/// What a run is doing, and what it will be told.
fn run_facts(
    canvas: &Canvas<'_>,
    model: &Model,
    run: &RunId,
    verb: RunVerb,
) -> (String, String, Tone) {
    let entry = model.day().runs.get(run);
    let budget = entry.and_then(|entry| entry.budget.as_ref());
    let state = entry.map(crate::model::RunEntry::state).unwrap_or_default();
    let now = budget.map_or(String::new(), |budget| {
        format!(
            "{}   spent ${}   ${} in flight   ${}/min",
            format!("{state:?}").to_lowercase(),
            canvas.money(budget.enforced.spent_usd(), 2),
            canvas.money(budget.enforced.pending_usd(), 2),
            canvas.money(budget.burn_usd_per_min, 3),
        )
    });
    let (then, tone) = match verb {
        RunVerb::Pause => {
            ("in flight ends and is paid; new requests wait, then get 409", Tone::Caution)
        }
        RunVerb::Resume => ("who waits goes on, and new requests are let through", Tone::Ok),
        RunVerb::Close => ("in flight ends and is paid; nothing new, and no undo", Tone::Critical),
    };
    (now, then.to_owned(), tone)
}

/// What a provider carries, and who would carry it.
fn provider_facts(
    canvas: &Canvas<'_>,
    model: &Model,
    name: &ProviderName,
) -> (String, String, Tone) {
    let day = model.day();
    let minute = History::grouped(day.history.minute(), Group::Provider);
    let sums = minute.get(name.as_str()).copied().unwrap_or_default();
    let count = format::grouped(sums.requests.max(sums.attempts));
    let cost = canvas.money(sums.cost_usd, 3);
    let Some(view) = day.providers.get(name) else {
        return (String::new(), "it is gone already".into(), Tone::Ok);
    };
    let now = format!("{}   {count} requests and ${cost} in the last minute", view.model);
    let others = day.providers.values().filter(|other| {
        other.model == view.model
            && other.name != *name
            && other.circuit.state != CircuitState::Open
    });
    match others.count() {
        0 => (now, format!("nobody else serves {}: its requests fail", view.model), Tone::Critical),
        1 => (now, format!("one other serves {}", view.model), Tone::Warning),
        more => (now, format!("{more} others serve {}", view.model), Tone::Ok),
    }
}
