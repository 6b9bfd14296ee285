//! Screen 3, Providers: who is slow, broken or dear.
//!
//! The table is the providers pane; below it stands more of the provider that the cursor is on.
//! Refuses to know the order of providers.
//!
//! ```text
//! ┌ PROVIDERS ─────────────────────────┐
//! │ azure-gpt4o, mistral-lg …          │
//! ├ openai-mini latency ┬ CIRCUIT ─────┤
//! │ p95, p50, the SLO   ├ IF THIS GOES ┤
//! └─────────────────────┴──────────────┘
//! ```

use ratatui::layout::Rect;
use tollgate_shared::provider::ProviderView;

use super::canvas::Canvas;
use super::layout::{self, Class, Panel, Places};
use crate::model::{Key, Model, PaneId, rows};

mod circuits;
mod if_gone;
mod latency;
mod takeover;
#[cfg(test)]
mod tests;

/// Where everything stands: the table has the upper part, and all of it where rows are few.
pub(super) fn places(body: Rect, class: Class) -> Places {
    let stack = layout::Stack {
        pane: PaneId::Providers,
        panels: [Panel::Latency, Panel::Circuits, Panel::IfGone],
        table: [48, 33, 28],
        left: 55,
        upper: 50,
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
        Panel::Latency => latency::draw(canvas, model, rect, boxed),
        Panel::Circuits => circuits::draw(canvas, model, rect, boxed),
        _ => if_gone::draw(canvas, model, rect, boxed),
    }
}

/// The provider that the cursor is on.
fn selected(model: &Model) -> Option<&ProviderView> {
    match rows::cursor(model, PaneId::Providers)? {
        Key::Provider(name) => model.day().providers.get(&name),
        _ => None,
    }
}

/// What stands in a panel while there is no provider.
fn nobody(canvas: &mut Canvas<'_>, model: &Model, rect: Rect) {
    let text = if model.day().ready {
        " a provider appears when it is registered: r"
    } else {
        " waiting for the backend"
    };
    let dim = canvas.theme.dim();
    canvas.put((rect.x, rect.y), rect.width, text, dim);
}
