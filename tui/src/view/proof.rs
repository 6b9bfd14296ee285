//! Screen 4, Receipts: a receipt is a proof.
//!
//! The tail is the receipts pane; beside or below it stands the receipt that the cursor is on,
//! line by line. Refuses to know filters.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::layout::{Class, Places};
use crate::model::{Model, PaneId};

/// Where everything stands.
pub(super) fn places(body: Rect, _class: Class) -> Places {
    Places { panes: vec![(PaneId::Receipts, body)], panels: Vec::new() }
}

/// Draws the proof.
pub(super) fn draw(_: &mut Canvas<'_>, _: &Model, _: Rect, _: Class) {}
