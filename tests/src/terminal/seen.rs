//! What a terminal has seen: its screen, and how it came to be.
//!
//! Refuses to know where bytes come from.

use std::num::NonZeroU16;
use std::time::Instant;

use vt100::{MouseProtocolMode, Parser, Screen};

/// The screen and the tally.
pub struct Seen {
    parser: Parser,
    bytes: u64,
    begun: u64,
    frames: u64,
    last_at: Instant,
    raw: Vec<u8>,
    ended: bool,
}

impl Seen {
    pub(super) fn new(width: NonZeroU16, height: NonZeroU16) -> Self {
        let parser = Parser::new(height, width, 0);
        Self {
            parser,
            bytes: 0,
            begun: 0,
            frames: 0,
            last_at: Instant::now(),
            raw: Vec::new(),
            ended: false,
        }
    }

    /// Takes a chunk in; answers what a terminal would say to it.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.last_at = Instant::now();
        self.bytes += bytes.len() as u64;
        let known = self.raw.len();
        self.raw.extend_from_slice(bytes);
        self.begun += count_after(&self.raw, known, FRAME_BEGIN);
        self.frames += count_after(&self.raw, known, FRAME_END);
        self.parser.process(bytes);
        let answers = answers(&self.raw, known);
        if self.raw.len() > RAW_MAX {
            self.raw.drain(..self.raw.len() - RAW_MAX / 2);
        }
        answers
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn resize(&mut self, width: NonZeroU16, height: NonZeroU16) {
        self.parser.set_size(height, width);
    }

    /// The screen.
    pub fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    /// The rows of the screen, without the spaces they end in.
    pub fn text(&self) -> String {
        let (_, width) = self.screen().size();
        let rows = self.screen().rows(0, width.get());
        rows.map(|row| format!("{}\n", row.trim_end())).collect()
    }

    /// Bytes that came.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Synchronized updates that ended.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Whether no synchronized update is under way: terminals show nothing of one before its end.
    pub const fn is_whole(&self) -> bool {
        self.begun == self.frames
    }

    /// When the last chunk came.
    pub const fn last_at(&self) -> Instant {
        self.last_at
    }

    /// Whether the program has closed its end.
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether reports of the mouse are asked for.
    pub fn has_mouse(&self) -> bool {
        self.screen().mouse_protocol_mode() != MouseProtocolMode::None
    }

    /// The latest bytes as they came, up to a megabyte of them.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Sequences that a console has no business to send: whatever is not in the short list of what
/// drawing, taking and giving back a terminal needs.
pub fn strange(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw);
    let mut found = Vec::new();
    // What stands before the first escape may be the end of one that began earlier.
    for piece in text.split('\x1b').skip(1) {
        let is_known = match piece.split_at_checked(1) {
            Some(("[", rest)) => is_known_csi(rest),
            Some(("]", rest)) => ["10;?", "11;?"].iter().any(|known| rest.starts_with(known)),
            Some(("\\", _)) => true,
            _ => false,
        };
        if !is_known {
            found.push(piece.chars().take(24).collect::<String>().escape_debug().to_string());
        }
        let controls = piece.chars().filter(|letter| letter.is_control());
        for control in controls.filter(|control| !matches!(control, '\r' | '\n' | '\x07')) {
            found.push(control.escape_debug().to_string());
        }
    }
    found
}

/// Moves, colours, and the modes that are taken and given back.
fn is_known_csi(rest: &str) -> bool {
    let Some(end) = rest.find(|letter: char| ('@'..='~').contains(&letter)) else {
        // Cut off by the end of what was kept.
        return true;
    };
    let (parameters, letter) = (&rest[..end], &rest[end..=end]);
    match (parameters.strip_prefix('?'), letter) {
        (Some(mode), "h" | "l") => MODES.contains(&mode),
        (None, "H" | "m" | "c") => {
            parameters.bytes().all(|byte| byte.is_ascii_digit() || b";:".contains(&byte))
        }
        _ => false,
    }
}

/// What terminals say when they are asked for their kind and colours.
fn answers(raw: &[u8], known: usize) -> Vec<u8> {
    let mut answers = Vec::new();
    let questions: [(&[u8], &[u8]); 3] = [
        (b"\x1b]10;?", b"\x1b]10;rgb:d7d7/dede/e8e8\x1b\\"),
        (b"\x1b]11;?", b"\x1b]11;rgb:0b0b/0e0e/1414\x1b\\"),
        (b"\x1b[c", b"\x1b[?62;22c"),
    ];
    for (question, answer) in questions {
        if count_after(raw, known, question) > 0 {
            answers.extend_from_slice(answer);
        }
    }
    answers
}

/// How often `wanted` ends behind the bytes that were known: it may lie across two chunks.
fn count_after(raw: &[u8], known: usize, wanted: &[u8]) -> u64 {
    let from = known.saturating_sub(wanted.len() - 1);
    raw[from..].windows(wanted.len()).filter(|window| *window == wanted).count() as u64
}

/// How a synchronized update begins.
const FRAME_BEGIN: &[u8] = b"\x1b[?2026h";

/// How it ends.
const FRAME_END: &[u8] = b"\x1b[?2026l";

/// Modes that a console may set: cursor, mouse, other screen, marked pastes, synchronized output.
const MODES: &[&str] = &["25", "1000", "1002", "1003", "1006", "1015", "1049", "2004", "2026"];

/// Bytes that are kept as they came.
const RAW_MAX: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_drawing_needs_is_no_strange_sequence() {
        let rows: [(&str, usize); 7] = [
            ("\x1b[?1049h\x1b[?25l\x1b[1;2H\x1b[38;2;1;2;3mhi\x1b[0m\x1b[?2026l", 0),
            ("\x1b]11;?\x07\x1b[c", 0),
            ("\x1b[2J", 1),
            ("\x1b]0;owned\x07", 1),
            ("\x1b]52;c;AAAA\x07", 1),
            ("\x1b[1mok\x08\x08", 2),
            ("\x1b[6n\x1bc", 2),
        ];
        for (raw, wanted) in rows {
            assert_eq!(
                strange(raw.as_bytes()).len(),
                wanted,
                "{raw:?}: {:?}",
                strange(raw.as_bytes())
            );
        }
    }

    #[test]
    fn frames_are_counted_across_chunks() {
        let mut seen = Seen::new(NonZeroU16::MIN, NonZeroU16::MIN);
        for chunk in ["\x1b[?2026hx\x1b[?20", "26l", "\x1b[?2026l\x1b[?2026l"] {
            seen.take(chunk.as_bytes());
        }
        assert_eq!(seen.frames(), 3);
    }
}
