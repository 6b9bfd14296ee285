//! The latest plans, for those who ask why.
//!
//! A receipt says in a sentence why its provider was chosen; the whole plan is too large to be kept
//! with it for ever. So the latest are kept in memory, as they were made: nothing is copied for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_shared::api::{PlanView, PlannedCandidate, RejectedProvider};
use tollgate_shared::id::{RequestId, RunId};
use tollgate_shared::select::Objective;
use tollgate_shared::time::Timestamp;
use tollgate_shared::usage::Usage;

use crate::registry::Choice;

/// The latest plans; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    made: VecDeque<Made>,
    providers: usize,
}

/// A plan, and the request that it was made for.
#[derive(Debug)]
pub(super) struct Made {
    pub request_id: RequestId,
    pub run_id: RunId,
    pub at: Timestamp,
    pub objective: Objective,
    pub expected: Usage,
    pub choice: Arc<Choice>,
}

impl Plans {
    /// Keeps a plan, and forgets the oldest where there are too many.
    pub(super) fn keep(&self, made: Made) {
        let mut kept = self.kept();
        kept.providers += made.choice.entries.len();
        kept.made.push_back(made);
        while kept.made.len() > PLANS_MAX || kept.providers > PROVIDERS_MAX {
            let Some(old) = kept.made.pop_front() else { break };
            kept.providers -= old.choice.entries.len();
        }
    }

    /// The latest plan of a request in a run.
    pub fn of(&self, run_id: &RunId, request_id: &RequestId) -> Option<PlanView> {
        let kept = self.kept();
        let mut latest = kept.made.iter().rev();
        latest.find(|made| made.request_id == *request_id && made.run_id == *run_id).map(view)
    }

    /// The runs in which a request of this name was planned lately.
    pub fn runs_of(&self, request_id: &RequestId) -> Vec<RunId> {
        let kept = self.kept();
        let of = kept.made.iter().filter(|made| made.request_id == *request_id);
        of.map(|made| made.run_id.clone()).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn view(made: &Made) -> PlanView {
    let Choice { entries, plan } = &*made.choice;
    // The indices of a plan are places among its own entries.
    let candidates = plan.candidates.iter().filter_map(|candidate| {
        let entry = entries.get(candidate.index)?;
        Some(PlannedCandidate {
            provider: entry.registration.name.clone(),
            score: candidate.score,
            cost_usd: candidate.cost,
            latency_ms: candidate.latency_ms,
            price_id: entry.card.0.clone(),
        })
    });
    let rejected = plan.rejected.iter().filter_map(|(index, reason)| {
        Some(RejectedProvider {
            name: entries.get(*index)?.registration.name.clone(),
            reason: reason.reason().to_owned(),
            detail: reason.to_string(),
        })
    });
    PlanView {
        at: made.at,
        objective: made.objective,
        expected_input_tokens: made.expected.input_tokens(),
        expected_output_tokens: made.expected.output_tokens(),
        candidates: candidates.collect(),
        rejected: rejected.collect(),
    }
}

/// Plans that are kept: the last minutes of a busy swarm, the last day of a quiet one.
pub const PLANS_MAX: usize = 10_000;

/// Providers in all of them together: bounds the memory where many serve one model.
const PROVIDERS_MAX: usize = 200_000;
