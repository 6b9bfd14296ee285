//! Conditions worth a person's attention, told once per crossing.
//!
//! An alert has an identity (its rule and subject), so a condition that goes on is one alert, and
//! one that ends resolves it. Refuses to know who is told, and how.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::{Level, Owner};
use crate::circuit::{CircuitState, CircuitView};
use crate::id::{ProviderName, RunId};
use crate::money::Usd;
use crate::time::Timestamp;

/// How bad it is, worst last.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Look when there is time.
    Caution,
    /// Look soon.
    Warning,
    /// Something does not work now.
    Critical,
}

/// Whether the condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It holds, and nobody has said that they know.
    Open,
    /// It holds, and somebody knows.
    Acked,
    /// It no longer holds.
    Resolved,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Rule and subject: `budget:R-198`, `circuit:azure-gpt4o`.
    pub id: String,
    /// How bad.
    pub severity: Severity,
    /// The run or provider it is about.
    pub subject: String,
    /// The rule that found it.
    pub rule: String,
    /// Since when.
    pub since: Timestamp,
    /// What happened, in words.
    pub what: String,
    /// What comes next, or what to do.
    pub then: String,
    /// Whether it holds.
    pub state: AlertState,
    /// Who knows.
    #[serde(default)]
    pub acked_by: Option<String>,
}

/// Every alert that holds.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    open: BTreeMap<String, Alert>,
}

impl Alerts {
    /// A condition was found. Answers the alert where this is news: a new one, or a worse or
    /// milder one of the same identity.
    pub fn raise(&mut self, alert: Alert) -> Option<Alert> {
        let known = self.open.get(&alert.id);
        if known.is_some_and(|known| known.severity == alert.severity) {
            return None;
        }
        self.open.insert(alert.id.clone(), alert.clone());
        Some(alert)
    }

    /// The condition no longer holds. Answers the resolved alert where there was one.
    pub fn resolve(&mut self, id: &str) -> Option<Alert> {
        let mut alert = self.open.remove(id)?;
        alert.state = AlertState::Resolved;
        Some(alert)
    }

    /// What holds, by identity.
    pub fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.open.values()
    }
}

/// The identity of a run's budget alert.
pub fn budget_id(run: &RunId) -> String {
    format!("budget:{run}")
}

/// The identity of the alert about clocks that have parted.
pub const CLOCK_ID: &str = "clock:wall";

/// The identity of an account's budget alert.
pub fn account_id(owner: &Owner) -> String {
    format!("budget:{}", subject(owner))
}

/// An account in one word: a run's name alone is the run's.
fn subject(owner: &Owner) -> String {
    match owner {
        Owner::Fleet => "*".into(),
        Owner::Run(run) => run.to_string(),
        Owner::Agent(run, agent) => format!("{run}/{agent}"),
    }
}

/// The identity of a provider's circuit alert.
pub fn circuit_id(provider: &ProviderName) -> String {
    format!("circuit:{provider}")
}

/// The identity of the alert about a provider that went beyond its bound.
pub fn bound_id(provider: &ProviderName) -> String {
    format!("bound:{provider}")
}

/// The alert for a provider that billed more than what was held.
pub fn of_bound(provider: &ProviderName, now: Timestamp) -> Alert {
    Alert {
        id: bound_id(provider),
        severity: Severity::Critical,
        subject: provider.to_string(),
        rule: "bound".into(),
        since: now,
        what: "billed more than its bound".into(),
        then: "runs with a limit do not use it until it is registered anew".into(),
        state: AlertState::Open,
        acked_by: None,
    }
}

/// The alert for clocks that disagree about what day it is.
pub fn of_clock(now: Timestamp) -> Alert {
    Alert {
        id: CLOCK_ID.into(),
        severity: Severity::Warning,
        subject: "the wall clock".into(),
        rule: "clock".into(),
        since: now,
        what: "the wall clock jumped".into(),
        then: "daily budgets refill by the monotonic clock until both agree, or until a restart"
            .into(),
        state: AlertState::Open,
        acked_by: None,
    }
}

/// The alert for a run in mode `soft` that spends past its limit.
pub fn of_soft(run: &RunId, past: Usd, now: Timestamp) -> Alert {
    Alert {
        id: format!("soft:{run}"),
        severity: Severity::Critical,
        subject: run.to_string(),
        rule: "soft_limit".into(),
        since: now,
        what: format!("admitted ${} past its limit", past.rounded(6)),
        then: "its mode is soft: nothing stops it but a parent's limit".into(),
        state: AlertState::Open,
        acked_by: None,
    }
}

/// The alert for an account's level; none while it is ok.
pub fn of_level(owner: &Owner, level: Level, limit: Usd, now: Timestamp) -> Option<Alert> {
    let of = format!("of ${}", limit.rounded(2));
    let (severity, what, then) = match level {
        Level::Ok => return None,
        Level::Caution => (Severity::Caution, format!("75% {of} spent"), "requests go on"),
        Level::Warning => {
            (Severity::Warning, format!("90% {of} spent"), "raise it, or it will block")
        }
        Level::Critical => (
            Severity::Critical,
            format!("budget {of} used up"),
            "new requests are refused until it is raised",
        ),
    };
    Some(Alert {
        id: account_id(owner),
        severity,
        subject: subject(owner),
        rule: "budget".into(),
        since: now,
        what,
        then: then.into(),
        state: AlertState::Open,
        acked_by: None,
    })
}

/// The alert for a provider's circuit; none while it is closed.
pub fn of_circuit(provider: &ProviderName, circuit: &CircuitView, now: Timestamp) -> Option<Alert> {
    let (severity, state) = match circuit.state {
        CircuitState::Closed => return None,
        CircuitState::HalfOpen => (Severity::Warning, "half-open"),
        CircuitState::Open => (Severity::Critical, "open"),
    };
    let reason = circuit.reason.as_deref().unwrap_or("no reason given");
    Some(Alert {
        id: circuit_id(provider),
        severity,
        subject: provider.to_string(),
        rule: "circuit".into(),
        since: circuit.since.unwrap_or(now),
        what: format!("circuit {state}: {reason}"),
        then: "traffic goes to the next candidate, where there is one".into(),
        state: AlertState::Open,
        acked_by: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_crossing_is_told_once() {
        let run: RunId = "r".parse().unwrap();
        let level = |level| {
            of_level(&Owner::Run(run.clone()), level, "10".parse().unwrap(), Timestamp::default())
        };
        let mut alerts = Alerts::default();
        assert!(alerts.raise(level(Level::Caution).unwrap()).is_some());
        assert!(alerts.raise(level(Level::Caution).unwrap()).is_none());
        assert!(alerts.raise(level(Level::Critical).unwrap()).is_some());
        assert_eq!(alerts.iter().count(), 1);
        assert_eq!(alerts.resolve(&budget_id(&run)).unwrap().state, AlertState::Resolved);
        assert!(alerts.resolve(&budget_id(&run)).is_none());
        assert!(level(Level::Ok).is_none());
    }
}
