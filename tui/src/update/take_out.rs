//! Taking things out: to the clipboard, to a file.
//!
//! Copies go through the terminal (OSC 52), so they work over ssh; their size is bounded because
//! terminals drop longer ones without a word. Refuses to know how files are named.
//!
//! ```text
//! y ─▶ menu: y row · i id · j JSON · c curl      e ─▶ menu: c csv · j json · m md      Y screen
//! ```

use std::sync::Arc;

use crate::export;
use crate::message::{Chord, Code, Effect, Export};
use crate::model::{Key, Menu, Model, Row, rows};
use crate::{picture, theme, view};

/// A key while a menu is open.
pub(super) fn choose(model: &mut Model, menu: Menu, chord: Chord) -> Vec<Effect> {
    let letter = match chord.code {
        Code::Char(letter) if !chord.ctrl => letter,
        // Enter takes the first line.
        Code::Enter => lines(menu).first().map_or(' ', |(key, _)| *key),
        _ => ' ',
    };
    match menu {
        Menu::Copy => match letter {
            'y' => copy(model, row),
            'i' => copy(model, identity),
            'j' => copy(model, json),
            'c' => copy(model, curl),
            _ => Vec::new(),
        },
        Menu::Export => match export::FORMATS.iter().find(|(key, ..)| *key == letter) {
            Some((_, ending, _)) => write(model, ending),
            None => Vec::new(),
        },
    }
}

/// The lines of a menu: key and words.
pub(crate) fn lines(menu: Menu) -> Vec<(char, &'static str)> {
    match menu {
        Menu::Copy => vec![
            ('y', "the row"),
            ('i', "its identity"),
            ('j', "as JSON"),
            ('c', "as curl, to read it again"),
        ],
        Menu::Export => export::FORMATS.iter().map(|(key, _, words)| (*key, *words)).collect(),
    }
}

/// The cursor's thing, in one of its forms.
pub(super) fn copy(model: &mut Model, form: fn(&Model, &Key) -> Option<String>) -> Vec<Effect> {
    let key = rows::cursor(model, model.panes.focus);
    let text = key.and_then(|key| form(model, &key));
    text.map_or(Vec::new(), |text| put(model, text))
}

/// Text onto the clipboard, with a word about where it went.
fn put(model: &mut Model, text: String) -> Vec<Effect> {
    if text.len() > COPY_MAX {
        model.toast(format!("{} bytes are too much for a terminal's clipboard", text.len()));
        return Vec::new();
    }
    let shown: String = text.lines().next().unwrap_or_default().chars().take(60).collect();
    model.toast(format!("copied to the terminal's clipboard: {shown}"));
    vec![Effect::Copy(text)]
}

/// The whole screen as text.
pub(super) fn screen(model: &mut Model) -> Vec<Effect> {
    let area = ratatui::layout::Rect::new(0, 0, model.size.0, model.size.1);
    let mut buffer = ratatui::buffer::Buffer::empty(area);
    let plain = theme::Theme::new(model.settings.theme, theme::Depth::None);
    view::view(model, &plain, area, &mut buffer);
    put(model, picture::text(&buffer))
}

/// What the focused pane lists, into a file.
pub(super) fn write(model: &Model, ending: &'static str) -> Vec<Effect> {
    let pane = model.panes.focus;
    let stem = pane.title().to_lowercase().replace(' ', "-");
    let Some(table) = export::table(model, pane) else { return Vec::new() };
    let text = table.write(ending);
    vec![Effect::Write(Export { stem, ending, text })]
}

/// The name of a thing.
fn identity(model: &Model, key: &Key) -> Option<String> {
    Some(match key {
        Key::Run(run) => run.to_string(),
        Key::Agent(_, agent) => agent.to_string(),
        Key::Provider(name) => name.to_string(),
        Key::Name(name) => name.to_string(),
        Key::Alert(id) => id.clone(),
        Key::Row(serial) => model.day().tail.row(*serial)?.request.to_string(),
    })
}

/// One line about a thing.
pub(super) fn row(model: &Model, key: &Key) -> Option<String> {
    match key {
        Key::Alert(id) => {
            let alert = model.day().alerts.get(id)?;
            Some(format!("{}: {}", alert.subject, alert.what))
        }
        Key::Row(serial) => {
            let row = model.day().tail.row(*serial)?;
            let cost = row.sent().map_or(String::new(), |sent| format!("\t{}", sent.cost_usd));
            Some(format!("{}\t{}\t{}\t{}{cost}", row.at, row.run, row.agent, row.request))
        }
        _ => identity(model, key),
    }
}

/// A thing as the backend spells it.
pub(super) fn json(model: &Model, key: &Key) -> Option<String> {
    let day = model.day();
    match key {
        Key::Run(run) | Key::Agent(run, _) => {
            serde_json::to_string(day.runs.get(run)?.budget.as_ref()?).ok()
        }
        Key::Provider(name) => serde_json::to_string(day.providers.get(name)?).ok(),
        Key::Alert(id) => serde_json::to_string(day.alerts.get(id)?).ok(),
        Key::Name(name) => serde_json::to_string(&**name).ok(),
        Key::Row(serial) => receipt(day.tail.row(*serial)?),
    }
}

/// What the row of a receipt says, as an object with every digit.
fn receipt(row: &Arc<Row>) -> Option<String> {
    let Some(sent) = row.sent() else {
        let refused = serde_json::json!({"run_id": row.run, "agent": row.agent,
            "request_id": row.request, "timestamp": row.at, "status": "refused"});
        return Some(refused.to_string());
    };
    Some(format!(
        "{{\"request_id\":{},\"run_id\":{},\"seq\":{},\"agent\":{},\"timestamp\":{},\"provider\":{},\"model\":{},\
         \"input_tokens\":{},\"output_tokens\":{},\"cost_usd\":{},\"latency_ms\":{},\"status\":{}}}",
        text(&row.request),
        text(&row.run),
        sent.seq,
        text(&row.agent),
        text(&row.at),
        text(&sent.provider),
        text(&sent.model),
        sent.usage.input_tokens(),
        sent.usage.output_tokens(),
        sent.cost_usd,
        sent.latency_ms,
        text(&sent.status),
    ))
}

/// The JSON text of a value.
fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The line for a shell that reads a thing again.
pub(super) fn curl(model: &Model, key: &Key) -> Option<String> {
    let day = model.day();
    let gateway = &model.settings.gateway;
    let path = |name: &str| crate::message::segment(name);
    Some(match key {
        Key::Run(run) | Key::Agent(run, _) => format!("curl -s '{gateway}/budget/{run}'"),
        Key::Provider(name) => format!("curl -s '{}/providers/{name}'", model.settings.router),
        Key::Alert(_) => format!("curl -s '{gateway}/alerts'"),
        Key::Name(name) => format!("curl -s '{gateway}/receipts/{}'", path(name)),
        Key::Row(serial) => {
            let row = day.tail.row(*serial)?;
            let (run, seq) = (&row.run, row.sent().map_or(0, |sent| sent.seq.saturating_sub(1)));
            format!("curl -s '{gateway}/receipts/{run}?after={seq}&limit=1'")
        }
    })
}

/// Most bytes put on a clipboard: terminals drop longer sequences without a word.
const COPY_MAX: usize = 74_000;
