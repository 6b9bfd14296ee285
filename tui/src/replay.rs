//! Receipt files as a feed: the console without a backend, read-only.
//!
//! Hands over the same [`Delta`] as the socket does, so the console cannot tell. Folders are
//! watched, and lines that are added are folded in; a torn last line waits for its end. Refuses to
//! know screens, and to say `Σ✓`: nobody here could disagree with the files.
//!
//! ```text
//! without speed:  everything at once, as of the newest receipt, then what is added
//! 60x:            from the first receipt on, a minute of theirs in a second of ours
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tollgate_shared::event::{Hello, PROTO, RunEvent, Second};
use tollgate_shared::id::RunId;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;

use crate::feed::{Delta, LinkChange, clock};

mod books;
mod files;

use books::Books;
use files::Sources;

/// What is replayed, and how fast.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayOptions {
    /// Receipt files, and folders of them.
    pub paths: Vec<PathBuf>,
    /// How many times faster than it happened; none is at once.
    pub speed: Option<u32>,
}

/// Reads, tells, watches, until nobody listens. Files that are not there are told as a lost
/// connection, and looked for again.
pub async fn run(options: ReplayOptions, deltas: mpsc::Sender<Delta>) {
    let mut sources = Sources::new(options.paths.clone());
    let changed = Arc::new(AtomicBool::new(true));
    let _watcher = watcher(&options.paths, &changed);
    let mut first = Vec::new();
    while let Err(why) = sources.read(&mut first) {
        let retry_at = clock().plus_millis(RETRY_MS);
        let link = Some(LinkChange::Lost { attempt: 1, retry_at, why });
        let lost = Delta { at: clock(), link, ..Delta::default() };
        if deltas.send(lost).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(RETRY_MS.unsigned_abs())).await;
    }
    first.sort_by_key(|receipt: &Receipt| receipt.timestamp);
    let mut player = Player::new(first, options.speed);
    if deltas.send(player.begin()).await.is_err() {
        return;
    }
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beats = 0_u32;
    loop {
        beat.tick().await;
        beats = beats.wrapping_add(1);
        // Watching is a hint; a look now and then needs no watcher to be right.
        if changed.swap(false, Ordering::SeqCst) || beats.is_multiple_of(LOOK_BEATS) {
            let mut news = Vec::new();
            // A folder that is gone for a moment says nothing new.
            sources.read(&mut news).ok();
            player.add(news);
        }
        let delta = player.play();
        let is_heartbeat = beats.is_multiple_of(HEART_BEATS);
        if (!delta.is_quiet() || is_heartbeat) && deltas.send(delta).await.is_err() {
            return;
        }
    }
}

/// Sets the flag when something below the paths changes.
fn watcher(paths: &[PathBuf], changed: &Arc<AtomicBool>) -> Option<RecommendedWatcher> {
    let flag = changed.clone();
    let tell = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            flag.store(true, Ordering::SeqCst);
        }
    };
    let mut watcher = notify::recommended_watcher(tell).ok()?;
    for path in paths {
        // A file may be replaced by another of its name, which only its folder sees.
        let folder = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
        if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
            watcher.watch(folder, RecursiveMode::NonRecursive).ok();
        }
    }
    Some(watcher)
}

/// What is still to come, what was told, and how late it is.
struct Player {
    books: Books,
    to_come: VecDeque<Receipt>,
    seconds: BTreeMap<Timestamp, Second>,
    now: ReplayClock,
    at_once: bool,
}

/// The time of the receipts: from some moment on, so many times faster than ours.
struct ReplayClock {
    origin: Timestamp,
    since: Instant,
    speed: u32,
}

impl ReplayClock {
    fn now(&self) -> Timestamp {
        let ours = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.origin.plus_millis(ours.saturating_mul(i64::from(self.speed)))
    }
}

impl Player {
    /// Receipts in the order of their time.
    fn new(receipts: Vec<Receipt>, speed: Option<u32>) -> Self {
        let ends = (receipts.first(), receipts.last());
        let at = |receipt: Option<&Receipt>| receipt.map_or_else(clock, |one| one.timestamp);
        let origin = match speed {
            Some(_) => at(ends.0),
            // What has just happened is shown as of now, what is long past as of its end.
            None if clock().millis_since(at(ends.1)) < RECENT_MS => clock().max(at(ends.1)),
            None => at(ends.1).plus_millis(1_000),
        };
        let now = ReplayClock { origin, since: Instant::now(), speed: speed.unwrap_or(1) };
        let to_come = receipts.into();
        let (books, seconds) = (Books::default(), BTreeMap::new());
        Self { books, to_come, seconds, now, at_once: speed.is_none() }
    }

    /// The first delta: a connection, and everything that has happened by now.
    fn begin(&mut self) -> Delta {
        let now = self.now.now();
        while let Some(receipt) = self.next(now) {
            self.books.add(&receipt);
        }
        let hello = Hello {
            proto: PROTO,
            epoch: "replay".into(),
            seq: 0,
            now,
            catalogue: String::new(),
            read_only: true,
        };
        Delta {
            link: Some(LinkChange::Up { resumed: false }),
            hello: Some(hello),
            snapshot: Some(Box::new(self.books.snapshot(now))),
            ..self.delta(now)
        }
    }

    /// Lines that were added to the files.
    fn add(&mut self, mut receipts: Vec<Receipt>) {
        let Some(newest) = receipts.iter().map(|receipt| receipt.timestamp).max() else { return };
        if self.at_once && newest > self.now.now() {
            // It happens now, so it is now.
            self.now = ReplayClock { origin: newest, since: Instant::now(), speed: 1 };
        }
        receipts.extend(std::mem::take(&mut self.to_come));
        receipts.sort_by_key(|receipt| receipt.timestamp);
        self.to_come = receipts.into();
    }

    /// What has happened since the last one.
    fn play(&mut self) -> Delta {
        let now = self.now.now();
        let mut delta = self.delta(now);
        let mut touched: Vec<RunId> = Vec::new();
        while delta.receipts.len() < BATCH_MAX
            && let Some(receipt) = self.next(now)
        {
            if self.books.add(&receipt) {
                let second = self.seconds.entry(receipt.timestamp.floor_to(1)).or_default();
                second.at = receipt.timestamp.floor_to(1);
                second.add(&receipt);
                touched.push(receipt.run_id.clone());
                delta.receipts.push(receipt);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for run in touched {
            if let Some((view, budget)) = self.books.run(&run, now) {
                delta.runs.insert(run.clone(), RunEvent { seq: 0, run: view });
                delta.budgets.insert(run, budget);
            }
        }
        let running = self.seconds.split_off(&now.floor_to(1));
        delta.seconds = std::mem::replace(&mut self.seconds, running).into_values().collect();
        delta
    }

    /// The next receipt that has happened by now.
    fn next(&mut self, now: Timestamp) -> Option<Receipt> {
        let is_past = self.to_come.front().is_some_and(|receipt| receipt.timestamp <= now);
        if is_past { self.to_come.pop_front() } else { None }
    }

    /// A delta that says only how late it is.
    fn delta(&self, now: Timestamp) -> Delta {
        let ours = clock();
        Delta { at: ours, last_frame: Some(ours), clocks: Some((now, ours)), ..Delta::default() }
    }
}

/// How often a delta is handed over.
const BEAT: Duration = Duration::from_millis(100);

/// Beats between two looks at the files without a hint: two seconds.
const LOOK_BEATS: u32 = 20;

/// Beats between two deltas when nothing happens: a second.
const HEART_BEATS: u32 = 10;

/// How long until missing files are looked for again, in milliseconds.
const RETRY_MS: i64 = 2_000;

/// What is younger than that is shown as of now: the longest live chart.
const RECENT_MS: i64 = 960_000;

/// Most receipts in one delta; the rest comes with the next, as from a busy backend.
const BATCH_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::message::Message;
    use crate::model::{Model, Settings};
    use crate::update::update;

    fn receipt(run: &str, seq: u64, at: &str) -> Receipt {
        let mut receipt = fixture::receipts().remove(0);
        receipt.run_id = run.parse().unwrap();
        (receipt.seq, receipt.timestamp) = (seq, at.parse().unwrap());
        receipt.cost_usd = "0.25".parse().unwrap();
        receipt
    }

    fn model(delta: Delta) -> Model {
        let mut model = Model::new(Settings::default(), (120, 40), delta.at);
        update(&mut model, Message::Delta(Box::new(delta)));
        model
    }

    #[test]
    fn a_day_long_past_is_shown_as_of_its_end() {
        let receipts =
            vec![receipt("a", 1, "2025-01-01T10:00:00Z"), receipt("b", 1, "2025-01-01T10:00:30Z")];
        let mut player = Player::new(receipts, None);
        let mut model = model(player.begin());
        assert!(model.live.ready && model.server_read_only);
        assert_eq!(model.live.audit.total(), "0.5".parse().unwrap());
        assert_eq!(model.live.now.clock(), "10:00:31");
        assert_eq!(model.live.history.minute_sums().cost_usd, "0.5".parse().unwrap());
        // What is added later moves the time on.
        player.add(vec![receipt("a", 2, "2025-01-01T11:00:00Z")]);
        update(&mut model, Message::Delta(Box::new(player.play())));
        assert_eq!(model.live.audit.total(), "0.75".parse().unwrap());
        assert_eq!(model.live.runs["a"].view.as_ref().unwrap().requests, 2);
        assert!(model.live.now.clock().starts_with("11:00:0"));
    }

    #[test]
    fn at_a_speed_it_begins_with_nothing_and_happens_again() {
        let receipts = vec![
            receipt("a", 1, "2025-01-01T10:00:00Z"),
            receipt("a", 2, "2025-01-01T10:00:01Z"),
            receipt("a", 3, "2025-01-01T12:00:00Z"),
        ];
        let mut player = Player::new(receipts, Some(60));
        player.now.since = Instant::now();
        let mut model = model(player.begin());
        // The first is there from the beginning; the second a sixtieth of a second later.
        player.now.since -= Duration::from_secs(1);
        update(&mut model, Message::Delta(Box::new(player.play())));
        assert_eq!(model.live.tail.seen(), 2);
        assert_eq!(model.live.audit.total(), "0.5".parse().unwrap());
    }
}
