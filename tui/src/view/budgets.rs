//! BUDGETS: every run, shortest runway first.
//!
//! ```text
//!   ▲ R-207 nightly-refactor ━━━━━━━━━━━━━━╍┃·  90%   45.12  0.271      18m 14:32
//!       Worker-CPE-5         $0.064 in 7s · 2×        an agent, when the pane has the whole body
//! ```
//!
//! | column | meaning |
//! |---|---|
//! | gauge, %, SPENT $, HELD $ | of the limit; held by attempts in flight alone |
//! | RUNWAY, EMPTY AT | until the money is gone, as span and clock time; or when it begins anew |
//! | AGT, REQS, PER REQ | agents at work, requests since the run began, what one costs |
//! | TOP MODEL | as the backend tells, else by the receipts at hand |
//!
//! The numbers are those that enforce, straight from the ledger. On the screen of its own the pane
//! is called RUNS and is a tree. Refuses to know the order of its lines.

use std::collections::BTreeMap;

use ratatui::layout::Rect;
use tollgate_shared::budget::{Level, Mode, RunState};
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::id::RunId;
use tollgate_shared::money::{PICOS_PER_USD, Percent, Usd};

use super::canvas::{Canvas, Piece, Seg, seg};
use super::frame::{self, Frame};
use super::gauge::Gauge;
use super::table::{self, Column, Look, flexible, number, text};
use super::{layout, layout::Class, status};
use crate::format;
use crate::model::tree::{self, Line, Part};
use crate::model::{Model, PaneId, RunEntry, Screen, rows};
use crate::theme::Theme;

/// How many columns there are in all.
pub(super) const COLUMNS: usize = 16;

/// Draws the pane: flat beside others, a tree of runs on its own screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let lines = tree::lines(model);
    let pane = model.panes.at(PaneId::Budgets);
    let focused = model.panes.focus == PaneId::Budgets;
    let has_header = layout::has_header(class, PaneId::Budgets, rect);
    let height = usize::from(layout::rows(class, PaneId::Budgets, rect));
    let shown: Vec<_> = lines.iter().skip(pane.offset).take(height).copied().collect();
    let (own, ids) = (model.screen == Screen::Runs, ids(&shown));
    let columns = columns(&shown, (pane.wide, own), rect.width);
    let edge = if class == Class::Small { 0 } else { 2 };
    let fit = table::fit(&columns, rect.width.saturating_sub(edge), pane.first_column);
    let mut about = about(canvas, model, lines.len().saturating_sub(height));
    about.push(seg(3, table::hidden(&fit), theme.dim()));
    let frame = Frame {
        title: if own { "RUNS" } else { PaneId::Budgets.title() },
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
    if lines.is_empty() {
        empty(canvas, model, inner);
        return;
    }
    let cursor = focused.then(|| rows::cursor(model, PaneId::Budgets)).flatten();
    let wants_models = fit.shown.iter().any(|(index, _)| *index == TOP_MODEL);
    let top = if wants_models { tree::top_models(model.day()) } else { BTreeMap::new() };
    for (line, y) in shown.into_iter().zip(inner.y..inner.bottom()) {
        let selected = cursor == Some(line.key());
        let row = Rect { y, height: 1, ..inner };
        let money = &|amount, decimals| canvas.money(amount, decimals);
        let context = Context { model, money, theme, top: &top, ids };
        let cells: Vec<(usize, Vec<Piece>)> = fit
            .shown
            .iter()
            .map(|(index, width)| (*index, cell(&context, line, *index, *width)))
            .collect();
        table::row(canvas, row, (&columns, &fit), Look { selected, focused }, |index, _| {
            cells.iter().find(|(known, _)| *known == index).map_or(Vec::new(), |(_, c)| c.clone())
        });
    }
}

/// What follows the title: how many, in which order, and on the own screen the day's sum.
fn about(canvas: &Canvas<'_>, model: &Model, more: usize) -> Vec<Seg> {
    let dim = canvas.theme.dim();
    let pane = model.panes.at(PaneId::Budgets);
    let order = PaneId::Budgets.sorts()[pane.sort.min(PaneId::Budgets.sorts().len() - 1)];
    let turned = if pane.reversed { ", turned round" } else { "" };
    let mut about = Vec::with_capacity(5);
    let own = model.screen == Screen::Runs;
    if own {
        let open = |entry: &&RunEntry| entry.state() == RunState::Open;
        let open = model.day().runs.values().filter(open).count();
        about.push(seg(4, format!(" {open} open ·"), dim));
    }
    about.push(seg(2, format!(" {order}{turned}"), dim));
    if more > 0 {
        about.push(seg(1, format!(" · {more} more"), dim));
    }
    if let Some(today) = model.day().today.filter(|_| own) {
        about.push(seg(5, format!(" · today ${}", canvas.money(today.spent, 2)), dim));
    }
    about
}

/// Widths by what there is to show: names differ, and the gauge takes what is left.
fn columns(shown: &[Line<'_>], (wide, own): (bool, bool), room: u16) -> [Column; COLUMNS] {
    let ids = ids(shown);
    let named = own && room >= 100 && !wide;
    let called = |line: &Line<'_>| {
        line.entry.view.as_ref().and_then(|view| view.name.clone()).unwrap_or_default()
    };
    let names = if named { longest(shown, called).clamp(0, 20) } else { 0 };
    let longest = longest(shown, name).max(ids + names + usize::from(names > 0));
    let (run_most, gauge) = match (wide, room) {
        (true, _) => (16, (8, 8)),
        (false, 140..) if own => (44, (22, 84)),
        (false, 100..) if own => (30, (14, 30)),
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
        number("OF $", 5, 7),
        number("$/MIN", 6, 4),
        number("RUNWAY", 8, 0),
        text("EMPTY AT", if named { 11 } else { 8 }, 6),
        number("AGT", 4, 8),
        number("REQS", 5, 9),
        number("PER REQ", 8, 12),
        text("TOP MODEL", 12, 10),
        text("MODE", 8, 11),
        number("LEFT $", 8, 13),
    ]
}

/// Its place among the columns.
const TOP_MODEL: usize = 13;

/// Cells of the longest id of a run, behind which names line up.
fn ids(shown: &[Line<'_>]) -> usize {
    longest(shown, |line| if line.agent.is_some() { String::new() } else { name(line) })
}

/// Cells of the longest of some texts; at least five.
fn longest(shown: &[Line<'_>], text: impl Fn(&Line<'_>) -> String) -> usize {
    let cells = shown.iter().map(|line| crate::text::width_of(&text(line)));
    cells.max().unwrap_or(0).max(5)
}

/// The name of a line, indented by its place in the tree.
fn name(line: &Line<'_>) -> String {
    let indent = "  ".repeat(usize::from(line.depth));
    match line.agent {
        Some((agent, _)) => format!("{indent}{agent}"),
        None => format!("{indent}{}", line.run),
    }
}

/// The id, and beside it what people call the run, where there is room.
fn named(context: &Context<'_>, line: &Line<'_>, width: u16) -> Vec<Piece> {
    let theme = context.theme;
    let ids = context.ids.min(usize::from(width));
    let mut pieces = vec![(crate::text::left(&name(line), ids), theme.strong())];
    let called = line.entry.view.as_ref().and_then(|view| view.name.as_deref());
    if let Some(called) = called.filter(|_| usize::from(width) > context.ids + 1) {
        pieces.push((format!(" {called}"), theme.text()));
    }
    if context.model.pins.contains(line.run) {
        pieces.push((" ↑pinned".into(), theme.dim()));
    }
    pieces
}

/// What a cell needs besides its line.
struct Context<'a> {
    model: &'a Model,
    money: &'a dyn Fn(Usd, u32) -> String,
    theme: &'a Theme,
    top: &'a BTreeMap<&'a RunId, &'a str>,
    /// Cells of the longest id, so that names line up.
    ids: usize,
}

/// The pieces of one cell.
fn cell(context: &Context<'_>, line: Line<'_>, index: usize, width: u16) -> Vec<Piece> {
    if let Some((_, part)) = line.agent {
        return agent(context, &line, part, index);
    }
    let theme = context.theme;
    let plain = |text: String| vec![(text, theme.text())];
    let dim = |text: String| vec![(text, theme.dim())];
    let entry = line.entry;
    let tone = theme.tone(status::tone_of(level_of(entry)));
    match index {
        0 => return vec![(status::mark_of(level_of(entry)).into(), tone)],
        1 => return named(context, &line, width),
        8 => {
            let (text, tone) = status::runway(entry);
            let style =
                tone.map_or(theme.text(), |tone| theme.tone(tone).patch(theme.strong_modifier()));
            return vec![(text, style)];
        }
        10 => {
            let agents = entry.view.as_ref().map(|view| view.agents_at_work.to_string());
            return dim(agents.unwrap_or("—".into()));
        }
        11 => {
            let requests = entry.view.as_ref().map(|view| format::count(view.requests));
            return dim(requests.unwrap_or("—".into()));
        }
        TOP_MODEL => {
            let told = entry.view.as_ref().and_then(|view| view.top_model.as_ref());
            let told = told.map(|model| model.as_str()).or(context.top.get(line.run).copied());
            return dim(told.unwrap_or("—").to_owned());
        }
        _ => {}
    }
    match &entry.budget {
        None => plain("—".into()),
        Some(budget) => of_budget(context, entry, budget, (index, width)),
    }
}

/// The cells that say how a run's money stands.
fn of_budget(
    context: &Context<'_>,
    entry: &RunEntry,
    budget: &BudgetEvent,
    (index, width): (usize, u16),
) -> Vec<Piece> {
    let (theme, model) = (context.theme, context.model);
    let plain = |text: String| vec![(text, theme.text())];
    let dim = |text: String| vec![(text, theme.dim())];
    let money = |amount: Usd, decimals| (context.money)(amount, decimals);
    let or_dash = |amount: Option<Usd>| amount.map_or("—".into(), |amount| money(amount, 2));
    let enforced = &budget.enforced;
    match index {
        2 => match Gauge::of(budget, model.freshness().is_old()) {
            Some(gauge) => gauge.pieces(width, theme),
            None => vec![("no limit".into(), theme.dim())],
        },
        3 => vec![(share(budget), theme.tone(status::tone_of(level_of(entry))))],
        4 => plain(money(enforced.spent_usd(), 2)),
        5 => dim(money(enforced.pending_usd(), 2)),
        6 => dim(enforced.limit_usd.map_or("—".into(), |limit| money(limit, decimals_of(limit)))),
        7 => plain(money(budget.burn_usd_per_min, 3)),
        9 => dim(empty_at(model, budget, width)),
        12 => {
            let view = entry.view.as_ref();
            let requests = view.map_or(0, |view| view.requests);
            let told = view.and_then(|view| view.per_request_usd);
            let each = told.or_else(|| per_request(enforced.spent_usd(), requests));
            plain(each.map_or("—".into(), |each| money(each, 6)))
        }
        14 => dim(mode(budget.mode).into()),
        _ => plain(or_dash(enforced.available_usd)),
    }
}

/// The cells of an agent: its name, and in place of a gauge what it spent of late, for an agent has
/// no budget here and no sum since the run began. Seconds of receipts make no rate.
fn agent(context: &Context<'_>, line: &Line<'_>, part: Part, index: usize) -> Vec<Piece> {
    let theme = context.theme;
    match index {
        1 => vec![(name(line), theme.text())],
        2 => {
            let span = format::age(tree::parts_span_s(context.model.day()));
            let spent = (context.money)(part.spent, 3);
            vec![
                (format!("${spent} in {span}"), theme.text()),
                (format!(" · {}×", format::count(part.attempts)), theme.dim()),
            ]
        }
        _ => Vec::new(),
    }
}

/// Cents where a limit has them.
fn decimals_of(limit: Usd) -> u32 {
    if limit.picos() % PICOS_PER_USD == 0 { 0 } else { 2 }
}

/// When it will be empty, or since when it is, or when it begins anew before that.
fn empty_at(model: &Model, budget: &BudgetEvent, width: u16) -> String {
    let (now, ends_s) = (model.day().now, budget.runway_s);
    if let Some(reset) = budget.resets_at.filter(|_| !budget.blocked)
        && ends_s.is_none_or(|seconds| seconds >= format::seconds_since(reset, now))
    {
        let word = if width < 11 { "↻" } else { "reset" };
        return format!("{word} {}", format::clock_short(reset));
    }
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
    match (model.settings.read_only || model.server_read_only, model.screen) {
        (true, Screen::Runs) => &[("Enter", "open"), ("z", "agents"), ("p", "pin"), ("s", "sort")],
        (true, _) => &[("Enter", "open")],
        (false, Screen::Runs) => &[
            ("b", "budget"),
            ("+", "raise"),
            ("x", "pause"),
            ("X", "close"),
            ("z", "agents"),
            ("p", "pin"),
            ("s", "sort"),
        ],
        (false, _) => &[("b", "budget"), ("+", "raise"), ("Enter", "open")],
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
