//! By how much text can grow before a tokenizer counts it.
//!
//! A byte-level tokenizer makes at most a token of each byte. One that normalises first (NFKC)
//! counts the bytes after that, and a few characters grow there: U+FDFA, three bytes, becomes
//! eighteen characters in thirty-three. Refuses to normalise: it only bounds. The one idea: the
//! characters that grow are few and stand together, so a table of their blocks is enough.

/// Most bytes by which a JSON text can be longer after NFKC, characters and escapes alike.
pub(super) fn growth(json: &str) -> u64 {
    let written = if json.is_ascii() { 0 } else { json.chars().map(of).sum() };
    // An escape takes six bytes, more than its character: reading it as one only adds.
    let escaped = json.split("\\u").skip(1).filter_map(|rest| {
        let code = u32::from_str_radix(rest.get(..4)?, 16).ok()?;
        // Halves of a pair are no characters; twelve bytes cover what a pair can become.
        char::from_u32(code)
    });
    let escaped: u64 = escaped.map(of).sum();
    written + escaped
}

/// Most bytes that one character gains.
fn of(character: char) -> u64 {
    if character.is_ascii() {
        return 0;
    }
    let at = BLOCKS.partition_point(|(_, last, _)| *last < character);
    match BLOCKS.get(at) {
        Some((first, _, gain)) if *first <= character => *gain,
        _ => 0,
    }
}

/// First and last character of each block in which some grow, and the most that one gains, in
/// bytes. From the compatibility decompositions of Unicode 14; later versions add none that gain
/// more than their block's neighbours do.
const BLOCKS: [(char, char, u64); 28] = [
    // Spacing accents and fractions such as ½.
    ('\u{a8}', '\u{be}', 3),
    ('\u{13f}', '\u{149}', 1),
    ('\u{1c4}', '\u{1cc}', 1),
    ('\u{2d8}', '\u{2dd}', 1),
    ('\u{344}', '\u{385}', 3),
    ('\u{587}', '\u{678}', 2),
    // Letters of Indic scripts that are never composed again.
    ('\u{958}', '\u{b5d}', 3),
    ('\u{e33}', '\u{edd}', 3),
    ('\u{f43}', '\u{fb9}', 6),
    ('\u{1fc1}', '\u{1fee}', 2),
    // Primes, number forms, multiple integrals.
    ('\u{2033}', '\u{2057}', 9),
    ('\u{2150}', '\u{2189}', 3),
    ('\u{222c}', '\u{2230}', 6),
    ('\u{247d}', '\u{2487}', 1),
    ('\u{2a0c}', '\u{2adc}', 9),
    ('\u{309b}', '\u{309f}', 3),
    ('\u{30ff}', '\u{30ff}', 3),
    // Words in a square, such as ㌖.
    ('\u{3200}', '\u{32fe}', 5),
    ('\u{32ff}', '\u{33fe}', 15),
    ('\u{fa6c}', '\u{fad7}', 1),
    // Ligatures; the honorifics among them are whole phrases.
    ('\u{fb13}', '\u{fdc7}', 3),
    ('\u{fdf0}', '\u{fdf9}', 12),
    ('\u{fdfa}', '\u{fdfa}', 30),
    ('\u{fdfb}', '\u{fdff}', 12),
    ('\u{fe71}', '\u{fefc}', 1),
    ('\u{1d15e}', '\u{1d1c0}', 8),
    ('\u{1f12a}', '\u{1f12a}', 3),
    ('\u{1f200}', '\u{1f248}', 5),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_in_order_and_apart() {
        assert!(BLOCKS.iter().all(|(first, last, _)| first <= last));
        assert!(BLOCKS.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn characters_that_grow_are_found_written_and_escaped() {
        let rows = [
            ("plain", 0),
            ("grüße 工人 한국 😀", 0),
            ("\u{fdfa}", 30),
            ("\\ufdfa\\uFDFA", 60),
            ("\u{fdfb}\u{3316}\u{2057}", 12 + 15 + 9),
            ("\u{33ff}\u{fdef}\u{1f249}", 0),
            ("½", 3),
            ("\\ud83d\\ude00", 0),
            ("\\u", 0),
            ("\\u12", 0),
            ("\\uzzzz", 0),
            ("\\u00é", 0),
        ];
        for (text, expected) in rows {
            assert_eq!(growth(text), expected, "{text}");
        }
    }
}
