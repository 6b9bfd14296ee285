//! What an answer of the backend means.
//!
//! A change that was made closes its dialog and says so; one that was refused stays open with the
//! reason; one that somebody else overtook shows both values. Refuses to know HTTP beyond status
//! and body.
//!
//! | answer | what happens |
//! |---|---|
//! | 2xx | the dialog closes, a message says what is so now |
//! | 412 | what holds now is shown, and a second Enter means that |
//! | else | the form stays, with the backend's own words |

use serde::Deserialize;
use tollgate_shared::alert::Alert;
use tollgate_shared::api::{BudgetView, ErrorBody, MetricsView, ProbeView, ReceiptList};
use tollgate_shared::budget::RunState;
use tollgate_shared::circuit::CircuitState;
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::id::{ProviderName, RunId};
use tollgate_shared::window::WindowKind;

use crate::message::{Call, Effect, Purpose, Reply, RunVerb, Target};
use crate::model::{Change, ChartWindow, Conflict, Dialog, Model, Sending, Today, compare};

/// Takes an answer in.
pub(super) fn reply(model: &mut Model, reply: Reply) -> Vec<Effect> {
    let number = reply.number;
    if reply.result.is_ok() && model.unanswered.as_ref().is_some_and(|call| call.number == number) {
        model.unanswered = None;
    }
    let outcome = match reply.result {
        Ok((status @ 200..=299, body)) => Ok((status, body)),
        Ok((412, _)) if matches!(reply.purpose, Purpose::ChangeBudget(_)) => {
            return reread(reply.purpose);
        }
        Ok((412, body)) if matches!(reply.purpose, Purpose::ChangeRun(..)) => {
            overtaken(model, number, &body);
            return Vec::new();
        }
        Ok((412, body)) if matches!(reply.purpose, Purpose::Register(_)) => {
            taken(model, number, &body);
            return Vec::new();
        }
        Ok((status, body)) => Err(refusal(status, &body)),
        Err(why) => Err(why),
    };
    match (reply.purpose, outcome) {
        (Purpose::Metrics(kind), Ok((_, body))) => metrics(model, kind, &body),
        // The header and the chart say what is missing; a toast a minute would only nag.
        (Purpose::Metrics(_), Err(_)) => {}
        (Purpose::Look(look), outcome) => super::fetch::answer(model, look, outcome),
        (Purpose::ChangeBudget(run), Ok((_, body))) => changed(model, number, (&run, &body)),
        (Purpose::RereadBudget(run), Ok((_, body))) => conflict(model, &run, &body),
        (Purpose::RefreshBudget(run), Ok((_, body))) => refreshed(model, &run, &body),
        (Purpose::RefreshBudget(_), Err(why)) => {
            model.toast(format!("the account shown is old: {why}"));
        }
        (Purpose::ChangeRun(run, verb), Ok((_, body))) => {
            close(model, number);
            run_changed(model, (&run, verb), &body);
        }
        (Purpose::Register(name), Ok((status, body))) => {
            close(model, number);
            registered(model, name, (status == 201, &body));
        }
        (Purpose::Probe(name), Ok((_, body))) => probed(model, &name, &body),
        (Purpose::Remove(name), Ok(_)) => {
            close(model, number);
            model.toast(format!("{name} takes no traffic any more"));
        }
        (Purpose::SwitchCircuit(name, before), Ok(_)) => {
            close(model, number);
            switched(model, &name, before);
        }
        (Purpose::Ack(id), Ok((_, body))) => answered(model, &id, ("known", &body)),
        (Purpose::Snooze(id), Ok((_, body))) => answered(model, &id, ("put away", &body)),
        (Purpose::Prove(run), outcome) => proved(model, &run, outcome),
        (Purpose::Undo(what), Ok((_, body))) => {
            if let Ok(view) = serde_json::from_str::<BudgetView>(&body) {
                model.live.set_budget(BudgetEvent::from(&view));
            }
            model.toast(format!("taken back: {what}"));
        }
        (_, Err(why)) => failed(model, number, why),
    }
    Vec::new()
}

/// What an old account really is, before anybody changes it.
fn refreshed(model: &mut Model, run: &RunId, body: &str) {
    let Ok(view) = serde_json::from_str::<BudgetView>(body) else { return };
    let event = BudgetEvent::from(&view);
    if let Some(Dialog::Budget(form)) = &mut model.dialog
        && form.run == *run
        && form.sending == Sending::Not
    {
        form.rebase(event.clone());
    }
    model.live.set_budget(event);
}

/// A run was changed by somebody else while its dialog was open: what is so now is shown, and a
/// second Enter means that.
fn overtaken(model: &mut Model, number: u64, body: &str) {
    /// The part of the refusal that says what holds.
    #[derive(Deserialize)]
    struct Overtaken {
        error: Details,
    }
    #[derive(Deserialize)]
    struct Details {
        details: Now,
    }
    #[derive(Deserialize)]
    struct Now {
        now: BudgetView,
    }
    let Ok(read) = serde_json::from_str::<Overtaken>(body) else {
        let why = "somebody else changed it, and what holds now cannot be read";
        failed(model, number, why.into());
        return;
    };
    let now = read.error.details.now;
    model.live.set_budget(BudgetEvent::from(&now));
    if let Some(Dialog::Confirm(form)) = &mut model.dialog
        && let Change::Run(run, _, version) = &mut form.change
        && *run == now.run_id
        && form.sending == Sending::Waiting(number)
    {
        *version = now.version;
        let words = format!("changed meanwhile, now version {}; Enter goes on", now.version);
        form.sending = Sending::Failed(words);
    }
}

/// What a look at a provider found.
fn probed(model: &mut Model, name: &ProviderName, body: &str) {
    let words = match serde_json::from_str::<ProbeView>(body) {
        Ok(view) if view.ok => format!("{name} answers in {} ms", view.latency_ms),
        Ok(view) => {
            let why = view.error.unwrap_or_else(|| "no answer".into());
            let detail = view.detail.map_or(String::new(), |detail| format!(": {detail}"));
            format!("{name} does not answer: {why}{detail}")
        }
        Err(_) => format!("{name}: the answer cannot be read"),
    };
    model.toast(words);
}

/// A run's receipts, held against the rows that came.
fn proved(model: &mut Model, run: &RunId, outcome: Result<(u16, String), String>) {
    let found = outcome.and_then(|(_, body)| {
        let list = serde_json::from_str::<ReceiptList>(&body)
            .map_err(|error| format!("the receipts cannot be read: {error}"))?;
        compare(&model.live, run, &list.receipts)
    });
    if let Some(Dialog::Proof(view)) = &mut model.dialog
        && view.run.as_ref() == Some(run)
    {
        view.found = Some(found);
    }
}

/// Somebody was faster: what holds now is read before the form is shown again.
fn reread(purpose: Purpose) -> Vec<Effect> {
    let Purpose::ChangeBudget(run) = purpose else { return Vec::new() };
    let path = format!("/budget/{run}");
    vec![Effect::Send(Call::get(Purpose::RereadBudget(run), Target::Gateway, path))]
}

/// The backend's own words where it spoke our error shape.
fn refusal(status: u16, body: &str) -> String {
    match serde_json::from_str::<ErrorBody>(body) {
        Ok(error) => format!("{}: {}", error.error.code, error.error.message),
        Err(_) => format!("the backend answered {status}"),
    }
}

/// The reason goes into the dialog that waits for this very answer, else past the person as a
/// message.
fn failed(model: &mut Model, number: u64, why: String) {
    match model.dialog.as_mut().and_then(Dialog::sending) {
        Some(sending) if *sending == Sending::Waiting(number) => *sending = Sending::Failed(why),
        _ => model.toast(why),
    }
}

/// Closes the dialog that waits for this very answer, and hands it over; another one stays.
fn close(model: &mut Model, number: u64) -> Option<Dialog> {
    let sending = model.dialog.as_mut().and_then(Dialog::sending);
    if sending.is_some_and(|sending| *sending == Sending::Waiting(number)) {
        return model.dialog.take();
    }
    None
}

/// The new budget is shown at once; the event that says the same comes a moment later.
fn changed(model: &mut Model, number: u64, (run, body): (&RunId, &str)) {
    let form = match close(model, number) {
        Some(Dialog::Budget(form)) => Some(form),
        _ => None,
    };
    let Ok(view) = serde_json::from_str::<BudgetView>(body) else {
        model.toast(format!("{run}: the budget was changed"));
        return;
    };
    let limit = view.budget_usd.map_or("none".into(), |limit| limit.rounded(2));
    let mut words = format!("{run}: the budget is ${limit}, version {}", view.version);
    // Without a limit before there is nothing to go back to.
    let back = form.and_then(|form| Some((form.base.enforced.limit_usd?, form.base.mode)));
    if let Some((before, mode)) = back {
        let mode = serde_json::to_string(&mode).unwrap_or_default();
        let body = format!("{{\"run_id\":\"{run}\",\"budget_usd\":{before},\"mode\":{mode}}}");
        let what = format!("{run} has ${} again", before.rounded(2));
        let purpose = Purpose::Undo(what.clone());
        let call = Call::post(purpose, Target::Gateway, "/budget", body).of_version(view.version);
        model.offer_undo(what, call);
        words.push_str(UNDO_HINT);
    }
    model.live.set_budget(BudgetEvent::from(&view));
    model.toast(words);
}

/// A run was paused, resumed or closed. Pausing and resuming can be taken back; closing answers
/// agents for good, so it cannot.
fn run_changed(model: &mut Model, (run, verb): (&RunId, RunVerb), body: &str) {
    let before = model.live.runs.get(run).map(crate::model::RunEntry::state);
    let mut words = format!("{run} is {}", verb.done());
    if let Ok(view) = serde_json::from_str::<BudgetView>(body) {
        let back = match (verb, before) {
            (RunVerb::Pause, _) => Some(RunVerb::Resume),
            (RunVerb::Resume, Some(RunState::Paused)) => Some(RunVerb::Pause),
            _ => None,
        };
        if let Some(back) = back {
            let what = format!("{run} is {}", back.done());
            let path = format!("/runs/{run}/{}", back.word());
            let purpose = Purpose::Undo(what.clone());
            let call = Call::post(purpose, Target::Gateway, path, "{}".into());
            model.offer_undo(what, call.of_version(view.version));
            words.push_str(UNDO_HINT);
        }
        model.live.set_budget(BudgetEvent::from(&view));
    }
    model.toast(words);
}

/// A change answers with what it made; its version is what an undo must name.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// The name is in use: what is there is not written over unless a second Enter says so.
fn taken(model: &mut Model, number: u64, body: &str) {
    #[derive(Deserialize)]
    struct Taken {
        error: Details,
    }
    #[derive(Deserialize)]
    struct Details {
        details: Now,
    }
    #[derive(Deserialize)]
    struct Now {
        current: u64,
    }
    let current = serde_json::from_str::<Taken>(body).map(|read| read.error.details.current);
    let waits = Sending::Waiting(number);
    if let Some(Dialog::Register(form)) = &mut model.dialog
        && form.sending == waits
    {
        form.sending = Sending::Failed(match current {
            Ok(version) => {
                form.version = Some(version);
                format!("this name is taken, at version {version}; Enter registers it anew")
            }
            Err(_) => "this name is taken".into(),
        });
    }
}

/// A provider that was new can be taken back; a new card over an old one cannot, for receipts
/// may name it already.
fn registered(model: &mut Model, name: Option<ProviderName>, (is_new, body): (bool, &str)) {
    let version = serde_json::from_str::<Versioned>(body).map(|read| read.version).ok();
    let called = name.as_ref().map_or("the provider".to_owned(), ToString::to_string);
    let mut words = format!("{called} is registered{}", if is_new { "" } else { " anew" });
    if let (Some(name), true, Some(version)) = (name, is_new, version) {
        let what = format!("{name} is removed");
        let path = format!("/providers/{name}");
        let call = Call::delete(Purpose::Undo(what.clone()), Target::Router, path);
        // Somebody who registered it anew since then is not undone.
        model.offer_undo(what, call.of_version(version));
        words.push_str(UNDO_HINT);
    }
    model.toast(words);
}

/// A circuit was switched; one that was closed can be closed again.
fn switched(model: &mut Model, name: &ProviderName, before: CircuitState) {
    let mut words = format!("the circuit of {name} was switched");
    if before == CircuitState::Closed {
        let what = format!("the circuit of {name} is closed");
        let body = r#"{"state":"closed","reason":"taken back"}"#.to_owned();
        let path = format!("/providers/{name}/circuit");
        let call = Call::post(Purpose::Undo(what.clone()), Target::Router, path, body);
        model.offer_undo(what, call);
        words.push_str(UNDO_HINT);
    }
    model.toast(words);
}

/// An alert was answered; what the backend says of it now is shown at once.
fn answered(model: &mut Model, id: &str, (word, body): (&str, &str)) {
    // An answer may come after the news that the condition has ended.
    if let Ok(alert) = serde_json::from_str::<Alert>(body)
        && model.live.alerts.contains_key(id)
    {
        model.live.set_alert(alert);
    }
    model.toast(format!("{id} is {word}"));
}

/// Somebody else was first: their value, ours, and the form open for a second decision.
fn conflict(model: &mut Model, run: &RunId, body: &str) {
    let Ok(view) = serde_json::from_str::<BudgetView>(body) else {
        if let Some(Dialog::Budget(form)) = &mut model.dialog
            && form.run == *run
        {
            let why = "somebody else changed it, and what holds now cannot be read";
            form.sending = Sending::Failed(why.into());
        }
        return;
    };
    let event = BudgetEvent::from(&view);
    if let Some(Dialog::Budget(form)) = &mut model.dialog
        && form.run == *run
    {
        if let Ok(ours) = form.target() {
            let before = form.base.enforced.limit_usd;
            let modes = (form.base.mode, view.mode);
            form.conflict = Some(Conflict { before, theirs: view.budget_usd, ours, modes });
            // What was relative meant the old limit; it is shown as the amount it was.
            form.amount = ours.to_string().into();
        }
        form.rebase(event.clone());
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

/// What stands after a change that can be taken back.
const UNDO_HINT: &str = " · u takes it back for 10 s";
