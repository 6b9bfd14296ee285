//! What an answer of the backend means.
//!
//! A change that was made closes its dialog and says so; one that was refused stays open with the
//! reason; one that somebody else overtook shows both values. Refuses to know HTTP beyond status
//! and body.
//!
//! | answer | what happens |
//! |---|---|
//! | 2xx | the dialog closes, a message says what is so now |
//! | 412 | what holds now is read, and the form reopens with both values |
//! | else | the form stays, with the backend's own words |

use tollgate_shared::api::{BudgetView, ErrorBody, MetricsView};
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::id::RunId;
use tollgate_shared::window::WindowKind;

use crate::message::{Call, Effect, Purpose, Reply, Target};
use crate::model::{ChartWindow, Conflict, Dialog, Model, Sending, Today};

/// Takes an answer in.
pub(super) fn reply(model: &mut Model, reply: Reply) -> Vec<Effect> {
    let outcome = match reply.result {
        Ok((status @ 200..=299, body)) => Ok((status, body)),
        Ok((412, _)) if matches!(reply.purpose, Purpose::ChangeBudget(_)) => {
            return reread(reply.purpose);
        }
        Ok((status, body)) => Err(refusal(status, &body)),
        Err(why) => Err(why),
    };
    match (reply.purpose, outcome) {
        (Purpose::Metrics(kind), Ok((_, body))) => metrics(model, kind, &body),
        // The header and the chart say what is missing; a toast a minute would only nag.
        (Purpose::Metrics(_), Err(_)) => {}
        (Purpose::ChangeBudget(run), Ok((_, body))) => changed(model, &run, &body),
        (Purpose::RereadBudget(run), Ok((_, body))) => conflict(model, &run, &body),
        (Purpose::Register, Ok((status, _))) => {
            if let Some(Dialog::Register(_)) = model.dialog {
                model.dialog = None;
            }
            model.toast(if status == 201 { "registered" } else { "registered anew" });
        }
        (Purpose::SwitchCircuit(name), Ok(_)) => {
            if let Some(Dialog::Circuit(_)) = model.dialog {
                model.dialog = None;
            }
            model.toast(format!("the circuit of {name} was switched"));
        }
        (_, Err(why)) => failed(model, why),
    }
    Vec::new()
}

/// Somebody was faster: what holds now is read before the form is shown again.
fn reread(purpose: Purpose) -> Vec<Effect> {
    let Purpose::ChangeBudget(run) = purpose else { return Vec::new() };
    vec![Effect::Send(Call {
        path: format!("/budget/{run}"),
        purpose: Purpose::RereadBudget(run),
        target: Target::Gateway,
        body: None,
        if_match: None,
        number: 0,
    })]
}

/// The backend's own words where it spoke our error shape.
fn refusal(status: u16, body: &str) -> String {
    match serde_json::from_str::<ErrorBody>(body) {
        Ok(error) => format!("{}: {}", error.error.code, error.error.message),
        Err(_) => format!("the backend answered {status}"),
    }
}

/// The reason goes into the dialog that waits for it, else past the person as a message.
fn failed(model: &mut Model, why: String) {
    let sending = match &mut model.dialog {
        Some(Dialog::Budget(form)) => Some(&mut form.sending),
        Some(Dialog::Circuit(form)) => Some(&mut form.sending),
        Some(Dialog::Register(form)) => Some(&mut form.sending),
        _ => None,
    };
    match sending {
        Some(sending) if *sending == Sending::Waiting => *sending = Sending::Failed(why),
        _ => model.toast(why),
    }
}

/// The new budget is shown at once; the event that says the same comes a moment later.
fn changed(model: &mut Model, run: &RunId, body: &str) {
    if let Some(Dialog::Budget(form)) = &model.dialog
        && form.run == *run
    {
        model.dialog = None;
    }
    match serde_json::from_str::<BudgetView>(body) {
        Ok(view) => {
            let limit = view.budget_usd.map_or("none".into(), |limit| limit.rounded(2));
            model.live.set_budget(BudgetEvent::from(&view));
            model.toast(format!("{run}: the budget is ${limit}, version {}", view.version));
        }
        Err(_) => model.toast(format!("{run}: the budget was changed")),
    }
}

/// Somebody else was first: their value, ours, and the form open for a second decision.
fn conflict(model: &mut Model, run: &RunId, body: &str) {
    let Ok(view) = serde_json::from_str::<BudgetView>(body) else {
        failed(model, "somebody else changed it, and what holds now cannot be read".into());
        return;
    };
    let event = BudgetEvent::from(&view);
    if let Some(Dialog::Budget(form)) = &mut model.dialog
        && form.run == *run
    {
        if let Ok(ours) = form.target() {
            let before = form.base.enforced.limit_usd;
            form.conflict = Some(Conflict { before, theirs: view.budget_usd, ours });
            // What was relative meant the old limit; it is shown as the amount it was.
            form.amount = ours.to_string().into();
        }
        form.base = event.clone();
        form.sending = Sending::Not;
    }
    model.live.set_budget(event);
}

/// Sums of a window; the last day of the week's window is today.
fn metrics(model: &mut Model, kind: WindowKind, body: &str) {
    let Ok(view) = serde_json::from_str::<MetricsView>(body) else { return };
    if kind == WindowKind::Day
        && let Some(last) = view.buckets.last()
    {
        model.live.today = Some(Today { since: last.start, spent: last.cost_usd });
    }
    let wanted = match model.window {
        ChartWindow::Minute | ChartWindow::Quarter => None,
        ChartWindow::Hour => Some(WindowKind::Minute),
        ChartWindow::Day => Some(WindowKind::Hour),
        ChartWindow::Week => Some(WindowKind::Day),
    };
    if wanted == Some(kind) {
        model.metrics = Some(view);
    }
}
