//! Forms: what a key does to a field, and what Enter sends.
//!
//! A form that waits for its answer takes no keys but Esc. Refuses to know how a form looks and
//! what an answer means.
//!
//! ```text
//! letters ─▶ field     Tab ─▶ next field     Enter ─▶ what is wrong first, else the request
//! ```

use tollgate_shared::circuit::CircuitState;
use tui_input::{Input, InputRequest};

use crate::message::{Call, Chord, Code, Effect, Purpose, Target};
use crate::model::{
    BudgetForm, CIRCUIT_CHOICES, CircuitForm, ConfirmForm, Dialog, MODES, Model, RegisterForm,
    Sending,
};

/// Sends a change under a number of its own, so that a repeated request changes nothing twice.
pub(super) fn send(model: &mut Model, call: Call) -> Effect {
    Effect::Send(Call { number: model.next_number(), ..call })
}

/// Sends what a form asks for, unless nothing may be changed by now. A request that got no answer
/// is repeated under the number it had, so that it cannot be done twice.
fn submit(model: &mut Model, call: Call) -> (Sending, Vec<Effect>) {
    if let Some(why) = crate::action::changes(model) {
        return (Sending::Failed(why), Vec::new());
    }
    let number = match &model.unanswered {
        Some(known) if (Call { number: 0, ..known.clone() }) == call => known.number,
        _ => model.next_number(),
    };
    let call = Call { number, ..call };
    model.unanswered = Some(call.clone());
    (Sending::Waiting(number), vec![Effect::Send(call)])
}

/// Types a key into a one-line field; answers whether it was one for typing.
pub(super) fn typed(input: &mut Input, chord: Chord) -> bool {
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

/// Types into the budget form; Enter sends what it shows, with the version it was opened with.
pub(super) fn budget(model: &mut Model, mut form: Box<BudgetForm>, chord: Chord) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !form.sending.is_waiting() {
        if chord.code == Code::Enter {
            match form.target() {
                Ok(limit) => {
                    let purpose = Purpose::ChangeBudget(form.run.clone());
                    let call = Call::post(purpose, Target::Gateway, "/budget", form.body(limit));
                    (form.sending, effects) = submit(model, call.of_version(form.base.version));
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
pub(super) fn circuit(model: &mut Model, mut form: Box<CircuitForm>, chord: Chord) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !form.sending.is_waiting() {
        if chord.code == Code::Enter {
            match form.body() {
                Ok(body) => {
                    let before = model.live.providers.get(&form.provider);
                    let before = before.map_or(CircuitState::Open, |view| view.circuit.state);
                    let purpose = Purpose::SwitchCircuit(form.provider.clone(), before);
                    let path = format!("/providers/{}/circuit", form.provider);
                    let call = Call::post(purpose, Target::Router, path, body);
                    (form.sending, effects) = submit(model, call);
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
pub(super) fn register(
    model: &mut Model,
    mut form: Box<RegisterForm>,
    chord: Chord,
) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !form.sending.is_waiting() {
        if chord.code == Code::Enter {
            form.checked = true;
            match (form.first_bad(), form.body()) {
                (Some(bad), _) => form.focus = bad,
                (None, Err(why)) => form.sending = Sending::Failed(why),
                (None, Ok(body)) => {
                    let purpose = Purpose::Register(form.name());
                    let call = Call::post(purpose, Target::Router, "/register", body);
                    // A new one has no version yet: a name that is taken is not written over.
                    let call = call.of_version(form.version.unwrap_or(0));
                    (form.sending, effects) = submit(model, call);
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

/// Types the note, and the name where it is wanted; Enter sends once nothing is missing.
pub(super) fn confirm(model: &mut Model, mut form: Box<ConfirmForm>, chord: Chord) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !form.sending.is_waiting() {
        if chord.code == Code::Enter {
            match form.missing() {
                Some((field, why)) => {
                    form.focus = field;
                    form.sending = Sending::Failed(why);
                }
                None => {
                    (form.sending, effects) = submit(model, form.call());
                }
            }
        } else {
            form.sending = Sending::Not;
            let count = form.fields();
            if !moved(&mut form.focus, count, chord) {
                let field = if form.focus == 0 { &mut form.note } else { &mut form.name };
                typed(field, chord);
            }
        }
    }
    model.dialog = Some(Dialog::Confirm(form));
    effects
}

/// Most bytes that a field takes.
const FIELD_MAX: usize = 512;
