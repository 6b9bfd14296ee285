//! Where everything stands, at every size.
//!
//! | class | size | layout |
//! |---|---|---|
//! | tiny | under 60 wide or 16 high | speed, runway, counts, one line for each budget |
//! | small | 60–99 wide | no boxes, titled rules |
//! | medium | 100–159 wide | boxes: chart and WHO, budgets and providers, receipts |
//! | large | from 160 × 40 | header with big digits, alerts beside the receipts |
//!
//! Also asked by keys, which must know how many rows a page has. Refuses to know what is drawn.
//!
//! ```text
//! large:  header 3 · chart 66 % | WHO (28 %) · budgets 43 % | providers (24 %) · receipts 71 % | alerts
//! medium: header 3 · chart 56 % | WHO (28 %) · budgets 47 % | providers (28 %) · receipts
//! small:  header 3 · budgets 35 % · providers 30 % · receipts
//! ```

use ratatui::layout::Rect;

use crate::model::{Model, PaneId, Screen};

use super::{alerts, proof, quality, reports, routing, runs};

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A corner of a screen.
    Tiny,
    /// An ssh window.
    Small,
    /// A terminal.
    Medium,
    /// A wall.
    Large,
}

/// A part of a screen without a cursor: it shows more of what the cursor is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// Money out.
    Chart,
    /// A run's money until it is gone.
    BurnDown,
    /// A run's money by agent.
    Where,
    /// What happened to a run.
    Timeline,
    /// A provider's latency against its promise.
    Latency,
    /// Circuits over hours.
    Circuits,
    /// What happens if a provider goes away.
    IfGone,
    /// A receipt as a proof.
    Proof,
    /// An alert: what, then, why, do.
    Incident,
    /// Failures over time.
    Failures,
    /// What the cheapest eligible would have saved.
    LeftOnTable,
    /// Why two days differ.
    Changed,
}

/// What stands in a body: panes with cursors, and panels without.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Every pane that is drawn.
    pub panes: Vec<(PaneId, Rect)>,
    /// Every panel that is drawn.
    pub panels: Vec<(Panel, Rect)>,
}

/// Where everything stands.
#[derive(Clone, Debug)]
pub struct Layout {
    /// How much room there is.
    pub class: Class,
    /// Three rows.
    pub header: Rect,
    /// One row.
    pub footer: Rect,
    /// Every pane that is drawn.
    pub panes: Vec<(PaneId, Rect)>,
    /// Every panel that is drawn.
    pub panels: Vec<(Panel, Rect)>,
}

impl Class {
    /// The class of a size.
    pub const fn of(width: u16, height: u16) -> Self {
        match (width, height) {
            (..60, _) | (_, ..16) => Self::Tiny,
            (..100, _) => Self::Small,
            (160.., 40..) => Self::Large,
            _ => Self::Medium,
        }
    }
}

/// Where everything stands in `area`.
pub fn layout(model: &Model, area: Rect) -> Layout {
    places((model.screen, model.zoomed), model.panes.focus, area)
}

/// The places for a screen, a zoom and a focus; asked without a model by the keys.
fn places((screen, zoomed): (Screen, bool), focus: PaneId, area: Rect) -> Layout {
    let class = Class::of(area.width, area.height);
    if class == Class::Tiny {
        let (footer, panes, panels) = (Rect::ZERO, Vec::new(), Vec::new());
        return Layout { class, header: area, footer, panes, panels };
    }
    let header = Rect { height: 3, ..area };
    let footer = Rect { y: area.bottom() - 1, height: 1, ..area };
    let body = Rect { y: area.y + 3, height: area.height - 4, ..area };
    let Places { panes, panels } = if zoomed {
        Places { panes: vec![(focus, body)], panels: Vec::new() }
    } else {
        match screen {
            Screen::Dashboard if class == Class::Small => small(body),
            Screen::Dashboard => boxes(body, class),
            Screen::Runs => runs::places(body, class),
            Screen::Providers => quality::places(body, class),
            Screen::Receipts => proof::places(body, class),
            Screen::Routing => routing::places(body, class),
            Screen::Alerts => alerts::places(body, class),
            Screen::Reports => reports::places(body, class),
        }
    };
    Layout { class, header, footer, panes, panels }
}

/// The panes that are drawn, in the order of Tab.
pub fn panes(model: &Model) -> Vec<PaneId> {
    // A zoomed pane hides the others, but Tab still goes through them.
    let drawn = places((model.screen, false), model.panes.focus, area_of(model)).panes;
    PaneId::ALL.into_iter().filter(|id| drawn.iter().any(|(pane, _)| pane == id)).collect()
}

/// How many rows of things a pane shows.
pub fn rows_of(model: &Model, id: PaneId) -> usize {
    let layout = layout(model, area_of(model));
    let rect = layout.panes.iter().find(|(pane, _)| *pane == id).map(|(_, rect)| *rect);
    rect.map_or(0, |rect| usize::from(rows(layout.class, id, rect)))
}

/// The rows of things within a pane's rectangle: what borders and header rows leave.
pub fn rows(class: Class, id: PaneId, rect: Rect) -> u16 {
    let frame = if class == Class::Small { 1 } else { 2 };
    let header = u16::from(has_header(class, id, rect));
    rect.height.saturating_sub(frame + header)
}

/// The line of a pane's first thing: below its border and its headings.
pub fn first_row(class: Class, id: PaneId, rect: Rect) -> u16 {
    rect.y + 1 + u16::from(has_header(class, id, rect))
}

/// Whether a pane names its columns; receipts are the first to give that up.
pub fn has_header(class: Class, id: PaneId, rect: Rect) -> bool {
    match id {
        PaneId::Who => false,
        // Beside the receipts it is a line for each; with room it is a table.
        PaneId::Alerts => rect.width >= 76 && rect.height > 4,
        PaneId::Receipts => class != Class::Small && rect.height > 7,
        _ => rect.height > 4,
    }
}

/// The whole terminal.
fn area_of(model: &Model) -> Rect {
    Rect::new(0, 0, model.size.0, model.size.1)
}

/// Three ruled parts: budgets 35 %, providers 30 %, receipts the rest.
fn small(body: Rect) -> Places {
    let [budgets, providers, receipts] = parts(body.height, [35, 30]);
    let row = |y: u16, height: u16| Rect { y: body.y + y, height, ..body };
    let panes = vec![
        (PaneId::Budgets, row(0, budgets)),
        (PaneId::Providers, row(budgets, providers)),
        (PaneId::Receipts, row(budgets + providers, receipts)),
    ];
    Places { panes, panels: Vec::new() }
}

/// Chart and WHO above, budgets and providers in the middle, receipts below.
fn boxes(body: Rect, class: Class) -> Places {
    // Below twenty rows a chart would leave the tables nothing to say.
    let [upper, middle, lower] = match (class, body.height) {
        (Class::Large, _) => parts(body.height, [28, 24]),
        (_, 26..) => parts(body.height, [28, 28]),
        (_, 20..) => parts(body.height, [32, 32]),
        _ => {
            let [middle, _, lower] = parts(body.height, [50, 0]);
            [0, middle, lower]
        }
    };
    let row = |y: u16, height: u16| Rect { y: body.y + y, height, ..body };
    let mut panes = Vec::with_capacity(5);
    let mut panels = Vec::new();
    if upper > 0 {
        let share = if class == Class::Large { 66 } else { 56 };
        let (left, right) = split(row(0, upper), share);
        panels.push((Panel::Chart, left));
        panes.push((PaneId::Who, right));
    }
    let share = if class == Class::Large { 43 } else { 47 };
    let (budgets, providers) = split(row(upper, middle), share);
    panes.push((PaneId::Budgets, budgets));
    panes.push((PaneId::Providers, providers));
    let receipts = row(upper + middle, lower);
    if class == Class::Large {
        let (receipts, alerts) = split(receipts, 71);
        panes.push((PaneId::Receipts, receipts));
        panes.push((PaneId::Alerts, alerts));
    } else {
        panes.push((PaneId::Receipts, receipts));
    }
    Places { panes, panels }
}

/// A table above three panels: how the Runs and the Providers screen are laid out.
pub(super) struct Stack {
    /// The table.
    pub pane: PaneId,
    /// Below it: at the left, at the right above, at the right below. Where there is little room the
    /// first stays longest, then the last.
    pub panels: [Panel; 3],
    /// The table's share of the height in percent: small, medium, large.
    pub table: [u16; 3],
    /// The left panel's share of the width.
    pub left: u16,
    /// The upper panel's share of the right side.
    pub upper: u16,
}

impl Stack {
    /// Where its parts stand.
    pub fn places(&self, body: Rect, class: Class) -> Places {
        let [small, medium, large] = self.table;
        let [left_panel, upper_panel, lower_panel] = self.panels;
        let [table, _, _] = match (class, body.height) {
            (_, ..14) => [body.height, 0, 0],
            (Class::Small, _) => parts(body.height, [small, 0]),
            (Class::Large, _) => parts(body.height, [large, 0]),
            _ => parts(body.height, [medium, 0]),
        };
        let mut places = Places::default();
        places.panes.push((self.pane, Rect { height: table, ..body }));
        let below = Rect { y: body.y + table, height: body.height - table, ..body };
        if below.height == 0 {
            return places;
        }
        if class == Class::Small {
            places.panels.push((left_panel, below));
            return places;
        }
        let (left, right) = split(below, self.left);
        places.panels.push((left_panel, left));
        if right.height < 12 {
            places.panels.push((lower_panel, right));
            return places;
        }
        let [upper, _, _] = parts(right.height, [self.upper, 0]);
        places.panels.push((upper_panel, Rect { height: upper, ..right }));
        let lower = Rect { y: right.y + upper, height: right.height - upper, ..right };
        places.panels.push((lower_panel, lower));
        places
    }
}

/// Two heights by their share in percent, and what is left.
pub(super) fn parts(height: u16, shares: [u16; 2]) -> [u16; 3] {
    let part = |share: u16| u16::try_from((u32::from(height) * u32::from(share) + 50) / 100);
    let [first, second] = shares.map(|share| part(share).unwrap_or(0).min(height));
    let second = second.min(height - first);
    [first, second, height - first - second]
}

/// Two rectangles side by side, the left one with a share in percent.
pub(super) fn split(rect: Rect, share: u16) -> (Rect, Rect) {
    let [left, _, _] = parts(rect.width, [share, 0]);
    (Rect { width: left, ..rect }, Rect { x: rect.x + left, width: rect.width - left, ..rect })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_change_at_their_borders() {
        let rows = [
            ((59, 50), Class::Tiny),
            ((200, 15), Class::Tiny),
            ((60, 16), Class::Small),
            ((99, 50), Class::Small),
            ((100, 16), Class::Medium),
            ((159, 50), Class::Medium),
            ((160, 39), Class::Medium),
            ((160, 40), Class::Large),
        ];
        for ((width, height), class) in rows {
            assert_eq!(Class::of(width, height), class, "{width}x{height}");
        }
    }
}
