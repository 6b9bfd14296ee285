//! One alert whole: what happened, what comes next, why, the keys that act, who saw it.
//!
//! The backend says what and then; why is worked out here from what the console knows of the run
//! or the provider. Refuses to know where the lines stand.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tollgate_shared::alert::{Alert, AlertState};
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::money::{Percent, Usd};
use tollgate_shared::provider::ProviderView;

use crate::action::Action;
use crate::format;
use crate::model::{Model, QUARTER_S, rows};
use crate::theme::Tone;
use crate::view::detail::{Line, Page};
use crate::view::status;

/// The lines of an alert.
pub(in crate::view) fn lines(page: &Page<'_>, model: &Model, alert: &Alert) -> Vec<Line> {
    let day = model.day();
    let mut what = vec![(page.words(&alert.what), page.theme.text())];
    let budget = day.runs.get(alert.subject.as_str()).and_then(|entry| entry.budget.as_ref());
    let provider = day.providers.get(alert.subject.as_str());
    what.extend(budget.map_or(Vec::new(), |budget| ends(page, model, budget)));
    let mut lines = vec![page.with("what", what), page.fact("then", page.words(&alert.then))];
    let why = match (budget, provider) {
        (Some(_), _) => of_run(page, model, &alert.subject),
        (None, Some(view)) => of_provider(page, model, view),
        (None, None) => Vec::new(),
    };
    for (index, line) in why.into_iter().enumerate() {
        lines.push(page.with(if index == 0 { "why" } else { "" }, line));
    }
    lines.push(Vec::new());
    lines.push(page.with("do", keys(page, model, budget.is_some(), provider.is_some())));
    lines.push(Vec::new());
    lines.extend(story(page, model, alert));
    lines
}

/// When the run will be empty, at what rate.
fn ends(page: &Page<'_>, model: &Model, budget: &BudgetEvent) -> Line {
    let theme = page.theme;
    let spent = page.money(budget.enforced.spent_usd(), 2);
    let mut line = vec![(format!(" (${spent})"), theme.text())];
    if let (Some(seconds), false) = (budget.runway_s, budget.blocked) {
        let burn = page.money(budget.burn_usd_per_min, 3);
        line.push((format!(". At ${burn}/min it is empty at "), theme.text()));
        let tone = status::runway_tone(seconds).map_or(theme.text(), |tone| theme.tone(tone));
        line.push((status::empty_at(budget, model.day().now), tone));
    }
    line
}

/// How fast the run spends against its own mean, and which of its agents do.
fn of_run(page: &Page<'_>, model: &Model, run: &str) -> Vec<Line> {
    let theme = page.theme;
    let day = model.day();
    let sums = |spans: &mut dyn Iterator<Item = &crate::model::Span>| -> Usd {
        let of = |span: &crate::model::Span| {
            span.by(crate::model::Group::Run).get(run).map_or(Usd::ZERO, |sums| sums.cost_usd)
        };
        spans.map(of).sum()
    };
    let now = sums(&mut day.history.minute());
    let known_s = day.history.known_s(QUARTER_S.unsigned_abs()).max(60);
    let mean = format::per_minute(sums(&mut day.history.spans(QUARTER_S)), known_s);
    let mut lines = Vec::new();
    if let Some(ratio) = format::ratio_tenths(now, mean) {
        let rates = format!("${} → ${}/min", page.money(mean, 3), page.money(now, 3));
        let words = format!(
            "the last minute is {}× its own 15 min mean ({rates})",
            format::tenths(ratio, "")
        );
        lines.push(vec![(words, theme.text())]);
    } else if now.is_zero() {
        lines.push(vec![("it spent nothing in the last 15 minutes".into(), theme.text())]);
    }
    lines.extend(agents(page, model, run));
    lines
}

/// The agents that spent most of what the tail knows of a run, and how long their questions are.
fn agents(page: &Page<'_>, model: &Model, run: &str) -> Option<Line> {
    let mut spent = BTreeMap::<&str, Usd>::new();
    let (mut total, mut tokens, mut count) = (Usd::ZERO, 0_u64, 0_u64);
    let newest = model.day().tail.newest_first().take(ROWS_MAX);
    for (row, sent) in newest.filter_map(|row| Some((row, row.sent()?))) {
        if row.run.as_str() == run {
            *spent.entry(row.agent.as_str()).or_default() += sent.cost_usd;
            total += sent.cost_usd;
            tokens = tokens.saturating_add(sent.usage.input_tokens());
            count += 1;
        }
    }
    let mean = tokens.checked_div(count)?;
    let mut largest: Vec<(&str, Usd)> = spent.into_iter().collect();
    largest.sort_by_key(|(name, spent)| (Reverse(*spent), *name));
    let share =
        |(name, spent): &(&str, Usd)| format!("{name} {}%", Percent::of(*spent, total).whole());
    let names: Vec<String> = largest.iter().take(3).map(share).collect();
    let words = format!(
        "{} of its newest {} receipts · input {} tok on average",
        names.join(", "),
        format::grouped(count),
        format::count(mean)
    );
    Some(vec![(words, page.theme.text())])
}

/// How a provider stands, and its latest failures.
fn of_provider(page: &Page<'_>, model: &Model, view: &ProviderView) -> Vec<Line> {
    let theme = page.theme;
    let day = model.day();
    let (circuit, tone) = status::circuit(&view.circuit, day.now);
    let seconds = |ms: u32| format::seconds(ms.into());
    let mut facts = String::new();
    if let (Some(p50), Some(p95)) = (view.quality.p50_ms, view.quality.p95_ms) {
        facts.push_str(&format!(" · p50 {} s, p95 {} s", seconds(p50), seconds(p95)));
        if let Some(promise) = view.slo.as_ref().and_then(|slo| slo.latency_p95_ms) {
            facts.push_str(&format!(" of {} s promised", seconds(promise)));
        }
    }
    if let Some(answered) = view.quality.success_rate.map(format::permille_of_share) {
        let (share, count) = (format::percent(answered), view.quality.attempts);
        facts.push_str(&format!(" · {share}% of {count} answered in 5 min"));
    }
    let mut lines = vec![vec![(circuit, theme.tone(tone)), (facts, theme.text())]];
    if let Some(reason) = &view.circuit.reason {
        let times = match view.circuit.opened {
            0 | 1 => String::new(),
            opened => format!(", opened {opened} times"),
        };
        lines.push(vec![(format!("{reason}{times}"), theme.text())]);
    }
    let failed = day.tail.newest_first().take(ROWS_MAX).find_map(|row| {
        let sent =
            row.sent().filter(|sent| sent.provider == view.name && !sent.status.is_answer())?;
        Some((row, sent))
    });
    if let Some((row, sent)) = failed {
        let (word, tone) = status::receipt(row.status());
        let tone = tone.map_or(theme.dim(), |tone| theme.tone(tone));
        let why = sent.error.as_deref().unwrap_or(&sent.why);
        lines.push(vec![
            (format!("latest failure {} ", format::clock(row.at)), theme.text()),
            (word.to_owned(), tone),
            (format!(" {} · {why}", row.run), theme.text()),
        ]);
    }
    lines
}

/// The keys that act on it; one that cannot be used now says why instead.
fn keys(page: &Page<'_>, model: &Model, is_run: bool, is_provider: bool) -> Line {
    let theme = page.theme;
    let mut all: Vec<(Action, &str)> = Vec::new();
    if is_run {
        all.extend([(Action::Budget, "raise budget"), (Action::Pause, "pause run")]);
    }
    if is_provider {
        all.push((Action::Circuit, "circuit"));
    }
    all.extend([
        (Action::Snooze, "snooze 30m"),
        (Action::Ack, "ack"),
        (Action::Resolved, "resolved too"),
    ]);
    let mut line = Vec::new();
    for (action, word) in all {
        let key = model.settings.keys.first(action);
        match action.refusal(model) {
            None => {
                line.push((key, theme.key()));
                line.push((format!(" {word}   "), theme.text()));
            }
            Some(reason) => line.push((format!("{key} {word}: {reason}   "), theme.dim())),
        }
    }
    line
}

/// When it fired, who said what about it, when it ended, and how often it had been there before.
fn story(page: &Page<'_>, model: &Model, alert: &Alert) -> Vec<Line> {
    let theme = page.theme;
    let day = model.day();
    let mut line = vec![
        (format!("{} ", format::clock(alert.since)), theme.dim()),
        ("fired".into(), theme.tone(Tone::Critical)),
    ];
    let mut add = |at: Option<tollgate_shared::time::Timestamp>, words: String| {
        let at = at.map_or(String::new(), |at| format!("{} ", format::clock(at)));
        line.push((format!("   {at}"), theme.dim()));
        line.push((words, theme.text()));
    };
    if let Some(by) = &alert.acked_by {
        match alert.snoozed_until {
            Some(until) => {
                add(alert.acked_at, format!("snoozed by {by} until {}", format::clock(until)))
            }
            None => add(alert.acked_at, format!("acked by {by}")),
        }
    }
    if alert.state == AlertState::Resolved {
        add(alert.resolved_at, "ended".into());
    }
    let mut lines = vec![line];
    if let Some(note) = &alert.note {
        lines.push(page.fact("note", note.clone()));
    }
    lines.push(before(page, model, alert));
    let said = day.changes.iter().rev().filter(|change| change.subject == alert.id).take(3);
    for change in said {
        let note = change.note.as_ref().map_or(String::new(), |note| format!(": {note}"));
        lines.push(vec![
            (format!("{} ", format::clock(change.at)), theme.dim()),
            (format!("{} by {}{note}", change.what, change.who), theme.text()),
        ]);
    }
    lines
}

/// How often it has been there before, and when last.
fn before(page: &Page<'_>, model: &Model, alert: &Alert) -> Line {
    let is_same = |other: &&Alert| other.id == alert.id && other.since != alert.since;
    let earlier: Vec<&Alert> = rows::resolved(model.day()).filter(is_same).collect();
    let words = match earlier.first() {
        None => "not that this console knows".into(),
        Some(last) => {
            let took = last.resolved_at.map_or(String::new(), |at| {
                format!(", for {}", format::age(format::seconds_since(at, last.since)))
            });
            let age = format::age(format::seconds_since(model.day().now, last.since));
            format!("{} times, last {age} ago{took}", earlier.len())
        }
    };
    vec![("seen before: ".into(), page.theme.dim()), (words, page.theme.text())]
}

/// Rows of the tail that are looked through: the newest ones say why.
const ROWS_MAX: usize = 2_000;
