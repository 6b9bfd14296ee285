//! The first three rows of every screen: speed; runway and what is broken; the worst alert.
//!
//! They answer everything at every size, so their parts have ranks and the least needed goes
//! first. Refuses to know panes.
//!
//! ```text
//!  $0.84/min ▲31% ▅▅▅▆▆▇▇█▇▆  412k tok/min  96 req/min  ok 98.9%      ● LIVE 0.2s Σ✓  prod  14:14:07
//!  R-207 empty in 18m at 14:32  ·  today $212.40 +≤0.31 → $401 by 24:00    ✖2 critical ▲3 warning
//!  ✖ 14:09:55 azure-gpt4o circuit open: 5 × 5xx in a row for 4m12s                               +3
//! ```

use ratatui::layout::Rect;
use ratatui::style::Style;
use tollgate_shared::alert::{AlertState, Severity};
use tollgate_shared::money::{PICOS_PER_USD, Usd};
use tollgate_shared::window::Sums;

use super::canvas::{Canvas, Seg, seg};
use super::layout::Class;
use super::{bars, digits, status};
use crate::action::Action;
use crate::format;
use crate::model::{Freshness, Link, Model, QUARTER_S, Screen, Verdict, rows};
use crate::theme::Tone;

/// Draws the three rows.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let line = |row: u16| Rect { y: rect.y + row, height: 1, ..rect };
    let inside = |row: Rect| Rect { x: row.x + 1, width: row.width.saturating_sub(2), ..row };
    let side = if class == Class::Large { big(canvas, model, rect) } else { 0 };
    let place = |row: u16| {
        let row = inside(line(row));
        Rect { x: row.x + side, width: row.width.saturating_sub(side), ..row }
    };
    let mut left = if side > 0 { Vec::new() } else { burn(canvas, model) };
    left.extend(traffic(canvas, model, class));
    let right = state(canvas, model, class);
    canvas.row(place(0), left, right);
    let (left, right) = (money(canvas, model), counts(canvas, model, class != Class::Small));
    canvas.row(place(1), left, right);
    alert(canvas, model, place(2), class);
}

/// Dollars a minute and how they changed; rank 0, for this is what the console is for.
pub(super) fn burn(canvas: &Canvas<'_>, model: &Model) -> Vec<Seg> {
    let theme = canvas.theme;
    let history = &model.day().history;
    let burn = history.minute_sums().cost_usd;
    let about = if model.freshness().is_old() { "≈" } else { "" };
    let mut segs = vec![seg(0, format!("{about}${}/min", canvas.money(burn, 2)), theme.strong())];
    if let Some((text, tone)) = change(model, burn) {
        let style = tone.map_or(theme.dim(), |tone| theme.tone(tone));
        segs.push(seg(2, format!(" {text}"), style));
    }
    segs
}

/// The change against the fifteen minutes before; hidden under five minutes of news.
fn change(model: &Model, burn: Usd) -> Option<(String, Option<Tone>)> {
    let (mean, seconds) = model.day().history.mean_before();
    if seconds < MEAN_MIN_S {
        return None;
    }
    let percent = burn.ppm_of(mean)? / 10_000;
    let (sign, off) = match percent {
        100.. => ("▲", percent - 100),
        _ => ("▼", 100 - percent),
    };
    let tone = match (sign, off) {
        ("▲", 100..) => Some(Tone::Critical),
        ("▲", 25..) => Some(Tone::Warning),
        _ => None,
    };
    Some((format!("{sign}{}%", off.min(999)), tone))
}

/// Sparkline, tokens, requests, answered, cached: each with its rank.
fn traffic(canvas: &Canvas<'_>, model: &Model, class: Class) -> Vec<Seg> {
    let theme = canvas.theme;
    let width = match class {
        Class::Tiny | Class::Small => 12,
        Class::Medium => 24,
        Class::Large => 42,
    };
    let history = &model.day().history;
    let (minute, quarter) = (history.minute_sums(), history.quarter_sums());
    let plain = theme.text();
    let blue = theme.tone(Tone::Ok);
    let mut segs = vec![seg(6, format!(" {}", sparkline(model, width)), blue)];
    segs.push(seg(4, format!("  {} tok/min", format::count(minute.total_tokens())), plain));
    if class == Class::Large {
        let (input, output) =
            (format::count(minute.input_tokens), format::count(minute.output_tokens));
        segs.push(seg(9, format!("  in {input}  out {output}"), theme.dim()));
    }
    segs.push(seg(5, format!("  {} req/min", format::grouped(minute.requests)), plain));
    if let Some((text, tone)) = answered(&quarter) {
        segs.push(seg(7, "  ok ", theme.dim()));
        segs.push(seg(7, text, tone.map_or(plain, |tone| theme.tone(tone))));
    }
    if quarter.cache_read_tokens > 0 && class >= Class::Medium {
        let share = format::permille(quarter.cache_read_tokens, quarter.input_tokens) / 10;
        segs.push(seg(8, format!("  cached {share}%"), theme.dim()));
    }
    segs
}

/// Answered after fallback, of all that were accepted, over fifteen minutes.
fn answered(sums: &Sums) -> Option<(String, Option<Tone>)> {
    if sums.requests == 0 {
        return None;
    }
    let permille = format::permille(sums.answered.min(sums.requests), sums.requests);
    let tone = match permille {
        990.. => None,
        950..=989 => Some(Tone::Caution),
        _ => Some(Tone::Critical),
    };
    Some((format!("{}%", format::percent(permille)), tone))
}

/// The last minutes in one row of blocks; unknown ones are `╌`.
pub(super) fn sparkline(model: &Model, width: usize) -> String {
    let totals = bars::totals(model, width);
    let most = totals.iter().flatten().copied().max().unwrap_or_default();
    totals
        .iter()
        .map(|total| match total {
            None => "╌",
            Some(total) => {
                let eighths = total.ppm_of(most).unwrap_or(0) * 8 / 1_000_000;
                super::chart::BLOCKS[usize::try_from(eighths.clamp(1, 8)).unwrap_or(1)]
            }
        })
        .collect()
}

/// How fresh it is, the self-audit, where one is, and the clock.
fn state(canvas: &Canvas<'_>, model: &Model, class: Class) -> Vec<Seg> {
    let theme = canvas.theme;
    let mut segs = freshness(canvas, model, class >= Class::Medium);
    let (audit, tone) = match model.day().audit.verdict() {
        Verdict::Waiting => (" Σ…".to_owned(), None),
        Verdict::Equal => (" Σ✓".to_owned(), Some(Tone::Ok)),
        Verdict::Differs { by, run } => {
            let of = run.as_ref().map_or(String::new(), |run| format!(" {run}"));
            (format!(" Σ≠${}{of}", canvas.money(*by, 2)), Some(Tone::Critical))
        }
    };
    segs.push(seg(0, audit, tone.map_or(theme.dim(), |tone| theme.tone(tone))));
    if model.is_read_only() {
        segs.push(seg(1, "  READ-ONLY", theme.tone(Tone::Caution)));
    }
    if class >= Class::Medium {
        let style = model.settings.tint.map_or(theme.key(), |tone| theme.tone(tone));
        segs.push(seg(3, format!("  {} ", model.settings.profile), style));
    }
    segs.push(seg(2, format!(" {}", format::clock(model.day().now)), theme.key()));
    segs
}

/// The connection's state in a few letters.
pub(super) fn freshness(canvas: &Canvas<'_>, model: &Model, wide: bool) -> Vec<Seg> {
    let theme = canvas.theme;
    let tone = |tone| theme.tone(tone);
    if let Some(at) = model.as_of {
        let text = format!("⏴ AS OF {} · 0 now", format::clock_short(at));
        return vec![seg(0, text, tone(Tone::Caution))];
    }
    if let Some(frozen) = &model.frozen {
        let more = model.live.tail.seen() - frozen.tail.seen();
        let text = format!(
            "⏸ FROZEN +{} since {}",
            format::grouped(more),
            format::clock_short(frozen.now)
        );
        return vec![seg(0, text, tone(Tone::Caution))];
    }
    let (text, style): (String, Style) = match model.freshness() {
        Freshness::Waiting => ("◌ connecting".into(), theme.dim()),
        Freshness::Live(ms) => {
            let word = if wide { "LIVE " } else { "" };
            (format!("● {word}{}s", format::tenths(ms / 100, "")), tone(Tone::Ok))
        }
        Freshness::Late(seconds) => (format!("◌ {seconds}s"), theme.dim()),
        Freshness::Stale(seconds) => {
            (format!("◌ STALE {}", format::age(seconds)), tone(Tone::Warning))
        }
        Freshness::Lost if wide || model.size.0 >= 40 => (lost(model, wide), tone(Tone::Critical)),
        Freshness::Lost => ("✖ lost".into(), tone(Tone::Critical)),
    };
    vec![seg(0, text, style)]
}

/// The next try, and since when nothing was heard.
fn lost(model: &Model, wide: bool) -> String {
    let Link::Lost { since, attempt, retry_at, .. } = &model.link else { return String::new() };
    let wait = u64::try_from(retry_at.millis_since(model.live.now).max(0)).unwrap_or(0);
    let wait = format::tenths(wait / 100, "s");
    if wide {
        format!("✖ reconnecting, try {attempt}, in {wait} · since {}", format::clock(*since))
    } else {
        format!("✖ lost {} try {attempt}", format::clock_short(*since))
    }
}

/// Who will be empty first, and what today adds up to.
fn money(canvas: &Canvas<'_>, model: &Model) -> Vec<Seg> {
    let (theme, day) = (canvas.theme, model.day());
    let plain = theme.text();
    let mut segs = runway(canvas, model, true);
    let Some(today) = day.today else {
        if day.ready {
            segs.push(seg(3, "  ·  spent ", theme.dim()));
            segs.push(seg(3, format!("${}", canvas.money(day.audit.total(), 2)), theme.strong()));
            segs.extend(uncertain(canvas, model));
            segs.push(seg(5, " in all", theme.dim()));
        }
        return segs;
    };
    segs.push(seg(3, "  ·  ", theme.dim()));
    segs.push(seg(3, "today ", plain));
    segs.push(seg(3, format!("${}", canvas.money(today.spent, 2)), theme.strong()));
    segs.extend(uncertain(canvas, model));
    if let Some(projected) = day.projected() {
        let decimals = if projected.picos() < 100 * PICOS_PER_USD { 2 } else { 0 };
        segs.push(seg(4, format!(" → ${}", canvas.money(projected, decimals)), plain));
        segs.push(seg(6, " by 24:00", theme.dim()));
    }
    segs
}

/// What may still be billed for streams that were cut off stands beside every total.
fn uncertain(canvas: &Canvas<'_>, model: &Model) -> Option<Seg> {
    let uncertain = model.day().audit.uncertain();
    let text = format!(" +≤{}", canvas.money(uncertain, 2));
    (!uncertain.is_zero()).then(|| seg(4, text, canvas.theme.tone(Tone::Caution)))
}

/// The run that is empty first: `R-207 empty in 18m at 14:32`.
pub(super) fn runway(canvas: &Canvas<'_>, model: &Model, with_at: bool) -> Vec<Seg> {
    let (theme, day) = (canvas.theme, model.day());
    let plain = theme.text();
    if !day.ready {
        let why = match &model.link {
            Link::Lost { why, .. } => format!("no news yet: {why}"),
            Link::Connecting | Link::Up => "waiting for the first news".to_owned(),
        };
        return vec![seg(0, why, plain)];
    }
    let Some((run, seconds)) = day.next_empty() else {
        let blocked = day
            .runs
            .values()
            .filter(|run| run.budget.as_ref().is_some_and(|budget| budget.blocked));
        return match (blocked.count(), day.runs.is_empty()) {
            (_, true) => vec![seg(0, "no run yet", theme.dim())],
            (0, _) => vec![seg(0, "no budget runs out", plain)],
            (count, _) => vec![
                seg(0, format!("{count} blocked"), theme.tone(Tone::Warning)),
                seg(1, ", none else runs out", plain),
            ],
        };
    };
    let tone = status::runway_tone(seconds).map_or(theme.strong(), |tone| theme.tone(tone));
    let about = if model.freshness().is_old() { "≈" } else { "" };
    let at = if with_at { " at " } else { " " };
    vec![
        seg(0, crate::text::clean(run.as_str(), 24), theme.strong()),
        seg(0, " empty in ", plain),
        seg(0, format!("{about}{}", format::span(seconds)), tone.patch(theme.strong_modifier())),
        seg(1, format!("{at}{}", status::clock_in(day.now, seconds)), plain),
    ]
}

/// Conditions that hold, by severity: `✖2 critical ▲3 warning ●1 caution`.
pub(super) fn counts(canvas: &Canvas<'_>, model: &Model, wide: bool) -> Vec<Seg> {
    let (theme, day) = (canvas.theme, model.day());
    let mut segs = Vec::new();
    for severity in [Severity::Critical, Severity::Warning, Severity::Caution] {
        let count = day.count(severity);
        if count == 0 {
            continue;
        }
        let (mark, word, tone) = status::severity(severity);
        if !segs.is_empty() {
            segs.push(seg(0, " ", theme.dim()));
        }
        let style = theme.tone(tone);
        segs.push(seg(0, format!("{mark}{count}"), style));
        if wide {
            segs.push(seg(7, format!(" {word}"), style));
        }
    }
    if segs.is_empty() && day.ready {
        segs.push(seg(0, "○ all well", theme.tone(Tone::Ok)));
    }
    segs
}

/// The worst alert that nobody has acknowledged.
fn alert(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let alerts = rows::alerts(model.day());
    let open = alerts.iter().filter(|alert| alert.state == AlertState::Open).count();
    let Some(worst) = alerts.first().filter(|alert| alert.state == AlertState::Open) else {
        let text = if model.day().ready { "○ no alert" } else { "" };
        canvas.row(rect, vec![seg(0, text, theme.dim())], Vec::new());
        return;
    };
    let whole = Rect { x: rect.x - 1, width: rect.width + 2, ..rect };
    canvas.paint(whole, theme.alert());
    let (mark, _, tone) = status::severity(worst.severity);
    let since = if class == Class::Small {
        format::clock_short(worst.since)
    } else {
        format::clock(worst.since)
    };
    let age = format::age(format::seconds_since(model.day().now, worst.since));
    let left = vec![
        seg(0, mark, theme.tone(tone)),
        seg(3, format!(" {since}"), theme.dim()),
        seg(0, format!(" {}", worst.subject), theme.strong()),
        seg(0, format!(" {}", worst.what), theme.strong()),
        seg(4, format!(" for {age}"), theme.dim()),
        seg(5, format!(" · {}", worst.then), theme.dim()),
    ];
    let mut right = Vec::new();
    for (action, word, rank) in
        [(Action::Ack, "ack", 1), (Action::Screen(Screen::Alerts), "alerts", 6)]
    {
        if class >= Class::Medium && action.refusal(model).is_none() {
            right.push(seg(rank, format!("  {}", model.settings.keys.first(action)), theme.key()));
            right.push(seg(rank, format!(" {word}"), theme.dim()));
        }
    }
    if open > 1 {
        right.push(seg(2, format!("  +{}", open - 1), theme.dim()));
    }
    canvas.row(rect, left, right);
}

/// The burn in big digits; answers how many cells they take.
fn big(canvas: &mut Canvas<'_>, model: &Model, rect: Rect) -> u16 {
    let theme = canvas.theme;
    let history = &model.day().history;
    let burn = history.minute_sums().cost_usd;
    let text = format!("${}", canvas.money(burn, 2));
    let tone = change(model, burn).and_then(|(_, tone)| tone);
    let style = tone.map_or(theme.strong(), |tone| theme.tone(tone));
    let digits = digits::rows(&text);
    let width = digits.iter().map(|row| crate::text::width_of(row)).max().unwrap_or(0);
    let width = u16::try_from(width).unwrap_or(0);
    let about = if model.freshness().is_old() { "≈ " } else { "" };
    let change = change(model, burn).map_or("—".into(), |(text, _)| text);
    let minutes = QUARTER_S / 60;
    let words = [
        format!("{about}per minute"),
        format!("{change} vs {minutes} min"),
        format!("${} per hour", canvas.money(burn.times(60), 2)),
    ];
    for (row, (digits, words)) in (0_u16..).zip(digits.iter().zip(&words)) {
        let y = rect.y + row;
        canvas.put((rect.x + 1, y), width, digits, style);
        canvas.put((rect.x + 2 + width, y), 17, words, theme.text());
    }
    width + 19
}

/// Seconds of news that a mean needs before anything is compared with it.
const MEAN_MIN_S: u64 = 300;
