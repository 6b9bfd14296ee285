//! Alerts at every size, in every state.

use tollgate_shared::alert::{Alert, AlertState, Severity};

use crate::fixture;
use crate::model::{Model, rows};
use crate::view::tests::{check, every_state};

/// The made-up day, an hour after somebody said something and two things ended.
fn told(size: (u16, u16)) -> Model {
    let mut model = fixture::model(size);
    let at = |ago_s: i64| fixture::now().plus_millis(-1_000 * ago_s);
    let change = |model: &mut Model, id: &str, said: &dyn Fn(&mut Alert)| {
        let mut alert = model.live.alerts[id].clone();
        said(&mut alert);
        model.live.set_alert(alert);
    };
    change(&mut model, "budget:R-198", &|alert| {
        alert.state = AlertState::Acked;
        (alert.acked_by, alert.acked_at) = (Some("dana".into()), Some(at(600)));
        alert.note = Some("the evaluation is over".into());
    });
    change(&mut model, "budget:R-204", &|alert| {
        alert.state = AlertState::Acked;
        (alert.acked_by, alert.acked_at) = (Some("lee".into()), Some(at(60)));
        alert.snoozed_until = Some(at(-1_740));
    });
    for (id, subject, ago, what) in [
        ("circuit:openai-gpt4o", "openai-gpt4o", 11_520, "circuit open: 3 time-outs in a row"),
        ("budget:R-207", "R-207", 7_200, "budget at 75% of $25.00"),
    ] {
        model.live.end(Alert {
            id: id.into(),
            severity: Severity::Critical,
            subject: subject.into(),
            rule: "circuit".into(),
            since: at(ago),
            what: what.into(),
            state: AlertState::Resolved,
            resolved_at: Some(at(ago - 220)),
            ..Alert::default()
        });
    }
    model
}

#[test]
fn alerts() {
    every_state("alerts", "6 j j");
}

#[test]
fn what_is_known_away_or_over_looks_it() {
    for (name, keys) in
        [("alerts_told", "6 v j"), ("alerts_provider", "6 v"), ("alerts_known", "6 v G k")]
    {
        for size in [(80, 24), (120, 40), (200, 50)] {
            let mut model = told(size);
            fixture::press(&mut model, keys);
            check(name, &model);
        }
    }
}

#[test]
fn what_ended_is_listed_when_asked_for_and_once() {
    let mut model = told((120, 40));
    let ids = |model: &Model| -> Vec<String> {
        rows::alert_lines(model).into_iter().map(|alert| alert.id.clone()).collect()
    };
    assert_eq!(ids(&model).len(), 6);
    fixture::press(&mut model, "6 v");
    let shown = ids(&model);
    assert_eq!(shown.last().map(String::as_str), Some("circuit:openai-gpt4o"));
    assert_eq!(shown.iter().filter(|id| *id == "budget:R-207").count(), 1, "{shown:?}");
    fixture::press(&mut model, "G Enter");
    assert!(model.dialog.is_some(), "one that ended opens as well");
}

#[test]
fn amounts_in_words_are_hidden_as_well() {
    let text = "budget at 90% of $50.00, $1,204.5 left; nothing$";
    let hidden = crate::view::detail::without_amounts(text);
    assert_eq!(hidden, "budget at 90% of $••• $••• left; nothing$•••");
}
