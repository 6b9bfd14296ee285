//! The newest receipts and refusals, as rows.
//!
//! Bounded; what falls off is counted. Names are shared between rows, so fifty thousand of them
//! stay small. Refuses to know sums: the numbers of the screen come from ticks, which miss nothing.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tollgate_shared::event::Refused;
use tollgate_shared::id::{AgentName, ModelName, PriceId, ProviderName, RequestId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::price::Cost;
use tollgate_shared::receipt::{Receipt, Status};
use tollgate_shared::select::Objective;
use tollgate_shared::time::Timestamp;
use tollgate_shared::usage::Usage;

/// One row of the tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its identity within this console.
    pub serial: u64,
    /// When it was settled or refused.
    pub at: Timestamp,
    /// The run that pays.
    pub run: RunId,
    /// Who asked.
    pub agent: AgentName,
    /// The request it belongs to.
    pub request: RequestId,
    /// What became of it.
    pub what: What,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An attempt was sent, and has a receipt.
    Sent(Box<Sent>),
    /// Nothing was sent.
    Refused {
        /// The stable code of the refusal.
        code: Arc<str>,
        /// What would have been held.
        hold_usd: Usd,
    },
}

/// What the receipt of an attempt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where it was sent.
    pub provider: ProviderName,
    /// The model that was asked for.
    pub model: ModelName,
    /// The provider that failed before.
    pub fallback_from: Option<ProviderName>,
    /// Tokens by class.
    pub usage: Usage,
    /// What the run is charged.
    pub cost_usd: Usd,
    /// The same by class.
    pub cost: Cost,
    /// From the first byte sent to the last received.
    pub latency_ms: u64,
    /// What became of it.
    pub status: Status,
    /// Whether it took longer than its provider promises.
    pub slow: bool,
    /// Which try of the request.
    pub attempt: u32,
    /// Its place in the run's chain.
    pub seq: u64,
    /// The price card it was held and priced with.
    pub price_id: PriceId,
    /// What was held for it.
    pub held_usd: Usd,
    /// What may still be billed.
    pub uncertain_usd: Usd,
    /// What was asked for.
    pub objective: Objective,
    /// Why this provider.
    pub why: Arc<str>,
    /// What the cheapest candidate was expected to cost.
    pub cheapest_usd: Usd,
    /// What went wrong.
    pub error: Option<Arc<str>>,
}

impl Row {
    /// The receipt, where there is one.
    pub fn sent(&self) -> Option<&Sent> {
        match &self.what {
            What::Sent(sent) => Some(sent),
            What::Refused { .. } => None,
        }
    }

    /// The word of its status, as filters and screens know it.
    pub fn status(&self) -> &'static str {
        let Some(sent) = self.sent() else { return "refused" };
        match sent.status {
            Status::Success | Status::Fallback if sent.slow => "slow",
            Status::Success | Status::Fallback => "ok",
            Status::Error => "error",
            Status::Voided => "voided",
            Status::CutOff => "cut off",
            Status::Unknown => "unknown",
            Status::Correction => "correction",
        }
    }
}

/// The rows, newest last.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    rows: VecDeque<Arc<Row>>,
    /// The newest receipts whole, each with the serial of its row.
    whole: VecDeque<(u64, Arc<Receipt>)>,
    next: u64,
    dropped: u64,
    names: Names,
}

/// Every name that rows share.
#[derive(Clone, Debug, Default)]
struct Names {
    runs: BTreeSet<RunId>,
    agents: BTreeSet<AgentName>,
    providers: BTreeSet<ProviderName>,
    models: BTreeSet<ModelName>,
    cards: BTreeSet<PriceId>,
    texts: BTreeSet<Arc<str>>,
}

impl Tail {
    /// Adds a receipt; `slow` is judged against its provider's promise.
    pub fn push(&mut self, receipt: &Receipt, slow: bool) {
        let names = &mut self.names;
        let sent = Sent {
            provider: shared(&mut names.providers, &receipt.provider),
            model: shared(&mut names.models, &receipt.model),
            fallback_from: receipt
                .fallback_from
                .as_ref()
                .map(|name| shared(&mut names.providers, name)),
            usage: receipt.usage,
            cost_usd: receipt.cost_usd,
            cost: receipt.cost,
            latency_ms: receipt.latency_ms,
            status: receipt.status,
            slow,
            attempt: receipt.attempt,
            seq: receipt.seq,
            price_id: shared(&mut names.cards, &receipt.price_id),
            held_usd: receipt.held_usd,
            uncertain_usd: receipt.uncertain_usd,
            objective: receipt.decision.objective,
            why: shared_text(&mut names.texts, &receipt.decision.why),
            cheapest_usd: receipt.decision.cheapest_usd,
            error: receipt.error.as_ref().map(|text| shared_text(&mut names.texts, text)),
        };
        let row = Row {
            serial: self.next,
            at: receipt.timestamp,
            run: shared(&mut names.runs, &receipt.run_id),
            agent: shared(&mut names.agents, &receipt.agent),
            request: receipt.request_id.clone(),
            what: What::Sent(Box::new(sent)),
        };
        self.whole.push_back((row.serial, Arc::new(receipt.clone())));
        if self.whole.len() > WHOLE_MAX {
            self.whole.pop_front();
        }
        self.append(row);
    }

    /// Adds a refusal.
    pub fn push_refusal(&mut self, refused: &Refused) {
        let names = &mut self.names;
        let code = shared_text(&mut names.texts, &refused.code);
        let row = Row {
            serial: self.next,
            at: refused.at,
            run: shared(&mut names.runs, &refused.run_id),
            agent: shared(&mut names.agents, &refused.agent),
            request: refused.request_id.clone(),
            what: What::Refused { code, hold_usd: refused.hold_usd },
        };
        self.append(row);
    }

    /// The rows that had come by a moment, under the serials they have.
    #[must_use]
    pub fn as_of(&self, at: Timestamp) -> Self {
        let rows: VecDeque<_> = self.rows.iter().take_while(|row| row.at <= at).cloned().collect();
        let next = rows.back().map_or(0, |row| row.serial + 1);
        let whole = self.whole.iter().take_while(|(serial, _)| *serial < next).cloned().collect();
        Self { rows, whole, next, dropped: self.dropped, names: Names::default() }
    }

    /// Rows, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Arc<Row>> {
        self.rows.iter().rev()
    }

    /// The row of this identity, while it is kept.
    pub fn row(&self, serial: u64) -> Option<&Arc<Row>> {
        let first = self.rows.front()?.serial;
        self.rows.get(usize::try_from(serial.checked_sub(first)?).ok()?)
    }

    /// The receipt behind a row with every field it has, while it is kept whole.
    pub fn whole(&self, serial: u64) -> Option<&Arc<Receipt>> {
        let place = self.whole.binary_search_by_key(&serial, |(known, _)| *known).ok()?;
        self.whole.get(place).map(|(_, receipt)| receipt)
    }

    /// The receipt at a place of a run's chain, while it is kept whole.
    pub fn whole_at(&self, run: &RunId, seq: u64) -> Option<&Arc<Receipt>> {
        let mut newest = self.whole.iter().rev().map(|(_, receipt)| receipt);
        newest.find(|receipt| receipt.seq == seq && receipt.run_id == *run)
    }

    /// The rows whose serial is at most `reach` away, oldest first: what happened around a row.
    pub fn around(&self, serial: u64, reach: u64) -> impl Iterator<Item = &Arc<Row>> {
        let first = self.rows.front().map_or(0, |row| row.serial);
        let place = |serial: u64| usize::try_from(serial.saturating_sub(first)).unwrap_or(0);
        let from = place(serial.saturating_sub(reach));
        let count = place(serial.saturating_add(reach)).saturating_sub(from) + 1;
        self.rows.iter().skip(from).take(count)
    }

    /// How many rows are kept.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing came yet.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many rows came since the console started, kept or not.
    pub fn seen(&self) -> u64 {
        self.next
    }

    /// How many rows fell off.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The receipt of this run with the highest place in its chain.
    pub fn last_seq(&self, run: &RunId) -> Option<u64> {
        self.newest_first().filter(|row| row.run == *run).find_map(|row| Some(row.sent()?.seq))
    }

    /// Adds at the end; the oldest falls off and is counted.
    fn append(&mut self, row: Row) {
        self.next += 1;
        self.rows.push_back(Arc::new(row));
        if self.rows.len() > ROWS_MAX {
            self.rows.pop_front();
            self.dropped += 1;
        }
    }
}

/// The name as an earlier row holds it, so that its text is in memory once.
fn shared<K: Ord + Clone>(known: &mut BTreeSet<K>, name: &K) -> K {
    if let Some(known) = known.get(name) {
        return known.clone();
    }
    // Rows keep their own names; forgetting costs memory, not truth.
    if known.len() >= NAMES_MAX {
        known.clear();
    }
    known.insert(name.clone());
    name.clone()
}

/// The same for plain texts, found without making one first.
fn shared_text(known: &mut BTreeSet<Arc<str>>, text: &str) -> Arc<str> {
    match known.get(text) {
        Some(known) => known.clone(),
        None => shared(known, &Arc::from(text)),
    }
}

/// Most rows kept. Older ones are read from the backend when somebody looks.
pub const ROWS_MAX: usize = 50_000;

/// Receipts kept whole, for proofs without a question: a kilobyte each, and what a person looks at
/// is nearly always among the newest. Others are read from the backend.
const WHOLE_MAX: usize = 1_000;

/// Most names remembered for sharing.
const NAMES_MAX: usize = 10_000;
