//! Screen 2, Runs: where one run's money went and when it ends.
//!
//! The table is the budgets pane, with the tree; below it stands more of the run that the cursor
//! is on. Refuses to know the order of runs.
//!
//! ```text
//! ┌ RUNS ─────────────────────────────┐
//! │ R-198, R-207 …, shortest runway   │
//! ├ R-207 burn-down ─┬ WHERE IT GOES ─┤
//! │ spent, and then  ├ TIMELINE ──────┤
//! └──────────────────┴────────────────┘
//! ```

use ratatui::layout::Rect;
use tollgate_shared::id::RunId;

use super::canvas::Canvas;
use super::layout::{self, Class, Panel, Places};
use crate::model::{Key, Model, PaneId, RunEntry, rows};

mod burn_down;
mod course;
#[cfg(test)]
mod tests;
mod timeline;
mod whereabouts;

/// Where everything stands: the table has the upper part, and all of it where rows are few.
pub(super) fn places(body: Rect, class: Class) -> Places {
    let stack = layout::Stack {
        pane: PaneId::Budgets,
        panels: [Panel::BurnDown, Panel::Where, Panel::Timeline],
        table: [55, 42, 40],
        left: 57,
        upper: 43,
    };
    stack.places(body, class)
}

/// Draws a panel of this screen.
pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    model: &Model,
    (panel, rect): (Panel, Rect),
    class: Class,
) {
    let boxed = class != Class::Small;
    match panel {
        Panel::BurnDown => burn_down::draw(canvas, model, rect, boxed),
        Panel::Where => whereabouts::draw(canvas, model, rect, boxed),
        _ => timeline::draw(canvas, model, rect, boxed),
    }
}

/// The run that the cursor is on, or that the agent at the cursor works in.
fn selected(model: &Model) -> Option<(&RunId, &RunEntry)> {
    let run = match rows::cursor(model, PaneId::Budgets)? {
        Key::Run(run) | Key::Agent(run, _) => run,
        _ => return None,
    };
    model.day().runs.get_key_value(&run)
}

/// What stands in a panel while there is no run.
fn nobody(canvas: &mut Canvas<'_>, model: &Model, rect: Rect) {
    let text = if model.day().ready {
        " a run appears with its first request"
    } else {
        " waiting for the backend"
    };
    let dim = canvas.theme.dim();
    canvas.put((rect.x, rect.y), rect.width, text, dim);
}
