//! A flipped ledger, started step by step in this process, and row by row held against the truth.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tollgate_backend::config::Durability;
use tollgate_backend::recovery::{self, LossError};
use tollgate_backend::store::{Snapshot, Store, StoreError};

use super::{DATABASE, Files, Place, flipped};
use crate::lab::{Options, Report};
use crate::process::serve;

/// One file of one data directory.
pub(super) struct Case<'a> {
    pub options: &'a Options,
    pub files: &'a Files,
    pub name: &'static str,
}

/// Every row of every table, and what indexes find.
pub(in crate::lab) type Rows = Vec<(String, Vec<Vec<Value>>)>;

/// What came of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It goes on, and every row is what it was.
    Harmless,
    /// It is refused, with this exit code, and says why.
    Refused(i32, String),
    /// It goes on, and something is not what it was.
    Believed(String),
}

impl Case<'_> {
    /// Flips at every place, in as many threads as there are cores for it.
    pub(super) fn run(&self, places: &[Place], report: &mut Report) -> anyhow::Result<()> {
        let shared = Mutex::new((std::mem::take(report), Ok(())));
        let share = places.len().div_ceil(THREADS).max(1);
        std::thread::scope(|scope| {
            for places in places.chunks(share) {
                scope.spawn(|| {
                    let done = self.some(places, &shared);
                    let mut held = lock(&shared);
                    if done.is_err() {
                        held.1 = done;
                    }
                });
            }
        });
        let (found, done) = shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        *report = found;
        done
    }

    fn some(
        &self,
        places: &[Place],
        shared: &Mutex<(Report, anyhow::Result<()>)>,
    ) -> anyhow::Result<()> {
        let stage = Stage::new(self.files)?;
        stage.lay_out(None)?;
        let truth = rows(&stage.ledger())?;
        let Some(whole) = self.files.get(Path::new(self.name)) else { return Ok(()) };
        for (number, place) in places.iter().enumerate() {
            let bytes = flipped(whole, *place);
            stage.lay_out(Some((self.name, &bytes)))?;
            let outcome = stage.start(&truth);
            let mut with_program = None;
            if number % PROGRAM_EVERY == 0
                || matches!(&outcome, Outcome::Refused(code, _) if *code != 3)
            {
                stage.lay_out(Some((self.name, &bytes)))?;
                with_program = Some(stage.program(&self.options.program)?);
            }
            let mut held = lock(shared);
            let report = &mut held.0;
            self.note(*place, &outcome, report);
            if let Some(code) = with_program {
                report.count("starts of the program itself", 1);
                report.checks += 1;
                let expected = match &outcome {
                    Outcome::Refused(code, _) => Some(*code),
                    Outcome::Harmless | Outcome::Believed(_) => None,
                };
                if code != expected {
                    let what = format!(
                        "{} at {place:?}: exit {code:?} where {outcome:?} was judged in process",
                        self.name
                    );
                    report.breach("O8", what);
                }
            }
            report.cycles += 1;
            if report.cycles.is_multiple_of(100) {
                self.options.tell_progress(report.cycles / 100, report);
            }
        }
        Ok(())
    }

    fn note(&self, place: Place, outcome: &Outcome, report: &mut Report) {
        report.checks += 1;
        let is_log = self.name != DATABASE;
        match outcome {
            Outcome::Harmless if is_log => report.count("harmless in the log", 1),
            Outcome::Harmless => report.count("harmless in the database", 1),
            Outcome::Refused(3, _) if is_log => report.count("refused, log", 1),
            Outcome::Refused(3, _) => report.count("refused, database", 1),
            // A version beyond ours cannot be told from a newer program's.
            Outcome::Refused(5, _) => report.count("refused as newer", 1),
            Outcome::Refused(code, why) => {
                report.count("refused with another code", 1);
                report.breach("O8", format!("{} at {place:?}: exit {code}: {why}", self.name));
            }
            Outcome::Believed(what) => {
                report.count("believed", 1);
                report.breach("O6", format!("{} at {place:?}: {what}", self.name));
            }
        }
    }
}

/// A data directory that is laid out anew for every flip.
pub(in crate::lab) struct Stage<'a> {
    files: &'a Files,
    home: TempDir,
}

impl<'a> Stage<'a> {
    pub(in crate::lab) fn new(files: &'a Files) -> anyhow::Result<Self> {
        // In memory, where there is such a place: nothing here is about lasting.
        let memory = Path::new("/dev/shm");
        let home = match memory.is_dir() {
            true => tempfile::tempdir_in(memory)?,
            false => tempfile::tempdir()?,
        };
        for room in ["gateway", "costs", "provider_router"] {
            std::fs::create_dir_all(home.path().join(room))?;
        }
        Ok(Self { files, home })
    }

    /// Where it is.
    pub(in crate::lab) fn path(&self) -> &Path {
        self.home.path()
    }

    /// Where its ledger is.
    pub(in crate::lab) fn ledger(&self) -> PathBuf {
        self.home.path().join(DATABASE)
    }

    /// Every file as it was, but for one.
    pub(in crate::lab) fn lay_out(&self, other: Option<(&str, &[u8])>) -> anyhow::Result<()> {
        for room in ["gateway", "provider_router"] {
            for entry in std::fs::read_dir(self.home.path().join(room))? {
                let path = entry?.path();
                let known = path.strip_prefix(self.home.path())?;
                if !self.files.contains_key(known) && path.is_file() {
                    std::fs::remove_file(path)?;
                }
            }
        }
        for (path, whole) in self.files {
            let bytes = match other {
                Some((name, bytes)) if path == Path::new(name) => bytes,
                _ => whole,
            };
            std::fs::write(self.home.path().join(path), bytes)?;
        }
        Ok(())
    }

    /// The steps of a start that read the ledger, and then every row.
    fn start(&self, truth: &Rows) -> Outcome {
        if let Err(error) = recovery::look(self.home.path()) {
            return Outcome::Refused(exit_code(&error), format!("{error:#}"));
        }
        let found = match rows(&self.ledger()) {
            Ok(found) => found,
            Err(error) => vec![("unreadable".into(), vec![vec![Value::Text(error.to_string())]])],
        };
        if let Err(error) = self.open() {
            return Outcome::Refused(exit_code(&error), format!("{error:#}"));
        }
        match difference(truth, &found) {
            None => Outcome::Harmless,
            Some(what) => Outcome::Believed(what),
        }
    }

    /// Every row, once all steps of a start went well.
    pub(in crate::lab) fn opened(&self) -> anyhow::Result<Rows> {
        recovery::look(self.home.path())?;
        let found = rows(&self.ledger())?;
        self.open()?;
        Ok(found)
    }

    fn open(&self) -> anyhow::Result<()> {
        let store = Store::open(&self.ledger(), Durability::Power)?;
        store.empty_log()?;
        store.load(None)?;
        store.orphans()?;
        store.last_moment()?;
        Ok(())
    }

    /// The exit code of the program over it; nothing where it listens.
    fn program(&self, program: &Path) -> anyhow::Result<Option<i32>> {
        let text = program.to_string_lossy().into_owned();
        let mut command: Command = serve(&text, self.home.path());
        command.args(crate::lab::volume::NO_RESERVE);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
        }
        if line.starts_with("ready ") {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        Ok(Some(child.wait()?.code().unwrap_or(-1)))
    }
}

/// What the program would end with.
fn exit_code(error: &anyhow::Error) -> i32 {
    match error.chain().find_map(|cause| cause.downcast_ref::<StoreError>()) {
        _ if error.is::<LossError>() => 3,
        Some(StoreError::Newer { .. }) => 5,
        Some(error) if error.is_damage() => 3,
        _ => 1,
    }
}

/// Reads all there is, by tables and by the indexes that the backend reads by.
pub(in crate::lab) fn rows(ledger: &Path) -> anyhow::Result<Rows> {
    drop(Snapshot::open(ledger)?);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(ledger, flags)?;
    let all = |sql: &str| -> rusqlite::Result<Vec<Vec<Value>>> {
        let mut statement = db.prepare(sql)?;
        let width = statement.column_count();
        let rows = statement.query_map([], |row| (0..width).map(|at| row.get(at)).collect())?;
        rows.collect()
    };
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut found = Vec::new();
    for name in all(tables)? {
        let [Value::Text(name)] = name.as_slice() else { continue };
        if WITHOUT_MONEY.contains(&name.as_str()) {
            continue;
        }
        found.push((name.clone(), all(&format!("SELECT * FROM \"{name}\""))?));
    }
    for (name, sql) in [
        ("receipts by run", "SELECT line FROM receipts ORDER BY run_id, seq"),
        ("pending", "SELECT * FROM attempts WHERE state = 'pending' ORDER BY attempt_id"),
        ("unknown", "SELECT * FROM attempts WHERE state = 'unknown' ORDER BY attempt_id"),
    ] {
        found.push((name.to_owned(), all(sql)?));
    }
    Ok(found)
}

/// The first row that is another, or a table that has more or fewer.
pub(in crate::lab) fn difference(truth: &Rows, found: &Rows) -> Option<String> {
    if let [(name, rows)] = found.as_slice() {
        return Some(format!("{name}: {rows:?}"));
    }
    let names = |rows: &Rows| rows.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if names(truth) != names(found) {
        return Some(format!("tables are {:?}", names(found)));
    }
    for ((name, was), (_, is)) in truth.iter().zip(found) {
        if was.len() != is.len() {
            return Some(format!("`{name}` has {} rows where it had {}", is.len(), was.len()));
        }
        if let Some((was, is)) = was.iter().zip(is).find(|(was, is)| was != is) {
            let at = was.iter().zip(is).find(|(was, is)| was != is);
            return Some(format!("`{name}`: {at:?}"));
        }
    }
    None
}

/// Whether a text of a table has these words.
pub(in crate::lab) fn mention(rows: &Rows, table: &str, words: &str) -> bool {
    let has = |value: &Value| matches!(value, Value::Text(text) if text.contains(words));
    let mut tables = rows.iter().filter(|(name, _)| name == table);
    tables.any(|(_, rows)| rows.iter().flatten().any(has))
}

/// The first row of a table that is no longer there.
pub(in crate::lab) fn lacking(was: &Rows, is: &Rows, table: &str) -> Option<String> {
    let of = |rows: &'_ Rows| {
        let mut tables = rows.iter().filter(|(name, _)| name == table);
        tables.next().map(|(_, rows)| rows.clone()).unwrap_or_default()
    };
    let now = of(is);
    of(was).into_iter().find(|row| !now.contains(row)).map(|row| format!("{row:?}"))
}

/// What a thread that panicked left is still there to be reported.
pub(in crate::lab) fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Tables that say nothing of money: what alarms were said, and which answers were given.
const WITHOUT_MONEY: [&str; 2] = ["alerts", "answers"];

/// Flips are judged in so many threads.
const THREADS: usize = 2;

/// The program itself is started at one flip in so many, and must do what was judged in process.
const PROGRAM_EVERY: usize = 200;
