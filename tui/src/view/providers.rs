//! PROVIDERS: price, speed, answers and circuit of each, worst first.
//!
//! Refuses to know their order.
//!
//! ```text
//!  PROVIDER       p50 s p95 s /SLO   OK % CIRCUIT      $/MIN
//!  azure-gpt4o        —     — /2.0    0.0 ✖ open 12s   0.000
//!  openai-mini     0.55  1.32 /1.2▲  99.1 ● closed     0.021     p95 above what was promised
//! ```
//!
//! | column | meaning |
//! |---|---|
//! | p50, p95, /SLO | successful answers of five minutes, and what was promised; `▲` above it |
//! | OK %, 429 % | of attempts, not of requests: answered; turned away for their number |
//! | RPM, $/MIN, SHARE OF $ | of the last minute |
//! | NOTE | why a circuit is not closed and when it is tried, else what was remarkable of late |

use ratatui::layout::Rect;
use tollgate_shared::circuit::CircuitState;
use tollgate_shared::money::Usd;
use tollgate_shared::provider::ProviderView;
use tollgate_shared::window::Sums;

use super::canvas::{Canvas, Piece, Seg, seg};
use super::frame::{self, Frame};
use super::table::{self, Column, Look, flexible, number, text};
use super::{gauge, layout, layout::Class, status};
use crate::format;
use crate::model::{Group, History, Key, Model, PaneId, Screen, rows};
use crate::theme::{Theme, Tone};

/// How many columns there are in all.
pub(super) const COLUMNS: usize = 17;

/// Draws the pane.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let views = rows::providers(model);
    let pane = model.panes.at(PaneId::Providers);
    let focused = model.panes.focus == PaneId::Providers;
    let height = usize::from(layout::rows(class, PaneId::Providers, rect));
    let shown: Vec<_> = views.iter().skip(pane.offset).take(height).copied().collect();
    let columns = columns(&shown, (pane.wide, model.screen == Screen::Providers));
    let edge = if class == Class::Small { 0 } else { 2 };
    let fit = table::fit(&columns, rect.width.saturating_sub(edge), pane.first_column);
    let mut about = about(model, &views, views.len().saturating_sub(height), theme);
    about.push(seg(3, table::hidden(&fit), theme.dim()));
    let frame = Frame {
        title: PaneId::Providers.title(),
        about,
        legend: Vec::new(),
        hints: hints(model),
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

/// What follows the title: the order, and on the own screen how many there are in which state.
fn about(model: &Model, views: &[&ProviderView], more: usize, theme: &Theme) -> Vec<Seg> {
    let pane = model.panes.at(PaneId::Providers);
    let order = PaneId::Providers.sorts()[pane.sort.min(PaneId::Providers.sorts().len() - 1)];
    let turned = if pane.reversed { ", turned round" } else { "" };
    let mut about = Vec::with_capacity(6);
    if model.screen == Screen::Providers {
        let count = |state| views.iter().filter(|view| view.circuit.state == state).count();
        about.push(seg(4, format!(" {} registered ·", views.len()), theme.dim()));
        for (state, word, tone) in [
            (CircuitState::Open, "open", Tone::Critical),
            (CircuitState::HalfOpen, "half-open", Tone::Caution),
        ] {
            let count = count(state);
            if count > 0 {
                about.push(seg(3, format!(" {count} {word}"), theme.tone(tone)));
                about.push(seg(3, " ·", theme.dim()));
            }
        }
    }
    about.push(seg(2, format!(" {order}{turned}"), theme.dim()));
    if more > 0 {
        about.push(seg(1, format!(" · {more} more"), theme.dim()));
    }
    about
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
fn columns(shown: &[&ProviderView], (wide, own): (bool, bool)) -> [Column; COLUMNS] {
    let longest = shown.iter().map(|view| view.name.as_str().len()).max().unwrap_or(8);
    let name = u16::try_from(longest.clamp(8, 20)).unwrap_or(20);
    let note = match (wide, own) {
        (true, _) => (8, 8),
        (false, true) => (24, 60),
        (false, false) => (20, 60),
    };
    [
        flexible("PROVIDER", (name, name + 4), 0),
        text("MODEL", 13, 12),
        number("IN $/M", 6, 7),
        number("OUT $/M", 7, 7),
        number("p50 s", 5, 5),
        number("p95 s", 5, 2),
        text("/SLO", 5, 3),
        text("p95 OF SLO", 10, 15),
        number("OK %", 5, 1),
        text("CIRCUIT", 11, 0),
        number("RPM", 4, 8),
        number("$/MIN", 6, 4),
        text("SHARE OF $", 10, 9),
        number("429 %", 5, 11),
        number("CTX", 5, 13),
        text("FEATURES", 12, 14),
        flexible("NOTE", note, 10),
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
        1 => dim(view.model.to_string()),
        2 => plain(view.pricing.input.usd_per_million().rounded(2)),
        3 => plain(view.pricing.output.usd_per_million().rounded(2)),
        4 => plain(seconds(view.quality.p50_ms)),
        5 => {
            let style = if over { theme.tone(Tone::Warning) } else { theme.text() };
            vec![(seconds(view.quality.p95_ms), style)]
        }
        6 => {
            let Some(promise) = promise(view) else { return dim("·".into()) };
            let text = format!("/{}", format::seconds_short(promise.into()));
            match over {
                true => vec![(format!("{text}▲"), theme.tone(Tone::Warning))],
                false => dim(text),
            }
        }
        7 => {
            let Some((found, promise)) = view.quality.p95_ms.zip(promise(view)) else {
                return dim("·".repeat(width.into()));
            };
            let tone = if over { Tone::Warning } else { Tone::Ok };
            let ppm = u64::from(found) * 1_000_000 / u64::from(promise.max(1));
            gauge::share(ppm, width, (theme.tone(tone), theme.dim()))
        }
        8 => answered(theme, view),
        9 => {
            let (text, tone) = status::circuit(&view.circuit, model.day().now);
            vec![(text, theme.tone(tone))]
        }
        10 => plain(format::count(sums.attempts.max(sums.requests))),
        11 => plain(burn.clone()),
        12 => gauge::bar(sums.cost_usd, *total, width, (theme.tone(Tone::Ok), theme.dim())),
        13 => throttled(theme, view),
        14 => dim(format::count(view.context_window)),
        15 => dim(features(view)),
        _ => dim(note(view, model)),
    }
}

/// What its 95th should stay under, in milliseconds.
fn promise(view: &ProviderView) -> Option<u32> {
    view.slo.as_ref().and_then(|slo| slo.latency_p95_ms)
}

/// The share of attempts that were turned away for their number.
fn throttled(theme: &Theme, view: &ProviderView) -> Vec<Piece> {
    let Some(share) = view.quality.throttled_rate else {
        return vec![("—".into(), theme.dim())];
    };
    let permille = format::permille_of_share(share);
    let style = if permille >= 10 { theme.tone(Tone::Caution) } else { theme.dim() };
    vec![(format::percent(permille), style)]
}

/// The first letters of each feature, as many as there are.
fn features(view: &ProviderView) -> String {
    let short = view.features.iter().map(|name| match name.as_str() {
        "function_calling" | "functions" | "tools" => "fn".to_owned(),
        name => name.chars().take(3).collect(),
    });
    short.collect::<Vec<_>>().join(" ")
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
fn note(view: &ProviderView, model: &Model) -> String {
    let now = model.day().now;
    let age = |since| format::age(format::seconds_since(now, since));
    match view.circuit.state {
        CircuitState::Open | CircuitState::HalfOpen => {
            let reason = view.circuit.reason.clone().unwrap_or_default();
            match view.circuit.retry_at.filter(|at| *at > now) {
                Some(at) => {
                    let wait = format::span(format::seconds_since(at, now));
                    format!("{reason}, retry {wait}")
                }
                None => reason,
            }
        }
        CircuitState::Closed if rows::is_over_promise(view) => {
            let slo = |alert: &&tollgate_shared::alert::Alert| {
                alert.rule == "slo" && alert.subject == view.name.as_str()
            };
            let since = model.day().alerts.values().find(slo).map(|alert| age(alert.since));
            since.map_or("p95 over SLO".into(), |since| format!("p95 over SLO for {since}"))
        }
        CircuitState::Closed => match &view.last_error {
            Some(error) if format::seconds_since(now, error.at) < ERROR_S => {
                format!("{} {} ago", error.what.replace('_', " "), age(error.at))
            }
            _ if view.free => "free".into(),
            _ => String::new(),
        },
    }
}

/// The keys that act here; a console that may change nothing offers none that would.
const fn hints(model: &Model) -> &'static [(&'static str, &'static str)] {
    match (model.settings.read_only || model.server_read_only, model.screen) {
        (true, _) => &[("Enter", "open")],
        (false, Screen::Providers) => {
            &[("r", "register"), ("E", "edit"), ("o", "circuit"), ("x", "remove"), ("s", "sort")]
        }
        (false, _) => &[("r", "register"), ("o", "circuit"), ("Enter", "open")],
    }
}

/// How long the latest failure of a provider is worth a note, in seconds.
const ERROR_S: u64 = 900;
