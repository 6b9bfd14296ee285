//! Tables for people: aligned columns, every cell made safe.
//!
//! Programs get JSON, which is the backend's own text with its own digits. Refuses to know what
//! stands in the cells.
//!
//! ```text
//! RUN    STATE  SPENT $      OF $
//! R-207  open   45.118204   50.00
//! ```

use crate::text;

/// Rows under headings.
#[derive(Debug)]
pub struct Table {
    heads: Vec<Head>,
    rows: Vec<Vec<String>>,
}

/// A heading.
#[derive(Clone, Copy, Debug)]
pub enum Head {
    /// Over words.
    Left(&'static str),
    /// Over numbers.
    Right(&'static str),
}

impl Table {
    /// An empty table.
    pub fn new(heads: &[Head]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        let clean = |cell: String| text::clean(&cell, CELL_MAX);
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, with a line end after each row.
    pub fn print(&self) -> String {
        let width = |place: usize, head: &Head| {
            let cells = self.rows.iter().filter_map(|row| row.get(place));
            let widest = cells.map(|cell| text::width_of(cell)).max().unwrap_or(0);
            widest.max(head.name().len())
        };
        let widths: Vec<usize> =
            self.heads.iter().enumerate().map(|(place, head)| width(place, head)).collect();
        let names = self.heads.iter().map(|head| head.name().to_owned()).collect();
        let mut shown = String::new();
        for row in std::iter::once(&names).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, head), width) in row.iter().zip(&self.heads).zip(&widths) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                line.push_str(&match head {
                    Head::Left(_) => text::left(cell, *width),
                    Head::Right(_) => text::right(cell, *width),
                });
            }
            shown.push_str(line.trim_end());
            shown.push('\n');
        }
        shown
    }
}

impl Head {
    const fn name(self) -> &'static str {
        match self {
            Self::Left(name) | Self::Right(name) => name,
        }
    }
}

/// Something that may be missing.
pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "—".into(), |value| value.to_string())
}

/// Widest cell; longer ones end in `…`.
const CELL_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_are_safe() {
        let mut table = Table::new(&[Head::Left("RUN"), Head::Right("SPENT $"), Head::Left("WHY")]);
        table.row(vec!["R-207".into(), "45.1".into(), "ok".into()]);
        table.row(vec!["a\x1b[2J".into(), "145.12".into(), String::new()]);
        let wanted = "RUN    SPENT $  WHY\nR-207     45.1  ok\na␛[2J   145.12\n";
        assert_eq!(table.print(), wanted);
    }
}
