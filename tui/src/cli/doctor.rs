//! `tollgate doctor`: what works here, what does not, and the remedy of each.
//!
//! | finding | how it is found |
//! |---|---|
//! | colours, locale | the environment |
//! | glyph widths, synchronized output, OSC 52 | the terminal is asked |
//! | latency, versions | the backend is asked |
//! | configuration | every file is read |
//!
//! Ends with 1 where something does not work. Refuses to change anything.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tollgate_shared::api::Health;

use super::api::Api;
use super::gather::gather;
use super::outcome::{clean, print};
use super::{Connection, Failure};
use crate::console::ConsoleOptions;
use crate::message::Target;
use crate::settings::Files;
use crate::term::probe;
use crate::theme::{Depth, Glyphs};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Good,
    Note,
    Bad,
}

/// One check: what, what was found, what to do about it.
#[derive(Clone, Debug)]
struct Finding {
    mark: Mark,
    what: &'static str,
    found: String,
    remedy: String,
}

impl Finding {
    fn new(mark: Mark, what: &'static str, found: impl Into<String>) -> Self {
        Self { mark, what, found: found.into(), remedy: String::new() }
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    fn line(&self) -> String {
        let mark = match self.mark {
            Mark::Good => "✓",
            Mark::Note => "·",
            Mark::Bad => "✖",
        };
        let what = crate::text::left(self.what, 20);
        let mut line = format!("{mark} {what} {}\n", clean(&self.found));
        if self.mark != Mark::Good && !self.remedy.is_empty() {
            line.push_str(&format!("  {}  → {}\n", " ".repeat(18), clean(&self.remedy)));
        }
        line
    }
}

/// Examines everything.
pub async fn run(connection: &Connection) -> Result<ExitCode, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let mut worst = Mark::Good;
    let mut tell = |findings: Vec<Finding>| {
        for finding in findings {
            if finding.mark == Mark::Bad {
                worst = Mark::Bad;
            }
            print(&finding.line())?;
        }
        Ok::<(), Failure>(())
    };
    tell(environment(&variable))?;
    tell(terminal(&variable))?;
    tell(configuration(&Files::of(variable)))?;
    match connection.options() {
        Ok((options, _)) => tell(backend(&options).await)?,
        Err(failure) => {
            let finding = Finding::new(Mark::Bad, "settings", failure.words());
            tell(vec![finding.remedy("mend the file, or name another profile")])?;
        }
    }
    Ok(ExitCode::from(u8::from(worst == Mark::Bad)))
}

/// What variables say.
fn environment(variable: &impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let term = variable("TERM").unwrap_or_default();
    let colours = match Depth::of(variable) {
        Depth::True => Finding::new(Mark::Good, "colours", "16 million"),
        Depth::Indexed => Finding::new(Mark::Note, "colours", "256")
            .remedy("COLORTERM=truecolor, if the terminal can show them all"),
        Depth::Sixteen => Finding::new(Mark::Note, "colours", "16")
            .remedy("TERM=xterm-256color or better, if the terminal can"),
        Depth::None if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) => {
            Finding::new(Mark::Good, "colours", "none: NO_COLOR is set")
        }
        Depth::None => Finding::new(Mark::Note, "colours", format!("none: TERM is `{term}`"))
            .remedy("a terminal with colours; severities have shapes and words as well"),
    };
    let locale = match Glyphs::of(variable) {
        Glyphs::Ascii => {
            Finding::new(Mark::Note, "locale", "not UTF-8: ASCII is drawn").remedy("LC_ALL=C.UTF-8")
        }
        _ => Finding::new(Mark::Good, "locale", "UTF-8"),
    };
    vec![Finding::new(Mark::Good, "TERM", format!("`{term}`")), colours, locale]
}

/// What the terminal answers.
fn terminal(variable: &impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        let none = Finding::new(Mark::Note, "terminal", "none here: nothing could be asked");
        return vec![none.remedy("run it in the terminal that is meant")];
    }
    let Ok(answers) = probe::ask(PATIENCE) else {
        let mute = Finding::new(Mark::Bad, "terminal", "it answers no question");
        return vec![mute.remedy("another terminal; `tollgate plain` works in every one")];
    };
    let mut findings = Vec::new();
    let off: Vec<String> = answers.wrong_widths().map(String::from).collect();
    findings.push(match (answers.widths(), off.is_empty()) {
        (0, _) => Finding::new(Mark::Note, "glyph widths", "the terminal does not tell"),
        (_, true) => Finding::new(Mark::Good, "glyph widths", "each takes one cell"),
        (_, false) => Finding::new(
            Mark::Bad,
            "glyph widths",
            format!("not one cell: {}", off.join(" ")),
        )
        .remedy("glyphs = \"blocks\" or \"ascii\" in config.toml, or a font without wide symbols"),
    });
    findings.push(match answers.sync() {
        true => Finding::new(Mark::Good, "synchronized output", "yes"),
        false => Finding::new(Mark::Note, "synchronized output", "not said to be there")
            .remedy("none is needed; sync = false in config.toml where frames flicker"),
    });
    let in_tmux = variable("TMUX").is_some();
    findings.push(match (answers.clipboard(), in_tmux) {
        (true, _) => Finding::new(Mark::Good, "copying (OSC 52)", "yes"),
        (false, true) => Finding::new(Mark::Note, "copying (OSC 52)", "tmux decides")
            .remedy("set -g set-clipboard on, and set -g allow-passthrough on, in tmux.conf"),
        (false, false) => Finding::new(Mark::Note, "copying (OSC 52)", "not said to be there")
            .remedy("most terminals have it without saying so, some behind a setting"),
    });
    findings
}

/// Every file that cannot be used.
fn configuration(files: &Files) -> Vec<Finding> {
    let Some(folder) = &files.config else {
        let none = Finding::new(Mark::Note, "configuration", "no home is known");
        return vec![none.remedy("set HOME or XDG_CONFIG_HOME")];
    };
    let mistakes = files.mistakes();
    if mistakes.is_empty() {
        let found = folder.display().to_string();
        let found = if folder.is_dir() { found } else { format!("{found}: not there, not needed") };
        return vec![Finding::new(Mark::Good, "configuration", found)];
    }
    let found = |error: &crate::settings::FileError| {
        let found = folder.join(error.to_string()).display().to_string();
        Finding::new(Mark::Bad, "configuration", found)
            .remedy("mend it; until then a command stops")
    };
    mistakes.iter().map(found).collect()
}

/// What the backend answers, and how soon.
async fn backend(options: &ConsoleOptions) -> Vec<Finding> {
    let api = match Api::new(options) {
        Ok(api) => api,
        Err(failure) => return vec![Finding::new(Mark::Bad, "backend", failure.words())],
    };
    let mut findings = Vec::new();
    for (what, target) in [("gateway", Target::Gateway), ("router", Target::Router)] {
        let mut times = Vec::new();
        let mut health = None;
        for _ in 0..TIMES {
            let began = Instant::now();
            match api.read::<Health>(target, "/health").await {
                Ok(found) => health = Some(found),
                Err(failure) => {
                    let silent = Finding::new(Mark::Bad, what, failure.words());
                    findings.push(
                        silent.remedy("start it with `tollgated serve`, or name another profile"),
                    );
                    break;
                }
            }
            times.push(began.elapsed());
        }
        if let Some(health) = health.filter(|_| times.len() == TIMES) {
            times.sort_unstable();
            findings.push(healthy(what, &health, times[TIMES / 2]));
        }
    }
    let began = Instant::now();
    findings.push(match gather(options, PATIENCE).await {
        Ok(_) => {
            let found = format!("everything within {}", millis(began.elapsed()));
            Finding::new(Mark::Good, "event stream", found)
        }
        Err(failure) => Finding::new(Mark::Bad, "event stream", failure.words())
            .remedy("events = \"ws://HOST:6120/events\" where only the gateway can be reached"),
    });
    findings
}

/// A backend that answered.
fn healthy(what: &'static str, health: &Health, median: Duration) -> Finding {
    let ours = env!("CARGO_PKG_VERSION");
    let found = format!("{}, version {}, in {}", health.status, health.version, millis(median));
    if health.status != "healthy" {
        return Finding::new(Mark::Bad, what, found).remedy(health.problems.join("; "));
    }
    if health.version != ours {
        return Finding::new(Mark::Note, what, found)
            .remedy(format!("this program is {ours}; the same version is best"));
    }
    if median > SLOW {
        return Finding::new(Mark::Note, what, found).remedy("a nearer network; numbers come late");
    }
    Finding::new(Mark::Good, what, found)
}

fn millis(time: Duration) -> String {
    format!("{}.{} ms", time.as_micros() / 1_000, time.as_micros() % 1_000 / 100)
}

/// How often each service is asked; the middle answer counts.
const TIMES: usize = 5;

/// From here on a person notices.
const SLOW: Duration = Duration::from_millis(100);

/// How long a terminal or a stream may think.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_good_has_a_remedy() {
        for (term, mark) in
            [("xterm-256color", Mark::Note), ("dumb", Mark::Note), ("tmux", Mark::Good)]
        {
            let variable = |name: &str| (name == "TERM").then(|| term.to_owned());
            let colours = &environment(&variable)[1];
            assert_eq!(colours.mark, mark, "{term}");
            assert_eq!(colours.remedy.is_empty(), mark == Mark::Good, "{term}");
        }
    }

    #[test]
    fn broken_files_are_named_whole() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), "fps = 99").unwrap();
        let files = Files { config: Some(dir.path().to_owned()), ..Files::default() };
        let findings = configuration(&files);
        assert_eq!((findings.len(), findings[0].mark), (1, Mark::Bad));
        assert!(findings[0].found.contains("config.toml:1:7: from 1 to 30"), "{findings:?}");
        assert!(findings[0].line().contains("→ mend it"));
    }
}
