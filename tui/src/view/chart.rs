//! MONEY OUT: what left, stacked, over time.
//!
//! Eight levels to a cell; where two series meet inside one, the lower is its colour and the upper
//! its ground. A gap in what is known is `╌`, never zero. Without colour the series are letters.
//! Refuses to know where the numbers come from: that is [`super::bars`].
//!
//! ```text
//! 1.00 ┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈▄▂┈    the scale ends with a round number
//!      ▁▂▃▅▄▂▁        ▁▃▅▇██▇▅▃    upper series
//! 0.50 ███████▇▅▃▂▃▅▇███████████
//! 0.00 ███████████████████████╌╌   lower series; the end is not known
//!      -12m        -4m      now
//! ```

use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use tollgate_shared::money::{PICOS_PER_USD, Usd};

use super::bars::{self, Bar, Bars};
use super::canvas::{Canvas, Piece, seg};
use super::frame::{self, Frame};
use crate::format;
use crate::model::{ChartWindow, Model};

/// Draws the pane.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect) {
    let columns = usize::from(rect.width.saturating_sub(2 + LABEL + 1));
    let wide = columns / 60;
    // On a wall each column is two cells or more, for the news reach sixteen minutes back.
    let cells = if model.window == ChartWindow::Quarter { wide.max(1) } else { 1 };
    let bars = bars::of(model, columns / cells.max(1));
    let dim = canvas.theme.dim();
    let by = bars::stacked_by(model.group).word();
    let about = match model.window {
        ChartWindow::Minute | ChartWindow::Quarter => {
            format!(" $/min by {by} · {}", model.window.buckets())
        }
        _ => format!(" $/min · {}", model.window.buckets()),
    };
    let frame = Frame {
        title: "MONEY OUT",
        about: vec![seg(1, about, dim)],
        legend: legend(canvas, &bars, rect.width),
        hints: &[("t", "window")],
        focused: false,
        boxed: true,
    };
    let inner = frame::draw(canvas, rect, frame);
    if inner.height < 2 || columns == 0 {
        return;
    }
    let place = Rect {
        x: inner.x + LABEL,
        width: inner.width.saturating_sub(LABEL + 1),
        height: inner.height - 1,
        ..inner
    };
    if bars.bars.is_empty() {
        let text = "waiting for GET /metrics of the gateway";
        canvas.put((place.x, place.y), place.width, text, dim);
        return;
    }
    let most = ceiling(bars.most());
    scale(canvas, inner, place, most);
    for (index, bar) in bars.bars.iter().enumerate() {
        let at = index * cells;
        for x in at..at + cells {
            let offset = bars.bars.len() * cells;
            let start = usize::from(place.width).saturating_sub(offset);
            let Ok(x) = u16::try_from(start + x) else { continue };
            column(canvas, Rect { x: place.x + x, width: 1, ..place }, bar, most);
        }
    }
    axis(canvas, inner, place, &bars, cells);
}

/// Marks and names, short enough that all of them fit.
fn legend(canvas: &Canvas<'_>, bars: &Bars, width: u16) -> Vec<Piece> {
    let theme = canvas.theme;
    let cells = usize::from(width).saturating_sub(8) / bars.series.len().max(1);
    let cells = cells.saturating_sub(2).clamp(5, 16);
    let mut pieces = Vec::with_capacity(bars.series.len() * 2);
    for (rank, name) in bars.series.iter().enumerate() {
        let mark = if theme.is_mono() { letter(rank) } else { "■" };
        let color = color(canvas, rank, bars.series.len());
        pieces.push((mark.to_owned(), Style::new().fg(color)));
        pieces.push((format!("{} ", short(name, &bars.series, cells)), theme.dim()));
    }
    pieces
}

/// A name in `cells`: whole, else its longest part that no other series shares, else cut.
fn short(name: &str, series: &[String], cells: usize) -> String {
    if crate::text::width_of(name) <= cells {
        return crate::text::clean(name, cells);
    }
    let is_shared = |part: &str| {
        series.iter().filter(|other| other.split(JOINTS).any(|known| known == part)).count() > 1
    };
    let fits = |part: &&str| part.len() > 1 && part.len() <= cells && !is_shared(part);
    let longest = name.split(JOINTS).filter(fits).max_by_key(|part| part.len());
    crate::text::clean(longest.unwrap_or(name), cells)
}

/// Labels at the top, in the middle and at the foot, with fine lines across.
fn scale(canvas: &mut Canvas<'_>, inner: Rect, place: Rect, most: Usd) {
    let dim = canvas.theme.dim();
    let rows = place.height;
    let decimals = match most {
        most if most >= usd(100) => 0,
        most if most < Usd::from_picos(PICOS_PER_USD / 10) => 3,
        _ => 2,
    };
    let line = "┈".repeat(usize::from(place.width));
    let label = |canvas: &mut Canvas<'_>, row: u16, amount: Usd| {
        let money = canvas.money(amount, decimals);
        // `.015`: a label has four cells, and the zero says the least of five.
        let money = if decimals == 3 { money.trim_start_matches('0') } else { &money };
        let text = crate::text::right(money, usize::from(LABEL) - 1);
        canvas.put((inner.x, place.y + row), LABEL, &text, dim);
    };
    label(canvas, 0, most);
    canvas.put((place.x, place.y), place.width, &line, dim);
    if rows >= 5 {
        label(canvas, rows / 2, most.half());
        canvas.put((place.x, place.y + rows / 2), place.width, &line, dim);
    }
    if rows >= 3 {
        label(canvas, rows - 1, Usd::ZERO);
    }
}

/// How long ago, every so many cells, counted from the right.
fn axis(canvas: &mut Canvas<'_>, inner: Rect, place: Rect, bars: &Bars, cells: usize) {
    let dim = canvas.theme.dim();
    let y = inner.bottom() - 1;
    let count = bars.bars.len();
    let every = (usize::from(AXIS_EVERY) / cells).max(1);
    let mut back = every;
    canvas.put((place.right() - 3, y), 3, "now", dim);
    while back < count {
        let seconds = i64::try_from(back).unwrap_or(0).saturating_mul(bars.span_s);
        let text = format!("-{}", format::span(u64::try_from(seconds).unwrap_or(0)));
        let right = usize::from(place.width).saturating_sub(back * cells);
        if let Ok(x) = u16::try_from(right.saturating_sub(1)) {
            canvas.put((place.x + x, y), 6, &text, dim);
        }
        back += every;
    }
}

/// One column of cells, from the foot up.
fn column(canvas: &mut Canvas<'_>, rect: Rect, bar: &Bar, most: Usd) {
    let foot = rect.bottom() - 1;
    if !bar.known {
        let dim = canvas.theme.dim();
        canvas.put((rect.x, foot), 1, "╌", dim);
        return;
    }
    let levels = u64::from(rect.height) * 8;
    let level = |amount: Usd| -> u64 {
        let ppm = amount.ppm_of(most).unwrap_or(0).min(1_000_000);
        (ppm * levels + 500_000) / 1_000_000
    };
    let mut sum = Usd::ZERO;
    let tops: Vec<u64> = bar
        .parts
        .iter()
        .map(|part| {
            sum += *part;
            level(sum)
        })
        .collect();
    for row in 0..rect.height {
        let foot_of_cell = u64::from(row) * 8;
        let runs = runs(&tops, foot_of_cell);
        if let Some((glyph, style)) = glyph(canvas, &runs, tops.len())
            && let Some(cell) = canvas.cell(rect.x, foot - row)
        {
            cell.set_symbol(glyph);
            cell.set_style(style);
        }
    }
}

/// Which series fill the eight levels above `foot`: rank and how many levels, from below.
fn runs(tops: &[u64], foot: u64) -> Vec<(usize, u64)> {
    let mut from = foot;
    let mut runs = Vec::with_capacity(2);
    for (rank, top) in tops.iter().enumerate() {
        let until = (*top).min(foot + 8);
        if until > from {
            runs.push((rank, until - from));
            from = until;
        }
    }
    runs
}

/// At most two colours fit one cell; the thinnest run gives its levels to its neighbour.
fn glyph(
    canvas: &Canvas<'_>,
    runs: &[(usize, u64)],
    count: usize,
) -> Option<(&'static str, Style)> {
    let filled: u64 = runs.iter().map(|(_, levels)| levels).sum();
    let (thickest, _) = *runs.iter().max_by_key(|(_, levels)| *levels)?;
    if canvas.theme.is_mono() {
        let half = if filled >= 4 { letter(thickest) } else { "." };
        return Some((half, Style::new()));
    }
    let paint = |rank| color(canvas, rank, count);
    if filled < 8 {
        return Some((BLOCKS[usize::try_from(filled).ok()?], Style::new().fg(paint(thickest))));
    }
    let (lowest, _) = *runs.first()?;
    let second = runs.iter().filter(|(rank, _)| *rank != thickest).max_by_key(|(_, n)| *n);
    let Some((second, _)) = second else {
        return Some(("█", Style::new().fg(paint(thickest))));
    };
    let (below, above) = (thickest.min(*second), thickest.max(*second));
    let levels: u64 = runs.iter().filter(|(rank, _)| *rank <= below).map(|(_, n)| n).sum();
    let glyph = BLOCKS[usize::try_from(levels.clamp(1, 7)).ok()?];
    debug_assert!(lowest <= below, "runs are listed from below");
    Some((glyph, Style::new().fg(paint(below)).bg(paint(above))))
}

/// The colour of a rank.
fn color(canvas: &Canvas<'_>, rank: usize, count: usize) -> Color {
    // "Other" is grey whatever its rank, and a single series has the colour of what is well.
    if count == crate::theme::SERIES && rank + 1 == count {
        return canvas.theme.series(crate::theme::SERIES - 1);
    }
    canvas.theme.series(rank.min(crate::theme::SERIES - 2))
}

/// The mark of a rank where there is no colour.
const fn letter(rank: usize) -> &'static str {
    const LETTERS: [&str; 6] = ["a", "b", "c", "d", "e", "o"];
    LETTERS[if rank < 6 { rank } else { 5 }]
}

/// The round number at or above `most` that a scale ends with.
pub(super) fn ceiling(most: Usd) -> Usd {
    let picos = most.or_zero().picos().max(PICOS_PER_USD / 100);
    let mut unit = PICOS_PER_USD / 100;
    while unit.saturating_mul(10) < picos {
        unit *= 10;
    }
    let steps = [10, 15, 20, 30, 50, 75, 100].map(|tenths| unit * tenths / 10);
    Usd::from_picos(steps.into_iter().find(|step| *step >= picos).unwrap_or(picos))
}

/// Whole dollars.
fn usd(whole: i128) -> Usd {
    Usd::from_picos(whole * PICOS_PER_USD)
}

/// What joins the parts of a name.
const JOINTS: [char; 5] = ['-', '_', '.', ':', '/'];

/// Cells of a label and the space after it.
const LABEL: u16 = 5;

/// Cells between two labels of the axis.
const AXIS_EVERY: u16 = 16;

/// Lower blocks by eighths.
pub(super) const BLOCKS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_with_round_numbers() {
        let rows = [
            ("1.23", "1.5"),
            ("0.84", "1"),
            ("0", "0.01"),
            ("0.012", "0.015"),
            ("7.6", "10"),
            ("10", "10"),
            ("640", "750"),
        ];
        for (most, end) in rows {
            let [most, end] = [most, end].map(|text| text.parse::<Usd>().unwrap());
            assert_eq!(ceiling(most), end, "{most}");
        }
    }

    #[test]
    fn a_cell_is_filled_from_below() {
        assert_eq!(runs(&[3, 12, 12, 20], 0), [(0, 3), (1, 5)]);
        assert_eq!(runs(&[3, 12, 12, 20], 8), [(1, 4), (3, 4)]);
        assert_eq!(runs(&[3, 12, 12, 20], 16), [(3, 4)]);
        assert_eq!(runs(&[3, 12, 12, 20], 24), []);
    }
}
