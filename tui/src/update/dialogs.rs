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

use tollgate_shared::circuit::CircuitState;
use tui_input::{Input, InputRequest};

use crate::action::{Action, budget_at_cursor};
use crate::amount;
use crate::filter::Filter;
use crate::message::{Call, Chord, Code, Effect, Purpose, Target};
use crate::model::{
    BudgetForm, CIRCUIT_CHOICES, CircuitForm, Detail, Dialog, FilterLine, Filtered, HelpList,
    MODES, Model, PaneId, RegisterForm, Sending, rows,
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
            Dialog::Budget(Box::new(BudgetForm::new(base, text)))
        }),
        Action::Circuit => rows::provider_at_cursor(model).map(|view| {
            let closed = view.circuit.state == CircuitState::Closed;
            Dialog::Circuit(Box::new(CircuitForm::new(view.name.clone(), closed)))
        }),
        Action::Register => Some(Dialog::Register(Box::default())),
        Action::Open => rows::cursor(model, model.panes.focus)
            .map(|of| Dialog::Detail(Detail { of, scroll: 0 })),
        _ => None,
    };
    model.dialog = dialog;
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
        Dialog::Budget(form) => budget(model, form, chord),
        Dialog::Circuit(form) => circuit(model, form, chord),
        Dialog::Register(form) => register(model, form, chord),
        Dialog::Detail(detail) => scroll(model, detail, chord),
    }
}

/// Text was pasted into what is on top.
pub(super) fn paste(model: &mut Model, text: &str) {
    let Some(dialog) = &mut model.dialog else { return };
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
        Dialog::Detail(_) => {}
    }
}

/// Types a key into a one-line field; answers whether it was one for typing.
fn typed(input: &mut Input, chord: Chord) -> bool {
    let request = match (chord.code, chord.ctrl) {
        (Code::Char(letter), false) => InputRequest::InsertChar(letter),
        (Code::Char('w'), true) => InputRequest::DeletePrevWord,
        (Code::Char('u'), true) => InputRequest::DeleteLine,
        (Code::Char('a'), true) | (Code::Home, _) => InputRequest::GoToStart,
        (Code::Char('e'), true) | (Code::End, _) => InputRequest::GoToEnd,
        (Code::Backspace, _) => InputRequest::DeletePrevChar,
        (Code::Delete, _) => InputRequest::DeleteNextChar,
        (Code::Left, _) => InputRequest::GoToPrevChar,
        (Code::Right, _) => InputRequest::GoToNextChar,
        _ => return false,
    };
    if input.value().len() < FIELD_MAX || !matches!(request, InputRequest::InsertChar(_)) {
        input.handle(request);
    }
    true
}

/// Moves the focus of a form of `count` fields; answers whether the key was for that.
fn moved(focus: &mut usize, count: usize, chord: Chord) -> bool {
    *focus = match chord.code {
        Code::Tab | Code::Down => (*focus + 1) % count,
        Code::BackTab | Code::Up => (*focus + count - 1) % count,
        _ => return false,
    };
    true
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

/// Types into the budget form; Enter sends what it shows, with the version it was opened with.
fn budget(model: &mut Model, mut form: Box<BudgetForm>, chord: Chord) -> Vec<Effect> {
    let mut effects = Vec::new();
    if form.sending != Sending::Waiting {
        if chord.code == Code::Enter {
            match form.target() {
                Ok(limit) => {
                    form.sending = Sending::Waiting;
                    let call = Call {
                        purpose: Purpose::ChangeBudget(form.run.clone()),
                        target: Target::Gateway,
                        path: "/budget".into(),
                        body: Some(form.body(limit)),
                        if_match: Some(form.base.version),
                        number: next_number(model),
                    };
                    effects.push(Effect::Send(call));
                }
                Err(why) => {
                    form.focus = 0;
                    form.sending = Sending::Failed(why);
                }
            }
        } else {
            form.sending = Sending::Not;
            if !moved(&mut form.focus, BudgetForm::FIELDS, chord) {
                match form.focus {
                    0 => _ = typed(&mut form.amount, chord),
                    1 if !is_choice(chord) => {}
                    1 => {
                        let place = MODES.iter().position(|(mode, _)| *mode == form.mode);
                        form.mode = MODES[(place.unwrap_or(0) + 1) % MODES.len()].0;
                    }
                    _ => _ = typed(&mut form.note, chord),
                }
            }
        }
    }
    model.dialog = Some(Dialog::Budget(form));
    effects
}

/// Keys that change a choice between few; letters do not, they may be meant for another field.
fn is_choice(chord: Chord) -> bool {
    matches!(chord.code, Code::Char(' ') | Code::Left | Code::Right)
}

/// Chooses, types, sends; the reason travels with the change.
fn circuit(model: &mut Model, mut form: Box<CircuitForm>, chord: Chord) -> Vec<Effect> {
    let mut effects = Vec::new();
    if form.sending != Sending::Waiting {
        if chord.code == Code::Enter {
            match form.body() {
                Ok(body) => {
                    form.sending = Sending::Waiting;
                    let call = Call {
                        purpose: Purpose::SwitchCircuit(form.provider.clone()),
                        target: Target::Router,
                        path: format!("/providers/{}/circuit", form.provider),
                        body: Some(body),
                        if_match: None,
                        number: next_number(model),
                    };
                    effects.push(Effect::Send(call));
                }
                Err(why) => form.sending = Sending::Failed(why),
            }
        } else {
            form.sending = Sending::Not;
            let count = CIRCUIT_CHOICES.len();
            match (form.focus, chord.code) {
                // Up and down choose within the list; Tab leaves it.
                (0, Code::Down | Code::Char('j')) => form.choice = (form.choice + 1) % count,
                (0, Code::Up | Code::Char('k')) => form.choice = (form.choice + count - 1) % count,
                _ if moved(&mut form.focus, CircuitForm::FIELDS, chord) => {}
                (1, _) => _ = typed(&mut form.span, chord),
                (2, _) => _ = typed(&mut form.reason, chord),
                _ => {}
            }
        }
    }
    model.dialog = Some(Dialog::Circuit(form));
    effects
}

/// Types into the form; Enter goes to the first bad field, or sends.
fn register(model: &mut Model, mut form: Box<RegisterForm>, chord: Chord) -> Vec<Effect> {
    let mut effects = Vec::new();
    if form.sending != Sending::Waiting {
        if chord.code == Code::Enter {
            form.checked = true;
            match (form.first_bad(), form.body()) {
                (Some(bad), _) => form.focus = bad,
                (None, Err(why)) => form.sending = Sending::Failed(why),
                (None, Ok(body)) => {
                    form.sending = Sending::Waiting;
                    let call = Call {
                        purpose: Purpose::Register,
                        target: Target::Router,
                        path: "/register".into(),
                        body: Some(body),
                        if_match: None,
                        number: next_number(model),
                    };
                    effects.push(Effect::Send(call));
                }
            }
        } else {
            form.sending = Sending::Not;
            let count = crate::model::Field::ALL.len();
            if !moved(&mut form.focus, count, chord)
                && let Some(input) = form.focused()
            {
                typed(input, chord);
            }
        }
    }
    model.dialog = Some(Dialog::Register(form));
    effects
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

/// The number of the next change: with the session it makes the idempotency key.
fn next_number(model: &mut Model) -> u64 {
    model.sent += 1;
    model.sent
}

/// Most characters of a paste into one field; a field is not a file.
const PASTE_MAX: usize = 512;

/// Most bytes that a field takes.
const FIELD_MAX: usize = 512;

/// Farthest that a detail scrolls; the view stops at its end anyway.
const SCROLL_MAX: usize = 200;
