//! How a verb ends: what it says, and the code for scripts.
//!
//! A reader that goes away (`tollgate runs | head`) is no failure. Refuses to know verbs.
//!
//! ```text
//! Ok          ─▶ 0, what was asked for on stdout
//! Err(Gone)   ─▶ 0, nothing: the reader has what it wanted
//! Err(other)  ─▶ 1 to 6, one sentence on stderr
//! ```

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// What a verb answers.
pub type Done = Result<(), Failure>;

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The backend said no, or something here went wrong.
    Refused(String),
    /// Arguments or a configuration file cannot be used.
    Usage(String),
    /// Nobody answered.
    Silent(String),
    /// There is no such thing.
    Absent(String),
    /// Somebody else changed it meanwhile.
    Changed(String),
    /// The backend does not know the route.
    Older(String),
    /// Who read our output has gone.
    Gone,
}

impl Failure {
    /// The code of the process.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Gone => 0,
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Silent(_) => 3,
            Self::Absent(_) => 4,
            Self::Changed(_) => 5,
            Self::Older(_) => 6,
        }
    }

    /// What to tell the person.
    pub fn words(&self) -> &str {
        match self {
            Self::Gone => "",
            Self::Refused(words)
            | Self::Usage(words)
            | Self::Silent(words)
            | Self::Absent(words)
            | Self::Changed(words)
            | Self::Older(words) => words,
        }
    }

    /// Says it on stderr, and ends with its code.
    pub fn tell(&self) -> ExitCode {
        if !self.words().is_empty() {
            // Nobody is left to be told when stderr is gone.
            writeln!(std::io::stderr(), "tollgate: {}", clean(self.words())).ok();
        }
        ExitCode::from(self.code())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::Gone,
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<std::io::Error>() {
            Ok(error) => error.into(),
            Err(error) => Self::Refused(format!("{error:#}")),
        }
    }
}

/// Prints on stdout, and sees to it that it has arrived.
pub fn print(text: &str) -> Done {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A text from outside on lines of its own: what it holds cannot steer the terminal.
pub fn clean(text: &str) -> String {
    text.lines().map(|line| crate::text::clean(line, LINE_MAX)).collect::<Vec<_>>().join("\n")
}

/// Longest line that is passed on, in cells.
const LINE_MAX: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let gone = std::io::Error::from(ErrorKind::BrokenPipe);
        assert_eq!(Failure::from(gone).code(), 0);
        let wrapped = anyhow::Error::from(std::io::Error::from(ErrorKind::BrokenPipe));
        assert_eq!(Failure::from(wrapped).code(), 0);
        assert_eq!(Failure::from(anyhow::anyhow!("x")).code(), 1);
    }

    #[test]
    fn words_from_outside_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\nc"), "a␛[2Jb\nc");
    }
}
