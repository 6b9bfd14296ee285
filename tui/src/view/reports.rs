//! Screen 7, Reports: days, and why they differ.
//!
//! Refuses to know how days are summed.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::layout::{Class, Places};
use crate::model::{Model, PaneId};

/// Where everything stands.
pub(super) fn places(body: Rect, _class: Class) -> Places {
    Places { panes: vec![(PaneId::Days, body)], panels: Vec::new() }
}

/// Draws a pane of this screen.
pub(super) fn draw(_: &mut Canvas<'_>, _: &Model, _: (PaneId, Rect), _: Class) {}

/// Draws what changed between two days.
pub(super) fn changed(_: &mut Canvas<'_>, _: &Model, _: Rect, _: Class) {}

/// How many columns a pane of this screen has.
pub(super) const fn columns_of(_: PaneId) -> usize {
    1
}
