//! Fans events out, in order, to any number of consoles.
//!
//! Frames are numbered and kept in one bounded ring; every client reads the ring at its own pace.
//! A client that falls off its end is told that it lagged and gets a fresh snapshot: a slow
//! console costs nobody anything but itself. Refuses to know websockets.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tollgate_shared::api::{AuditEntry, RunView, StreamStats};
use tollgate_shared::event::{
    AuditEvent, BudgetEvent, CircuitEvent, Event, Hello, Lagged, PROTO, ProviderEvent, Refused,
    RunEvent, SECONDS_KEPT, Second, Tick,
};
use tollgate_shared::provider::{ProviderStatus, ProviderView};
use tollgate_shared::receipt::Receipt;

use crate::clock;

mod alarms;
mod state;

use state::State;

/// The hub; cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    epoch: String,
    state: Mutex<State>,
    newest: watch::Sender<u64>,
    subscribers: AtomicUsize,
    lagged: AtomicU64,
}

/// One frame as it goes out, and the events it covers.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its first event.
    pub from: u64,
    /// Its last event.
    pub to: u64,
    /// How many receipts are in it.
    pub receipts: u64,
    /// Its text.
    pub text: Arc<str>,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The newest event it has.
    pub seq: u64,
    /// How many receipts there were up to there.
    pub receipts: u64,
}

/// A run as it is now, and whether the stream is told or only the next snapshot.
#[derive(Debug)]
pub struct RunUpdate {
    /// The run.
    pub run: RunView,
    /// Its money.
    pub budget: BudgetEvent,
    /// Whether an event goes out.
    pub tell: bool,
}

/// What a client gets next.
#[derive(Debug)]
pub enum Next {
    /// The frames after its place.
    Frames(Vec<Frame>),
    /// It is too late for those: what it missed, and everything as it is now.
    Lagged {
        /// What it missed.
        notice: Lagged,
        /// The snapshot.
        snapshot: String,
        /// Its place now.
        place: Place,
    },
}

impl Hub {
    /// An empty hub for this start of this node.
    pub fn new() -> Self {
        let (newest, _) = watch::channel(0);
        let inner = Inner {
            epoch: clock::epoch(),
            state: Mutex::default(),
            newest,
            subscribers: AtomicUsize::new(0),
            lagged: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Counts on from the receipts that the ledger holds already.
    pub fn begin_at(&self, receipts: u64) {
        self.state().receipts = receipts;
    }

    /// What one or more groups committed, at once: receipts as one frame, then the runs they
    /// changed. Under one lock, so that no snapshot ever shows one without the other.
    pub fn commit(&self, batch: Vec<(Receipt, Arc<str>)>, runs: Vec<RunUpdate>) {
        let mut state = self.state();
        let state = &mut *state;
        self.push_receipts(state, batch);
        for RunUpdate { run, budget, tell } in runs {
            let known = state.runs.insert(run.run_id.clone(), run.clone());
            state.budgets.insert(run.run_id.clone(), budget.clone());
            let same = |known: RunView| known.state == run.state && known.level == run.level;
            if !known.is_some_and(same) {
                self.push_one(state, |seq| Event::Run(RunEvent { seq, run }));
            }
            if tell {
                self.push_one(state, |seq| Event::Budget(BudgetEvent { seq, ..budget }));
            }
        }
    }

    fn push_receipts(&self, state: &mut State, batch: Vec<(Receipt, Arc<str>)>) {
        let count = batch.len() as u64;
        if count == 0 {
            return;
        }
        let from = state.seq + 1;
        state.seq += count;
        state.receipts += count;
        let mut lines = Vec::with_capacity(batch.len());
        for (receipt, line) in batch {
            lines.push(line);
            if state.recent.len() >= RECENT_MAX {
                state.recent.pop_front();
            }
            state.recent.push_back(receipt);
        }
        // The lines as they are: they were JSON when they were sealed.
        let (to, items) = (state.seq, lines.join(","));
        let text =
            format!("{{\"type\":\"receipts\",\"from\":{from},\"to\":{to},\"items\":[{items}]}}");
        self.push_text(state, from, count, text);
    }

    /// Seconds, receipts and changes from before this start, so that a screen does not begin empty.
    pub fn restore(&self, seconds: Vec<Second>, recent: Vec<Receipt>, audit: Vec<AuditEntry>) {
        let mut state = self.state();
        state.audit = audit.into();
        state.seconds = seconds.into();
        state.recent = recent.into();
    }

    /// A second that has ended; one without traffic is told, not kept.
    pub fn second(&self, second: Second) {
        let mut state = self.state();
        state.seq += 1;
        let seq = state.seq;
        let Second { at, all, by_provider, by_run, by_agent, by_model } = second.clone();
        if !all.is_empty() {
            state.seconds.push_back(second);
        }
        let oldest = at.plus_millis(-1_000 * SECONDS_KEPT as i64);
        while state.seconds.front().is_some_and(|second| second.at <= oldest) {
            state.seconds.pop_front();
        }
        let tick = Tick { seq, at, all, by_provider, by_run, by_agent, by_model };
        self.push(&mut state, seq, 0, &Event::Tick(tick));
    }

    /// A request that got no money.
    pub fn refused(&self, refused: Refused) {
        self.one(|_, seq| Event::Refusal(Refused { seq, ..refused }));
    }

    /// A provider as it is now.
    pub fn provider(&self, provider: ProviderView) {
        self.one(|state, seq| {
            match provider.status {
                ProviderStatus::Active => {
                    state.providers.insert(provider.name.clone(), provider.clone())
                }
                ProviderStatus::Inactive => state.providers.remove(&provider.name),
            };
            Event::Provider(Box::new(ProviderEvent { seq, provider }))
        });
    }

    /// A circuit as it is now.
    pub fn circuit(&self, circuit: CircuitEvent) {
        self.one(|state, seq| {
            if let Some(provider) = state.providers.get_mut(&circuit.provider) {
                provider.circuit = circuit.view();
            }
            Event::Circuit(CircuitEvent { seq, ..circuit })
        });
    }

    /// An operator changed something.
    pub fn changed(&self, change: AuditEntry) {
        self.one(|state, seq| {
            state.remember(change.clone());
            Event::Audit(AuditEvent { seq, change })
        });
    }

    /// What the ledger says it all adds up to.
    pub fn checkpoint(&self) {
        self.one(|state, seq| Event::Checkpoint(state.checkpoint(seq)));
    }

    /// The first frame of a connection.
    pub fn hello(&self, read_only: bool) -> String {
        let hello = Hello {
            proto: PROTO,
            epoch: self.inner.epoch.clone(),
            seq: self.state().seq,
            now: clock::now(),
            catalogue: "none".into(),
            read_only,
        };
        text_of(&Event::Hello(hello))
    }

    /// Everything as it is now, and the place it stands for.
    pub fn snapshot(&self) -> (Place, String) {
        let state = self.state();
        let (place, snapshot) = (state.place(), state.snapshot());
        drop(state);
        (place, text_of(&Event::Snapshot(Box::new(snapshot))))
    }

    /// The place of a client that says where it was, where that is still known.
    pub fn resume(&self, epoch: Option<&str>, after: u64) -> Option<Place> {
        let state = self.state();
        let same = epoch.is_none_or(|epoch| epoch == self.inner.epoch);
        if !same || !(state.oldest()..=state.seq).contains(&after) {
            return None;
        }
        let later: u64 = state
            .frames
            .iter()
            .filter(|frame| frame.from > after)
            .map(|frame| frame.receipts)
            .sum();
        Some(Place { seq: after, receipts: state.receipts - later })
    }

    /// What a client at this place gets next, at most [`READ_MAX`] frames at once.
    pub fn next(&self, place: Place) -> Next {
        let state = self.state();
        if place.seq < state.oldest() {
            self.inner.lagged.fetch_add(1, Ordering::Relaxed);
            let (now, snapshot) = (state.place(), state.snapshot());
            drop(state);
            let receipts = now.receipts.saturating_sub(place.receipts);
            let notice = Lagged { from: place.seq + 1, to: now.seq, receipts };
            let snapshot = text_of(&Event::Snapshot(Box::new(snapshot)));
            return Next::Lagged { notice, snapshot, place: now };
        }
        let start = state.frames.partition_point(|frame| frame.to <= place.seq);
        Next::Frames(state.frames.range(start..).take(READ_MAX).cloned().collect())
    }

    /// Wakes when there is something new.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.newest.subscribe()
    }

    /// Counts a client in, until the guard is dropped.
    pub fn subscribe(&self) -> Subscriber {
        self.inner.subscribers.fetch_add(1, Ordering::Relaxed);
        Subscriber(Arc::clone(&self.inner))
    }

    /// Figures about the stream itself.
    pub fn stats(&self) -> StreamStats {
        let state = self.state();
        StreamStats {
            buffered: state.frames.len(),
            capacity: FRAMES_MAX,
            subscribers: self.inner.subscribers.load(Ordering::Relaxed),
            last_seq: state.seq,
            epoch: self.inner.epoch.clone(),
            lagged_total: self.inner.lagged.load(Ordering::Relaxed),
        }
    }

    fn one(&self, event: impl FnOnce(&mut State, u64) -> Event) {
        let mut state = self.state();
        let seq = state.seq + 1;
        let event = event(&mut state, seq);
        self.push_one(&mut state, |_| event);
    }

    fn push_one(&self, state: &mut State, event: impl FnOnce(u64) -> Event) {
        state.seq += 1;
        let seq = state.seq;
        self.push(state, seq, 0, &event(seq));
    }

    fn push(&self, state: &mut State, from: u64, receipts: u64, event: &Event) {
        self.push_text(state, from, receipts, text_of(event));
    }

    fn push_text(&self, state: &mut State, from: u64, receipts: u64, text: String) {
        let text: Arc<str> = text.into();
        state.bytes += text.len();
        let to = state.seq;
        state.frames.push_back(Frame { from, to, receipts, text });
        while state.frames.len() > FRAMES_MAX || state.bytes > BYTES_MAX {
            let Some(old) = state.frames.pop_front() else { break };
            state.bytes -= old.text.len();
        }
        self.inner.newest.send_replace(to);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

/// A client that is counted.
#[derive(Debug)]
pub struct Subscriber(Arc<Inner>);

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Every event is made of plain values, so it always has a text.
pub fn text_of(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_else(|error| {
        tracing::error!(%error, "an event has no text");
        String::from("{\"type\":\"error\"}")
    })
}

/// Frames kept for clients that come back; at ten a second and more, several minutes.
const FRAMES_MAX: usize = 8_192;

/// Bytes of frames kept, whatever their number.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Frames handed to one client at once.
const READ_MAX: usize = 256;

/// Receipts in a snapshot: what a tall screen shows.
const RECENT_MAX: usize = 200;
