//! Screen 7, Reports: days, and why they differ.
//!
//! Days are those of the ledger, in UTC; where the backend does not sum them, the pane says so and
//! shows what the console knows of today. Refuses to know how days are summed.
//!
//! ```text
//! DAILY        a line for each day, hours as a spark line
//! BY PROVIDER  to be held against an invoice  | WHAT CHANGED  in dollars that add up
//! ```

use ratatui::layout::Rect;
use tollgate_shared::time::Timestamp;

use super::canvas::Canvas;
use super::layout::{self, Class, Panel, Places};
use crate::model::{Model, PaneId};

mod changed;
mod days;
mod invoice;

pub(super) use changed::draw as changed;

/// Where everything stands.
pub(super) fn places(body: Rect, class: Class) -> Places {
    let days = match (class, body.height) {
        (_, ..12) => body.height,
        (Class::Small, height) => 11.min(height / 2 + 1),
        (_, height) => 12.min(height / 2),
    };
    let above = Rect { height: days, ..body };
    let below = Rect { y: body.y + days, height: body.height - days, ..body };
    let mut places = Places { panes: vec![(PaneId::Days, above)], panels: Vec::new() };
    if below.is_empty() {
        return places;
    }
    if body.width < 76 {
        places.panes.push((PaneId::Invoice, below));
        return places;
    }
    let (invoice, changed) = layout::split(below, 50);
    places.panes.push((PaneId::Invoice, invoice));
    places.panels.push((Panel::Changed, changed));
    places
}

/// Draws a pane of this screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, of: (PaneId, Rect), class: Class) {
    match of {
        (PaneId::Invoice, rect) => invoice::draw(canvas, model, rect, class),
        (_, rect) => days::draw(canvas, model, rect, class),
    }
}

/// How many columns a pane of this screen has.
pub(super) const fn columns_of(pane: PaneId) -> usize {
    match pane {
        PaneId::Invoice => invoice::COLUMNS,
        _ => days::COLUMNS,
    }
}

/// A date as people say it: `Mon 23`. One that is no date is shown as it is.
fn day_name(date: &str) -> String {
    let Ok(midnight) = format!("{date}T00:00:00Z").parse::<Timestamp>() else { return date.into() };
    let [_, _, day, ..] = midnight.civil();
    // The first of January 1970 was a Thursday.
    let weekday = (midnight.seconds().div_euclid(86_400) + 3).rem_euclid(7);
    let name = usize::try_from(weekday).ok().and_then(|place| WEEKDAYS.get(place));
    format!("{} {day}", name.copied().unwrap_or_default())
}

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

#[cfg(test)]
mod tests;
