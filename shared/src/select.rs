//! Facts about providers in, a plan out.
//!
//! A plan is the ordered list of candidates for one request, with a reason for every provider that
//! is not among them. Refuses to do I/O and to remember: two equal questions get equal answers.
//!
//! Every score is a ratio in parts per million, 1.0 for the best candidate:
//!
//! | objective | score |
//! |---|---|
//! | `cost` | cheapest estimate ÷ this estimate; a free provider has 1.0 |
//! | `latency` | fastest p95 ÷ this p95: measured, else promised by its SLO, else 0 |
//! | `balanced` | half of the cost score plus half of the latency score |
//! | `availability` | measured success rate, else the promised availability, else 0 |
//!
//! Equal scores are decided by the cheaper estimate, then the lower latency, then the name.

use std::cmp::Reverse;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::circuit::CircuitState;
use crate::id::ModelName;
use crate::money::{Usd, serialize_number};
use crate::provider::{Registration, Requirements};
use crate::usage::Usage;

/// What a caller wants most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The least money for this request.
    #[default]
    Cost,
    /// The fastest answer.
    Latency,
    /// Half of each.
    Balanced,
    /// The surest answer.
    Availability,
}

/// What is known of one provider when a choice is made.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What it is.
    pub provider: &'a Registration,
    /// Whether its circuit lets a request through.
    pub circuit: CircuitState,
    /// The same, with the retry time considered.
    pub admits: bool,
    /// The limit it has reached, if any.
    pub full: Option<LimitKind>,
    /// Measured p95 of successful answers, in milliseconds.
    pub p95_ms: Option<u32>,
    /// Measured share of attempts that were answered, in parts per million.
    pub success_ppm: Option<u32>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// What a provider must have.
    pub requirements: &'a Requirements,
    /// What to prefer.
    pub objective: Objective,
    /// Expected usage: what estimates of cost rest on.
    pub expected: Usage,
}

/// A share of one in parts per million, printed as a number such as `0.873421`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Score(u32);

/// One provider that fits, as the plan ranks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its place in the facts.
    pub index: usize,
    /// How well it serves the objective.
    pub score: Score,
    /// What the request is expected to cost there.
    pub cost: Usd,
    /// The latency that was judged by, in milliseconds.
    pub latency_ms: Option<u32>,
}

/// Which limit a provider has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// Attempts started in the last minute.
    RequestsPerMin,
    /// Tokens settled in the last minute.
    TokensPerMin,
    /// Attempts in flight.
    Concurrency,
}

/// Why a provider is not a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It serves another model.
    Model(ModelName),
    /// Its window is too small.
    Window {
        /// What it has.
        has: u64,
        /// What is needed.
        needs: u64,
    },
    /// It lacks a feature.
    Feature(String),
    /// Its circuit is open, or half-open and taken.
    Circuit(CircuitState),
    /// It is full.
    Limit(LimitKind),
}

/// Candidates, best first, and everyone else with a reason.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Plan {
    /// Who fits.
    pub candidates: Vec<Candidate>,
    /// Who does not: place in the facts, and why.
    pub rejected: Vec<(usize, Rejection)>,
}

impl Score {
    /// The best there is.
    pub const BEST: Self = Self(PPM);

    /// A score from parts per million, at most one.
    pub fn from_ppm(ppm: u64) -> Self {
        Self(u32::try_from(ppm).map_or(PPM, |ppm| ppm.min(PPM)))
    }

    /// Parts per million.
    pub const fn ppm(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Usd::from_picos(i128::from(self.0) * 1_000_000).fmt(f)
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_number(&self.to_string(), serializer)
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let picos = Usd::deserialize(deserializer)?.picos();
        u64::try_from(picos / 1_000_000).map(Self::from_ppm).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Score {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Score".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "minimum": 0, "maximum": 1})
    }
}

impl Rejection {
    /// The stable word for it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Model(_) => "model_mismatch",
            Self::Window { .. } => "context_window_too_small",
            Self::Feature(_) => "missing_feature",
            Self::Circuit(_) => "circuit_open",
            Self::Limit(_) => "at_limit",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(model) => write!(f, "it serves `{model}`"),
            Self::Window { has, needs } => write!(f, "its window is {has}, {needs} are needed"),
            Self::Feature(feature) => write!(f, "it has no `{feature}`"),
            Self::Circuit(CircuitState::HalfOpen) => f.write_str("its circuit is being probed"),
            Self::Circuit(_) => f.write_str("its circuit is open"),
            Self::Limit(LimitKind::RequestsPerMin) => {
                f.write_str("it is at its requests per minute")
            }
            Self::Limit(LimitKind::TokensPerMin) => f.write_str("it is at its tokens per minute"),
            Self::Limit(LimitKind::Concurrency) => f.write_str("it is at its concurrency"),
        }
    }
}

/// Ranks everyone who fits and gives everyone else a reason.
pub fn plan(facts: &[Facts<'_>], demand: &Demand<'_>) -> Plan {
    let mut plan = Plan::default();
    for (index, fact) in facts.iter().enumerate() {
        match reject(fact, demand.requirements) {
            Some(reason) => plan.rejected.push((index, reason)),
            None => plan.candidates.push(Candidate {
                index,
                score: Score::default(),
                cost: fact.provider.card.cost(&demand.expected).total(),
                latency_ms: latency_ms(fact),
            }),
        }
    }
    score(&mut plan.candidates, facts, demand.objective);
    plan.candidates.sort_by_key(|candidate| {
        let latency = candidate.latency_ms.unwrap_or(u32::MAX);
        let name = &facts[candidate.index].provider.name;
        (Reverse(candidate.score), candidate.cost, latency, name)
    });
    plan
}

/// In words people read beside a receipt: why the plan's `place`-th candidate was the choice.
pub fn why(plan: &Plan, place: usize, objective: Objective) -> String {
    let Some(candidate) = plan.candidates.get(place) else { return String::new() };
    let cheaper = plan.candidates.iter().filter(|other| other.cost < candidate.cost).count();
    let price = match cheaper {
        0 => "cheapest eligible".to_owned(),
        1 => "2nd cheapest".to_owned(),
        2 => "3rd cheapest".to_owned(),
        more => format!("{}th cheapest", more + 1),
    };
    let speed = candidate.latency_ms.map_or("no p95 yet".to_owned(), |ms| format!("p95 {ms} ms"));
    match objective {
        Objective::Cost => format!("cost: {price}"),
        Objective::Latency => format!("latency: {speed}"),
        Objective::Balanced => format!("balanced: {price}, {speed}"),
        Objective::Availability => format!("availability: {}", candidate.score),
    }
}

fn reject(fact: &Facts<'_>, needs: &Requirements) -> Option<Rejection> {
    let provider = fact.provider;
    if provider.model != needs.model {
        return Some(Rejection::Model(provider.model.clone()));
    }
    let window = needs.context_window.unwrap_or(0);
    if provider.context_window < window {
        return Some(Rejection::Window { has: provider.context_window, needs: window });
    }
    if let Some(missing) =
        needs.features.iter().find(|feature| !provider.features.contains(feature))
    {
        return Some(Rejection::Feature(missing.clone()));
    }
    if !fact.admits {
        return Some(Rejection::Circuit(fact.circuit));
    }
    fact.full.map(Rejection::Limit)
}

fn latency_ms(fact: &Facts<'_>) -> Option<u32> {
    fact.p95_ms.or_else(|| fact.provider.slo.and_then(|slo| slo.latency_p95_ms))
}

fn score(candidates: &mut [Candidate], facts: &[Facts<'_>], objective: Objective) {
    let cheapest = candidates.iter().map(|candidate| candidate.cost).min().unwrap_or_default();
    let fastest = candidates.iter().filter_map(|candidate| candidate.latency_ms).min();
    for candidate in candidates {
        let cost = || cheapest.ppm_of(candidate.cost).unwrap_or(u64::from(PPM));
        let latency = || ratio_ppm(fastest, candidate.latency_ms);
        let ppm = match objective {
            Objective::Cost => cost(),
            Objective::Latency => latency(),
            Objective::Balanced => u64::midpoint(cost(), latency()),
            Objective::Availability => availability_ppm(&facts[candidate.index]),
        };
        candidate.score = Score::from_ppm(ppm);
    }
}

fn ratio_ppm(best: Option<u32>, this: Option<u32>) -> u64 {
    match (best, this) {
        (Some(_), Some(0)) => u64::from(PPM),
        (Some(best), Some(this)) => u64::from(best) * u64::from(PPM) / u64::from(this),
        _ => 0,
    }
}

fn availability_ppm(fact: &Facts<'_>) -> u64 {
    let promised = || fact.provider.slo.and_then(|slo| slo.availability).map_or(0, share_ppm);
    fact.success_ppm.map_or_else(promised, u64::from)
}

/// A share from 0 to 1, as registrations state it, in parts per million.
#[expect(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a promise in a registration, checked to be from 0 to 1; no money"
)]
fn share_ppm(share: f64) -> u64 {
    (share * 1e6) as u64
}

const PPM: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;

    fn provider(name: &str, model: &str, per_million: &str, slo_ms: u32) -> Registration {
        let text = format!(
            r#"{{"name":"{name}","model":"{model}","context_window":8000,"endpoint":"http://h",
            "features":["vision"],"slo":{{"latency_p95_ms":{slo_ms},"availability":0.9}},
            "pricing":{{"rates":{{"input":"{per_million}","output":"{per_million}"}}}}}}"#
        );
        Registration::from_body(Body::parse(text.as_bytes()).unwrap()).unwrap()
    }

    fn facts(provider: &Registration) -> Facts<'_> {
        Facts {
            provider,
            circuit: CircuitState::Closed,
            admits: true,
            full: None,
            p95_ms: None,
            success_ppm: None,
        }
    }

    fn needs(model: &str) -> Requirements {
        Requirements { model: model.parse().unwrap(), context_window: None, features: vec![] }
    }

    fn order(all: &[Facts<'_>], objective: Objective) -> Vec<String> {
        let requirements = needs("m");
        let demand =
            Demand { requirements: &requirements, objective, expected: Usage::plain(100, 100) };
        let plan = plan(all, &demand);
        plan.candidates.iter().map(|c| all[c.index].provider.name.to_string()).collect()
    }

    #[test]
    fn each_objective_has_its_own_order() {
        let (dear, cheap, middle) = (
            provider("dear", "m", "10", 100),
            provider("cheap", "m", "1", 1000),
            provider("middle", "m", "2", 150),
        );
        let mut all = [facts(&dear), facts(&cheap), facts(&middle)];
        assert_eq!(order(&all, Objective::Cost), ["cheap", "middle", "dear"]);
        assert_eq!(order(&all, Objective::Latency), ["dear", "middle", "cheap"]);
        assert_eq!(order(&all, Objective::Balanced), ["middle", "cheap", "dear"], "a tie is cheap");
        all[1].success_ppm = Some(950_000);
        assert_eq!(order(&all, Objective::Availability), ["cheap", "middle", "dear"]);
        all[0].p95_ms = Some(5_000);
        assert_eq!(order(&all, Objective::Latency), ["middle", "cheap", "dear"], "measured wins");
    }

    #[test]
    fn everyone_else_gets_a_reason() {
        let (other, fits) = (provider("other", "x", "1", 1), provider("fits", "m", "1", 1));
        let mut open = facts(&fits);
        (open.admits, open.circuit) = (false, CircuitState::Open);
        let mut full = facts(&fits);
        full.full = Some(LimitKind::Concurrency);
        let all = [facts(&other), open, full, facts(&fits)];
        let mut requirements = needs("m");
        let ask = |requirements: &Requirements| {
            let demand =
                Demand { requirements, objective: Objective::Cost, expected: Usage::default() };
            plan(&all, &demand)
        };
        let reasons =
            |plan: &Plan| plan.rejected.iter().map(|(_, r)| r.reason()).collect::<Vec<_>>();
        let first = ask(&requirements);
        assert_eq!(reasons(&first), ["model_mismatch", "circuit_open", "at_limit"]);
        assert_eq!(first.candidates.len(), 1);
        requirements.context_window = Some(9000);
        assert_eq!(reasons(&ask(&requirements))[3], "context_window_too_small");
        requirements.context_window = None;
        requirements.features = vec!["vision".into(), "audio".into()];
        assert_eq!(ask(&requirements).rejected[3].1, Rejection::Feature("audio".into()));
    }

    #[test]
    fn ties_are_broken_the_same_way_every_time() {
        let (b, a) = (provider("b", "m", "1", 100), provider("a", "m", "1", 100));
        assert_eq!(order(&[facts(&b), facts(&a)], Objective::Cost), ["a", "b"]);
        assert_eq!(order(&[facts(&a), facts(&b)], Objective::Balanced), ["a", "b"]);
    }

    #[test]
    fn a_score_prints_as_a_short_number() {
        assert_eq!(Score::BEST.to_string(), "1");
        assert_eq!(Score::from_ppm(873_421).to_string(), "0.873421");
        assert_eq!(serde_json::from_str::<Score>("0.5").unwrap().ppm(), 500_000);
    }
}
