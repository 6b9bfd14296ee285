//! Screen 2, Runs: where one run's money went and when it ends.
//!
//! The table is the budgets pane, with the tree; below it stands more of the run that the cursor
//! is on. Refuses to know the order of runs.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::layout::{Class, Panel, Places};
use crate::model::{Model, PaneId};

/// Where everything stands.
pub(super) fn places(body: Rect, _class: Class) -> Places {
    Places { panes: vec![(PaneId::Budgets, body)], panels: Vec::new() }
}

/// Draws a panel of this screen.
pub(super) fn draw(_: &mut Canvas<'_>, _: &Model, _: (Panel, Rect), _: Class) {}
