//! What is written beside the money: who changed what, alerts, keys and their answers.

use tokio::sync::oneshot;
use tollgate_shared::api::AuditEntry;
use tollgate_shared::budget::{Books, Owner, RunState};
use tollgate_shared::id::RunId;

use super::Writer;
use crate::ledger::{ChangeError, ITSELF, Note, Recorded, Told};
use crate::store::{AuditRow, Facts, Key, StoreError, facts_text};

impl Writer {
    /// Keeps something that is no account's. It is on disk when the answer leaves.
    pub(super) fn note(
        &mut self,
        note: Note,
        reply: Option<oneshot::Sender<Result<(), ChangeError>>>,
    ) -> Result<(), StoreError> {
        self.group.noted = true;
        if let Some(alert) = &note.alert {
            self.store.save_alert(alert)?;
        }
        self.claim(note.key.as_ref())?;
        if let Some((key, status, body)) = &note.answer {
            self.store.save_answer(key, *status, body)?;
        }
        if let Some(change) = note.change {
            self.record(change)?;
        }
        if let Some(reply) = reply {
            self.group.answers.push(Box::new(move |done| {
                // Who keeps a note and goes on wants no answer.
                reply.send(done.map(drop).map_err(ChangeError::Outage)).ok();
            }));
        }
        Ok(())
    }

    /// Whether a run may spend.
    pub(super) fn state_of(&self, run_id: &RunId) -> Option<RunState> {
        self.books.run(run_id).map(|run| run.state)
    }

    /// A bill may have frozen a run: nobody's hand, and a change of its version all the same.
    pub(super) fn record_freeze(
        &mut self,
        run_id: &RunId,
        was: Option<RunState>,
    ) -> Result<(), StoreError> {
        let is = self.state_of(run_id);
        if is == was || is != Some(RunState::Frozen) {
            return Ok(());
        }
        let state = |state: Option<RunState>| {
            let state = state.as_ref().and_then(word)?;
            Some(("state".to_owned(), state))
        };
        self.record(Recorded {
            who: ITSELF.into(),
            what: "freeze",
            subject: run_id.to_string(),
            note: Some("a bill was larger than its hold".into()),
            before: state(was).into_iter().collect(),
            after: facts_of(&self.books, &Owner::Run(run_id.clone()))
                .into_iter()
                .filter(|(name, _)| ["state", "version"].contains(&name.as_str()))
                .collect(),
        })
    }

    /// A key belongs to the change in whose group it is written.
    pub(super) fn claim(&self, key: Option<&Key>) -> Result<(), StoreError> {
        key.map_or(Ok(()), |key| self.store.use_key(key, self.now))
    }

    /// Writes a change into the audit, and tells it when it is on disk.
    pub(super) fn record(&mut self, change: Recorded) -> Result<(), StoreError> {
        let Recorded { who, what, subject, note, before, after } = change;
        let (before, after) = differing(before, after);
        let id = self.store.insert_audit(&AuditRow {
            at: self.now,
            who: &who,
            action: what,
            subject: &subject,
            before: facts_text(&before)?,
            after: facts_text(&after)?,
            note: note.as_deref(),
        })?;
        self.group.told.push(Told::Changed(AuditEntry {
            id,
            at: self.now,
            who,
            what: what.to_owned(),
            subject,
            note,
            before,
            after,
        }));
        Ok(())
    }
}

/// What stayed as it was is no change. The version that a change made is what undoes it.
fn differing(mut before: Facts, mut after: Facts) -> (Facts, Facts) {
    before.remove("version");
    let same = |name: &String| before.get(name) == after.get(name);
    let same: Vec<String> = before.keys().filter(|name| same(name)).cloned().collect();
    for name in same {
        before.remove(&name);
        after.remove(&name);
    }
    (before, after)
}

/// What an account's operators decide about it, in words.
pub(super) fn facts_of(books: &Books, owner: &Owner) -> Facts {
    let mut facts = Facts::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.insert(name.into(), value);
        }
    };
    put("budget_usd", books.account(owner).and_then(|it| it.limit).map(|limit| limit.to_string()));
    match owner {
        Owner::Run(run_id) => {
            let Some(run) = books.run(run_id) else { return facts };
            put("mode", word(&run.mode));
            put("period", word(&run.period));
            put("state", word(&run.state));
            put("parent", run.parent.as_ref().map(ToString::to_string));
            put("name", run.name.clone());
            put("version", Some(run.version.to_string()));
        }
        Owner::Fleet | Owner::Agent(..) => {
            let Some(purse) = books.purse(owner) else { return facts };
            put("period", word(&purse.period));
            put("version", Some(purse.version.to_string()));
        }
    }
    facts
}

/// The wire's word for an enum.
fn word<T: serde::Serialize>(value: &T) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}
