//! Pictures of the made-up day at every size, in every state, with their looks.

use std::fmt::Write;

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::view;
use crate::feed::{Delta, LinkChange};
use crate::fixture;
use crate::message::Message;
use crate::model::Model;
use crate::picture;
use crate::theme::{Depth, Theme, ThemeChoice};
use crate::update::update;

const SIZES: [(u16, u16); 5] = [(20, 3), (50, 12), (80, 24), (120, 40), (200, 50)];

pub(super) fn draw(model: &Model) -> Buffer {
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    let mut buffer = Buffer::empty(area);
    view(model, &theme(model), area, &mut buffer);
    buffer
}

fn theme(model: &Model) -> Theme {
    Theme::new(model.settings.theme, Depth::True)
}

/// Holds a picture to its snapshot; with `TOLLGATE_PICTURES=FOLDER` it is also written as SVG, to
/// be looked at.
pub(super) fn check(name: &str, model: &Model) {
    let name = format!("{name}_{}x{}", model.size.0, model.size.1);
    if let Ok(folder) = std::env::var("TOLLGATE_PICTURES") {
        let svg = picture::svg(&draw(model), &theme(model), "tollgate · dashboard");
        std::fs::write(format!("{folder}/{name}.svg"), svg).unwrap();
    }
    insta::assert_snapshot!(name, styled(model));
}

/// The text, and below it every run of cells that is not plain, with its look.
fn styled(model: &Model) -> String {
    let buffer = draw(model);
    let theme = theme(model);
    let mut text = picture::text(&buffer);
    text.push_str("---\n");
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let style = buffer[(x, y)].style();
            let start = x;
            while x < buffer.area.width && buffer[(x, y)].style() == style {
                x += 1;
            }
            let look = look(&theme, style);
            if !look.is_empty() {
                write!(line, " {start}-{}:{look}", x - 1).unwrap();
            }
        }
        if !line.is_empty() {
            writeln!(text, "{y}:{line}").unwrap();
        }
    }
    text
}

fn look(theme: &Theme, style: Style) -> String {
    let mut words = Vec::new();
    let plain = theme.text();
    if style.fg != plain.fg {
        words.push(name(style.fg));
    }
    if style.bg != Some(theme.ground()) {
        words.push(format!("on {}", name(style.bg)));
    }
    for (modifier, word) in [
        (Modifier::BOLD, "bold"),
        (Modifier::UNDERLINED, "underlined"),
        (Modifier::REVERSED, "reversed"),
    ] {
        if style.add_modifier.contains(modifier) {
            words.push(word.into());
        }
    }
    words.join(" ")
}

fn name(color: Option<Color>) -> String {
    match color {
        Some(Color::Rgb(red, green, blue)) => format!("{red:02x}{green:02x}{blue:02x}"),
        other => format!("{other:?}"),
    }
}

pub(super) fn lost() -> Delta {
    let retry_at = fixture::now().plus_millis(24_600);
    Delta {
        at: fixture::now().plus_millis(23_000),
        link: Some(LinkChange::Lost { attempt: 3, retry_at, why: "connection refused".into() }),
        ..Delta::default()
    }
}

/// A screen at four sizes in four states, after some keys.
pub(super) fn every_state(name: &str, keys: &str) {
    for size in [(50, 12), (80, 24), (120, 40), (200, 50)] {
        let mut model = fixture::model(size);
        fixture::press(&mut model, keys);
        check(&format!("{name}_live"), &model);
        update(&mut model, Message::Clock(fixture::now().plus_millis(23_000)));
        check(&format!("{name}_stale"), &model);
        update(&mut model, Message::Delta(Box::new(lost())));
        check(&format!("{name}_lost"), &model);
        let mut model = fixture::empty(size);
        update(&mut model, Message::Delta(Box::new(lost())));
        fixture::press(&mut model, keys);
        check(&format!("{name}_empty"), &model);
    }
}

#[test]
fn live() {
    for size in SIZES {
        let model = fixture::model(size);
        check("live", &model);
    }
}

#[test]
fn stale() {
    for size in SIZES {
        let mut model = fixture::model(size);
        update(&mut model, Message::Clock(fixture::now().plus_millis(23_000)));
        check("stale", &model);
    }
}

#[test]
fn lost_connection() {
    for size in SIZES {
        let mut model = fixture::model(size);
        update(&mut model, Message::Delta(Box::new(lost())));
        check("lost", &model);
    }
}

#[test]
fn empty() {
    for size in SIZES {
        let mut model = fixture::empty(size);
        update(&mut model, Message::Delta(Box::new(lost())));
        check("empty", &model);
    }
}

#[test]
fn nothing_happened_yet() {
    let mut model = fixture::empty((120, 40));
    let mut day = fixture::day();
    day.refusals.clear();
    if let Some(snapshot) = &mut day.snapshot {
        **snapshot = tollgate_shared::event::Snapshot {
            seq: 1,
            seconds: Vec::new(),
            runs: Vec::new(),
            budgets: Vec::new(),
            providers: Vec::new(),
            alerts: Vec::new(),
            receipts: Vec::new(),
            audit: Vec::new(),
            checkpoint: Default::default(),
        };
    }
    update(&mut model, Message::Delta(Box::new(day)));
    check("nothing_yet", &model);
}

#[test]
fn dialogs() {
    let stories = [
        ("help", "?"),
        ("budget", "j b + 2 5"),
        ("budget_bad", "j b x"),
        ("circuit", "Tab o"),
        ("register", "r a"),
        ("receipt", "Tab Tab j Enter"),
        ("run", "j Enter"),
        ("provider", "Tab Enter"),
        ("filter_bad", "/ c o l o r : r"),
        ("toast", "3"),
    ];
    for (name, keys) in stories {
        for size in [(80, 24), (120, 40)] {
            let mut model = fixture::model(size);
            fixture::press(&mut model, keys);
            check(name, &model);
        }
    }
}

#[test]
fn light_and_without_colour() {
    for (name, choice) in [("light", ThemeChoice::Light), ("mono", ThemeChoice::Mono)] {
        let mut model = fixture::model((120, 40));
        model.settings.theme = choice;
        check(name, &model);
    }
}

#[test]
fn hidden_money_is_nowhere() {
    for size in SIZES {
        let mut model = fixture::model(size);
        fixture::press(&mut model, "H");
        let text = picture::text(&draw(&model));
        for amount in ["45.12", "0.271", "212.40", "0.030525", "$0."] {
            assert!(!text.contains(amount), "{amount} at {size:?}\n{text}");
        }
    }
}

#[test]
fn hidden_money_is_on_no_screen() {
    for (keys, amounts) in [
        ("4 j j", ["0.007680", "$2.50", "88.20", "0.004300"]),
        ("5", ["+$0.0", "$0.2746", "14.94", "$0.12"]),
        ("6 j j", ["45.12", "$50.00", "0.271", "$10.00"]),
        ("7", ["212.40", "97.704", "24.38", "0.69"]),
    ] {
        let mut model = fixture::model((200, 50));
        let days = crate::model::Answer::Here(std::sync::Arc::new(fixture::report()));
        model.fetched.report = Some(days);
        fixture::press(&mut model, keys);
        let shown = picture::text(&draw(&model));
        assert!(amounts.iter().any(|amount| shown.contains(amount)), "{keys}: none was there");
        fixture::press(&mut model, "H");
        let hidden = picture::text(&draw(&model));
        for amount in amounts {
            assert!(!hidden.contains(amount), "{amount} after {keys}\n{hidden}");
        }
    }
}

#[test]
fn without_colour_every_state_has_its_shape_or_word() {
    let mut model = fixture::model((200, 50));
    model.settings.theme = ThemeChoice::Mono;
    let text = picture::text(&draw(&model));
    for shape in ["✖ open", "◐ half-open", "● closed", "✖2 critical", "▲3 warning", "■ refused"]
    {
        assert!(text.contains(shape), "{shape}\n{text}");
    }
}

const KEYS: &[&str] = &[
    "Tab", "S-Tab", "j", "k", "g", "G", "C-d", "C-u", "PgDn", "PgUp", "h", "l", "w", "s", "S",
    "Enter", "Esc", "/", "?", "r", "b", "+", "-", "o", "f", "t", "c", "T", "H", "y", "0", "z", "F",
    "1", "2", "3", "4", "5", "6", "7", "v", "x", "Space", "BS",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_size_after_any_keys_is_drawn_within_its_area(
        (width, height) in (0_u16..300, 0_u16..100),
        keys in prop::collection::vec(0..KEYS.len(), 0..14),
        heard in any::<bool>(),
    ) {
        let mut model =
            if heard { fixture::model((width, height)) } else { fixture::empty((width, height)) };
        for key in keys {
            fixture::press(&mut model, KEYS[key]);
        }
        // A margin around the area shows every cell that was written outside.
        let whole = Rect::new(0, 0, width + 4, height + 4);
        let mut buffer = Buffer::filled(whole, ratatui::buffer::Cell::new("#"));
        let area = Rect::new(2, 2, width, height);
        view(&model, &theme(&model), area, &mut buffer);
        for place in whole.positions().filter(|place| !area.contains(*place)) {
            prop_assert_eq!(buffer[place].symbol(), "#", "{:?}", place);
        }
        for place in area.positions() {
            let symbol = buffer[place].symbol();
            prop_assert!(!symbol.chars().any(char::is_control), "{symbol:?}");
        }
    }
}
