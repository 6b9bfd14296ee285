//! Which key does what: the only place that knows.
//!
//! The help, the footer and `tollgate keys` are printed from this table, so they cannot be wrong.
//! Unbound on purpose, because tmux, screen and flow control want them: C-a C-b C-h C-j C-k C-s
//! C-q C-Space. Refuses to know what an action does.
//!
//! ```text
//! key ─▶ Chord ─▶ BINDINGS ─▶ Action ─▶ update          and from the same rows:
//!                     └─────▶ help, footer, `tollgate keys`
//! ```

use crate::action::{Action, Section};
use crate::message::Chord;
use crate::model::Screen;

/// The action of a key.
pub fn action(chord: Chord) -> Option<Action> {
    BINDINGS
        .iter()
        .find(|(keys, _)| keys.iter().any(|key| Chord::read(key) == Some(chord)))
        .map(|(_, action)| *action)
}

/// The keys of an action, as printed: `j ↓`.
pub fn keys(action: Action) -> String {
    let bound = BINDINGS.iter().find(|(_, known)| *known == action);
    bound.map_or(String::new(), |(keys, _)| keys.join(" "))
}

/// The whole map as text, or as a table for a page.
pub fn print(as_markdown: bool) -> String {
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
            let (keys, name, help) = (keys(action), action.name(), action.help());
            let line = if as_markdown {
                let keys = keys.replace('|', "\\|");
                format!("| `{keys}` | {name} | {help} |\n")
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
    (&["x"], Action::Pause),
    (&["X"], Action::CloseRun),
    (&["p"], Action::Pin),
    (&["E"], Action::Edit),
    (&["e"], Action::Export),
    (&["a"], Action::Ack),
    (&["A"], Action::AckAll),
    (&["Z"], Action::Snooze),
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
            assert_eq!(Chord::read(key).and_then(action), None, "{key}");
        }
    }

    #[test]
    fn every_action_has_one_line() {
        for action in Action::all() {
            let lines = BINDINGS.iter().filter(|(_, known)| *known == action).count();
            assert_eq!(lines, 1, "{action:?}");
            assert!(print(false).contains(action.help()));
            assert!(print(true).contains(action.name()));
        }
    }
}
