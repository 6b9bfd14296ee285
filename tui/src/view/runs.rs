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
    let mut places = Places::default();
    let [table, lower, _] = match (class, body.height) {
        (_, ..14) => [body.height, 0, 0],
        (Class::Small, _) => layout::parts(body.height, [55, 45]),
        (Class::Large, _) => layout::parts(body.height, [40, 60]),
        _ => layout::parts(body.height, [42, 58]),
    };
    places.panes.push((PaneId::Budgets, Rect { height: table, ..body }));
    let below = Rect { y: body.y + table, height: lower, ..body };
    if lower == 0 {
        return places;
    }
    if class == Class::Small {
        places.panels.push((Panel::BurnDown, below));
        return places;
    }
    let (left, right) = layout::split(below, 57);
    places.panels.push((Panel::BurnDown, left));
    if right.height < 12 {
        places.panels.push((Panel::Timeline, right));
        return places;
    }
    let [parts, _, _] = layout::parts(right.height, [43, 57]);
    places.panels.push((Panel::Where, Rect { height: parts, ..right }));
    let timeline = Rect { y: right.y + parts, height: right.height - parts, ..right };
    places.panels.push((Panel::Timeline, timeline));
    places
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
