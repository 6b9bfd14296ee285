//! Rolling figures that the doors read: windows, and what every run has been doing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_shared::api::{BudgetView, MetricsBucket, MetricsView, RunView};
use tollgate_shared::budget::Run;
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;
use tollgate_shared::window::{Sums, WindowKind, Windows};

use super::doing::Doing;

/// Rolling figures that the APIs read; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Views {
    inner: Arc<Mutex<Figures>>,
}

#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) windows: Windows,
    doings: HashMap<RunId, Doing>,
    pub(super) lifetime: Sums,
    pub(super) problems: Vec<String>,
}

impl Figures {
    /// Notes a receipt, whenever it was written.
    pub(super) fn add(&mut self, receipt: &Receipt) {
        self.windows.add(receipt.timestamp, Some(&receipt.provider), &Sums::of(receipt));
        match self.doings.get_mut(&receipt.run_id) {
            Some(doing) => doing.add(receipt),
            None => {
                let doing = self.doings.entry(receipt.run_id.clone()).or_default();
                doing.add(receipt);
            }
        }
    }
}

impl Views {
    /// The answer of `GET /metrics?window=`.
    pub fn metrics(&self, kind: WindowKind, now: Timestamp) -> MetricsView {
        let figures = self.figures();
        let ring = figures.windows.ring(kind);
        let total = ring.total(now);
        let known: HashMap<Timestamp, Sums> =
            ring.since(now).map(|(start, bucket)| (start, bucket.all)).collect();
        let buckets = ring.starts(now).map(|start| {
            let sums = known.get(&start).copied().unwrap_or_default();
            MetricsBucket {
                start,
                cost_usd: sums.cost_usd,
                requests: sums.requests,
                input_tokens: sums.input_tokens,
                output_tokens: sums.output_tokens,
            }
        });
        let all = &total.all;
        let each = i128::from(all.requests.max(1));
        MetricsView {
            window: kind,
            total_cost_usd: all.cost_usd,
            total_requests: all.requests,
            total_attempts: all.attempts,
            total_refused: all.refused,
            total_input_tokens: all.input_tokens,
            total_output_tokens: all.output_tokens,
            total_tokens: all.total_tokens(),
            cost_per_request_usd: Usd::from_picos(all.cost_usd.picos() / each),
            requests_per_provider: total
                .by_provider
                .iter()
                .map(|(name, sums)| (name.clone(), sums.requests))
                .collect(),
            cost_per_provider_usd: total
                .by_provider
                .iter()
                .map(|(name, sums)| (name.clone(), sums.cost_usd))
                .collect(),
            buckets: buckets.collect(),
        }
    }

    /// A run's budget with its burn and runway.
    pub fn budget(&self, run: &Run, now: Timestamp) -> BudgetView {
        let left = run.account.available_at_best();
        let figures = self.figures();
        let pace = figures.doings.get(&run.id).map(|doing| doing.pace(left, now));
        BudgetView::of(run, pace.unwrap_or_default())
    }

    /// A run with what it has been doing.
    pub fn run(&self, run: &Run, now: Timestamp) -> RunView {
        let figures = self.figures();
        let work = figures.doings.get(&run.id).map(|doing| doing.work(now));
        RunView::of(run, work.unwrap_or_default())
    }

    /// Sums since this start, for counters.
    pub fn lifetime(&self) -> Sums {
        self.figures().lifetime
    }

    /// What stands in the way of the receipt files.
    pub fn problems(&self) -> Vec<String> {
        self.figures().problems.clone()
    }

    pub(super) fn figures(&self) -> MutexGuard<'_, Figures> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
