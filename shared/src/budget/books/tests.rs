//! The books, by small stories. Random histories against a naive model are in the `tests` package.

use super::*;
use crate::budget::{
    Account, BudgetChange, BudgetError, CapSource, Need, Outcome, RunState, StateChange, Unresolved,
};
use crate::money::Usd;

const T0: Timestamp = Timestamp::from_micros(0);

fn request(attempt: usize, run: &str, cap: u64) -> HoldRequest {
    let need = Need {
        fixed: Usd::from_picos(100),
        likely_fixed: Usd::from_picos(30),
        per_output_token: Usd::from_picos(1),
        stated_cap: Some(cap),
        model_max: 1_000_000,
    };
    HoldRequest {
        attempt_id: format!("a-{attempt}").parse().unwrap(),
        run_id: run.parse().unwrap(),
        agent: "agent".parse().unwrap(),
        model: "model".parse().unwrap(),
        need,
        smallest: need.smallest(),
    }
}

fn budget(run: &str, picos: i128) -> BudgetChange {
    BudgetChange::limit(run.parse().unwrap(), Usd::from_picos(picos))
}

fn set(books: &mut Books, change: &BudgetChange) -> Result<(), BudgetError> {
    books.set_budget(change, Account::default(), (T0, T0)).map(drop)
}

fn available(books: &Books, run: &str) -> i128 {
    books.run(&run.parse().unwrap()).unwrap().account.available().unwrap().picos()
}

#[test]
fn nothing_settles_twice() {
    let mut books = Books::default();
    let held = request(1, "r", 10);
    books.hold(&held, T0).unwrap();
    assert!(books.settle(&held.attempt_id, Outcome::Voided, T0).is_ok());
    let again = books.settle(&held.attempt_id, Outcome::Unknown, T0);
    assert!(matches!(again, Err(BudgetError::NoHold(_))));
}

#[test]
fn a_bill_above_its_hold_freezes_the_run() {
    let mut books = Books::default();
    set(&mut books, &budget("r", 1_000)).unwrap();
    let held = request(1, "r", 10);
    books.hold(&held, T0).unwrap();
    let outcome = Outcome::posted(Usd::from_picos(111));
    let settled = books.settle(&held.attempt_id, outcome, T0).unwrap();
    assert!(settled.violation);
    assert_eq!(books.run(&held.run_id).unwrap().state, RunState::Frozen);
}

#[test]
fn two_operators_cannot_overwrite_each_other() {
    let mut books = Books::default();
    set(&mut books, &budget("r", 1_000)).unwrap();
    let change = BudgetChange { if_version: Some(1), ..budget("r", 2_000) };
    set(&mut books, &change).unwrap();
    let error = set(&mut books, &change).unwrap_err();
    assert_eq!(error, BudgetError::Stale { expected: 1, current: 2 });
}

#[test]
fn a_hold_beyond_what_can_be_counted_is_refused_also_without_a_limit() {
    let mut books = Books::default();
    let mut vast = request(1, "r", 1);
    let too_large = |books: &mut Books, vast: &HoldRequest| {
        matches!(books.hold(vast, T0), Err(Denied { refusal: Refusal::TooLarge(_), .. }))
    };
    vast.need.per_output_token = "1".parse().unwrap();
    vast.need.stated_cap = Some(10_001);
    assert!(too_large(&mut books, &vast), "no attempt costs so much");
    vast.need.stated_cap = Some(9_999);
    for attempt in 0..900 {
        vast.attempt_id = format!("a-{attempt}").parse().unwrap();
        books.hold(&vast, T0).unwrap();
    }
    vast.attempt_id = "one-more".parse().unwrap();
    assert!(too_large(&mut books, &vast), "together they are more than can be counted");
    vast.need.stated_cap = Some(u64::MAX);
    vast.need.model_max = u64::MAX;
    assert!(too_large(&mut books, &vast));
}

#[test]
fn what_a_cut_stream_may_still_cost_is_not_given_again() {
    let mut books = Books::default();
    set(&mut books, &budget("r", 1_000)).unwrap();
    let held = request(1, "r", 800);
    books.hold(&held, T0).unwrap();
    let (cost, uncertain) = (Usd::from_picos(100), Usd::from_picos(800));
    let outcome = Outcome::Posted { cost, uncertain, beyond_bound: false };
    books.settle(&held.attempt_id, outcome, T0).unwrap();
    assert!(matches!(
        books.hold(&request(2, "r", 1), T0),
        Err(Denied { refusal: Refusal::Exhausted(_), .. })
    ));
}

#[test]
fn runs_that_differ_by_case_alone_are_noticed() {
    let mut books = Books::default();
    books.open_run(&"R-one".parse().unwrap(), T0);
    assert!(books.twin(&"r-ONE".parse().unwrap()).is_some());
    assert!(books.twin(&"R-one".parse().unwrap()).is_none());
}

#[test]
fn a_hold_counts_on_every_account_above_it_all_or_none() {
    let mut books = Books::default();
    set(&mut books, &budget("parent", 1_000)).unwrap();
    let child = BudgetChange { parent: Some("parent".parse().unwrap()), ..budget("child", 5_000) };
    set(&mut books, &child).unwrap();
    let owner = Owner::Agent("child".parse().unwrap(), "agent".parse().unwrap());
    let agent = BudgetChange { owner: owner.clone(), ..budget("child", 650) };
    set(&mut books, &agent).unwrap();
    books.hold(&request(1, "child", 400), T0).unwrap();
    assert_eq!(books.account(&owner).unwrap().pending.picos(), 500);
    assert_eq!((available(&books, "child"), available(&books, "parent")), (4_500, 500));
    let before = books.clone();
    let denied = books.hold(&request(2, "child", 150), T0).unwrap_err();
    assert_eq!(denied.owner, owner, "150 are left to the agent, the least is 164");
    assert_eq!(books.holds().count(), before.holds().count());
    assert_eq!(available(&books, "parent"), 500, "nothing was held anywhere");
    let sibling =
        BudgetChange { parent: Some("parent".parse().unwrap()), ..budget("other", 5_000) };
    set(&mut books, &sibling).unwrap();
    books.hold(&request(3, "other", 60), T0).unwrap();
    assert_eq!(available(&books, "parent"), 340);
    books.settle(&"a-1".parse().unwrap(), Outcome::posted(Usd::from_picos(120)), T0).unwrap();
    assert_eq!(available(&books, "parent"), 720);
    assert_eq!(available(&books, "child"), 4_880);
    assert!(books.is_sound());
}

#[test]
fn a_place_in_the_tree_is_chosen_before_money_moves() {
    let mut books = Books::default();
    let below = |run: &str, parent: &str| BudgetChange {
        parent: Some(parent.parse().unwrap()),
        ..budget(run, 1_000)
    };
    set(&mut books, &below("b", "a")).unwrap();
    assert!(matches!(set(&mut books, &below("a", "b")), Err(BudgetError::Circle(_))));
    assert!(matches!(set(&mut books, &below("a", "a")), Err(BudgetError::Circle(_))));
    books.hold(&request(1, "b", 10), T0).unwrap();
    assert!(matches!(set(&mut books, &below("b", "c")), Err(BudgetError::ParentFixed(_))));
    assert!(set(&mut books, &below("b", "a")).is_ok(), "the same parent again is no change");
    let mut top = "a".to_owned();
    for depth in 0..DEPTH_MAX - 1 {
        let above = format!("above-{depth}");
        let moved = set(&mut books, &below(&top, &above));
        if depth == 0 {
            assert!(matches!(moved, Err(BudgetError::ParentFixed(_))), "money is held below it");
            top = "x".to_owned();
            set(&mut books, &below(&top, &above)).unwrap();
        } else {
            moved.unwrap();
        }
        top = above;
    }
    set(&mut books, &below("y", "x")).unwrap();
    assert!(matches!(set(&mut books, &below("z", "y")), Err(BudgetError::TooDeep(_))));
}

#[test]
fn a_new_day_frees_what_was_spent_and_keeps_what_is_in_flight() {
    let (mut books, day) = (Books::default(), Timestamp::from_micros(86_400_000_000));
    let change = BudgetChange { period: Some(Period::Day), ..budget("r", 1_000) };
    set(&mut books, &change).unwrap();
    for (attempt, cap) in [(1, 200), (2, 100), (3, 150)] {
        books.hold(&request(attempt, "r", cap), T0).unwrap();
    }
    books.settle(&"a-1".parse().unwrap(), Outcome::posted(Usd::from_picos(300)), T0).unwrap();
    let lost =
        books.holds().find(|(id, _)| id.as_str() == "a-2").map(|(_, hold)| hold.clone()).unwrap();
    books.settle(&"a-2".parse().unwrap(), Outcome::Unknown, T0).unwrap();
    assert_eq!(available(&books, "r"), 1_000 - 300 - 200 - 250);
    assert_eq!(books.begin_day(day, day), [Owner::Run("r".parse().unwrap()), Owner::Fleet]);
    assert!(books.begin_day(day, day).is_empty(), "once");
    assert_eq!(available(&books, "r"), 1_000 - 250);
    // What is learned about yesterday's unknown is no spending of today.
    let unknown = Unresolved { hold: lost, at: T0 };
    books.resolve(unknown, (Usd::from_picos(5), false), day).unwrap();
    assert_eq!(available(&books, "r"), 1_000 - 250);
    books.settle(&"a-3".parse().unwrap(), Outcome::posted(Usd::from_picos(250)), day).unwrap();
    assert_eq!(available(&books, "r"), 1_000 - 250);
    assert!(books.is_sound());
}

#[test]
fn an_unknown_that_is_resolved_frees_the_rest_of_its_hold() {
    let mut books = Books::default();
    set(&mut books, &budget("r", 1_000)).unwrap();
    books.hold(&request(1, "r", 400), T0).unwrap();
    let hold = books.holds().next().map(|(_, hold)| hold.clone()).unwrap();
    books.settle(&"a-1".parse().unwrap(), Outcome::Unknown, T0).unwrap();
    assert_eq!(available(&books, "r"), 500);
    let settled =
        books.resolve(Unresolved { hold, at: T0 }, (Usd::from_picos(90), false), T0).unwrap();
    assert_eq!((settled.held.picos(), settled.charged.picos()), (500, 90));
    assert_eq!(available(&books, "r"), 910);
}

#[test]
fn a_run_is_paused_resumed_and_closed_and_a_freeze_needs_a_note() {
    let mut books = Books::default();
    let run: RunId = "r".parse().unwrap();
    set(&mut books, &budget("r", 1_000)).unwrap();
    let mut step = |change, note| books.change_state(&run, (change, note), None);
    step(StateChange::Pause, false).unwrap();
    step(StateChange::Resume, false).unwrap();
    step(StateChange::Close, false).unwrap();
    let closed = step(StateChange::Pause, false);
    assert!(matches!(closed, Err(BudgetError::WrongState { state: RunState::Closed, .. })));
    assert!(matches!(step(StateChange::Resume, false), Err(BudgetError::NoteRequired(_))));
    step(StateChange::Resume, true).unwrap();
    assert_eq!(books.run(&run).unwrap().version, 5);
    assert!(matches!(
        books.change_state(&run, (StateChange::Pause, false), Some(4)),
        Err(BudgetError::Stale { expected: 4, current: 5 })
    ));
}

#[test]
fn soft_admits_past_its_limit_and_says_by_how_much() {
    let mut books = Books::default();
    set(&mut books, &BudgetChange { mode: Some(Mode::Soft), ..budget("r", 1_000) }).unwrap();
    assert_eq!(books.hold(&request(1, "r", 800), T0).unwrap().past_limit, Usd::ZERO);
    let past = books.hold(&request(2, "r", 800), T0).unwrap();
    assert_eq!(past.past_limit.picos(), 800);
    assert_eq!(past.grant.source, CapSource::Caller);
    let run = books.run(&"r".parse().unwrap()).unwrap();
    assert_eq!(run.account.overshoot(run.mode).picos(), 800);
    assert!(!run.is_blocked());
}

#[test]
fn expected_says_how_far_it_can_be_passed() {
    let mut books = Books::default();
    set(&mut books, &BudgetChange { mode: Some(Mode::Expected), ..budget("r", 1_000) }).unwrap();
    let (run, model) = ("r".parse().unwrap(), "model".parse().unwrap());
    for _ in 0..20 {
        books.note_output(&run, &model, 50);
    }
    let granted = books.hold(&request(1, "r", 2_000), T0).unwrap().grant;
    assert_eq!((granted.amount.picos(), granted.exposed.picos()), (80, 2_020));
    let account = books.run(&run).unwrap().account;
    assert_eq!(account.overshoot(Mode::Expected).picos(), 2_020 - 920);
    books.settle(&"a-1".parse().unwrap(), Outcome::posted(Usd::from_picos(1_500)), T0).unwrap();
    let page = books.run(&run).unwrap();
    assert_eq!(page.state, RunState::Open, "beyond what was expected is no broken word");
    assert_eq!(page.account.overshoot(Mode::Expected).picos(), 500);
    assert!(books.hold(&request(2, "r", 10), T0).is_err());
}
