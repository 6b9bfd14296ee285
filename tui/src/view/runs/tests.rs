//! Screen 2 at every size, in every state.

use super::super::tests::{check, lost};
use crate::fixture;
use crate::message::Message;
use crate::model::Screen;
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
