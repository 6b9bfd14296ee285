//! Screen 5, Routing: whether the router earns its keep.
//!
//! Drawn from what [`crate::model`] folded out of the receipts it keeps; each title says since when.
//! Refuses to know how a plan is made.
//!
//! ```text
//! OBJECTIVES   what was asked for: traffic, ¢ a request, over the cheapest
//! EXPERIMENTS  | FALLBACKS              from whom to whom, saved and lost
//! FAILURES     | MONEY LEFT ON THE TABLE   taller is worse | by objective and run
//! ```

use ratatui::layout::Rect;
use tollgate_shared::time::Timestamp;

use super::canvas::{Canvas, Piece, Seg, seg};
use super::frame::{self, Frame};
use super::layout::{self, Class, Panel, Places};
use crate::format;
use crate::model::{Model, PaneId, SPAN_S};

mod failures;
mod fallbacks;
mod left;
mod objectives;

/// Where everything stands.
pub(super) fn places(body: Rect, class: Class) -> Places {
    let (lower, middle) = match (class, body.height) {
        (_, ..10) => ([body.height, 0, 0], false),
        (Class::Small, ..18) => ([6, body.height - 6, 0], false),
        (Class::Small, _) => ([7, 6, body.height - 13], false),
        (_, ..22) => (layout::parts(body.height, [50, 50]), true),
        (Class::Large, _) => (layout::parts(body.height, [22, 28]), true),
        _ => (layout::parts(body.height, [24, 28]), true),
    };
    let [first, second, third] = lower;
    let row = |y: u16, height: u16| Rect { y: body.y + y, height, ..body };
    let mut places =
        Places { panes: vec![(PaneId::Objectives, row(0, first))], panels: Vec::new() };
    if second == 0 {
        return places;
    }
    let between = row(first, second);
    let below = row(first + second, third);
    if !middle {
        places.panes.push((PaneId::Fallbacks, between));
        if third > 0 {
            let (experiments, left) = (
                Rect { height: 4.min(third), ..below },
                Rect { y: below.y + 4.min(third), height: third.saturating_sub(4), ..below },
            );
            places.panes.push((PaneId::Experiments, experiments));
            places.panels.push((Panel::LeftOnTable, left));
        }
        return places;
    }
    let (experiments, fallbacks) = layout::split(between, 55);
    places.panes.push((PaneId::Experiments, experiments));
    places.panes.push((PaneId::Fallbacks, fallbacks));
    if third > 0 {
        let (failures, left) = layout::split(below, 55);
        places.panels.push((Panel::Failures, failures));
        places.panels.push((Panel::LeftOnTable, left));
    }
    places
}

/// Draws a pane of this screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, of: (PaneId, Rect), class: Class) {
    let (pane, rect) = of;
    match pane {
        PaneId::Objectives => objectives::draw(canvas, model, rect, class),
        PaneId::Fallbacks => fallbacks::draw(canvas, model, rect, class),
        _ => experiments(canvas, model, rect, class),
    }
}

/// Draws a panel of this screen.
pub(super) fn draw_panel(canvas: &mut Canvas<'_>, model: &Model, of: (Panel, Rect), class: Class) {
    match of {
        (Panel::Failures, rect) => failures::draw(canvas, model, rect, class),
        (_, rect) => left::draw(canvas, model, rect, class),
    }
}

/// How many columns a pane of this screen has.
pub(super) const fn columns_of(pane: PaneId) -> usize {
    match pane {
        PaneId::Objectives => objectives::COLUMNS,
        PaneId::Fallbacks => fallbacks::COLUMNS,
        _ => 1,
    }
}

/// EXPERIMENTS: the pane is there, and says what is missing.
fn experiments(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let frame = Frame {
        title: PaneId::Experiments.title(),
        about: vec![seg(1, " none", theme.dim())],
        legend: Vec::new(),
        hints: &[],
        focused: model.panes.focus == PaneId::Experiments,
        boxed: class != Class::Small,
    };
    let inner = frame::draw(canvas, rect, frame);
    let lines: [Vec<Piece>; 3] = [
        vec![("no traffic is split: this backend knows no experiments;".into(), theme.dim())],
        vec![("a later version of it will fill this pane".into(), theme.dim())],
        vec![(
            "+ - shift traffic  P promote  x end: not without an experiment".into(),
            theme.dim(),
        )],
    ];
    for (line, y) in lines.iter().zip(inner.y..inner.bottom()) {
        canvas.pieces((inner.x + 1, y), inner.width.saturating_sub(1), line);
    }
}

/// Since when the sums count, for a title.
fn since(canvas: &Canvas<'_>, model: &Model) -> Seg {
    let words = model.routing.since.map_or(String::new(), |since| {
        let age = format::age(format::seconds_since(model.day().now, since));
        format!(" last {age}, since {}", format::clock(since))
    });
    seg(1, words, canvas.theme.dim())
}

/// Values by span, drawn in at most `width` cells that end with the newest; a cell may hold several
/// spans. Eight levels, the tallest is the largest value; without any it is a line at the foot.
fn spark(
    values: impl Iterator<Item = (Timestamp, u64)>,
    (since, until): (Timestamp, Timestamp),
    width: usize,
) -> String {
    let spans = until.floor_to(SPAN_S).millis_since(since.floor_to(SPAN_S)) / 1_000 / SPAN_S + 1;
    let spans = usize::try_from(spans).unwrap_or(1).max(1);
    let each = spans.div_ceil(width.max(1)).max(1);
    let mut cells = vec![0_u64; spans.div_ceil(each).min(width)];
    for (at, value) in values {
        let place = at.millis_since(since.floor_to(SPAN_S)).max(0) / 1_000 / SPAN_S;
        let cell = usize::try_from(place).unwrap_or(0) / each;
        if let Some(sum) = cells.get_mut(cell) {
            *sum = sum.saturating_add(value);
        }
    }
    let most = cells.iter().copied().max().unwrap_or(0).max(1);
    let level = |value: &u64| {
        usize::try_from((u128::from(*value) * 7).div_ceil(u128::from(most))).unwrap_or(0) + 1
    };
    cells
        .iter()
        .map(|value| super::chart::BLOCKS.get(level(value)).copied().unwrap_or("█"))
        .collect()
}

/// An amount as cents for each of so many requests: `0.68`.
fn cents_each(canvas: &Canvas<'_>, amount: tollgate_shared::money::Usd, count: u64) -> String {
    match count {
        0 => "—".into(),
        count => {
            let picos = amount.picos().saturating_mul(100) / i128::from(count);
            canvas.money(tollgate_shared::money::Usd::from_picos(picos), 2)
        }
    }
}

#[cfg(test)]
mod tests;
