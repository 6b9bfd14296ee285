//! Cells as bytes for a terminal, as few as will do.
//!
//! The pen keeps its colours from frame to frame, so a clock that ticks costs a move and its digits.
//! Refuses to know what the cells mean and when they are sent.
//!
//! ```text
//! changed cells ─▶ move, where the cursor is elsewhere ─▶ what differs from the pen ─▶ symbol
//! ```

use std::fmt::Write;

use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};

/// What the terminal writes with by now; `None` where that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pen {
    look: Option<(Color, Color, Modifier)>,
}

impl Pen {
    /// Writes cells at their places, and remembers what the terminal then writes with.
    pub fn write<'a>(&mut self, cells: impl Iterator<Item = (u16, u16, &'a Cell)>) -> String {
        let mut text = String::with_capacity(4 * 1024);
        let mut cursor = None;
        for (x, y, cell) in cells {
            if cursor != Some((x, y)) {
                // Places are counted from 1.
                write!(text, "\x1b[{};{}H", u32::from(y) + 1, u32::from(x) + 1).ok();
            }
            self.turn(&mut text, (cell.fg, cell.bg, cell.modifier));
            text.push_str(cell.symbol());
            let width = u16::try_from(crate::text::width_of(cell.symbol())).unwrap_or(1);
            cursor = Some((x.saturating_add(width), y));
        }
        text
    }

    /// Tells the terminal what differs from what it writes with.
    fn turn(&mut self, text: &mut String, wanted: (Color, Color, Modifier)) {
        if self.look == Some(wanted) {
            return;
        }
        let (fg, bg, modifier) = wanted;
        // Attributes can be added one by one; taking one away takes them all.
        let known = self.look.filter(|(.., had)| modifier.contains(*had));
        let mut codes: Vec<String> = Vec::with_capacity(4);
        let (had_fg, had_bg, had) = match known {
            Some(look) => look,
            None => {
                codes.push("0".into());
                (Color::Reset, Color::Reset, Modifier::empty())
            }
        };
        for (attribute, code) in ATTRIBUTES {
            if modifier.contains(attribute) && !had.contains(attribute) {
                codes.push(code.into());
            }
        }
        if fg != had_fg {
            codes.push(code(fg, 30));
        }
        if bg != had_bg {
            codes.push(code(bg, 40));
        }
        if !codes.is_empty() {
            write!(text, "\x1b[{}m", codes.join(";")).ok();
        }
        self.look = Some(wanted);
    }
}

/// A colour in the words of ECMA-48, `base` being 30 for letters and 40 for their ground.
fn code(color: Color, base: u8) -> String {
    let plain = |offset: u8| (base + offset).to_string();
    let bright = |offset: u8| (base + 60 + offset).to_string();
    match color {
        Color::Reset => plain(9),
        Color::Black => plain(0),
        Color::Red => plain(1),
        Color::Green => plain(2),
        Color::Yellow => plain(3),
        Color::Blue => plain(4),
        Color::Magenta => plain(5),
        Color::Cyan => plain(6),
        Color::Gray => plain(7),
        Color::DarkGray => bright(0),
        Color::LightRed => bright(1),
        Color::LightGreen => bright(2),
        Color::LightYellow => bright(3),
        Color::LightBlue => bright(4),
        Color::LightMagenta => bright(5),
        Color::LightCyan => bright(6),
        Color::White => bright(7),
        Color::Indexed(index) => format!("{};5;{index}", base + 8),
        Color::Rgb(red, green, blue) => format!("{};2;{red};{green};{blue}", base + 8),
    }
}

/// Attributes and their codes.
const ATTRIBUTES: [(Modifier, &str); 6] = [
    (Modifier::BOLD, "1"),
    (Modifier::DIM, "2"),
    (Modifier::ITALIC, "3"),
    (Modifier::UNDERLINED, "4"),
    (Modifier::REVERSED, "7"),
    (Modifier::CROSSED_OUT, "9"),
];

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    use super::*;
    use crate::fixture;
    use crate::theme::{Depth, Theme, ThemeChoice};

    #[test]
    fn a_second_costs_a_move_and_its_digits() {
        let mut pen = Pen::default();
        let mut cell = Cell::new("7");
        cell.fg = Color::Rgb(1, 2, 3);
        let first = pen.write([(10, 0, &cell)].into_iter());
        assert_eq!(first, "\x1b[1;11H\x1b[0;38;2;1;2;3m7");
        assert_eq!(pen.write([(10, 0, &cell)].into_iter()), "\x1b[1;11H7");
        cell.modifier = Modifier::BOLD;
        assert_eq!(pen.write([(10, 0, &cell)].into_iter()), "\x1b[1;11H\x1b[1m7");
        cell.modifier = Modifier::empty();
        let plain = pen.write([(10, 0, &cell)].into_iter());
        assert_eq!(plain, "\x1b[1;11H\x1b[0;38;2;1;2;3m7", "what is taken away takes all");
    }

    #[test]
    fn a_terminal_shows_what_was_drawn_cell_by_cell_with_its_looks() {
        let (width, height) = (120, 40);
        let [rows, columns] = [height, width].map(|side| side.try_into().unwrap());
        let mut screen = vt100::Parser::new(rows, columns, 0);
        let mut pen = Pen::default();
        let area = Rect::new(0, 0, width, height);
        let mut shown = Buffer::empty(area);
        for keys in ["", "2", "3", "4", "b", "Esc", "6", "?"] {
            let mut model = fixture::model((width, height));
            fixture::press(&mut model, keys);
            let theme = Theme::new(ThemeChoice::Dark, Depth::True);
            let mut next = Buffer::empty(area);
            crate::view::view(&model, &theme, area, &mut next);
            screen.process(pen.write(shown.diff_iter(&next)).as_bytes());
            for y in 0..height {
                for x in 0..width {
                    let (cell, seen) = (&next[(x, y)], screen.screen().cell(y, x).unwrap());
                    let text = if seen.has_contents() { seen.contents() } else { " " };
                    assert_eq!(text, cell.symbol(), "{keys}: {x},{y}");
                    if let Color::Rgb(red, green, blue) = cell.fg {
                        assert_eq!(seen.fgcolor(), vt100::Color::Rgb(red, green, blue), "{x},{y}");
                    }
                    if let Color::Rgb(red, green, blue) = cell.bg {
                        assert_eq!(seen.bgcolor(), vt100::Color::Rgb(red, green, blue), "{x},{y}");
                    }
                    assert_eq!(seen.bold(), cell.modifier.contains(Modifier::BOLD), "{x},{y}");
                    assert_eq!(seen.inverse(), cell.modifier.contains(Modifier::REVERSED));
                }
            }
            shown = next;
        }
    }
}
