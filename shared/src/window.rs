//! Rolling sums, and latency histograms that merge.
//!
//! The backend and the console fold receipts with this same code, so their totals agree to the
//! last digit. Refuses to know a clock: entries carry their time, and so does every question.

use std::collections::{BTreeMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::ProviderName;
use crate::money::Usd;
use crate::receipt::{Receipt, Status};
use crate::time::Timestamp;

/// Sums over attempts and requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sums {
    /// What receipts add up to.
    pub cost_usd: Usd,
    /// All input.
    pub input_tokens: u64,
    /// All output.
    pub output_tokens: u64,
    /// Input that came from prompt caches.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    /// Requests that reached a provider.
    pub requests: u64,
    /// Requests that got a complete answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub answered: u64,
    /// Attempts that did not.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Requests refused before anything was sent.
    #[serde(skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// Attempts.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempts: u64,
}

impl Sums {
    /// The sums of one receipt. A correction moves money and nothing else: its attempt and its
    /// tokens are counted already.
    pub fn of(receipt: &Receipt) -> Self {
        if receipt.status == Status::Correction {
            return Self { cost_usd: receipt.cost_usd, ..Self::default() };
        }
        let answered = receipt.status.is_answer();
        Self {
            cost_usd: receipt.cost_usd,
            input_tokens: receipt.input_tokens,
            output_tokens: receipt.output_tokens,
            cache_read_tokens: receipt.usage.cache_read,
            requests: u64::from(receipt.attempt == 1),
            answered: u64::from(answered),
            failed: u64::from(!answered),
            refused: 0,
            attempts: 1,
        }
    }

    /// The sums of one refusal.
    pub fn of_refusal() -> Self {
        Self { refused: 1, ..Self::default() }
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.cost_usd += other.cost_usd;
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.requests += other.requests;
        self.answered += other.answered;
        self.failed += other.failed;
        self.refused += other.refused;
        self.attempts += other.attempts;
    }

    /// Input and output.
    pub fn total_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One span of a window.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Bucket {
    /// Everything.
    pub all: Sums,
    /// The same by provider.
    pub by_provider: BTreeMap<ProviderName, Sums>,
}

impl Bucket {
    fn add(&mut self, provider: Option<&ProviderName>, sums: &Sums) {
        self.all.add(sums);
        if let Some(provider) = provider {
            // Looked up before cloning the name: the usual case is that it is there.
            match self.by_provider.get_mut(provider) {
                Some(known) => known.add(sums),
                None => {
                    self.by_provider.insert(provider.clone(), *sums);
                }
            }
        }
    }
}

/// Equal spans of time, the newest last; old ones fall off.
#[derive(Clone, Debug)]
pub struct Ring {
    span_s: i64,
    length: usize,
    buckets: VecDeque<(Timestamp, Bucket)>,
}

impl Ring {
    /// `length` spans of `span_s` seconds.
    pub fn new(span_s: i64, length: usize) -> Self {
        Self { span_s, length, buckets: VecDeque::new() }
    }

    /// Adds sums to the span that `at` lies in. A time before the newest span is put where it
    /// belongs, and dropped when that has fallen off: a backward clock mints no new spans.
    pub fn add(&mut self, at: Timestamp, provider: Option<&ProviderName>, sums: &Sums) {
        let start = at.floor_to(self.span_s);
        let place = self.buckets.iter().rposition(|(bucket, _)| *bucket <= start);
        match place {
            Some(index) if self.buckets[index].0 == start => {
                self.buckets[index].1.add(provider, sums);
            }
            _ => {
                let mut bucket = Bucket::default();
                bucket.add(provider, sums);
                self.buckets.insert(place.map_or(0, |index| index + 1), (start, bucket));
            }
        }
        self.expire(at);
    }

    /// The spans that are not older than the window at `now`; spans without traffic are absent.
    pub fn since(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, &Bucket)> {
        let oldest = self.oldest(now);
        self.buckets
            .iter()
            .filter(move |(start, _)| *start >= oldest)
            .map(|(start, bucket)| (*start, bucket))
    }

    /// The sums of the window at `now`.
    pub fn total(&self, now: Timestamp) -> Bucket {
        let mut total = Bucket::default();
        for (_, bucket) in self.since(now) {
            total.all.add(&bucket.all);
            for (provider, sums) in &bucket.by_provider {
                total.by_provider.entry(provider.clone()).or_default().add(sums);
            }
        }
        total
    }

    /// The start of every span of the window at `now`, oldest first.
    pub fn starts(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> + use<> {
        let (oldest, span_ms) = (self.oldest(now), self.span_s * 1000);
        (0..self.length)
            .map(move |index| oldest.plus_millis(span_ms * i64::try_from(index).unwrap_or(0)))
    }

    fn oldest(&self, now: Timestamp) -> Timestamp {
        let back = i64::try_from(self.length).unwrap_or(1) - 1;
        now.floor_to(self.span_s).plus_millis(-back * self.span_s * 1000)
    }

    fn expire(&mut self, now: Timestamp) {
        let oldest = self.oldest(now);
        while self.buckets.front().is_some_and(|(start, _)| *start < oldest) {
            self.buckets.pop_front();
        }
    }
}

/// Which rolling window is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// The last 60 minutes, by minute.
    Minute,
    /// The last 24 hours, by hour.
    Hour,
    /// The last 7 days, by day (UTC).
    Day,
}

/// The three windows together.
#[derive(Clone, Debug)]
pub struct Windows {
    minutes: Ring,
    hours: Ring,
    days: Ring,
}

impl Default for Windows {
    fn default() -> Self {
        Self { minutes: Ring::new(60, 60), hours: Ring::new(3_600, 24), days: Ring::new(86_400, 7) }
    }
}

impl Windows {
    /// Adds sums to all three.
    pub fn add(&mut self, at: Timestamp, provider: Option<&ProviderName>, sums: &Sums) {
        self.minutes.add(at, provider, sums);
        self.hours.add(at, provider, sums);
        self.days.add(at, provider, sums);
    }

    /// One of them.
    pub fn ring(&self, kind: WindowKind) -> &Ring {
        match kind {
            WindowKind::Minute => &self.minutes,
            WindowKind::Hour => &self.hours,
            WindowKind::Day => &self.days,
        }
    }
}

/// Latencies in buckets that grow by a quarter: any quantile within 25 %, any two can be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS] }
    }
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, ms: u64) {
        let index = BOUNDS_MS.partition_point(|bound| u64::from(*bound) < ms).min(BUCKETS - 1);
        self.counts[index] = self.counts[index].saturating_add(1);
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// The upper bound of the bucket in which the given share of latencies ends; `None` of none.
    pub fn quantile_ms(&self, percent: u64) -> Option<u32> {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        self.counts.iter().zip(BOUNDS_MS).find_map(|(count, bound)| {
            seen += u64::from(*count);
            (seen >= rank).then_some(bound)
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

const BUCKETS: usize = 62;

/// Upper bounds in milliseconds: 1, 2, 3 …, each about a quarter more than the one before, to
/// over ten minutes, the longest that an upstream call may take.
const BOUNDS_MS: [u32; BUCKETS] = {
    let mut bounds = [1; BUCKETS];
    let mut index = 1;
    while index < BUCKETS {
        let step = bounds[index - 1] / 4;
        bounds[index] = bounds[index - 1] + if step == 0 { 1 } else { step };
        index += 1;
    }
    bounds
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sums(picos: i128) -> Sums {
        Sums { cost_usd: Usd::from_picos(picos), requests: 1, ..Sums::default() }
    }

    #[test]
    fn a_ring_forgets_what_is_older_than_its_window() {
        let mut ring = Ring::new(60, 3);
        let minute = |number: i64| Timestamp::from_micros(number * 60_000_000);
        for number in 0..5 {
            ring.add(minute(number), None, &sums(1 << number));
        }
        assert_eq!(ring.total(minute(4)).all.cost_usd.picos(), 4 + 8 + 16);
        assert_eq!(ring.total(minute(6)).all.cost_usd.picos(), 16);
        assert_eq!(ring.total(minute(9)).all.cost_usd, Usd::ZERO);
        ring.add(minute(3), None, &sums(1));
        assert_eq!(
            ring.total(minute(4)).all.cost_usd.picos(),
            4 + 9 + 16,
            "late, but in its place"
        );
        ring.add(minute(0), None, &sums(1));
        assert_eq!(ring.starts(minute(4)).collect::<Vec<_>>(), [minute(2), minute(3), minute(4)]);
    }

    #[test]
    fn quantiles_are_within_a_quarter() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_ms(50), None);
        (1..=1000).for_each(|ms| histogram.record(ms));
        let p50 = histogram.quantile_ms(50).unwrap();
        let p95 = histogram.quantile_ms(95).unwrap();
        assert!((500..=625).contains(&p50) && (950..=1188).contains(&p95), "{p50} {p95}");
        histogram.record(u64::MAX);
        assert!(histogram.quantile_ms(100).unwrap() > 600_000);
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_total(entries in prop::collection::vec((0_i64..3_000, 0_usize..4, 0_i128..1_000_000), 0..80)) {
            let mut ring = Ring::new(60, 60);
            let now = Timestamp::from_micros(3_000_000_000);
            let mut expected = Usd::ZERO;
            for (second, provider, picos) in entries {
                let provider: ProviderName = format!("p{provider}").parse().unwrap();
                ring.add(Timestamp::from_micros(second * 1_000_000), Some(&provider), &sums(picos));
                expected += Usd::from_picos(picos);
            }
            let total = ring.total(now);
            prop_assert_eq!(total.all.cost_usd, expected);
            prop_assert_eq!(total.by_provider.values().map(|sums| sums.cost_usd).sum::<Usd>(), expected);
        }
    }
}
