//! Which characters the terminal can show, and what stands for those it cannot.
//!
//! The view is drawn once, with every glyph; this last step replaces what would be a box or two
//! cells wide. Each replacement is one cell, so nothing moves. Refuses to know roles and colours.
//!
//! | set | for |
//! |---|---|
//! | `unicode` | fonts with box lines, blocks and symbols |
//! | `blocks` | fonts without the heavy dashes and rare symbols |
//! | `ascii` | locales that are not UTF-8, and the Linux console with few glyphs |

/// A set of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Glyphs {
    /// All of them.
    #[default]
    Unicode,
    /// Lines and blocks, no rare symbols.
    Blocks,
    /// What every terminal has.
    Ascii,
}

impl Glyphs {
    /// What the locale can encode, by the variables in the order that C looks them up.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .filter_map(variable)
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_lowercase();
        // An unset locale says nothing; today that is UTF-8 more often than not.
        let is_wide = locale.is_empty() || locale.contains("utf-8") || locale.contains("utf8");
        if is_wide { Self::Unicode } else { Self::Ascii }
    }

    /// Its name, as configuration knows it.
    pub fn read(name: &str) -> Option<Self> {
        match name {
            "unicode" => Some(Self::Unicode),
            "blocks" => Some(Self::Blocks),
            "ascii" => Some(Self::Ascii),
            _ => None,
        }
    }

    /// What stands for a symbol; `None` where it can stay.
    pub fn instead(self, symbol: &str) -> Option<&'static str> {
        if self == Self::Unicode || symbol.is_ascii() {
            return None;
        }
        let table: &[(&str, &str)] = if self == Self::Blocks { BLOCKS } else { ASCII };
        let found = table.iter().find(|(known, _)| known.contains(symbol));
        match (found, self) {
            (Some((_, plain)), _) => Some(plain),
            (None, Self::Ascii) => Some("?"),
            (None, _) => None,
        }
    }
}

/// Rare symbols, by what is in every font with blocks.
const BLOCKS: &[(&str, &str)] = &[
    ("━═", "█"),
    ("╍", "▒"),
    ("╸", "▌"),
    ("┊╎", "│"),
    ("┃", "█"),
    ("✖", "x"),
    ("✓", "v"),
    ("◐◷", "o"),
    ("◌", "o"),
    ("⏸⏴", "="),
    ("⏎", "<"),
];

/// Everything that the view draws, by one plain character.
const ASCII: &[(&str, &str)] = &[
    ("━█▉▊▓", "#"),
    ("═▒", "="),
    ("╍╌┈┄", "-"),
    ("╸▌▋▍", ">"),
    ("·", "."),
    ("┊╎│┃▏▎▐", "|"),
    ("─", "-"),
    ("╭╮╰╯┌┐└┘├┤┬┴┼", "+"),
    ("▁", "_"),
    ("▂", "."),
    ("▃", ":"),
    ("▄▅░", "+"),
    ("▆", "*"),
    ("▇", "%"),
    ("■", "#"),
    ("●◆⏺", "*"),
    ("○◌◯", "o"),
    ("▲↑△", "^"),
    ("▼↓", "v"),
    ("✖×✗", "x"),
    ("✓", "v"),
    ("◐◷", "@"),
    ("→▶", ">"),
    ("←⏴◀", "<"),
    ("≈", "~"),
    ("≠", "!"),
    ("≤", "<"),
    ("≥", ">"),
    ("Σ", "S"),
    ("±", "~"),
    ("…", "~"),
    ("⏸", "="),
    ("⏎", "<"),
    ("•", "*"),
    ("–—", "-"),
    ("¢", "c"),
    ("Δ", "d"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_says_what_it_can_encode() {
        let of = |name: &'static str, value: &'static str| {
            Glyphs::of(move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(of("LANG", "de_DE.UTF-8"), Glyphs::Unicode);
        assert_eq!(of("LC_ALL", "C"), Glyphs::Ascii);
        assert_eq!(of("LC_CTYPE", "en_US.ISO-8859-1"), Glyphs::Ascii);
        assert_eq!(Glyphs::of(|_| None), Glyphs::Unicode);
    }

    #[test]
    fn replacements_take_one_cell() {
        for (_, plain) in ASCII {
            assert!(plain.is_ascii() && plain.len() == 1, "{plain}");
        }
        for (_, plain) in BLOCKS {
            assert_eq!(crate::text::width_of(plain), 1, "{plain}");
        }
        assert_eq!(Glyphs::Ascii.instead("│"), Some("|"));
        assert_eq!(Glyphs::Ascii.instead("é"), Some("?"));
        assert_eq!(Glyphs::Blocks.instead("é"), None);
        assert_eq!(Glyphs::Unicode.instead("│"), None);
    }
}
