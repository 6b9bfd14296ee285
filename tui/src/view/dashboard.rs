//! The dashboard: one glance. Puts header, panes and footer where the layout says.
//!
//! Refuses to know what stands inside them.
//!
//! ```text
//! header: speed, runway and what is broken, the worst alert
//! ╭ MONEY OUT ────────────╮╭ WHO ────────╮    from 100 columns
//! ╭ BUDGETS ──────╮╭ PROVIDERS ──────────╮
//! ╭ RECEIPTS ───────────────────╮╭ ALERTS ╮    alerts from 160 × 40
//! footer: tabs, keys
//! ```

use super::canvas::Canvas;
use super::layout::Layout;
use super::{alerts, budgets, chart, footer, header, providers, receipts, who};
use crate::model::{Model, PaneId};

/// Draws everything but dialogs.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, layout: &Layout) {
    let class = layout.class;
    header::draw(canvas, model, layout.header, class);
    if let Some(rect) = layout.chart {
        chart::draw(canvas, model, rect);
    }
    for (id, rect) in &layout.panes {
        match id {
            PaneId::Budgets => budgets::draw(canvas, model, *rect, class),
            PaneId::Providers => providers::draw(canvas, model, *rect, class),
            PaneId::Receipts => receipts::draw(canvas, model, *rect, class),
            PaneId::Alerts => alerts::draw(canvas, model, *rect, class),
            PaneId::Who => who::draw(canvas, model, *rect, class),
        }
    }
    footer::draw(canvas, model, layout.footer, class);
}
