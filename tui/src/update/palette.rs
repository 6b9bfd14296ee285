//! The palette while it is typed into, and what its lines do.
//!
//! A line that would change money or routes opens its dialog. Refuses to know which lines there
//! are.
//!
//! | key | does |
//! |---|---|
//! | letters | narrow the list |
//! | arrows | choose |
//! | Tab | writes the chosen line out |
//! | Enter | runs it, or says why not |

use super::{deeds, dialogs, forms, take_out};
use crate::action::Action;
use crate::filter::Filter;
use crate::message::{Chord, Code, Effect};
use crate::model::{CIRCUIT_CHOICES, Dialog, Filtered, Key, Model, PaletteLine, PaneId, Screen};
use crate::palette::{Command, lines};

/// A key while the palette is open.
pub(super) fn press(model: &mut Model, mut line: PaletteLine, chord: Chord) -> Vec<Effect> {
    let found = lines(model, line.input.value());
    let count = found.len().max(1);
    // What was seen is meant, wherever it stands by now.
    let place = |text: &String| found.iter().position(|known| known.text == *text);
    line.selected = line.chosen.as_ref().and_then(place).unwrap_or(line.selected);
    match chord.code {
        Code::Enter => {
            let seen = line.chosen.clone();
            let same =
                |known: &crate::palette::Line| seen.as_ref().is_none_or(|text| known.text == *text);
            let Some(chosen) = found.into_iter().nth(line.selected).filter(same) else {
                model.toast("that line is gone");
                model.dialog = Some(Dialog::Palette(line));
                return Vec::new();
            };
            if let Some(reason) = chosen.refusal {
                model.toast(format!("{}: {reason}", chosen.text));
                return Vec::new();
            }
            return run(model, chosen.command);
        }
        Code::Down => line.selected = (line.selected + 1) % count,
        Code::Up => line.selected = (line.selected + count - 1) % count,
        Code::Tab => {
            if let Some(chosen) = found.get(line.selected) {
                line = PaletteLine { input: chosen.text.clone().into(), ..PaletteLine::default() };
            }
        }
        _ => {
            forms::typed(&mut line.input, chord);
            line.selected = 0;
        }
    }
    let shown = lines(model, line.input.value());
    line.chosen = shown.get(line.selected).map(|chosen| chosen.text.clone());
    model.dialog = Some(Dialog::Palette(line));
    Vec::new()
}

/// Does what a line says.
fn run(model: &mut Model, command: Command) -> Vec<Effect> {
    match command {
        Command::Act(action) => return super::run(model, action),
        Command::Show(screen, text) => {
            model.show(screen);
            text.into_iter().for_each(|text| filter(model, text));
        }
        Command::Filter(text) => {
            model.show(Screen::Receipts);
            filter(model, text);
        }
        Command::Budget(run, text) => {
            on(model, PaneId::Budgets, Key::Run(run));
            dialogs::open(model, Action::Budget);
            if let Some(Dialog::Budget(form)) = &mut model.dialog {
                form.amount = text.into();
            }
        }
        Command::Pause(run) => at_run(model, run, Action::Pause),
        Command::Close(run) => at_run(model, run, Action::CloseRun),
        Command::Open(run) => at_run(model, run, Action::Open),
        Command::Circuit(name, choice) => {
            on(model, PaneId::Providers, Key::Provider(name));
            dialogs::open(model, Action::Circuit);
            if let Some(Dialog::Circuit(form)) = &mut model.dialog {
                form.choice = choice.min(CIRCUIT_CHOICES.len() - 1);
            }
        }
        Command::Edit(name) => {
            on(model, PaneId::Providers, Key::Provider(name));
            dialogs::open(model, Action::Edit);
        }
        Command::Remove(name) => {
            on(model, PaneId::Providers, Key::Provider(name));
            dialogs::open(model, Action::Remove);
        }
        Command::Window(window) => {
            model.window = window;
            model.metrics = None;
            return super::fold::metrics(model);
        }
        Command::Group(group) => model.group = group,
        Command::Theme(theme) => model.settings.theme = theme,
        Command::Export(ending) => return take_out::write(model, ending),
        Command::Ack(id) => return vec![deeds::ack(model, id)],
    }
    super::browse::keep_in_sight(model);
    Vec::new()
}

/// Opens a dialog about a run.
fn at_run(model: &mut Model, run: tollgate_shared::id::RunId, action: Action) {
    on(model, PaneId::Budgets, Key::Run(run));
    dialogs::open(model, action);
}

/// Takes the cursor onto a thing, so that its dialog is about it.
fn on(model: &mut Model, pane: PaneId, key: Key) {
    model.panes.focus = pane;
    model.panes.at_mut(pane).selected = Some(key);
}

/// A filter that reads holds; one that does not is opened where it can be mended.
fn filter(model: &mut Model, text: String) {
    match Filter::read(&text) {
        Ok(read) => {
            model.filter = read.map(|filter| Filtered { text, filter });
            let pane = model.panes.at_mut(PaneId::Receipts);
            (pane.selected, pane.offset) = (None, 0);
        }
        Err(error) => {
            let line = crate::model::FilterLine { input: text.into(), error: Some(error) };
            model.dialog = Some(Dialog::Filter(line));
        }
    }
}
