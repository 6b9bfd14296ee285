//! Alerts: raised, spoken about, resolved; told to consoles and kept on disk in the same order.
//!
//! Whatever changes an alert does so under the hub's lock and hands it to the ledger before the lock
//! is given back, so that what is kept is never older than what was told.

use tokio::sync::oneshot;
use tollgate_shared::alert::{Alert, Said};
use tollgate_shared::event::{AlertEvent, Event};
use tollgate_shared::time::Timestamp;

use super::{Hub, State};
use crate::clock;
use crate::ledger::{ChangeError, Keeper, Note, Recorded};
use crate::store::Key;

/// What became of a word about an alert: the alert as it was and is, and the answer of the disk.
#[derive(Debug)]
pub struct Spoken {
    /// As it was.
    pub before: Alert,
    /// As it is.
    pub alert: Alert,
    /// Comes when it is on disk.
    pub kept: oneshot::Receiver<Result<(), ChangeError>>,
}

impl Hub {
    /// A condition that holds; told only where it is news.
    pub fn alert(&self, alert: Alert) {
        let mut state = self.state();
        if let Some(alert) = state.alerts.raise(alert) {
            self.tell(&mut state, alert);
        }
    }

    /// A condition that no longer holds.
    pub fn resolve(&self, id: &str) {
        let mut state = self.state();
        if let Some(alert) = state.alerts.resolve(id, clock::now()) {
            self.tell(&mut state, alert);
        }
    }

    /// A person says something about an alert; `None` where none of that identity holds.
    pub fn say(&self, id: &str, said: Said, key: Option<Key>) -> Option<Spoken> {
        let mut state = self.state();
        let before = state.alerts.get(id)?.clone();
        let change = recorded(&before, &said);
        let alert = state.alerts.say(id, said)?;
        let keeper = state.keeper.clone();
        let note = Note { alert: Some(alert.clone()), change: Some(change), key, answer: None };
        let kept = keeper.map(|keeper| keeper.keep(note)).unwrap_or_else(|| oneshot::channel().1);
        self.push_alert(&mut state, alert.clone());
        Some(Spoken { before, alert, kept })
    }

    /// What was said could not be kept: where it still stands, it is taken back.
    pub fn unsay(&self, said: &Alert, before: &Alert) {
        let mut state = self.state();
        if let Some(alert) = state.alerts.take_back(said, before) {
            self.push_alert(&mut state, alert);
        }
    }

    /// Time has passed: those that were to be silent until now return.
    pub fn wake_alerts(&self, now: Timestamp) {
        let mut state = self.state();
        for alert in state.alerts.wake(now) {
            self.tell(&mut state, alert);
        }
    }

    /// What was kept before this start, and where to keep what comes.
    pub fn restore_alerts(&self, alerts: Vec<Alert>, keeper: Keeper) {
        let mut state = self.state();
        state.alerts.restore(alerts);
        state.keeper = Some(keeper);
    }

    /// Every condition was looked for once: those that were not found again have ended.
    pub fn end_restore(&self) {
        let mut state = self.state();
        for alert in state.alerts.end_restore(clock::now()) {
            self.tell(&mut state, alert);
        }
    }

    /// An alert that holds.
    pub fn alert_of(&self, id: &str) -> Option<Alert> {
        self.state().alerts.get(id).cloned()
    }

    /// Alerts that hold, and those that no longer do, oldest first.
    pub fn alerts(&self) -> (Vec<Alert>, Vec<Alert>) {
        let state = self.state();
        (state.alerts.iter().cloned().collect(), state.alerts.resolved().cloned().collect())
    }

    fn tell(&self, state: &mut State, alert: Alert) {
        if let Some(keeper) = &state.keeper {
            // What cannot be kept now is found again after a restart.
            drop(keeper.keep(Note { alert: Some(alert.clone()), ..Note::default() }));
        }
        self.push_alert(state, alert);
    }

    fn push_alert(&self, state: &mut State, alert: Alert) {
        self.push_one(state, |seq| Event::Alert(AlertEvent { seq, alert }));
    }
}

/// A word about an alert as a row of the audit.
fn recorded(before: &Alert, said: &Said) -> Recorded {
    let fact = |name: &str, value: String| Some((name.to_owned(), value));
    let state = serde_json::to_value(before.state).ok();
    let was = state.and_then(|state| state.as_str().map(str::to_owned)).unwrap_or_default();
    let until = said.until.and_then(|until| fact("snoozed_until", until.to_string()));
    Recorded {
        who: said.who.clone(),
        what: if said.until.is_some() { "snooze" } else { "ack" },
        subject: before.id.clone(),
        note: said.note.clone(),
        before: fact("state", was).into_iter().collect(),
        after: fact("state", "acked".into()).into_iter().chain(until).collect(),
    }
}
