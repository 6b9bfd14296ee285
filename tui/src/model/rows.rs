//! The rows of each pane, in the order they are shown.
//!
//! The view draws these lists and the keys walk over them, so the cursor and the picture cannot
//! disagree. Sorted by trouble unless asked otherwise. Refuses to know cells and colours.
//!
//! | pane | by trouble |
//! |---|---|
//! | budgets | frozen, blocked, then by runway; those that will not run out by share |
//! | providers | open, half-open, slower than promised, the rest |
//! | alerts | not yet known, then by severity, youngest first; then what ended |
//! | receipts | newest first, always |

use std::cmp::Reverse;
use std::sync::Arc;

use tollgate_shared::alert::{Alert, AlertState};
use tollgate_shared::budget::RunState;
use tollgate_shared::circuit::CircuitState;
use tollgate_shared::id::RunId;
use tollgate_shared::money::{Percent, Usd};
use tollgate_shared::provider::ProviderView;

use super::history::QUARTER_S;
use super::{Day, History, Key, Model, PaneId, Row, RunEntry};
use super::{reports, routing};

/// One line of WHO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhoLine {
    /// The name within the group.
    pub name: Arc<str>,
    /// Spent over fifteen minutes.
    pub quarter: Usd,
    /// Dollars a minute, over the last one.
    pub now: Usd,
    /// Dollars a minute, over the fifteen.
    pub mean: Usd,
}

/// The identities of a pane's rows, in order.
pub fn keys(model: &Model, pane: PaneId) -> Vec<Key> {
    match pane {
        PaneId::Budgets => super::tree::lines(model).iter().map(super::tree::Line::key).collect(),
        PaneId::Providers => {
            providers(model).into_iter().map(|view| Key::Provider(view.name.clone())).collect()
        }
        PaneId::Receipts => receipts(model).map(|row| Key::Row(row.serial)).collect(),
        PaneId::Alerts => {
            alert_lines(model).into_iter().map(|alert| Key::Alert(alert.id.clone())).collect()
        }
        PaneId::Who => who(model).into_iter().map(|line| Key::Name(line.name)).collect(),
        PaneId::Objectives | PaneId::Experiments | PaneId::Fallbacks => routing::keys(model, pane),
        PaneId::Days | PaneId::Invoice => reports::keys(model, pane),
    }
}

/// The thing that the cursor of a pane is on: what was selected, else its first row.
pub fn cursor(model: &Model, pane: PaneId) -> Option<Key> {
    let selected = model.panes.at(pane).selected.as_ref();
    let day = model.day();
    let exists = selected.is_some_and(|key| match key {
        Key::Run(run) | Key::Agent(run, _) => day.runs.contains_key(run),
        Key::Provider(name) => day.providers.contains_key(name),
        Key::Alert(id) => alert(model, id).is_some(),
        Key::Row(serial) => day.tail.row(*serial).is_some(),
        Key::Name(_) => true,
    });
    match (exists, pane) {
        (true, _) => selected.cloned(),
        (false, PaneId::Receipts) => receipts(model).next().map(|row| Key::Row(row.serial)),
        (false, _) => keys(model, pane).into_iter().next(),
    }
}

/// The run that keys such as `b` act on, given the focus.
pub fn run_at_cursor(model: &Model) -> Option<RunId> {
    let day = model.day();
    let named = |name: &str| day.runs.keys().find(|run| run.as_str() == name).cloned();
    let found = match cursor(model, model.panes.focus) {
        Some(Key::Run(run) | Key::Agent(run, _)) => Some(run),
        Some(Key::Row(serial)) => day.tail.row(serial).map(|row| row.run.clone()),
        // An alert about an agent is about its run; one about no run is about none.
        Some(Key::Alert(id)) => {
            let subject = day.alerts.get(&id).map(|alert| alert.subject.as_str())?;
            return named(subject.split_once('/').map_or(subject, |(run, _)| run));
        }
        Some(Key::Name(name)) => named(&name),
        Some(Key::Provider(_)) | None => None,
    };
    found.or_else(|| match cursor(model, PaneId::Budgets) {
        Some(Key::Run(run) | Key::Agent(run, _)) => Some(run),
        _ => None,
    })
}

/// The provider that keys such as `o` act on, given the focus.
pub fn provider_at_cursor(model: &Model) -> Option<&ProviderView> {
    let day = model.day();
    let found = match cursor(model, model.panes.focus) {
        Some(Key::Provider(name)) => day.providers.get(&name),
        Some(Key::Row(serial)) => {
            let row = day.tail.row(serial);
            row.and_then(|row| day.providers.get(&row.sent()?.provider))
        }
        // An alert about no provider is about none.
        Some(Key::Alert(id)) => {
            return day.providers.get(day.alerts.get(&id)?.subject.as_str());
        }
        Some(Key::Name(name)) => day.providers.get(&*name),
        Some(Key::Run(_) | Key::Agent(..)) | None => None,
    };
    found.or_else(|| match cursor(model, PaneId::Providers) {
        Some(Key::Provider(name)) => day.providers.get(&name),
        _ => None,
    })
}

/// The alert that keys such as `a` act on: the one at the cursor, else the worst that nobody has
/// answered, which is the one in the header.
pub fn alert_at_cursor(model: &Model) -> Option<&Alert> {
    let day = model.day();
    if model.panes.focus == PaneId::Alerts {
        // Where a cursor stands on alerts it means that one, or none when that one is over.
        let selected = model.panes.at(PaneId::Alerts).selected.clone();
        return match selected.or_else(|| cursor(model, PaneId::Alerts)) {
            Some(Key::Alert(id)) => day.alerts.get(&id),
            _ => None,
        };
    }
    // One that came within the last second was not on the screen when the key was meant.
    let seen = day.now.plus_millis(-1_000);
    alerts(day).into_iter().find(|alert| alert.state == AlertState::Open && alert.since <= seen)
}

/// Runs in the order of the budgets pane.
pub fn budgets(model: &Model) -> Vec<(&RunId, &RunEntry)> {
    let pane = model.panes.at(PaneId::Budgets);
    let mut rows: Vec<_> = model.day().runs.iter().collect();
    match pane.sort {
        1 => rows.sort_by_key(|(_, entry)| Reverse(spent(entry))),
        2 => rows.sort_by_key(|(_, entry)| Reverse(burn(entry))),
        3 => rows.sort_by_key(|(_, entry)| Reverse(share(entry))),
        4 => {}
        _ => rows.sort_by_key(|(_, entry)| trouble(entry)),
    }
    let mut rows = turned(rows, pane.reversed);
    // What a person pinned stands first, in every order.
    rows.sort_by_key(|(run, _)| !model.pins.contains(run));
    rows
}

/// Providers in the order of their pane.
pub fn providers(model: &Model) -> Vec<&ProviderView> {
    let (pane, day) = (model.panes.at(PaneId::Providers), model.day());
    let mut rows: Vec<_> = day.providers.values().collect();
    match pane.sort {
        1 => {
            let burns = History::grouped(day.history.minute(), super::Group::Provider);
            rows.sort_by_key(|view| Reverse(burns.get(view.name.as_str()).map(|s| s.cost_usd)));
        }
        2 => rows.sort_by_key(|view| Reverse(view.quality.p95_ms)),
        3 => rows.sort_by_key(|view| Reverse(view.cost_per_output_token)),
        4 => {}
        _ => rows.sort_by_key(|view| provider_trouble(view)),
    }
    turned(rows, pane.reversed)
}

/// Who spends, in the order of its pane.
pub fn who(model: &Model) -> Vec<WhoLine> {
    let (pane, history) = (model.panes.at(PaneId::Who), &model.day().history);
    let quarter = History::grouped(history.spans(QUARTER_S), model.group);
    let minute = History::grouped(history.minute(), model.group);
    // In its first minute a swarm is compared with that minute, not with a part of it.
    let known_s = history.known_s(QUARTER_S.unsigned_abs()).max(60);
    let mut rows: Vec<_> = quarter
        .into_iter()
        .map(|(name, sums)| WhoLine {
            name: name.into(),
            quarter: sums.cost_usd,
            now: minute.get(name).map_or(Usd::ZERO, |sums| sums.cost_usd),
            mean: crate::format::per_minute(sums.cost_usd, known_s),
        })
        .collect();
    match pane.sort {
        1 => rows.sort_by_key(|line| Reverse(line.now)),
        2 => {}
        _ => rows.sort_by_key(|line| Reverse(line.quarter)),
    }
    turned(rows, pane.reversed)
}

/// Alerts: unacknowledged before known, worst first, youngest first.
pub fn alerts(day: &Day) -> Vec<&Alert> {
    let mut rows: Vec<_> = day.alerts.values().collect();
    rows.sort_by_key(|alert| {
        (alert.state != AlertState::Open, Reverse(alert.severity), Reverse(alert.since))
    });
    rows
}

/// What the alerts pane lists: what holds, then, where asked for, what ended; each identity once.
pub fn alert_lines(model: &Model) -> Vec<&Alert> {
    let day = model.day();
    let mut rows = alerts(day);
    if model.resolved {
        for alert in resolved(day) {
            if rows.iter().all(|known| known.id != alert.id) {
                rows.push(alert);
            }
        }
    }
    rows
}

/// Alerts that ended, newest first.
pub fn resolved(day: &Day) -> impl Iterator<Item = &Alert> {
    day.resolved.iter().rev()
}

/// The alert of an identity: as it holds, else as it ended where those are shown.
pub fn alert<'a>(model: &'a Model, id: &str) -> Option<&'a Alert> {
    let day = model.day();
    let ended = || resolved(day).find(|alert| model.resolved && alert.id == id);
    day.alerts.get(id).or_else(ended)
}

/// Receipts and refusals that the filter lets through, newest first.
pub fn receipts(model: &Model) -> impl Iterator<Item = &Arc<Row>> {
    let day = model.day();
    let filter = model.filter.as_ref();
    day.tail
        .newest_first()
        .filter(move |row| filter.is_none_or(|filtered| filtered.filter.fits(row, day.now)))
}

/// The list, or the list from its other end.
fn turned<T>(mut rows: Vec<T>, reversed: bool) -> Vec<T> {
    if reversed {
        rows.reverse();
    }
    rows
}

/// Blocked, then frozen and paused, then by runway, then those that will not run out by share.
fn trouble(entry: &RunEntry) -> (u8, u64, Reverse<u64>) {
    let Some(budget) = &entry.budget else { return (5, 0, Reverse(0)) };
    let fullness = Reverse(share(entry));
    match (budget.state, budget.blocked, budget.runway_s) {
        (RunState::Frozen, ..) => (0, 0, fullness),
        (RunState::Closed, ..) => (4, 0, fullness),
        (_, true, _) => (1, 0, fullness),
        (RunState::Open, _, Some(seconds)) => (2, seconds, fullness),
        _ => (3, 0, fullness),
    }
}

/// Open, half-open, slower than promised, then the rest; within each by how few were answered.
fn provider_trouble(view: &ProviderView) -> (u8, u64, &str) {
    let state = match view.circuit.state {
        CircuitState::Open => 0,
        CircuitState::HalfOpen => 1,
        CircuitState::Closed if is_over_promise(view) => 2,
        CircuitState::Closed => 3,
    };
    let ok = view.quality.success_rate.map_or(1_000, crate::format::permille_of_share);
    (state, ok, view.name.as_str())
}

/// Whether a provider's measured p95 is above what it promises.
pub fn is_over_promise(view: &ProviderView) -> bool {
    let promise = view.slo.as_ref().and_then(|slo| slo.latency_p95_ms);
    view.quality.p95_ms.zip(promise).is_some_and(|(found, promise)| found > promise)
}

/// What a run has spent, from its budget where there is one.
fn spent(entry: &RunEntry) -> Usd {
    let of_view = entry.view.as_ref().map(|view| view.spent_usd);
    entry.budget.as_ref().map(|budget| budget.enforced.spent_usd()).or(of_view).unwrap_or_default()
}

/// Dollars a minute; nothing without a budget event.
fn burn(entry: &RunEntry) -> Usd {
    entry.budget.as_ref().map(|budget| budget.burn_usd_per_min).unwrap_or_default()
}

/// Hundredths of a percent of the limit that are spent; zero without a limit.
fn share(entry: &RunEntry) -> u64 {
    let enforced = entry.budget.as_ref().map(|budget| budget.enforced).unwrap_or_default();
    let limit = enforced.limit_usd.unwrap_or_default();
    Percent::of(enforced.spent_usd(), limit).hundredths()
}
