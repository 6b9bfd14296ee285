//! Screen 3 at every size, in every state.

use tollgate_shared::circuit::{CircuitState, CircuitView};
use tollgate_shared::receipt::Status;

use super::super::tests::{check, draw, lost};
use crate::fixture;
use crate::message::Message;
use crate::model::{Model, Screen};
use crate::picture;
use crate::update::update;

const SIZES: [(u16, u16); 4] = [(50, 12), (80, 24), (120, 40), (200, 50)];

/// The day with an hour of answers before it: openai-mini slow at the end, mistral-lg silent for
/// ten minutes, azure-gpt4o closed before it opened.
fn model(size: (u16, u16)) -> Model {
    let mut model = fixture::model(size);
    let shape = fixture::receipts().pop().unwrap();
    for (name, base) in [("openai-mini", 600), ("mistral-lg", 900)] {
        for index in 0..720_i64 {
            let ago_s = 3_600 - index * 5;
            if name == "mistral-lg" && (300..900).contains(&ago_s) {
                continue;
            }
            let mut receipt = shape.clone();
            receipt.provider = name.parse().unwrap();
            receipt.status = Status::Success;
            receipt.timestamp = fixture::now().floor_to(1).plus_millis(-1_000 * ago_s);
            let wave = (index * 37) % 200;
            let tail = if index % 17 == 0 { 450 } else { 0 };
            let rise = if ago_s < 400 { (400 - ago_s) * 2 } else { 0 };
            receipt.latency_ms = u64::try_from(base + wave + tail + rise).unwrap();
            model.live.pulse.beat(&receipt);
        }
    }
    let name = "gemini-flash".parse().unwrap();
    for (ago_s, state) in
        [(600, CircuitState::Open), (420, CircuitState::HalfOpen), (380, CircuitState::Closed)]
    {
        let since = Some(fixture::now().plus_millis(-1_000 * ago_s));
        let circuit = CircuitView { state, since, ..CircuitView::default() };
        model.live.pulse.turn(&name, &circuit, fixture::now());
    }
    model
}

#[test]
fn live_stale_lost_and_empty() {
    for size in SIZES {
        let mut model = model(size);
        fixture::press(&mut model, "3 j j");
        check("providers_live", &model);
        let mut stale = model.clone();
        update(&mut stale, Message::Clock(fixture::now().plus_millis(23_000)));
        check("providers_stale", &stale);
        update(&mut model, Message::Delta(Box::new(lost())));
        check("providers_lost", &model);
        let mut empty = fixture::empty(size);
        empty.screen = Screen::Providers;
        empty.panes.focus = Screen::Providers.home();
        update(&mut empty, Message::Delta(Box::new(lost())));
        check("providers_empty", &empty);
    }
}

#[test]
fn a_gap_is_drawn_and_who_would_take_over_is_said() {
    let mut model = model((120, 40));
    fixture::press(&mut model, "3 j");
    let text = picture::text(&draw(&model));
    assert!(text.contains("╌╌╌╌╌╌╌╌"), "ten minutes without an answer\n{text}");
    assert!(text.contains("nobody else serves mistral-large"), "{text}");
    fixture::press(&mut model, "j j j");
    let text = picture::text(&draw(&model));
    assert!(text.contains("azure-gpt4o could not: its circuit is open"), "{text}");
}

#[test]
fn hidden_money_is_in_no_panel() {
    let mut model = model((200, 50));
    let azure = "azure-gpt4o".parse::<tollgate_shared::id::ProviderName>().unwrap();
    model.live.providers.get_mut(&azure).unwrap().circuit = CircuitView::default();
    fixture::press(&mut model, "3 G");
    fixture::press(&mut model, "H");
    let text = picture::text(&draw(&model));
    assert!(!text.contains("+$0."), "{text}");
}
