//! The books: every run, its account, and the holds that are open.
//!
//! This is the whole state that decides admissions, as plain data. One thread of the backend owns
//! it and applies commands in order; a model in the tests does the same from random histories.

use std::collections::{BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::{Account, Grant, Level, Mode, Need, Refusal, Want};
use crate::id::{AgentName, AttemptId, RunId};
use crate::money::{LIMIT_MAX_USD, PICOS_PER_USD, Usd};
use crate::time::Timestamp;

/// Whether a run may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It may.
    #[default]
    Open,
    /// A person stopped it for now.
    Paused,
    /// It is over.
    Closed,
    /// A bill was larger than its hold; a person must look.
    Frozen,
}

impl RunState {
    /// The stable code of a refusal in this state.
    pub const fn refusal_code(self) -> &'static str {
        match self {
            Self::Paused => "run_paused",
            Self::Closed => "run_closed",
            Self::Frozen | Self::Open => "run_frozen",
        }
    }
}

/// One run's page in the books.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// Its money.
    pub account: Account,
    /// How it treats requests that may not fit.
    pub mode: Mode,
    /// Whether it may spend.
    pub state: RunState,
    /// Counts changes of budget and state, from 1.
    pub version: u64,
    /// Receipts written so far; the next one has this plus one.
    pub seq: u64,
    /// Hash of the last receipt.
    pub head: String,
    /// Requests that reached a provider.
    pub requests: u64,
    /// The least that its latest request needed.
    pub smallest: Usd,
    /// The level that was last told.
    pub level: Level,
    /// How many agents have worked in it; counted up to [`AGENTS_MAX`].
    pub agents: usize,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When its money last moved.
    pub last_at: Timestamp,
}

/// A request for money, for one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct HoldRequest {
    /// The attempt that will spend it.
    pub attempt_id: AttemptId,
    /// On whose budget.
    pub run_id: RunId,
    /// For whom.
    pub agent: AgentName,
    /// What it can cost.
    pub need: Need,
    /// The least that any candidate of the request's plan needs for a useful answer.
    pub smallest: Usd,
}

/// Money that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHold {
    /// On whose budget.
    pub run_id: RunId,
    /// How much.
    pub amount: Usd,
}

/// A hold that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Amount and cap.
    pub grant: Grant,
    /// Whether the agent had not worked in this run before.
    pub new_agent: bool,
}

/// How an attempt ended, for its money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The bill is known, or assumed at this.
    Posted {
        /// What it is.
        cost: Usd,
        /// What may still be billed on top.
        uncertain: Usd,
        /// More was used than the cap or the window allows, whatever it cost.
        beyond_bound: bool,
    },
    /// There is proof that nothing was billed.
    Voided,
    /// Nobody knows; the hold stays.
    Unknown,
}

impl Outcome {
    /// A bill that is known.
    pub const fn posted(cost: Usd) -> Self {
        Self::Posted { cost, uncertain: Usd::ZERO, beyond_bound: false }
    }
}

/// What a settlement did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// On whose budget.
    pub run_id: RunId,
    /// What had been held.
    pub held: Usd,
    /// What the run is charged now: the cost, the hold, or nothing.
    pub charged: Usd,
    /// The bill was larger than the hold, or more was used than the cap allows: the provider broke
    /// its word, and the run is frozen.
    pub violation: bool,
    /// The level before and after, where it changed.
    pub crossed: Option<(Level, Level)>,
}

/// A change that an operator asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetChange {
    /// Whose budget.
    pub run_id: RunId,
    /// The new limit.
    pub limit: Usd,
    /// The new mode, or the old one.
    pub mode: Option<Mode>,
    /// Only if the run is still at this version.
    pub if_version: Option<u64>,
}

/// Why a change or a settlement is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// The limit is beyond what the ledger's columns can count.
    #[error("a limit of `{0}` USD is above {LIMIT_MAX_USD} USD")]
    LimitTooLarge(Usd),
    /// Somebody else changed it first.
    #[error("the run is at version {current}, not {expected}")]
    Stale {
        /// What the caller had seen.
        expected: u64,
        /// What it is.
        current: u64,
    },
    /// Nothing is held under this attempt: it was settled before, or never held.
    #[error("attempt `{0}` has no open hold")]
    NoHold(AttemptId),
}

/// Every run and every open hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Books {
    runs: HashMap<RunId, Run>,
    holds: HashMap<AttemptId, OpenHold>,
    folded: HashMap<String, RunId>,
    agents: HashMap<RunId, BTreeSet<AgentName>>,
}

impl Run {
    /// A run that has spent nothing.
    pub fn new(id: RunId, limit: Option<Usd>, now: Timestamp) -> Self {
        Self {
            id,
            account: Account { limit, ..Account::default() },
            mode: Mode::default(),
            state: RunState::default(),
            version: 1,
            seq: 0,
            head: String::new(),
            requests: 0,
            smallest: Usd::ZERO,
            level: Level::Ok,
            agents: 0,
            created_at: now,
            last_at: now,
        }
    }

    /// Whether new requests are refused for want of money.
    pub fn is_blocked(&self) -> bool {
        self.account.level(self.smallest) == Level::Critical
    }

    /// Notes the level as it is now; answers old and new where they differ.
    fn relevel(&mut self) -> Option<(Level, Level)> {
        let now = self.account.level(self.smallest);
        let before = std::mem::replace(&mut self.level, now);
        (before != now).then_some((before, now))
    }
}

impl Books {
    /// Puts a run that storage remembers back into the books.
    pub fn restore(&mut self, run: Run) {
        self.folded.insert(run.id.folded(), run.id.clone());
        self.runs.insert(run.id.clone(), run);
    }

    /// Puts an open hold that storage remembers back; its amount is in the run's pending already.
    pub fn restore_hold(&mut self, attempt_id: AttemptId, hold: OpenHold) {
        self.holds.insert(attempt_id, hold);
    }

    /// Opens a page for a run that is not known yet, and hands out its page.
    pub fn open_run(&mut self, id: &RunId, limit: Option<Usd>, now: Timestamp) -> &mut Run {
        self.folded.entry(id.folded()).or_insert_with(|| id.clone());
        self.runs.entry(id.clone()).or_insert_with(|| Run::new(id.clone(), limit, now))
    }

    /// Sets money aside, or says why not. The run's page is open.
    pub fn hold(&mut self, request: &HoldRequest, now: Timestamp) -> Result<Granted, Refusal> {
        let run = self.open_run(&request.run_id, None, now);
        run.smallest = request.smallest;
        let grant = Want { need: request.need, mode: run.mode }.grant(&run.account)?;
        if !run.account.can_count(grant.amount) {
            return Err(Refusal::TooLarge(run.account.shortfall(grant.amount)));
        }
        run.account.hold(grant.amount);
        // I1, in release builds too: a breach here is a bug that would break the promise, and the
        // ledger must stop rather than go on.
        let overdrawn = run.account.available().is_some_and(Usd::is_negative);
        assert!(!overdrawn, "hold of {} overdraws run {}: {:?}", grant.amount, run.id, run.account);
        run.last_at = now;
        let new_agent = self.meet_agent(&request.run_id, &request.agent);
        let open = OpenHold { run_id: request.run_id.clone(), amount: grant.amount };
        self.holds.insert(request.attempt_id.clone(), open);
        Ok(Granted { grant, new_agent })
    }

    /// Notes that an agent works in a run. Answers whether that is news.
    pub fn meet_agent(&mut self, run_id: &RunId, agent: &AgentName) -> bool {
        let known = self.agents.entry(run_id.clone()).or_default();
        if known.len() >= AGENTS_MAX || known.contains(agent) {
            return false;
        }
        known.insert(agent.clone());
        let count = known.len();
        if let Some(run) = self.runs.get_mut(run_id) {
            run.agents = count;
        }
        true
    }

    /// Notes the level of a run as it is now; answers old and new where they differ.
    pub fn relevel(&mut self, run_id: &RunId) -> Option<(Level, Level)> {
        self.runs.get_mut(run_id).and_then(Run::relevel)
    }

    /// Ends a hold, exactly once.
    pub fn settle(
        &mut self,
        attempt_id: &AttemptId,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Settled, BudgetError> {
        let missing = || BudgetError::NoHold(attempt_id.clone());
        let OpenHold { run_id, amount: held } =
            self.holds.remove(attempt_id).ok_or_else(missing)?;
        let run = self.runs.get_mut(&run_id).ok_or_else(missing)?;
        let charged = match outcome {
            Outcome::Posted { cost, uncertain, .. } => {
                run.account.post(held, cost);
                run.account.uncertain += uncertain;
                cost
            }
            Outcome::Voided => {
                run.account.void(held);
                Usd::ZERO
            }
            Outcome::Unknown => {
                run.account.lose_sight(held);
                held
            }
        };
        let beyond_bound = matches!(outcome, Outcome::Posted { beyond_bound: true, .. });
        let violation = charged > held || beyond_bound;
        if violation && run.account.limit.is_some() && run.state == RunState::Open {
            run.state = RunState::Frozen;
            run.version += 1;
        }
        run.last_at = now;
        let crossed = run.relevel();
        Ok(Settled { run_id, held, charged, violation, crossed })
    }

    /// Sets a limit. A lower one blocks what comes next and kills nothing.
    pub fn set_budget(
        &mut self,
        change: &BudgetChange,
        now: Timestamp,
    ) -> Result<Option<(Level, Level)>, BudgetError> {
        if change.limit > Usd::from_picos(i128::from(LIMIT_MAX_USD) * PICOS_PER_USD) {
            return Err(BudgetError::LimitTooLarge(change.limit));
        }
        let known = self.runs.contains_key(&change.run_id);
        let current = self.runs.get(&change.run_id).map_or(0, |run| run.version);
        if let Some(expected) = change.if_version.filter(|expected| *expected != current) {
            return Err(BudgetError::Stale { expected, current });
        }
        let run = self.open_run(&change.run_id, None, now);
        run.account.limit = Some(change.limit);
        run.mode = change.mode.unwrap_or(run.mode);
        run.version += u64::from(known);
        Ok(run.relevel())
    }

    /// The page of a run.
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(id)
    }

    /// The page of a run, to be changed by the ledger alone.
    pub fn run_mut(&mut self, id: &RunId) -> Option<&mut Run> {
        self.runs.get_mut(id)
    }

    /// A known run whose name differs from `id` by case alone.
    pub fn twin(&self, id: &RunId) -> Option<&RunId> {
        self.folded.get(&id.folded()).filter(|known| *known != id)
    }

    /// Every page, in no order.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// **I1–I3** for one run, after an event: signs, and pending equal to its open holds.
    /// Linear in the open holds; the ledger calls the cheaper [`Account::is_sound`] on every event.
    pub fn is_sound(&self, id: &RunId) -> bool {
        let Some(run) = self.runs.get(id) else { return true };
        let open: Usd =
            self.holds.values().filter(|hold| hold.run_id == *id).map(|hold| hold.amount).sum();
        run.account.is_sound() && run.account.pending == open
    }
}

/// Most agents counted in one run: enough for a swarm, a bound for an attacker's memory.
pub const AGENTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: Timestamp = Timestamp::from_micros(0);

    fn request(attempt: usize, run: &str, cap: u64) -> HoldRequest {
        let need = Need {
            fixed: Usd::from_picos(100),
            per_output_token: Usd::from_picos(1),
            stated_cap: Some(cap),
            model_max: 1_000_000,
        };
        HoldRequest {
            attempt_id: format!("a-{attempt}").parse().unwrap(),
            run_id: run.parse().unwrap(),
            agent: "agent".parse().unwrap(),
            need,
            smallest: need.smallest(),
        }
    }

    fn budget(run: &str, picos: i128) -> BudgetChange {
        BudgetChange {
            run_id: run.parse().unwrap(),
            limit: Usd::from_picos(picos),
            mode: None,
            if_version: None,
        }
    }

    #[test]
    fn nothing_settles_twice() {
        let mut books = Books::default();
        let held = request(1, "r", 10);
        books.hold(&held, T0).unwrap();
        assert!(books.settle(&held.attempt_id, Outcome::Voided, T0).is_ok());
        let again = books.settle(&held.attempt_id, Outcome::Unknown, T0);
        assert!(matches!(again, Err(BudgetError::NoHold(_))));
    }

    #[test]
    fn a_bill_above_its_hold_freezes_the_run() {
        let mut books = Books::default();
        books.set_budget(&budget("r", 1_000), T0).unwrap();
        let held = request(1, "r", 10);
        books.hold(&held, T0).unwrap();
        let outcome = Outcome::posted(Usd::from_picos(111));
        let settled = books.settle(&held.attempt_id, outcome, T0).unwrap();
        assert!(settled.violation);
        assert_eq!(books.run(&settled.run_id).unwrap().state, RunState::Frozen);
    }

    #[test]
    fn two_operators_cannot_overwrite_each_other() {
        let mut books = Books::default();
        books.set_budget(&budget("r", 1_000), T0).unwrap();
        let change = BudgetChange { if_version: Some(1), ..budget("r", 2_000) };
        books.set_budget(&change, T0).unwrap();
        let error = books.set_budget(&change, T0).unwrap_err();
        assert_eq!(error, BudgetError::Stale { expected: 1, current: 2 });
    }

    #[test]
    fn a_hold_beyond_what_can_be_counted_is_refused_also_without_a_limit() {
        let mut books = Books::default();
        let mut vast = request(1, "r", 1);
        vast.need.per_output_token = "1000".parse().unwrap();
        vast.need.stated_cap = Some(8_000);
        books.hold(&vast, T0).unwrap();
        vast.attempt_id = "a-2".parse().unwrap();
        assert!(matches!(books.hold(&vast, T0), Err(Refusal::TooLarge(_))));
        vast.need.stated_cap = Some(u64::MAX);
        assert!(matches!(books.hold(&vast, T0), Err(Refusal::TooLarge(_))));
    }

    #[test]
    fn what_a_cut_stream_may_still_cost_is_not_given_again() {
        let mut books = Books::default();
        books.set_budget(&budget("r", 1_000), T0).unwrap();
        let held = request(1, "r", 800);
        books.hold(&held, T0).unwrap();
        let (cost, uncertain) = (Usd::from_picos(100), Usd::from_picos(800));
        let outcome = Outcome::Posted { cost, uncertain, beyond_bound: false };
        books.settle(&held.attempt_id, outcome, T0).unwrap();
        assert!(matches!(books.hold(&request(2, "r", 1), T0), Err(Refusal::Exhausted(_))));
    }

    #[test]
    fn runs_that_differ_by_case_alone_are_noticed() {
        let mut books = Books::default();
        books.open_run(&"R-one".parse().unwrap(), None, T0);
        assert!(books.twin(&"r-ONE".parse().unwrap()).is_some());
        assert!(books.twin(&"R-one".parse().unwrap()).is_none());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Hold(u64),
        Post(usize, u64),
        Void(usize),
        Lose(usize),
        Limit(i128),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1_u64..2_000).prop_map(Step::Hold),
            3 => (any::<usize>(), 0_u64..2_100).prop_map(|(at, cost)| Step::Post(at, cost)),
            1 => any::<usize>().prop_map(Step::Void),
            1 => any::<usize>().prop_map(Step::Lose),
            1 => (0_i128..20_000).prop_map(Step::Limit),
        ]
    }

    proptest! {
        /// Against the naive model: a list of attempts, summed anew at every step.
        #[test]
        fn books_agree_with_a_naive_model(steps in prop::collection::vec(step(), 1..120)) {
            let run: RunId = "r".parse().unwrap();
            let mut books = Books::default();
            books.set_budget(&budget("r", 10_000), T0).unwrap();
            let (mut limit, mut open, mut posted, mut unknown) = (10_000_i128, Vec::new(), 0_i128, 0_i128);
            for (number, step) in steps.into_iter().enumerate() {
                let pending: i128 = open.iter().map(|(_, amount)| *amount).sum();
                match step {
                    Step::Hold(cap) => {
                        let wanted = request(number, "r", cap);
                        let room = limit - posted - unknown - pending;
                        match books.hold(&wanted, T0) {
                            Ok(granted) => {
                                let amount = granted.grant.amount.picos();
                                prop_assert!(amount <= room, "held {amount} of {room}");
                                prop_assert!(granted.grant.cap <= cap);
                                open.push((wanted.attempt_id, amount));
                            }
                            Err(Refusal::Contended(_)) => {
                                prop_assert!(wanted.need.smallest().picos() > room && pending > 0);
                            }
                            Err(Refusal::TooLarge(_)) => prop_assert!(false, "far below it"),
                            Err(Refusal::Exhausted(_)) => {
                                prop_assert!(wanted.need.smallest().picos() > room + pending);
                            }
                        }
                    }
                    Step::Post(at, cost) if !open.is_empty() => {
                        let (id, held) = open.remove(at % open.len());
                        let cost = i128::from(cost).min(held);
                        posted += cost;
                        let outcome = Outcome::posted(Usd::from_picos(cost));
                        prop_assert!(!books.settle(&id, outcome, T0).unwrap().violation);
                    }
                    Step::Void(at) if !open.is_empty() => {
                        let (id, _) = open.remove(at % open.len());
                        books.settle(&id, Outcome::Voided, T0).unwrap();
                    }
                    Step::Lose(at) if !open.is_empty() => {
                        let (id, held) = open.remove(at % open.len());
                        unknown += held;
                        books.settle(&id, Outcome::Unknown, T0).unwrap();
                    }
                    Step::Limit(new) => {
                        limit = new;
                        books.set_budget(&budget("r", new), T0).unwrap();
                    }
                    _ => {}
                }
                let account = books.run(&run).unwrap().account;
                let pending: i128 = open.iter().map(|(_, amount)| *amount).sum();
                prop_assert_eq!(account.posted.picos(), posted);
                prop_assert_eq!(account.unknown.picos(), unknown);
                prop_assert_eq!(account.pending.picos(), pending);
                prop_assert!(books.is_sound(&run));
            }
        }
    }
}
