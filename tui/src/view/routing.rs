//! Screen 5, Routing: whether the router earns its keep.
//!
//! Refuses to know how a plan is made.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::layout::{Class, Panel, Places};
use crate::model::{Model, PaneId};

/// Where everything stands.
pub(super) fn places(body: Rect, _class: Class) -> Places {
    Places { panes: vec![(PaneId::Objectives, body)], panels: Vec::new() }
}

/// Draws a pane of this screen.
pub(super) fn draw(_: &mut Canvas<'_>, _: &Model, _: (PaneId, Rect), _: Class) {}

/// Draws a panel of this screen.
pub(super) fn draw_panel(_: &mut Canvas<'_>, _: &Model, _: (Panel, Rect), _: Class) {}

/// How many columns a pane of this screen has.
pub(super) const fn columns_of(_: PaneId) -> usize {
    1
}
