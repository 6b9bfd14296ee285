//! How one provider is doing: circuit, latencies, traffic. Memory only, neutral at start, but for a
//! circuit that a person keeps open: that word stands until a person takes it back.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_shared::circuit::{Circuit, CircuitState, CircuitView};
use tollgate_shared::provider::{LastError, Limits, Quality};
use tollgate_shared::select::LimitKind;
use tollgate_shared::time::Timestamp;
use tollgate_shared::window::Histogram;

use crate::clock;
use crate::registry::{Entry, Force, Registry};

/// The changing side of a provider.
#[derive(Debug, Default)]
pub struct Live {
    state: Mutex<State>,
    in_flight: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    circuit: Circuit,
    opened_itself: bool,
    slots: VecDeque<Slot>,
    figures: Figures,
    told: Option<Figures>,
    last_error: Option<LastError>,
}

/// Ten seconds of traffic.
#[derive(Debug, Default)]
struct Slot {
    start: Timestamp,
    latency: Histogram,
    ttft: Histogram,
    started: u32,
    answered: u32,
    failed: u32,
    /// Of those that failed: for their number.
    throttled: u32,
    tokens: u64,
}

/// Figures over five minutes, worked out at most once a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Figures {
    at: Timestamp,
    /// Half of the answers came within this.
    pub p50_ms: Option<u32>,
    /// 95 of 100 answers came within this.
    pub p95_ms: Option<u32>,
    ttft_p95_ms: Option<u32>,
    /// Share of attempts that were answered, in parts per million.
    pub success_ppm: Option<u32>,
    attempts: u64,
    throttled_ppm: Option<u32>,
    tokens_per_min: u64,
}

impl Live {
    /// The circuit as the wire shows it.
    pub fn circuit(&self) -> CircuitView {
        self.state().circuit.view()
    }

    /// The circuit's state, and whether it lets a request through now.
    pub fn admits(&self, now: Timestamp) -> (CircuitState, bool) {
        let state = self.state();
        (state.circuit.state(), state.circuit.admits(now))
    }

    /// The limit that is reached now, if any.
    pub fn full(&self, limits: &Limits, now: Timestamp) -> Option<LimitKind> {
        if limits.concurrency.is_some_and(|most| self.in_flight.load(Ordering::Relaxed) >= most) {
            return Some(LimitKind::Concurrency);
        }
        if limits.requests_per_min.is_none() && limits.tokens_per_min.is_none() {
            return None;
        }
        let state = self.state();
        let (mut requests, mut tokens) = (0, 0);
        for slot in state.slots.iter().filter(|slot| now.millis_since(slot.start) < 60_000) {
            requests += slot.started;
            tokens += slot.tokens;
        }
        if limits.requests_per_min.is_some_and(|most| requests >= most) {
            return Some(LimitKind::RequestsPerMin);
        }
        limits.tokens_per_min.is_some_and(|most| tokens >= most).then_some(LimitKind::TokensPerMin)
    }

    /// Figures over the last five minutes.
    pub fn figures(&self, now: Timestamp) -> Figures {
        let mut state = self.state();
        if now.millis_since(state.figures.at) >= 1_000 {
            state.figures = work_out(&state.slots, now);
        }
        state.figures
    }

    /// The same as the wire shows them.
    pub fn quality(&self, now: Timestamp) -> Quality {
        let figures = self.figures(now);
        Quality {
            p50_ms: figures.p50_ms,
            p95_ms: figures.p95_ms,
            ttft_p95_ms: figures.ttft_p95_ms,
            success_rate: figures.success_ppm.map(share),
            availability: None,
            attempts: figures.attempts,
            throttled_rate: figures.throttled_ppm.map(share),
            tokens_per_min: figures.tokens_per_min,
        }
    }

    /// Its latest failure.
    pub fn last_error(&self) -> Option<LastError> {
        self.state().last_error.clone()
    }

    /// Whether the figures differ from those that were last told.
    pub fn is_news(&self, now: Timestamp) -> bool {
        let figures = Figures { at: Timestamp::default(), ..self.figures(now) };
        let mut state = self.state();
        let known = state.told.replace(figures);
        known.unwrap_or_default() != figures
    }

    /// Lets a request go. `None`: the circuit does not; else whether this changed its state.
    pub fn start(&self, now: Timestamp) -> Option<bool> {
        let mut state = self.state();
        if !state.circuit.admits(now) {
            return None;
        }
        let changed = state.circuit.start(now);
        state.slot(now).started += 1;
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(changed)
    }

    /// Sets the circuit by a person's word.
    pub fn force(&self, force: &Force, now: Timestamp) {
        let mut state = self.state();
        state.opened_itself = false;
        match force.state {
            CircuitState::Closed => state.circuit.close(),
            CircuitState::Open => state.circuit.open(now, &force.reason, force.retry_at),
            CircuitState::HalfOpen => state.circuit.half_open(now, &force.reason),
        }
    }

    /// It is open until a person closes it, as a person said at that time.
    pub fn hold_open(&self, reason: &str, since: Timestamp) {
        self.state().circuit.open(since, reason, None);
    }

    /// Why and since when it is open until a person closes it; `None` where it is not.
    pub fn held_open(&self) -> Option<(String, Timestamp)> {
        self.state().held_open()
    }

    /// Whether the circuit is closed to traffic by its own arithmetic.
    pub fn opened_itself(&self) -> bool {
        let state = self.state();
        state.opened_itself && state.circuit.state() != CircuitState::Closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An open circuit without a time to try it again is one that a person keeps open.
    fn held_open(&self) -> Option<(String, Timestamp)> {
        let circuit = self.circuit.view();
        let is_held = circuit.state == CircuitState::Open && circuit.retry_at.is_none();
        circuit.reason.zip(circuit.since).filter(|_| is_held)
    }

    fn slot(&mut self, now: Timestamp) -> &mut Slot {
        let start = now.floor_to(SLOT_S);
        if self.slots.back().is_none_or(|slot| slot.start < start) {
            if self.slots.len() >= SLOTS {
                self.slots.pop_front();
            }
            self.slots.push_back(Slot { start, ..Slot::default() });
        }
        // Not empty: a slot was pushed where none was as new as now.
        let newest = self.slots.len() - 1;
        &mut self.slots[newest]
    }
}

fn work_out(slots: &VecDeque<Slot>, now: Timestamp) -> Figures {
    let (mut latency, mut ttft) = (Histogram::default(), Histogram::default());
    let (mut answered, mut failed, mut throttled, mut tokens) = (0_u64, 0_u64, 0_u64, 0_u64);
    let kept = SLOT_S * 1_000 * SLOTS as i64;
    for slot in slots.iter().filter(|slot| now.millis_since(slot.start) < kept) {
        latency.merge(&slot.latency);
        ttft.merge(&slot.ttft);
        answered += u64::from(slot.answered);
        failed += u64::from(slot.failed);
        throttled += u64::from(slot.throttled);
        tokens = tokens.saturating_add(slot.tokens);
    }
    let attempts = answered + failed;
    let enough = latency.count() >= MEASURED_MIN;
    let of_attempts = |part: u64| {
        let ppm = (part * 1_000_000).checked_div(attempts);
        ppm.and_then(|ppm| u32::try_from(ppm).ok())
    };
    Figures {
        at: now,
        p50_ms: latency.quantile_ms(50).filter(|_| enough),
        p95_ms: latency.quantile_ms(95).filter(|_| enough),
        ttft_p95_ms: ttft.quantile_ms(95),
        success_ppm: of_attempts(answered),
        attempts,
        throttled_ppm: of_attempts(throttled),
        // The slots cover five minutes, also where the first of them were silent.
        tokens_per_min: tokens / 5,
    }
}

/// One request on its way through a provider; counted in flight until it is dropped.
#[derive(Debug)]
pub struct Passage {
    registry: Arc<Registry>,
    entry: Arc<Entry>,
    told: bool,
}

impl Passage {
    pub(super) fn new(registry: Arc<Registry>, entry: Arc<Entry>) -> Self {
        Self { registry, entry, told: false }
    }

    /// It was answered.
    pub fn answered(mut self, latency_ms: u64, ttft_ms: Option<u64>, tokens: u64) {
        self.told = true;
        let changed = {
            let mut state = self.entry.live.state();
            let slot = state.slot(clock::now());
            slot.answered += 1;
            slot.tokens = slot.tokens.saturating_add(tokens);
            slot.latency.record(latency_ms);
            if let Some(ttft_ms) = ttft_ms {
                slot.ttft.record(ttft_ms);
            }
            // Whoever was on the way when a person opened it says nothing about their reason.
            let is_free = state.held_open().is_none();
            if is_free {
                state.opened_itself = false;
            }
            is_free && state.circuit.succeed()
        };
        if changed {
            self.registry.tell_circuit(&self.entry);
        }
    }

    /// It failed, by the provider's fault.
    pub fn failed(mut self, what: &str) {
        self.told = true;
        let (now, may_open) = (clock::now(), self.registry.may_open(&self.entry));
        let changed = {
            let mut state = self.entry.live.state();
            state.slot(now).failed += 1;
            state.last_error = Some(LastError { at: now, what: what.to_owned() });
            let changed = state.circuit.fail(now, what, may_open);
            state.opened_itself |= changed;
            changed
        };
        if changed {
            self.registry.tell_circuit(&self.entry);
        }
    }

    /// It failed, and the provider's circuit is not to feel it; its success rate is.
    pub fn turned_away(mut self, what: &str) {
        self.told = true;
        let now = clock::now();
        let mut state = self.entry.live.state();
        let slot = state.slot(now);
        slot.failed += 1;
        slot.throttled += 1;
        state.last_error = Some(LastError { at: now, what: what.to_owned() });
        state.circuit.tell_nothing();
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.entry.live.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !self.told {
            self.entry.live.state().circuit.tell_nothing();
        }
    }
}

/// Parts per million as a share, for the wire.
#[expect(clippy::float_arithmetic, reason = "a measured share for display; no money")]
fn share(ppm: u32) -> f64 {
    f64::from(ppm) / 1e6
}

/// Length of a slot, in seconds.
const SLOT_S: i64 = 10;

/// Slots kept: five minutes.
const SLOTS: usize = 30;

/// Answers before a percentile says anything.
const MEASURED_MIN: u64 = 5;
