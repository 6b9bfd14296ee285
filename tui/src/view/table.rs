//! Tables: columns with a width and a rank, and rows of pieces.
//!
//! Columns that do not fit are dropped, worst rank first, and counted in the title. Rank 0 is
//! never dropped. Refuses to know what a row is.
//!
//! ```text
//!   RUN   SPENT OF BUDGET      % SPENT $  $/MIN   RUNWAY     room for all but the worst ranks
//! ▌ R-207 ━━━━━━━━━━━━━━╍┃·  90%   45.12  0.271      18m     the mark of the cursor
//! ```

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, width_of};

/// One column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Its heading.
    pub title: &'static str,
    /// Its width in cells; the least one where it may grow.
    pub width: u16,
    /// 0 is never dropped, the highest first.
    pub rank: u8,
    /// Whether numbers stand in it.
    pub right: bool,
    /// The width up to which it may grow.
    pub most: u16,
}

/// A column of text.
pub(super) const fn text(title: &'static str, width: u16, rank: u8) -> Column {
    Column { title, width, rank, right: false, most: width }
}

/// A column of numbers.
pub(super) const fn number(title: &'static str, width: u16, rank: u8) -> Column {
    Column { title, width, rank, right: true, most: width }
}

/// A column that takes what is left.
pub(super) const fn flexible(title: &'static str, (width, most): (u16, u16), rank: u8) -> Column {
    Column { title, width, rank, right: false, most }
}

/// Which columns are shown, how wide, and how many are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// Index and width of each that is shown.
    pub shown: Vec<(usize, u16)>,
    /// How many are not.
    pub dropped: usize,
}

/// Fits columns into `room` cells; `first` of those that may be dropped are scrolled away.
pub(super) fn fit(columns: &[Column], room: u16, first: usize) -> Fit {
    let mut skipped = 0;
    let mut shown: Vec<(usize, u16)> = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        if column.rank > 0 && skipped < first {
            skipped += 1;
        } else {
            shown.push((index, column.width));
        }
    }
    let taken = |shown: &[(usize, u16)]| -> u16 {
        shown.iter().map(|(_, width)| width.saturating_add(1)).sum()
    };
    while taken(&shown) > room {
        // Scrolled, a table goes on to the right, so its last columns are dropped first.
        let worst = shown
            .iter()
            .enumerate()
            .filter(|(_, (index, _))| columns[*index].rank > 0)
            .max_by_key(|(place, (index, _))| match first {
                0 => (usize::from(columns[*index].rank), *place),
                _ => (0, *place),
            })
            .map(|(place, _)| place);
        match worst {
            Some(place) => _ = shown.remove(place),
            None => break,
        }
    }
    let mut left = room.saturating_sub(taken(&shown));
    for (index, width) in &mut shown {
        let more = left.min(columns[*index].most.saturating_sub(*width));
        *width += more;
        left -= more;
    }
    Fit { dropped: columns.len() - shown.len(), shown }
}

/// How a row looks besides its cells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// The cursor is on it.
    pub selected: bool,
    /// Keys act on its pane.
    pub focused: bool,
}

/// Writes the headings.
pub(super) fn header(canvas: &mut Canvas<'_>, rect: Rect, columns: &[Column], fit: &Fit) {
    let dim = canvas.theme.dim();
    cells(canvas, rect, columns, fit, |index, _| vec![(columns[index].title.to_owned(), dim)]);
}

/// Writes one row; `cell` makes the pieces of a column.
pub(super) fn row(
    canvas: &mut Canvas<'_>,
    rect: Rect,
    (columns, fit): (&[Column], &Fit),
    look: Look,
    cell: impl Fn(usize, u16) -> Vec<Piece>,
) {
    if look.selected && look.focused {
        canvas.paint(rect, canvas.theme.selected());
    }
    cells(canvas, rect, columns, fit, cell);
    if look.selected && look.focused {
        let key = canvas.theme.key();
        canvas.put((rect.x, rect.y), 1, "▌", key);
    }
}

/// Writes the cells of one row from left to right, each within its width.
fn cells(
    canvas: &mut Canvas<'_>,
    rect: Rect,
    columns: &[Column],
    fit: &Fit,
    cell: impl Fn(usize, u16) -> Vec<Piece>,
) {
    let mut x = rect.x;
    for (index, width) in &fit.shown {
        // The first cell of a row is kept for the cursor's mark.
        x += 1;
        let width = (*width).min(rect.right().saturating_sub(x));
        let pieces = cell(*index, width);
        let used = u16::try_from(width_of(&pieces)).unwrap_or(u16::MAX).min(width);
        let start = if columns[*index].right { x + width - used } else { x };
        canvas.pieces((start, rect.y), width, &pieces);
        x += width;
    }
}

/// What follows a title when columns are hidden: ` · 7 cols →`.
pub(super) fn hidden(fit: &Fit) -> String {
    if fit.dropped == 0 { String::new() } else { format!(" · {} cols →", fit.dropped) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 5] = [
        text("A", 5, 0),
        flexible("B", (6, 20), 1),
        number("C", 4, 3),
        number("D", 4, 2),
        number("E", 4, 0),
    ];

    #[test]
    fn the_worst_rank_goes_first_and_the_flexible_grows() {
        type Line<'a> = (u16, usize, &'a [(usize, u16)]);
        let rows: [Line<'_>; 6] = [
            (40, 0, &[(0, 5), (1, 18), (2, 4), (3, 4), (4, 4)]),
            (27, 0, &[(0, 5), (1, 10), (3, 4), (4, 4)]),
            (22, 0, &[(0, 5), (1, 10), (4, 4)]),
            (11, 0, &[(0, 5), (4, 4)]),
            (3, 0, &[(0, 5), (4, 4)]),
            (21, 1, &[(0, 5), (2, 4), (3, 4), (4, 4)]),
        ];
        for (room, first, shown) in rows {
            assert_eq!(fit(&COLUMNS, room, first).shown, shown, "{room} {first}");
        }
    }
}
