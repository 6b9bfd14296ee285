//! The palette, the small menus, and the letters to jump by.
//!
//! Refuses to know what a line does.
//!
//! ```text
//! ╭─ : command palette ─────────────────────────────────────╮
//! │ : raise 207 2▏                                          │
//! │ ▌ budget raise R-207 2        makes it $52.00, lasts 25m │
//! │   pause R-207                 refuse new requests        │
//! ╰──────────────────────────────── Enter run  Tab complete ─╯
//! ```

use ratatui::layout::Rect;

use super::canvas::{Canvas, seg};
use super::dialog::{middle, open};
use super::footer;
use crate::model::{Key, Menu, Model, PaletteLine, PaneId};
use crate::theme::Tone;
use crate::{palette, update};

/// Draws the palette.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, line: &PaletteLine, area: Rect) {
    let theme = canvas.theme;
    let found = palette::lines(model, line.input.value());
    let seen = line.chosen.as_ref();
    let place = seen.and_then(|text| found.iter().position(|known| known.text == *text));
    let chosen = place.unwrap_or(line.selected);
    let height = area.height.saturating_sub(4).clamp(6, 16);
    let rect = middle(area, 84, height);
    let title = (":", vec![seg(1, " command palette", theme.dim())]);
    let inner =
        open(canvas, rect, title, &[("Enter", "run"), ("Tab", "complete"), ("Esc", "close")]);
    let mut pieces = vec![(": ".to_owned(), theme.key())];
    pieces.extend(footer::input(canvas, line.input.value(), line.input.cursor(), theme.strong()));
    canvas.pieces((inner.x, inner.y), inner.width, &pieces);
    let room = inner.height.saturating_sub(2);
    let skip = (chosen + 1).saturating_sub(usize::from(room));
    let wide = (inner.width / 2).min(38);
    for ((place, line_of), y) in
        found.iter().enumerate().skip(skip).zip(inner.y + 1..inner.bottom() - 1)
    {
        let row = Rect { y, height: 1, ..inner };
        let selected = place == chosen;
        if selected {
            canvas.paint(row, theme.selected());
            canvas.put((row.x, y), 1, "▌", theme.key());
        }
        let able = line_of.refusal.is_none();
        let style = if able { theme.text() } else { theme.dim() };
        canvas.put((row.x + 2, y), wide, &line_of.text, style);
        let about =
            line_of.refusal.as_ref().map_or(line_of.effect.clone(), |why| format!("– {why}"));
        let left = row.width.saturating_sub(wide + 3);
        canvas.put((row.x + wide + 3, y), left, &about, theme.dim());
    }
    let foot = match found.get(chosen) {
        None => ("nothing fits these words".to_owned(), theme.tone(Tone::Caution)),
        Some(line) => match &line.refusal {
            Some(why) => (format!("{}: {why}", line.text), theme.tone(Tone::Caution)),
            None => (format!("{} of {}", (chosen + 1).min(found.len()), found.len()), theme.dim()),
        },
    };
    canvas.put((inner.x, inner.bottom().saturating_sub(1)), inner.width, &foot.0, foot.1);
}

/// Draws one of the small menus.
pub(super) fn menu(canvas: &mut Canvas<'_>, menu: Menu, area: Rect) {
    let theme = canvas.theme;
    let lines = update::take_out::lines(menu);
    let title = match menu {
        Menu::Copy => "COPY",
        Menu::Export => "EXPORT",
    };
    let height = u16::try_from(lines.len()).unwrap_or(4) + 2;
    let rect = middle(area, 40, height);
    let inner = open(canvas, rect, (title, Vec::new()), &[("Esc", "close")]);
    for ((key, words), y) in lines.into_iter().zip(inner.y..inner.bottom()) {
        let pieces = [(format!("{key}  "), theme.key()), (words.to_owned(), theme.text())];
        canvas.pieces((inner.x, y), inner.width, &pieces);
    }
}

/// Writes a letter onto every row that is drawn.
pub(super) fn labels(canvas: &mut Canvas<'_>, model: &Model, known: &[(PaneId, Key)]) {
    let style = canvas.theme.key().patch(canvas.theme.field());
    let spots = update::point::spots(model);
    for (pane, key, rect) in spots {
        // A thing keeps its letter while it is on the screen, wherever its row has moved.
        let place = known.iter().position(|of| of.0 == pane && of.1 == key);
        let Some(letter) = place.and_then(|place| update::point::LABELS.chars().nth(place)) else {
            continue;
        };
        canvas.put((rect.x + 1, rect.y), 1, &letter.to_string(), style);
    }
}
