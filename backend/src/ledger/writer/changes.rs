//! What operators change.

use tokio::sync::oneshot;
use tollgate_shared::budget::{
    Account, BudgetChange, BudgetError, Owner, Run, RunState, StateChange,
};
use tollgate_shared::id::RunId;

use super::notes::facts_of;
use super::{Place, Writer};
use crate::ledger::{Change, ChangeError, HoldError, Recorded, StateStep, Word};
use crate::store::StoreError;

type ChangeReply = oneshot::Sender<Result<Change, ChangeError>>;

impl Writer {
    /// Sets a limit, and what goes with it.
    pub(super) fn change(
        &mut self,
        change: &BudgetChange,
        word: Word,
        reply: ChangeReply,
    ) -> Result<(), StoreError> {
        if let Some(error) = self.twin_of(change) {
            self.group.answers.push(Box::new(move |_| drop(reply.send(Err(error)))));
            return Ok(());
        }
        let day = self.read_calendar();
        let spent = match self.books.begins_account(change) {
            true => self.spent_by(change, day)?,
            false => Account::default(),
        };
        let before = facts_of(&self.books, &change.owner);
        match self.books.set_budget(change, spent, (day, self.now)) {
            Err(error) => self.refuse_change(error, reply),
            Ok(changed) => {
                self.rename(&change.owner, word.name)?;
                self.claim(word.key.as_ref())?;
                self.record(Recorded {
                    who: word.who,
                    what: "budget",
                    subject: subject(&change.owner),
                    note: word.note,
                    before,
                    after: facts_of(&self.books, &change.owner),
                })?;
                self.group.dirty.extend(changed.touched.iter().cloned());
                self.wakes_all = true;
                self.tell_crossings(changed.crossed);
                self.answer_change(change.owner.clone(), reply);
            }
        }
        Ok(())
    }

    /// Pauses, resumes or closes a run.
    pub(super) fn change_state(
        &mut self,
        step: StateStep,
        word: Word,
        reply: ChangeReply,
    ) -> Result<(), StoreError> {
        let StateStep { run_id, change, note, if_version } = step;
        let owner = Owner::Run(run_id.clone());
        let before = facts_of(&self.books, &owner);
        if let Err(error) = self.books.change_state(&run_id, (change, note.is_some()), if_version) {
            self.refuse_change(error, reply);
            return Ok(());
        }
        self.claim(word.key.as_ref())?;
        let after = facts_of(&self.books, &owner);
        let (who, what, subject) = (word.who, change.verb(), run_id.to_string());
        self.record(Recorded { who, what, subject, note, before, after })?;
        self.group.dirty.insert(owner.clone());
        self.wakes_all = true;
        if change == StateChange::Close {
            self.send_home(&run_id)?;
        }
        self.answer_change(owner, reply);
        Ok(())
    }

    /// Gives a run the name that people call it by; an empty one takes it away.
    fn rename(&mut self, owner: &Owner, name: Option<String>) -> Result<(), StoreError> {
        let (Owner::Run(run_id), Some(name)) = (owner, name) else { return Ok(()) };
        let name = Some(name).filter(|name| !name.trim().is_empty());
        self.store.save_name(run_id, name.as_deref())?;
        if let Some(run) = self.books.run_mut(run_id) {
            run.name = name;
        }
        Ok(())
    }

    /// Nobody waits any more for a run that is over.
    fn send_home(&mut self, run_id: &RunId) -> Result<(), StoreError> {
        for place in self.lines.places() {
            let (leaving, staying): (Vec<_>, Vec<_>) =
                self.lines.take_all(&place).into_iter().partition(|waiting| {
                    let run_of = &waiting.order.receipt.run_id;
                    self.books.lineage(run_of).any(|run| run.id == *run_id)
                });
            staying.into_iter().for_each(|waiting| self.lines.wait(place.clone(), waiting));
            for waiting in leaving {
                let state = RunState::Closed;
                let error = HoldError::State { run_id: run_id.clone(), state };
                self.refuse(&waiting.order, waiting.reply, error)?;
            }
        }
        Ok(())
    }

    fn twin_of(&self, change: &BudgetChange) -> Option<ChangeError> {
        let named = match &change.owner {
            Owner::Run(run_id) | Owner::Agent(run_id, _) => Some(run_id),
            Owner::Fleet => None,
        };
        named.into_iter().chain(&change.parent).find_map(|run_id| {
            let known = self.books.twin(run_id)?.clone();
            Some(ChangeError::Twin { run_id: run_id.clone(), known })
        })
    }

    /// What an owner was charged since the beginning of the period that the change sets.
    fn spent_by(
        &self,
        change: &BudgetChange,
        day: tollgate_shared::time::Timestamp,
    ) -> Result<Account, StoreError> {
        let daily = change.period == Some(tollgate_shared::budget::Period::Day);
        let since = if daily { day } else { Default::default() };
        match &change.owner {
            Owner::Fleet => Ok(Account::default()),
            Owner::Agent(run_id, agent) => {
                self.store.charged_since(std::slice::from_ref(run_id), Some(agent), since)
            }
            Owner::Run(run_id) => {
                let below = |run: &&Run| self.books.lineage(&run.id).any(|one| one.id == *run_id);
                let runs: Vec<RunId> =
                    self.books.runs().filter(below).map(|run| run.id.clone()).collect();
                self.store.charged_since(&runs, None, since)
            }
        }
    }

    fn refuse_change(&mut self, error: BudgetError, reply: ChangeReply) {
        self.group.answers.push(Box::new(move |_| drop(reply.send(Err(error.into())))));
    }

    fn answer_change(&mut self, owner: Owner, reply: ChangeReply) {
        self.group.answers.push(Box::new(move |done| {
            let change = done.map_err(ChangeError::Outage).map(|books| Change::of(books, &owner));
            drop(reply.send(change));
        }));
    }

    /// Who waits for a run that is paused is asked again when it is not.
    pub(super) fn resumed(&self, place: &Place) -> bool {
        let Place::Run(run_id) = place else { return false };
        self.books.run(run_id).is_none_or(|run| run.state != RunState::Paused)
    }
}

fn subject(owner: &Owner) -> String {
    match owner {
        Owner::Fleet => "fleet".into(),
        Owner::Run(run_id) => run_id.to_string(),
        Owner::Agent(run_id, agent) => format!("{run_id}/{agent}"),
    }
}
