//! Where cells are written: the only way to a buffer.
//!
//! Everything that is put here went through [`text::clean`] and is cut at the area's edge, so no
//! text from outside can move a cursor and no pane can write over another. Refuses to know what
//! the words mean.
//!
//! ```text
//! outside text ─▶ put ─▶ text::clean ─▶ cut at the area ─▶ cells
//! ```
//!
//! Panes never hold the buffer itself. A component that owned its cells would be simpler to write and
//! impossible to bound.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use tollgate_shared::money::Usd;

use crate::text;
use crate::theme::Theme;

/// A piece of a line: its text, its look.
pub(super) type Piece = (String, Style);

/// A piece that may be left out when a line is too long: the highest rank goes first, 0 never.
#[derive(Clone, Debug)]
pub(super) struct Seg {
    text: String,
    style: Style,
    rank: u8,
}

impl Seg {
    /// Makes it the first to be left out.
    pub fn go_first(&mut self) {
        self.rank = u8::MAX;
    }
}

/// A piece with its rank.
pub(super) fn seg(rank: u8, text: impl Into<String>, style: Style) -> Seg {
    Seg { text: text.into(), style, rank }
}

/// The buffer, with its theme.
pub(super) struct Canvas<'a> {
    buffer: &'a mut Buffer,
    /// What roles look like.
    pub theme: &'a Theme,
    area: Rect,
    hide_money: bool,
}

impl<'a> Canvas<'a> {
    /// A canvas over `area`, which lies within the buffer.
    pub fn new(buffer: &'a mut Buffer, theme: &'a Theme, area: Rect, hide_money: bool) -> Self {
        Self { buffer, theme, area, hide_money }
    }

    /// Empties a rectangle.
    pub fn blank(&mut self, rect: Rect) {
        let style = self.theme.text().bg(self.theme.ground());
        let rect = rect.intersection(self.area);
        for place in rect.positions() {
            let cell = &mut self.buffer[place];
            cell.reset();
            cell.set_style(style);
        }
    }

    /// Gives a rectangle another look without touching its text.
    pub fn paint(&mut self, rect: Rect, style: Style) {
        self.buffer.set_style(rect.intersection(self.area), style);
    }

    /// Numbers that are not fresh look it: plain text fades, severities stay.
    pub fn fade(&mut self) {
        let (text, dim) = (self.theme.text().fg, self.theme.dim().fg);
        for place in self.area.positions() {
            let cell = &mut self.buffer[place];
            if Some(cell.fg) == text {
                cell.fg = dim.unwrap_or(cell.fg);
            }
        }
    }

    /// Writes at a place, at most `width` cells; answers the cell after it.
    pub fn put(&mut self, (x, y): (u16, u16), width: u16, text: &str, style: Style) -> u16 {
        let inside = y >= self.area.y && y < self.area.bottom() && x >= self.area.x;
        let room = self.area.right().saturating_sub(x).min(width);
        if !inside || room == 0 {
            return x;
        }
        let shown = text::clean(text, usize::from(room));
        let (end, _) = self.buffer.set_stringn(x, y, shown, usize::from(room), style);
        end
    }

    /// Writes pieces one after another within `width` cells; answers the cell after them.
    pub fn pieces(&mut self, (x, y): (u16, u16), width: u16, pieces: &[Piece]) -> u16 {
        let end = x.saturating_add(width);
        pieces
            .iter()
            .fold(x, |x, (text, style)| self.put((x, y), end.saturating_sub(x), text, *style))
    }

    /// A row with a left and a right part; what does not fit is left out by rank.
    pub fn row(&mut self, rect: Rect, left: Vec<Seg>, right: Vec<Seg>) {
        let (left, right) = fit(left, right, usize::from(rect.width));
        let of = |segs: Vec<Seg>| {
            segs.into_iter().map(|seg| (seg.text, seg.style)).collect::<Vec<Piece>>()
        };
        let (left, right) = (of(left), of(right));
        let room = u16::try_from(width_of(&right)).unwrap_or(u16::MAX).min(rect.width);
        self.pieces((rect.x, rect.y), rect.width - room, &left);
        self.pieces((rect.right() - room, rect.y), room, &right);
    }

    /// Whether amounts are shown as dots.
    pub fn hides_money(&self) -> bool {
        self.hide_money
    }

    /// An amount with its decimals, or dots while money is hidden.
    pub fn money(&self, amount: Usd, decimals: u32) -> String {
        if self.hide_money { "•••".into() } else { amount.rounded(decimals) }
    }

    /// An amount with every digit it has, or dots while money is hidden.
    pub fn exact(&self, amount: Usd) -> String {
        if self.hide_money { "•••".into() } else { amount.to_string() }
    }

    /// The look of a cell, for glyphs that stand on what is there.
    pub fn cell(&mut self, x: u16, y: u16) -> Option<&mut ratatui::buffer::Cell> {
        if !self.area.contains((x, y).into()) {
            return None;
        }
        self.buffer.cell_mut((x, y))
    }
}

/// How many cells pieces take.
pub(super) fn width_of(pieces: &[Piece]) -> usize {
    pieces.iter().map(|(text, _)| text::width_of(text)).sum()
}

/// Leaves out rank after rank until both parts fit beside each other.
fn fit(mut left: Vec<Seg>, mut right: Vec<Seg>, width: usize) -> (Vec<Seg>, Vec<Seg>) {
    let cells = |segs: &[Seg]| segs.iter().map(|seg| text::width_of(&seg.text)).sum::<usize>();
    // One cell stays between the parts.
    while cells(&left) + cells(&right) + 1 > width {
        let worst = left.iter().chain(&right).map(|seg| seg.rank).max().unwrap_or(0);
        if worst == 0 {
            break;
        }
        // Pieces of one rank belong together: a key without its word says nothing.
        left.retain(|seg| seg.rank != worst);
        right.retain(|seg| seg.rank != worst);
    }
    (left, right)
}
