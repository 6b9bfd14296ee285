//! Screen 3, Providers: who is slow, broken or dear.
//!
//! The table is the providers pane; below it stands more of the provider that the cursor is on.
//! Refuses to know the order of providers.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::layout::{Class, Panel, Places};
use crate::model::{Model, PaneId};

/// Where everything stands.
pub(super) fn places(body: Rect, _class: Class) -> Places {
    Places { panes: vec![(PaneId::Providers, body)], panels: Vec::new() }
}

/// Draws a panel of this screen.
pub(super) fn draw(_: &mut Canvas<'_>, _: &Model, _: (Panel, Rect), _: Class) {}
