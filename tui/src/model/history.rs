//! What left, second by second and in spans of fifteen seconds, by whatever one may ask for.
//!
//! Sums are exact: every total on the screen is a sum of these. Refuses to know who draws them.
//! The one idea: both rings are filled by the same seconds, so they cannot disagree.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tollgate_shared::event::Second;
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;
use tollgate_shared::window::Sums;

/// What spending is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Group {
    /// Runs.
    #[default]
    Run,
    /// Agents.
    Agent,
    /// Providers.
    Provider,
    /// Models.
    Model,
}

impl Group {
    /// The next one, for the key that changes it.
    pub const fn next(self) -> Self {
        match self {
            Self::Run => Self::Agent,
            Self::Agent => Self::Provider,
            Self::Provider => Self::Model,
            Self::Model => Self::Run,
        }
    }

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Agent => "agent",
            Self::Provider => "provider",
            Self::Model => "model",
        }
    }

    /// Its place in the array of groups.
    const fn index(self) -> usize {
        match self {
            Self::Run => 0,
            Self::Agent => 1,
            Self::Provider => 2,
            Self::Model => 3,
        }
    }
}

/// Sums by name.
pub type ByName = BTreeMap<Arc<str>, Sums>;

/// What happened within one span of time.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// Its start.
    pub start: Timestamp,
    /// Everything.
    pub all: Sums,
    groups: [ByName; 4],
}

impl Span {
    /// The same by name.
    pub fn by(&self, group: Group) -> &ByName {
        &self.groups[group.index()]
    }

    fn add(&mut self, second: &Second) {
        self.all.add(&second.all);
        add_names(&mut self.groups[0], &second.by_run);
        add_names(&mut self.groups[1], &second.by_agent);
        add_names(&mut self.groups[2], &second.by_provider);
        add_names(&mut self.groups[3], &second.by_model);
    }
}

/// The recent past.
#[derive(Clone, Debug, Default)]
pub struct History {
    seconds: VecDeque<Span>,
    spans: VecDeque<Span>,
    known_from: Option<Timestamp>,
    known_until: Timestamp,
}

impl History {
    /// Begins anew with what a snapshot holds; everything before is known to be in it.
    pub fn reset(&mut self, seconds: &[Second], now: Timestamp) {
        let from = now.plus_millis(-1_000 * SNAPSHOT_S).floor_to(SPAN_S);
        // Spans that the snapshot does not reach stay; the console may be older than the news.
        self.spans.retain(|span| span.start < from);
        self.seconds.clear();
        self.known_from = Some(self.known_from.map_or(from, |known| known.min(from)));
        for second in seconds {
            self.add(second);
        }
        self.known_to(now);
    }

    /// Folds one second in.
    pub fn add(&mut self, second: &Second) {
        add_to(&mut self.seconds, (1, SECONDS_MAX), second);
        add_to(&mut self.spans, (SPAN_S, SPANS_MAX), second);
        self.known_to(second.at.plus_millis(1_000));
    }

    /// Nothing else happened before `until`.
    pub fn known_to(&mut self, until: Timestamp) {
        self.known_until = self.known_until.max(until);
    }

    /// Whether the console knows what happened in the span that starts here.
    pub fn knows(&self, start: Timestamp, seconds: i64) -> bool {
        self.known_from.is_some_and(|from| from < start.plus_millis(seconds * 1_000))
            && start < self.known_until
    }

    /// How many seconds of the past are known, at most `most`.
    pub fn known_s(&self, most: u64) -> u64 {
        let Some(from) = self.known_from else { return 0 };
        let first = self.spans.front().map_or(self.known_until, |span| span.start.max(from));
        crate::format::seconds_since(self.known_until, first).min(most)
    }

    /// The end of what is known.
    pub fn until(&self) -> Timestamp {
        self.known_until
    }

    /// The first moment from which every span is known.
    pub fn first(&self) -> Option<Timestamp> {
        let from = self.known_from?;
        let kept = self.spans.front().map_or(from, |span| span.start);
        let first = if self.spans.len() >= SPANS_MAX { kept.max(from) } else { from };
        (first < self.known_until).then(|| first.plus_millis(1_000 * SPAN_S).floor_to(SPAN_S))
    }

    /// Spans that begin at a moment or after it.
    pub fn from(&self, at: Timestamp) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |span| span.start >= at)
    }

    /// The past as it was known at a moment on the border of two spans.
    #[must_use]
    pub fn as_of(&self, at: Timestamp) -> Self {
        let until = |ring: &VecDeque<Span>| {
            ring.iter().filter(|span| span.start < at).cloned().collect::<VecDeque<_>>()
        };
        Self {
            seconds: until(&self.seconds),
            spans: until(&self.spans),
            known_from: self.known_from,
            known_until: self.known_until.min(at),
        }
    }

    /// The last sixty seconds that are known.
    pub fn minute(&self) -> impl DoubleEndedIterator<Item = &Span> {
        let from = self.known_until.plus_millis(-60_000);
        self.seconds.iter().filter(move |second| second.start >= from)
    }

    /// Spans of fifteen seconds that are not older than `back_s` seconds.
    pub fn spans(&self, back_s: i64) -> impl DoubleEndedIterator<Item = &Span> {
        let from = self.known_until.plus_millis(-1_000 * back_s);
        self.spans.iter().filter(move |span| span.start >= from)
    }

    /// What the last minute adds up to.
    pub fn minute_sums(&self) -> Sums {
        total(self.minute())
    }

    /// What the last fifteen minutes add up to.
    pub fn quarter_sums(&self) -> Sums {
        total(self.spans(QUARTER_S))
    }

    /// Mean burn of the fifteen minutes before the last one, and over how many seconds.
    pub fn mean_before(&self) -> (Usd, u64) {
        let end = self.known_until.plus_millis(-60_000);
        let from = end.plus_millis(-1_000 * QUARTER_S);
        let cost: Usd = self
            .spans
            .iter()
            .filter(|span| span.start >= from && span.start < end)
            .map(|span| span.all.cost_usd)
            .sum();
        let seconds = self.known_s(60 + QUARTER_S.unsigned_abs()).saturating_sub(60);
        (crate::format::per_minute(cost, seconds), seconds)
    }

    /// Sums by name over some spans.
    pub fn grouped<'a>(
        spans: impl Iterator<Item = &'a Span>,
        group: Group,
    ) -> BTreeMap<&'a str, Sums> {
        let mut sums = BTreeMap::<&str, Sums>::new();
        for span in spans {
            for (name, more) in span.by(group) {
                sums.entry(name).or_default().add(more);
            }
        }
        sums
    }
}

/// What some spans add up to.
fn total<'a>(spans: impl Iterator<Item = &'a Span>) -> Sums {
    spans.fold(Sums::default(), |mut sums, span| {
        sums.add(&span.all);
        sums
    })
}

/// Adds a second to the span it lies in, wherever that is: late seconds find their place.
fn add_to(ring: &mut VecDeque<Span>, (span_s, most): (i64, usize), second: &Second) {
    let start = second.at.floor_to(span_s);
    let place = ring.iter().rposition(|span| span.start <= start);
    match place {
        Some(index) if ring[index].start == start => ring[index].add(second),
        _ => {
            let mut span = Span { start, ..Span::default() };
            span.add(second);
            ring.insert(place.map_or(0, |index| index + 1), span);
        }
    }
    while ring.len() > most {
        ring.pop_front();
    }
}

/// Adds sums by name, with a bound on how many names there can be.
fn add_names<K: AsRef<str>>(sums: &mut ByName, more: &BTreeMap<K, Sums>) {
    for (name, more) in more {
        // Looked up before copying the name: the usual case is that it is there.
        if let Some(known) = sums.get_mut(name.as_ref()) {
            known.add(more);
        } else if sums.len() < NAMES_MAX {
            sums.insert(name.as_ref().into(), *more);
        } else {
            sums.entry(OTHER.into()).or_default().add(more);
        }
    }
}

/// Seconds of one span of the chart.
pub const SPAN_S: i64 = 15;

/// Seconds of the window that shares and means look at.
pub const QUARTER_S: i64 = 900;

/// Seconds that a snapshot covers.
const SNAPSHOT_S: i64 = 960;

/// Seconds kept one by one: the last minute, and as much again for late ones.
const SECONDS_MAX: usize = 120;

/// Spans kept: an hour, which is more than the widest terminal shows.
const SPANS_MAX: usize = 240;

/// Most names in one span; the rest is summed under [`OTHER`]. A swarm of a million agents must
/// not fill the memory of the person who watches it.
const NAMES_MAX: usize = 500;

/// The name of what is not told apart.
pub const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at: i64, run: &str, cost: &str) -> Second {
        let sums = Sums { cost_usd: cost.parse().unwrap(), requests: 1, ..Sums::default() };
        Second {
            at: Timestamp::from_micros(at * 1_000_000),
            all: sums,
            by_run: [(run.parse().unwrap(), sums)].into(),
            ..Second::default()
        }
    }

    #[test]
    fn both_rings_tell_the_same() {
        let mut history = History::default();
        history.reset(&[second(1_000, "a", "0.1"), second(1_030, "b", "0.2")], at(1_031));
        history.add(&second(1_031, "a", "0.3"));
        assert_eq!(history.minute_sums().cost_usd, "0.6".parse().unwrap());
        assert_eq!(history.quarter_sums(), history.minute_sums());
        let by_run = History::grouped(history.minute(), Group::Run);
        assert_eq!(by_run["a"].cost_usd, "0.4".parse().unwrap());
        history.known_to(at(1_080));
        assert_eq!(history.minute_sums().cost_usd, "0.5".parse().unwrap(), "the first has left");
    }

    #[test]
    fn what_was_not_heard_is_not_zero() {
        let mut history = History::default();
        assert!(!history.knows(at(1_000), 15));
        history.reset(&[], at(2_000));
        assert!(history.knows(at(1_995), 15));
        assert!(!history.knows(at(2_010), 15), "the future");
        assert!(!history.knows(at(900), 15), "before the snapshot");
    }

    #[test]
    fn names_are_bounded_and_sums_stay_whole() {
        let mut history = History::default();
        for run in 0..NAMES_MAX + 10 {
            history.add(&second(1_000, &format!("r{run}"), "0.001"));
        }
        let span = history.minute().next().unwrap();
        assert_eq!(span.by(Group::Run).len(), NAMES_MAX + 1);
        let sum: Usd = span.by(Group::Run).values().map(|sums| sums.cost_usd).sum();
        assert_eq!(sum, span.all.cost_usd);
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }
}
