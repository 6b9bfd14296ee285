//! BUDGETS: every run, shortest runway first.
//!
//! ```text
//!   ▲ R-207 ━━━━━━━━━━━━━━╍┃·  90%   45.12  0.271      18m
//! ```
//!
//! The numbers are those that enforce, straight from the ledger. Refuses to know their order.

use ratatui::layout::Rect;
use tollgate_shared::budget::{Level, Mode};
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::id::RunId;
use tollgate_shared::money::{Percent, Usd};

use super::canvas::{Canvas, Piece, seg};
use super::frame::{self, Frame};
use super::gauge::Gauge;
use super::table::{self, Column, Look, flexible, number, text};
use super::{layout, layout::Class, status};
use crate::format;
use crate::model::{Key, Model, PaneId, RunEntry, rows};
use crate::theme::Theme;

/// How many columns there are in all.
pub(super) const COLUMNS: usize = 16;

/// Draws the pane.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let runs = rows::budgets(model);
    let pane = model.panes.at(PaneId::Budgets);
    let focused = model.panes.focus == PaneId::Budgets;
    let has_header = layout::has_header(class, PaneId::Budgets, rect);
    let height = usize::from(layout::rows(class, PaneId::Budgets, rect));
    let shown: Vec<_> = runs.iter().skip(pane.offset).take(height).copied().collect();
    let columns = columns(&shown, pane.wide, rect.width);
    let edge = if class == Class::Small { 0 } else { 2 };
    let fit = table::fit(&columns, rect.width.saturating_sub(edge), pane.first_column);
    let more = runs.len().saturating_sub(height);
    let order = PaneId::Budgets.sorts()[pane.sort.min(PaneId::Budgets.sorts().len() - 1)];
    let turned = if pane.reversed { ", turned round" } else { "" };
    let mut about = vec![seg(2, format!(" {order}{turned}"), theme.dim())];
    if more > 0 {
        about.push(seg(1, format!(" · {more} more"), theme.dim()));
    }
    about.push(seg(3, table::hidden(&fit), theme.dim()));
    let frame = Frame {
        title: PaneId::Budgets.title(),
        about,
        legend: Vec::new(),
        hints: hints(model),
        focused,
        boxed: class != Class::Small,
    };
    let mut inner = frame::draw(canvas, rect, frame);
    if has_header {
        table::header(canvas, Rect { height: 1, ..inner }, &columns, &fit);
        inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    }
    if runs.is_empty() {
        empty(canvas, model, inner);
        return;
    }
    let cursor = focused.then(|| rows::cursor(model, PaneId::Budgets)).flatten();
    for ((run, entry), y) in shown.into_iter().zip(inner.y..inner.bottom()) {
        let selected = cursor == Some(Key::Run(run.clone()));
        let row = Rect { y, height: 1, ..inner };
        let context = Context { model, canvas_money: &|amount, d| canvas.money(amount, d), theme };
        let cells: Vec<(usize, Vec<Piece>)> = fit
            .shown
            .iter()
            .map(|(index, width)| (*index, cell(&context, (run, entry), *index, *width)))
            .collect();
        table::row(canvas, row, (&columns, &fit), Look { selected, focused }, |index, _| {
            cells.iter().find(|(known, _)| *known == index).map_or(Vec::new(), |(_, c)| c.clone())
        });
    }
}

/// Widths by what there is to show: names differ, and the gauge takes what is left.
fn columns(shown: &[(&RunId, &RunEntry)], wide: bool, room: u16) -> [Column; COLUMNS] {
    let longest = shown.iter().map(|(run, _)| run.as_str().len()).max().unwrap_or(5);
    let (run_most, gauge) = match (wide, room) {
        (true, _) => (16, (8, 8)),
        (false, 70..) => (18, (22, 30)),
        (false, _) if longest > 8 => (12, (11, 30)),
        (false, _) => (12, (15, 30)),
    };
    let run = u16::try_from(longest.clamp(5, run_most)).unwrap_or(16);
    [
        text("", 1, 0),
        text("RUN", run, 0),
        flexible("SPENT OF BUDGET", gauge, 1),
        number("%", 4, 0),
        number("SPENT $", 7, 3),
        number("HELD $", 6, 5),
        number("$/MIN", 6, 4),
        number("RUNWAY", 8, 0),
        text("EMPTY AT", 8, 6),
        number("LIMIT $", 8, 7),
        number("LEFT $", 8, 8),
        text("MODE", 5, 9),
        number("AGT", 4, 10),
        number("REQS", 6, 11),
        number("PER REQ", 8, 12),
        number("UNSURE $", 8, 13),
    ]
}

/// What a cell needs besides its run.
struct Context<'a> {
    model: &'a Model,
    canvas_money: &'a dyn Fn(Usd, u32) -> String,
    theme: &'a Theme,
}

/// The pieces of one cell.
fn cell(
    context: &Context<'_>,
    (run, entry): (&RunId, &RunEntry),
    index: usize,
    width: u16,
) -> Vec<Piece> {
    let (theme, model) = (context.theme, context.model);
    let plain = |text: String| vec![(text, theme.text())];
    let money = |amount: Usd, decimals| plain((context.canvas_money)(amount, decimals));
    let level = level_of(entry);
    let tone = theme.tone(status::tone_of(level));
    match index {
        0 => return vec![(status::mark_of(level).into(), tone)],
        1 => return vec![(run.to_string(), theme.strong())],
        12 => return plain(entry.view.as_ref().map_or("—".into(), |view| view.agents.to_string())),
        13 => {
            let requests = entry.view.as_ref().map(|view| format::count(view.requests));
            return plain(requests.unwrap_or("—".into()));
        }
        7 => {
            let (text, tone) = status::runway(entry);
            let style =
                tone.map_or(theme.text(), |tone| theme.tone(tone).patch(theme.strong_modifier()));
            return vec![(text, style)];
        }
        _ => {}
    }
    let Some(budget) = &entry.budget else { return plain("—".into()) };
    let enforced = &budget.enforced;
    match index {
        2 => match Gauge::of(budget, model.freshness().is_old()) {
            Some(gauge) => gauge.pieces(width, theme),
            None => vec![("no limit".into(), theme.dim())],
        },
        3 => vec![(share(budget), tone)],
        4 => money(enforced.spent_usd(), 2),
        5 => money(enforced.pending_usd(), 2),
        6 => money(budget.burn_usd_per_min, 3),
        8 => plain(empty_at(model, budget)),
        9 => enforced.limit_usd.map_or(plain("—".into()), |limit| money(limit, 2)),
        10 => enforced.available_usd.map_or(plain("—".into()), |left| money(left, 2)),
        11 => plain(mode(budget.mode).into()),
        14 => {
            let requests = entry.view.as_ref().map_or(0, |view| view.requests);
            let each = per_request(enforced.spent_usd(), requests);
            each.map_or(plain("—".into()), |each| money(each, 6))
        }
        _ => money(enforced.uncertain_usd, 2),
    }
}

/// When it will be empty, or since when it is.
fn empty_at(model: &Model, budget: &BudgetEvent) -> String {
    let alert = tollgate_shared::alert::budget_id(&budget.run_id);
    match model.day().alerts.get(&alert).filter(|_| budget.blocked) {
        Some(alert) => format::clock_short(alert.since),
        None => status::empty_at(budget, model.day().now),
    }
}

/// Spent of the limit, or a dash without one.
pub(super) fn share(budget: &BudgetEvent) -> String {
    budget.enforced.limit_usd.map_or("—".into(), |limit| {
        let spent = Percent::of(budget.enforced.spent_usd(), limit).whole();
        format!("{}%", spent.min(999))
    })
}

/// The level of a run's money.
pub(super) fn level_of(entry: &RunEntry) -> Level {
    let of_view = entry.view.as_ref().map(|view| view.level);
    entry.budget.as_ref().map(|budget| budget.level).or(of_view).unwrap_or_default()
}

/// The word of a mode.
pub(super) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Clamp => "clamp",
        Mode::Hard => "hard",
        Mode::Expected => "expected",
        Mode::Soft => "soft",
    }
}

/// Spent over requests, rounded down; nothing without requests.
fn per_request(spent: Usd, requests: u64) -> Option<Usd> {
    let requests = i128::from(requests);
    (requests > 0).then(|| Usd::from_picos(spent.picos() / requests))
}

/// The keys that act here; a console that may change nothing offers none that would.
const fn hints(model: &Model) -> &'static [(&'static str, &'static str)] {
    if model.settings.read_only || model.server_read_only {
        &[("Enter", "open")]
    } else {
        &[("b", "budget"), ("+", "raise"), ("Enter", "open")]
    }
}

/// What would fill the pane.
fn empty(canvas: &mut Canvas<'_>, model: &Model, rect: Rect) {
    let dim = canvas.theme.dim();
    let lines: &[&str] = if model.day().ready {
        &[
            " no run yet; a first request makes one, a budget limits it:",
            " curl -X POST 'localhost:6120/budget?run_id=R-001&budget_usd=10'",
        ]
    } else {
        &[" waiting for the backend"]
    };
    for (line, y) in lines.iter().zip(rect.y..rect.bottom()) {
        canvas.put((rect.x, y), rect.width, line, dim);
    }
}
