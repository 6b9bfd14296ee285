//! PROVIDERS: price, speed, answers and circuit of each, worst first.
//!
//! Refuses to know their order.
//!
//! ```text
//!  PROVIDER       p50 s p95 s /SLO   OK % CIRCUIT      $/MIN
//!  azure-gpt4o        —     — /2.0    0.0 ✖ open 12s   0.000
//!  openai-mini     0.55  1.32 /1.2▲  99.1 ● closed     0.021     p95 above what was promised
//! ```

use ratatui::layout::Rect;
use tollgate_shared::circuit::CircuitState;
use tollgate_shared::money::Usd;
use tollgate_shared::provider::ProviderView;
use tollgate_shared::window::Sums;

use super::canvas::{Canvas, Piece, seg};
use super::frame::{self, Frame};
use super::table::{self, Column, Look, flexible, number, text};
use super::{gauge, layout, layout::Class, status};
use crate::format;
use crate::model::{Group, History, Key, Model, PaneId, rows};
use crate::theme::{Theme, Tone};

/// How many columns there are in all.
pub(super) const COLUMNS: usize = 16;

/// Draws the pane.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let views = rows::providers(model);
    let pane = model.panes.at(PaneId::Providers);
    let focused = model.panes.focus == PaneId::Providers;
    let height = usize::from(layout::rows(class, PaneId::Providers, rect));
    let shown: Vec<_> = views.iter().skip(pane.offset).take(height).copied().collect();
    let columns = columns(&shown, pane.wide);
    let edge = if class == Class::Small { 0 } else { 2 };
    let fit = table::fit(&columns, rect.width.saturating_sub(edge), pane.first_column);
    let order = PaneId::Providers.sorts()[pane.sort.min(PaneId::Providers.sorts().len() - 1)];
    let turned = if pane.reversed { ", turned round" } else { "" };
    let mut about = vec![seg(2, format!(" {order}{turned}"), theme.dim())];
    if views.len() > height {
        about.push(seg(1, format!(" · {} more", views.len() - height), theme.dim()));
    }
    about.push(seg(3, table::hidden(&fit), theme.dim()));
    let read_only = model.is_read_only();
    let frame = Frame {
        title: PaneId::Providers.title(),
        about,
        legend: Vec::new(),
        hints: if read_only { &[("Enter", "open")] } else { HINTS },
        focused,
        boxed: class != Class::Small,
    };
    let mut inner = frame::draw(canvas, rect, frame);
    if layout::has_header(class, PaneId::Providers, rect) {
        table::header(canvas, Rect { height: 1, ..inner }, &columns, &fit);
        inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    }
    if views.is_empty() {
        let text = if model.day().ready {
            " no provider yet; r registers one, or POST it to :6103/register"
        } else {
            " waiting for the backend"
        };
        canvas.put((inner.x, inner.y), inner.width, text, theme.dim());
        return;
    }
    let minute = History::grouped(model.day().history.minute(), Group::Provider);
    let total = model.day().history.minute_sums().cost_usd;
    let cursor = focused.then(|| rows::cursor(model, PaneId::Providers)).flatten();
    for (view, y) in shown.into_iter().zip(inner.y..inner.bottom()) {
        let sums = minute.get(view.name.as_str()).copied().unwrap_or_default();
        let facts = Facts { model, view, sums, total, burn: canvas.money(sums.cost_usd, 3) };
        let selected = cursor == Some(Key::Provider(view.name.clone()));
        let row = Rect { y, height: 1, ..inner };
        table::row(canvas, row, (&columns, &fit), Look { selected, focused }, |index, width| {
            cell(theme, &facts, index, width)
        });
    }
}

/// A provider with what the last minute adds.
struct Facts<'a> {
    model: &'a Model,
    view: &'a ProviderView,
    sums: Sums,
    total: Usd,
    burn: String,
}

/// Widths by the longest name that is shown.
fn columns(shown: &[&ProviderView], wide: bool) -> [Column; COLUMNS] {
    let longest = shown.iter().map(|view| view.name.as_str().len()).max().unwrap_or(8);
    let name = u16::try_from(longest.clamp(8, 20)).unwrap_or(20);
    let note = if wide { (8, 8) } else { (12, 60) };
    [
        flexible("PROVIDER", (name, name + 4), 0),
        number("IN $/M", 6, 7),
        number("OUT $/M", 7, 7),
        number("p50 s", 5, 5),
        number("p95 s", 5, 2),
        text("/SLO", 5, 3),
        number("OK %", 5, 1),
        text("CIRCUIT", 11, 0),
        number("RPM", 4, 8),
        number("$/MIN", 6, 4),
        text("SHARE OF $", 10, 9),
        text("MODEL", 14, 11),
        number("CTX", 5, 12),
        text("DIALECT", 9, 13),
        flexible("NOTE", note, 10),
        text("ENDPOINT", 28, 14),
    ]
}

/// The pieces of one cell.
fn cell(theme: &Theme, facts: &Facts<'_>, index: usize, width: u16) -> Vec<Piece> {
    let Facts { model, view, sums, total, burn } = facts;
    let plain = |text: String| vec![(text, theme.text())];
    let dim = |text: String| vec![(text, theme.dim())];
    let seconds = |ms: Option<u32>| ms.map_or("—".into(), |ms| format::seconds(ms.into()));
    let over = rows::is_over_promise(view);
    match index {
        0 => vec![(view.name.to_string(), theme.strong())],
        1 => plain(view.pricing.input.usd_per_million().rounded(2)),
        2 => plain(view.pricing.output.usd_per_million().rounded(2)),
        3 => plain(seconds(view.quality.p50_ms)),
        4 => {
            let style = if over { theme.tone(Tone::Warning) } else { theme.text() };
            vec![(seconds(view.quality.p95_ms), style)]
        }
        5 => {
            let promise = view.slo.as_ref().and_then(|slo| slo.latency_p95_ms);
            let Some(promise) = promise else { return dim("·".into()) };
            let text = format!("/{}", format::seconds_short(promise.into()));
            match over {
                true => vec![(format!("{text}▲"), theme.tone(Tone::Warning))],
                false => dim(text),
            }
        }
        6 => answered(theme, view),
        7 => {
            let (text, tone) = status::circuit(&view.circuit, model.day().now);
            vec![(text, theme.tone(tone))]
        }
        8 => plain(format::count(sums.attempts.max(sums.requests))),
        9 => plain(burn.clone()),
        10 => gauge::bar(sums.cost_usd, *total, width, (theme.tone(Tone::Ok), theme.dim())),
        11 => dim(view.model.to_string()),
        12 => dim(format::count(view.context_window)),
        13 => dim(format!("{:?}", view.dialect).to_lowercase()),
        14 => dim(note(view)),
        _ => dim(view.endpoint.as_str().to_owned()),
    }
}

/// The share of attempts that were answered, with a tone from 99 % down.
fn answered(theme: &Theme, view: &ProviderView) -> Vec<Piece> {
    let Some(share) = view.quality.success_rate else {
        return vec![("—".into(), theme.dim())];
    };
    let permille = format::permille_of_share(share);
    let style = match permille {
        990.. => theme.text(),
        950..=989 => theme.tone(Tone::Caution),
        800..=949 => theme.tone(Tone::Warning),
        _ => theme.tone(Tone::Critical),
    };
    vec![(format::percent(permille), style)]
}

/// What is remarkable about a provider, in words.
fn note(view: &ProviderView) -> String {
    match view.circuit.state {
        CircuitState::Open | CircuitState::HalfOpen => {
            view.circuit.reason.clone().unwrap_or_default()
        }
        CircuitState::Closed if rows::is_over_promise(view) => "p95 over SLO".into(),
        CircuitState::Closed if view.free => "free".into(),
        CircuitState::Closed => String::new(),
    }
}

const HINTS: &[(&str, &str)] = &[("r", "register"), ("o", "circuit"), ("Enter", "open")];
