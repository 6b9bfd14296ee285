//! The help: every action from the key table, those of this pane first, searchable.
//!
//! An action that is not available is listed with the reason. Refuses to know what keys do.
//!
//! ```text
//!  THIS PANE: BUDGETS                    MOVE
//! ▌b       budget dialog                 Tab     next pane
//!  x       pause or resume the run –     j ↓     row down
//!  pause: not built yet: it comes with the Runs screen
//! ```

use ratatui::layout::Rect;

use super::canvas::{Canvas, seg};
use super::frame::{self, Frame};
use crate::action::{Action, Section};
use crate::keys::KeyMap;
use crate::model::{HelpList, Model};
use crate::theme::Tone;

/// The actions that a search finds, in the order they are listed.
pub fn lines(keys: &KeyMap, search: &str) -> Vec<Action> {
    let words: Vec<String> = search.split_whitespace().map(str::to_lowercase).collect();
    let fits = |action: &Action| {
        let text = format!("{} {} {}", keys.keys(*action), action.name(), action.help());
        let text = text.to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
    };
    let order = |section| Action::all().filter(move |action| action.section() == section);
    Section::ALL.into_iter().flat_map(order).filter(fits).collect()
}

/// Draws the help over the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, list: &HelpList, area: Rect) {
    let theme = canvas.theme;
    let found = lines(&model.settings.keys, list.search.value());
    let columns: u16 = match area.width {
        ..76 => 1,
        76..130 => 2,
        _ => 3,
    };
    let column = COLUMN.min(area.width.saturating_sub(3) / columns);
    let width = (columns * column + 3).min(area.width);
    let count = u16::try_from(found.len() + Section::ALL.len()).unwrap_or(u16::MAX);
    let height = (count.div_ceil(columns) + 4).min(area.height);
    let rect = super::dialog::middle(area, width, height);
    canvas.blank(rect);
    let about = if list.search.value().is_empty() {
        vec![seg(1, " type to search · every line is runnable with Enter", theme.dim())]
    } else {
        vec![seg(0, format!(" {}▏", list.search.value()), theme.key())]
    };
    let frame = Frame {
        title: "HELP",
        about,
        legend: Vec::new(),
        hints: &[("Enter", "run"), ("Esc", "close")],
        focused: true,
        boxed: true,
    };
    let inner = frame::draw(canvas, rect, frame);
    if inner.height < 3 {
        return;
    }
    let body = Rect { height: inner.height - 1, ..inner };
    let mut entries: Vec<Entry> = Vec::with_capacity(found.len() + 4);
    let mut section = None;
    for (place, action) in found.iter().enumerate() {
        if section != Some(action.section()) {
            section = Some(action.section());
            entries.push(Entry::Title(action.section()));
        }
        entries.push(Entry::Line(place, *action));
    }
    let per_column = usize::from(body.height);
    let pages = per_column * usize::from(columns);
    let at =
        entries.iter().position(|entry| matches!(entry, Entry::Line(p, _) if *p == list.selected));
    let skip = at.unwrap_or(0) / pages.max(1) * pages;
    for (place, entry) in entries.iter().skip(skip).take(pages).enumerate() {
        let cells = |count: usize| u16::try_from(count).unwrap_or(0);
        let place_of = (cells(place / per_column), cells(place % per_column));
        let cell = Rect {
            x: body.x + place_of.0 * column,
            y: body.y + place_of.1,
            width: column.min(body.right().saturating_sub(body.x + place_of.0 * column)),
            height: 1,
        };
        line(canvas, model, entry, list.selected, cell);
    }
    if let Some(action) = found.get(list.selected) {
        let foot = (inner.x + 1, inner.bottom() - 1);
        let (text, style) = match action.refusal(model) {
            Some(reason) => (format!("{}: {reason}", action.name()), theme.tone(Tone::Caution)),
            None => (format!("{}: available", action.name()), theme.dim()),
        };
        canvas.put(foot, inner.width.saturating_sub(2), &text, style);
    }
}

/// What one cell of the list is.
enum Entry {
    Title(Section),
    Line(usize, Action),
}

/// Writes one cell of the list.
fn line(canvas: &mut Canvas<'_>, model: &Model, entry: &Entry, selected: usize, rect: Rect) {
    let theme = canvas.theme;
    match entry {
        Entry::Title(Section::Pane) => {
            let text = format!(" THIS PANE: {}", model.panes.focus.title());
            canvas.put((rect.x, rect.y), rect.width, &text, theme.strong());
        }
        Entry::Title(section) => {
            let text = format!(" {}", section.title());
            canvas.put((rect.x, rect.y), rect.width, &text, theme.strong());
        }
        Entry::Line(place, action) => {
            let available = action.refusal(model).is_none();
            if *place == selected {
                canvas
                    .paint(Rect { width: rect.width.saturating_sub(1), ..rect }, theme.selected());
                canvas.put((rect.x, rect.y), 1, "▌", theme.key());
            }
            let key = if available { theme.key() } else { theme.dim() };
            let words = if available { theme.text() } else { theme.dim() };
            let help = match action {
                Action::Screen(screen) => format!("{} screen", screen.name().0),
                other => other.help().to_owned(),
            };
            let mark = if available { "" } else { " –" };
            canvas.pieces(
                (rect.x + 1, rect.y),
                rect.width.saturating_sub(2),
                &[
                    (crate::text::left(&model.settings.keys.keys(*action), 8), key),
                    (help, words),
                    (mark.to_owned(), theme.dim()),
                ],
            );
        }
    }
}

/// Most cells of one column.
const COLUMN: u16 = 42;
