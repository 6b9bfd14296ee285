//! Our preloaded library between a backend and its disk, built and wired.
//!
//! `tests/shim/shim.c` counts storage calls and lets one of them kill the process or fail; this
//! module compiles it, says in types what its environment says in words, and reads its trace. The
//! sources travel inside this program, so a lab that was moved still finds them. Refuses to know
//! what a backend stores; where there is no compiler it says so, and the fault is not run.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use tempfile::TempDir;

/// The library and the plug-puller, compiled for this machine.
#[derive(Debug)]
pub struct Shim {
    dir: TempDir,
    library: PathBuf,
}

/// Where around a storage call the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of it happened.
    Before,
    /// A write got half of its bytes down; any other call happened.
    Inside,
    /// It happened, and nobody was told.
    After,
}

/// Which calls count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calls {
    /// Every storage call.
    #[default]
    All,
    /// Those that write bytes.
    Writes,
    /// Those that make bytes last.
    Syncs,
}

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The process dies.
    Kill(Moment),
    /// The call fails once, with an error's name: `EIO`, `ENOSPC`, `EDQUOT`, `EFBIG`.
    Fail(&'static str),
    /// It fails, and so does every one after it.
    FailFrom(&'static str),
}

/// What the library does to one process. The default does nothing.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Which calls count.
    pub calls: Calls,
    /// At which of them, from 1, what goes wrong.
    pub deed: Option<(u64, Deed)>,
    /// How long the fatal call stands still before the process dies, while its other threads go
    /// on, in milliseconds: what was promised before it was on disk then gets out.
    pub linger_ms: u32,
    /// How much longer every sync takes, in milliseconds: at least, at most.
    pub delay_ms: Option<(u32, u32)>,
    /// Whether syncs do nothing.
    pub no_sync: bool,
    /// Where calls are written down.
    pub trace: Option<PathBuf>,
    /// Where calls are kept with their bytes.
    pub journal: Option<PathBuf>,
    /// What must say so before anything counts.
    pub switch: Option<PathBuf>,
    /// How far ahead the wall clock is: a file of [`Clock`].
    pub clock: Option<PathBuf>,
}

/// A storage call that was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number, from 1.
    pub number: u64,
    /// `pwrite`, `fsync`, `rename` …
    pub kind: String,
    /// Its file, from the data directory.
    pub path: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {}: {} {}", self.number, self.kind, self.path)
    }
}

impl Shim {
    /// Compiles both programs. The error says why this machine cannot: the fault is then not run.
    pub fn build() -> Result<Self, String> {
        let dir =
            tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let library = dir.path().join("shim.so");
        compile(dir.path(), ("shim.c", SHIM), &["-shared", "-fPIC", "-o", "shim.so"])?;
        compile(dir.path(), ("cut.c", CUT), &["-o", "cut"])?;
        Ok(Self { dir, library })
    }

    /// Puts the library before a command that works on `data_dir`.
    pub fn wire(&self, command: &mut Command, data_dir: &Path, plan: &Plan) {
        command.env("LD_PRELOAD", &self.library).env("TOLLGATE_SHIM_DIR", data_dir);
        command.env(
            "TOLLGATE_SHIM_KIND",
            match plan.calls {
                Calls::All => "any",
                Calls::Writes => "write",
                Calls::Syncs => "sync",
            },
        );
        if let Some((number, deed)) = plan.deed {
            let (word, forever) = match deed {
                Deed::Kill(Moment::Before) => ("kill_before", false),
                Deed::Kill(Moment::Inside) => ("kill_inside", false),
                Deed::Kill(Moment::After) => ("kill_after", false),
                Deed::Fail(error) => (error, false),
                Deed::FailFrom(error) => (error, true),
            };
            command.env("TOLLGATE_SHIM_AT", number.to_string()).env("TOLLGATE_SHIM_DO", word);
            if forever {
                command.env("TOLLGATE_SHIM_FOREVER", "1");
            }
        }
        if plan.linger_ms > 0 {
            command.env("TOLLGATE_SHIM_LINGER", plan.linger_ms.to_string());
        }
        if let Some((least, most)) = plan.delay_ms {
            command.env("TOLLGATE_SHIM_DELAY", format!("{least}-{most}"));
        }
        if plan.no_sync {
            command.env("TOLLGATE_SHIM_NOSYNC", "1");
        }
        let files = [
            ("TOLLGATE_SHIM_TRACE", &plan.trace),
            ("TOLLGATE_SHIM_JOURNAL", &plan.journal),
            ("TOLLGATE_SHIM_ARM", &plan.switch),
            ("TOLLGATE_SHIM_CLOCK", &plan.clock),
        ];
        for (variable, path) in files {
            if let Some(path) = path {
                command.env(variable, path);
            }
        }
    }

    /// Pulls the plug of a mounted ext4 file system.
    pub fn cut(&self, mount: &Path, keep_metadata: bool) -> anyhow::Result<()> {
        let flags = if keep_metadata { "1" } else { "2" };
        let pulled = Command::new(self.dir.path().join("cut")).arg(mount).arg(flags).output()?;
        anyhow::ensure!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
        Ok(())
    }

    /// A path for something that lives as long as this.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A switch that a wired process looks at before it counts a call.
#[derive(Debug)]
pub struct Switch(PathBuf);

impl Switch {
    /// A switch that is off.
    pub fn off(path: PathBuf) -> anyhow::Result<Self> {
        fs::write(&path, "0")?;
        Ok(Self(path))
    }

    /// From now on calls count.
    pub fn turn_on(&self) -> anyhow::Result<()> {
        Ok(OpenOptions::new().write(true).open(&self.0)?.write_all_at(b"1", 0)?)
    }

    /// From now on they do not.
    pub fn turn_off(&self) -> anyhow::Result<()> {
        Ok(OpenOptions::new().write(true).open(&self.0)?.write_all_at(b"0", 0)?)
    }

    /// For [`Plan::switch`].
    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }
}

/// The wall clock of a wired process; it may jump while the process runs.
#[derive(Debug)]
pub struct Clock(PathBuf);

impl Clock {
    /// A clock that is right.
    pub fn right(path: PathBuf) -> anyhow::Result<Self> {
        fs::write(&path, [b' '; CLOCK_BYTES])?;
        let clock = Self(path);
        clock.set(0)?;
        Ok(clock)
    }

    /// Sets it so many seconds ahead of the true time; below zero, behind.
    pub fn set(&self, seconds: i64) -> anyhow::Result<()> {
        let text = format!("{seconds:<CLOCK_BYTES$}");
        Ok(OpenOptions::new().write(true).open(&self.0)?.write_all_at(text.as_bytes(), 0)?)
    }

    /// For [`Plan::clock`].
    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }
}

/// Reads what a wired process wrote down; nothing where it made no call.
pub fn calls(trace: &Path) -> anyhow::Result<Vec<Call>> {
    let text = match fs::read_to_string(trace) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    text.lines().map(|line| call(line).with_context(|| format!("`{line}` is no call"))).collect()
}

fn call(line: &str) -> Option<Call> {
    let mut words = line.split(' ');
    let number = words.next()?.parse().ok()?;
    Some(Call { number, kind: words.next()?.to_owned(), path: words.next()?.to_owned() })
}

fn compile(dir: &Path, (name, source): (&str, &str), flags: &[&str]) -> Result<(), String> {
    let made = fs::write(dir.join(name), source).and_then(|()| {
        Command::new("cc").current_dir(dir).args(["-O1", name, "-ldl"]).args(flags).output()
    });
    match made {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("cc failed: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("no C compiler: {error}")),
    }
}

const SHIM: &str = include_str!("../../shim/shim.c");
const CUT: &str = include_str!("../../shim/cut.c");

/// Bytes of a clock's file, of which the library reads this many on every question.
const CLOCK_BYTES: usize = 32;
