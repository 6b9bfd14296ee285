//! What operators change.

use tokio::sync::oneshot;
use tollgate_shared::budget::{
    Account, BudgetChange, BudgetError, Owner, Run, RunState, StateChange,
};
use tollgate_shared::id::RunId;

use super::{Place, Writer};
use crate::ledger::{Change, ChangeError, HoldError, StateStep};
use crate::store::{AuditRow, StoreError};

type ChangeReply = oneshot::Sender<Result<Change, ChangeError>>;

impl Writer {
    /// Sets a limit, and what goes with it.
    pub(super) fn change(
        &mut self,
        change: &BudgetChange,
        note: Option<String>,
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
        let before = self.books.account(&change.owner).and_then(|account| account.limit);
        match self.books.set_budget(change, spent, (day, self.now)) {
            Err(error) => self.refuse_change(error, reply),
            Ok(changed) => {
                self.store.insert_audit(&AuditRow {
                    at: self.now,
                    action: "budget",
                    subject: &subject(&change.owner),
                    before: before.map(|limit| limit.to_string()),
                    after: change.limit.map(|limit| limit.to_string()),
                    note: note.as_deref(),
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
        reply: ChangeReply,
    ) -> Result<(), StoreError> {
        let StateStep { run_id, change, note, if_version } = step;
        let before = self.books.run(&run_id).map(|run| run.state).unwrap_or_default();
        if let Err(error) = self.books.change_state(&run_id, (change, note.is_some()), if_version) {
            self.refuse_change(error, reply);
            return Ok(());
        }
        let after = self.books.run(&run_id).map(|run| run.state).unwrap_or_default();
        self.store.insert_audit(&AuditRow {
            at: self.now,
            action: change.verb(),
            subject: run_id.as_str(),
            before: Some(format!("{before:?}").to_lowercase()),
            after: Some(format!("{after:?}").to_lowercase()),
            note: note.as_deref(),
        })?;
        self.group.dirty.insert(Owner::Run(run_id.clone()));
        self.wakes_all = true;
        if change == StateChange::Close {
            self.send_home(&run_id)?;
        }
        self.answer_change(Owner::Run(run_id), reply);
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
