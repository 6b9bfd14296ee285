//! OBJECTIVES: what requests asked to be chosen by, and what that cost.
//!
//! Refuses to know how requests are summed.
//!
//! ```text
//!  OBJECTIVE TRAFFIC     REQS  OK % ¢/REQ SPENT $ p95 s FELL BACK $ OVER CHEAPEST COST TREND
//! ▌balanced  ━━━━╸···   22.9k  99.1  0.68  155.72  1.92      2.1%     +$24.86 19% ▄▄▅▅▆▆▇█
//! ```

use ratatui::layout::Rect;
use tollgate_shared::money::{Percent, Usd};

use super::{cents_each, since, spark};
use crate::format;
use crate::model::{Key, Model, PaneId, Routing, Wanted, objective_word};
use crate::theme::Tone;
use crate::view::canvas::{Canvas, Piece, seg};
use crate::view::frame::{self, Frame};
use crate::view::gauge;
use crate::view::layout::{self, Class};
use crate::view::table::{self, Column, Look, flexible, number, text};

/// How many columns there are in all.
pub(super) const COLUMNS: usize = 11;

const LINE: [Column; COLUMNS] = [
    text("OBJECTIVE", 12, 0),
    flexible("TRAFFIC", (8, 16), 5),
    number("REQS", 6, 1),
    number("OK %", 5, 2),
    number("¢/REQ", 6, 0),
    number("SPENT $", 8, 4),
    number("p50 s", 5, 8),
    number("p95 s", 5, 6),
    number("FELL BACK", 9, 3),
    number("$ OVER CHEAPEST", 15, 0),
    flexible("COST TREND", (10, 60), 7),
];

/// Draws the pane.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let routing = &model.routing;
    let pane = model.panes.at(PaneId::Objectives);
    let focused = model.panes.focus == PaneId::Objectives;
    let edge = if class == Class::Small { 0 } else { 2 };
    let fit = table::fit(&LINE, rect.width.saturating_sub(edge), pane.first_column);
    let frame = Frame {
        title: PaneId::Objectives.title(),
        about: vec![since(canvas, model), seg(6, table::hidden(&fit), theme.dim())],
        legend: Vec::new(),
        hints: &[],
        focused,
        boxed: class != Class::Small,
    };
    let mut inner = frame::draw(canvas, rect, frame);
    if routing.objectives.is_empty() {
        let text = match model.day().ready {
            true => {
                " no receipt yet; POST a request with \"objective\": \"balanced\" to :6120/route"
            }
            false => " waiting for the backend",
        };
        canvas.put((inner.x, inner.y), inner.width, text, theme.dim());
        return;
    }
    if layout::has_header(class, PaneId::Objectives, rect) {
        table::header(canvas, Rect { height: 1, ..inner }, &LINE, &fit);
        inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    }
    let shown = routing.objectives.iter().skip(pane.offset);
    let cursor = focused.then(|| crate::model::rows::cursor(model, PaneId::Objectives)).flatten();
    for (line, y) in shown.zip(inner.y..inner.bottom()) {
        let name = objective_word(line.objective);
        let selected = cursor == Some(Key::Name(name.into()));
        let row = Rect { y, height: 1, ..inner };
        let cells = cells(canvas, routing, line, &fit);
        table::row(canvas, row, (&LINE, &fit), Look { selected, focused }, |index, _| {
            cells.get(index).cloned().unwrap_or_default()
        });
    }
}

/// The pieces of every cell of a line.
fn cells(
    canvas: &Canvas<'_>,
    routing: &Routing,
    line: &Wanted,
    fit: &table::Fit,
) -> [Vec<Piece>; COLUMNS] {
    let theme = canvas.theme;
    let plain = |text: String| vec![(text, theme.text())];
    let dim = |text: String| vec![(text, theme.dim())];
    let width = |column: usize| {
        fit.shown.iter().find(|(index, _)| *index == column).map_or(0, |(_, width)| *width)
    };
    let all: u64 = routing.objectives.iter().map(|line| line.requests).sum();
    let parts = |count: u64| Usd::from_picos(i128::from(count));
    let traffic =
        gauge::bar(parts(line.requests), parts(all), width(1), (theme.tone(Tone::Ok), theme.dim()));
    let seconds = |ms: Option<u64>| ms.map_or("—".into(), format::seconds);
    let answered = format::permille(line.answered, line.requests).min(1_000);
    let fell = format::percent(format::permille(line.fell_back, line.requests).min(1_000));
    let share = Percent::of(line.over, line.cost).whole();
    let tone = match share {
        0 => theme.text(),
        1..=49 => theme.tone(Tone::Caution),
        _ => theme.tone(Tone::Warning),
    };
    let over = format!("+${} {share}%", canvas.money(line.over, 4));
    let trend = routing.since.map_or(String::new(), |since| {
        let costs = line.trend.iter().map(|(at, cost)| {
            (*at, u64::try_from(cost.or_zero().picos() / 1_000).unwrap_or(u64::MAX))
        });
        spark(costs, (since, routing.until), usize::from(width(10)))
    });
    [
        vec![(objective_word(line.objective).into(), theme.strong())],
        traffic,
        plain(format::count(line.requests)),
        plain(format::percent(answered)),
        plain(cents_each(canvas, line.cost, line.requests)),
        plain(canvas.money(line.cost, 2)),
        dim(seconds(line.p50_ms)),
        plain(seconds(line.p95_ms)),
        plain(format!("{fell}%")),
        vec![(over, tone)],
        dim(trend),
    ]
}
