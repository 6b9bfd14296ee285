//! The terminal: taken, drawn on, and always given back.
//!
//! Given back after `q`, an error, a panic in any thread, INT, TERM and HUP, and while suspended.
//! Only the cells that changed are written, within synchronized output, and nothing at all when
//! nothing changed; nothing is ever cleared to be drawn anew. Only this module knows crossterm.
//!
//! ```text
//! enter ─▶ draw … draw ─▶ give back        q, error, panic, INT, TERM, HUP
//!               ▲   │
//!               └───┴─ suspend ─▶ give back ─▶ stop ─▶ continue ─▶ take ─▶ every cell anew
//! ```

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event,
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{cursor, execute, queue};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::message::{Chord, Click, Code, Message};

mod paint;
pub mod probe;

use paint::Pen;

/// The terminal while it is ours.
#[derive(Debug)]
pub struct Term {
    shown: Buffer,
    pen: Pen,
    sync: bool,
}

impl Term {
    /// Takes the terminal. It is given back when this value is dropped, or by the panic hook.
    pub fn enter(sync: bool) -> io::Result<Self> {
        let (width, height) = crossterm::terminal::size()?;
        give_back_on_panic();
        take()?;
        let shown = unknown(Rect::new(0, 0, width, height));
        Ok(Self { shown, pen: Pen::default(), sync })
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        (self.shown.area.width, self.shown.area.height)
    }

    /// The terminal has another size; what it shows is not known any more.
    pub fn resize(&mut self, width: u16, height: u16) {
        self.shown = unknown(Rect::new(0, 0, width, height));
        self.pen = Pen::default();
    }

    /// Every cell will be written by the next draw.
    pub fn forget(&mut self) {
        self.shown = unknown(self.shown.area);
        self.pen = Pen::default();
    }

    /// Writes what differs from what is shown; answers how long the terminal took to swallow it.
    pub fn draw(&mut self, next: Buffer) -> io::Result<Duration> {
        if GIVEN_BACK.load(Ordering::SeqCst) {
            return Ok(Duration::ZERO);
        }
        let mut changes = self.shown.diff_iter(&next).peekable();
        if changes.peek().is_none() {
            return Ok(Duration::ZERO);
        }
        let mut bytes = Vec::with_capacity(16 * 1024);
        if self.sync {
            queue!(bytes, BeginSynchronizedUpdate)?;
        }
        bytes.extend_from_slice(self.pen.write(changes).as_bytes());
        if self.sync {
            queue!(bytes, EndSynchronizedUpdate)?;
        }
        let began = Instant::now();
        let mut out = io::stdout().lock();
        out.write_all(&bytes)?;
        out.flush()?;
        self.shown = next;
        Ok(began.elapsed())
    }

    /// Gives the terminal back and stops; continues with everything unknown.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
        take()?;
        let (width, height) = crossterm::terminal::size()?;
        self.resize(width, height);
        Ok(())
    }

    /// Asks for the mouse, or lets it go so that text can be selected.
    pub fn mouse(&self, ours: bool) -> io::Result<()> {
        match ours {
            true => execute!(io::stdout(), EnableMouseCapture),
            false => execute!(io::stdout(), DisableMouseCapture),
        }
    }

    /// Puts text on the clipboard of the person's own machine, through ssh and tmux.
    pub fn copy(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let sequence = format!("\x1b]52;c;{}\x07", base64(text.as_bytes()));
        match std::env::var_os("TMUX") {
            // tmux passes on what is wrapped, with every escape doubled.
            Some(_) => write!(out, "\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b"))?,
            None => write!(out, "{sequence}")?,
        }
        out.flush()
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        give_back();
    }
}

/// What an event of the terminal means; `None` for those that mean nothing here.
pub fn message(event: Event) -> Option<Message> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => chord(key).map(Message::Key),
        Event::Paste(text) => Some(Message::Paste(text)),
        Event::Resize(width, height) => Some(Message::Resize(width, height)),
        Event::Mouse(event) => {
            let click = match event.kind {
                MouseEventKind::Down(MouseButton::Left) => Click::Press,
                MouseEventKind::ScrollDown => Click::WheelDown,
                MouseEventKind::ScrollUp => Click::WheelUp,
                _ => return None,
            };
            Some(Message::Mouse(click, event.column, event.row))
        }
        Event::FocusGained | Event::FocusLost | Event::Key(_) => None,
    }
}

/// A key of crossterm in our own words; keys that mean nothing here are `None`.
fn chord(key: KeyEvent) -> Option<Chord> {
    let code = match key.code {
        KeyCode::Char(letter) => Code::Char(letter),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        _ => return None,
    };
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL) && matches!(code, Code::Char(_));
    Some(Chord { code, ctrl })
}

/// Takes the terminal: raw mode, the other screen, marked pastes, no cursor.
fn take() -> io::Result<()> {
    GIVEN_BACK.store(false, Ordering::SeqCst);
    crossterm::terminal::enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)
}

/// Gives the terminal back, once; a second call does nothing.
pub(crate) fn give_back() {
    if GIVEN_BACK.swap(true, Ordering::SeqCst) {
        return;
    }
    // Each step is tried even when one before it failed: half a terminal is better than none.
    execute!(io::stdout(), SetAttribute(Attribute::Reset), DisableMouseCapture).ok();
    execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show).ok();
    crossterm::terminal::disable_raw_mode().ok();
}

/// Whether the terminal is not ours any more, as after a panic of another thread.
pub(crate) fn is_given_back() -> bool {
    GIVEN_BACK.load(Ordering::SeqCst)
}

/// Panics of any thread give the terminal back before they are told.
fn give_back_on_panic() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            tell(panic);
        }));
    });
}

/// A buffer that equals nothing that is ever drawn, so that every cell differs from it.
fn unknown(area: Rect) -> Buffer {
    let mut cell = Cell::new(" ");
    cell.modifier = Modifier::HIDDEN | Modifier::CROSSED_OUT;
    Buffer::filled(area, cell)
}

/// RFC 4648, which OSC 52 wants; a dozen lines spare a dependency.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| part.get(at).copied().unwrap_or(0));
        let group = u32::from_be_bytes([0, a, b, c]);
        for place in 0..4 {
            let index = (group >> (18 - 6 * place)) & 63;
            let letter = LETTERS.get(index as usize).copied().unwrap_or(b'A');
            text.push(if place > part.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Whether the terminal is not ours now.
static GIVEN_BACK: AtomicBool = AtomicBool::new(true);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipboard_text_is_base64() {
        let rows = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (text, encoded) in rows {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn nothing_drawn_equals_the_unknown() {
        let area = Rect::new(0, 0, 3, 2);
        assert_eq!(unknown(area).diff(&Buffer::empty(area)).len(), 6);
    }
}
