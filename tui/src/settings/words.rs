//! Formats such as `{burn}/m {runway}`: which words they name, and the text with values in place.
//!
//! `{{` and `}}` are the braces themselves. Refuses to know what the words mean.

/// What a format may name, with its values.
pub type Words<'a> = &'a [(&'static str, String)];

/// Judges a format before there are values.
pub fn check(format: &str, known: &[&str]) -> Result<(), String> {
    pieces(format)?.into_iter().try_for_each(|piece| match piece {
        Piece::Word(word) if !known.contains(&word) => {
            Err(format!("no word `{{{word}}}`; known: {}", known.join(", ")))
        }
        _ => Ok(()),
    })
}

/// The text with values in place of words.
pub fn fill(format: &str, words: Words<'_>) -> Result<String, String> {
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    check(format, &known)?;
    let text = pieces(format)?.into_iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Word(word) => {
            words.iter().find(|(known, _)| *known == word).map_or("", |(_, value)| value)
        }
    });
    Ok(text.collect())
}

/// A stretch of a format.
enum Piece<'a> {
    Text(&'a str),
    Word(&'a str),
}

/// Takes a format apart.
fn pieces(format: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut found, mut rest) = (Vec::new(), format);
    while let Some(place) = rest.find(['{', '}']) {
        let (text, brace) = rest.split_at(place);
        found.push(Piece::Text(text));
        if brace.starts_with("{{") || brace.starts_with("}}") {
            found.push(Piece::Text(&brace[..1]));
            rest = &brace[2..];
            continue;
        }
        let word = brace.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let Some((word, after)) = word else {
            return Err(format!("a brace without its other half in `{format}`; {{{{ is a brace"));
        };
        found.push(Piece::Word(word));
        rest = after;
    }
    found.push(Piece::Text(rest));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_in_and_unknown_ones_are_named() {
        let words = [("burn", "$0.84".to_owned()), ("runway", "18m".to_owned())];
        let rows = [
            ("{burn}/m {runway}", Ok("$0.84/m 18m")),
            ("{{{burn}}}", Ok("{$0.84}")),
            ("plain", Ok("plain")),
            ("{brun}", Err("no word `{brun}`; known: burn, runway")),
            ("{burn", Err("a brace without")),
            ("burn}", Err("a brace without")),
        ];
        for (format, wanted) in rows {
            match (fill(format, &words), wanted) {
                (Ok(found), Ok(wanted)) => assert_eq!(found, wanted),
                (Err(found), Err(wanted)) => assert!(found.starts_with(wanted), "{found}"),
                (found, _) => panic!("{format}: {found:?}"),
            }
        }
    }
}
