//! DAILY: a line for each day, and their mean.
//!
//! Refuses to know why they differ.
//!
//! ```text
//!  DAY      SPENT $ OF LARGEST DAY   REQS TOKENS ¢/REQ  OK % HOURS 00–23              TOP SPENDER
//! ▌Mon 23 ▸  212.40 ━━━━━━━╸······  31.0k   118M  0.69  98.9 ▂▃▂▂▃▂▂▃▇▆▅█▇▆█╌╌╌╌╌╌╌╌╌ R-190 42%
//! ```

use ratatui::layout::Rect;
use tollgate_shared::api::DayReport;
use tollgate_shared::money::{Percent, Usd};
use tollgate_shared::window::Sums;

use super::day_name;
use crate::format;
use crate::model::{Answer, Key, Model, PaneId, days, rows};
use crate::theme::Tone;
use crate::view::canvas::{Canvas, Piece, seg};
use crate::view::chart::BLOCKS;
use crate::view::frame::{self, Frame};
use crate::view::gauge;
use crate::view::layout::{self, Class};
use crate::view::table::{self, Column, Look, flexible, number, text};

/// How many columns there are in all.
pub(super) const COLUMNS: usize = 10;

const LINE: [Column; COLUMNS] = [
    text("DAY", 9, 0),
    number("SPENT $", 9, 0),
    flexible("OF LARGEST DAY", (14, 20), 5),
    number("REQS", 6, 2),
    number("TOKENS", 6, 6),
    number("¢/REQ", 6, 1),
    number("OK %", 5, 3),
    text("HOURS 00–23 (spend)", 24, 4),
    flexible("TOP SPENDER", (12, 40), 7),
    number("UNSURE $", 9, 8),
];

/// Draws the pane.
pub(in crate::view) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let pane = model.panes.at(PaneId::Days);
    let focused = model.panes.focus == PaneId::Days;
    let edge = if class == Class::Small { 0 } else { 2 };
    let fit = table::fit(&LINE, rect.width.saturating_sub(edge), pane.first_column);
    let [year, month, ..] = model.day().now.civil();
    let name = usize::try_from(month - 1).ok().and_then(|place| MONTHS.get(place));
    let title = format!(" {} {year}", name.copied().unwrap_or_default());
    let frame = Frame {
        title: PaneId::Days.title(),
        about: vec![
            seg(1, title, theme.dim()),
            seg(2, " · USD · UTC days", theme.dim()),
            seg(6, table::hidden(&fit), theme.dim()),
        ],
        legend: Vec::new(),
        hints: &[("e", "export csv json md")],
        focused,
        boxed: class != Class::Small,
    };
    let mut inner = frame::draw(canvas, rect, frame);
    let all: Vec<&DayReport> = days(model).collect();
    if all.is_empty() {
        without(canvas, model, inner);
        return;
    }
    if layout::has_header(class, PaneId::Days, rect) {
        table::header(canvas, Rect { height: 1, ..inner }, &LINE, &fit);
        inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    }
    let most = all.iter().map(|day| day.breakdown.sums.cost_usd).max().unwrap_or_default();
    let cursor = rows::cursor(model, PaneId::Days);
    let shown = all.iter().skip(pane.offset).take(usize::from(inner.height));
    let mut y = inner.y;
    for day in shown {
        let selected = cursor == Some(Key::Name(day.date.as_str().into()));
        let cells = cells(canvas, model, day, (most, &fit));
        let row = Rect { y, height: 1, ..inner };
        table::row(canvas, row, (&LINE, &fit), Look { selected, focused }, |index, _| {
            cells.get(index).cloned().unwrap_or_default()
        });
        y += 1;
    }
    let over: Vec<&&DayReport> = all.iter().filter(|day| day.is_over).collect();
    if y < inner.bottom() && over.len() > 1 {
        let cells = mean(canvas, &over, (most, &fit));
        let row = Rect { y, height: 1, ..inner };
        table::row(canvas, row, (&LINE, &fit), Look::default(), |index, _| {
            cells.get(index).cloned().unwrap_or_default()
        });
    }
}

/// Without days: what is asked for, or why there are none, and what is known of today.
fn without(canvas: &mut Canvas<'_>, model: &Model, inner: Rect) {
    let theme = canvas.theme;
    let why = match &model.fetched.report {
        Some(Answer::Missing(why)) => {
            format!("no days: the gateway needs GET /report/daily, and said: {why}")
        }
        Some(_) => "the days are asked for".into(),
        None if model.day().ready => "the days are asked for in a moment".into(),
        None => "waiting for the backend".into(),
    };
    canvas.put((inner.x + 1, inner.y), inner.width.saturating_sub(1), &why, theme.dim());
    if let (Some(today), true) = (&model.day().today, inner.height > 1) {
        let line: [Piece; 2] = [
            (format!("today ${}", canvas.money(today.spent, 2)), theme.strong()),
            (", as the gateway's windows and this console sum it".into(), theme.dim()),
        ];
        canvas.pieces((inner.x + 1, inner.y + 1), inner.width.saturating_sub(1), &line);
    }
}

/// The pieces of every cell of a day.
fn cells(
    canvas: &Canvas<'_>,
    model: &Model,
    day: &DayReport,
    (most, fit): (Usd, &table::Fit),
) -> [Vec<Piece>; COLUMNS] {
    let theme = canvas.theme;
    let breakdown = &day.breakdown;
    let name =
        if day.is_over { day_name(&day.date) } else { format!("{} ▸", day_name(&day.date)) };
    let top = breakdown.by_run.top.first().filter(|row| !row.sums.cost_usd.is_zero());
    let top = top.map_or(String::new(), |row| {
        let share = Percent::of(row.sums.cost_usd, breakdown.sums.cost_usd).whole();
        format!("{} {share}%", row.name)
    });
    let unsure = match breakdown.uncertain_usd {
        amount if amount.is_zero() => String::new(),
        amount => format!("+≤{}", canvas.money(amount, 2)),
    };
    // Hours that have not come are not zero.
    let hour = usize::try_from(model.day().now.seconds().rem_euclid(86_400) / 3_600).unwrap_or(23);
    let known = if day.is_over { 24 } else { hour + 1 };
    let sums = &breakdown.sums;
    let mut cells = sums_cells(canvas, sums, (most, fit));
    cells[0] = vec![(name, theme.strong())];
    cells[7] = hours(canvas, &day.hours_usd, known);
    cells[8] = vec![(top, theme.dim())];
    cells[9] = vec![(unsure, theme.tone(Tone::Caution))];
    cells
}

/// The cells that come from sums alone.
fn sums_cells(
    canvas: &Canvas<'_>,
    sums: &Sums,
    (most, fit): (Usd, &table::Fit),
) -> [Vec<Piece>; COLUMNS] {
    let theme = canvas.theme;
    let plain = |text: String| vec![(text, theme.text())];
    let width = fit.shown.iter().find(|(index, _)| *index == 2).map_or(0, |(_, width)| *width);
    let bar = gauge::bar(sums.cost_usd, most, width, (theme.tone(Tone::Ok), theme.dim()));
    let each = match sums.requests {
        0 => "—".into(),
        count => {
            let picos = sums.cost_usd.picos().saturating_mul(100) / i128::from(count);
            canvas.money(Usd::from_picos(picos), 2)
        }
    };
    let answered = match sums.requests {
        0 => "—".into(),
        count => format::percent(format::permille(sums.answered, count).min(1_000)),
    };
    [
        Vec::new(),
        plain(canvas.money(sums.cost_usd, 2)),
        bar,
        plain(format::count(sums.requests)),
        plain(format::count(sums.total_tokens())),
        plain(each),
        plain(answered),
        Vec::new(),
        Vec::new(),
        Vec::new(),
    ]
}

/// The mean of days that are over.
fn mean(
    canvas: &Canvas<'_>,
    days: &[&&DayReport],
    scale: (Usd, &table::Fit),
) -> [Vec<Piece>; COLUMNS] {
    let count = u64::try_from(days.len()).unwrap_or(1).max(1);
    let mut sums = Sums::default();
    days.iter().for_each(|day| sums.add(&day.breakdown.sums));
    let part = |amount: Usd| Usd::from_picos(amount.picos() / i128::from(count));
    let hour = |hour: usize| {
        part(days.iter().filter_map(|day| day.hours_usd.get(hour)).copied().sum::<Usd>())
    };
    let mean = Sums {
        cost_usd: part(sums.cost_usd),
        input_tokens: sums.input_tokens / count,
        output_tokens: sums.output_tokens / count,
        requests: sums.requests / count,
        answered: sums.answered / count,
        ..Sums::default()
    };
    let mut cells = sums_cells(canvas, &mean, scale);
    cells[0] = vec![(format!("{count}-d mean"), canvas.theme.dim())];
    cells[7] = hours(canvas, &(0..24).map(hour).collect::<Vec<_>>(), 24);
    cells
}

/// Twenty-four hours as a spark line; those that are still to come are a gap.
fn hours(canvas: &Canvas<'_>, hours: &[Usd], known: usize) -> Vec<Piece> {
    let theme = canvas.theme;
    let most = hours.iter().copied().max().unwrap_or_default();
    let level = |amount: &Usd| {
        let ppm = amount.ppm_of(most).unwrap_or(0).min(1_000_000);
        usize::try_from((ppm * 7).div_ceil(1_000_000)).unwrap_or(0) + 1
    };
    let glyph = |amount: &Usd| BLOCKS.get(level(amount)).copied().unwrap_or("█");
    let known = known.min(hours.len());
    let heard: String = hours.iter().take(known).map(glyph).collect();
    vec![(heard, theme.tone(Tone::Ok)), ("╌".repeat(24_usize.saturating_sub(known)), theme.dim())]
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
