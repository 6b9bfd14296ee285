//! Screen 2 at every size, in every state.

use tollgate_shared::budget::RunState;
use tollgate_shared::event::BudgetEvent;

use super::super::tests::{check, draw, lost};
use crate::fixture;
use crate::message::Message;
use crate::model::{Key, PaneId, Screen};
use crate::picture;
use crate::update::update;

const SIZES: [(u16, u16); 4] = [(50, 12), (80, 24), (120, 40), (200, 50)];

#[test]
fn live_stale_lost_and_empty() {
    for size in SIZES {
        let mut model = fixture::model(size);
        fixture::press(&mut model, "2 j");
        check("runs_live", &model);
        let mut stale = model.clone();
        update(&mut stale, Message::Clock(fixture::now().plus_millis(23_000)));
        check("runs_stale", &stale);
        update(&mut model, Message::Delta(Box::new(lost())));
        check("runs_lost", &model);
        let mut empty = fixture::empty(size);
        empty.screen = Screen::Runs;
        update(&mut empty, Message::Delta(Box::new(lost())));
        check("runs_empty", &empty);
    }
}

#[test]
fn a_zoomed_tree_shows_families_and_agents() {
    let mut model = fixture::model((120, 40));
    let child = model.live.runs.get_mut("R-211").unwrap();
    child.view.as_mut().unwrap().parent = Some("R-207".parse().unwrap());
    fixture::press(&mut model, "2 z j j");
    check("runs_tree", &model);
    let run = crate::model::rows::run_at_cursor(&model).unwrap();
    assert_eq!(run.as_str(), "R-207", "keys on an agent's line act on its run");
}

#[test]
fn every_course_has_its_words() {
    let words = |change: &dyn Fn(&mut BudgetEvent)| {
        let mut model = fixture::model((120, 40));
        change(model.live.runs.get_mut("R-207").unwrap().budget.as_mut().unwrap());
        fixture::press(&mut model, "2");
        let key = Key::Run("R-207".parse().unwrap());
        model.panes.at_mut(PaneId::Budgets).selected = Some(key);
        picture::text(&draw(&model))
    };
    let told = words(&|_| {});
    assert!(told.contains("→ empty in 18m (14m–25m, 80%)"), "{told}");
    let slow = words(&|budget| budget.runway_high_s = None);
    assert!(slow.contains("(14m or later, 80%)"), "{slow}");
    let own = words(&|budget| budget.runway_low_s = None);
    assert!(own.contains("(14m–"), "reckoned here where the backend does not\n{own}");
    let blocked = words(&|budget| budget.blocked = true);
    assert!(blocked.contains("blocked · requests are refused"), "{blocked}");
    let paused = words(&|budget| budget.state = RunState::Paused);
    assert!(paused.contains("paused · x lets it go on"), "{paused}");
    let free = words(&|budget| {
        budget.enforced.limit_usd = None;
        budget.runway_s = None;
    });
    assert!(free.contains("R-207 no limit") && !free.contains("= refuse"), "{free}");
    let wide = words(&|budget| {
        budget.enforced.limit_usd = Some(fixture::usd("5000"));
        (budget.runway_s, budget.runway_low_s, budget.runway_high_s) = (None, None, None);
    });
    assert!(wide.contains("↑ limit $5000.00"), "{wide}");
}

#[test]
fn hidden_money_is_in_no_panel() {
    for keys in ["2 j", "2 j z"] {
        let mut model = fixture::model((200, 50));
        fixture::press(&mut model, keys);
        fixture::press(&mut model, "H");
        let text = picture::text(&draw(&model));
        // The words of an alert are the backend's, with their amounts.
        for amount in ["45.12", "45.00", "$40", "0.064", "4.88", "0.0204"] {
            assert!(!text.contains(amount), "{amount}\n{text}");
        }
    }
}
