//! What the Routing screen lists, folded from the receipts that the tail keeps.
//!
//! Folded anew once a second while somebody looks, never while drawing. Refuses to know cells, and
//! what was before the oldest receipt kept: the screen says since when it counts.
//!
//! | sum | over |
//! |---|---|
//! | over cheapest | cost − cheapest eligible, of every answered attempt |
//! | fell back | answers that were not at the first choice |
//! | lost | requests whose last attempt failed, and nothing came for a minute |

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tollgate_shared::id::{ProviderName, RequestId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Status;
use tollgate_shared::select::Objective;
use tollgate_shared::time::Timestamp;

use super::history::SPAN_S;
use super::{Day, Key, Model, PaneId, Row, Sent, What};

/// Everything on the screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    /// When it was folded and from how many rows: the same need not be folded twice.
    folded: (Timestamp, u64),
    /// When the oldest receipt was settled; `None` without any.
    pub since: Option<Timestamp>,
    /// When the newest was.
    pub until: Timestamp,
    /// What was asked for, most spent first.
    pub objectives: Vec<Wanted>,
    /// From whom to whom requests fell back, most often first.
    pub fallbacks: Vec<Fallback>,
    /// Where the cheapest eligible would have cost less, largest first.
    pub left: Vec<Left>,
    /// What attempts cost of which nobody knows the bill.
    pub unknown: Usd,
    /// What all receipts add up to.
    pub spent: Usd,
    /// Failures by span of fifteen seconds: first tries, requests lost.
    pub failures: BTreeMap<Timestamp, [u64; 2]>,
    /// First tries.
    pub tries: u64,
    /// First tries that failed.
    pub failed: u64,
    /// Requests that failed first and were answered after all.
    pub rescued: u64,
    /// Requests that were not answered.
    pub lost: u64,
    /// Requests that were refused.
    pub refused: u64,
}

/// Requests that asked for the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// What they asked for.
    pub objective: Objective,
    /// How many there were.
    pub requests: u64,
    /// How many were answered.
    pub answered: u64,
    /// How many were answered by another than the first choice.
    pub fell_back: u64,
    /// What they cost.
    pub cost: Usd,
    /// How much of it the cheapest eligible would have spared.
    pub over: Usd,
    /// Half of the answers took no longer, in milliseconds.
    pub p50_ms: Option<u64>,
    /// Nineteen of twenty took no longer.
    pub p95_ms: Option<u64>,
    /// What they cost by span of fifteen seconds.
    pub trend: BTreeMap<Timestamp, Usd>,
}

/// Requests that went from one provider to another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fallback {
    /// `azure-gpt4o → openai-gpt4o`.
    pub pair: Arc<str>,
    /// How many went there.
    pub count: u64,
    /// How many of them were answered.
    pub saved: u64,
    /// What had gone wrong, each once.
    pub reasons: BTreeSet<Arc<str>>,
}

/// Money that the cheapest eligible would have spared.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// What was asked for.
    pub objective: Objective,
    /// The run that paid.
    pub run: RunId,
    /// How much.
    pub over: Usd,
}

/// The identities of a pane's rows, in order.
pub(super) fn keys(model: &Model, pane: PaneId) -> Vec<Key> {
    let routing = &model.routing;
    match pane {
        PaneId::Objectives => {
            let names = routing.objectives.iter().map(|line| word(line.objective));
            names.map(|name| Key::Name(name.into())).collect()
        }
        PaneId::Fallbacks => {
            routing.fallbacks.iter().map(|line| Key::Name(line.pair.clone())).collect()
        }
        _ => Vec::new(),
    }
}

/// An objective in a word.
pub const fn word(objective: Objective) -> &'static str {
    match objective {
        Objective::Cost => "cost",
        Objective::Latency => "latency",
        Objective::Balanced => "balanced",
        Objective::Availability => "availability",
    }
}

impl Routing {
    /// Folds what a day keeps, unless that is what was folded last.
    pub fn refresh(&mut self, day: &Day) {
        let folded = (day.now.floor_to(1), day.tail.seen());
        if self.folded != folded {
            *self = Self { folded, ..Self::of(day) };
        }
    }

    /// Folds what a day keeps.
    fn of(day: &Day) -> Self {
        let mut fold = Fold::default();
        let rows: Vec<&Arc<Row>> = day.tail.newest_first().collect();
        for row in rows.into_iter().rev() {
            match &row.what {
                What::Sent(sent) if sent.status != Status::Correction => fold.add(row, sent),
                What::Sent(sent) => fold.routing.spent += sent.cost_usd,
                What::Refused { .. } => fold.routing.refused += 1,
            }
        }
        fold.finish(day.now)
    }
}

/// A request, whoever sent it.
type Asked<'a> = (&'a RunId, &'a RequestId);

/// What is being folded.
#[derive(Default)]
struct Fold<'a> {
    routing: Routing,
    wanted: BTreeMap<&'static str, (Wanted, Vec<u64>)>,
    pairs: BTreeMap<(&'a ProviderName, &'a ProviderName), Fallback>,
    left: BTreeMap<(&'static str, &'a RunId), Left>,
    /// Requests whose latest attempt failed: when, and why.
    failed: BTreeMap<Asked<'a>, (Timestamp, Arc<str>)>,
}

impl<'a> Fold<'a> {
    /// One attempt.
    fn add(&mut self, row: &'a Row, sent: &'a Sent) {
        let routing = &mut self.routing;
        routing.since = routing.since.or(Some(row.at));
        routing.until = row.at;
        routing.spent += sent.cost_usd;
        let span = row.at.floor_to(SPAN_S);
        let (wanted, latencies) = self.wanted.entry(word(sent.objective)).or_default();
        wanted.objective = sent.objective;
        wanted.cost += sent.cost_usd;
        *wanted.trend.entry(span).or_default() += sent.cost_usd;
        let asked = (&row.run, &row.request);
        let is_answer = sent.status.is_answer();
        if sent.attempt == 1 {
            wanted.requests += 1;
            routing.tries += 1;
            if !is_answer {
                routing.failed += 1;
                routing.failures.entry(span).or_default()[0] += 1;
            }
        }
        if let Some(from) = &sent.fallback_from {
            let pair = self.pairs.entry((from, &sent.provider)).or_default();
            pair.count += 1;
            pair.saved += u64::from(is_answer);
            let why = self.failed.get(&asked).map(|(_, why)| why.clone());
            pair.reasons.extend(why.filter(|why| !why.is_empty()));
        }
        if sent.status == Status::Unknown {
            routing.unknown += sent.cost_usd;
        }
        if !is_answer {
            let why = sent.error.clone().unwrap_or_else(|| sent.why.clone());
            self.failed.insert(asked, (row.at, why));
            return;
        }
        wanted.answered += 1;
        wanted.fell_back += u64::from(sent.status == Status::Fallback);
        latencies.push(sent.latency_ms);
        routing.rescued += u64::from(self.failed.remove(&asked).is_some());
        let over = (sent.cost_usd - sent.cheapest_usd).or_zero();
        wanted.over += over;
        if !over.is_zero() {
            let key = (word(sent.objective), &row.run);
            let empty =
                || Left { objective: sent.objective, run: row.run.clone(), over: Usd::ZERO };
            self.left.entry(key).or_insert_with(empty).over += over;
        }
    }

    /// Sorts what was summed; what failed a minute ago and was not answered since is lost.
    fn finish(self, now: Timestamp) -> Routing {
        let mut routing = self.routing;
        for (at, _) in self.failed.into_values() {
            if now.millis_since(at) >= LOST_MS {
                routing.lost += 1;
                routing.failures.entry(at.floor_to(SPAN_S)).or_default()[1] += 1;
            }
        }
        routing.objectives = self
            .wanted
            .into_values()
            .map(|(mut wanted, mut latencies)| {
                latencies.sort_unstable();
                let at = |percent: usize| {
                    let place = (latencies.len() * percent).div_ceil(100).saturating_sub(1);
                    latencies.get(place).copied()
                };
                (wanted.p50_ms, wanted.p95_ms) = (at(50), at(95));
                wanted
            })
            .collect();
        routing.objectives.sort_by_key(|line| Reverse(line.cost));
        routing.fallbacks = self
            .pairs
            .into_iter()
            .map(|((from, to), line)| Fallback { pair: format!("{from} → {to}").into(), ..line })
            .collect();
        routing.fallbacks.sort_by_key(|line| Reverse(line.count));
        routing.left = self.left.into_values().collect();
        routing.left.sort_by_key(|line| Reverse(line.over));
        routing
    }
}

/// How long a request that failed is waited for, in milliseconds: its fallback comes at once.
const LOST_MS: i64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn sums_are_those_of_the_rows() {
        let model = fixture::model((80, 24));
        let routing = Routing::of(model.day());
        let costs = fixture::receipts().iter().map(|receipt| receipt.cost_usd).sum::<Usd>();
        assert_eq!(routing.spent, costs);
        assert_eq!(routing.objectives.iter().map(|line| line.cost).sum::<Usd>(), costs);
        let over: Usd = routing.objectives.iter().map(|line| line.over).sum();
        assert_eq!(routing.left.iter().map(|line| line.over).sum::<Usd>(), over);
        assert_eq!((routing.tries, routing.failed, routing.rescued), (14, 3, 1));
        assert_eq!((routing.lost, routing.refused), (0, 1), "a fallback may still come");
        let pair = &routing.fallbacks[0];
        assert_eq!((&*pair.pair, pair.count, pair.saved), ("mistral-lg → openai-gpt4o", 1, 1));
        assert!(pair.reasons.iter().any(|why| why.contains("429")), "{pair:?}");
    }

    #[test]
    fn what_nobody_answered_for_a_minute_is_lost() {
        let mut model = fixture::model((80, 24));
        model.live.now = fixture::now().plus_millis(70_000);
        assert_eq!(Routing::of(model.day()).lost, 2);
    }
}
