//! CIRCUIT: the state of every circuit over time, the worst of each slot.
//!
//! Known since the console listens, and before that as far as a circuit says since when it is what
//! it is; the rest is `╌`. The span grows with what is known, up to six hours. Refuses to know why
//! circuits turn.
//!
//! ```text
//!  azure-gpt4o  ╌╌╌╌╌╌╌●●●●✖✖✖✖  8×     opened eight times since it last stayed closed
//!  openai-mini  ●●●●●●●●●●●●●●●
//! ```

use ratatui::layout::Rect;
use tollgate_shared::circuit::CircuitState;
use tollgate_shared::provider::ProviderView;
use tollgate_shared::time::Timestamp;

use super::super::canvas::{Canvas, Piece, seg};
use super::super::frame::{self, Frame};
use crate::format;
use crate::model::pulse::Turn;
use crate::model::{Day, Model, rows};
use crate::theme::{Theme, Tone};

/// Draws the panel.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, boxed: bool) {
    let (day, theme) = (model.day(), canvas.theme);
    let views = rows::providers(model);
    let span_s = span_s(day, &views);
    let read_only = model.is_read_only();
    let frame = Frame {
        title: "CIRCUIT",
        about: vec![seg(1, format!(" last {}", format::span(span_s.unsigned_abs())), theme.dim())],
        legend: Vec::new(),
        hints: if read_only { &[] } else { &[("o", "open / half-open / close")] },
        focused: false,
        boxed,
    };
    let inner = frame::draw(canvas, rect, frame);
    if views.is_empty() {
        super::nobody(canvas, model, inner);
        return;
    }
    let longest = views.iter().map(|view| view.name.as_str().len()).max().unwrap_or(8);
    let names = longest.clamp(8, 18);
    let taken = u16::try_from(names).unwrap_or(18) + 2 + OPENED;
    let slots = usize::from(inner.width.saturating_sub(taken)).min(SLOTS_MAX);
    let rows = usize::from(inner.height);
    let own = if views.len() > rows { rows.saturating_sub(1) } else { rows };
    let selected = super::selected(model).map(|view| &view.name);
    for (view, y) in views.iter().take(own).zip(inner.y..inner.bottom()) {
        let strong = if selected == Some(&view.name) { theme.strong() } else { theme.text() };
        let mut pieces: Vec<Piece> =
            vec![(format!(" {} ", crate::text::left(view.name.as_str(), names)), strong)];
        let turns: Vec<Turn> = day.pulse.turns(&view.name).collect();
        pieces.extend(slots_of(&turns, day.now, (span_s, slots)).map(|state| look(theme, state)));
        if view.circuit.opened > 0 {
            pieces.push((format!(" {}×", view.circuit.opened.min(999)), theme.dim()));
        }
        canvas.pieces((inner.x, y), inner.width, &pieces);
    }
    if views.len() > own && rows > 0 {
        let text = format!(" {} more", views.len() - own);
        canvas.put((inner.x, inner.bottom() - 1), inner.width, &text, theme.dim());
    }
}

/// The shortest of a few spans that holds what is known of any circuit that ever turned.
fn span_s(day: &Day, views: &[&ProviderView]) -> i64 {
    let oldest = views.iter().flat_map(|view| day.pulse.turns(&view.name)).filter_map(|t| t.since);
    let age = oldest.map(|since| day.now.millis_since(since) / 1_000).max().unwrap_or(0);
    SPANS_S.into_iter().find(|span| *span >= age).unwrap_or(SPANS_S[SPANS_S.len() - 1])
}

/// The worst state of each slot, oldest first; `None` where nobody knows.
fn slots_of(
    turns: &[Turn],
    now: Timestamp,
    (span_s, slots): (i64, usize),
) -> impl Iterator<Item = Option<CircuitState>> {
    let count = i64::try_from(slots.max(1)).unwrap_or(1);
    let edge = move |slot: i64| now.plus_millis(-1_000 * span_s + 1_000 * span_s * slot / count);
    (0..i64::try_from(slots).unwrap_or(0)).map(move |slot| {
        let (from, until) = (edge(slot), edge(slot + 1));
        let ends = turns.iter().skip(1).map(|turn| turn.since).chain([None]);
        let states = turns.iter().zip(ends).filter(|(turn, end)| {
            turn.since.is_none_or(|since| since < until) && end.is_none_or(|end| end > from)
        });
        states.map(|(turn, _)| turn.state).max_by_key(|state| badness(*state))
    })
}

/// How bad a state is.
const fn badness(state: CircuitState) -> u8 {
    match state {
        CircuitState::Closed => 0,
        CircuitState::HalfOpen => 1,
        CircuitState::Open => 2,
    }
}

/// The shape and tone of a slot.
fn look(theme: &Theme, state: Option<CircuitState>) -> Piece {
    let (glyph, style) = match state {
        None => ("╌", theme.dim()),
        Some(CircuitState::Closed) => ("●", theme.tone(Tone::Ok)),
        Some(CircuitState::HalfOpen) => ("◐", theme.tone(Tone::Caution)),
        Some(CircuitState::Open) => ("✖", theme.tone(Tone::Critical)),
    };
    (glyph.to_owned(), style)
}

/// Spans the panel may show: a quarter of an hour, an hour, six hours.
const SPANS_S: [i64; 3] = [900, 3_600, 21_600];

/// Most slots of one line: more would say less each.
const SLOTS_MAX: usize = 60;

/// Cells of how often a circuit opened.
const OPENED: u16 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_shows_its_worst_and_what_nobody_knows_is_not_closed() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let turn = |since: Option<i64>, state| Turn { since: since.map(at), state };
        let drawn = |turns: &[Turn]| -> String {
            let glyph = |state: Option<CircuitState>| match state {
                None => '.',
                Some(CircuitState::Closed) => 'c',
                Some(CircuitState::HalfOpen) => 'h',
                Some(CircuitState::Open) => 'o',
            };
            slots_of(turns, at(1_000), (1_000, 10)).map(glyph).collect()
        };
        use CircuitState::{Closed, HalfOpen, Open};
        assert_eq!(drawn(&[]), "..........");
        assert_eq!(drawn(&[turn(None, Closed)]), "cccccccccc");
        assert_eq!(drawn(&[turn(Some(750), Open)]), ".......ooo", "before that nobody knows");
        let story = [turn(None, Closed), turn(Some(320), Open), turn(Some(610), HalfOpen)];
        assert_eq!(drawn(&story), "cccooooohhh".replace("ooooo", "oooo"));
    }
}
