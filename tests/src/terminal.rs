//! A terminal without a screen: the console runs in a pseudo-terminal, and what it writes is read
//! as a terminal reads it.
//!
//! Sizes, keys, pastes and signals go in; text, modes, bytes and frames come out. Waiting is for a
//! condition, with a bound, and wakes with every chunk of output, so that the moment at which
//! something was shown is known to the read. Refuses to know what the console is about.
//!
//! ```text
//! test ── keys, resize, signals ──▶ pty ──▶ console
//!   ▲                                │
//!   └── Seen { text, bytes, … } ◀── reader thread, which answers as terminals do
//! ```

mod seen;

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;

pub use seen::{Seen, strange};

/// What is started, and in which terminal.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    size: (u16, u16),
    answers: bool,
}

impl Launch {
    /// A program in a terminal of 120 columns and 40 rows that has every colour.
    pub fn new(program: impl AsRef<Path>) -> Self {
        let variables = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            variables,
            size: (120, 40),
            answers: true,
        }
    }

    /// With one more argument.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With an environment variable.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Columns and rows at the start.
    pub const fn size(mut self, width: u16, height: u16) -> Self {
        self.size = (width, height);
        self
    }

    /// A terminal that leaves questions about its colours and kind unanswered.
    pub const fn mute(mut self) -> Self {
        self.answers = false;
        self
    }

    /// Starts it.
    pub fn start(&self) -> anyhow::Result<Terminal> {
        Terminal::start(self)
    }
}

/// A running program and the terminal around it.
pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    writer: Arc<Mutex<Box<dyn Write + Send>>>,
    child: Box<dyn Child + Send + Sync>,
    shared: Arc<Shared>,
    /// The line discipline before the program changed it.
    cooked: Option<[u32; 4]>,
    began: Instant,
    house: TempDir,
}

/// What the reader thread and the test look at.
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
    /// Bytes a second that are drained; zero is as fast as they come.
    drain: AtomicU64,
}

/// How the program has left the terminal, or holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// The other screen is shown.
    pub alternate: bool,
    /// The cursor is hidden.
    pub hidden_cursor: bool,
    /// Pastes are marked.
    pub bracketed_paste: bool,
    /// The mouse is the program's.
    pub mouse: bool,
    /// Lines are edited by the terminal, as before the program started.
    pub cooked: bool,
}

impl Modes {
    /// A terminal that nobody would know was ever taken.
    pub const GIVEN_BACK: Self = Self {
        alternate: false,
        hidden_cursor: false,
        bracketed_paste: false,
        mouse: false,
        cooked: true,
    };
}

impl Terminal {
    fn start(launch: &Launch) -> anyhow::Result<Self> {
        let (width, height) = launch.size;
        let pair = native_pty_system().openpty(size_of(width, height))?;
        let cooked = discipline(&*pair.master);
        let mut command = CommandBuilder::new(&launch.program);
        command.args(&launch.arguments);
        // A house of its own: no settings, and no memory of how it was left.
        let house = tempfile::tempdir()?;
        command.cwd(house.path());
        for name in ["NO_COLOR", "TMUX", "COLORFGBG", "RUST_LOG", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
            command.env(name, house.path());
        }
        for (name, value) in &launch.variables {
            command.env(name, value);
        }
        let reader = pair.master.try_clone_reader()?;
        let writer = Arc::new(Mutex::new(pair.master.take_writer()?));
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen::new(columns(width), columns(height))),
            changed: Condvar::new(),
            drain: AtomicU64::new(0),
        });
        let began = Instant::now();
        let child = pair.slave.spawn_command(command)?;
        // The slave must be the program's alone, or its end is never seen.
        drop(pair.slave);
        let answers = launch.answers.then(|| writer.clone());
        let reading = shared.clone();
        std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || read(reader, &reading, answers))?;
        Ok(Self { master: pair.master, writer, child, shared, cooked, began, house })
    }

    /// When the program was started.
    pub const fn began(&self) -> Instant {
        self.began
    }

    /// The folder it works in, which is gone with the terminal.
    pub fn house(&self) -> &Path {
        self.house.path()
    }

    /// The program's number.
    pub fn id(&self) -> anyhow::Result<u32> {
        self.child.process_id().context("it has no number any more")
    }

    /// What has been seen so far; holds the reader up while it is looked at.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes and frames that came.
    pub fn tally(&self) -> (u64, u64) {
        let seen = self.seen();
        (seen.bytes(), seen.frames())
    }

    /// The rows of the screen, between two frames.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let taken = self.wait("a frame ends", |seen| {
            text = seen.text();
            true
        });
        // A program that ended within a frame has left what it has left.
        taken.map_or_else(|_| self.seen().text(), |_| text)
    }

    /// Sends bytes as they stand; answers when they were sent.
    pub fn send(&self, bytes: &[u8]) -> anyhow::Result<Instant> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        writer.write_all(bytes)?;
        writer.flush()?;
        Ok(now)
    }

    /// Presses keys: `"2"`, `"C-c"`, `"Esc"`, `"Tab j Enter"`; answers when the last was sent.
    pub fn press(&self, keys: &str) -> anyhow::Result<Instant> {
        let mut sent = Instant::now();
        for key in keys.split_whitespace() {
            sent = self.send(&bytes_of(key)?)?;
        }
        Ok(sent)
    }

    /// Pastes as terminals do when asked to mark pastes.
    pub fn paste(&self, text: &str) -> anyhow::Result<Instant> {
        self.send(format!("\x1b[200~{text}\x1b[201~").as_bytes())
    }

    /// Changes the size.
    pub fn resize(&self, width: u16, height: u16) -> anyhow::Result<()> {
        self.seen().resize(columns(width), columns(height));
        self.master.resize(size_of(width, height))
    }

    /// Sends the program a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.id()?.to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status()?;
        ensure!(sent.success(), "kill -s {name} failed");
        Ok(())
    }

    /// Drains only so many bytes a second from now on, as a slow link does; zero is all of them.
    pub fn drain(&self, bytes_per_s: u64) {
        self.shared.drain.store(bytes_per_s, Ordering::SeqCst);
    }

    /// How the terminal is held at this moment.
    pub fn modes(&self) -> Modes {
        let seen = self.seen();
        Modes {
            alternate: seen.screen().alternate_screen(),
            hidden_cursor: seen.screen().hide_cursor(),
            bracketed_paste: seen.screen().bracketed_paste(),
            mouse: seen.has_mouse(),
            cooked: discipline(&*self.master) == self.cooked,
        }
    }

    /// Waits until what is seen between two frames is such; answers when the chunk that made it so
    /// arrived.
    pub fn wait(&self, what: &str, holds: impl FnMut(&Seen) -> bool) -> anyhow::Result<Instant> {
        self.wait_within(PATIENCE, what, holds)
    }

    /// The same with another bound.
    pub fn wait_within(
        &self,
        most: Duration,
        what: &str,
        mut holds: impl FnMut(&Seen) -> bool,
    ) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + most;
        let mut seen = self.seen();
        loop {
            if seen.is_whole() && holds(&seen) {
                return Ok(seen.last_at());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || seen.has_ended() {
                let how = if seen.has_ended() { "the program ended" } else { "time is up" };
                bail!("{what}: {how} after {most:?}; the screen:\n{}", seen.text());
            }
            let waited = self.shared.changed.wait_timeout(seen, left);
            (seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until the screen holds a text.
    pub fn shows(&self, text: &str) -> anyhow::Result<Instant> {
        self.wait(&format!("`{text}` is shown"), |seen| seen.text().contains(text))
    }

    /// Waits until the program has ended and all it wrote is read.
    pub fn end(&mut self) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen();
        while !seen.has_ended() {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "it does not end; the screen:\n{}", seen.text());
            let waited = self.shared.changed.wait_timeout(seen, left);
            (seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        drop(seen);
        Ok(self.child.wait()?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A program that is stopped, or hangs, must not outlive its test.
        if let (Some(id), Ok(None)) = (self.child.process_id(), self.child.try_wait()) {
            Command::new("kill").args(["-s", "KILL", &id.to_string()]).status().ok();
            self.child.wait().ok();
        }
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("child", &self.child).finish_non_exhaustive()
    }
}

/// Reads until the other end is closed. Terminals answer what they are asked, so this does.
fn read(
    mut reader: Box<dyn Read + Send>,
    shared: &Shared,
    answers: Option<Arc<Mutex<Box<dyn Write + Send>>>>,
) {
    let mut buffer = [0; 64 * 1024];
    loop {
        let rate = shared.drain.load(Ordering::SeqCst);
        let most = match usize::try_from(rate / 20) {
            Ok(most @ 1..) => most.min(buffer.len()),
            _ => buffer.len(),
        };
        let read = reader.read(&mut buffer[..most]).unwrap_or(0);
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if read == 0 {
            seen.end();
            shared.changed.notify_all();
            return;
        }
        let questions = seen.take(&buffer[..read]);
        drop(seen);
        shared.changed.notify_all();
        if let Some(writer) = &answers {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            // A program that is gone reads no answers.
            writer.write_all(&questions).and_then(|()| writer.flush()).ok();
        }
        if rate > 0 {
            std::thread::sleep(Duration::from_secs(1).mul_f64(read as f64 / rate as f64));
        }
    }
}

/// The bytes that a terminal sends for a key.
fn bytes_of(key: &str) -> anyhow::Result<Vec<u8>> {
    let named = match key {
        "Enter" => "\r",
        "Esc" => "\x1b",
        "Tab" => "\t",
        "S-Tab" => "\x1b[Z",
        "Backspace" => "\x7f",
        "Space" => " ",
        "Up" => "\x1b[A",
        "Down" => "\x1b[B",
        "Right" => "\x1b[C",
        "Left" => "\x1b[D",
        "PgUp" => "\x1b[5~",
        "PgDn" => "\x1b[6~",
        _ => "",
    };
    if !named.is_empty() {
        return Ok(named.into());
    }
    if let Some(letter) = key.strip_prefix("C-") {
        let letter = letter.bytes().next().context("C- of nothing")?;
        return Ok(vec![letter & 0x1f]);
    }
    ensure!(key.chars().count() == 1, "`{key}` is no key");
    Ok(key.as_bytes().to_owned())
}

fn size_of(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn columns(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN)
}

/// The four words of flags that say whether a line discipline is cooked or raw.
fn discipline(master: &dyn MasterPty) -> Option<[u32; 4]> {
    let modes = master.get_termios()?;
    Some([
        modes.input_flags.bits(),
        modes.output_flags.bits(),
        modes.control_flags.bits(),
        modes.local_flags.bits(),
    ])
}

/// How long anything may take that a console does at once; small machines are slow.
const PATIENCE: Duration = Duration::from_secs(20);
