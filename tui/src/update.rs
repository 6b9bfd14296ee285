//! The only place where the model changes.
//!
//! A message comes in, the model is another one, and effects go out. No clock is read and nothing
//! is sent from here, so every story can be played in a test. The leaves: what came from the
//! backend, what a key does, what a dialog does, what an answer means.
//!
//! | message | leaf |
//! |---|---|
//! | a delta, the clock | `fold` |
//! | a key without a dialog | `browse`, or a dialog opens |
//! | a key or a paste with a dialog | `dialogs` |
//! | a reply | `replies` |

use crate::action::Action;
use crate::message::{Chord, Effect, Message};
use crate::model::{Link, Model, Settings};

mod browse;
mod deeds;
mod dialogs;
mod fetch;
mod fold;
mod forms;
mod palette;
pub(crate) mod point;
mod replies;
mod scrub;
pub(crate) mod take_out;

/// Changes the model by one message.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let looks = matches!(message, Message::Key(_) | Message::Clock(_) | Message::Mouse(..));
    let is_tick = matches!(message, Message::Clock(_));
    let mut effects = take_in(model, message);
    if looks {
        effects.extend(fetch::look(model, is_tick));
    }
    effects
}

/// One message, into its leaf.
fn take_in(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(chord) => press(model, chord),
        Message::Paste(text) => {
            dialogs::paste(model, &text);
            Vec::new()
        }
        Message::Mouse(click, x, y) => point::mouse(model, click, (x, y)),
        Message::Resize(width, height) => {
            model.size = (width, height);
            browse::keep_in_sight(model);
            Vec::new()
        }
        Message::Clock(now) => fold::clock(model, now),
        Message::Delta(delta) => fold::delta(model, *delta),
        Message::Reply(reply) => replies::reply(model, reply),
        Message::Told(words) => {
            model.toast(words);
            Vec::new()
        }
        Message::Settings(settings) => {
            take(model, settings);
            Vec::new()
        }
    }
}

/// The configuration was read anew; what cannot be read changes nothing.
fn take(model: &mut Model, settings: Result<Box<Settings>, String>) {
    match settings {
        Ok(settings) => {
            // Hiding money is a matter of the moment, not of a file.
            let hide_money = model.settings.hide_money;
            // The connection is what it was when the console was opened.
            let Settings { profile, gateway, router, read_only, .. } = model.settings.clone();
            // A file that is written meanwhile may forbid changes; it cannot begin to allow them.
            let read_only = read_only || settings.read_only;
            model.settings =
                Settings { hide_money, profile, gateway, router, read_only, ..*settings };
            model.toast("the configuration was read anew");
        }
        Err(why) => model.toast(why),
    }
}

/// A key goes to the dialog on top, else through the table; two work everywhere.
fn press(model: &mut Model, chord: Chord) -> Vec<Effect> {
    let action = model.settings.keys.action(chord);
    // These two must work whatever is on top.
    if let Some(Action::Suspend | Action::Redraw) = action {
        return action.map(|action| run(model, action)).unwrap_or_default();
    }
    if action == Some(Action::Interrupt) {
        return match model.dialog.take() {
            Some(_) => Vec::new(),
            None => vec![Effect::Quit],
        };
    }
    if model.dialog.is_some() {
        return dialogs::press(model, chord);
    }
    action.map(|action| run(model, action)).unwrap_or_default()
}

/// Does an action, or says why it cannot be done.
pub fn run(model: &mut Model, action: Action) -> Vec<Effect> {
    let action = action.here(model);
    if let Some(reason) = action.refusal(model) {
        model.toast(format!("{}: {reason}", action.name()));
        return Vec::new();
    }
    match action {
        Action::Quit | Action::Interrupt => vec![Effect::Quit],
        Action::Suspend => vec![Effect::Suspend],
        Action::Redraw => vec![Effect::Redraw],
        Action::Reconnect => {
            let was_past = model.frozen.take().is_some();
            model.as_of = None;
            // Coming back to the present needs no new connection where there is one.
            if was_past && model.link == Link::Up {
                return Vec::new();
            }
            vec![Effect::Reconnect]
        }
        Action::Help
        | Action::Filter
        | Action::Budget
        | Action::Raise
        | Action::Lower
        | Action::Circuit
        | Action::Register
        | Action::Edit
        | Action::Remove
        | Action::Pause
        | Action::CloseRun
        | Action::Copy
        | Action::Export
        | Action::Palette
        | Action::JumpLabels
        | Action::Open => {
            dialogs::open(model, action);
            dialogs::refresh(model)
        }
        Action::Ack | Action::AckAll | Action::Snooze | Action::Undo => deeds::run(model, action),
        Action::Audit => dialogs::prove(model),
        Action::Probe => deeds::probe(model),
        Action::CopyJson => take_out::copy(model, take_out::json),
        Action::CopyCurl => take_out::copy(model, take_out::curl),
        Action::CopyScreen => take_out::screen(model),
        Action::Mouse => {
            model.mouse = !model.mouse;
            vec![Effect::Mouse(model.mouse)]
        }
        _ => browse::run(model, action),
    }
}

#[cfg(test)]
mod tests;
