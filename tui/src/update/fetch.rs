//! What is asked and folded because somebody looks at it.
//!
//! After every key and every second: sums of the Routing screen are folded, plans and exact lines
//! are asked for where the cursor rests, days once a minute. Nothing is asked twice, and nothing
//! while the connection is gone. Refuses to know what the screens make of the answers.
//!
//! | somebody looks at | asked |
//! |---|---|
//! | a receipt, from one look to the next | `GET /explain/{request}`, `GET /receipts/{run}?…` |
//! | the days | `GET /report/daily?days=8`, each minute |
//! | alerts that ended | `GET /alerts?state=resolved`, each minute |

use std::sync::Arc;

use tollgate_shared::api::{AlertList, DailyReport, ExplainView, ReceiptList};
use tollgate_shared::time::Timestamp;

use crate::message::segment;
use crate::message::{Call, Effect, Look, Purpose, Target};
use crate::model::{Answer, Dialog, Key, Link, Model, PaneId, Screen, rows};

/// Looks at what is shown; answers what has to be asked for it. A receipt is asked about at a tick,
/// for a person who holds a key does not rest.
pub(super) fn look(model: &mut Model, is_tick: bool) -> Vec<Effect> {
    if model.screen == Screen::Routing {
        let mut routing = std::mem::take(&mut model.routing);
        routing.refresh(model.day());
        model.routing = routing;
    }
    if matches!(model.link, Link::Lost { .. }) || !model.live.ready {
        return Vec::new();
    }
    let mut calls = receipt(model, is_tick);
    let now = model.live.now;
    let is_due = |at: Option<Timestamp>| at.is_none_or(|at| now.millis_since(at) >= EVERY_MS);
    if model.screen == Screen::Reports && is_due(model.fetched.report_at) {
        model.fetched.report_at = Some(now);
        model.fetched.report.get_or_insert(Answer::Asked);
        calls.push((Look::Days, format!("/report/daily?days={DAYS}")));
    }
    if model.screen == Screen::Alerts && model.resolved && is_due(model.fetched.ended_at) {
        model.fetched.ended_at = Some(now);
        calls.push((Look::Ended, "/alerts?state=resolved".into()));
    }
    let send = |(look, path)| Effect::Send(Call::get(Purpose::Look(look), Target::Gateway, path));
    calls.into_iter().map(send).collect()
}

/// What has to be asked for the receipt that is looked at: its plan, and the lines of its place.
fn receipt(model: &mut Model, is_tick: bool) -> Vec<(Look, String)> {
    let of_detail = match &model.dialog {
        Some(Dialog::Detail(detail)) => Some(detail.of.clone()),
        _ => None,
    };
    let of_screen = || match model.screen {
        Screen::Receipts => rows::cursor(model, PaneId::Receipts),
        _ => None,
    };
    let Some(Key::Row(serial)) = of_detail.or_else(of_screen) else { return Vec::new() };
    let rests = model.fetched.resting.replace(serial) == Some(serial) && is_tick;
    let Some(row) = model.day().tail.row(serial).filter(|_| rests).cloned() else {
        return Vec::new();
    };
    let mut calls = Vec::new();
    if model.fetched.plan(&row.run, &row.request).is_none() {
        model.fetched.set_plan(&row.run, &row.request, Answer::Asked);
        let path = format!("/explain/{}?run_id={}", segment(row.request.as_str()), row.run);
        calls.push((Look::Plan(row.run.clone(), row.request.clone()), path));
    }
    if let Some(sent) = row.sent()
        && !model.fetched.asked_lines(&row.run, sent.seq)
    {
        model.fetched.set_lines(&row.run, sent.seq, Answer::Asked);
        let (after, before) = (sent.seq.saturating_sub(2), sent.seq.saturating_add(1));
        let path = format!("/receipts/{}?after={after}&before={before}&limit=2", row.run);
        calls.push((Look::Lines(row.run.clone(), sent.seq), path));
    }
    calls
}

/// Takes an answer in; one that is missing is shown where it was looked for.
pub(super) fn answer(model: &mut Model, look: Look, outcome: Result<(u16, String), String>) {
    let body = outcome.map(|(_, body)| body);
    let fetched = &mut model.fetched;
    match look {
        Look::Plan(run, request) => {
            let found = read::<ExplainView>(body);
            fetched.set_plan(
                &run,
                &request,
                found.map_or_else(Answer::Missing, |view| Answer::Here(Arc::new(view))),
            );
        }
        Look::Lines(run, seq) => match read::<ReceiptList>(body) {
            Ok(list) => {
                let lines = list.receipts.iter().map(|line| line.get().to_owned()).collect();
                fetched.keep_lines(&run, seq, lines);
            }
            Err(why) => fetched.set_lines(&run, seq, Answer::Missing(why)),
        },
        Look::Days => match read::<DailyReport>(body) {
            Ok(report) => fetched.report = Some(Answer::Here(Arc::new(report))),
            // Days that were heard once are better than none.
            Err(_) if fetched.days().is_some() => {}
            Err(why) => fetched.report = Some(Answer::Missing(why)),
        },
        Look::Ended => {
            for alert in read::<AlertList>(body).map(|list| list.alerts).unwrap_or_default() {
                model.live.end(alert);
            }
        }
    }
}

/// What a body says, or why it says nothing.
fn read<T: serde::de::DeserializeOwned>(body: Result<String, String>) -> Result<T, String> {
    let body = body?;
    serde_json::from_str(&body).map_err(|error| format!("the answer cannot be read: {error}"))
}

/// How often the days and the ended alerts are asked for while they are shown, in milliseconds.
const EVERY_MS: i64 = 60_000;

/// Days that are asked for: a week, and the day before it to compare with.
const DAYS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::message::{Message, Reply};
    use crate::update::update;

    fn paths(effects: &[Effect]) -> Vec<String> {
        let path = |effect: &Effect| match effect {
            Effect::Send(call) => Some(call.path.clone()),
            _ => None,
        };
        effects.iter().filter_map(path).collect()
    }

    fn tick(model: &mut Model, after_s: i64) -> Vec<String> {
        let now = fixture::now().plus_millis(after_s * 1_000);
        paths(&update(model, Message::Clock(now)))
    }

    #[test]
    fn a_receipt_is_asked_about_once_when_the_cursor_rests() {
        let mut model = fixture::model((120, 40));
        assert_eq!(paths(&fixture::press(&mut model, "4 j j j")), [""; 0], "it still moves");
        let asked = tick(&mut model, 1);
        assert_eq!(
            asked,
            ["/explain/req-R-190-103?run_id=R-190", "/receipts/R-190?after=101&before=104&limit=2"]
        );
        assert_eq!(tick(&mut model, 2), [""; 0]);
        assert_eq!(paths(&fixture::press(&mut model, "k")), [""; 0]);
        assert_eq!(
            tick(&mut model, 3),
            ["/receipts/R-190?after=102&before=105&limit=2"],
            "one plan"
        );
    }

    #[test]
    fn days_are_asked_for_each_minute_and_stay_when_an_answer_fails() {
        let mut model = fixture::model((120, 40));
        let asked = paths(&fixture::press(&mut model, "7"));
        assert_eq!(asked, ["/report/daily?days=8"]);
        assert_eq!(paths(&fixture::press(&mut model, "j k")), [""; 0]);
        let reply = |result| {
            Message::Reply(Reply { purpose: Purpose::Look(Look::Days), number: 0, result })
        };
        update(&mut model, reply(Ok((404, "{}".into()))));
        assert!(matches!(model.fetched.report, Some(Answer::Missing(_))));
        let body = serde_json::to_string(&fixture::report()).unwrap();
        update(&mut model, reply(Ok((200, body))));
        assert_eq!(model.fetched.days(), Some(&fixture::report()));
        update(&mut model, reply(Err("no answer".into())));
        assert!(model.fetched.days().is_some());
        assert!(tick(&mut model, 70).contains(&"/report/daily?days=8".to_owned()));
    }
}
