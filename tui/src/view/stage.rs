//! Every screen: puts header, panes, panels and footer where the layout says.
//!
//! Refuses to know what stands inside them.
//!
//! ```text
//! header: speed, runway and what is broken, the worst alert     on every screen
//! panes: lists with a cursor · panels: more of what a cursor is on
//! footer: tabs, keys                                             on every screen
//! ```

use super::canvas::Canvas;
use super::layout::{Layout, Panel};
use super::{
    alerts, budgets, chart, footer, header, proof, providers, quality, receipts, reports, routing,
    runs, who,
};
use crate::model::{Model, PaneId};

/// Draws everything but dialogs.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, layout: &Layout) {
    let class = layout.class;
    header::draw(canvas, model, layout.header, class);
    for (panel, rect) in &layout.panels {
        let (panel, rect) = (*panel, *rect);
        match panel {
            Panel::Chart => chart::draw(canvas, model, rect),
            Panel::BurnDown | Panel::Where | Panel::Timeline => {
                runs::draw(canvas, model, (panel, rect), class);
            }
            Panel::Latency | Panel::Circuits | Panel::IfGone => {
                quality::draw(canvas, model, (panel, rect), class);
            }
            Panel::Proof => proof::draw(canvas, model, rect, class),
            Panel::Incident => alerts::incident(canvas, model, rect, class),
            Panel::Failures | Panel::LeftOnTable => {
                routing::draw_panel(canvas, model, (panel, rect), class);
            }
            Panel::Changed => reports::changed(canvas, model, rect, class),
        }
    }
    for (id, rect) in &layout.panes {
        let (id, rect) = (*id, *rect);
        match id {
            PaneId::Budgets => budgets::draw(canvas, model, rect, class),
            PaneId::Providers => providers::draw(canvas, model, rect, class),
            PaneId::Receipts => receipts::draw(canvas, model, rect, class),
            PaneId::Alerts => alerts::draw(canvas, model, rect, class),
            PaneId::Who => who::draw(canvas, model, rect, class),
            PaneId::Objectives | PaneId::Experiments | PaneId::Fallbacks => {
                routing::draw(canvas, model, (id, rect), class);
            }
            PaneId::Days | PaneId::Invoice => reports::draw(canvas, model, (id, rect), class),
        }
    }
    footer::draw(canvas, model, layout.footer, class);
}
