//! The naive ledger: a list of attempts, added up anew at every question.

use std::collections::BTreeMap;

use tollgate_shared::budget::{
    Account, BudgetChange, CapSource, Grant, HoldRequest, Mode, Need, OpenHold, Owner, Period,
};
use tollgate_shared::id::{AgentName, AttemptId, RunId};
use tollgate_shared::money::Usd;

/// The parent of each run, by number.
pub(super) const TREE: [Option<usize>; 4] = [None, Some(0), Some(0), Some(1)];

/// What became of an attempt, and when in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Unknown { at: i64 },
    Posted { cost: i128, uncertain: i128, at: i64 },
    Voided,
}

#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub id: AttemptId,
    pub run: usize,
    pub agent: usize,
    pub amount: i128,
    pub exposed: i128,
    pub state: State,
}

/// A refusal, without its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum No {
    Exhausted,
    Contended,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub attempts: Vec<Attempt>,
    /// Limit, and where the counted time begins; daily where the second is `Some`.
    accounts: BTreeMap<Owner, (Option<Usd>, Option<i64>)>,
    modes: BTreeMap<usize, Mode>,
    fleet_since: i64,
}

impl Attempt {
    pub(super) fn as_open(&self) -> OpenHold {
        OpenHold {
            run_id: run(self.run),
            agent: agent(self.agent),
            amount: Usd::from_picos(self.amount),
            exposed: Usd::from_picos(self.exposed),
        }
    }
}

impl Ledger {
    pub(super) fn change(&mut self, change: &BudgetChange, day: i64) {
        let known = self.accounts.get(&change.owner).and_then(|(_, since)| *since);
        let since = match change.period {
            Some(Period::Day) => known.or(Some(day)),
            Some(Period::Lifetime) => None,
            None => known,
        };
        self.accounts.insert(change.owner.clone(), (change.limit, since));
        if let (Some(mode), Owner::Run(id)) = (change.mode, &change.owner) {
            self.modes.insert(number(id), mode);
        }
    }

    pub(super) fn begin_day(&mut self, day: i64) {
        for (_, since) in self.accounts.values_mut() {
            *since = since.map(|_| day);
        }
        self.fleet_since = day;
    }

    /// What an owner was charged in the period that a change sets, with nothing in flight.
    pub(super) fn charged(&self, owner: &Owner, period: Option<Period>, day: i64) -> Account {
        let since = if period == Some(Period::Day) { day } else { 0 };
        let account = self.sum(owner, since);
        let flying: Usd = self
            .below(owner)
            .filter(|one| one.state == State::Pending)
            .map(|one| Usd::from_picos(one.exposed))
            .sum();
        Account { pending: Usd::ZERO, exposed: account.exposed - flying, ..account }
    }

    pub(super) fn account(&self, owner: &Owner) -> Option<Account> {
        let known = self.accounts.get(owner).copied();
        let (limit, since) = match owner {
            Owner::Fleet => (known.and_then(|(limit, _)| limit), Some(self.fleet_since)),
            _ => known?,
        };
        Some(Account { limit, ..self.sum(owner, since.unwrap_or(0)) })
    }

    fn below<'a>(&'a self, owner: &'a Owner) -> impl Iterator<Item = &'a Attempt> {
        self.attempts.iter().filter(move |one| match owner {
            Owner::Fleet => true,
            Owner::Agent(id, name) => number(id) == one.run && *name == agent(one.agent),
            Owner::Run(id) => is_below(one.run, number(id)),
        })
    }

    fn sum(&self, owner: &Owner, since: i64) -> Account {
        let mut sum = Account::default();
        for one in self.below(owner) {
            let (amount, exposed) = (Usd::from_picos(one.amount), Usd::from_picos(one.exposed));
            match one.state {
                State::Pending => {
                    sum.pending += amount;
                    sum.exposed += exposed;
                }
                State::Unknown { at } if at >= since => {
                    sum.unknown += amount;
                    sum.exposed += exposed;
                }
                State::Posted { cost, uncertain, at } if at >= since => {
                    sum.posted += Usd::from_picos(cost);
                    sum.uncertain += Usd::from_picos(uncertain);
                }
                State::Unknown { .. } | State::Posted { .. } | State::Voided => {}
            }
        }
        sum
    }

    /// What must be granted, by trying caps one after another from the top.
    pub(super) fn judge(&self, request: &HoldRequest) -> Result<Grant, No> {
        let (of, need) = (number(&request.run_id), request.need);
        let mode = self.mode(of);
        let path = [Owner::Agent(request.run_id.clone(), request.agent.clone()), Owner::Fleet]
            .into_iter()
            .chain((0..TREE.len()).filter(|above| is_below(of, *above)).map(|at| owner(at, None)));
        let limited: Vec<(Account, Mode)> = path
            .filter_map(|one| Some((self.account(&one)?, self.mode_of(&one))))
            .map(|(account, mode)| {
                // Where the worst case counts, so does what laxer holds can cost above theirs.
                let kept = if mode.is_strict() { account.exposed } else { Usd::ZERO };
                (Account { uncertain: account.uncertain + kept, ..account }, mode)
            })
            .filter(|(account, _)| account.limit.is_some())
            .collect();
        let strict = limited.iter().any(|(_, mode)| matches!(mode, Mode::Clamp | Mode::Hard));
        let stated = need.stated_cap.unwrap_or(need.model_max);
        let as_stated = if need.stated_cap.is_some() { CapSource::Caller } else { CapSource::None };
        let most = stated.min(need.model_max);
        if limited.is_empty() {
            let amount = cost(&need, most);
            return Ok(Grant { amount, cap: stated, source: as_stated, exposed: Usd::ZERO });
        }
        let binding: Vec<Account> = limited
            .iter()
            .filter(|(_, mode)| *mode != Mode::Soft)
            .map(|(account, _)| *account)
            .collect();
        if mode == Mode::Expected && !strict {
            let worst = cost(&need, most);
            let likely = need.likely_fixed + need.per_output_token.times(most);
            let amount = likely.min(worst);
            check(&binding, amount)?;
            let exposed = worst - amount;
            return Ok(Grant { amount, cap: stated, source: as_stated, exposed });
        }
        let clamps = matches!(mode, Mode::Clamp | Mode::Expected);
        let (wanted, source) = match need.stated_cap {
            None => (need.model_max, CapSource::Gateway),
            Some(cap) if cap > need.model_max => (need.model_max, CapSource::Model),
            Some(cap) => (cap, CapSource::Caller),
        };
        if !clamps && need.stated_cap.is_some() {
            let amount = cost(&need, wanted);
            check(&binding, amount)?;
            return Ok(Grant { amount, cap: wanted, source, exposed: Usd::ZERO });
        }
        let smallest = wanted.min(64);
        let fair = |account: &Account, amount: Usd| {
            let left = account.available().unwrap_or_default();
            let shared = clamps && !account.pending.is_zero();
            amount <= if shared { left.half() } else { left }
        };
        let cap = (smallest + 1..=wanted)
            .rev()
            .find(|cap| binding.iter().all(|account| fair(account, cost(&need, *cap))))
            .unwrap_or(smallest);
        check(&binding, cost(&need, cap))?;
        let source = match (cap < wanted, need.stated_cap.is_some()) {
            (true, true) => CapSource::Budget,
            (true, false) => CapSource::Gateway,
            (false, _) => source,
        };
        Ok(Grant { amount: cost(&need, cap), cap, source, exposed: Usd::ZERO })
    }

    pub(super) fn hold(&mut self, request: &HoldRequest, grant: Grant) {
        self.attempts.push(Attempt {
            id: request.attempt_id.clone(),
            run: number(&request.run_id),
            agent: usize::from(request.agent == agent(1)),
            amount: grant.amount.picos(),
            exposed: grant.exposed.picos(),
            state: State::Pending,
        });
    }

    pub(super) fn pending(&self) -> Vec<(usize, AttemptId)> {
        let pending = |(_, one): &(usize, &Attempt)| one.state == State::Pending;
        let named = |(at, one): (usize, &Attempt)| (at, one.id.clone());
        self.attempts.iter().enumerate().filter(pending).map(named).collect()
    }

    fn mode(&self, run: usize) -> Mode {
        self.modes.get(&run).copied().unwrap_or_default()
    }

    fn mode_of(&self, owner: &Owner) -> Mode {
        match owner {
            Owner::Fleet => Mode::Clamp,
            Owner::Run(id) | Owner::Agent(id, _) => self.mode(number(id)),
        }
    }
}

/// Whether it fits now everywhere, and if not, whether waiting can help everywhere.
fn check(binding: &[Account], amount: Usd) -> Result<(), No> {
    let fits = |account: &&Account| account.available().is_none_or(|left| amount <= left);
    let can = |account: &&Account| {
        let at_best = account.available().map(|left| left + account.pending);
        at_best.is_none_or(|left| amount <= left)
    };
    if binding.iter().all(|account| fits(&account)) {
        return Ok(());
    }
    Err(if binding.iter().all(|account| can(&account)) { No::Contended } else { No::Exhausted })
}

fn cost(need: &Need, cap: u64) -> Usd {
    need.fixed + need.per_output_token.times(cap)
}

fn is_below(mut run: usize, above: usize) -> bool {
    loop {
        if run == above {
            return true;
        }
        match TREE.get(run).copied().flatten() {
            Some(parent) => run = parent,
            None => return false,
        }
    }
}

/// A run by number.
pub(super) fn run(number: usize) -> RunId {
    #[expect(clippy::expect_used, reason = "a letter and a digit are a run id")]
    format!("r{number}").parse().expect("a run id")
}

fn agent(number: usize) -> AgentName {
    #[expect(clippy::expect_used, reason = "a letter and a digit are a name")]
    format!("a{number}").parse().expect("an agent name")
}

/// An account by number.
pub(super) fn owner(of: usize, who: Option<usize>) -> Owner {
    match who {
        None => Owner::Run(run(of)),
        Some(who) => Owner::Agent(run(of), agent(who)),
    }
}

/// Every account that there can be.
pub(super) fn owners() -> impl Iterator<Item = Owner> {
    let of_run = |run| [owner(run, None), owner(run, Some(0)), owner(run, Some(1))];
    (0..TREE.len()).flat_map(of_run).chain([Owner::Fleet])
}

/// A request for money.
pub(super) fn request(attempt: u64, (of, who): (usize, usize), need: Need) -> HoldRequest {
    #[expect(clippy::expect_used, reason = "digits are names")]
    HoldRequest {
        attempt_id: attempt.to_string().parse().expect("an attempt id"),
        run_id: run(of),
        agent: agent(who),
        model: "m".parse().expect("a model name"),
        need,
        smallest: need.smallest(),
    }
}

fn number(id: &RunId) -> usize {
    id.as_str().strip_prefix('r').and_then(|text| text.parse().ok()).unwrap_or(0)
}
