//! How money moves: held, settled, resolved, and counted anew when a day begins.
//!
//! ```text
//!            final usage ──────────▶ posted
//! pending ── proof of no bill ─────▶ voided
//!    └────── anything else ────────▶ unknown ── evidence, or time ──▶ posted | voided
//! ```
//!
//! Money leaves a hold only into a bill, or with proof that there is none: **I4**. What an unknown
//! attempt holds is charged until somebody knows better.

use crate::budget::books::{Books, HOLD_MAX_USD};
use crate::budget::{
    Account, BudgetError, Crossing, Denied, Granted, HoldRequest, Level, Mode, OpenHold, Outcome,
    Owner, Period, RunState, Settled, Unresolved,
};
use crate::id::{AttemptId, RunId};
use crate::money::{PICOS_PER_USD, Usd};
use crate::time::Timestamp;

impl Books {
    /// Sets money aside on every account that it counts on, or says which of them says no. The
    /// run's page is open.
    pub fn hold(&mut self, request: &HoldRequest, now: Timestamp) -> Result<Granted, Denied> {
        self.open_run(&request.run_id, now).smallest = request.smallest;
        let touched = self.path(&request.run_id, &request.agent);
        let grant = self.weigh_on(&touched, request)?;
        for owner in &touched {
            if let Some(account) = self.account_mut(owner) {
                account.hold(grant.amount);
                account.exposed += grant.exposed;
            }
            self.assert_admitted(owner);
        }
        let mut past_limit = Usd::ZERO;
        if let Some(run) = self.runs.get_mut(&request.run_id) {
            run.last_at = now;
            if run.mode == Mode::Soft {
                past_limit =
                    run.account.available().map_or(Usd::ZERO, |left| (Usd::ZERO - left).or_zero());
            }
        }
        let new_agent = self.meet_agent(&request.run_id, &request.agent);
        let open = OpenHold {
            run_id: request.run_id.clone(),
            agent: request.agent.clone(),
            amount: grant.amount,
            exposed: grant.exposed,
        };
        self.holds.insert(request.attempt_id.clone(), open);
        Ok(Granted { grant, new_agent, past_limit, touched })
    }

    /// **I1**, in release builds too: a breach here is a bug that would break the promise, and the
    /// ledger must stop rather than go on.
    fn assert_admitted(&self, owner: &Owner) {
        let mode = self.mode_of(owner);
        let account = self.account(owner).copied().unwrap_or_default();
        let account = if mode.is_strict() { account.at_worst() } else { account };
        let overdrawn = account.available().is_some_and(Usd::is_negative);
        assert!(
            !overdrawn || mode == Mode::Soft,
            "a hold overdraws {owner}: {:?}",
            self.account(owner)
        );
    }

    /// Ends a hold, exactly once.
    pub fn settle(
        &mut self,
        attempt_id: &AttemptId,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Settled, BudgetError> {
        let missing = || BudgetError::NoHold(attempt_id.clone());
        let hold = self.holds.remove(attempt_id).ok_or_else(missing)?;
        let touched = self.path(&hold.run_id, &hold.agent);
        for owner in &touched {
            let Some(account) = self.account_mut(owner) else { continue };
            match outcome {
                Outcome::Posted { cost, uncertain, .. } => {
                    account.post(hold.amount, cost);
                    account.uncertain += uncertain;
                    account.exposed -= hold.exposed;
                }
                Outcome::Voided => {
                    account.void(hold.amount);
                    account.exposed -= hold.exposed;
                }
                // What it may cost above its hold is as unknown as the rest.
                Outcome::Unknown => account.lose_sight(hold.amount),
            }
        }
        let charged = match outcome {
            Outcome::Posted { cost, .. } => cost,
            Outcome::Voided => Usd::ZERO,
            Outcome::Unknown => hold.amount,
        };
        let beyond = matches!(outcome, Outcome::Posted { beyond_bound: true, .. });
        Ok(self.ended((hold, charged, beyond), touched, now))
    }

    /// Evidence about an unknown: its hold becomes a bill of `cost`, or of nothing.
    /// Answers `None` where it is more than an account can count.
    pub fn resolve(
        &mut self,
        unknown: Unresolved,
        (cost, beyond_bound): (Usd, bool),
        now: Timestamp,
    ) -> Option<Settled> {
        let Unresolved { hold, at } = unknown;
        let mut touched = self.path(&hold.run_id, &hold.agent);
        // A day that began later never counted it.
        touched.retain(|owner| self.since(owner) <= at);
        if !self.can_count(&touched, cost - hold.amount) {
            return None;
        }
        for owner in &touched {
            let Some(account) = self.account_mut(owner) else { continue };
            account.resolve(hold.amount, cost);
            account.exposed -= hold.exposed;
        }
        Some(self.ended((hold, cost, beyond_bound), touched, now))
    }

    /// Whether a bill that is so much above its hold can be counted on every account.
    pub fn may_post(&self, attempt_id: &AttemptId, cost: Usd) -> bool {
        self.holds.get(attempt_id).is_none_or(|hold| {
            cost <= hold.amount
                || self.can_count(&self.path(&hold.run_id, &hold.agent), cost - hold.amount)
        })
    }

    fn can_count(&self, owners: &[Owner], more: Usd) -> bool {
        let most = Usd::from_picos(HOLD_MAX_USD * PICOS_PER_USD);
        more <= most
            && owners.iter().filter_map(|owner| self.account(owner)).all(|one| one.can_count(more))
    }

    /// What every ending has in common: a broken word freezes the run, and levels are told anew.
    fn ended(
        &mut self,
        (hold, charged, beyond_bound): (OpenHold, Usd, bool),
        touched: Vec<Owner>,
        now: Timestamp,
    ) -> Settled {
        let violation = charged > hold.amount + hold.exposed || beyond_bound;
        let is_limited =
            touched.iter().filter_map(|owner| self.account(owner)).any(|one| one.limit.is_some());
        if let Some(run) = self.runs.get_mut(&hold.run_id) {
            run.last_at = now;
            if violation && is_limited && matches!(run.state, RunState::Open | RunState::Paused) {
                run.state = RunState::Frozen;
                run.version += 1;
            }
        }
        let crossed = touched.iter().filter_map(|owner| self.relevel(owner)).collect();
        Settled { held: hold.amount, charged, violation, touched, crossed }
    }

    /// Notes the level of an account as it is now; answers it where it changed.
    pub fn relevel(&mut self, owner: &Owner) -> Option<Crossing> {
        let (account, level, smallest) = match owner {
            Owner::Run(id) => {
                let run = self.runs.get_mut(id)?;
                (run.account, &mut run.level, run.smallest)
            }
            Owner::Fleet => (self.fleet.account, &mut self.fleet.level, Usd::ZERO),
            Owner::Agent(id, agent) => {
                let purse = self.purses.get_mut(id)?.get_mut(agent)?;
                (purse.account, &mut purse.level, Usd::ZERO)
            }
        };
        let now = account.level(smallest);
        let before = std::mem::replace(level, now);
        let limit = account.limit.unwrap_or_default();
        (before != now).then(|| Crossing { owner: owner.clone(), level: now, limit })
    }

    /// Every account that stands over a threshold, for those who begin to watch now.
    pub fn standing(&self) -> Vec<Crossing> {
        let runs = self
            .runs
            .values()
            .map(|run| (Owner::Run(run.id.clone()), run.level, run.account.limit));
        let agents = self.purses.iter().flat_map(|(run_id, agents)| {
            agents.iter().map(|(agent, purse)| {
                let owner = Owner::Agent(run_id.clone(), agent.clone());
                (owner, purse.level, purse.account.limit)
            })
        });
        let fleet = (Owner::Fleet, self.fleet.level, self.fleet.account.limit);
        runs.chain(agents)
            .chain([fleet])
            .filter(|(_, level, _)| *level > Level::Ok)
            .map(|(owner, level, limit)| Crossing {
                owner,
                level,
                limit: limit.unwrap_or_default(),
            })
            .collect()
    }

    /// A day begins, at a moment in the ledger's own time: accounts that count days count what
    /// comes from then on. Answers those that do.
    pub fn begin_day(&mut self, day: Timestamp, now: Timestamp) -> Vec<Owner> {
        let mut begun = Vec::new();
        if day <= self.day {
            return begun;
        }
        self.day = day;
        let daily: Vec<RunId> = self.daily.iter().cloned().collect();
        let owners = daily.into_iter().map(Owner::Run).chain([Owner::Fleet]).chain(
            self.purses.iter().flat_map(|(run_id, agents)| {
                agents
                    .iter()
                    .filter(|(_, purse)| purse.period == Period::Day)
                    .map(|(agent, _)| Owner::Agent(run_id.clone(), agent.clone()))
            }),
        );
        for owner in owners.collect::<Vec<_>>() {
            let (_, exposed) = self.in_flight(&owner);
            if let Some(account) = self.account_mut(&owner) {
                account.begin_anew(exposed);
            }
            match &owner {
                Owner::Fleet => self.fleet.since = now,
                Owner::Run(id) => {
                    if let Some(run) = self.runs.get_mut(id) {
                        run.since = now;
                    }
                }
                Owner::Agent(id, agent) => {
                    let purse = self.purses.get_mut(id).and_then(|agents| agents.get_mut(agent));
                    if let Some(purse) = purse {
                        purse.since = now;
                    }
                }
            }
            begun.push(owner);
        }
        begun
    }

    /// What open holds have on one account, and what they can cost above that.
    pub fn in_flight(&self, owner: &Owner) -> (Usd, Usd) {
        let counts = |hold: &&OpenHold| match owner {
            Owner::Fleet => true,
            Owner::Agent(run_id, agent) => hold.run_id == *run_id && hold.agent == *agent,
            Owner::Run(run_id) => self.lineage(&hold.run_id).any(|run| run.id == *run_id),
        };
        self.holds.values().filter(counts).fold(Default::default(), |(held, exposed), hold| {
            (held + hold.amount, exposed + hold.exposed)
        })
    }

    /// When the time that an account counts began.
    fn since(&self, owner: &Owner) -> Timestamp {
        match owner {
            Owner::Run(id) => self.runs.get(id).map(|run| run.since).unwrap_or_default(),
            _ => self.purse(owner).map(|purse| purse.since).unwrap_or_default(),
        }
    }

    pub(super) fn account_mut(&mut self, owner: &Owner) -> Option<&mut Account> {
        match owner {
            Owner::Fleet => Some(&mut self.fleet.account),
            Owner::Run(id) => self.runs.get_mut(id).map(|run| &mut run.account),
            Owner::Agent(id, agent) => {
                self.purses.get_mut(id)?.get_mut(agent).map(|purse| &mut purse.account)
            }
        }
    }

    /// **I3** for every account: pending equals the open holds below it, and nothing is negative.
    /// Linear in the open holds; the ledger calls the cheaper [`Account::is_sound`] on every event.
    pub fn is_sound(&self) -> bool {
        let mut pending: std::collections::HashMap<Owner, Usd> = Default::default();
        for hold in self.holds.values() {
            for owner in self.path(&hold.run_id, &hold.agent) {
                *pending.entry(owner).or_default() += hold.amount;
            }
        }
        let runs = self.runs.values().map(|run| (Owner::Run(run.id.clone()), run.account));
        let agents = self.purses.iter().flat_map(|(run_id, agents)| {
            agents
                .iter()
                .map(|(agent, purse)| (Owner::Agent(run_id.clone(), agent.clone()), purse.account))
        });
        runs.chain(agents).chain([(Owner::Fleet, self.fleet.account)]).all(|(owner, account)| {
            account.is_sound()
                && account.pending == pending.get(&owner).copied().unwrap_or_default()
        })
    }

    /// Levels as they are, without telling them: what a start finds was told before.
    pub fn relevel_quietly(&mut self) {
        for run in self.runs.values_mut() {
            run.level = run.account.level(run.smallest);
        }
        let purses = self.purses.values_mut().flat_map(|agents| agents.values_mut());
        for purse in purses.chain([&mut self.fleet]) {
            purse.level = if purse.account.limit.is_some() {
                purse.account.level(Usd::ZERO)
            } else {
                Level::Ok
            };
        }
    }
}
