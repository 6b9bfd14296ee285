//! Closed, open, half-open, by arithmetic.
//!
//! A provider that keeps failing is left alone for a while, then tried with one request. Refuses
//! to know a clock: "now" is an argument. The caller's faults and ours never count here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Whether traffic flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// Traffic flows.
    #[default]
    Closed,
    /// No traffic until the retry time.
    Open,
    /// One request at a time, to see whether it works again.
    HalfOpen,
}

/// A circuit as the wire shows it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CircuitView {
    /// Whether traffic flows.
    pub state: CircuitState,
    /// Why it is not closed.
    pub reason: Option<String>,
    /// Since when it has been in this state.
    pub since: Option<Timestamp>,
    /// When one request will be tried; absent while open until a person acts.
    pub retry_at: Option<Timestamp>,
    /// How often it opened since it last stayed closed.
    #[serde(default)]
    pub opened: u32,
}

/// The circuit of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Circuit {
    state: State,
    faults_in_a_row: u32,
    opened: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
enum State {
    #[default]
    Closed,
    Open {
        reason: String,
        since: Timestamp,
        retry_at: Option<Timestamp>,
    },
    HalfOpen {
        reason: String,
        since: Timestamp,
        probing: bool,
    },
}

impl Circuit {
    /// Whether a request may go now. An open circuit whose retry time has come lets one through.
    pub fn admits(&self, now: Timestamp) -> bool {
        match &self.state {
            State::Closed => true,
            State::Open { retry_at, .. } => retry_at.is_some_and(|at| now >= at),
            State::HalfOpen { probing, .. } => !probing,
        }
    }

    /// A request is about to go. Answers whether this changed the state.
    pub fn start(&mut self, now: Timestamp) -> bool {
        match &mut self.state {
            State::Closed => false,
            State::Open { reason, .. } => {
                let reason = std::mem::take(reason);
                self.state = State::HalfOpen { reason, since: now, probing: true };
                true
            }
            State::HalfOpen { probing, .. } => {
                *probing = true;
                false
            }
        }
    }

    /// A request was answered. Answers whether this changed the state.
    pub fn succeed(&mut self) -> bool {
        self.faults_in_a_row = 0;
        if self.state == State::Closed {
            return false;
        }
        self.state = State::Closed;
        self.opened = 0;
        true
    }

    /// A request ended without telling anything about the provider (the caller's fault, or ours).
    pub fn tell_nothing(&mut self) {
        if let State::HalfOpen { probing, .. } = &mut self.state {
            *probing = false;
        }
    }

    /// The provider failed. Answers whether this changed the state. Without `may_open` a closed
    /// circuit only counts: too many of the model's providers are closed to traffic already.
    pub fn fail(&mut self, now: Timestamp, what: &str, may_open: bool) -> bool {
        self.faults_in_a_row = self.faults_in_a_row.saturating_add(1);
        let half_open = matches!(self.state, State::HalfOpen { .. });
        if !half_open && (self.faults_in_a_row < FAULTS_TO_OPEN || !may_open) {
            return false;
        }
        if matches!(self.state, State::Open { .. }) {
            return false;
        }
        self.opened = self.opened.saturating_add(1);
        let pause_ms = OPEN_MS.saturating_mul(i64::from(self.opened)).min(OPEN_MAX_MS);
        let reason = if half_open {
            format!("{what} on probe")
        } else {
            format!("{} × {what} in a row", self.faults_in_a_row)
        };
        self.open(now, &reason, Some(now.plus_millis(pause_ms)));
        true
    }

    /// No traffic until `retry_at`, or until a person acts.
    pub fn open(&mut self, now: Timestamp, reason: &str, retry_at: Option<Timestamp>) {
        self.state = State::Open { reason: reason.to_owned(), since: now, retry_at };
    }

    /// One request may go now.
    pub fn half_open(&mut self, now: Timestamp, reason: &str) {
        self.state = State::HalfOpen { reason: reason.to_owned(), since: now, probing: false };
    }

    /// Traffic flows again, and the past is forgotten.
    pub fn close(&mut self) {
        *self = Self::default();
    }

    /// Whether traffic flows.
    pub fn state(&self) -> CircuitState {
        match self.state {
            State::Closed => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// The circuit as the wire shows it.
    pub fn view(&self) -> CircuitView {
        let (reason, since, retry_at) = match &self.state {
            State::Closed => (None, None, None),
            State::Open { reason, since, retry_at } => {
                (Some(reason.clone()), Some(*since), *retry_at)
            }
            State::HalfOpen { reason, since, .. } => (Some(reason.clone()), Some(*since), None),
        };
        CircuitView { state: self.state(), reason, since, retry_at, opened: self.opened }
    }
}

/// Faults of the provider in a row that open its circuit: fewer would open on a bad minute, more
/// would cost callers too many slow failures.
pub const FAULTS_TO_OPEN: u32 = 5;

/// How long a circuit stays open the first time, in milliseconds; longer each time it opens again.
pub const OPEN_MS: i64 = 30_000;

/// The longest that a circuit stays open without a person's word, in milliseconds.
pub const OPEN_MAX_MS: i64 = 10 * 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_micros(1_000_000_000);

    #[test]
    fn five_faults_open_one_success_closes() {
        let mut circuit = Circuit::default();
        for _ in 0..4 {
            assert!(!circuit.fail(T0, "503", true));
        }
        assert!(circuit.admits(T0) && circuit.fail(T0, "503", true));
        assert!(!circuit.admits(T0.plus_millis(29_999)));
        let later = T0.plus_millis(30_000);
        assert!(circuit.admits(later) && circuit.start(later));
        assert_eq!(circuit.state(), CircuitState::HalfOpen);
        assert!(!circuit.admits(later), "one probe at a time");
        assert!(circuit.succeed() && circuit.admits(later));
        assert_eq!(circuit.view(), CircuitView::default());
    }

    #[test]
    fn a_failed_probe_opens_for_longer() {
        let mut circuit = Circuit::default();
        for _ in 0..5 {
            circuit.fail(T0, "timeout", true);
        }
        let probe = T0.plus_millis(30_000);
        circuit.start(probe);
        assert!(circuit.fail(probe, "timeout", true));
        assert_eq!(circuit.view().retry_at, Some(probe.plus_millis(60_000)));
        assert_eq!(circuit.view().opened, 2);
    }

    #[test]
    fn a_success_in_between_starts_the_count_anew() {
        let mut circuit = Circuit::default();
        for _ in 0..20 {
            for _ in 0..4 {
                assert!(!circuit.fail(T0, "500", true));
            }
            circuit.succeed();
        }
        assert_eq!(circuit.state(), CircuitState::Closed);
    }

    #[test]
    fn the_last_provider_of_a_model_is_not_closed_to_traffic() {
        let mut circuit = Circuit::default();
        for _ in 0..50 {
            assert!(!circuit.fail(T0, "503", false));
        }
        assert!(circuit.admits(T0) && circuit.fail(T0, "503", true));
    }

    #[test]
    fn opened_by_a_person_it_waits_for_a_person() {
        let mut circuit = Circuit::default();
        circuit.open(T0, "maintenance", None);
        assert!(!circuit.admits(T0.plus_millis(i64::MAX / 2000)));
        circuit.half_open(T0, "try");
        assert!(circuit.admits(T0));
        circuit.start(T0);
        circuit.tell_nothing();
        assert!(circuit.admits(T0), "a probe that told nothing frees its place");
        circuit.close();
        assert!(circuit.admits(T0));
    }
}
