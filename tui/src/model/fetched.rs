//! What was asked of the backend because somebody looked: exact lines, plans, days.
//!
//! Bounded, newest first, and each with the state of its question, so that a pane can say that an
//! answer is under way, or why there is none. Refuses to know when to ask: that is
//! [`crate::update`].
//!
//! ```text
//! cursor rests ─▶ ask ─▶ Asked ─▶ Here(answer)
//!                          └────▶ Missing(why)        shown in the pane
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use tollgate_shared::api::{DailyReport, ExplainView};
use tollgate_shared::id::{RequestId, RunId};
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;

/// One question and what became of it.
#[derive(Clone, Debug)]
pub enum Answer<T> {
    /// It is under way.
    Asked,
    /// It was answered.
    Here(T),
    /// There is no answer, and why.
    Missing(String),
}

/// The exact line of a receipt, and the one before it in its run's chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Its own.
    pub own: Option<Arc<str>>,
    /// The one before.
    pub before: Option<Arc<str>>,
}

/// Everything that was asked for.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    lines: Kept<(RunId, u64), Lines>,
    plans: Kept<(RunId, RequestId), Arc<ExplainView>>,
    /// The days, as the ledger sums them; the last answer stays while a newer one is asked for.
    pub report: Option<Answer<Arc<DailyReport>>>,
    /// When they were asked for.
    pub report_at: Option<Timestamp>,
    /// When alerts that ended were asked for.
    pub ended_at: Option<Timestamp>,
    /// The row that the cursor was on at the last look: one that rests is asked about.
    pub resting: Option<u64>,
}

/// Answers by what was asked, newest first.
#[derive(Clone, Debug)]
struct Kept<K, T>(VecDeque<(K, Answer<T>)>);

impl<K, T> Default for Kept<K, T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K: PartialEq, T> Kept<K, T> {
    /// What became of a question; `None` while nobody has asked.
    fn of(&self, key: &K) -> Option<&Answer<T>> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, answer)| answer)
    }

    fn set(&mut self, key: K, answer: Answer<T>) {
        self.0.retain(|(known, _)| *known != key);
        self.0.push_front((key, answer));
        self.0.truncate(KEPT_MAX);
    }
}

impl Fetched {
    /// What is known of the lines at a place of a run's chain.
    pub fn lines(&self, run: &RunId, seq: u64) -> Option<&Lines> {
        match self.lines.of(&(run.clone(), seq)) {
            Some(Answer::Here(lines)) => Some(lines),
            _ => None,
        }
    }

    /// Whether they were asked for.
    pub fn asked_lines(&self, run: &RunId, seq: u64) -> bool {
        self.lines.of(&(run.clone(), seq)).is_some()
    }

    /// The question about them was sent, or failed.
    pub fn set_lines(&mut self, run: &RunId, seq: u64, answer: Answer<Lines>) {
        self.lines.set((run.clone(), seq), answer);
    }

    /// Lines came; each goes where its place says.
    pub fn keep_lines(&mut self, run: &RunId, seq: u64, lines: Vec<String>) {
        let mut found = Lines::default();
        for line in lines {
            let place = serde_json::from_str::<Receipt>(&line).map(|receipt| receipt.seq);
            match place {
                Ok(place) if place == seq => found.own = Some(line.into()),
                Ok(place) if place + 1 == seq => found.before = Some(line.into()),
                // Neither was asked for.
                _ => {}
            }
        }
        self.set_lines(run, seq, Answer::Here(found));
    }

    /// What became of the question why a request went where it went.
    pub fn plan(&self, run: &RunId, request: &RequestId) -> Option<&Answer<Arc<ExplainView>>> {
        self.plans.of(&(run.clone(), request.clone()))
    }

    /// That question was sent, answered or failed.
    pub fn set_plan(&mut self, run: &RunId, request: &RequestId, answer: Answer<Arc<ExplainView>>) {
        self.plans.set((run.clone(), request.clone()), answer);
    }

    /// The days, where they are here.
    pub fn days(&self) -> Option<&DailyReport> {
        match &self.report {
            Some(Answer::Here(report)) => Some(report),
            _ => None,
        }
    }
}

/// Answers kept of each kind: as many as a person goes through in one sitting.
const KEPT_MAX: usize = 100;
