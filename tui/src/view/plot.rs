//! Curves in dots: two across and four down in each cell.
//!
//! Places are counted in dots from the lower left. Where two curves meet in one cell, the one of
//! the higher rank gives the colour. Refuses to know what the curves mean and which scale they
//! have.
//!
//! ```text
//!        ⢀⣠⠞⠋
//!  ⣀⣤⡴⠶⠞⠋⠁          a line through (0, 0) and (23, 11)
//! ```

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::canvas::Canvas;

/// How a curve looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ink {
    /// Its look.
    pub style: Style,
    /// The higher one gives the colour of a cell that two curves share.
    pub rank: u8,
    /// Only every so many dots are drawn: 1 is a line, 3 is dotted.
    pub every: u16,
}

/// A field of dots over a rectangle.
pub(super) struct Plot {
    rect: Rect,
    cells: Vec<Option<(u8, Ink)>>,
}

/// A dot, counted from the lower left.
pub(super) type Dot = (u16, u16);

impl Plot {
    /// An empty field.
    pub fn new(rect: Rect) -> Self {
        Self { rect, cells: vec![None; usize::from(rect.width) * usize::from(rect.height)] }
    }

    /// How many dots there are, across and up.
    pub const fn size(&self) -> Dot {
        (self.rect.width.saturating_mul(2), self.rect.height.saturating_mul(4))
    }

    /// Sets one dot; one outside is left out.
    pub fn dot(&mut self, (x, y): Dot, ink: Ink) {
        let (width, height) = self.size();
        if x >= width || y >= height {
            return;
        }
        let row = usize::from(self.rect.height - 1 - y / 4);
        let place = row * usize::from(self.rect.width) + usize::from(x / 2);
        let bit = BITS[usize::from(x % 2)][usize::from(y % 4)];
        if let Some(cell) = self.cells.get_mut(place) {
            *cell = Some(match *cell {
                Some((bits, known)) if known.rank >= ink.rank => (bits | bit, known),
                Some((bits, _)) => (bits | bit, ink),
                None => (bit, ink),
            });
        }
    }

    /// A straight line, column by column, without holes where it is steep.
    pub fn line(&mut self, from: Dot, to: Dot, ink: Ink) {
        let ([x0, y0], [x1, y1]) = ([from.0, from.1].map(i32::from), [to.0, to.1].map(i32::from));
        let steps = (x1 - x0).abs().max((y1 - y0).abs()).max(1);
        for step in 0..=steps {
            let at = |start: i32, end: i32| {
                u16::try_from(start + ((end - start) * step * 2 + steps).div_euclid(steps * 2)).ok()
            };
            let dashed = u16::try_from(step).unwrap_or(0) % ink.every.max(1) != 0;
            if let (false, Some(x), Some(y)) = (dashed, at(x0, x1), at(y0, y1)) {
                self.dot((x, y), ink);
            }
        }
    }

    /// Writes the dots over what is there; cells without dots are left alone.
    pub fn draw(self, canvas: &mut Canvas<'_>) {
        let places = self.rect.positions();
        for (place, cell) in places.zip(self.cells) {
            let Some((bits, ink)) = cell else { continue };
            let glyph = char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' ');
            if let Some(cell) = canvas.cell(place.x, place.y) {
                cell.set_char(glyph);
                cell.set_style(ink.style);
            }
        }
    }
}

/// Where `value` stands between the ends of a scale, in dots of `count`; `None` when outside.
pub(super) fn place(value: i128, (low, high): (i128, i128), count: u16) -> Option<u16> {
    if value < low || value > high || count == 0 {
        return None;
    }
    let span = (high - low).max(1);
    let dots = (value - low).saturating_mul(i128::from(count - 1)) * 2 + span;
    u16::try_from(dots / (span * 2)).ok().map(|dot| dot.min(count - 1))
}

/// Which bit a dot is: by column, then by row from below.
const BITS: [[u8; 4]; 2] = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_holes_and_nothing_is_set_outside() {
        let ink = Ink { style: Style::new(), rank: 0, every: 1 };
        let rows = [((0, 0), (7, 3), "⣀⠤⠒⠉"), ((0, 3), (7, 0), "⠉⠒⠤⣀"), ((0, 0), (0, 3), "⡇   ")];
        for (from, to, drawn) in rows {
            let mut plot = Plot::new(Rect::new(0, 0, 4, 1));
            plot.line(from, to, ink);
            plot.dot((8, 0), ink);
            plot.dot((0, 4), ink);
            let glyph = |cell: &Option<(u8, Ink)>| {
                let bits = cell.map(|(bits, _)| u32::from(bits));
                bits.map_or(' ', |bits| char::from_u32(0x2800 + bits).unwrap())
            };
            assert_eq!(plot.cells.iter().map(glyph).collect::<String>(), drawn, "{from:?}");
        }
    }

    #[test]
    fn places_on_a_scale_are_its_ends_or_between() {
        let rows = [(0, Some(0)), (10, Some(9)), (5, Some(5)), (-1, None), (11, None)];
        for (value, dot) in rows {
            assert_eq!(place(value, (0, 10), 10), dot, "{value}");
        }
        assert_eq!(place(3, (3, 3), 4), Some(0), "a scale of nothing");
        assert_eq!(place(3, (0, 9), 0), None);
    }
}
