//! The command palette: the verbs of the command line, in one line, with what each would do.
//!
//! What is typed is read by words in any order, so `raise 207 2` finds `budget raise R-207 2`. A
//! line that would change money or routes opens its dialog, filled in; none changes anything by
//! itself. An action that is not available is listed with the reason. Refuses to know how lines
//! look.
//!
//! ```text
//! raise 207 25   ─▶  budget raise R-207 25     raise to $75.00, empty 16:04
//! runs /R-2      ─▶  the Runs screen, filtered
//! ```

use tollgate_shared::budget::RunState;
use tollgate_shared::id::{ProviderName, RunId};

use crate::action::Action;
use crate::amount;
use crate::export;
use crate::format;
use crate::model::{BudgetForm, ChartWindow, Group, Model, RunEntry, Screen};
use crate::theme::ThemeChoice;

/// What a line does.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// An action, where the cursor is.
    Act(Action),
    /// A screen, with a filter.
    Show(Screen, Option<String>),
    /// The budget dialog of a run, with this typed.
    Budget(RunId, String),
    /// The dialog that pauses or resumes a run.
    Pause(RunId),
    /// The dialog that closes a run.
    Close(RunId),
    /// The circuit dialog of a provider, with a choice made.
    Circuit(ProviderName, usize),
    /// The form that edits a provider.
    Edit(ProviderName),
    /// The dialog that removes a provider.
    Remove(ProviderName),
    /// One run in full.
    Open(RunId),
    /// A filter of the receipts.
    Filter(String),
    /// The window of the chart.
    Window(ChartWindow),
    /// What is grouped by.
    Group(Group),
    /// The palette of colours.
    Theme(ThemeChoice),
    /// What the focused pane lists, into a file.
    Export(&'static str),
    /// An alert is known.
    Ack(String),
}

/// One line of the palette.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The command, as it could be typed.
    pub text: String,
    /// What it would do.
    pub effect: String,
    /// Why it cannot be done now.
    pub refusal: Option<String>,
    /// What Enter does.
    pub command: Command,
}

/// The lines for what was typed, the best first.
pub fn lines(model: &Model, typed: &str) -> Vec<Line> {
    let typed = typed.trim();
    if let Some(line) = screen_with_filter(typed) {
        return vec![line];
    }
    let words: Vec<String> = typed.split_whitespace().map(str::to_lowercase).collect();
    let mut lines = Vec::new();
    if !words.is_empty() {
        money(model, &words, &mut lines);
        lines.extend(of_runs(model));
        lines.extend(of_providers(model));
        let changes = Action::Register.refusal(model);
        lines.extend(model.day().alerts.values().map(|alert| {
            let text = format!("alerts ack {}", alert.id);
            let line = line(text, &alert.what, Command::Ack(alert.id.clone()));
            Line { refusal: changes.clone(), ..line }
        }));
    }
    lines.extend(looks());
    lines.extend(Action::all().map(|action| {
        let screen = matches!(action, Action::Screen(_));
        let text = if screen { action.name().to_lowercase() } else { action.name().to_owned() };
        let effect = if screen { "show the screen" } else { action.help() };
        Line { refusal: action.refusal(model), ..line(text, effect, Command::Act(action)) }
    }));
    let mut found: Vec<(u32, Line)> = lines
        .into_iter()
        .filter_map(|line| Some((score(&line.text.to_lowercase(), &words)?, line)))
        .collect();
    found.sort_by_key(|(score, line)| (line.refusal.is_some(), *score));
    found.truncate(LINES_MAX);
    found.into_iter().map(|(_, line)| line).collect()
}

/// A line that can be run.
fn line(text: String, effect: &str, command: Command) -> Line {
    Line { text, effect: effect.to_owned(), refusal: None, command }
}

/// `runs /R-2`: a screen and a filter in one line.
fn screen_with_filter(typed: &str) -> Option<Line> {
    let (name, filter) = typed.split_once('/')?;
    let name = name.trim().to_lowercase();
    let screen = Screen::ALL.into_iter().find(|screen| {
        let (long, short) = screen.name();
        !name.is_empty() && (long.to_lowercase().starts_with(&name) || short.to_lowercase() == name)
    })?;
    let filter = filter.trim().to_owned();
    let text = format!("{} /{filter}", screen.name().0.to_lowercase());
    Some(line(text, "the screen, filtered", Command::Show(screen, Some(filter))))
}

/// What an amount among the words would make of each budget that the words may mean.
fn money(model: &Model, words: &[String], lines: &mut Vec<Line>) {
    let Some(place) = words.iter().rposition(|word| is_amount(word)).filter(|place| *place > 0)
    else {
        return;
    };
    let Some(amount) = words.get(place) else { return };
    let plain = amount.trim_start_matches(['+', '-', 'x', '×']);
    let changes = Action::Register.refusal(model);
    for (run, entry) in &model.day().runs {
        let Some(budget) = &entry.budget else { continue };
        let forms = [
            ("raise", plain, format!("+{plain}")),
            ("lower", plain, format!("-{plain}")),
            ("set", amount.as_str(), amount.clone()),
        ];
        for (verb, shown, typed) in forms {
            let limit = budget.enforced.limit_usd;
            let (effect, refusal) = match amount::budget(&typed, limit) {
                Ok(target) => {
                    let after = BudgetForm::new(budget.clone(), typed.clone(), model.live.now)
                        .after(target);
                    let end = match (after.blocked, after.runway_s) {
                        (true, _) => "blocked at once".into(),
                        (false, None) => "not burning".into(),
                        (false, Some(seconds)) => format!("lasts {}", format::span(seconds)),
                    };
                    (format!("makes it ${}, {end}", target.rounded(2)), None)
                }
                Err(why) => (String::new(), Some(why)),
            };
            let text = format!("budget {verb} {run} {shown}");
            let refusal = changes.clone().or(refusal);
            lines
                .push(Line { refusal, ..line(text, &effect, Command::Budget(run.clone(), typed)) });
        }
    }
}

/// Whether a word is an amount, not a part of a name.
fn is_amount(word: &str) -> bool {
    let number = word.trim_start_matches(['+', '-', 'x', '×', '$']);
    number.starts_with(|first: char| first.is_ascii_digit())
        && number.chars().all(|letter| letter.is_ascii_digit() || letter == '.')
}

/// What can be done to every run.
fn of_runs(model: &Model) -> Vec<Line> {
    let changes = Action::Register.refusal(model);
    let of = |(run, entry): (&RunId, &RunEntry)| {
        let state = entry.state();
        let verb = if state == RunState::Open { "pause" } else { "resume" };
        let words = match state {
            RunState::Open => "refuse new requests after a while",
            _ => "let requests through again",
        };
        let budget = line(
            format!("budget set {run}"),
            "budget dialog",
            Command::Budget(run.clone(), String::new()),
        );
        let pause = line(format!("{verb} {run}"), words, Command::Pause(run.clone()));
        let close =
            line(format!("close {run}"), "nothing new, for good", Command::Close(run.clone()));
        let mut lines: Vec<Line> = [budget, pause, close]
            .into_iter()
            .map(|line| Line { refusal: changes.clone(), ..line })
            .collect();
        lines.push(line(format!("open {run}"), "the run in full", Command::Open(run.clone())));
        let filter = format!("run:{run}");
        lines.push(line(format!("filter {filter}"), "its receipts", Command::Filter(filter)));
        lines
    };
    model.day().runs.iter().flat_map(of).collect()
}

/// What can be done to every provider.
fn of_providers(model: &Model) -> Vec<Line> {
    let changes = Action::Register.refusal(model);
    let of = |name: &ProviderName| {
        let circuit = |word: &str, effect: &str, choice| {
            line(format!("circuit {name} {word}"), effect, Command::Circuit(name.clone(), choice))
        };
        let lines = [
            circuit("open", "no traffic for a while", 0),
            circuit("half-open", "one probe at a time", 2),
            circuit("close", "traffic flows", 3),
            line(format!("providers edit {name}"), "a new price card", Command::Edit(name.clone())),
            line(format!("providers remove {name}"), "no traffic", Command::Remove(name.clone())),
        ];
        lines.map(|line| Line { refusal: changes.clone(), ..line })
    };
    model.day().providers.keys().flat_map(of).collect()
}

/// What only changes how things look.
fn looks() -> Vec<Line> {
    let windows = [
        ("1m", ChartWindow::Minute),
        ("15m", ChartWindow::Quarter),
        ("1h", ChartWindow::Hour),
        ("24h", ChartWindow::Day),
        ("7d", ChartWindow::Week),
    ];
    let themes =
        [("dark", ThemeChoice::Dark), ("light", ThemeChoice::Light), ("mono", ThemeChoice::Mono)];
    let groups = [Group::Run, Group::Agent, Group::Provider, Group::Model];
    let exports = export::FORMATS.iter();
    let mut lines = Vec::new();
    lines.extend(windows.map(|(word, window)| {
        line(format!("window {word}"), "of the chart", Command::Window(window))
    }));
    lines.extend(
        themes.map(|(word, theme)| line(format!("theme {word}"), "colours", Command::Theme(theme))),
    );
    lines.extend(groups.map(|group| {
        line(format!("group {}", group.word()), "who and chart", Command::Group(group))
    }));
    lines.extend(exports.map(|(_, ending, words)| {
        line(format!("export {ending}"), words, Command::Export(ending))
    }));
    lines
}

/// How well a line fits the words: less is better, `None` not at all. Every word must be in the
/// line, as a part of it or letter by letter in order.
fn score(text: &str, words: &[String]) -> Option<u32> {
    let mut sum = u32::try_from(text.len()).unwrap_or(u32::MAX);
    for word in words {
        let starts = text.starts_with(word.as_str())
            || text.split([' ', '-', ':']).any(|part| part.starts_with(word.as_str()));
        sum = sum.saturating_add(match (starts, text.contains(word.as_str())) {
            (true, _) => 0,
            (false, true) => 20,
            (false, false) if is_within(text, word) => 200,
            (false, false) => return None,
        });
    }
    Some(sum)
}

/// Whether the letters of a word stand in the text, in this order.
fn is_within(text: &str, word: &str) -> bool {
    let mut letters = text.chars();
    word.chars().all(|wanted| letters.any(|letter| letter == wanted))
}

/// Most lines that are listed.
const LINES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn words_in_any_order_find_the_verb_and_its_effect() {
        let model = fixture::model((80, 24));
        let first = lines(&model, "raise 207 25").remove(0);
        assert_eq!(first.text, "budget raise R-207 25");
        assert!(first.effect.starts_with("makes it $75.00, lasts "), "{}", first.effect);
        assert_eq!(lines(&model, "pause 207")[0].text, "pause R-207");
        assert_eq!(lines(&model, "azure half")[0].text, "circuit azure-gpt4o half-open");
        assert_eq!(lines(&model, "window 24")[0].command, Command::Window(ChartWindow::Day));
        let runs = lines(&model, "runs /R-2").remove(0);
        assert_eq!(runs.command, Command::Show(Screen::Runs, Some("R-2".into())));
    }

    #[test]
    fn every_action_is_found_by_its_name() {
        let model = fixture::model((80, 24));
        for action in Action::all() {
            let name = action.name().to_lowercase();
            let found = lines(&model, &name);
            assert!(found.iter().any(|line| line.command == Command::Act(action)), "{name}");
        }
    }

    #[test]
    fn no_line_is_available_that_changes_what_must_not_be_changed() {
        let mut model = fixture::model((80, 24));
        model.settings.read_only = true;
        for typed in ["raise 207 25", "pause 207", "azure", "remove azure", "close R-207"] {
            for line in lines(&model, typed) {
                let harmless = matches!(
                    line.command,
                    Command::Open(_) | Command::Filter(_) | Command::Show(..) | Command::Act(_)
                );
                assert!(harmless || line.refusal.is_some(), "{line:?}");
            }
        }
    }
}
