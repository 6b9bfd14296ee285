//! What an operator changes: limits, modes, places in the tree, and whether a run may spend.
//!
//! Every change names the version it was made against where its author saw one, so that two
//! operators cannot overwrite each other unseen. A change never ends a hold: a limit that is
//! lowered below what is spent blocks what comes next, a run that is closed lets what is in flight
//! end. Who pauses, resumes and closes, and why, stands in the audit.
//!
//! | state | pause | resume | close |
//! |---|---|---|---|
//! | open | paused | open | closed |
//! | paused | paused | open | closed |
//! | frozen | refused | open, with a note | closed |
//! | closed | refused | open, with a note | closed |

use crate::budget::books::Books;
use crate::budget::{
    Account, BudgetError, Crossing, DEPTH_MAX, Mode, Owner, Period, Purse, RunState,
};
use crate::id::{AgentName, RunId};
use crate::money::{LIMIT_MAX_USD, PICOS_PER_USD, Usd};
use crate::time::Timestamp;

/// A change of a budget that an operator asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetChange {
    /// Whose budget.
    pub owner: Owner,
    /// The new limit; `None` takes it away, which only the fleet's can be.
    pub limit: Option<Usd>,
    /// The new mode of a run, or the old one.
    pub mode: Option<Mode>,
    /// The run it is part of from now on, or the old one.
    pub parent: Option<RunId>,
    /// The time it counts from now on, or the old one.
    pub period: Option<Period>,
    /// Only if it is still at this version.
    pub if_version: Option<u64>,
}

/// A step of a run's state that an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// It may not spend for now.
    Pause,
    /// It may spend again; lifting a freeze or reopening needs a note.
    Resume,
    /// It is over.
    Close,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Every account that changed.
    pub touched: Vec<Owner>,
    /// Those of them that crossed a threshold.
    pub crossed: Vec<Crossing>,
}

impl BudgetChange {
    /// A limit for a run, everything else as it is.
    pub fn limit(run_id: RunId, limit: Usd) -> Self {
        Self {
            owner: Owner::Run(run_id),
            limit: Some(limit),
            mode: None,
            parent: None,
            period: None,
            if_version: None,
        }
    }
}

impl StateChange {
    const fn participle(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Close => "closed",
        }
    }

    /// The verb, for the audit.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Close => "close",
        }
    }
}

impl Books {
    /// Sets a limit. A lower one blocks what comes next and kills nothing. `spent` is what its
    /// owner was charged in the period that begins at `day`, where [`Self::begins_account`].
    pub fn set_budget(
        &mut self,
        change: &BudgetChange,
        spent: Account,
        (day, now): (Timestamp, Timestamp),
    ) -> Result<Changed, BudgetError> {
        let (pending, exposed) = self.in_flight(&change.owner);
        let spent = Account { pending, exposed: spent.exposed + exposed, ..spent };
        let most = Usd::from_picos(i128::from(LIMIT_MAX_USD) * PICOS_PER_USD);
        if let Some(limit) = change.limit.filter(|limit| *limit > most) {
            return Err(BudgetError::LimitTooLarge(limit));
        }
        let current = self.version(&change.owner);
        if let Some(expected) = change.if_version.filter(|expected| *expected != current) {
            return Err(BudgetError::Stale { expected, current });
        }
        let since = |period| if period == Period::Day { day } else { Timestamp::default() };
        match &change.owner {
            Owner::Run(run_id) => {
                self.may_join(run_id, change.parent.as_ref())?;
                if let Some(parent) = &change.parent {
                    self.open_run(parent, now);
                }
                let run = self.open_run(run_id, now);
                run.mode = change.mode.unwrap_or(run.mode);
                run.parent = change.parent.clone().or(run.parent.take());
                run.version += u64::from(current > 0);
                if let Some(period) = change.period.filter(|period| *period != run.period) {
                    run.account = spent;
                    (run.period, run.since) = (period, since(period));
                }
                run.account.limit = change.limit;
                let is_daily = run.period == Period::Day;
                if is_daily {
                    self.daily.insert(run_id.clone());
                } else {
                    self.daily.remove(run_id);
                }
            }
            Owner::Fleet => {
                self.fleet.account.limit = change.limit;
                self.fleet.version += 1;
            }
            Owner::Agent(run_id, agent) => {
                self.open_run(run_id, now);
                let period = change.period;
                let purse = self.purse_mut(run_id, agent, || Purse {
                    account: spent,
                    period: period.unwrap_or_default(),
                    since: since(period.unwrap_or_default()),
                    ..Purse::default()
                });
                if let Some(period) = period.filter(|period| *period != purse.period) {
                    purse.account = spent;
                    (purse.period, purse.since) = (period, since(period));
                }
                purse.account.limit = change.limit;
                purse.version += 1;
            }
        }
        let mut touched = vec![change.owner.clone()];
        // Pages that it may have opened are written as well.
        if let Owner::Agent(run_id, _) = &change.owner {
            touched.push(Owner::Run(run_id.clone()));
        }
        touched.extend(change.parent.clone().map(Owner::Run));
        let crossed = touched.iter().filter_map(|owner| self.relevel(owner)).collect();
        Ok(Changed { touched, crossed })
    }

    /// Whether [`Self::set_budget`] begins an account or gives it another period, and so must be
    /// told what was spent in it.
    pub fn begins_account(&self, change: &BudgetChange) -> bool {
        let period = match &change.owner {
            Owner::Fleet => return false,
            Owner::Run(id) => self.run(id).map(|run| run.period),
            Owner::Agent(..) => match self.purse(&change.owner) {
                Some(purse) => Some(purse.period),
                None => return true,
            },
        };
        change.period.is_some_and(|wanted| wanted != period.unwrap_or_default())
    }

    /// Pauses, resumes or closes a run.
    pub fn change_state(
        &mut self,
        run_id: &RunId,
        (step, has_note): (StateChange, bool),
        if_version: Option<u64>,
    ) -> Result<(), BudgetError> {
        let unknown = || BudgetError::UnknownRun(run_id.clone());
        let run = self.runs.get_mut(run_id).ok_or_else(unknown)?;
        if let Some(expected) = if_version.filter(|expected| *expected != run.version) {
            return Err(BudgetError::Stale { expected, current: run.version });
        }
        let state = match (step, run.state) {
            (StateChange::Pause, RunState::Open | RunState::Paused) => RunState::Paused,
            (StateChange::Resume, RunState::Open | RunState::Paused) => RunState::Open,
            (StateChange::Resume, RunState::Frozen | RunState::Closed) if has_note => {
                RunState::Open
            }
            (StateChange::Resume, _) => return Err(BudgetError::NoteRequired(run_id.clone())),
            (StateChange::Close, _) => RunState::Closed,
            (StateChange::Pause, state) => {
                let step = step.participle();
                return Err(BudgetError::WrongState { run_id: run_id.clone(), state, step });
            }
        };
        if state != run.state {
            run.state = state;
            run.version += 1;
        }
        Ok(())
    }

    /// What `If-Match` is compared with: 0 for what is not known yet.
    fn version(&self, owner: &Owner) -> u64 {
        match owner {
            Owner::Run(id) => self.run(id).map_or(0, |run| run.version),
            _ => self.purse(owner).map_or(0, |purse| purse.version),
        }
    }

    /// A place in the tree is chosen before the first hold: what was spent elsewhere would be
    /// missing on the accounts above.
    fn may_join(&self, run_id: &RunId, parent: Option<&RunId>) -> Result<(), BudgetError> {
        let Some(parent) = parent else { return Ok(()) };
        let run = self.run(run_id);
        if run.and_then(|run| run.parent.as_ref()) == Some(parent) {
            return Ok(());
        }
        if parent == run_id || self.lineage(parent).any(|above| above.id == *run_id) {
            return Err(BudgetError::Circle(run_id.clone()));
        }
        let is_below = |run: &RunId| self.lineage(run).any(|above| above.id == *run_id);
        let untouched = self.runs.values().filter(|run| is_below(&run.id)).all(|run| {
            let empty = Account { limit: run.account.limit, ..Account::default() };
            run.seq == 0 && run.account == empty
        });
        if !untouched {
            return Err(BudgetError::ParentFixed(run_id.clone()));
        }
        // Runs below it move along, and must not end up too deep.
        if self.lineage(parent).count() + self.height(run_id) > DEPTH_MAX {
            return Err(BudgetError::TooDeep(run_id.clone()));
        }
        Ok(())
    }

    /// How many runs stand below each other under a run.
    fn height(&self, run_id: &RunId) -> usize {
        self.runs
            .values()
            .filter_map(|run| self.lineage(&run.id).position(|above| above.id == *run_id))
            .max()
            .unwrap_or(0)
    }

    fn purse_mut(
        &mut self,
        run_id: &RunId,
        agent: &AgentName,
        begin: impl FnOnce() -> Purse,
    ) -> &mut Purse {
        let agents = self.purses.entry(run_id.clone()).or_default();
        agents.entry(agent.clone()).or_insert_with(begin)
    }
}
