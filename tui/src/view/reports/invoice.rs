//! BY PROVIDER: what each of them will ask for, to be held against its invoice.
//!
//! The lines are added up and held against the day. Refuses to know other lists.
//!
//! ```text
//!  anthropic-son   $98.11   6.9k ━━━━━━━━╸·········   46%
//! ```

use ratatui::layout::Rect;
use tollgate_shared::api::RankedRow;
use tollgate_shared::money::{Percent, Usd};

use super::day_name;
use crate::format;
use crate::model::{Key, Model, PaneId, rows, selected_day};
use crate::theme::Tone;
use crate::view::canvas::{Canvas, Piece, seg};
use crate::view::frame::{self, Frame};
use crate::view::gauge;
use crate::view::layout::{self, Class};
use crate::view::table::{self, Column, Look, flexible, number, text};

/// How many columns there are in all.
pub(super) const COLUMNS: usize = 6;

const LINE: [Column; COLUMNS] = [
    text("PROVIDER", 16, 0),
    number("SPENT $", 12, 0),
    number("ATTEMPTS", 8, 2),
    number("TOKENS", 6, 4),
    flexible("SHARE", (8, 60), 3),
    number("%", 4, 1),
];

/// Draws the pane.
pub(in crate::view) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let pane = model.panes.at(PaneId::Invoice);
    let focused = model.panes.focus == PaneId::Invoice;
    let day = selected_day(model).map(|(day, _)| day);
    let mut about = Vec::new();
    if let Some(day) = day {
        about.push(seg(0, format!(" {}", day_name(&day.date)), theme.strong()));
        about.push(seg(2, " · for the invoice", theme.dim()));
        let ranking = &day.breakdown.by_provider;
        let named: Usd = ranking.top.iter().map(|row| row.sums.cost_usd).sum();
        let sum = named + ranking.others_sums.cost_usd;
        about.push(match sum == day.breakdown.sums.cost_usd {
            true => seg(1, " · Σ✓ adds up", theme.tone(Tone::Ok)),
            false => seg(0, " · Σ≠ the day", theme.tone(Tone::Critical)),
        });
    }
    let frame = Frame {
        title: PaneId::Invoice.title(),
        about,
        legend: Vec::new(),
        hints: &[],
        focused,
        boxed: class != Class::Small,
    };
    let mut inner = frame::draw(canvas, rect, frame);
    let Some(day) = day else {
        canvas.put(
            (inner.x + 1, inner.y),
            inner.width,
            "a day's providers stand here",
            theme.dim(),
        );
        return;
    };
    let fit = table::fit(&LINE, inner.width, pane.first_column);
    if layout::has_header(class, PaneId::Invoice, rect) {
        table::header(canvas, Rect { height: 1, ..inner }, &LINE, &fit);
        inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    }
    let ranking = &day.breakdown.by_provider;
    let total = day.breakdown.sums.cost_usd;
    let others = (ranking.others > 0).then(|| RankedRow {
        name: format!("{} others", ranking.others),
        sums: ranking.others_sums,
    });
    let cursor = focused.then(|| rows::cursor(model, PaneId::Invoice)).flatten();
    let shown = ranking.top.iter().chain(&others).skip(pane.offset).enumerate();
    for ((rank, line), y) in shown.zip(inner.y..inner.bottom()) {
        let selected = cursor == Some(Key::Name(line.name.as_str().into()));
        let row = Rect { y, height: 1, ..inner };
        let cells = cells(canvas, line, (rank + pane.offset, total), &fit);
        table::row(canvas, row, (&LINE, &fit), Look { selected, focused }, |index, _| {
            cells.get(index).cloned().unwrap_or_default()
        });
    }
}

/// The pieces of every cell.
fn cells(
    canvas: &Canvas<'_>,
    line: &RankedRow,
    (rank, total): (usize, Usd),
    fit: &table::Fit,
) -> [Vec<Piece>; COLUMNS] {
    let theme = canvas.theme;
    let width = fit.shown.iter().find(|(index, _)| *index == 4).map_or(0, |(_, width)| *width);
    let series = ratatui::style::Style::new().fg(theme.series(rank));
    let share = Percent::of(line.sums.cost_usd, total).whole();
    [
        vec![(line.name.clone(), theme.text())],
        vec![(canvas.money(line.sums.cost_usd, 6), theme.strong())],
        vec![(format::count(line.sums.attempts), theme.dim())],
        vec![(format::count(line.sums.total_tokens()), theme.dim())],
        gauge::bar(line.sums.cost_usd, total, width, (series, theme.dim())),
        vec![(format!("{share}%"), theme.dim())],
    ]
}
