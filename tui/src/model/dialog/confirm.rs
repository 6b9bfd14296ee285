//! Stopping something: a run, or a provider.
//!
//! Closing a run and removing a provider want the name typed, for neither has an undo that would
//! be honest. Refuses to know what is in flight: that is shown from the day.

use serde::Serialize;
use tollgate_shared::id::{ProviderName, RunId};
use tui_input::Input;

use super::Sending;
use crate::message::{Call, Purpose, RunVerb, Target};

/// What is about to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Something is done to a run of this version.
    Run(RunId, RunVerb, u64),
    /// A provider gets no traffic any more.
    Remove(ProviderName),
}

/// A change that is about to be made.
#[derive(Clone, Debug)]
pub struct ConfirmForm {
    /// What.
    pub change: Change,
    /// Why.
    pub note: Input,
    /// The name, where it must be typed.
    pub name: Input,
    /// Whether the name must be typed.
    pub wants_name: bool,
    /// Whether the backend wants a note: lifting a freeze, opening what was closed.
    pub wants_note: bool,
    /// The field that keys go to: note, name.
    pub focus: usize,
    /// Where the request is.
    pub sending: Sending,
}

/// Body of `POST /runs/{run_id}/pause` and its sisters.
#[derive(Serialize)]
struct NoteBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

impl ConfirmForm {
    /// A form for this change.
    pub fn new(change: Change, wants_name: bool, wants_note: bool) -> Self {
        Self {
            focus: usize::from(wants_name && !wants_note),
            change,
            note: Input::default(),
            name: Input::default(),
            wants_name,
            wants_note,
            sending: Sending::Not,
        }
    }

    /// How many fields it has.
    pub fn fields(&self) -> usize {
        1 + usize::from(self.wants_name)
    }

    /// Whom it is about.
    pub fn subject(&self) -> &str {
        match &self.change {
            Change::Run(run, ..) => run.as_str(),
            Change::Remove(provider) => provider.as_str(),
        }
    }

    /// What is missing: the field, and the reason.
    pub fn missing(&self) -> Option<(usize, String)> {
        if self.wants_note && self.note.value().trim().is_empty() {
            return Some((0, "say why: the note stays with the run".into()));
        }
        let differs = self.wants_name && self.name.value().trim() != self.subject();
        differs.then(|| (1, format!("type {} to go on", self.subject())))
    }

    /// The exact request.
    pub fn call(&self) -> Call {
        match &self.change {
            Change::Run(run, verb, version) => {
                let note = Some(self.note.value().trim()).filter(|note| !note.is_empty());
                let body = serde_json::to_string(&NoteBody { note }).unwrap_or_default();
                let path = format!("/runs/{run}/{}", verb.word());
                let purpose = Purpose::ChangeRun(run.clone(), *verb);
                Call::post(purpose, Target::Gateway, path, body).of_version(*version)
            }
            Change::Remove(provider) => {
                let purpose = Purpose::Remove(provider.clone());
                Call::delete(purpose, Target::Router, format!("/providers/{provider}"))
            }
        }
    }
}
