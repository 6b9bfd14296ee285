//! What follows from the ledger: receipt files, windows, burn rates, the event stream.
//!
//! One thread takes what each group committed, in order, and brings every projection up to it.
//! Everything here can be thrown away and built again from the ledger; nothing here decides.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tollgate_shared::budget::{Crossing, Run};
use tollgate_shared::event::{AUDIT_KEPT, BudgetEvent, Refused, SECONDS_KEPT, Second};
use tollgate_shared::id::RunId;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;
use tollgate_shared::window::Sums;

use crate::clock;
use crate::hub::{Hub, RunUpdate};
use crate::ledger::Told;
use crate::receipts::ReceiptFiles;
use crate::store::{Reader, StoreError};

mod alarms;
mod doing;
mod report;
mod views;

use alarms::Alarms;
pub use report::{DAYS_MAX, Reports};
pub use views::Views;

/// The thread's state.
pub struct Projection {
    views: Views,
    hub: Hub,
    files: ReceiptFiles,
    second: Second,
    /// Receipts that are in their files and not on the stream yet.
    batch: Vec<(Receipt, Arc<str>)>,
    alarms: Alarms,
    dirty: BTreeMap<RunId, Box<Run>>,
    told_at: HashMap<RunId, Instant>,
    checkpoint_at: Instant,
    retry_at: Instant,
    /// Runs whose files end as they should and are yet to be compared whole.
    to_compare: Vec<RunId>,
}

impl Projection {
    /// Brings every projection up to the ledger as it is at start.
    pub fn start(
        views: Views,
        hub: Hub,
        mut files: ReceiptFiles,
        reader: &Reader,
        (runs, standing): (Vec<Run>, Vec<Crossing>),
    ) -> Result<Self, StoreError> {
        rebuild(&views, &hub, reader)?;
        for run in &runs {
            let complete = run.seq == 0 || files.ends_in(&run.id, &run.head);
            if !complete && let Err(error) = files.complete(&run.id) {
                tracing::error!(run.id = %run.id, %error, "receipts on disk are behind the ledger");
            }
        }
        let to_compare = runs.iter().filter(|run| run.seq > 0).map(|run| run.id.clone()).collect();
        let now = Instant::now();
        let mut projection = Self {
            views,
            alarms: Alarms::new(hub.clone()),
            hub,
            files,
            second: Second { at: clock::now().floor_to(1), ..Second::default() },
            batch: Vec::new(),
            dirty: runs.into_iter().map(|run| (run.id.clone(), Box::new(run))).collect(),
            told_at: HashMap::new(),
            checkpoint_at: now,
            retry_at: now,
            to_compare,
        };
        projection.alarms.begin(projection.dirty.values(), &standing);
        projection.flush(true);
        Ok(projection)
    }

    /// Works until the ledger is gone.
    pub fn run(mut self, told: &Receiver<Vec<Told>>) {
        loop {
            let deadline = Instant::now() + FLUSH_EVERY;
            let gone = self.gather(told, deadline);
            self.flush(gone);
            if gone {
                return;
            }
            self.pass_time();
        }
    }

    /// Takes groups until it is time to flush, and writes each to its files at once: who sees a
    /// receipt on a screen finds it in its file. Answers whether the ledger is gone.
    fn gather(&mut self, told: &Receiver<Vec<Told>>, deadline: Instant) -> bool {
        while self.batch.len() < BATCH_MAX {
            let first_new = self.batch.len();
            match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(group) => self.fold(group),
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => return true,
            }
            // Those that came meanwhile share the write.
            while self.batch.len() < BATCH_MAX
                && let Ok(group) = told.try_recv()
            {
                self.fold(group);
            }
            self.write_files(first_new);
        }
        false
    }

    fn write_files(&mut self, first_new: usize) {
        let mut by_run: BTreeMap<&RunId, Vec<Arc<str>>> = BTreeMap::new();
        for (receipt, line) in &self.batch[first_new..] {
            by_run.entry(&receipt.run_id).or_default().push(Arc::clone(line));
        }
        for (run_id, lines) in by_run {
            self.files.append(run_id, &lines);
        }
    }

    fn fold(&mut self, group: Vec<Told>) {
        for told in group {
            match told {
                Told::Receipt(receipt, line) => self.fold_receipt(*receipt, line),
                Told::Run(run) => {
                    self.alarms.run(&run);
                    self.dirty.insert(run.id.clone(), run);
                }
                Told::Refused(refused) => self.fold_refusal(refused),
                Told::Crossed(crossing, at) => self.alarms.crossed(&crossing, at),
                Told::Alarm(alert) => self.alarms.raise(alert),
                Told::Calm(id) => self.hub.resolve(id),
                Told::Changed(change) => self.hub.changed(change),
            }
        }
    }

    fn fold_receipt(&mut self, receipt: Receipt, line: Arc<str>) {
        {
            let mut figures = self.views.figures();
            figures.add(&receipt);
            figures.lifetime.add(&Sums::of(&receipt));
        }
        self.second.add(&receipt);
        self.batch.push((receipt, line));
    }

    fn fold_refusal(&mut self, refused: Refused) {
        let sums = Sums::of_refusal();
        {
            let mut figures = self.views.figures();
            figures.windows.add(refused.at, None, &sums);
            figures.lifetime.add(&sums);
        }
        self.second.all.add(&sums);
        self.second.by_run.entry(refused.run_id.clone()).or_default().add(&sums);
        self.hub.refused(refused);
    }

    /// Brings the stream up to date, in one step.
    fn flush(&mut self, everything: bool) {
        let batch = std::mem::take(&mut self.batch);
        let now = (clock::now(), Instant::now());
        let dirty = std::mem::take(&mut self.dirty);
        let mut updates = Vec::with_capacity(dirty.len());
        for (run_id, run) in dirty {
            let tell = everything
                || self.told_at.get(&run_id).is_none_or(|at| now.1 - *at >= BUDGET_EVERY);
            updates.push(self.update_of(&run, now.0, tell));
            if tell {
                self.told_at.insert(run_id, now.1);
            } else {
                self.dirty.insert(run_id, run);
            }
        }
        self.hub.commit(batch, updates);
    }

    fn update_of(&self, run: &Run, now: Timestamp, tell: bool) -> RunUpdate {
        let budget = BudgetEvent::from(&self.views.budget(run, now));
        RunUpdate { run: self.views.run(run, now), budget, tell }
    }

    fn pass_time(&mut self) {
        let (now, instant) = (clock::now(), Instant::now());
        if now.floor_to(1) != self.second.at {
            let fresh = Second { at: now.floor_to(1), ..Second::default() };
            self.hub.second(std::mem::replace(&mut self.second, fresh));
        }
        if instant >= self.checkpoint_at {
            self.checkpoint_at = instant + CHECKPOINT_EVERY;
            self.flush(true);
            self.hub.checkpoint();
        }
        if instant >= self.retry_at {
            self.retry_at = instant + Duration::from_secs(1);
            self.hub.wake_alerts(now);
            self.compare_some();
            let problems = self.files.catch_up();
            self.views.figures().problems = problems;
        }
    }

    /// Compares files of earlier starts with the ledger, byte for byte, a little every second: an
    /// edit in the middle of one shows nowhere else.
    fn compare_some(&mut self) {
        let mut bytes = 0;
        while bytes < COMPARE_BYTES
            && let Some(run_id) = self.to_compare.pop()
        {
            match self.files.complete(&run_id) {
                Ok(length) => bytes += length,
                Err(error) => {
                    tracing::error!(run.id = %run_id, %error, "receipts could not be compared");
                    return;
                }
            }
        }
    }
}

/// Windows, paces and the chart's seconds from the ledger's last seven days.
fn rebuild(views: &Views, hub: &Hub, reader: &Reader) -> Result<(), StoreError> {
    let now = clock::now();
    let chart = now.plus_millis(-1_000 * SECONDS_KEPT as i64);
    let (mut seconds, mut recent) = (Vec::<Second>::new(), Vec::new());
    let mut figures = views.figures();
    reader.since(now.plus_millis(-DAYS_KEPT * 86_400_000), |line| {
        // A line that cannot be read was never written by the ledger; `verify` reports it.
        let Ok(receipt) = serde_json::from_str::<Receipt>(line) else { return };
        figures.add(&receipt);
        if receipt.timestamp < chart {
            return;
        }
        let at = receipt.timestamp.floor_to(1);
        if seconds.last().is_none_or(|second| second.at != at) {
            seconds.push(Second { at, ..Second::default() });
        }
        if let Some(second) = seconds.last_mut() {
            second.add(&receipt);
        }
        recent.push(receipt);
    })?;
    let surplus = recent.len().saturating_sub(RECENT_KEPT);
    recent.drain(..surplus);
    let mut audit = reader.audit(i64::MAX.unsigned_abs(), AUDIT_KEPT as u64)?;
    audit.reverse();
    hub.restore(seconds, recent, audit);
    Ok(())
}

/// How long receipts gather into one frame: ten frames a second at most.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// Most receipts in one frame.
const BATCH_MAX: usize = 1_000;

/// Least time between two budget events of one run.
const BUDGET_EVERY: Duration = Duration::from_millis(500);

/// How often the stream carries what the ledger says it all adds up to.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// Bytes of receipt files compared each second after a start.
const COMPARE_BYTES: u64 = 8 * 1024 * 1024;

/// Days that windows look back.
const DAYS_KEPT: i64 = 7;

/// Receipts from before this start that a first screen shows.
const RECENT_KEPT: usize = 200;
