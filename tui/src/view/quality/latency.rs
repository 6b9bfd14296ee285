//! Latency: how long a provider's answers took, against what it promises.
//!
//! Each point is the 50th and the 95th of the five minutes before it, of answers that this console
//! has heard of. Where it heard of none there is no point, and `╌` at the foot: no answer is not a
//! fast answer. Refuses to know circuits and money.
//!
//! ```text
//! 1.2 ╌╌ SLO p95 1.20 ╌╌╌╌╌╌⣀⡴⠊╌╌     the 95th has crossed what was promised
//!     ⠒⠒⠊⠉⠒⠒⠤⠤⠤⠒⠒⠉
//! 0.6 ⣀⣀⡀⢀⣀⣀⣀⣀⡀⢀⣀⣀
//! 0.0 ╌╌
//!     -15m   ━ p95 1.32  ━ p50 0.55  n 741   now
//! ```

use ratatui::layout::Rect;
use tollgate_shared::provider::ProviderView;
use tollgate_shared::time::Timestamp;

use super::super::canvas::{Canvas, Piece, Seg, seg};
use super::super::frame::{self, Frame};
use super::super::plot::{self, Ink, Plot};
use crate::format;
use crate::model::pulse::Beat;
use crate::model::{ChartWindow, Day, Model, SPAN_S};
use crate::theme::{Theme, Tone};

/// The 50th and the 95th of five minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    at: Timestamp,
    p50: u32,
    p95: u32,
}

/// What the panel shows.
#[derive(Clone, Debug, Default)]
struct Curve {
    /// Oldest first; where there was no answer there is none.
    points: Vec<Point>,
    from: Timestamp,
    until: Timestamp,
    /// Answers within the window.
    answered: u64,
}

/// Draws the panel.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, boxed: bool) {
    let theme = canvas.theme;
    let view = super::selected(model);
    let (back_s, word) = back(model.window);
    let name = view.map_or("LATENCY".into(), |view| view.name.to_string());
    let frame = Frame {
        title: &name,
        about: vec![
            seg(0, " latency", theme.dim()),
            seg(2, format!(" last {word} · s"), theme.dim()),
            seg(3, " · each point is 5 min", theme.dim()),
        ],
        legend: Vec::new(),
        hints: &[("t", "window")],
        focused: false,
        boxed,
    };
    let inner = frame::draw(canvas, rect, frame);
    let Some(view) = view else {
        super::nobody(canvas, model, inner);
        return;
    };
    let cells = i64::from(inner.width.max(2)) * 2;
    let curve = Curve::of(model.day(), view, back_s, (back_s / cells).max(1));
    // Two lines of words, as long as they leave the picture its four.
    let words = inner.height.saturating_sub(5).min(2);
    let below = Rect { y: inner.bottom() - words, height: words, ..inner };
    let lines = [kept(theme, view, &curve), card(theme, view)];
    for (segs, y) in lines.into_iter().zip(below.y..below.bottom()) {
        canvas.row(Rect { y, height: 1, ..below }, segs, Vec::new());
    }
    let body = Rect { height: inner.height - words, ..inner };
    if curve.points.is_empty() {
        unheard(canvas, view, body);
    } else if body.height >= 3 && body.width >= 24 {
        picture(canvas, view, body, &curve);
    }
}

/// How far back each window looks, and its word; longer ones are as long as an hour is kept.
const fn back(window: ChartWindow) -> (i64, &'static str) {
    match window {
        ChartWindow::Minute => (300, "5 min"),
        ChartWindow::Quarter => (900, "15 min"),
        ChartWindow::Hour | ChartWindow::Day | ChartWindow::Week => (3_600, "60 min"),
    }
}

impl Curve {
    /// The curve of a provider over `back_s` seconds, with a point every `step_s` at least.
    fn of(day: &Day, view: &ProviderView, back_s: i64, step_s: i64) -> Self {
        let step_s = (step_s + SPAN_S - 1) / SPAN_S * SPAN_S;
        let until = day.now;
        let from = until.plus_millis(-1_000 * back_s);
        let beats: Vec<&Beat> = day.pulse.beats(&view.name).collect();
        let steps = back_s / step_s;
        let mut scratch = Vec::new();
        let points = (0..=steps).rev().filter_map(|back| {
            let at = until.plus_millis(-1_000 * step_s * back);
            let since = at.plus_millis(-1_000 * MERGED_S);
            scratch.clear();
            for beat in beats.iter().filter(|beat| beat.start > since && beat.start <= at) {
                scratch.extend_from_slice(&beat.sample);
            }
            Some(Point { at, p50: quantile(&mut scratch, 50)?, p95: quantile(&mut scratch, 95)? })
        });
        let points = points.collect();
        let answered = beats.iter().filter(|beat| beat.start >= from);
        let answered = answered.map(|beat| beat.answered).sum();
        Self { points, from, until, answered }
    }

    /// How many points kept a promise, and for how many seconds the newest ones have not.
    fn kept(&self, promise: u32) -> (u64, u64) {
        let kept = self.points.iter().filter(|point| point.p95 <= promise).count();
        let over = self.points.iter().rev().take_while(|point| point.p95 > promise).last();
        let over_s = over.map_or(0, |first| format::seconds_since(self.until, first.at));
        (u64::try_from(kept).unwrap_or(0), over_s)
    }
}

/// The value that `percent` of the values do not exceed.
fn quantile(values: &mut [u32], percent: usize) -> Option<u32> {
    let rank = (values.len() * percent).div_ceil(100).checked_sub(1)?;
    Some(*values.select_nth_unstable(rank).1)
}

/// What a provider promises, in milliseconds.
fn promise(view: &ProviderView) -> Option<u32> {
    view.slo.as_ref().and_then(|slo| slo.latency_p95_ms)
}

/// The curves over their axes.
fn picture(canvas: &mut Canvas<'_>, view: &ProviderView, rect: Rect, curve: &Curve) {
    let theme = canvas.theme;
    let place = Rect {
        x: rect.x + MARGIN,
        width: rect.width.saturating_sub(MARGIN + 1),
        height: rect.height - 1,
        ..rect
    };
    let slowest = curve.points.iter().map(|point| point.p95).max().unwrap_or(0);
    let most = slowest.max(promise(view).unwrap_or(0)).max(10);
    // A tenth above, so that the highest line is not the frame.
    let ends = (0, i128::from(most) + i128::from(most / 8));
    let mut plot = Plot::new(place);
    let (width, height) = plot.size();
    let up = |ms: u32| plot::place(i128::from(ms), ends, height);
    let row = |dot: u16| place.bottom() - 1 - dot / 4;
    let mut labels = vec![(place.bottom() - 1, 0)];
    let promised = promise(view);
    if let Some((promise, dot)) = promised.and_then(|promise| Some((promise, up(promise)?))) {
        let y = row(dot);
        let line = "╌".repeat(usize::from(place.width));
        canvas.put((place.x, y), place.width, &line, theme.tone(Tone::Warning));
        labels.push((y, promise));
    }
    for ms in [most / 2, most] {
        if let Some(y) = up(ms).map(row)
            && labels.iter().all(|(known, _)| known.abs_diff(y) > 1)
        {
            labels.push((y, ms));
        }
    }
    for (y, ms) in labels {
        let text = crate::text::right(&label(ms), usize::from(MARGIN) - 2);
        canvas.put((rect.x + 1, y), MARGIN, &text, theme.dim());
    }
    let times = (i128::from(curve.from.micros()), i128::from(curve.until.micros()));
    let across = |at: Timestamp| plot::place(i128::from(at.micros()), times, width);
    gaps(canvas, place, curve, across);
    let inks = [
        Ink { style: theme.tone(Tone::Caution), rank: 1, every: 1 },
        Ink { style: theme.tone(Tone::Ok), rank: 2, every: if theme.is_mono() { 2 } else { 1 } },
    ];
    for (ink, value) in inks.into_iter().zip([|p: &Point| p.p95, |p: &Point| p.p50]) {
        let mut before = None;
        for point in &curve.points {
            let Some(dot) = across(point.at).zip(up(value(point))) else { continue };
            // A line goes on from a neighbour, not over a gap.
            let near = before.filter(|(at, _)| point.at.millis_since(*at) <= NEIGHBOUR_MS);
            plot.line(near.map_or(dot, |(_, from)| from), dot, ink);
            before = Some((point.at, dot));
        }
    }
    plot.draw(canvas);
    if let Some((promise, dot)) = promised.and_then(|promise| Some((promise, up(promise)?))) {
        // The word stands over the curves; the line stands under them.
        let text = format!(" SLO p95 {} ", format::seconds(promise.into()));
        canvas.put((place.x + 2, row(dot)), place.width, &text, theme.tone(Tone::Warning));
    }
    let axis = Rect { y: rect.bottom() - 1, height: 1, ..place };
    legend(canvas, view, axis, curve);
}

/// Columns without a point.
fn gaps(
    canvas: &mut Canvas<'_>,
    place: Rect,
    curve: &Curve,
    across: impl Fn(Timestamp) -> Option<u16>,
) {
    let dim = canvas.theme.dim();
    let known: Vec<u16> = curve.points.iter().filter_map(|point| across(point.at)).collect();
    for x in 0..place.width {
        // Points may be further apart than cells.
        let first = known.partition_point(|dot| dot / 2 + 1 < x);
        let near = known.get(first).is_some_and(|dot| dot / 2 <= x + 1);
        if !near {
            canvas.put((place.x + x, place.bottom() - 1), 1, "╌", dim);
        }
    }
}

/// What the curves are, in the words of their newest point, between the ends of the axis.
fn legend(canvas: &mut Canvas<'_>, view: &ProviderView, rect: Rect, curve: &Curve) {
    let theme = canvas.theme;
    let Some(newest) = curve.points.last() else { return };
    let over = promise(view).is_some_and(|promise| newest.p95 > promise);
    let value = if over { theme.tone(Tone::Warning) } else { theme.text() };
    let ago = format::span(format::seconds_since(curve.until, curve.from));
    let dotted = if theme.is_mono() { "┄" } else { "━" };
    let left = vec![
        seg(0, format!("-{ago}  "), theme.dim()),
        seg(1, " ━ ", theme.tone(Tone::Caution)),
        seg(1, format!("p95 {} ", format::seconds(newest.p95.into())), value),
        seg(2, format!(" {dotted} "), theme.tone(Tone::Ok)),
        seg(2, format!("p50 {}", format::seconds(newest.p50.into())), theme.text()),
        seg(3, format!("  n {}", format::grouped(curve.answered)), theme.dim()),
    ];
    canvas.row(rect, left, vec![seg(0, "now", theme.dim())]);
}

/// How well the promise was kept.
fn kept(theme: &Theme, view: &ProviderView, curve: &Curve) -> Vec<Seg> {
    let Some(promise) = promise(view) else {
        return vec![seg(0, " no latency promised; E states one", theme.dim())];
    };
    let count = u64::try_from(curve.points.len()).unwrap_or(0);
    if count == 0 {
        let text = format!(" promised: p95 within {} s", format::seconds(promise.into()));
        return vec![seg(0, text, theme.dim())];
    }
    let (kept, over_s) = curve.kept(promise);
    let share = format::percent(format::permille(kept, count));
    let mut segs = vec![
        seg(0, " SLO ", theme.dim()),
        seg(0, format!("met in {share}% of 5-min windows"), theme.text()),
    ];
    if over_s > 0 {
        let text = format!("  ▲ over for {}", format::age(over_s));
        segs.push(seg(1, text, theme.tone(Tone::Warning)));
    } else if curve.points.last().is_some_and(|newest| newest.p95 > promise) {
        segs.push(seg(1, "  ▲ over now", theme.tone(Tone::Warning)));
    }
    segs
}

/// What it costs, since when, and where it is.
fn card(theme: &Theme, view: &ProviderView) -> Vec<Seg> {
    let rate = |rate: tollgate_shared::price::UsdPerToken| rate.usd_per_million().rounded(2);
    let [year, month, date, ..] = view.updated_at.civil();
    let prices =
        format!(" {} in / {} out $/M", rate(view.pricing.input), rate(view.pricing.output));
    vec![
        seg(0, prices, theme.text()),
        seg(1, format!(" since {year}-{month:02}-{date:02}"), theme.dim()),
        seg(2, format!(" · {}", view.endpoint.as_str()), theme.dim()),
    ]
}

/// No answer was heard of: what the gateway measured stands in for a picture.
fn unheard(canvas: &mut Canvas<'_>, view: &ProviderView, rect: Rect) {
    let theme = canvas.theme;
    let ms = |ms: Option<u32>| ms.map_or("—".into(), |ms| format::seconds(ms.into()));
    let quality = &view.quality;
    let (p50, p95) = (ms(quality.p50_ms), ms(quality.p95_ms));
    let lines: [Piece; 2] = [
        (" no answer since this console listens".into(), theme.dim()),
        (
            format!(" the gateway says: p50 {p50} · p95 {p95} of {} attempts", quality.attempts),
            theme.text(),
        ),
    ];
    for (line, y) in lines.into_iter().zip(rect.y..rect.bottom()) {
        canvas.pieces((rect.x, y), rect.width, &[line]);
    }
}

/// A label of the axis: tenths of a second, and more of them where all is fast.
fn label(ms: u32) -> String {
    if ms > 0 && ms < 100 { format::seconds(ms.into()) } else { format::seconds_short(ms.into()) }
}

/// Seconds that one point looks back on.
const MERGED_S: i64 = 300;

/// Points further apart than this are not joined.
const NEIGHBOUR_MS: i64 = 90_000;

/// Cells left of the picture.
const MARGIN: u16 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let mut values: Vec<u32> = (1..=20).rev().collect();
        assert_eq!(quantile(&mut values, 50), Some(10));
        assert_eq!(quantile(&mut values, 95), Some(19));
        assert_eq!(quantile(&mut [7], 95), Some(7));
        assert_eq!(quantile(&mut [], 50), None);
    }

    #[test]
    fn a_promise_is_broken_for_as_long_as_the_newest_points_say() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let point = |second, p95| Point { at: at(second), p50: 1, p95 };
        let points = vec![point(0, 900), point(60, 1_300), point(120, 900), point(180, 1_300)];
        let curve = Curve { points, from: at(0), until: at(200), answered: 4 };
        assert_eq!(curve.kept(1_200), (2, 20));
        assert_eq!(curve.kept(1_300), (4, 0));
        assert_eq!(curve.kept(100), (0, 200));
    }
}
