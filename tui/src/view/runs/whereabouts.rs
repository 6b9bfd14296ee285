//! WHERE IT GOES: what a run spent of late, by agent, provider or model.
//!
//! Read from the receipts at hand, so the title says how far back they reach, and amounts are sums
//! and not rates: a few seconds of receipts make no rate. Refuses to know how they are summed: that
//! is [`crate::model::tree::parts`].
//!
//! ```text
//!  Worker-CPE-5  ━━━━━━······    0.084  31%
//!  8 others      ━━━╸········    0.048  18%     what has no row of its own is still counted
//! ```

use ratatui::layout::Rect;
use tollgate_shared::money::Percent;

use super::super::canvas::{Canvas, seg};
use super::super::frame::{self, Frame};
use super::super::gauge;
use crate::format;
use crate::model::tree::{self, Part};
use crate::model::{Group, Model};
use crate::theme::Tone;

/// Draws the panel.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, boxed: bool) {
    let (day, theme) = (model.day(), canvas.theme);
    // Within a run, its own name says nothing.
    let group = if model.group == Group::Run { Group::Agent } else { model.group };
    let parts = super::selected(model).map(|(run, _)| tree::parts(day, run, group));
    let parts = parts.unwrap_or_default();
    let span = match parts.span_s {
        900.. => "15 min".to_owned(),
        seconds => format::age(seconds),
    };
    let frame = Frame {
        title: "WHERE IT GOES",
        about: vec![
            seg(1, format!(" by {}", group.word()), theme.dim()),
            seg(2, format!(" · $ in the last {span}"), theme.dim()),
        ],
        legend: Vec::new(),
        hints: &[("c", "group")],
        focused: false,
        boxed,
    };
    let inner = frame::draw(canvas, rect, frame);
    if parts.lines.is_empty() {
        if super::selected(model).is_none() {
            super::nobody(canvas, model, inner);
        } else {
            let text = format!(" no receipt of this run among those of the last {span}");
            canvas.put((inner.x, inner.y), inner.width, &text, theme.dim());
        }
        return;
    }
    let rows = usize::from(inner.height);
    let own = if parts.lines.len() > rows { rows.saturating_sub(1) } else { rows };
    let mut lines: Vec<(String, Part)> =
        parts.lines.iter().take(own).map(|(name, part)| ((*name).to_owned(), *part)).collect();
    let others = &parts.lines[lines.len()..];
    if !others.is_empty() {
        let sum = others.iter().fold(Part::default(), |sum, (_, part)| Part {
            spent: sum.spent + part.spent,
            attempts: sum.attempts + part.attempts,
        });
        lines.push((format!("{} others", others.len()), sum));
    }
    let longest = lines.iter().map(|(name, _)| crate::text::width_of(name)).max().unwrap_or(4);
    let name_cells = longest.clamp(8, 22);
    let fixed = u16::try_from(name_cells).unwrap_or(22) + NUMBERS + 3;
    let bar = inner.width.saturating_sub(fixed);
    for ((name, part), y) in lines.iter().zip(inner.y..inner.bottom()) {
        let spent = canvas.money(part.spent, 3);
        let share = Percent::of(part.spent, parts.total.spent).whole();
        let mut pieces = vec![(format!(" {} ", crate::text::left(name, name_cells)), theme.text())];
        let styles = (theme.tone(Tone::Ok), theme.dim());
        pieces.extend(gauge::bar(part.spent, parts.total.spent, bar, styles));
        pieces.push((crate::text::right(&spent, 9), theme.text()));
        pieces.push((crate::text::right(&format!("{share}%"), 5), theme.dim()));
        canvas.pieces((inner.x, y), inner.width, &pieces);
    }
}

/// Cells of the two numbers at the end of a line.
const NUMBERS: u16 = 14;
