//! FALLBACKS: from whom to whom requests went when one failed, and what that saved.
//!
//! Refuses to know circuits.
//!
//! ```text
//!  azure-gpt4o → openai-gpt4o  612  98% saved  5xx, timeout
//! ```

use ratatui::layout::Rect;

use super::since;
use crate::format;
use crate::model::{Fallback, Key, Model, PaneId};
use crate::theme::{Theme, Tone};
use crate::view::canvas::{Canvas, Piece, seg};
use crate::view::frame::{self, Frame};
use crate::view::layout::{self, Class};
use crate::view::table::{self, Column, Look, flexible, number};

/// How many columns there are in all.
pub(super) const COLUMNS: usize = 4;

const LINE: [Column; COLUMNS] = [
    flexible("FROM → TO", (20, 34), 0),
    number("TIMES", 5, 0),
    number("SAVED", 5, 1),
    flexible("WHY", (10, 60), 2),
];

/// Draws the pane.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let routing = &model.routing;
    let pane = model.panes.at(PaneId::Fallbacks);
    let focused = model.panes.focus == PaneId::Fallbacks;
    let mut about = vec![since(canvas, model)];
    if routing.failed > 0 {
        let words = format!(" · {} saved", format::grouped(routing.rescued));
        about.push(seg(0, words, theme.tone(Tone::Ok)));
        let tone = if routing.lost > 0 { theme.tone(Tone::Critical) } else { theme.dim() };
        about.push(seg(0, format!(" · {} lost", format::grouped(routing.lost)), tone));
    }
    let frame = Frame {
        title: PaneId::Fallbacks.title(),
        about,
        legend: Vec::new(),
        hints: &[],
        focused,
        boxed: class != Class::Small,
    };
    let mut inner = frame::draw(canvas, rect, frame);
    if routing.fallbacks.is_empty() {
        let text = " no request needed a second provider";
        canvas.put((inner.x, inner.y), inner.width, text, theme.dim());
        return;
    }
    let fit = table::fit(&LINE, inner.width, pane.first_column);
    if layout::has_header(class, PaneId::Fallbacks, rect) {
        table::header(canvas, Rect { height: 1, ..inner }, &LINE, &fit);
        inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    }
    let shown = routing.fallbacks.iter().skip(pane.offset);
    let cursor = focused.then(|| crate::model::rows::cursor(model, PaneId::Fallbacks)).flatten();
    for (line, y) in shown.zip(inner.y..inner.bottom()) {
        let selected = cursor == Some(Key::Name(line.pair.clone()));
        let row = Rect { y, height: 1, ..inner };
        table::row(canvas, row, (&LINE, &fit), Look { selected, focused }, |index, _| {
            cell(theme, line, index)
        });
    }
}

/// The pieces of one cell.
fn cell(theme: &Theme, line: &Fallback, index: usize) -> Vec<Piece> {
    let tone = if line.saved < line.count { Tone::Critical } else { Tone::Caution };
    match index {
        0 => vec![(line.pair.to_string(), theme.text())],
        1 => vec![(format::count(line.count), theme.tone(tone))],
        2 => {
            let share = format::permille(line.saved, line.count) / 10;
            vec![(format!("{share}%"), theme.text())]
        }
        _ => {
            let reasons: Vec<&str> = line.reasons.iter().map(|why| &**why).collect();
            vec![(reasons.join(", "), theme.dim())]
        }
    }
}
