//! Outside text made safe to show.
//!
//! Names and messages come from agents, providers and other people. Only what passes through
//! [`clean`] reaches a cell: escapes, controls and bidirectional marks become visible, floods of
//! combining marks are cut, and the width is bounded. Refuses to know colours and places.

use ratatui::text::Span;

/// `text` with everything that could move a cursor or forge a line made visible, cut to `width`
/// cells; a text that does not fit ends in `…`.
///
/// ```text
/// "\x1b[2Jhi"     → "␛[2Jhi"
/// "pay\u{202e}fdp" → "pay‹202e›fdp"
/// ```
pub fn clean(text: &str, width: usize) -> String {
    // The usual case is short and plain; it is copied without looking at widths.
    if text.len() <= width && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len().min(width * 4));
    let (mut used, mut marks) = (0, 0);
    let mut cut_at = 0;
    for letter in text.chars() {
        let piece = visible(letter);
        let cells = piece.as_deref().map_or_else(|| width_of_char(letter), width_of);
        if cells == 0 {
            marks += 1;
            if marks <= MARKS_MAX {
                shown.push(letter);
            }
            continue;
        }
        marks = 0;
        if used + cells > width {
            if used == width {
                shown.truncate(cut_at);
            }
            if width > 0 {
                shown.push('…');
            }
            return shown;
        }
        // The last place where an ellipsis still fits.
        if used < width {
            cut_at = shown.len();
        }
        match piece {
            Some(piece) => shown.push_str(&piece),
            None => shown.push(letter),
        }
        used += cells;
    }
    shown
}

/// How many cells `text` takes.
pub fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// `text` in exactly `width` cells, cut or filled with spaces at its end.
pub fn left(text: &str, width: usize) -> String {
    let mut shown = clean(text, width);
    let used = width_of(&shown);
    shown.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    shown
}

/// `text` in exactly `width` cells, cut or filled with spaces at its beginning.
pub fn right(text: &str, width: usize) -> String {
    let shown = clean(text, width);
    let used = width_of(&shown);
    let mut filled = " ".repeat(width.saturating_sub(used));
    filled.push_str(&shown);
    filled
}

/// Cells of one character, as the terminal library counts them: two opinions would tear the
/// screen.
fn width_of_char(letter: char) -> usize {
    if letter.is_ascii() {
        return 1;
    }
    let mut bytes = [0; 4];
    Span::raw(&*letter.encode_utf8(&mut bytes)).width()
}

/// What stands for a character that must not reach a terminal; `None` for all others.
fn visible(letter: char) -> Option<String> {
    let code = u32::from(letter);
    match code {
        // The control pictures stand in the same order as the controls.
        0..=0x1f => char::from_u32(0x2400 + code).map(String::from),
        0x7f => Some("␡".into()),
        0x80..=0x9f | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0x061c => {
            Some(format!("‹{code:x}›"))
        }
        0xe0000..=0xe0fff => Some("‹tag›".into()),
        _ => None,
    }
}

/// Most combining marks on one letter: two are writing, more are a flood.
const MARKS_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let rows = [
            ("plain", 10, "plain"),
            ("\x1b[2Jhi", 10, "␛[2Jhi"),
            ("a\rb\nc\td", 10, "a␍b␊c␉d"),
            ("\x1b]52;c;AAAA\x07", 20, "␛]52;c;AAAA␇"),
            ("pay\u{202e}fdp", 20, "pay‹202e›fdp"),
            ("\u{9b}31m", 20, "‹9b›31m"),
            ("zero\u{200b}width", 20, "zero‹200b›width"),
            ("abcdefgh", 5, "abcd…"),
            ("漢字漢字", 5, "漢字…"),
            ("abc", 0, ""),
            ("äöü", 3, "äöü"),
        ];
        for (text, width, shown) in rows {
            assert_eq!(clean(text, width), shown, "{text:?}");
        }
    }

    #[test]
    fn a_flood_of_marks_is_cut() {
        let flood = format!("e{}x", "\u{301}".repeat(10_000));
        assert!(clean(&flood, 10).len() < 16);
    }

    proptest! {
        #[test]
        fn never_wider_than_asked_and_never_a_control(text in ".{0,60}", width in 0_usize..40) {
            let shown = clean(&text, width);
            prop_assert!(width_of(&shown) <= width, "{shown:?}");
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert_eq!(width_of(&left(&text, width)), width);
            prop_assert_eq!(width_of(&right(&text, width)), width);
        }
    }
}
