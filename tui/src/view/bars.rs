//! What a chart's columns hold: money a minute, by series, and whether it is known at all.
//!
//! Refuses to know cells and colours. A column without news is unknown, never zero.
//!
//! The newest column is still going on; it is scaled by the seconds that have passed in it, so that
//! a chart does not end in a collapse every fifteen seconds.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

use crate::format;
use crate::model::{ChartWindow, Group, History, Model, SPAN_S, Span};
use crate::theme::SERIES;

/// One column.
#[derive(Clone, Debug, Default)]
pub(super) struct Bar {
    /// Money a minute by series, in the order of their rank; empty when unknown.
    pub parts: Vec<Usd>,
    /// Whether the console knows what happened then.
    pub known: bool,
}

/// A chart's columns and series.
#[derive(Clone, Debug, Default)]
pub(super) struct Bars {
    /// Oldest first.
    pub bars: Vec<Bar>,
    /// Names of the series, largest first.
    pub series: Vec<String>,
    /// Seconds of one column.
    pub span_s: i64,
}

impl Bars {
    /// The largest column.
    pub fn most(&self) -> Usd {
        self.bars.iter().map(|bar| bar.parts.iter().copied().sum::<Usd>()).max().unwrap_or_default()
    }
}

/// What the chart is stacked by, given what WHO is grouped by: the two complement each other.
pub(super) const fn stacked_by(group: Group) -> Group {
    match group {
        Group::Run | Group::Model => Group::Provider,
        Group::Agent | Group::Provider => Group::Run,
    }
}

/// At most `most` columns of the window that the model shows.
pub(super) fn of(model: &Model, most: usize) -> Bars {
    match model.window {
        ChartWindow::Minute => recent(model, 1, most.min(60)),
        ChartWindow::Quarter => recent(model, SPAN_S, most),
        ChartWindow::Hour | ChartWindow::Day | ChartWindow::Week => long(model, most),
    }
}

/// Totals of the last spans, for a sparkline: money a minute, `None` when unknown.
pub(super) fn totals(model: &Model, most: usize) -> Vec<Option<Usd>> {
    let history = &model.day().history;
    let spans: BTreeMap<Timestamp, &Span> =
        history.spans(SPAN_S * 240).map(|span| (span.start, span)).collect();
    starts(edge(model), SPAN_S, most)
        .map(|start| {
            let cost = spans.get(&start).map_or(Usd::ZERO, |span| span.all.cost_usd);
            let seconds = elapsed(history, start, SPAN_S);
            history.knows(start, SPAN_S).then(|| format::per_minute(cost, seconds))
        })
        .collect()
}

/// Columns from what was heard, stacked by the largest series of the whole picture: ranking
/// each column by itself would make colours jump.
fn recent(model: &Model, span_s: i64, most: usize) -> Bars {
    let history = &model.day().history;
    let group = stacked_by(model.group);
    let spans: BTreeMap<Timestamp, &Span> = if span_s == 1 {
        history.minute().map(|span| (span.start, span)).collect()
    } else {
        history.spans(SPAN_S * 240).map(|span| (span.start, span)).collect()
    };
    let starts: Vec<_> = starts(edge(model), span_s, most).collect();
    let shown = starts.iter().filter_map(|start| spans.get(start).copied());
    let sums = History::grouped(shown, group);
    let mut names: Vec<_> = sums.into_iter().map(|(name, sums)| (sums.cost_usd, name)).collect();
    names.sort_by_key(|(cost, name)| (Reverse(*cost), *name));
    let mut series: Vec<String> =
        names.iter().take(SERIES - 1).map(|(_, name)| (*name).to_owned()).collect();
    let others = names.len() > series.len();
    let bar = |start: &Timestamp| {
        let seconds = elapsed(history, *start, span_s);
        let mut parts = vec![Usd::ZERO; series.len() + usize::from(others)];
        if let Some(span) = spans.get(start) {
            for (name, sums) in span.by(group) {
                let place = series.iter().position(|known| **known == **name);
                if let Some(part) = parts.get_mut(place.unwrap_or(series.len())) {
                    *part += format::per_minute(sums.cost_usd, seconds);
                }
            }
        }
        Bar { parts, known: history.knows(*start, span_s) }
    };
    let bars = starts.iter().map(bar).collect();
    if others {
        series.push("other".into());
    }
    Bars { bars, series, span_s }
}

/// Longer windows come from the backend as totals, span by span.
fn long(model: &Model, most: usize) -> Bars {
    let span_s = match model.window {
        ChartWindow::Hour => 60,
        ChartWindow::Day => 3_600,
        _ => 86_400,
    };
    let Some(metrics) = &model.metrics else {
        return Bars { span_s, ..Bars::default() };
    };
    let skip = metrics.buckets.len().saturating_sub(most);
    let minutes = u64::try_from(span_s).unwrap_or(60);
    let bars = metrics.buckets.iter().skip(skip).map(|bucket| Bar {
        parts: vec![format::per_minute(bucket.cost_usd, minutes)],
        known: true,
    });
    Bars { bars: bars.collect(), series: vec!["all".into()], span_s }
}

/// Where a chart ends: with what is known while it is fresh, else with the present, so that the
/// gap is seen to grow.
fn edge(model: &Model) -> Timestamp {
    let day = model.day();
    if model.freshness().is_old() { day.now } else { day.history.until() }
}

/// The starts of the last `most` spans that end at or after `until`, oldest first.
fn starts(until: Timestamp, span_s: i64, most: usize) -> impl Iterator<Item = Timestamp> {
    // A span that has just begun would look like a collapse; it waits for its first second.
    let newest = until.plus_millis(-1).floor_to(span_s);
    let most = i64::try_from(most).unwrap_or(0);
    (0..most).rev().map(move |back| newest.plus_millis(-1_000 * span_s * back))
}

/// Seconds of a span that have passed: the newest one is still going on.
fn elapsed(history: &History, start: Timestamp, span_s: i64) -> u64 {
    let passed = history.until().millis_since(start).div_euclid(1_000).clamp(1, span_s);
    u64::try_from(passed).unwrap_or(1)
}
