//! `keys.toml`: other keys for actions, by their names.
//!
//! ```toml
//! budget = "B"             # one key
//! raise = ["+", "="]       # several
//! pin = []                 # none
//! ```
//!
//! Names are those of `tollgate keys`. A key that two actions want keeps the old map. Refuses to
//! know what actions do.

use std::collections::BTreeMap;

use toml::{Spanned, Value};

use super::{FileError, at, unreadable};
use crate::action::Action;
use crate::keys::{KeyError, KeyMap};
use crate::message::Chord;

/// Reads the file's text, and lays it over the usual keys.
pub(super) fn read(text: &str) -> Result<KeyMap, FileError> {
    let rows: BTreeMap<Spanned<String>, Spanned<Value>> =
        toml::from_str(text).map_err(|error| unreadable(FILE, text, &error))?;
    let mut changes = Vec::new();
    let mut places = Vec::new();
    for (name, keys) in &rows {
        let wrong = |why: String| at(FILE, text, Some(name.span()), why);
        let wanted = name.get_ref().to_lowercase();
        let known = Action::all().find(|action| action.name().to_lowercase() == wanted);
        let Some(action) = known else {
            return Err(wrong(format!(
                "no action `{}`; `tollgate keys` lists them",
                name.get_ref()
            )));
        };
        if places.iter().any(|(known, _)| *known == action) {
            return Err(wrong(format!("`{}` stands here twice", action.name())));
        }
        let chords =
            chords(keys.get_ref()).map_err(|why| at(FILE, text, Some(keys.span()), why))?;
        places.push((action, name.span()));
        changes.push((action, chords));
    }
    let reserved = |chord: &Chord| changes.iter().find(|(_, keys)| keys.contains(chord));
    let place = |action: Action| places.iter().find(|(known, _)| *known == action);
    KeyMap::default().with(changes.clone()).map_err(|error| {
        let span = match &error {
            KeyError::Reserved(chord) => reserved(chord).and_then(|(action, _)| place(*action)),
            // The one that stands in the file is to blame, for the other was there before.
            KeyError::Clash { one, other, .. } => place(*other).or_else(|| place(*one)),
            KeyError::NoWayOut => place(Action::Quit).or_else(|| place(Action::Interrupt)),
        };
        at(FILE, text, span.map(|(_, span)| span.clone()), error.to_string())
    })
}

/// One key, or a list of them.
fn chords(value: &Value) -> Result<Vec<Chord>, String> {
    let names = match value {
        Value::String(_) => std::slice::from_ref(value),
        Value::Array(names) => names.as_slice(),
        _ => return Err("a key such as \"b\" or \"C-d\", or a list of them".into()),
    };
    let chord = |name: &Value| {
        let text = name.as_str().ok_or("a key such as \"b\" or \"C-d\"")?;
        Chord::read(text).ok_or_else(|| format!("`{text}` is no key; try b, C-d, Enter, S-Tab"))
    };
    names.iter().map(chord).collect()
}

const FILE: &str = "keys.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_get_other_keys_by_their_names() {
        let map =
            read("budget = \"B\"\nraise = [\"+\", \"C-u\"]\nhalf-up = []\nruns = \"R\"").unwrap();
        let key = |action| map.keys(action);
        assert_eq!((key(Action::Budget), key(Action::Raise)), ("B".into(), "+ C-u".into()));
        assert_eq!(key(Action::Screen(crate::model::Screen::Runs)), "R");
        assert_eq!(key(Action::HalfUp), "");
        assert_eq!(read("").unwrap(), KeyMap::default());
    }

    #[test]
    fn mistakes_have_their_line_and_column() {
        let rows = [
            ("pin = \"P\"\nfly = \"f\"", "2:1", "no action `fly`"),
            ("budget = 7", "1:10", "a key such as"),
            ("budget = \"BB\"", "1:10", "`BB` is no key"),
            ("budget = [\"B\", 1]", "1:10", "a key such as"),
            ("budget = \"q\"", "1:1", "`q` is the key of `budget` and of `quit`"),
            ("\nbudget = \"C-s\"", "2:1", "flow control"),
            ("budget = \"Space\"", "1:1", "flow control"),
            ("quit = []\ninterrupt = []", "1:1", "need a key"),
            ("Runs = \"R\"\nruns = \"R\"", "2:1", "twice"),
            ("budget", "1:7", ""),
        ];
        for (text, place, why) in rows {
            let error = read(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("keys.toml:{place}: ")), "{text}: {error}");
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
