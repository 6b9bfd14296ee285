//! The burn-down: what a run spent, where its limit is, and when the two meet.
//!
//! The axis is zoomed to what is shown and labelled, for a run at 90 % would be a flat line on an
//! axis from zero. What lies ahead is a fan, not a line. Refuses to know how it is reckoned: that
//! is [`super::course`].
//!
//! ```text
//! 50.00 ━━ 100% = refuse ━━━━━⡠━━⠔━━    the fast, the middle and the slow way
//! 45.00 ╌╌ 90% ╌╌╌╌⣀⡴⠋╌╌╌╌╌╌╌╌╌╌╌╌
//! 43.10 ⣀⣤⠶⠛⠉
//!       13:59      now  14:32  14:41
//! left $4.88 at $0.271/min → empty in 18m at 14:32 (14–25m, 80%)
//! ```
//!
//! | drawn | when |
//! |---|---|
//! | thick | the past, as far as it is known and as the window asks |
//! | dotted, in the tone of the runway | what is spent if the burn stays as it is |
//! | dotted, dim | nine minutes in ten were slower, or faster |
//! | lines | the limits that are in the picture; one that is not is named above it |

use ratatui::layout::Rect;
use tollgate_shared::budget::Mode;
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::money::{PICOS_PER_USD, Usd};
use tollgate_shared::time::Timestamp;

use super::super::canvas::{Canvas, Seg, seg};
use super::super::frame::{self, Frame};
use super::super::plot::{self, Dot, Ink, Plot};
use super::super::status;
use super::course::Course;
use crate::format;
use crate::model::{ChartWindow, Model, RunEntry};
use crate::theme::Tone;

/// Draws the panel.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, boxed: bool) {
    let dim = canvas.theme.dim();
    let selected = super::selected(model);
    let budget = selected.and_then(|(_, entry)| entry.budget.as_ref());
    let name = selected.map_or("BURN-DOWN".into(), |(run, _)| run.to_string());
    let about = match budget.and_then(|budget| budget.enforced.limit_usd) {
        Some(limit) => format!(" burn-down to ${}", canvas.money(limit, 2)),
        None => " no limit".into(),
    };
    let frame = Frame {
        title: &name,
        about: vec![seg(1, about, dim)],
        legend: Vec::new(),
        hints: &[("t", "window")],
        focused: false,
        boxed,
    };
    let inner = frame::draw(canvas, rect, frame);
    let Some(((run, entry), budget)) = selected.zip(budget) else {
        super::nobody(canvas, model, inner);
        return;
    };
    if inner.height == 0 {
        return;
    }
    let course = Course::of(model.day(), run, budget, back_s(model.window));
    let foot = Rect { y: inner.bottom() - 1, height: 1, ..inner };
    sentence(canvas, model, foot, (entry, budget, &course));
    if inner.height >= 5 && inner.width >= 24 {
        let body = Rect { height: inner.height - 1, ..inner };
        picture(canvas, model, body, (budget, &course));
    }
}

/// How far back each window looks; longer ones are as long as the console has listened.
const fn back_s(window: ChartWindow) -> i64 {
    match window {
        ChartWindow::Minute => 300,
        ChartWindow::Quarter => 900,
        ChartWindow::Hour | ChartWindow::Day | ChartWindow::Week => 3_600,
    }
}

/// The ends of both axes.
struct Scale {
    from: Timestamp,
    until: Timestamp,
    low: Usd,
    high: Usd,
}

impl Scale {
    /// Past as far as it is known, future as far as it takes to meet the limit where that is
    /// near, and money from the lowest to the highest that this shows.
    fn of(course: &Course) -> Self {
        let from = course.past.last().map_or(course.until, |(at, _)| *at);
        let past_s = format::seconds_since(course.until, from).max(60);
        let (slow, fast) = course.band.unwrap_or((course.burn, course.burn));
        let near = |seconds: &u64| *seconds <= past_s * 2;
        let meets = course.runway_s(course.burn).filter(near);
        let latest = course.runway_s(slow).filter(near).or(meets);
        let ahead_s = match (latest, course.burn.is_zero()) {
            (Some(seconds), _) => (seconds + seconds / 8).max(past_s / 3),
            (None, true) => past_s / 6,
            (None, false) => past_s / 2,
        };
        let low = course.past.last().map_or(course.spent, |(_, spent)| *spent);
        let mut high = course.after(fast.max(course.burn), ahead_s);
        let room = high - low;
        if let Some(limit) = course.limit
            && limit - low <= room.times(3)
        {
            high = high.max(limit);
        }
        // A run that stood still is a flat line in the middle of a cent.
        let least = Usd::from_picos(PICOS_PER_USD / 100);
        let pad = Usd::from_picos((high - low).max(least).picos() / 12);
        let millis = i64::try_from(ahead_s).unwrap_or(0).saturating_mul(1_000);
        let until = course.until.plus_millis(millis);
        // Nobody has spent less than nothing.
        Self { from, until, low: (low - pad).or_zero(), high: high + pad }
    }

    /// The dot of a moment and an amount.
    fn dot(&self, at: Timestamp, amount: Usd, size: Dot) -> Option<Dot> {
        Some((self.across(at, size.0)?, self.up(amount, size.1)?))
    }

    fn across(&self, at: Timestamp, count: u16) -> Option<u16> {
        let ends = (i128::from(self.from.micros()), i128::from(self.until.micros()));
        plot::place(i128::from(at.micros()), ends, count)
    }

    fn up(&self, amount: Usd, count: u16) -> Option<u16> {
        plot::place(amount.picos(), (self.low.picos(), self.high.picos()), count)
    }

    /// Decimals that tell two labels apart.
    fn decimals(&self) -> u32 {
        match (self.high - self.low).picos() {
            size if size < PICOS_PER_USD / 20 => 4,
            size if size < PICOS_PER_USD / 2 => 3,
            size if size >= PICOS_PER_USD * 1_000 => 0,
            _ => 2,
        }
    }
}

/// Lines, curve, fan and axes.
fn picture(
    canvas: &mut Canvas<'_>,
    model: &Model,
    rect: Rect,
    (budget, course): (&BudgetEvent, &Course),
) {
    let scale = Scale::of(course);
    let label = |canvas: &Canvas<'_>, amount| canvas.money(amount, scale.decimals());
    let widest = [scale.low, scale.high].map(|amount| label(canvas, amount).len());
    let margin = u16::try_from(widest.into_iter().max().unwrap_or(5)).unwrap_or(5).max(5) + 2;
    let place = Rect {
        x: rect.x + margin,
        width: rect.width.saturating_sub(margin + 1),
        height: rect.height - 1,
        ..rect
    };
    let mut plot = Plot::new(place);
    let row = |dot: u16| place.bottom() - 1 - dot / 4;
    let mut labels: Vec<(u16, String)> = Vec::new();
    let mut words: Vec<(u16, String, Tone)> = Vec::new();
    let (_, height) = plot.size();
    for (percent, glyph, tone) in LINES {
        let Some(limit) = course.limit else { break };
        let amount = Usd::from_picos(limit.picos() * percent / 100);
        let Some(dot) = scale.up(amount, height) else { continue };
        let word = match (percent, budget.mode) {
            (100, Mode::Soft) => " 100% · soft: it goes on ".to_owned(),
            (100, _) => " 100% = refuse ".to_owned(),
            (percent, _) => format!(" {percent}% "),
        };
        let line = glyph.repeat(usize::from(place.width));
        canvas.put((place.x, row(dot)), place.width, &line, canvas.theme.tone(tone));
        words.push((row(dot), word, tone));
        labels.push((row(dot), label(canvas, amount)));
    }
    for (y, amount) in [(place.y, scale.high), (place.bottom() - 1, scale.low)] {
        if labels.iter().all(|(known, _)| known.abs_diff(y) > 1) {
            labels.push((y, label(canvas, amount)));
        }
    }
    let dim = canvas.theme.dim();
    for (y, text) in labels {
        let text = crate::text::right(&text, usize::from(margin) - 2);
        canvas.put((rect.x + 1, y), margin, &text, dim);
    }
    above(canvas, place, (course, &scale));
    curve(canvas, &mut plot, course, &scale);
    fan(canvas, &mut plot, course, &scale);
    plot.draw(canvas);
    for (y, word, tone) in words {
        // Words stand over the curve, lines under it.
        canvas.put((place.x + 2, y), place.width, &word, canvas.theme.tone(tone));
    }
    let axis = Rect { y: rect.bottom() - 1, height: 1, ..place };
    time_axis(canvas, model, axis, (course, &scale));
}

/// A limit that is not in the picture is above it.
fn above(canvas: &mut Canvas<'_>, place: Rect, (course, scale): (&Course, &Scale)) {
    let Some(limit) = course.limit.filter(|limit| *limit > scale.high) else { return };
    let text = format!("↑ limit ${} ", canvas.money(limit, 2));
    let x = place.right().saturating_sub(u16::try_from(text.chars().count()).unwrap_or(0));
    canvas.put((x.max(place.x), place.y), place.width, &text, canvas.theme.dim());
}

/// What was spent.
fn curve(canvas: &Canvas<'_>, plot: &mut Plot, course: &Course, scale: &Scale) {
    let ink = Ink { style: canvas.theme.key(), rank: 2, every: 1 };
    let size = plot.size();
    let dots: Vec<Dot> =
        course.past.iter().filter_map(|(at, spent)| scale.dot(*at, *spent, size)).collect();
    for pair in dots.windows(2) {
        if let [newer, older] = pair {
            plot.line(*older, *newer, ink);
            // Twice as thick as what is only expected.
            plot.line((older.0, older.1 + 1), (newer.0, newer.1 + 1), ink);
        }
    }
}

/// What may come: the slow and the fast way dim, the middle one in the tone of the runway.
fn fan(canvas: &Canvas<'_>, plot: &mut Plot, course: &Course, scale: &Scale) {
    let theme = canvas.theme;
    let size = plot.size();
    let Some(from) = scale.dot(course.until, course.spent, size) else { return };
    let ahead_s = format::seconds_since(scale.until, course.until);
    let way = |burn: Usd| {
        let seconds = course.runway_s(burn).unwrap_or(ahead_s).min(ahead_s);
        let at = course.until.plus_millis(i64::try_from(seconds).unwrap_or(0) * 1_000);
        scale.dot(at.min(scale.until), course.after(burn, seconds), size)
    };
    let edge = Ink { style: theme.dim(), rank: 1, every: 2 };
    let (slow, fast) = course.band.unwrap_or((Usd::ZERO, Usd::ZERO));
    for burn in [slow, fast].into_iter().filter(|burn| !burn.is_zero()) {
        if let Some(to) = way(burn) {
            plot.line(from, to, edge);
        }
    }
    if course.burn.is_zero() {
        return;
    }
    let tone = course.runway_s(course.burn).and_then(status::runway_tone).unwrap_or(Tone::Ok);
    if let Some(to) = way(course.burn) {
        plot.line(from, to, Ink { style: theme.tone(tone), rank: 3, every: 2 });
    }
}

/// Clock times: now first, then when it is empty, then the ends, as far as they have room.
fn time_axis(
    canvas: &mut Canvas<'_>,
    model: &Model,
    rect: Rect,
    (course, scale): (&Course, &Scale),
) {
    let theme = canvas.theme;
    let empty = course.runway_s(course.burn).map(|seconds| {
        course.until.plus_millis(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000))
    });
    let tone = course.runway_s(course.burn).and_then(status::runway_tone);
    let empty_look = tone.map_or(theme.text(), |tone| theme.tone(tone));
    let now = if model.freshness().is_old() { "last news" } else { "now" };
    let marks = [
        (Some(course.until), now.to_owned(), theme.strong()),
        (empty, empty.map_or(String::new(), format::clock_short), empty_look),
        (Some(scale.from), format::clock_short(scale.from), theme.dim()),
        (Some(scale.until), format::clock_short(scale.until), theme.dim()),
    ];
    let mut taken: Vec<(u16, u16)> = Vec::new();
    for (at, text, style) in marks {
        let Some(x) = at.and_then(|at| scale.across(at, rect.width)) else { continue };
        let cells = u16::try_from(text.len()).unwrap_or(5);
        let start = (rect.x + x).min(rect.right().saturating_sub(cells)).max(rect.x);
        let end = start + cells;
        if taken.iter().all(|(from, until)| end < *from || start > *until) {
            canvas.put((start, rect.y), cells, &text, style);
            taken.push((start, end));
        }
    }
}

/// The picture in words, for it may be small.
fn sentence(
    canvas: &mut Canvas<'_>,
    model: &Model,
    rect: Rect,
    (entry, budget, course): (&RunEntry, &BudgetEvent, &Course),
) {
    let theme = canvas.theme;
    let dim = |rank: u8, text: String| seg(rank, text, theme.dim());
    let rate = |canvas: &Canvas<'_>, amount| format!("${}", canvas.money(amount, 3));
    let mut segs: Vec<Seg> = Vec::new();
    if let Some(limit) = course.limit {
        let left = (limit - course.spent).or_zero();
        // What is left of a small budget is no zero.
        let decimals = if left < Usd::from_picos(PICOS_PER_USD / 10) { 4 } else { 2 };
        let left = canvas.money(left, decimals);
        segs.extend([dim(0, " left ".into()), seg(0, format!("${left}"), theme.strong())]);
    }
    let (word, tone) = status::runway(entry);
    let look = tone.map_or(theme.text(), |tone| theme.tone(tone).patch(theme.strong_modifier()));
    if course.burn.is_zero() {
        let why = match word.as_str() {
            "blocked" => " · requests are refused, + raises it",
            "paused" => " · x lets it go on",
            "closed" => " · it takes no more requests",
            "frozen" => " · a person must look at it",
            _ => " · nothing was spent lately",
        };
        segs.extend([dim(0, " · ".into()), seg(0, word, look), dim(1, why.into())]);
    } else {
        let approx = if model.freshness().is_old() { "≈" } else { "" };
        segs.push(dim(0, format!(" at {approx}{}/min", rate(canvas, course.burn))));
        if budget.runway_s.is_some() {
            let at = status::empty_at(budget, model.day().now);
            segs.extend([dim(0, " → empty in ".into()), seg(0, word, look)]);
            segs.push(dim(3, format!(" at {at}")));
        }
        if let Some(band) = band(course) {
            segs.push(dim(1, format!(" ({band}, 80%)")));
        }
    }
    let (mean, minutes) = course.mean;
    if minutes > 1 && !course.burn.is_zero() {
        segs.push(dim(2, format!("  {minutes} min mean {}", rate(canvas, mean))));
    }
    canvas.row(rect, segs, Vec::new());
}

/// The two ends of the band: `14m–25m`, or open where slow minutes spend nothing.
fn band(course: &Course) -> Option<String> {
    let (slow, fast) = course.band?;
    let soonest = format::span(course.runway_s(fast)?);
    Some(match course.runway_s(slow) {
        Some(latest) => format!("{soonest}–{}", format::span(latest)),
        None => format!("{soonest} or later"),
    })
}

/// Limit lines: percent, glyph, tone.
const LINES: [(i128, &str, Tone); 3] =
    [(75, "┈", Tone::Caution), (90, "╌", Tone::Warning), (100, "━", Tone::Critical)];
