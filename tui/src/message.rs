//! Everything that can happen to the console, and everything it can ask for.
//!
//! Messages go into [`crate::update`], effects come out of it; between them lies no clock and no
//! socket, so a test can play any story. Refuses to know how either is carried.

use std::fmt;

use tollgate_shared::circuit::CircuitState;
use tollgate_shared::id::{ProviderName, RequestId, RunId};
use tollgate_shared::time::Timestamp;
use tollgate_shared::window::WindowKind;

use crate::feed::Delta;
use crate::model::Settings;

/// Something happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// A key was pressed.
    Key(Chord),
    /// Text was pasted.
    Paste(String),
    /// The mouse, while it is ours, at a column and a row.
    Mouse(Click, u16, u16),
    /// The terminal has another size.
    Resize(u16, u16),
    /// It is so late, by this machine's clock.
    Clock(Timestamp),
    /// The feed has news.
    Delta(Box<Delta>),
    /// A request was answered.
    Reply(Reply),
    /// The configuration files changed: what holds now, or why the old values stay.
    Settings(Result<Box<Settings>, String>),
    /// Something outside has a word for the person.
    Told(String),
}

/// What the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Click {
    /// The left button went down.
    Press,
    /// The wheel went towards the person.
    WheelDown,
    /// The wheel went away.
    WheelUp,
}

/// Something to do outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Leave.
    Quit,
    /// Stop until the shell continues us.
    Suspend,
    /// Draw every cell anew.
    Redraw,
    /// Put text on the clipboard.
    Copy(String),
    /// Connect now instead of waiting.
    Reconnect,
    /// Send a request.
    Send(Call),
    /// Write a file: how its name begins and ends, and what stands in it.
    Write(Export),
    /// Ask the terminal for the mouse, or let it go.
    Mouse(bool),
}

/// A file to write; its name is made unique where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// How its name begins: `receipts`.
    pub stem: String,
    /// How it ends: `csv`.
    pub ending: &'static str,
    /// What stands in it.
    pub text: String,
}

/// A request to the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it is for; the reply carries it back.
    pub purpose: Purpose,
    /// Which listener.
    pub target: Target,
    /// How.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The body of a change.
    pub body: Option<String>,
    /// The version it changes.
    pub if_match: Option<u64>,
    /// Counts requests of this console; makes the idempotency key. Zero until it is sent.
    pub number: u64,
}

impl Call {
    /// A question.
    pub fn get(purpose: Purpose, target: Target, path: impl Into<String>) -> Self {
        Self {
            purpose,
            target,
            method: Method::Get,
            path: path.into(),
            body: None,
            if_match: None,
            number: 0,
        }
    }

    /// A change.
    pub fn post(purpose: Purpose, target: Target, path: impl Into<String>, body: String) -> Self {
        Self { method: Method::Post, body: Some(body), ..Self::get(purpose, target, path) }
    }

    /// A removal.
    pub fn delete(purpose: Purpose, target: Target, path: impl Into<String>) -> Self {
        Self { method: Method::Delete, ..Self::get(purpose, target, path) }
    }

    /// The same, refused where somebody else has changed it since.
    #[must_use]
    pub fn of_version(self, version: u64) -> Self {
        Self { if_match: Some(version), ..self }
    }
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes.
    Post,
    /// Removes.
    Delete,
}

/// Which listener a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The gateway, 6120.
    Gateway,
    /// The provider router, 6103.
    Router,
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A budget is changed.
    ChangeBudget(RunId),
    /// A budget is read anew after somebody else changed it.
    RereadBudget(RunId),
    /// A budget is read anew because what is shown is old.
    RefreshBudget(RunId),
    /// A run is paused, resumed or closed.
    ChangeRun(RunId, RunVerb),
    /// A provider is registered.
    Register(Option<ProviderName>),
    /// A provider is looked at, for nothing.
    Probe(ProviderName),
    /// A provider is removed.
    Remove(ProviderName),
    /// A circuit is switched; what it was before.
    SwitchCircuit(ProviderName, CircuitState),
    /// An alert is acknowledged.
    Ack(String),
    /// An alert is put away for a while.
    Snooze(String),
    /// The last change is taken back; in words.
    Undo(String),
    /// A run's newest receipts are read, to be held against the rows that came.
    Prove(RunId),
    /// Sums of a longer window are read.
    Metrics(WindowKind),
    /// Somebody looks at what no event carries.
    Look(Look),
}

/// What somebody looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Why a request went where it went.
    Plan(RunId, RequestId),
    /// The exact lines at a place of a run's chain and before it.
    Lines(RunId, u64),
    /// Days, as the ledger sums them.
    Days,
    /// Alerts that ended.
    Ended,
}

/// What is done to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunVerb {
    /// What comes waits, then is refused.
    Pause,
    /// Who waited goes on.
    Resume,
    /// Nothing new is given.
    Close,
}

impl RunVerb {
    /// Its word in a path and on a screen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Close => "close",
        }
    }

    /// What has been done.
    pub const fn done(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Close => "closed",
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What was asked.
    pub purpose: Purpose,
    /// The number it was asked under; zero for questions.
    pub number: u64,
    /// Status and body, or why there is none.
    pub result: Result<(u16, String), String>,
}

/// A name as one segment of a path.
pub fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().fold(String::with_capacity(name.len()), |mut path, byte| {
        if plain(byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
        path
    })
}

/// A key with its modifiers, as `C-d` or `S-Tab` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chord {
    /// The key.
    pub code: Code,
    /// Whether Ctrl was held.
    pub ctrl: bool,
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its key")]
pub enum Code {
    Char(char),
    Enter,
    Esc,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
}

impl Chord {
    /// A key without modifiers.
    pub const fn plain(code: Code) -> Self {
        Self { code, ctrl: false }
    }

    /// Reads `j`, `C-d`, `Enter`, `S-Tab`.
    pub fn read(name: &str) -> Option<Self> {
        if let Some((_, code)) = NAMED.iter().find(|(known, _)| *known == name) {
            return Some(Self::plain(*code));
        }
        let (ctrl, rest) = match name.strip_prefix("C-") {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, name),
        };
        let mut letters = rest.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => Some(Self { code: Code::Char(letter), ctrl }),
            _ => None,
        }
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = NAMED.iter().find(|(_, code)| *code == self.code) {
            return f.write_str(name);
        }
        match (self.ctrl, self.code) {
            (true, Code::Char(letter)) => write!(f, "C-{letter}"),
            (_, Code::Char(letter)) => write!(f, "{letter}"),
            (_, other) => write!(f, "{other:?}"),
        }
    }
}

const NAMED: [(&str, Code); 15] = [
    ("Enter", Code::Enter),
    ("Esc", Code::Esc),
    ("Tab", Code::Tab),
    ("S-Tab", Code::BackTab),
    ("BS", Code::Backspace),
    ("Del", Code::Delete),
    ("↑", Code::Up),
    ("↓", Code::Down),
    ("←", Code::Left),
    ("→", Code::Right),
    ("Home", Code::Home),
    ("End", Code::End),
    ("PgUp", Code::PageUp),
    ("PgDn", Code::PageDown),
    ("Space", Code::Char(' ')),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_whatever_it_holds() {
        assert_eq!(segment("budget:R-198"), "budget%3AR-198");
        assert_eq!(segment("a/b?c é"), "a%2Fb%3Fc%20%C3%A9");
    }
}
