//! The conditions that are looked for, each with its identity and its words.
//!
//! An identity is a rule and its subject, so that one condition is one alert however often it is
//! found. Refuses to know whether anybody was told.

use super::{Alert, Severity};
use crate::budget::{Level, Owner};
use crate::circuit::{CircuitState, CircuitView};
use crate::id::{ProviderName, RunId};
use crate::money::Usd;
use crate::time::Timestamp;

/// The identity of a run's budget alert.
pub fn budget_id(run: &RunId) -> String {
    format!("budget:{run}")
}

/// The identity of the alert about clocks that have parted.
pub const CLOCK_ID: &str = "clock:wall";

/// The rule about runs that spend past a soft limit.
pub const SOFT: &str = "soft_limit";

/// The identity of the alert about a run past its soft limit.
pub fn soft_id(run: &RunId) -> String {
    format!("soft:{run}")
}

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
        ..Alert::default()
    }
}

/// The identity of the alert about a run that was frozen.
pub fn frozen_id(run: &RunId) -> String {
    format!("frozen:{run}")
}

/// The alert for a run whose bill was larger than its hold.
pub fn of_frozen(run: &RunId, now: Timestamp) -> Alert {
    Alert {
        id: frozen_id(run),
        severity: Severity::Critical,
        subject: run.to_string(),
        rule: "frozen".into(),
        since: now,
        what: "frozen: a bill was larger than its hold".into(),
        then: "its requests are refused until somebody resumes it with a note".into(),
        ..Alert::default()
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
        ..Alert::default()
    }
}

/// The alert for a run in mode `soft` that spends past its limit.
pub fn of_soft(run: &RunId, past: Usd, now: Timestamp) -> Alert {
    Alert {
        id: soft_id(run),
        severity: Severity::Critical,
        subject: run.to_string(),
        rule: SOFT.into(),
        since: now,
        what: format!("admitted ${} past its limit", past.rounded(6)),
        then: "its mode is soft: nothing stops it but a parent's limit".into(),
        ..Alert::default()
    }
}

/// The alert for an account's level; none while it is ok.
pub fn of_level(owner: &Owner, level: Level, limit: Usd, now: Timestamp) -> Option<Alert> {
    let of = format!("of ${}", digits(limit));
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
        ..Alert::default()
    })
}

/// An amount with as many digits as it needs: at least cents, at most millionths.
fn digits(usd: Usd) -> String {
    let text = usd.rounded(6);
    let needed = text.trim_end_matches('0').len();
    let cents = text.len().saturating_sub(4);
    text.get(..needed.max(cents)).unwrap_or(&text).to_owned()
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
        ..Alert::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_with_as_many_digits_as_it_needs() {
        for (limit, wanted) in [
            ("10", "90% of $10.00 spent"),
            ("2.5", "90% of $2.50 spent"),
            ("0.0015", "90% of $0.0015 spent"),
            ("1.234", "90% of $1.234 spent"),
            ("0.00000149", "90% of $0.000001 spent"),
        ] {
            let alert = of_level(
                &Owner::Fleet,
                Level::Warning,
                limit.parse().unwrap(),
                Timestamp::default(),
            );
            assert_eq!(alert.unwrap().what, wanted, "{limit}");
        }
    }
}
