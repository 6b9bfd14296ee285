//! Changes that are made at once: acknowledging, putting away, taking back.
//!
//! None of them spends. Everything that could asks in a dialog first. Refuses to know forms.
//!
//! | key | what is sent |
//! |---|---|
//! | `a` `A` | `POST :6120/alerts/{id}/ack`, for one or for all that are shown |
//! | `Z` | `POST :6120/alerts/{id}/snooze`, half an hour |
//! | `u` | the inverse of the last change, for ten seconds |

use tollgate_shared::alert::AlertState;

use super::forms::send;
use crate::action::Action;
use crate::message::{Call, Effect, Purpose, Target, segment};
use crate::model::{Model, rows};

/// Does one of them.
pub(super) fn run(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Ack => match rows::alert_at_cursor(model).map(|alert| alert.id.clone()) {
            Some(id) => vec![ack(model, id)],
            None => Vec::new(),
        },
        Action::AckAll => {
            let open = rows::alerts(model.day()).into_iter();
            let open = open.filter(|alert| alert.state == AlertState::Open);
            let ids: Vec<String> = open.map(|alert| alert.id.clone()).collect();
            ids.into_iter().map(|id| ack(model, id)).collect()
        }
        Action::Snooze => match rows::alert_at_cursor(model).map(|alert| alert.id.clone()) {
            Some(id) => {
                let path = format!("/alerts/{}/snooze", segment(&id));
                let body = format!("{{\"minutes\":{SNOOZE_MIN}}}");
                let call = Call::post(Purpose::Snooze(id), Target::Gateway, path, body);
                vec![send(model, call)]
            }
            None => Vec::new(),
        },
        Action::Undo => match model.undo.take() {
            Some(undo) => vec![send(model, undo.call)],
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Asks the backend to look at the provider at the cursor. It changes nothing and costs nothing.
pub(super) fn probe(model: &mut Model) -> Vec<Effect> {
    let Some(name) = rows::provider_at_cursor(model).map(|view| view.name.clone()) else {
        return Vec::new();
    };
    let path = format!("/providers/{name}/probe");
    let call = Call::post(Purpose::Probe(name), Target::Router, path, String::new());
    vec![send(model, Call { body: None, ..call })]
}

/// Somebody knows.
pub(super) fn ack(model: &mut Model, id: String) -> Effect {
    let path = format!("/alerts/{}/ack", segment(&id));
    send(model, Call::post(Purpose::Ack(id), Target::Gateway, path, "{}".into()))
}

/// How long an alert is put away, in minutes.
const SNOOZE_MIN: u32 = 30;
