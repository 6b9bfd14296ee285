//! Negative controls: mistakes put into the backend's source on purpose, each to be caught.
//!
//! Copies the sources into a workshop, makes one mistake, builds `tollgated`, and lets this very
//! program bring about the fault that should notice. First the sources without a mistake go through
//! the same faults: a fault that always complains catches nothing. A mistake that nobody notices is
//! a hole in the lab. Refuses to know how the faults work: their exit code and first complaint is
//! all it reads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::lab::{Report, record};

/// A mistake.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// What it is called.
    pub name: String,
    /// The file it is made in.
    pub file: String,
    /// What stands there exactly once.
    pub find: String,
    /// What takes its place.
    pub replace: String,
    /// Words for `crashlab` that should notice.
    pub caught_by: String,
    /// The oracle that it breaks first and foremost.
    pub oracle: String,
}

#[derive(Deserialize)]
struct Table {
    mutant: Vec<Mutant>,
}

/// The controls.
#[derive(Debug)]
pub struct Mutants {
    /// Only those with one of these in their name, between commas.
    pub only: Option<String>,
    /// Where the table of figures is.
    pub record: Option<PathBuf>,
}

/// Where mistakes are made.
struct Workshop {
    home: PathBuf,
}

/// What became of a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// Somebody complained; the first complaint.
    Caught(String),
    /// Nobody did.
    Survived,
    /// The fault cannot be brought about here.
    NotRun(String),
    /// The mistake could not be made.
    Unmade(String),
}

/// Every mistake of `tests/mutants.toml`.
pub fn table() -> anyhow::Result<Vec<Mutant>> {
    let text = fs::read_to_string(root().join("tests/mutants.toml"))?;
    Ok(toml::from_str::<Table>(&text)?.mutant)
}

/// The file with the mistake in it; an error where it does not apply exactly once.
pub fn apply(mutant: &Mutant) -> anyhow::Result<String> {
    let text = fs::read_to_string(root().join(&mutant.file))
        .with_context(|| format!("`{}`: no `{}`", mutant.name, mutant.file))?;
    let count = text.matches(&mutant.find).count();
    ensure!(count == 1, "`{}` applies {count} times in `{}`", mutant.name, mutant.file);
    Ok(text.replacen(&mutant.find, &mutant.replace, 1))
}

impl Mutants {
    /// Makes every mistake and says who noticed.
    pub fn run(&self) -> anyhow::Result<Report> {
        let wanted = |mutant: &Mutant| {
            let named = |only: &String| only.split(',').any(|part| mutant.name.contains(part));
            self.only.as_ref().is_none_or(named)
        };
        let mutants: Vec<Mutant> = table()?.into_iter().filter(wanted).collect();
        let workshop = Workshop::open()?;
        let mut report = Report::default();
        let mut sound: BTreeMap<&str, bool> = BTreeMap::new();
        workshop.copy_sources()?;
        workshop.build()?.map_or(Ok(()), |error| Err(anyhow::anyhow!(error)))?;
        for mutant in &mutants {
            if sound.contains_key(mutant.caught_by.as_str()) {
                continue;
            }
            let fate = workshop.try_fault(&mutant.caught_by)?;
            eprintln!("without a mistake, {}: {fate:?}", mutant.caught_by);
            if let Fate::Caught(complaint) = &fate {
                let what = format!("`{}` complains about nothing: {complaint}", mutant.caught_by);
                report.breach("control", what);
            }
            sound.insert(&mutant.caught_by, !matches!(fate, Fate::Caught(_)));
        }
        for mutant in &mutants {
            let fate = match sound.get(mutant.caught_by.as_str()) {
                Some(true) => workshop.try_mutant(mutant)?,
                _ => Fate::NotRun(format!("`{}` is not sound itself", mutant.caught_by)),
            };
            eprintln!("{}: {fate:?}", mutant.name);
            self.note(mutant, &fate, &mut report)?;
        }
        Ok(report)
    }

    fn note(&self, mutant: &Mutant, fate: &Fate, report: &mut Report) -> anyhow::Result<()> {
        report.cycles += 1;
        report.checks += 1;
        let said = match fate {
            Fate::Caught(complaint) => {
                report.count("caught", 1);
                format!("caught: {}", short(complaint))
            }
            Fate::Survived => {
                report.breach("control", format!("`{}` survives", mutant.name));
                "**survives**".into()
            }
            Fate::NotRun(reason) => {
                report.skip(format!("mutant `{}`: {reason}", mutant.name));
                format!("not run: {}", short(reason))
            }
            Fate::Unmade(reason) => {
                report.breach("control", format!("`{}`: {reason}", mutant.name));
                format!("not made: {}", short(reason))
            }
        };
        let Some(document) = &self.record else { return Ok(()) };
        let caught_by = format!("`{}`", mutant.caught_by);
        let cells = [format!("`{}`", mutant.file), mutant.oracle.clone(), caught_by, said];
        record::row(document, "mutants", (&mutant.name, &cells))
    }
}

impl Workshop {
    /// A directory that stays, so that the next mistake builds in seconds.
    fn open() -> anyhow::Result<Self> {
        let home = std::env::temp_dir().join("tollgate-mutants");
        fs::create_dir_all(home.join("tree"))?;
        Ok(Self { home })
    }

    /// Brings the copy up to the sources; what is the same is not touched, for cargo's sake.
    fn copy_sources(&self) -> anyhow::Result<()> {
        let words = ["ls-files", "--cached", "--others", "--exclude-standard"];
        let listed = Command::new("git").args(words).current_dir(root()).output()?;
        ensure!(listed.status.success(), "the sources are not in a repository");
        for file in String::from_utf8_lossy(&listed.stdout).lines() {
            // A file that was just removed is listed still.
            if let Ok(bytes) = fs::read(root().join(file)) {
                self.write(file, &bytes)?;
            }
        }
        Ok(())
    }

    fn write(&self, file: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let place = self.home.join("tree").join(file);
        if fs::read(&place).is_ok_and(|known| known == bytes) {
            return Ok(());
        }
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(place, bytes)?)
    }

    /// Builds the copy; what the compiler says where it does not build.
    fn build(&self) -> anyhow::Result<Option<String>> {
        let words = ["build", "-p", "tollgate-backend", "--bin", "tollgated", "--locked"];
        let output = Command::new("cargo")
            .args(words)
            .current_dir(self.home.join("tree"))
            .env("CARGO_TARGET_DIR", self.home.join("target"))
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let error = said.lines().find(|line| line.starts_with("error")).unwrap_or("no error");
        Ok((!output.status.success()).then(|| error.to_owned()))
    }

    fn try_mutant(&self, mutant: &Mutant) -> anyhow::Result<Fate> {
        let mistaken = match apply(mutant) {
            Ok(text) => text,
            Err(error) => return Ok(Fate::Unmade(error.to_string())),
        };
        self.write(&mutant.file, mistaken.as_bytes())?;
        let fate = match self.build()? {
            Some(error) => Ok(Fate::Unmade(format!("it does not build: {error}"))),
            None => self.try_fault(&mutant.caught_by),
        };
        self.write(&mutant.file, &fs::read(root().join(&mutant.file))?)?;
        fate
    }

    /// Lets this program bring a fault about with the workshop's backend.
    fn try_fault(&self, words: &str) -> anyhow::Result<Fate> {
        let (said, complained) = (self.home.join("said"), self.home.join("complained"));
        let mut child = Command::new(std::env::current_exe()?)
            .args(words.split_whitespace())
            .arg("--program")
            .arg(self.home.join("target/debug/tollgated"))
            .stdout(Stdio::from(fs::File::create(&said)?))
            .stderr(Stdio::from(fs::File::create(&complained)?))
            .spawn()?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > FAULT_MAX {
                child.kill()?;
                child.wait()?;
                return Ok(Fate::Caught("it never comes to an end".into()));
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let said = fs::read_to_string(said)?;
        let line = |begin: &str| said.lines().find_map(|line| line.strip_prefix(begin));
        if !status.success() {
            let complained = fs::read_to_string(complained)?;
            let complaint = line("BREACH ").or(complained.lines().next()).unwrap_or_default();
            return Ok(Fate::Caught(complaint.to_owned()));
        }
        match line("not run: ") {
            Some(reason) if said.contains("\n0 cycles") => Ok(Fate::NotRun(reason.to_owned())),
            _ => Ok(Fate::Survived),
        }
    }
}

/// The beginning of a complaint, without ids that differ from run to run and what breaks a table.
fn short(complaint: &str) -> String {
    let plain = complaint.replace('|', "/");
    let told = match plain.split_once("`: ") {
        Some((place, what)) => {
            format!("{}: {what}", place.split_whitespace().next().unwrap_or_default())
        }
        None => plain,
    };
    let begin: String = told.chars().take(SHOWN).collect();
    if begin.len() < told.len() { format!("{begin} …") } else { begin }
}

/// The repository that this was built from.
fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// Longest a fault may take: far more than its small version does.
const FAULT_MAX: Duration = Duration::from_secs(300);

/// Characters of a complaint in the table.
const SHOWN: usize = 160;
