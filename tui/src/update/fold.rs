//! What the backend told, folded into the day.
//!
//! In this order: the connection, then a snapshot where there is one, then what came after it.
//! Sums come from seconds, rows from receipts, and the ledger's word is compared at its very place
//! between the receipts. Refuses to know keys and dialogs.
//!
//! ```text
//! delta:  receipt receipt │ checkpoint │ receipt       compared after two, not after three
//! ```

use tollgate_shared::time::Timestamp;
use tollgate_shared::window::WindowKind;

use crate::feed::{Delta, LinkChange};
use crate::format;
use crate::message::{Call, Effect, Purpose, Target};
use crate::model::{ChartWindow, Day, Freshness, Link, Model, PaneId, Verdict};

/// A second of this machine's clock has passed.
pub(super) fn clock(model: &mut Model, now: Timestamp) -> Vec<Effect> {
    let now = now.plus_millis(model.skew_ms);
    let minute = model.live.now.seconds() / 60;
    model.live.now = model.live.now.max(now);
    model.toasts.retain(|toast| toast.until > now);
    model.undo = model.undo.take().filter(|undo| undo.until > now);
    if matches!(model.freshness(), Freshness::Live(_)) {
        // The heartbeat is young, so nothing has happened that was not told.
        let heard = model.last_frame.unwrap_or(now);
        model.live.history.known_to(heard.floor_to(1));
    }
    let is_new_minute = now.seconds() / 60 != minute;
    if is_new_minute && model.live.ready { metrics(model) } else { Vec::new() }
}

/// The feed has news.
pub(super) fn delta(model: &mut Model, delta: Delta) -> Vec<Effect> {
    if let Some((server, ours)) = delta.clocks {
        let skew = server.millis_since(ours);
        // Less than that is the way of the packet, not a wrong clock.
        model.skew_ms = if skew.abs() > SKEW_MIN_MS { skew } else { 0 };
    }
    let now = delta.at.plus_millis(model.skew_ms);
    // What comes first says how late it is there, even if that is long ago; from then on time goes
    // one way.
    let is_first = delta.snapshot.is_some() && !model.live.ready;
    model.live.now = if is_first { now } else { model.live.now.max(now) };
    if let Some(frame) = delta.last_frame {
        model.last_frame = Some(frame.plus_millis(model.skew_ms));
    }
    model.server_read_only = match &delta.hello {
        Some(hello) => hello.read_only,
        None => model.server_read_only,
    };
    let (receipts, had_snapshot) = (delta.receipts.len(), delta.snapshot.is_some());
    let caught_up = caught_up(&model.live, &delta);
    link(model, &delta, caught_up);
    if let Some(lagged) = &delta.lagged {
        let count = format::grouped(lagged.receipts);
        model.toast(format!("too slow for {count} receipts: sums are exact, rows are missing"));
    }
    let rows = model.live.tail.seen();
    fold(&mut model.live, delta);
    arrive(model, rows);
    if had_snapshot {
        return metrics(model);
    }
    if receipts > 0 {
        super::browse::keep_in_sight(model);
    }
    Vec::new()
}

/// Everything that a delta holds, into the day.
fn fold(day: &mut Day, delta: Delta) {
    if let Some(snapshot) = &delta.snapshot {
        day.reset(snapshot);
    }
    for second in &delta.seconds {
        day.add_second(second);
    }
    let (place, checkpoint) = match &delta.checkpoint {
        Some((place, checkpoint)) => (*place, Some(checkpoint)),
        None => (delta.receipts.len(), None),
    };
    let (before, after) = delta.receipts.split_at(place.min(delta.receipts.len()));
    for receipt in before {
        day.add_receipt(receipt);
    }
    if let Some(checkpoint) = checkpoint {
        day.check(checkpoint);
    }
    for receipt in after {
        day.add_receipt(receipt);
    }
    for refused in &delta.refusals {
        day.tail.push_refusal(refused);
    }
    for budget in delta.budgets.into_values() {
        day.set_budget(budget);
    }
    for (run, event) in delta.runs {
        day.runs.entry(run).or_default().view = Some(event.run);
    }
    for view in delta.providers.into_values() {
        day.set_provider(view);
    }
    for change in delta.changes {
        day.add_change(change);
    }
    for (name, circuit) in delta.circuits {
        day.pulse.turn(&name, &circuit.view(), day.now);
        if let Some(view) = day.providers.get_mut(&name) {
            view.circuit = circuit.view();
        }
    }
    for alert in delta.alerts {
        day.set_alert(alert);
    }
}

/// How many receipts were missed while the connection was gone and are known now.
fn caught_up(day: &Day, delta: &Delta) -> u64 {
    let of_snapshot = delta
        .snapshot
        .as_ref()
        .map_or(0, |snapshot| snapshot.checkpoint.receipts.saturating_sub(day.audit.receipts()));
    of_snapshot + u64::try_from(delta.receipts.len()).unwrap_or(0)
}

/// The connection came or went; after a gap the person is told how long it was and what it
/// cost.
fn link(model: &mut Model, delta: &Delta, caught_up: u64) {
    let now = model.live.now;
    match &delta.link {
        None => {}
        Some(LinkChange::Up { .. }) => {
            if let Link::Lost { since, .. } = &model.link
                && model.live.ready
            {
                let gone = format::age(format::seconds_since(now, *since));
                let count = format::grouped(caught_up);
                let sums = match model.live.audit.verdict() {
                    Verdict::Differs { .. } => "Σ≠",
                    Verdict::Waiting | Verdict::Equal => "Σ✓",
                };
                model.toast(format!("back after {gone} · {count} receipts caught up · {sums}"));
            }
            model.link = Link::Up;
        }
        Some(LinkChange::Lost { attempt, retry_at, why }) => {
            let since = match &model.link {
                Link::Lost { since, .. } => *since,
                Link::Connecting | Link::Up => model.last_frame.unwrap_or(now),
            };
            let retry_at = retry_at.plus_millis(model.skew_ms);
            model.link = Link::Lost { since, attempt: *attempt, retry_at, why: why.clone() };
        }
    }
}

/// Rows came; a cursor that is not on the newest one stays where it is.
fn arrive(model: &mut Model, before: u64) {
    let came = model.live.tail.seen() - before;
    if came == 0 || model.frozen.is_some() {
        return;
    }
    let day = &model.live;
    let fits = model.filter.as_ref().map_or(came, |filtered| {
        let newest = day.tail.newest_first().take(usize::try_from(came).unwrap_or(usize::MAX));
        let fitting = newest.filter(|row| filtered.filter.fits(row, day.now)).count();
        u64::try_from(fitting).unwrap_or(0)
    });
    let pane = model.panes.at_mut(PaneId::Receipts);
    if !pane.follows() {
        pane.arrivals += fits;
        pane.offset = pane.offset.saturating_add(usize::try_from(fits).unwrap_or(0));
    }
}

/// Asks for what no event carries: the sum since midnight, and the window of the chart.
pub(super) fn metrics(model: &mut Model) -> Vec<Effect> {
    let of_chart = match model.window {
        ChartWindow::Minute | ChartWindow::Quarter => None,
        ChartWindow::Hour => Some(WindowKind::Minute),
        ChartWindow::Day => Some(WindowKind::Hour),
        ChartWindow::Week => Some(WindowKind::Day),
    };
    let mut wanted = vec![WindowKind::Day];
    wanted.extend(of_chart.filter(|kind| *kind != WindowKind::Day));
    wanted.into_iter().map(|kind| Effect::Send(metrics_call(kind))).collect()
}

/// The request for one window.
fn metrics_call(kind: WindowKind) -> Call {
    let word = match kind {
        WindowKind::Minute => "minute",
        WindowKind::Hour => "hour",
        WindowKind::Day => "day",
    };
    Call::get(Purpose::Metrics(kind), Target::Gateway, format!("/metrics?window={word}"))
}

/// Clocks that differ by less are taken as equal.
const SKEW_MIN_MS: i64 = 2_000;
