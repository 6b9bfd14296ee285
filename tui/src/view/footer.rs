//! The last row: tabs, and the keys that are valid now; and the messages above it.
//!
//! While a filter is typed, its line stands here. Refuses to know panes.
//!
//! ```text
//!  1Dashboard  2Runs  3Providers  4Receipts  5Routing  6Alerts●4  7Reports     / filter  ? help
//!  / cost>abc▏  ✖ a value such as $0.05 or 5¢                             Enter keep  Esc clear
//! ```

use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::canvas::{Canvas, Piece, seg};
use super::layout::Class;
use crate::action::Action;
use crate::model::{Dialog, FilterLine, Model, Screen};
use crate::theme::Tone;

/// Draws the footer.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    if let Some(Dialog::Filter(line)) = &model.dialog {
        filter(canvas, line, rect);
        return;
    }
    let theme = canvas.theme;
    let inside = Rect { x: rect.x + 1, width: rect.width.saturating_sub(2), ..rect };
    let mut left = Vec::new();
    for (screen, number) in Screen::ALL.into_iter().zip(1_u8..) {
        let (long, short) = screen.name();
        let name = if class == Class::Small { short } else { long };
        let here = screen == model.screen;
        let style = if here { theme.strong().patch(theme.tab()) } else { theme.text() };
        let rank = if here { 0 } else { 20 + number };
        left.push(seg(rank, format!("{number}"), theme.key()));
        left.push(seg(rank, name, style));
        let open = model.day().alerts.values().filter(|alert| alert.acked_by.is_none()).count();
        if screen == Screen::Alerts && open > 0 {
            left.push(seg(rank, format!("●{open}"), theme.tone(Tone::Critical)));
        }
        if screen != Screen::Reports {
            left.push(seg(rank, if class == Class::Small { " " } else { "  " }, theme.dim()));
        }
    }
    let mut right = Vec::new();
    for (action, word, rank) in HINTS {
        if action.refusal(model).is_none() {
            let small = class == Class::Small;
            let gap = match (right.is_empty(), small) {
                (true, _) => "",
                (false, true) => " ",
                (false, false) => "  ",
            };
            // Where there is little room the tabs matter more than the key that everybody knows.
            let (word, rank) = match (*action, small) {
                (Action::Palette, true) => ("cmd", *rank),
                (Action::Quit, true) => (*word, 39),
                _ => (*word, *rank),
            };
            let key = model.settings.keys.first(*action);
            right.push(seg(rank, format!("{gap}{key}"), theme.key()));
            right.push(seg(rank, format!(" {word}"), theme.dim()));
        }
    }
    canvas.row(inside, left, right);
}

/// Messages, newest lowest, at the right above the footer.
pub(super) fn toasts(canvas: &mut Canvas<'_>, model: &Model, area: Rect) {
    let theme = canvas.theme;
    let room = area.height.saturating_sub(2).min(3);
    let shown = model.toasts.iter().rev().take(usize::from(room));
    for (toast, back) in shown.zip(2_u16..) {
        let text = format!("▌{} ", toast.text);
        let width = u16::try_from(crate::text::width_of(&text)).unwrap_or(u16::MAX);
        let width = width.min(area.width.saturating_sub(2));
        let place = Rect {
            x: area.right().saturating_sub(width + 1),
            y: area.bottom().saturating_sub(back),
            width,
            height: 1,
        };
        canvas.blank(place);
        canvas.paint(place, theme.alert());
        canvas.put((place.x, place.y), width, &text, theme.strong());
    }
}

/// The filter while it is typed, with the bad token marked.
fn filter(canvas: &mut Canvas<'_>, line: &FilterLine, rect: Rect) {
    let theme = canvas.theme;
    canvas.paint(rect, theme.field());
    let end = canvas.put((rect.x + 1, rect.y), 3, "/ ", theme.key());
    let mut pieces = input(canvas, line.input.value(), line.input.cursor(), theme.text());
    if let Some(error) = &line.error {
        pieces = marked(canvas, line, error.start, error.length);
        pieces.push((format!("  ✖ {}", error.why), theme.tone(Tone::Critical)));
    } else if line.input.value().is_empty() {
        let example = "run:R-2* cost>0.05 lat>2s status!=ok (agent:Worker* or model:gpt-4)";
        pieces.push((format!(" {example}"), theme.dim()));
    }
    let room = rect.right().saturating_sub(end + 26);
    canvas.pieces((end, rect.y), room, &pieces);
    let hints = super::frame::hints(canvas, &[("Enter", "keep"), ("Esc", "clear")]);
    let right = Rect { x: rect.right().saturating_sub(26), width: 25.min(rect.width), ..rect };
    canvas.row(right, Vec::new(), hints);
}

/// The filter with its bad token underlined.
fn marked(canvas: &Canvas<'_>, line: &FilterLine, start: usize, length: usize) -> Vec<Piece> {
    let theme = canvas.theme;
    let letters: Vec<char> = line.input.value().chars().collect();
    let (start, end) = (start.min(letters.len()), (start + length).min(letters.len()));
    let of = |range: std::ops::Range<usize>| letters[range].iter().collect::<String>();
    let bad = theme.tone(Tone::Critical).add_modifier(Modifier::UNDERLINED);
    vec![
        (of(0..start), theme.text()),
        (of(start..end), bad),
        (of(end..letters.len()), theme.text()),
        ("▏".into(), theme.key()),
    ]
}

/// A one-line field's text with its cursor.
pub(super) fn input(
    canvas: &Canvas<'_>,
    value: &str,
    cursor: usize,
    style: ratatui::style::Style,
) -> Vec<Piece> {
    let before: String = value.chars().take(cursor).collect();
    let after: String = value.chars().skip(cursor).collect();
    let cursor = style.patch(canvas.theme.key());
    vec![(before, style), ("▏".into(), cursor), (after, style)]
}

/// What the footer offers, in order, with ranks for narrow terminals.
const HINTS: &[(Action, &str, u8)] = &[
    (Action::Filter, "filter", 4),
    (Action::Palette, "command", 5),
    (Action::Undo, "undo", 6),
    (Action::Freeze, "freeze", 7),
    (Action::Register, "register", 40),
    (Action::Theme, "theme", 41),
    (Action::Help, "help", 2),
    (Action::Quit, "quit", 3),
];
