//! What the router would do without a provider, worked out here.
//!
//! Its traffic of the last quarter of an hour is planned anew over everybody else who serves the
//! same model, with the router's own code, once for each thing that requests asked to be chosen
//! by. An estimate of the console: it knows no features that requests need and no limits that
//! others are at. Refuses to know cells.
//!
//! ```text
//! openai-gpt4o, 38 a minute  →  azure-gpt4o  38 a minute, +$0.011 a minute
//! ```

use tollgate_shared::circuit::CircuitState;
use tollgate_shared::id::ModelName;
use tollgate_shared::money::Usd;
use tollgate_shared::provider::{ProviderView, Registration, Requirements};
use tollgate_shared::select::{Demand, Facts, Objective, plan};
use tollgate_shared::usage::Usage;
use tollgate_shared::window::Sums;

use crate::format;
use crate::model::{Day, Group, History, QUARTER_S};

/// Traffic that would move to one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    /// Where to.
    pub to: String,
    /// Attempts of the quarter of an hour.
    pub attempts: u64,
    /// What a minute of them would cost more there; less where it is negative.
    pub more_per_min: Usd,
    /// The 95th of its latency, in milliseconds.
    pub p95_ms: Option<u32>,
}

/// What would become of a provider's traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Takeover {
    /// Where its traffic goes, most first; empty where there is nobody.
    pub moves: Vec<Move>,
    /// Those who serve the model and could not take it, each with the reason.
    pub others: Vec<(String, String)>,
    /// Attempts of the quarter of an hour.
    pub attempts: u64,
    /// Seconds that these were counted over.
    pub span_s: u64,
}

impl Takeover {
    /// What would become of the traffic of `view`.
    pub fn of(day: &Day, view: &ProviderView) -> Self {
        let sums = History::grouped(day.history.spans(QUARTER_S), Group::Provider);
        let sums = sums.get(view.name.as_str()).copied().unwrap_or_default();
        let attempts = sums.attempts.max(sums.requests);
        let span_s = day.history.known_s(QUARTER_S.unsigned_abs()).max(60);
        let rivals = day.providers.values();
        let rivals: Vec<&ProviderView> =
            rivals.filter(|other| other.model == view.model && other.name != view.name).collect();
        let registrations: Vec<Registration> = rivals.iter().map(|view| registered(view)).collect();
        let facts: Vec<Facts<'_>> =
            rivals.iter().zip(&registrations).map(|(view, of)| facts(view, of)).collect();
        let mut takeover = Self { attempts, span_s, ..Self::default() };
        let each = each(&sums, attempts);
        let here = view.pricing.cost(&each).total();
        for (objective, share) in mix(day, view, attempts) {
            let requirements = Requirements {
                model: view.model.clone(),
                context_window: None,
                features: Vec::new(),
            };
            let demand = Demand { requirements: &requirements, objective, expected: each };
            let plan = plan(&facts, &demand);
            for (index, why) in &plan.rejected {
                takeover.could_not(&rivals, *index, why.to_string());
            }
            let Some(first) = plan.candidates.first() else { continue };
            let Some(to) = rivals.get(first.index) else { continue };
            let more = format::per_minute((first.cost - here).times(share), span_s);
            takeover.add(to, share, more);
        }
        takeover.moves.sort_by_key(|to| std::cmp::Reverse(to.attempts));
        takeover
    }

    /// What a minute would cost more in all.
    pub fn more_per_min(&self) -> Usd {
        self.moves.iter().map(|to| to.more_per_min).sum()
    }

    fn add(&mut self, to: &ProviderView, attempts: u64, more_per_min: Usd) {
        match self.moves.iter_mut().find(|known| known.to == to.name.as_str()) {
            Some(known) => {
                known.attempts += attempts;
                known.more_per_min += more_per_min;
            }
            None => self.moves.push(Move {
                to: to.name.to_string(),
                attempts,
                more_per_min,
                p95_ms: to.quality.p95_ms,
            }),
        }
    }

    fn could_not(&mut self, rivals: &[&ProviderView], index: usize, why: String) {
        let Some(name) = rivals.get(index).map(|view| view.name.to_string()) else { return };
        if self.others.iter().all(|(known, _)| *known != name) {
            self.others.push((name, why));
        }
    }
}

/// Models that only one provider serves now, by name.
pub(super) fn single(day: &Day) -> Vec<&ModelName> {
    let admits = |view: &&ProviderView| view.circuit.state == CircuitState::Closed;
    let mut models: Vec<&ModelName> =
        day.providers.values().filter(admits).map(|view| &view.model).collect();
    models.sort_unstable();
    models.chunk_by(|a, b| a == b).filter(|same| same.len() == 1).flatten().copied().collect()
}

/// What requests asked to be chosen by, as receipts at hand tell: attempts for each.
fn mix(day: &Day, view: &ProviderView, attempts: u64) -> Vec<(Objective, u64)> {
    let mut counts = OBJECTIVES.map(|objective| (objective, 0_u64));
    for row in day.tail.newest_first().take(ROWS_MAX) {
        let Some(sent) = row.sent().filter(|sent| sent.provider == view.name) else { continue };
        for (objective, count) in &mut counts {
            *count += u64::from(*objective == sent.objective);
        }
    }
    let known: u64 = counts.iter().map(|(_, count)| count).sum();
    if known == 0 {
        return vec![(Objective::default(), attempts)];
    }
    let mut left = attempts;
    let mut parts: Vec<(Objective, u64)> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(objective, count)| {
            let part = attempts.saturating_mul(count) / known;
            left -= part;
            (objective, part)
        })
        .collect();
    if let Some((_, part)) = parts.iter_mut().max_by_key(|(_, part)| *part) {
        *part += left;
    }
    parts
}

/// What one attempt used on average.
fn each(sums: &Sums, attempts: u64) -> Usage {
    let mean = |tokens: u64| tokens.checked_div(attempts).unwrap_or(0);
    let uncached = sums.input_tokens.saturating_sub(sums.cache_read_tokens);
    Usage {
        cache_read: mean(sums.cache_read_tokens),
        ..Usage::plain(mean(uncached), mean(sums.output_tokens))
    }
}

/// A provider as the router knows it.
fn facts<'a>(view: &ProviderView, provider: &'a Registration) -> Facts<'a> {
    let ppm = |share: f64| u32::try_from(format::permille_of_share(share) * 1_000).ok();
    Facts {
        provider,
        circuit: view.circuit.state,
        admits: view.circuit.state == CircuitState::Closed,
        full: None,
        p95_ms: view.quality.p95_ms,
        success_ppm: view.quality.success_rate.and_then(ppm),
    }
}

/// The registration that a view was made of.
fn registered(view: &ProviderView) -> Registration {
    Registration {
        name: view.name.clone(),
        model: view.model.clone(),
        upstream_model: view.upstream_model.clone(),
        context_window: view.context_window,
        max_output_tokens: view.max_output_tokens,
        endpoint: view.endpoint.clone(),
        dialect: view.dialect,
        features: view.features.clone(),
        slo: view.slo,
        limits: view.limits,
        on_disconnect: view.on_disconnect,
        bounded: view.bounded,
        api_key_env: view.api_key_env.clone(),
        free: view.free,
        card: view.pricing.clone(),
    }
}

/// Every objective.
const OBJECTIVES: [Objective; 4] =
    [Objective::Cost, Objective::Latency, Objective::Balanced, Objective::Availability];

/// Most rows of the tail that one drawing looks at.
const ROWS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn who_serves_the_model_takes_it_over_and_who_cannot_says_why() {
        let mut model = fixture::model((120, 40));
        let azure = "azure-gpt4o".parse().unwrap();
        let view = model.live.providers["openai-gpt4o"].clone();
        let alone = Takeover::of(&model.live, &view);
        assert_eq!(alone.moves, []);
        let why = "its circuit is open".to_owned();
        assert_eq!(alone.others, [("azure-gpt4o".to_owned(), why)]);
        assert!(single(&model.live).contains(&&view.model), "only one serves it now");
        let rival = model.live.providers.get_mut::<tollgate_shared::id::ProviderName>(&azure);
        rival.unwrap().circuit.state = CircuitState::Closed;
        let taken = Takeover::of(&model.live, &view);
        assert_eq!(taken.moves.len(), 1);
        assert_eq!((taken.moves[0].attempts, &*taken.moves[0].to), (taken.attempts, "azure-gpt4o"));
        assert!(taken.attempts > 0 && taken.more_per_min().is_zero(), "same prices: {taken:?}");
        assert!(!single(&model.live).contains(&&view.model));
    }

    #[test]
    fn a_dearer_rival_costs_more_and_a_cheaper_one_less() {
        let mut model = fixture::model((120, 40));
        let azure: tollgate_shared::id::ProviderName = "azure-gpt4o".parse().unwrap();
        model.live.providers.get_mut(&azure).unwrap().circuit.state = CircuitState::Closed;
        let view = model.live.providers["openai-gpt4o"].clone();
        let dear = model.live.providers["anthropic-son"].pricing.clone();
        model.live.providers.get_mut(&azure).unwrap().pricing = dear;
        assert!(Takeover::of(&model.live, &view).more_per_min() > Usd::ZERO);
        let cheap = model.live.providers["openai-mini"].pricing.clone();
        model.live.providers.get_mut(&azure).unwrap().pricing = cheap;
        assert!(Takeover::of(&model.live, &view).more_per_min() < Usd::ZERO);
    }
}
