//! Which conditions of accounts hold, from what the ledger tells.
//!
//! A level is told when it is crossed. What is not told there is seen here: a run that is over wants
//! nobody's attention, one that was frozen wants it until it is resumed, and one that has gone past
//! a soft limit until it is back below.

use std::collections::{BTreeMap, HashMap, HashSet};

use tollgate_shared::alert::{self, Alert};
use tollgate_shared::budget::{Crossing, Level, Mode, Owner, Run, RunState};
use tollgate_shared::id::{AgentName, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

use crate::hub::Hub;

/// What is remembered of runs, to see what changed.
#[derive(Debug)]
pub(super) struct Alarms {
    hub: Hub,
    closed: HashSet<RunId>,
    /// Agents' accounts that are past a threshold: they go silent and come back with their run.
    agents: HashMap<RunId, BTreeMap<AgentName, Crossing>>,
    past_limit: HashSet<RunId>,
    frozen: HashSet<RunId>,
}

impl Alarms {
    pub(super) fn new(hub: Hub) -> Self {
        let none = HashSet::new;
        let agents = HashMap::new();
        Self { hub, closed: none(), agents, past_limit: none(), frozen: none() }
    }

    /// Raises what holds at start; whatever was remembered and is not raised again has ended.
    pub(super) fn begin<'a>(
        &mut self,
        runs: impl Iterator<Item = &'a Box<Run>> + Clone,
        standing: &[Crossing],
    ) {
        for run in runs.clone() {
            self.freeze(run);
            if run.state == RunState::Closed {
                self.closed.insert(run.id.clone());
            } else if let Some(past) = past_limit(run) {
                self.raise(alert::of_soft(&run.id, past, run.last_at));
            }
        }
        let at = runs.map(|run| run.last_at).max().unwrap_or_default();
        for crossing in standing {
            self.crossed(crossing, at);
        }
        self.hub.end_restore();
    }

    /// An account crossed a threshold.
    pub(super) fn crossed(&mut self, crossing: &Crossing, at: Timestamp) {
        if let Owner::Agent(run_id, agent) = &crossing.owner {
            let of_run = self.agents.entry(run_id.clone()).or_default();
            if crossing.level == Level::Ok {
                of_run.remove(agent);
            } else {
                of_run.insert(agent.clone(), crossing.clone());
            }
            if of_run.is_empty() {
                self.agents.remove(run_id);
            }
        }
        self.tell(crossing, at);
    }

    fn tell(&self, crossing: &Crossing, at: Timestamp) {
        let Crossing { owner, level, limit } = crossing;
        let is_over = match owner {
            Owner::Run(run_id) | Owner::Agent(run_id, _) => self.closed.contains(run_id),
            Owner::Fleet => false,
        };
        match alert::of_level(owner, *level, *limit, at).filter(|_| !is_over) {
            Some(alert) => self.hub.alert(alert),
            None => self.hub.resolve(&alert::account_id(owner)),
        }
    }

    /// A condition that the ledger found.
    pub(super) fn raise(&mut self, alert: Alert) {
        if alert.rule == alert::SOFT
            && let Ok(run_id) = alert.subject.parse()
        {
            self.past_limit.insert(run_id);
        }
        self.hub.alert(alert);
    }

    /// A run that was frozen waits for a person.
    fn freeze(&mut self, run: &Run) {
        if run.state == RunState::Frozen {
            if self.frozen.insert(run.id.clone()) {
                self.hub.alert(alert::of_frozen(&run.id, run.last_at));
            }
        } else if self.frozen.remove(&run.id) {
            self.hub.resolve(&alert::frozen_id(&run.id));
        }
    }

    /// A run's page as it is now.
    pub(super) fn run(&mut self, run: &Run) {
        self.freeze(run);
        if self.past_limit.contains(&run.id) && past_limit(run).is_none() {
            self.past_limit.remove(&run.id);
            self.hub.resolve(&alert::soft_id(&run.id));
        }
        if run.state == RunState::Closed {
            if self.closed.insert(run.id.clone()) {
                self.hub.resolve(&alert::budget_id(&run.id));
                for crossing in self.of_agents(&run.id) {
                    self.hub.resolve(&alert::account_id(&crossing.owner));
                }
            }
        } else if self.closed.remove(&run.id) {
            let limit = run.account.limit.unwrap_or_default();
            let owner = Owner::Run(run.id.clone());
            self.tell(&Crossing { owner, level: run.level, limit }, run.last_at);
            for crossing in self.of_agents(&run.id) {
                self.tell(crossing, run.last_at);
            }
        }
    }

    fn of_agents(&self, run_id: &RunId) -> impl Iterator<Item = &Crossing> {
        self.agents.get(run_id).into_iter().flat_map(BTreeMap::values)
    }
}

/// How far a run in mode `soft` is past its limit.
fn past_limit(run: &Run) -> Option<Usd> {
    let available = run.account.available().filter(|_| run.mode == Mode::Soft)?;
    (available.is_negative() && run.state != RunState::Closed).then(|| Usd::ZERO - available)
}
