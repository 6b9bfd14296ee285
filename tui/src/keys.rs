//! Which key does what: the only place that knows.
//!
//! The help, the footer and `tollgate keys` are printed from a [`KeyMap`], so they cannot be wrong.
//! It begins as the table below; `keys.toml` lays other keys over it. Unbound on purpose, because
//! tmux, screen and flow control want them: C-a C-b C-h C-j C-k C-s C-q C-Space. Refuses to know
//! what an action does, and where a map is written.
//!
//! ```text
//! key ─▶ Chord ─▶ KeyMap ─▶ Action ─▶ update          and from the same rows:
//!                    └────▶ help, footer, `tollgate keys`
//! ```

use std::fmt;

use crate::action::{Action, Section};
use crate::message::{Chord, Code};
use crate::model::Screen;

/// A key for every action that has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMap {
    /// Every action once, in the order of the table.
    rows: Vec<(Action, Vec<Chord>)>,
}

/// Why a map cannot hold; the old one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The key belongs to tmux, screen or the terminal's flow control.
    Reserved(Chord),
    /// Two actions want one key.
    Clash {
        /// The key.
        chord: Chord,
        /// Who has it.
        one: Action,
        /// Who wants it as well.
        other: Action,
    },
    /// Nothing would be left to leave with.
    NoWayOut,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved(chord) => {
                write!(f, "`{chord}` belongs to tmux, screen or flow control; take another key")
            }
            Self::Clash { chord, one, other } => {
                write!(f, "`{chord}` is the key of `{}` and of `{}`", one.name(), other.name())
            }
            Self::NoWayOut => f.write_str("`quit` and `interrupt` need a key between them"),
        }
    }
}

impl Default for KeyMap {
    fn default() -> Self {
        let read = |keys: &[&str]| keys.iter().filter_map(|key| Chord::read(key)).collect();
        Self { rows: BINDINGS.iter().map(|(keys, action)| (*action, read(keys))).collect() }
    }
}

impl KeyMap {
    /// This map with other keys for some actions, or none for those with an empty list. A key that
    /// is given away must not be another's still.
    pub fn with(&self, changes: Vec<(Action, Vec<Chord>)>) -> Result<Self, KeyError> {
        let mut rows = self.rows.clone();
        for (action, chords) in changes {
            if let Some(chord) = chords.iter().find(|chord| is_reserved(**chord)) {
                return Err(KeyError::Reserved(*chord));
            }
            rows.retain(|(known, _)| *known != action);
            rows.push((action, chords));
        }
        let place = |action| BINDINGS.iter().position(|(_, known)| *known == action);
        rows.sort_by_key(|(action, _)| place(*action));
        let mut seen: Vec<(Chord, Action)> = Vec::new();
        for (other, chords) in &rows {
            for chord in chords {
                if let Some((_, one)) = seen.iter().find(|(known, _)| known == chord) {
                    return Err(KeyError::Clash { chord: *chord, one: *one, other: *other });
                }
                seen.push((*chord, *other));
            }
        }
        let map = Self { rows };
        let has = |action| map.chords(action).next().is_some();
        if has(Action::Quit) || has(Action::Interrupt) { Ok(map) } else { Err(KeyError::NoWayOut) }
    }

    /// The action of a key.
    pub fn action(&self, chord: Chord) -> Option<Action> {
        let row = self.rows.iter().find(|(_, chords)| chords.contains(&chord));
        row.map(|(action, _)| *action)
    }

    /// The keys of an action, as printed: `j ↓`.
    pub fn keys(&self, action: Action) -> String {
        self.chords(action).map(|chord| chord.to_string()).collect::<Vec<_>>().join(" ")
    }

    /// The key that is shown where there is room for one.
    pub fn first(&self, action: Action) -> String {
        self.chords(action).next().map_or(String::new(), |chord| chord.to_string())
    }

    /// The whole map as text, or as a table for a page.
    pub fn print(&self, as_markdown: bool) -> String {
        let mut text = String::new();
        if as_markdown {
            text.push_str("| key | action | what it does |\n|---|---|---|\n");
        }
        for section in Section::ALL {
            if !as_markdown {
                text.push_str(section.title());
                text.push('\n');
            }
            for action in Action::all().filter(|action| action.section() == section) {
                let (keys, name, help) = (self.keys(action), action.name(), action.help());
                let line = if as_markdown {
                    // A grave accent wants two of them around it, and room.
                    let keys = match keys.replace('|', "\\|") {
                        keys if keys.contains('`') => format!("`` {keys} ``"),
                        keys => format!("`{keys}`"),
                    };
                    format!("| {keys} | {name} | {help} |\n")
                } else {
                    format!(
                        "  {} {} {help}\n",
                        crate::text::left(&keys, 12),
                        crate::text::left(name, 16)
                    )
                };
                text.push_str(&line);
            }
        }
        text
    }

    /// The keys of an action.
    fn chords(&self, action: Action) -> impl Iterator<Item = &Chord> {
        self.rows.iter().filter(move |(known, _)| *known == action).flat_map(|(_, keys)| keys)
    }
}

/// Whether a key never reaches a program in tmux or screen, or stops the terminal.
fn is_reserved(chord: Chord) -> bool {
    match chord.code {
        Code::Char(' ') => true,
        Code::Char(letter) => chord.ctrl && "abhjksq".contains(letter),
        _ => false,
    }
}

/// The table. Every action stands here once.
const BINDINGS: &[(&[&str], Action)] = &[
    (&["1"], Action::Screen(Screen::Dashboard)),
    (&["2"], Action::Screen(Screen::Runs)),
    (&["3"], Action::Screen(Screen::Providers)),
    (&["4"], Action::Screen(Screen::Receipts)),
    (&["5"], Action::Screen(Screen::Routing)),
    (&["6"], Action::Screen(Screen::Alerts)),
    (&["7"], Action::Screen(Screen::Reports)),
    (&["b"], Action::Budget),
    (&["+", "="], Action::Raise),
    (&["-"], Action::Lower),
    (&["o"], Action::Circuit),
    (&["Enter"], Action::Open),
    (&["y"], Action::Copy),
    (&["J"], Action::CopyJson),
    (&["C"], Action::CopyCurl),
    (&["x"], Action::Pause),
    (&["X"], Action::CloseRun),
    (&["p"], Action::Pin),
    (&["E"], Action::Edit),
    (&["P"], Action::Probe),
    (&[], Action::Remove),
    (&["e"], Action::Export),
    (&["a"], Action::Ack),
    (&["A"], Action::AckAll),
    (&["Z"], Action::Snooze),
    (&["v"], Action::Resolved),
    (&["Tab"], Action::NextPane),
    (&["S-Tab"], Action::PreviousPane),
    (&["j", "↓"], Action::Down),
    (&["k", "↑"], Action::Up),
    (&["g", "Home"], Action::First),
    (&["G", "End"], Action::Last),
    (&["C-d"], Action::HalfDown),
    (&["C-u"], Action::HalfUp),
    (&["PgDn"], Action::PageDown),
    (&["PgUp"], Action::PageUp),
    (&["h", "←"], Action::ColumnsLeft),
    (&["l", "→"], Action::ColumnsRight),
    (&["Esc"], Action::Back),
    (&["`"], Action::PreviousScreen),
    (&[";"], Action::JumpLabels),
    (&["/"], Action::Filter),
    (&["n"], Action::NextMatch),
    (&["N"], Action::PreviousMatch),
    (&["s"], Action::Sort),
    (&["S"], Action::ReverseSort),
    (&["t"], Action::Window),
    (&["c"], Action::Group),
    (&["f"], Action::Freeze),
    (&["F"], Action::Follow),
    (&["z"], Action::Zoom),
    (&["w"], Action::Wide),
    (&["H"], Action::HideMoney),
    (&["T"], Action::Theme),
    (&["["], Action::ScrubBack),
    (&["]"], Action::ScrubOn),
    (&["D"], Action::Audit),
    (&["?"], Action::Help),
    (&[":"], Action::Palette),
    (&["r"], Action::Register),
    (&["u"], Action::Undo),
    (&["0"], Action::Reconnect),
    (&["m"], Action::Mouse),
    (&["Y"], Action::CopyScreen),
    (&["C-l"], Action::Redraw),
    (&["C-z"], Action::Suspend),
    (&["q"], Action::Quit),
    (&["C-c"], Action::Interrupt),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_readable_and_bound_once() {
        let mut seen = Vec::new();
        for key in BINDINGS.iter().flat_map(|(keys, _)| keys.iter()) {
            let chord = Chord::read(key).unwrap_or_else(|| panic!("{key} is no key"));
            assert!(!seen.contains(&chord), "{key} is bound twice");
            assert_eq!(chord.to_string(), *key);
            seen.push(chord);
        }
    }

    #[test]
    fn keys_of_tmux_screen_and_flow_control_stay_free() {
        for key in ["C-a", "C-b", "C-h", "C-j", "C-k", "C-s", "C-q", "Space"] {
            let chord = Chord::read(key).unwrap();
            assert_eq!(KeyMap::default().action(chord), None, "{key}");
            let taken = KeyMap::default().with(vec![(Action::Help, vec![chord])]);
            assert_eq!(taken, Err(KeyError::Reserved(chord)));
        }
    }

    #[test]
    fn every_action_has_one_line() {
        for action in Action::all() {
            let lines = BINDINGS.iter().filter(|(_, known)| *known == action).count();
            assert_eq!(lines, 1, "{action:?}");
            assert!(KeyMap::default().print(false).contains(action.help()));
            assert!(KeyMap::default().print(true).contains(action.name()));
        }
    }

    #[test]
    fn keys_are_remapped_or_the_old_map_stays() {
        let chord = |name| Chord::read(name).unwrap();
        let usual = KeyMap::default();
        let map = usual.with(vec![(Action::Budget, vec![chord("B")]), (Action::Pin, vec![])]);
        let map = map.unwrap();
        assert_eq!(map.action(chord("B")), Some(Action::Budget));
        assert_eq!((map.action(chord("b")), map.action(chord("p"))), (None, None));
        assert_eq!((map.first(Action::Budget), map.keys(Action::Pin)), ("B".into(), "".into()));
        let clash = usual.with(vec![(Action::Budget, vec![chord("q")])]).unwrap_err();
        assert_eq!(clash.to_string(), "`q` is the key of `budget` and of `quit`");
        let swap = vec![(Action::Budget, vec![chord("q")]), (Action::Quit, vec![chord("b")])];
        assert!(usual.with(swap).is_ok(), "two may change places");
        let prison = vec![(Action::Quit, vec![]), (Action::Interrupt, vec![])];
        assert_eq!(usual.with(prison), Err(KeyError::NoWayOut));
    }
}
