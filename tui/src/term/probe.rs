//! Questions to the terminal, and what its answers mean.
//!
//! Each glyph is written at the beginning of the line and the cursor's place is asked for; then
//! whether output can be synchronized; at last what kind of terminal it is, which all of them
//! answer: whatever has not come by then does not come. Refuses to know what is made of it.
//!
//! ```text
//! \r━ ESC[6n   ESC[?2026$p   ESC[c   ─▶   ESC[1;2R   ESC[?2026;2$y   ESC[?62;52c
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What a terminal has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    columns: Vec<u16>,
    sync: Option<u16>,
    kind: Vec<u16>,
}

impl Answers {
    /// How many glyphs were measured.
    pub fn widths(&self) -> usize {
        self.columns.len()
    }

    /// Glyphs that do not take exactly one cell.
    pub fn wrong_widths(&self) -> impl Iterator<Item = char> {
        let wide = |(glyph, column): (char, &u16)| (*column != 2).then_some(glyph);
        GLYPHS.chars().zip(&self.columns).filter_map(wide)
    }

    /// Whether output can be synchronized: the mode is known, whether on or off.
    pub fn sync(&self) -> bool {
        matches!(self.sync, Some(1..=3))
    }

    /// Whether it says that programs may set the clipboard.
    pub fn clipboard(&self) -> bool {
        self.kind.contains(&52)
    }

    /// Reads everything that is an answer; what is not is passed over.
    fn read(bytes: &[u8]) -> (Self, bool) {
        let text = String::from_utf8_lossy(bytes);
        let (mut answers, mut is_done) = (Self::default(), false);
        for part in text.split("\x1b[").skip(1) {
            let Some(end) = part.find(|letter: char| letter.is_ascii_alphabetic()) else {
                continue;
            };
            let (inside, last) = part.split_at(end);
            let plain = inside.trim_start_matches('?').trim_end_matches('$');
            let numbers: Vec<u16> = plain.split(';').filter_map(|word| word.parse().ok()).collect();
            match (last.chars().next(), numbers.as_slice()) {
                (Some('R'), [_, column]) => answers.columns.push(*column),
                (Some('y'), [2026, state]) => answers.sync = Some(*state),
                (Some('c'), kind) if inside.starts_with('?') => {
                    answers.kind = kind.to_vec();
                    is_done = true;
                }
                _ => {}
            }
        }
        (answers, is_done)
    }
}

/// Asks, and waits for the answers so long at most. The terminal is in raw mode meanwhile, so that
/// answers are not shown.
pub fn ask(patience: Duration) -> io::Result<Answers> {
    crossterm::terminal::enable_raw_mode()?;
    let asked = exchange(patience);
    crossterm::terminal::disable_raw_mode()?;
    asked
}

fn exchange(patience: Duration) -> io::Result<Answers> {
    let mut tty = File::options().read(true).write(true).open("/dev/tty")?;
    let mut question = String::new();
    for glyph in GLYPHS.chars() {
        question.push_str(&format!("\r{glyph}\x1b[6n"));
    }
    question.push_str("\r\x1b[K\x1b[?2026$p\x1b[c");
    tty.write_all(question.as_bytes())?;
    tty.flush()?;
    let (sender, bytes) = channel();
    // It may wait for ever; the program ends without it.
    std::thread::spawn(move || {
        let mut piece = [0; 256];
        while let Ok(length @ 1..) = tty.read(&mut piece) {
            if sender.send(piece[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    let (mut heard, until) = (Vec::new(), Instant::now() + patience);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match bytes.recv_timeout(left) {
            Ok(piece) => heard.extend(piece),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
        }
        let (answers, is_done) = Answers::read(&heard);
        if is_done {
            return Ok(answers);
        }
        if heard.len() > ANSWER_MAX {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
    }
}

/// What the screens are drawn with, and some fonts have wide.
const GLYPHS: &str = "━═╍┊╸▌▁▆█●◐○✖▲■✓◷≈◌±→…";

/// Most bytes of answers that are believed.
const ANSWER_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_any_order_and_noise_is_passed_over() {
        let bytes = b"x\x1b[5;2R\x1b[5;3Rjunk\x1b[?2026;2$y\x1b[200~\x1b[?62;4;52c";
        let (answers, is_done) = Answers::read(bytes);
        assert!(is_done && answers.sync() && answers.clipboard());
        assert_eq!(answers.widths(), 2);
        assert_eq!(answers.wrong_widths().collect::<String>(), "═");
        let (answers, is_done) = Answers::read(b"\x1b[?2026;0$y\x1b[5;");
        assert!(!is_done && !answers.sync() && !answers.clipboard());
    }
}
