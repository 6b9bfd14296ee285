//! Stories: keys, news and answers in, the model and effects out.

use tollgate_shared::event::{Checkpoint, Second};
use tollgate_shared::receipt::Receipt;
use tollgate_shared::window::Sums;

use super::*;
use crate::feed::{Delta, LinkChange};
use crate::fixture::{self, empty, model, now, press, usd};
use crate::message::{Call, Purpose, Reply, Target};
use crate::model::{Dialog, Freshness, Key, PaneId, Sending, Verdict, rows};

const SIZE: (u16, u16) = (120, 40);

fn hear(model: &mut Model, delta: Delta) -> Vec<Effect> {
    update(model, Message::Delta(Box::new(delta)))
}

fn news(receipts: Vec<Receipt>, after_ms: i64) -> Delta {
    let at = now().plus_millis(after_ms);
    Delta { at, last_frame: Some(at), receipts, ..Delta::default() }
}

fn new_receipt(run: &str, seq: u64, cost: &str) -> Receipt {
    let mut receipt = fixture::receipts().remove(0);
    receipt.run_id = run.parse().unwrap();
    (receipt.seq, receipt.cost_usd) = (seq, usd(cost));
    receipt
}

fn reply(model: &mut Model, purpose: Purpose, status: u16, body: &str) -> Vec<Effect> {
    update(model, Message::Reply(Reply { purpose, result: Ok((status, body.to_owned())) }))
}

fn sent(effects: &[Effect]) -> &Call {
    match effects {
        [Effect::Send(call)] => call,
        other => panic!("one request was expected: {other:?}"),
    }
}

fn budget_form(model: &Model) -> &crate::model::BudgetForm {
    match &model.dialog {
        Some(Dialog::Budget(form)) => form,
        other => panic!("no budget form: {other:?}"),
    }
}

fn said(model: &Model, words: &str) -> bool {
    model.toasts.iter().any(|toast| toast.text.contains(words))
}

#[test]
fn every_action_does_something_or_says_why_not() {
    for action in Action::all() {
        for mut model in [model(SIZE), empty(SIZE)] {
            let reason = action.refusal(&model);
            assert!(!action.help().is_empty() && !action.name().is_empty());
            assert!(reason.as_ref().is_none_or(|reason| reason.len() > 10), "{action:?}");
            run(&mut model, action);
            assert_eq!(said(&model, action.name()), reason.is_some(), "{action:?}");
        }
    }
}

#[test]
fn read_only_lists_what_changes_and_refuses_it() {
    let mut model = model(SIZE);
    model.settings.read_only = true;
    for (keys, name) in [("b", "budget"), ("+", "raise"), ("o", "circuit"), ("r", "register")] {
        assert_eq!(press(&mut model, keys), []);
        assert!(model.dialog.is_none() && said(&model, &format!("{name}: READ-ONLY")), "{name}");
    }
}

#[test]
fn no_single_key_spends_and_escape_never_quits() {
    for action in Action::all() {
        let key = crate::keys::KeyMap::default().first(action);
        let mut model = model(SIZE);
        let effects = press(&mut model, &key);
        let spends = effects.iter().any(|e| matches!(e, Effect::Send(call) if call.body.is_some()));
        assert!(!spends, "{key}");
    }
    let mut model = model(SIZE);
    assert_eq!(press(&mut model, "Esc Esc Esc ? Esc r Esc / Esc Esc"), []);
    assert_eq!(press(&mut model, "C-c"), [Effect::Quit]);
    assert_eq!(press(&mut model, "? C-c"), [], "it closes the dialog first");
    assert_eq!(press(&mut model, "q"), [Effect::Quit]);
}

#[test]
fn sums_follow_receipts_to_the_last_digit() {
    let mut model = model(SIZE);
    let base = model.live.audit.total();
    hear(&mut model, news(vec![new_receipt("R-207", 900, "0.000000000001")], 100));
    let total = base + usd("0.000000000001");
    assert_eq!(model.live.audit.total(), total);
    let mut delta =
        news(vec![new_receipt("R-207", 901, "0.5"), new_receipt("R-207", 902, "0.25")], 200);
    // The ledger spoke between the two receipts; the second one is not in its word.
    let ledger = Checkpoint { posted_usd: total + usd("0.5"), ..Checkpoint::default() };
    delta.checkpoint = Some((1, ledger));
    hear(&mut model, delta);
    assert_eq!(model.live.audit.verdict(), &Verdict::Equal);
    let mut delta = news(Vec::new(), 300);
    delta.checkpoint = Some((0, Checkpoint { posted_usd: total, ..Checkpoint::default() }));
    hear(&mut model, delta);
    assert!(
        matches!(model.live.audit.verdict(), Verdict::Differs { by, .. } if *by == usd("-0.75"))
    );
}

#[test]
fn seconds_make_burn_and_today() {
    let mut model = model(SIZE);
    let before = model.live.today.unwrap().spent;
    let sums = Sums { cost_usd: usd("0.25"), requests: 1, ..Sums::default() };
    let second = Second { at: now().floor_to(1), all: sums, ..Second::default() };
    let mut delta = news(Vec::new(), 1_000);
    delta.seconds = vec![second];
    hear(&mut model, delta);
    assert_eq!(model.live.today.unwrap().spent, before + usd("0.25"));
    let midnight = "2026-11-24T00:00:00Z".parse().unwrap();
    let mut delta = news(Vec::new(), 2_000);
    delta.seconds = vec![Second { at: midnight, all: sums, ..Second::default() }];
    hear(&mut model, delta);
    assert_eq!(model.live.today.unwrap().spent, usd("0.25"), "a new day begins at nothing");
}

#[test]
fn the_cursor_stays_on_its_run_when_the_order_changes() {
    let mut model = model(SIZE);
    press(&mut model, "j j");
    let run = rows::run_at_cursor(&model).unwrap();
    assert_eq!(run.as_str(), "R-204");
    press(&mut model, "s S s");
    let mut delta = news(Vec::new(), 100);
    let mut budget = model.live.runs[&run].budget.clone().unwrap();
    budget.runway_s = Some(5);
    delta.budgets.insert(run.clone(), budget);
    hear(&mut model, delta);
    assert_eq!(rows::run_at_cursor(&model), Some(run));
}

#[test]
fn receipts_follow_at_the_newest_row_only() {
    let mut model = model(SIZE);
    press(&mut model, "Tab Tab");
    assert_eq!(model.panes.focus, PaneId::Receipts);
    assert!(model.focused().follows());
    press(&mut model, "j j");
    let selected = model.focused().selected.clone();
    hear(
        &mut model,
        news(vec![new_receipt("R-207", 900, "1"), new_receipt("R-207", 901, "1")], 50),
    );
    assert_eq!(model.focused().selected, selected);
    assert_eq!((model.focused().arrivals, model.focused().offset), (2, 2));
    press(&mut model, "g");
    assert!(model.focused().follows());
    assert_eq!(model.focused().arrivals, 0);
}

#[test]
fn a_filter_narrows_and_a_bad_one_keeps_the_last_good() {
    let mut model = model(SIZE);
    let all = rows::receipts(&model).count();
    press(&mut model, "/ r u n : R - 2 0 7");
    let narrowed = rows::receipts(&model).count();
    assert_eq!((all, narrowed), (16, 4));
    press(&mut model, "Space x : y");
    assert_eq!(rows::receipts(&model).count(), 0, "`x` alone is a word that is nowhere");
    let Some(Dialog::Filter(line)) = &model.dialog else { panic!("the line is open") };
    assert_eq!(line.error.as_ref().map(|error| error.start), Some(10));
    press(&mut model, "Esc");
    assert_eq!(rows::receipts(&model).count(), all);
}

#[test]
fn a_budget_is_changed_through_a_dialog_with_its_version() {
    let mut model = model(SIZE);
    assert_eq!(press(&mut model, "j b + 2 5"), []);
    let after = budget_form(&model).after(budget_form(&model).target().unwrap());
    assert_eq!(after.runway_s, Some(6_615));
    let effects = press(&mut model, "Enter");
    let call = sent(&effects);
    assert_eq!(call.body.as_deref(), Some(r#"{"run_id":"R-207","budget_usd":75}"#));
    assert_eq!((call.path.as_str(), call.if_match), ("/budget", Some(7)));
    assert_eq!(press(&mut model, "Enter Enter"), [], "it is under way");
    let purpose = call.purpose.clone();
    let refusal = r#"{"error":{"code":"invalid_budget","message":"too much"}}"#;
    reply(&mut model, purpose.clone(), 422, refusal);
    assert_eq!(budget_form(&model).sending, Sending::Failed("invalid_budget: too much".into()));
    press(&mut model, "Enter");
    reply(&mut model, purpose, 200, &budget_view("75", 8));
    assert!(model.dialog.is_none() && said(&model, "R-207: the budget is $75.00, version 8"));
    let run = &model.live.runs["R-207"];
    assert_eq!(run.budget.as_ref().unwrap().enforced.limit_usd, Some(usd("75")));
}

fn budget_view(limit: &str, version: u64) -> String {
    format!(
        r#"{{"run_id":"R-207","budget_usd":{limit},"spent_usd":45.12,"held_usd":0,
        "available_usd":1,"percent_used":1,"level":"ok","blocked":false,"mode":"clamp",
        "version":{version},"state":"open","posted_usd":45.12,"unknown_usd":0,"uncertain_usd":0,
        "max_overshoot_usd":0,"burn_usd_per_min":0.271,"runway_s":9}}"#
    )
}

#[test]
fn nobody_overwrites_anybody_silently() {
    let mut model = model(SIZE);
    let effects = press(&mut model, "j b + 2 5 Enter");
    let effects = reply(&mut model, sent(&effects).purpose.clone(), 412, "{}");
    let call = sent(&effects);
    assert_eq!((call.path.as_str(), call.body.as_ref()), ("/budget/R-207", None));
    reply(&mut model, call.purpose.clone(), 200, &budget_view("60", 8));
    let form = budget_form(&model);
    let conflict = form.conflict.clone().unwrap();
    assert_eq!(conflict.before, Some(usd("50")));
    assert_eq!((conflict.theirs, conflict.ours), (Some(usd("60")), usd("75")));
    assert_eq!((form.base.version, form.amount.value()), (8, "75"));
    assert_eq!(sent(&press(&mut model, "Enter")).if_match, Some(8));
}

#[test]
fn one_step_is_filled_in_and_not_sent() {
    let mut model = model(SIZE);
    assert_eq!(press(&mut model, "j +"), []);
    assert_eq!(budget_form(&model).target(), Ok(usd("60")));
    press(&mut model, "Esc -");
    assert_eq!(budget_form(&model).target(), Ok(usd("40")));
}

#[test]
fn a_circuit_is_switched_with_a_reason() {
    let mut model = model(SIZE);
    press(&mut model, "Tab G o Tab Tab d r i l l");
    let effects = press(&mut model, "Enter");
    let call = sent(&effects);
    assert_eq!(
        (call.target, call.path.as_str()),
        (Target::Router, "/providers/gemini-flash/circuit")
    );
    let body = r#"{"state":"open","reason":"drill","for_s":300}"#;
    assert_eq!(call.body.as_deref(), Some(body));
    reply(&mut model, call.purpose.clone(), 200, "{}");
    assert!(model.dialog.is_none() && said(&model, "gemini-flash"));
}

#[test]
fn a_pasted_registration_is_sent_as_shown() {
    let mut model = model(SIZE);
    press(&mut model, "r Enter");
    assert!(matches!(&model.dialog, Some(Dialog::Register(form)) if form.checked));
    let seed = r#"{"name":"my-gpt4","model":"gpt-4","context_window":8192,
        "cost_per_input_token":0.00003,"cost_per_output_token":0.00006,
        "endpoint":"http://localhost:8100","features":null}"#;
    update(&mut model, Message::Paste(seed.into()));
    let effects = press(&mut model, "Enter");
    let call = sent(&effects);
    assert_eq!(call.path, "/register");
    assert!(call.body.as_ref().unwrap().contains(r#""cost_per_output_token":0.00006"#));
    reply(&mut model, call.purpose.clone(), 201, "{}");
    assert!(model.dialog.is_none() && said(&model, "registered"));
}

#[test]
fn a_lost_connection_ages_and_comes_back_with_a_count() {
    let mut model = model(SIZE);
    assert_eq!(model.freshness(), Freshness::Live(200));
    update(&mut model, Message::Clock(now().plus_millis(7_000)));
    assert_eq!(model.freshness(), Freshness::Late(7));
    let link = LinkChange::Lost { attempt: 1, retry_at: now(), why: "gone".into() };
    hear(&mut model, Delta { at: now().plus_millis(8_000), link: Some(link), ..Delta::default() });
    assert_eq!(model.freshness(), Freshness::Lost);
    assert_eq!(press(&mut model, "0"), [Effect::Reconnect]);
    let mut back = news(vec![new_receipt("R-207", 900, "1")], 41_000);
    back.link = Some(LinkChange::Up { resumed: true });
    hear(&mut model, back);
    assert!(said(&model, "back after 41s · 1 receipts caught up · Σ✓"), "{:?}", model.toasts);
    assert_eq!(model.freshness(), Freshness::Live(0));
}

#[test]
fn a_frozen_screen_stands_still_and_counts() {
    let mut model = model(SIZE);
    press(&mut model, "f");
    let rows = model.day().tail.seen();
    hear(&mut model, news(vec![new_receipt("R-207", 900, "1")], 50));
    assert_eq!(model.day().tail.seen(), rows);
    assert_eq!(model.live.tail.seen(), rows + 1);
    press(&mut model, "b");
    assert!(model.dialog.is_none() && said(&model, "frozen"));
    press(&mut model, "f");
    assert_eq!(model.day().tail.seen(), rows + 1);
}

#[test]
fn a_longer_window_asks_for_its_sums() {
    let mut model = model(SIZE);
    let effects = press(&mut model, "t");
    let paths: Vec<_> = effects
        .iter()
        .map(|effect| match effect {
            Effect::Send(call) => call.path.as_str(),
            _ => "",
        })
        .collect();
    assert_eq!(paths, ["/metrics?window=day", "/metrics?window=minute"]);
}

#[test]
fn help_runs_the_line_it_finds() {
    let mut model = model(SIZE);
    press(&mut model, "? f r e e z e Enter");
    assert!(model.frozen.is_some() && model.dialog.is_none());
}

#[test]
fn copies_go_to_the_clipboard() {
    let mut model = model(SIZE);
    assert_eq!(press(&mut model, "j y"), [Effect::Copy("R-207".into())]);
    assert_eq!(model.focused().selected, Some(Key::Run("R-207".parse().unwrap())));
}

#[test]
fn a_snapshot_after_lag_repeats_no_row() {
    let mut model = model(SIZE);
    let rows = model.live.tail.seen();
    let mut again = fixture::day();
    again.refusals.clear();
    hear(&mut model, again);
    assert_eq!(model.live.tail.seen(), rows);
}

#[test]
fn settings_are_taken_whole_or_not_at_all() {
    let mut model = model(SIZE);
    press(&mut model, "H");
    let chord = |name| crate::message::Chord::read(name).unwrap();
    let keys = model.settings.keys.with(vec![(Action::Freeze, vec![chord("C-f")])]).unwrap();
    let settings = Settings { profile: "other".into(), keys, ..Settings::default() };
    update(&mut model, Message::Settings(Ok(Box::new(settings))));
    press(&mut model, "f");
    assert!(model.frozen.is_none(), "f is nobody's key now");
    press(&mut model, "C-f");
    assert!(model.frozen.is_some() && model.settings.hide_money);
    update(&mut model, Message::Settings(Err("config.toml:3:7: no such theme".into())));
    assert!(said(&model, "config.toml:3:7") && model.settings.profile == "other");
}
