//! Big digits, three rows high, for a wall. Refuses to know what they count.
//!
//! ```text
//! ▄█▄ █▀█   █▀█ █ █
//! ▀█▄ █ █   █▀█ ▀▀█
//! ▀█▀ █▄█ ▄ █▄█   █
//! ```

/// The three rows of a text of digits, `$`, `.` and `•`; others are left out.
pub(super) fn rows(text: &str) -> [String; 3] {
    let mut rows = [String::new(), String::new(), String::new()];
    for letter in text.chars() {
        let Some((_, glyph)) = GLYPHS.iter().find(|(known, _)| *known == letter) else { continue };
        for (row, part) in rows.iter_mut().zip(glyph) {
            if !row.is_empty() {
                row.push(' ');
            }
            row.push_str(part);
        }
    }
    rows
}

const GLYPHS: [(char, [&str; 3]); 13] = [
    ('$', ["▄█▄", "▀█▄", "▀█▀"]),
    ('0', ["█▀█", "█ █", "█▄█"]),
    ('1', ["▄█ ", " █ ", "▄█▄"]),
    ('2', ["▀▀█", "█▀▀", "█▄▄"]),
    ('3', ["▀▀█", " ▀█", "▄▄█"]),
    ('4', ["█ █", "▀▀█", "  █"]),
    ('5', ["█▀▀", "▀▀█", "▄▄█"]),
    ('6', ["█▀▀", "█▀█", "█▄█"]),
    ('7', ["▀▀█", "  █", "  █"]),
    ('8', ["█▀█", "█▀█", "█▄█"]),
    ('9', ["█▀█", "▀▀█", "▄▄█"]),
    ('.', [" ", " ", "▄"]),
    ('•', ["   ", " ▄ ", "   "]),
];
