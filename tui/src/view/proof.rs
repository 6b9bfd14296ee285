//! Screen 4, Receipts: a receipt is a proof.
//!
//! The tail is the receipts pane; beside or below it stands the receipt that the cursor is on,
//! worked out anew line by line. Refuses to know filters.
//!
//! ```text
//! cost      $0.007680  gpt-4o on openai-gpt4o, attempt 2    plan      balanced · 5 eligible
//!   input   1,098 × $2.50/M  = $0.002745                      1 openai-gpt4o  0.64  chosen
//!   sum ✓ equals cost_usd   chain ✓ follows seq 102           ✖ local-qwen    context 32k
//! held      $0.110000 → posted $0.007680, freed $0.102320   cheapest eligible $0.006072
//! time      0.91 s   SLO 2.00 s ✓
//! budget    R-190 $88.20 of $120.00
//! ```

use ratatui::layout::Rect;

use super::canvas::{Canvas, seg};
use super::detail::{Line, Page};
use super::frame::{self, Frame};
use super::layout::{self, Class, Places};
use crate::format;
use crate::model::{Key, Model, PaneId, Row, What, rows};

mod chain;
mod lines;
mod plan;
mod short;
mod sums;

/// Where everything stands: the proof beside the tail on a wall, below it elsewhere.
pub(super) fn places(body: Rect, class: Class) -> Places {
    let (tail, proof) = match (class, body.height) {
        (Class::Large, _) => layout::split(body, 70),
        (Class::Small, 14..) => under(body, 9),
        (Class::Medium, 26..) => under(body, 15),
        (Class::Medium, 14..) => under(body, 8),
        _ => (body, Rect::ZERO),
    };
    let panels = if proof.is_empty() { Vec::new() } else { vec![(layout::Panel::Proof, proof)] };
    Places { panes: vec![(PaneId::Receipts, tail)], panels }
}

/// Draws the proof.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, class: Class) {
    let row = match rows::cursor(model, PaneId::Receipts) {
        Some(Key::Row(serial)) => model.day().tail.row(serial).cloned(),
        _ => None,
    };
    let inner = frame::draw(canvas, rect, frame(canvas, row.as_deref(), class));
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let theme = canvas.theme;
    let Some(row) = row else {
        let text = "a receipt that the cursor is on is worked out anew here";
        canvas.put((inner.x, inner.y), inner.width, text, theme.dim());
        return;
    };
    let hidden = canvas.hides_money();
    let page = Page { theme, hide_money: hidden, label: LABEL };
    let sent = match &row.what {
        What::Sent(sent) => sent,
        What::Refused { .. } => {
            write(canvas, inner, &lines::refusal(&page, model, &row));
            return;
        }
    };
    if inner.height < 9 {
        write(canvas, inner, &short::lines(&page, model, (&row, sent)));
        return;
    }
    let mut left = lines::money(&page, model, (&row, sent));
    left.push(Vec::new());
    left.extend(lines::time(&page, model, (&row, sent)));
    left.push(Vec::new());
    left.push(lines::budget(&page, model, &row));
    let plan = plan::lines(&page, model, (&row, sent));
    if inner.width < TWO_COLUMNS_MIN {
        left.push(Vec::new());
        left.extend(plan);
        write(canvas, inner, &left);
        return;
    }
    let (of_money, of_plan) = layout::split(inner, 54);
    write(canvas, Rect { width: of_money.width.saturating_sub(2), ..of_money }, &left);
    write(canvas, of_plan, &plan);
}

/// The proof in full, for the detail of a receipt.
pub(super) fn full(page: &Page<'_>, model: &Model, row: &Row) -> Vec<Line> {
    let What::Sent(sent) = &row.what else { return lines::refusal(page, model, row) };
    let mut all = lines::who(page, (row, sent));
    all.push(Vec::new());
    all.extend(lines::money(page, model, (row, sent)));
    all.push(Vec::new());
    all.extend(lines::time(page, model, (row, sent)));
    all.push(Vec::new());
    all.push(lines::budget(page, model, row));
    all.push(Vec::new());
    all.extend(plan::lines(page, model, (row, sent)));
    all.push(Vec::new());
    all.extend(lines::papers(page, model, (row, sent)));
    all
}

/// The frame: whose receipt it is.
fn frame<'a>(canvas: &Canvas<'_>, row: Option<&Row>, class: Class) -> Frame<'a> {
    let theme = canvas.theme;
    let mut about = Vec::new();
    if let Some(row) = row {
        about.push(seg(0, format!(" {}", row.request), theme.strong()));
        about.push(seg(1, format!(" {} · {}", row.run, row.agent), theme.dim()));
        about.push(seg(3, format!(" · {}", clock_fine(row.at)), theme.dim()));
        if let Some(sent) = row.sent() {
            let seq = crate::format::grouped(sent.seq);
            about.push(seg(2, format!(" · seq {seq}"), theme.dim()));
        }
    }
    Frame {
        title: "PROOF",
        about,
        legend: Vec::new(),
        hints: if class == Class::Small {
            &[("Enter", "full")]
        } else {
            &[("Enter", "full"), ("J", "json"), ("C", "curl"), ("y", "copy")]
        },
        focused: false,
        boxed: class != Class::Small,
    }
}

/// A body in two, the lower part so many rows high.
fn under(body: Rect, height: u16) -> (Rect, Rect) {
    let above = body.height.saturating_sub(height);
    (Rect { height: above, ..body }, Rect { y: body.y + above, height, ..body })
}

/// Writes lines from the top; what has no row is in the detail.
fn write(canvas: &mut Canvas<'_>, rect: Rect, lines: &[Line]) {
    for (line, y) in lines.iter().zip(rect.y..rect.bottom()) {
        canvas.pieces((rect.x, y), rect.width, line);
    }
}

/// A clock time with hundredths: `14:14:06.98`.
fn clock_fine(at: tollgate_shared::time::Timestamp) -> String {
    let hundredths = at.micros().rem_euclid(1_000_000) / 10_000;
    format!("{}.{hundredths:02}", format::clock(at))
}

/// Cells of a label.
const LABEL: usize = 10;

/// From this width the plan stands beside the money.
const TWO_COLUMNS_MIN: u16 = 96;

#[cfg(test)]
mod tests;
