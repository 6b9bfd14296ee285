//! What receipts add up to, by run: the part of a backend that a replay needs.
//!
//! A run has no limit here, for receipts do not say it. Refuses to know files and clocks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tollgate_shared::api::RunView;
use tollgate_shared::budget::{Level, Mode, Period, RunState};
use tollgate_shared::event::{BudgetEvent, Checkpoint, Enforced, SECONDS_KEPT, Second, Snapshot};
use tollgate_shared::forecast::{Burn, per_minute};
use tollgate_shared::id::{AgentName, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::{Receipt, Status};
use tollgate_shared::time::Timestamp;

/// Every run.
#[derive(Debug, Default)]
pub struct Books {
    runs: BTreeMap<RunId, Page>,
    seconds: BTreeMap<Timestamp, Second>,
    latest: VecDeque<Receipt>,
    receipts: u64,
}

/// One run.
#[derive(Debug, Default)]
struct Page {
    seq: BTreeSet<u64>,
    below: u64,
    posted: Usd,
    unknown: BTreeMap<u64, Usd>,
    uncertain: Usd,
    requests: u64,
    agents: BTreeSet<AgentName>,
    last_at: Timestamp,
    burn: Burn,
}

impl Books {
    /// Folds a receipt in; answers whether it was new.
    pub fn add(&mut self, receipt: &Receipt) -> bool {
        let page = self.runs.entry(receipt.run_id.clone()).or_default();
        if !page.is_new(receipt.seq) {
            return false;
        }
        page.add(receipt);
        self.receipts += 1;
        let at = receipt.timestamp.floor_to(1);
        let second = self.seconds.entry(at).or_default();
        second.at = at;
        second.add(receipt);
        while self.seconds.len() > SECONDS_KEPT {
            self.seconds.pop_first();
        }
        self.latest.push_back(receipt.clone());
        if self.latest.len() > LATEST_MAX {
            self.latest.pop_front();
        }
        true
    }

    /// Everything, for a console that begins.
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let pages = self.runs.iter();
        let (runs, budgets) = pages.map(|(run, page)| page.views(run, now)).unzip();
        let sum = |part: fn(&Page) -> Usd| self.runs.values().map(part).sum();
        let checkpoint = Checkpoint {
            posted_usd: sum(|page| page.posted),
            unknown_usd: sum(Page::unknown),
            uncertain_usd: sum(|page| page.uncertain),
            receipts: self.receipts,
            by_run: self.runs.iter().map(|(run, page)| (run.clone(), page.spent())).collect(),
            ..Checkpoint::default()
        };
        let since = now.plus_millis(-1_000 * i64::try_from(SECONDS_KEPT).unwrap_or(0));
        Snapshot {
            seq: 0,
            seconds: self.seconds.range(since..).map(|(_, second)| second.clone()).collect(),
            runs,
            budgets,
            receipts: self.latest.iter().cloned().collect(),
            checkpoint,
            providers: Vec::new(),
            alerts: Vec::new(),
            audit: Vec::new(),
        }
    }

    /// One run as it is now.
    pub fn run(&self, run: &RunId, now: Timestamp) -> Option<(RunView, BudgetEvent)> {
        self.runs.get(run).map(|page| page.views(run, now))
    }
}

impl Page {
    /// Whether a place was not seen yet. Those that are dense from the beginning are one number.
    fn is_new(&mut self, seq: u64) -> bool {
        if seq <= self.below || !self.seq.insert(seq) {
            return false;
        }
        while self.seq.remove(&(self.below + 1)) {
            self.below += 1;
        }
        true
    }

    fn add(&mut self, receipt: &Receipt) {
        match (receipt.status, receipt.corrects) {
            (Status::Unknown, _) => {
                self.unknown.insert(receipt.seq, receipt.cost_usd);
            }
            (Status::Correction, Some(place)) => {
                // What was charged on suspicion is a bill from now on, and the difference with it.
                self.posted += self.unknown.remove(&place).unwrap_or_default() + receipt.cost_usd;
            }
            _ => self.posted += receipt.cost_usd,
        }
        if receipt.attempt == 1 && receipt.status != Status::Correction {
            self.requests += 1;
        }
        self.uncertain += receipt.uncertain_usd;
        if !self.agents.contains(&receipt.agent) {
            self.agents.insert(receipt.agent.clone());
        }
        self.last_at = self.last_at.max(receipt.timestamp);
        self.burn.spend(receipt.cost_usd.or_zero(), receipt.timestamp);
    }

    fn unknown(&self) -> Usd {
        self.unknown.values().copied().sum()
    }

    fn spent(&self) -> Usd {
        self.posted + self.unknown()
    }

    fn views(&self, run: &RunId, now: Timestamp) -> (RunView, BudgetEvent) {
        let view = RunView {
            run_id: run.clone(),
            state: RunState::Open,
            parent: None,
            agents: self.agents.len(),
            requests: self.requests,
            spent_usd: self.spent(),
            budget_usd: None,
            level: Level::Ok,
            last_at: self.last_at,
            name: None,
            agents_at_work: 0,
            per_request_usd: None,
            top_model: None,
        };
        let enforced = Enforced {
            posted_usd: self.posted,
            held_usd: self.unknown(),
            unknown_usd: self.unknown(),
            uncertain_usd: self.uncertain,
            ..Enforced::default()
        };
        let budget = BudgetEvent {
            run_id: run.clone(),
            mode: Mode::Soft,
            enforced,
            burn_usd_per_min: per_minute(self.burn.usd_per_min(now)),
            seq: 0,
            version: 0,
            runway_s: None,
            runway_low_s: None,
            runway_high_s: None,
            resets_at: None,
            max_overshoot_usd: Usd::ZERO,
            period: Period::default(),
            level: Level::Ok,
            blocked: false,
            state: RunState::Open,
        };
        (view, budget)
    }
}

/// Most receipts that a beginning console gets as rows; sums count all of them.
const LATEST_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(seq: u64, status: Status, cost: &str) -> Receipt {
        let mut receipt = crate::fixture::receipts().remove(0);
        receipt.run_id = "r".parse().unwrap();
        (receipt.seq, receipt.status, receipt.attempt) = (seq, status, 1);
        receipt.cost_usd = cost.parse().unwrap();
        receipt.uncertain_usd = Usd::ZERO;
        receipt
    }

    #[test]
    fn sums_are_exact_and_a_line_counts_once() {
        let mut books = Books::default();
        assert!(books.add(&receipt(2, Status::Success, "0.000000000001")));
        assert!(books.add(&receipt(1, Status::Success, "1")));
        assert!(!books.add(&receipt(1, Status::Success, "1")));
        assert!(books.add(&receipt(3, Status::Unknown, "5")));
        let run: RunId = "r".parse().unwrap();
        let (view, budget) = books.run(&run, Timestamp::default()).unwrap();
        assert_eq!(view.spent_usd.to_string(), "6.000000000001");
        assert_eq!((view.requests, budget.enforced.unknown_usd.to_string()), (3, "5".into()));
        let mut correction = receipt(4, Status::Correction, "-2");
        correction.corrects = Some(3);
        assert!(books.add(&correction));
        let (view, budget) = books.run(&run, Timestamp::default()).unwrap();
        assert_eq!(view.spent_usd.to_string(), "4.000000000001");
        assert_eq!(budget.enforced.unknown_usd, Usd::ZERO);
    }
}
