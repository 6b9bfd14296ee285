//! Stories: keys, news and answers in, the model and effects out.

use tollgate_shared::event::{Checkpoint, Second};
use tollgate_shared::receipt::Receipt;
use tollgate_shared::window::Sums;

use super::*;
use crate::feed::{Delta, LinkChange};
use crate::fixture::{self, empty, model, now, press, usd};
use crate::message::{Call, Click, Method, Purpose, Reply, Target};
use crate::model::{Dialog, Freshness, Key, PaneId, Screen, Sending, Verdict, rows};

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
    let number = model.sent;
    update(model, Message::Reply(Reply { purpose, number, result: Ok((status, body.to_owned())) }))
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
            let refused = said(&model, &format!("{}: ", action.here(&model).name()));
            assert_eq!(refused, reason.is_some(), "{action:?}");
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
        if key.is_empty() {
            continue;
        }
        let mut model = model(SIZE);
        let effects = press(&mut model, &key);
        let spends = effects.iter().any(|effect| {
            matches!(effect, Effect::Send(call) if call.method != Method::Get
                && !matches!(call.purpose, Purpose::Ack(_) | Purpose::Snooze(_) | Purpose::Probe(_)))
        });
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
    assert_eq!(press(&mut model, "j y y"), [Effect::Copy("R-207".into())]);
    assert_eq!(press(&mut model, "y i"), [Effect::Copy("R-207".into())]);
    let Some(Effect::Copy(json)) = press(&mut model, "J").pop() else { panic!("nothing") };
    assert!(json.contains(r#""run_id":"R-207""#), "{json}");
    let Some(Effect::Copy(curl)) = press(&mut model, "C").pop() else { panic!("nothing") };
    assert!(curl.ends_with("/budget/R-207'"), "{curl}");
    let Some(Effect::Copy(screen)) = press(&mut model, "Y").pop() else { panic!("nothing") };
    assert!(screen.contains("R-207") && screen.lines().count() == usize::from(SIZE.1));
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
    let settings = Settings { fps: Some(9), profile: "x".into(), keys, ..Settings::default() };
    update(&mut model, Message::Settings(Ok(Box::new(settings))));
    press(&mut model, "f");
    assert!(model.frozen.is_none(), "f is nobody's key now");
    press(&mut model, "C-f");
    assert!(model.frozen.is_some() && model.settings.hide_money);
    assert_eq!(model.settings.profile, "prod", "the connection is what it was");
    update(&mut model, Message::Settings(Err("config.toml:3:7: no such theme".into())));
    assert!(said(&model, "config.toml:3:7") && model.settings.fps == Some(9));
}

/// Where the operator's answer is on the screen.
fn screen(model: &Model) -> String {
    let area = ratatui::layout::Rect::new(0, 0, model.size.0, model.size.1);
    let mut buffer = ratatui::buffer::Buffer::empty(area);
    let theme = crate::theme::Theme::new(model.settings.theme, crate::theme::Depth::None);
    crate::view::view(model, &theme, area, &mut buffer);
    crate::picture::text(&buffer)
}

#[test]
fn a_run_is_paused_with_its_version_and_taken_back() {
    let mut model = model(SIZE);
    assert_eq!(press(&mut model, "j x"), []);
    assert!(screen(&model).contains("in flight ends and is paid"), "the consequence first");
    let effects = press(&mut model, "w h y Enter");
    let call = sent(&effects);
    assert_eq!((call.path.as_str(), call.if_match), ("/runs/R-207/pause", Some(7)));
    assert_eq!(call.body.as_deref(), Some(r#"{"note":"why"}"#));
    let paused = budget_view("50", 8);
    reply(&mut model, call.purpose.clone(), 200, &paused);
    assert!(model.dialog.is_none() && said(&model, "u takes it back"));
    let back = press(&mut model, "u");
    assert_eq!(sent(&back).path, "/runs/R-207/resume");
    assert_eq!(sent(&back).if_match, Some(8), "the version that our own change made");
    assert_eq!(press(&mut model, "u"), [], "once");
}

#[test]
fn an_undo_is_offered_for_ten_seconds() {
    let mut model = model(SIZE);
    let effects = press(&mut model, "j + Enter");
    let call = sent(&effects).clone();
    let view = budget_view("75", 8);
    reply(&mut model, call.purpose, 200, &view);
    let mut late = model.clone();
    let undo = press(&mut model, "u");
    assert_eq!(
        sent(&undo).body.as_deref(),
        Some(r#"{"run_id":"R-207","budget_usd":50,"mode":"clamp"}"#)
    );
    update(&mut late, Message::Clock(fixture::now().plus_millis(11_000)));
    assert_eq!(press(&mut late, "u"), []);
}

#[test]
fn closing_and_removing_want_the_name() {
    for (keys, name, path) in
        [("j X", "R-207", "/runs/R-207/close"), ("3 x", "azure-gpt4o", "/providers/azure-gpt4o")]
    {
        let mut model = model(SIZE);
        assert_eq!(press(&mut model, keys), []);
        assert_eq!(press(&mut model, "Enter"), [], "{name} was not typed");
        assert!(screen(&model).contains(&format!("type {name} to go on")));
        let typed: String = name.chars().flat_map(|letter| [letter, ' ']).collect();
        let effects = press(&mut model, &format!("{typed} Enter"));
        assert_eq!(sent(&effects).path, path);
    }
}

#[test]
fn the_worst_alert_is_known_with_one_key_from_every_screen() {
    for screen in ["1", "2", "3", "4", "5", "7"] {
        let mut model = model(SIZE);
        press(&mut model, screen);
        let effects = press(&mut model, "a");
        assert_eq!(sent(&effects).path, "/alerts/circuit%3Aazure-gpt4o/ack", "screen {screen}");
    }
}

#[test]
fn operators_reach_their_answers_in_few_keys() {
    // Who caused the spike: nothing to press, WHO stands on the dashboard; its run in one.
    let mut spike = model((120, 40));
    assert!(screen(&spike).contains("R-207"));
    press(&mut spike, "2");
    assert!(screen(&spike).contains("R-207"));
    // Raise a budget: the cursor, the dialog filled in, Enter.
    let mut raise = model(SIZE);
    assert!(
        sent(&press(&mut raise, "j + Enter")).body.as_ref().unwrap().contains("\"budget_usd\":")
    );
    // Register by paste: the form, the paste, Enter.
    let mut register = model(SIZE);
    press(&mut register, "r");
    let pasted = r#"{"name":"new-one","model":"gpt-4","context_window":8192,"cost_per_input_token":0.00003,"cost_per_output_token":0.00006,"endpoint":"http://localhost:8100"}"#;
    update(&mut register, Message::Paste(pasted.into()));
    assert_eq!(sent(&press(&mut register, "Enter")).path, "/register");
}

#[test]
fn the_palette_opens_dialogs_and_spends_nothing() {
    let mut model = model(SIZE);
    assert_eq!(press(&mut model, ": r a i s e Space 2 0 7 Space 2 5 Enter"), []);
    assert!(matches!(&model.dialog, Some(Dialog::Budget(form)) if form.amount.value() == "+25"));
    press(&mut model, "Esc");
    press(&mut model, ": r u n s Space / r u n : R - 2 * Enter");
    assert_eq!(model.screen, Screen::Runs);
    assert_eq!(model.filter.as_ref().unwrap().text, "run:R-2*");
}

#[test]
fn the_past_is_shown_and_changes_nothing() {
    let mut model = model(SIZE);
    let now = model
        .day()
        .runs
        .values()
        .filter_map(|e| e.budget.as_ref())
        .map(|b| b.enforced.spent_usd())
        .sum::<tollgate_shared::money::Usd>();
    press(&mut model, "[ [ [");
    assert!(screen(&model).contains("AS OF 14:12"), "{}", screen(&model));
    let then = model
        .day()
        .runs
        .values()
        .filter_map(|e| e.budget.as_ref())
        .map(|b| b.enforced.spent_usd())
        .sum();
    assert!(now > then);
    press(&mut model, "b");
    assert!(model.dialog.is_none(), "the past is not for sale");
    press(&mut model, "] ] ]");
    assert!(model.as_of.is_none() && model.frozen.is_none());
    assert_eq!(press(&mut model, "[ 0"), [], "the connection stays");
    assert!(model.as_of.is_none() && model.frozen.is_none());
}

#[test]
fn letters_and_the_mouse_take_the_cursor_to_what_is_seen() {
    let mut model = model(SIZE);
    press(&mut model, "; d");
    let third = rows::keys(&model, PaneId::Budgets)[2].clone();
    assert_eq!(model.focused().selected, Some(third));
    let spot = point::spots(&model).into_iter().find(|(pane, ..)| *pane == PaneId::Providers);
    let (_, key, rect) = spot.unwrap();
    update(&mut model, Message::Mouse(Click::Press, rect.x + 3, rect.y));
    assert_eq!(model.focused().selected, Some(key));
    update(&mut model, Message::Mouse(Click::Press, rect.x + 3, rect.y));
    assert!(matches!(model.dialog, Some(Dialog::Detail(_))), "once more opens it");
    press(&mut model, "Esc");
    update(&mut model, Message::Mouse(Click::Press, 14, SIZE.1 - 1));
    assert_eq!(model.screen, Screen::Runs, "a tab");
}

#[test]
fn exports_hold_what_the_pane_lists() {
    let mut model = model(SIZE);
    let Some(Effect::Write(file)) = press(&mut model, "e c").pop() else { panic!("no file") };
    assert_eq!((file.stem.as_str(), file.ending), ("budgets", "csv"));
    assert_eq!(file.text.lines().count(), model.live.runs.len() + 1);
}

#[test]
fn the_first_receipt_that_differs_is_one_key_away() {
    let mut model = model(SIZE);
    hear(
        &mut model,
        news(vec![new_receipt("R-207", 9_900, "0.5"), new_receipt("R-207", 9_902, "0.25")], 100),
    );
    let call = sent(&press(&mut model, "j D")).clone();
    assert!(call.path.starts_with("/receipts/R-207?after=8902&limit="), "{}", call.path);
    let mut list = |lines: &str| {
        let body =
            format!(r#"{{"run_id":"R-207","count":3,"total_cost_usd":1,"receipts":[{lines}]}}"#);
        reply(&mut model, call.purpose.clone(), 200, &body);
        screen(&model)
    };
    let equal = list(r#"{"seq":9900,"cost_usd":0.5},{"seq":9902,"cost_usd":0.25}"#);
    assert!(equal.contains("2 receipts are equal, seq 9900 to 9902"), "{equal}");
    let missing = list(
        r#"{"seq":9900,"cost_usd":0.5},{"seq":9901,"cost_usd":0.125},{"seq":9902,"cost_usd":0.25}"#,
    );
    assert!(missing.contains("seq 9901 of $0.125 is in the ledger and never came"), "{missing}");
    let other = list(r#"{"seq":9900,"cost_usd":0.500000000001}"#);
    assert!(other.contains("seq 9900 came with $0.5; the ledger has $0.500000000001"), "{other}");
    assert!(list("7").contains("cannot be read"));
}

#[test]
fn an_old_account_is_read_anew_before_it_is_changed() {
    let mut model = model(SIZE);
    assert_eq!(press(&mut model, "j b Esc"), [], "what is fresh is not asked for");
    update(&mut model, Message::Clock(now().plus_millis(30_000)));
    let effects = press(&mut model, "b");
    assert_eq!(sent(&effects).path, "/budget/R-207");
    reply(&mut model, sent(&effects).purpose.clone(), 200, &budget_view("60", 9));
    assert_eq!(budget_form(&model).base.version, 9);
    assert_eq!(budget_form(&model).conflict, None, "nobody was overtaken");
}

#[test]
fn a_run_that_somebody_else_changed_asks_once_more() {
    let mut model = model(SIZE);
    let effects = press(&mut model, "j x Enter");
    let body = format!(
        r#"{{"error":{{"code":"version_mismatch","message":"it is at version 9, not 7","details":{{"expected":7,"current":9,"now":{}}}}}}}"#,
        budget_view("60", 9)
    );
    reply(&mut model, sent(&effects).purpose.clone(), 412, &body);
    assert!(screen(&model).contains("changed meanwhile, now version 9"));
    assert_eq!(sent(&press(&mut model, "Enter")).if_match, Some(9));
}

#[test]
fn somebody_elses_mode_is_not_taken_back_unasked() {
    let mut model = model(SIZE);
    press(&mut model, "j b 7 5");
    let effects = press(&mut model, "Enter");
    let call = sent(&effects).clone();
    let reread = reply(&mut model, call.purpose, 412, "{}");
    let theirs = budget_view("50", 8).replace(r#""mode":"clamp""#, r#""mode":"hard""#);
    reply(&mut model, sent(&reread).purpose.clone(), 200, &theirs);
    assert!(screen(&model).contains("clamp → hard"), "{}", screen(&model));
    let body = sent(&press(&mut model, "Enter")).body.clone().unwrap();
    assert!(!body.contains("clamp"), "{body}");
}

#[test]
fn nothing_is_sent_from_the_past_from_a_frozen_screen_or_read_only() {
    let mut model = model(SIZE);
    let effects = press(&mut model, "j + Enter");
    let call = sent(&effects).clone();
    reply(&mut model, call.purpose, 200, &budget_view("75", 8));
    for keys in ["f u", "[ u"] {
        let mut model = model.clone();
        assert_eq!(press(&mut model, keys), [], "{keys}");
    }
    let mut later = model.clone();
    later.live.now = later.live.now.plus_millis(60_000);
    assert_eq!(press(&mut later, "u"), [], "a minute later, whatever the clock's tick did");
    // A dialog that was open when the connection became read-only does not send.
    press(&mut model, "b 9 9");
    model.server_read_only = true;
    assert_eq!(press(&mut model, "Enter"), []);
    assert!(screen(&model).contains("READ-ONLY"));
}

#[test]
fn frozen_under_the_past_is_the_present() {
    let mut model = model(SIZE);
    press(&mut model, "[ f");
    assert!(model.as_of.is_none() && model.frozen.is_none());
}

#[test]
fn an_answer_closes_its_own_dialog_only() {
    let mut model = model(SIZE);
    let first = press(&mut model, "j b 7 5 Enter");
    let first = sent(&first).clone();
    press(&mut model, "Esc b 9 9");
    let number = first.number;
    let result = Ok((200, budget_view("75", 8)));
    update(&mut model, Message::Reply(Reply { purpose: first.purpose, number, result }));
    assert_eq!(budget_form(&model).amount.value(), "99");
    // A late failure of something else does not speak in a dialog that waits for its own answer.
    let second = press(&mut model, "Enter");
    let purpose = Purpose::Probe("azure-gpt4o".parse().unwrap());
    let late = Reply { purpose, number: 99, result: Err("no answer: timed out".into()) };
    update(&mut model, Message::Reply(late));
    assert_eq!(budget_form(&model).sending, Sending::Waiting(sent(&second).number));
    // No answer, and Enter again: the same request under the same number.
    let lost = Reply {
        purpose: sent(&second).purpose.clone(),
        number: sent(&second).number,
        result: Err("no answer: timed out".into()),
    };
    update(&mut model, Message::Reply(lost));
    let again = press(&mut model, "Enter");
    assert_eq!(sent(&again).number, sent(&second).number);
}

#[test]
fn late_answers_do_not_undo_later_news() {
    let mut model = model(SIZE);
    let run = "R-207".parse::<tollgate_shared::id::RunId>().unwrap();
    let mut newer = model.live.runs[&run].budget.clone().unwrap();
    newer.version = 9;
    newer.enforced.limit_usd = Some(usd("20"));
    model.live.set_budget(newer);
    reply(&mut model, Purpose::ChangeBudget(run.clone()), 200, &budget_view("75", 8));
    assert_eq!(model.live.runs[&run].budget.as_ref().unwrap().version, 9);
    let alert = model.live.alerts.values().next().unwrap().clone();
    model.live.alerts.remove(&alert.id);
    let body = serde_json::to_string(&alert).unwrap();
    reply(&mut model, Purpose::Ack(alert.id.clone()), 200, &body);
    assert!(!model.live.alerts.contains_key(&alert.id));
}

#[test]
fn keys_on_an_alert_mean_its_own_subject_or_nothing() {
    let mut model = model(SIZE);
    let mut fleet = model.live.alerts.values().next().unwrap().clone();
    fleet.id = "budget:*".into();
    fleet.subject = "*".into();
    model.live.alerts.insert(fleet.id.clone(), fleet.clone());
    press(&mut model, "6");
    model.panes.at_mut(PaneId::Alerts).selected = Some(Key::Alert(fleet.id.clone()));
    press(&mut model, "+");
    assert!(model.dialog.is_none(), "no run is meant");
    press(&mut model, "o");
    assert!(model.dialog.is_none(), "no provider is meant");
    assert_eq!(sent(&press(&mut model, "a")).path, "/alerts/budget%3A%2A/ack");
    model.live.alerts.remove(&fleet.id);
    assert_eq!(press(&mut model, "a"), [], "it is over, and no other one was meant");
}

#[test]
fn the_palette_runs_the_line_that_was_seen() {
    let mut model = model(SIZE);
    press(&mut model, ": a l e r t s Space a c k ↓ ↓");
    let Some(Dialog::Palette(line)) = &model.dialog else { panic!("no palette") };
    let seen = line.chosen.clone().unwrap();
    let mut sooner = model.live.alerts.values().next().unwrap().clone();
    sooner.id = "a:0".into();
    model.live.alerts.insert(sooner.id.clone(), sooner);
    let effects = press(&mut model, "Enter");
    let id = seen.strip_prefix("alerts ack ").unwrap();
    assert_eq!(sent(&effects).purpose, Purpose::Ack(id.to_owned()));
}

#[test]
fn a_name_that_is_taken_is_not_written_over_at_the_first_enter() {
    let mut model = model(SIZE);
    press(&mut model, "r");
    let pasted = r#"{"name":"azure-gpt4o","model":"gpt-4","context_window":8192,"cost_per_input_token":0.00003,"cost_per_output_token":0.00006,"endpoint":"http://localhost:8100"}"#;
    update(&mut model, Message::Paste(pasted.into()));
    let effects = press(&mut model, "Enter");
    assert_eq!(sent(&effects).if_match, Some(0));
    let body = r#"{"error":{"code":"version_mismatch","message":"","details":{"expected":0,"current":3}}}"#;
    reply(&mut model, sent(&effects).purpose.clone(), 412, body);
    assert!(screen(&model).contains("this name is taken, at version 3"));
    assert_eq!(sent(&press(&mut model, "Enter")).if_match, Some(3));
}
