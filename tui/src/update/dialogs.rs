//! Dialogs: opening them, typing into them, sending what they mean.
//!
//! Nothing is sent without a dialog that showed the consequence, and Esc always closes without
//! sending. Refuses to know how a dialog looks.
//!
//! | key | help | filter | forms | detail |
//! |---|---|---|---|---|
//! | Esc | closes | clears and closes | closes, sends nothing | closes |
//! | Enter | runs the line | keeps the filter | sends, or goes to what is wrong | closes |
//! | Tab, arrows | next line | – | next field | scroll |
//! | letters | search | type | type | `j` `k` scroll |

use tollgate_shared::budget::RunState;
use tollgate_shared::circuit::CircuitState;
use tui_input::{Input, InputRequest};

use super::forms::{self, typed};
use crate::action::{Action, budget_at_cursor};
use crate::amount;
use crate::filter::Filter;
use crate::message::{Call, Chord, Code, Effect, Purpose, RunVerb, Target};
use crate::model::{
    BudgetForm, Change, CircuitForm, ConfirmForm, Detail, Dialog, FilterLine, Filtered, HelpList,
    Menu, Model, PaletteLine, PaneId, ProofView, RegisterForm, Verdict, rows,
};

/// Opens the dialog of an action that is available.
pub(super) fn open(model: &mut Model, action: Action) {
    let dialog = match action {
        Action::Help => Some(Dialog::Help(HelpList::default())),
        Action::Filter => {
            let text = model.filter.as_ref().map_or(String::new(), |filter| filter.text.clone());
            Some(Dialog::Filter(FilterLine { input: text.into(), error: None }))
        }
        Action::Budget | Action::Raise | Action::Lower => budget_at_cursor(model).map(|base| {
            let step = amount::step(base.enforced.limit_usd.unwrap_or_default());
            let text = match action {
                Action::Raise => format!("+{step}"),
                Action::Lower => format!("-{step}"),
                _ => String::new(),
            };
            Dialog::Budget(Box::new(BudgetForm::new(base, text, model.live.now)))
        }),
        Action::Circuit => rows::provider_at_cursor(model).map(|view| {
            let closed = view.circuit.state == CircuitState::Closed;
            Dialog::Circuit(Box::new(CircuitForm::new(view.name.clone(), closed)))
        }),
        Action::Register => Some(Dialog::Register(Box::default())),
        Action::Edit => rows::provider_at_cursor(model)
            .map(|view| Dialog::Register(Box::new(RegisterForm::edit(view)))),
        Action::Pause | Action::CloseRun => stop(model, action),
        Action::Remove => rows::provider_at_cursor(model).map(|view| {
            let change = Change::Remove(view.name.clone());
            Dialog::Confirm(Box::new(ConfirmForm::new(change, true, false)))
        }),
        Action::JumpLabels => {
            let spots = super::point::spots(model).into_iter();
            Some(Dialog::Jump(spots.map(|(pane, key, _)| (pane, key)).collect()))
        }
        Action::Palette => Some(Dialog::Palette(PaletteLine::default())),
        Action::Copy => Some(Dialog::Menu(Menu::Copy)),
        Action::Export => Some(Dialog::Menu(Menu::Export)),
        Action::Open => rows::cursor(model, model.panes.focus)
            .map(|of| Dialog::Detail(Detail { of, scroll: 0 })),
        _ => None,
    };
    model.dialog = dialog;
}

/// Reads the account of a budget dialog anew where what it was opened with is old.
pub(super) fn refresh(model: &Model) -> Vec<Effect> {
    match &model.dialog {
        Some(Dialog::Budget(form)) if model.freshness().is_old() => {
            let path = format!("/budget/{}", form.run);
            let purpose = Purpose::RefreshBudget(form.run.clone());
            vec![Effect::Send(Call::get(purpose, Target::Gateway, path))]
        }
        _ => Vec::new(),
    }
}

/// The self-audit, with the receipts of the run that differs, else of the one at the cursor.
pub(super) fn prove(model: &mut Model) -> Vec<Effect> {
    let run = match model.live.audit.verdict() {
        Verdict::Differs { run: Some(run), .. } => Some(run.clone()),
        _ => rows::run_at_cursor(model),
    };
    model.dialog = Some(Dialog::Proof(ProofView { run: run.clone(), found: None }));
    let call = run.map(|run| {
        let newest = model.live.tail.last_seq(&run).unwrap_or(0);
        let after = newest.saturating_sub(PROOF_MAX);
        let path = format!("/receipts/{run}?after={after}&limit={PROOF_MAX}");
        Effect::Send(Call::get(Purpose::Prove(run), Target::Gateway, path))
    });
    call.into_iter().collect()
}

/// The dialog that pauses, resumes or closes the run at the cursor, by the state it is in.
fn stop(model: &Model, action: Action) -> Option<Dialog> {
    let run = rows::run_at_cursor(model)?;
    let entry = model.day().runs.get(&run)?;
    let state = entry.state();
    let verb = match (action, state) {
        (Action::CloseRun, _) => RunVerb::Close,
        (_, RunState::Open) => RunVerb::Pause,
        _ => RunVerb::Resume,
    };
    let version = entry.budget.as_ref().map_or(0, |budget| budget.version);
    let wants_note =
        verb == RunVerb::Resume && matches!(state, RunState::Frozen | RunState::Closed);
    let change = Change::Run(run, verb, version);
    Some(Dialog::Confirm(Box::new(ConfirmForm::new(change, verb == RunVerb::Close, wants_note))))
}

/// A key while a dialog is on top.
pub(super) fn press(model: &mut Model, chord: Chord) -> Vec<Effect> {
    let Some(dialog) = model.dialog.take() else { return Vec::new() };
    if chord == Chord::plain(Code::Esc) {
        if let Dialog::Filter(_) = dialog {
            model.filter = None;
            model.panes.at_mut(PaneId::Receipts).offset = 0;
        }
        return Vec::new();
    }
    match dialog {
        Dialog::Help(list) => help(model, list, chord),
        Dialog::Filter(line) => filter(model, line, chord),
        Dialog::Budget(form) => forms::budget(model, form, chord),
        Dialog::Circuit(form) => forms::circuit(model, form, chord),
        Dialog::Register(form) => forms::register(model, form, chord),
        Dialog::Confirm(form) => forms::confirm(model, form, chord),
        Dialog::Jump(known) => super::point::jump(model, known, chord),
        Dialog::Palette(line) => super::palette::press(model, line, chord),
        Dialog::Menu(menu) => super::take_out::choose(model, menu, chord),
        Dialog::Proof(view) => {
            if !matches!(chord.code, Code::Enter | Code::Char('q')) {
                model.dialog = Some(Dialog::Proof(view));
            }
            Vec::new()
        }
        Dialog::Detail(detail) => scroll(model, detail, chord),
    }
}

/// Text was pasted into what is on top.
pub(super) fn paste(model: &mut Model, text: &str) {
    let Some(dialog) = &mut model.dialog else { return };
    // What is under way is what was seen.
    if dialog.sending().is_some_and(|sending| sending.is_waiting()) {
        return;
    }
    let line = |input: &mut Input| {
        for letter in text.chars().filter(|letter| !letter.is_control()).take(PASTE_MAX) {
            input.handle(InputRequest::InsertChar(letter));
        }
    };
    match dialog {
        Dialog::Help(list) => line(&mut list.search),
        Dialog::Filter(filter) => line(&mut filter.input),
        Dialog::Budget(form) if form.focus == 2 => line(&mut form.note),
        Dialog::Budget(form) => line(&mut form.amount),
        Dialog::Circuit(form) if form.focus == 2 => line(&mut form.reason),
        Dialog::Circuit(form) => line(&mut form.span),
        Dialog::Register(form) => {
            if !form.paste(text)
                && let Some(input) = form.focused()
            {
                line(input);
            }
        }
        Dialog::Confirm(form) if form.focus == 1 => line(&mut form.name),
        Dialog::Confirm(form) => line(&mut form.note),
        Dialog::Palette(palette) => line(&mut palette.input),
        Dialog::Detail(_) | Dialog::Menu(_) | Dialog::Jump(_) | Dialog::Proof(_) => {}
    }
}

/// Searches while typing, moves with the arrows, runs the chosen line with Enter.
fn help(model: &mut Model, mut list: HelpList, chord: Chord) -> Vec<Effect> {
    let lines = crate::view::help_lines(&model.settings.keys, list.search.value());
    match chord.code {
        Code::Enter => {
            return match lines.get(list.selected) {
                Some(action) => super::run(model, *action),
                None => Vec::new(),
            };
        }
        Code::Down | Code::Tab => list.selected = (list.selected + 1) % lines.len().max(1),
        Code::Up | Code::BackTab => {
            list.selected = (list.selected + lines.len().max(1) - 1) % lines.len().max(1);
        }
        _ => {
            typed(&mut list.search, chord);
            list.selected = 0;
        }
    }
    model.dialog = Some(Dialog::Help(list));
    Vec::new()
}

/// Reads the filter at every key, so that the table answers while one types.
fn filter(model: &mut Model, mut line: FilterLine, chord: Chord) -> Vec<Effect> {
    typed(&mut line.input, chord);
    match Filter::read(line.input.value()) {
        Ok(read) => {
            let text = line.input.value().to_owned();
            model.filter = read.map(|filter| Filtered { text, filter });
            let pane = model.panes.at_mut(PaneId::Receipts);
            (pane.selected, pane.offset) = (None, 0);
            line.error = None;
            if chord.code == Code::Enter {
                return Vec::new();
            }
        }
        // The last good result stays while the bad token is marked.
        Err(error) => line.error = Some(error),
    }
    model.dialog = Some(Dialog::Filter(line));
    Vec::new()
}

/// A detail only scrolls; any key that says "done" closes it.
fn scroll(model: &mut Model, mut detail: Detail, chord: Chord) -> Vec<Effect> {
    detail.scroll = match chord.code {
        Code::Down | Code::Char('j') => detail.scroll + 1,
        Code::Up | Code::Char('k') => detail.scroll.saturating_sub(1),
        Code::PageDown => detail.scroll + 10,
        Code::PageUp => detail.scroll.saturating_sub(10),
        Code::Enter | Code::Char('q') => return Vec::new(),
        _ => detail.scroll,
    };
    detail.scroll = detail.scroll.min(SCROLL_MAX);
    model.dialog = Some(Dialog::Detail(detail));
    Vec::new()
}

/// Most receipts that are held against rows.
const PROOF_MAX: u64 = 1_000;

/// Most characters of a paste into one field; a field is not a file.
const PASTE_MAX: usize = 512;

/// Farthest that a detail scrolls; the view stops at its end anyway.
const SCROLL_MAX: usize = 200;
