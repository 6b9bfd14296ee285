//! Whether the terminal's ground is light, by asking it.
//!
//! Asked once, before the terminal is ours, and only where nothing else says so. A terminal that
//! does not know the question answers the one behind it at once; one that answers nothing costs
//! the timeout. Refuses to know what either palette looks like.

use std::io::IsTerminal;
use std::time::Duration;

use terminal_colorsaurus::{QueryOptions, ThemeMode, theme_mode};

use super::ThemeChoice;

/// What `COLORFGBG` says, else what the terminal answers, else [`ThemeChoice::Auto`].
pub fn ground(variable: impl Fn(&str) -> Option<String>) -> ThemeChoice {
    // Terminals that set it end it with the number of their ground: 7 and 15 are light.
    match variable("COLORFGBG").as_deref().and_then(|value| value.rsplit(';').next()) {
        Some("7" | "15") => return ThemeChoice::Light,
        Some(_) => return ThemeChoice::Dark,
        None => {}
    }
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return ThemeChoice::Auto;
    }
    // A late answer would be read as keys, so a far terminal is given longer.
    let timeout = if variable("SSH_TTY").is_some() { FAR } else { NEAR };
    let mut options = QueryOptions::default();
    options.timeout = timeout;
    match theme_mode(options) {
        Ok(ThemeMode::Light) => ThemeChoice::Light,
        Ok(ThemeMode::Dark) => ThemeChoice::Dark,
        Err(_) => ThemeChoice::Auto,
    }
}

/// How long a terminal of this machine may take.
const NEAR: Duration = Duration::from_millis(100);

/// How long one at the other end of ssh may take.
const FAR: Duration = Duration::from_millis(600);
