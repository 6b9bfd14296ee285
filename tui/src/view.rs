//! The picture of a model: pure and total.
//!
//! Any model at any size from 0 × 0 is drawn, nothing outside the area is touched, nothing is
//! changed. A pane is a function; what it remembers is in the model. Hence snapshots, `shot` and
//! the console itself show one and the same picture. Refuses to know keys, sockets and clocks.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::model::{Dialog, Freshness, Model, PaneId};
use crate::theme::Theme;

mod alerts;
mod audit;
mod bars;
mod budgets;
mod canvas;
mod chart;
mod confirm;
mod detail;
mod dialog;
mod digits;
mod footer;
mod frame;
mod gauge;
mod header;
mod help;
pub mod layout;
mod palette;
mod plot;
mod proof;
mod providers;
mod quality;
mod receipts;
mod reports;
mod routing;
mod runs;
mod stage;
mod status;
mod table;
mod tiny;
mod who;

pub use help::lines as help_lines;

use canvas::Canvas;

/// Draws the model into `area` of the buffer.
pub fn view(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    let mut canvas = Canvas::new(buffer, theme, area, model.settings.hide_money);
    canvas.blank(area);
    let layout = layout::layout(model, area);
    match layout.class {
        layout::Class::Tiny => tiny::draw(&mut canvas, model, area),
        _ => stage::draw(&mut canvas, model, &layout),
    }
    if !matches!(model.freshness(), Freshness::Live(_) | Freshness::Waiting) {
        canvas.fade();
    }
    footer::toasts(&mut canvas, model, area);
    match &model.dialog {
        None | Some(Dialog::Filter(_)) => {}
        Some(Dialog::Help(list)) => help::draw(&mut canvas, model, list, area),
        Some(Dialog::Detail(of)) => detail::draw(&mut canvas, model, of, area),
        Some(dialog) => dialog::draw(&mut canvas, model, dialog, area),
    }
    theme.adapt(buffer);
}

/// How many columns a pane has in all.
pub fn columns_of(pane: PaneId) -> usize {
    match pane {
        PaneId::Budgets => budgets::COLUMNS,
        PaneId::Providers => providers::COLUMNS,
        PaneId::Receipts => receipts::COLUMNS,
        PaneId::Alerts => alerts::COLUMNS,
        PaneId::Who => 1,
        PaneId::Objectives | PaneId::Experiments | PaneId::Fallbacks => routing::columns_of(pane),
        PaneId::Days | PaneId::Invoice => reports::columns_of(pane),
    }
}

#[cfg(test)]
pub(crate) mod tests;
