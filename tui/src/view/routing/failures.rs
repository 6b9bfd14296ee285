//! FAILURES: first tries that failed, and requests that were lost. Taller is worse.
//!
//! Success is a wall that says nothing, so failures are drawn. Refuses to know reasons.

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{since, spark};
use crate::format;
use crate::model::Model;
use crate::theme::Tone;
use crate::view::canvas::{Canvas, seg};
use crate::view::frame::{self, Frame};
use crate::view::layout::Class;

/// Draws the panel.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let theme = canvas.theme;
    let routing = &model.routing;
    let frame = Frame {
        title: "FAILURES",
        about: vec![since(canvas, model), seg(2, " · taller is worse", theme.dim())],
        legend: Vec::new(),
        hints: &[],
        focused: false,
        boxed: class != Class::Small,
    };
    let inner = frame::draw(canvas, rect, frame);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let Some(since) = routing.since else {
        canvas.put((inner.x, inner.y), inner.width, "nothing was tried yet", theme.dim());
        return;
    };
    let share = |count: u64| {
        let permyriad = count.saturating_mul(10_000).checked_div(routing.tries).unwrap_or(0);
        format!("{}.{:02}%", permyriad / 100, permyriad % 100)
    };
    let rescued = format!(
        "  rescued by fallback: {} of {}",
        format::grouped(routing.rescued),
        format::grouped(routing.failed)
    );
    let lost = format!(
        "  {} lost, {} more refused before anything was sent",
        format::grouped(routing.lost),
        format::grouped(routing.refused)
    );
    let rows: [(&str, usize, Style, String, String); 2] = [
        ("failed first try", 0, theme.tone(Tone::Caution), share(routing.failed), rescued),
        ("lost for good", 1, theme.tone(Tone::Critical), share(routing.lost), lost),
    ];
    let gap = u16::from(inner.height >= 7);
    let mut y = inner.y + gap;
    let width = usize::from(inner.width.saturating_sub(LABEL));
    for (label, which, style, share, words) in rows {
        if y + 1 >= inner.bottom() {
            return;
        }
        let counts = routing.failures.iter().map(|(at, counts)| (*at, counts[which]));
        let spark = spark(counts, (since, routing.until), width);
        canvas.put((inner.x, y), LABEL, label, theme.dim());
        canvas.put((inner.x + LABEL, y), inner.width.saturating_sub(LABEL), &spark, style);
        let line = [(share, theme.strong()), (words, theme.dim())];
        canvas.pieces((inner.x, y + 1), inner.width, &line);
        y += 2 + gap;
    }
}

/// Cells of a label.
const LABEL: u16 = 18;
