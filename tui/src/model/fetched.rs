//! What was asked of the backend because somebody looked: exact lines, plans, days.
//!
//! Bounded, newest first, and each with the state of its question, so that a pane can say that an
//! answer is under way, or why there is none. Refuses to know when to ask: that is
//! [`crate::update`].
//!
//! ```text
//! cursor rests ─▶ ask ─▶ Asked ─▶ Here(answer)
//!                          └────▶ Missing(why)        shown in the pane, asked again later
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use tollgate_shared::id::RunId;
use tollgate_shared::receipt::Receipt;

/// One question and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    lines: VecDeque<((RunId, u64), Answer<Lines>)>,
    /// The row that the cursor was on a second ago: one that rests is asked about.
    pub resting: Option<u64>,
}

impl Fetched {
    /// What is known of the lines at a place of a run's chain.
    pub fn lines(&self, run: &RunId, seq: u64) -> Option<&Lines> {
        match self.lines_asked(run, seq) {
            Some(Answer::Here(lines)) => Some(lines),
            _ => None,
        }
    }

    /// The state of the question about them; `None` while nobody has asked.
    pub fn lines_asked(&self, run: &RunId, seq: u64) -> Option<&Answer<Lines>> {
        let found = self.lines.iter().find(|((known, place), _)| *place == seq && known == run);
        found.map(|(_, answer)| answer)
    }

    /// The question was sent, or it was answered.
    pub fn set_lines(&mut self, run: &RunId, seq: u64, answer: Answer<Lines>) {
        let key = (run.clone(), seq);
        self.lines.retain(|(known, _)| *known != key);
        self.lines.push_front((key, answer));
        self.lines.truncate(KEPT_MAX);
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
}

/// Answers kept of each kind: as many as a person goes through in one sitting.
const KEPT_MAX: usize = 100;
