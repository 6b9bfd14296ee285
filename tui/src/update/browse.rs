//! Moving, sorting, looking: keys that change what is seen and never what is so.
//!
//! Refuses to know dialogs and requests.
//!
//! | what moves | what stays |
//! |---|---|
//! | Tab | every cursor, in every pane |
//! | rows that arrive, another order | the thing that the cursor is on |
//! | `f` | everything that is shown; what is known goes on |

use super::scrub;
use crate::action::Action;
use crate::message::Effect;
use crate::model::{Key, Model, PaneId, Screen, rows};
use crate::theme::Theme;
use crate::view::layout;

/// Does one of the actions that only look.
pub(super) fn run(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Screen(screen) => model.show(screen),
        Action::PreviousScreen => model.show(model.screen_before),
        Action::NextPane => focus(model, 1),
        Action::PreviousPane => focus(model, -1),
        Action::Down => step(model, Step::By(1)),
        Action::Up => step(model, Step::By(-1)),
        Action::First => step(model, Step::First),
        Action::Last => step(model, Step::Last),
        Action::HalfDown => page(model, 1, 2),
        Action::HalfUp => page(model, -1, 2),
        Action::PageDown => page(model, 1, 1),
        Action::PageUp => page(model, -1, 1),
        Action::ColumnsLeft => {
            let pane = model.panes.at_mut(model.panes.focus);
            pane.first_column = pane.first_column.saturating_sub(1);
        }
        Action::ColumnsRight => {
            let most = crate::view::columns_of(model.panes.focus).saturating_sub(2);
            let pane = model.panes.at_mut(model.panes.focus);
            pane.first_column = (pane.first_column + 1).min(most);
        }
        Action::Wide => {
            let pane = model.panes.at_mut(model.panes.focus);
            pane.wide = !pane.wide;
        }
        Action::Sort => {
            let orders = model.panes.focus.sorts().len();
            let pane = model.panes.at_mut(model.panes.focus);
            pane.sort = (pane.sort + 1) % orders;
        }
        Action::ReverseSort => {
            let pane = model.panes.at_mut(model.panes.focus);
            pane.reversed = !pane.reversed;
        }
        Action::Back => back(model),
        Action::Follow => follow(model),
        Action::Zoom => model.zoomed = !model.zoomed,
        Action::Group => model.group = model.group.next(),
        Action::Window => return window(model),
        Action::Freeze => freeze(model),
        Action::HideMoney => model.settings.hide_money = !model.settings.hide_money,
        Action::Theme => model.settings.theme = Theme::next(model.settings.theme),
        Action::Pin => pin(model),
        Action::Resolved => model.resolved = !model.resolved,
        Action::ScrubBack => scrub::go(model, -SCRUB_S),
        Action::ScrubOn => scrub::go(model, SCRUB_S),
        // The rest is done by the caller or has said why it cannot be done.
        _ => {}
    }
    keep_in_sight(model);
    Vec::new()
}

/// A move of the cursor.
enum Step {
    By(isize),
    First,
    Last,
}

/// The next pane that is drawn, round and round.
fn focus(model: &mut Model, by: isize) {
    let shown = layout::panes(model);
    if shown.is_empty() {
        return;
    }
    let place = shown.iter().position(|pane| *pane == model.panes.focus).unwrap_or(0);
    let count = shown.len().cast_signed();
    let next = (place.cast_signed() + by).rem_euclid(count).cast_unsigned();
    model.panes.focus = shown[next];
}

/// Moves by the rows that the pane shows, or by a part of them.
fn page(model: &mut Model, direction: isize, part: usize) {
    let rows = layout::rows_of(model, model.panes.focus) / part;
    step(model, Step::By(direction * rows.max(1).cast_signed()));
}

/// Moves the cursor to another thing.
fn step(model: &mut Model, step: Step) {
    let id = model.panes.focus;
    let keys = rows::keys(model, id);
    let Some(last) = keys.len().checked_sub(1) else { return };
    let selected = model.panes.at(id).selected.as_ref();
    let place = selected.and_then(|key| keys.iter().position(|known| known == key)).unwrap_or(0);
    let next = match step {
        Step::By(by) => place.saturating_add_signed(by).min(last),
        Step::First => 0,
        Step::Last => last,
    };
    let pane = model.panes.at_mut(id);
    pane.selected = keys.into_iter().nth(next);
    if id == PaneId::Receipts && next == 0 && !matches!(step, Step::By(1..)) {
        // On the newest row it follows again; any other move pauses.
        pane.selected = None;
        pane.offset = 0;
        pane.arrivals = 0;
    }
}

/// Scrolls each pane so that its cursor is among the rows that are drawn.
pub(super) fn keep_in_sight(model: &mut Model) {
    for id in PaneId::ALL {
        let Some(selected) = model.panes.at(id).selected.clone() else {
            if id != PaneId::Receipts {
                model.panes.at_mut(id).offset = 0;
            }
            continue;
        };
        let rows = layout::rows_of(model, id).max(1);
        let Some(place) = place(model, id, &selected) else {
            continue;
        };
        let pane = model.panes.at_mut(id);
        pane.offset = pane.offset.clamp((place + 1).saturating_sub(rows), place);
    }
}

/// The row number of a thing, in the order it is shown.
fn place(model: &Model, id: PaneId, key: &Key) -> Option<usize> {
    match key {
        // The tail is long; its rows are found without listing them all.
        Key::Row(serial) => rows::receipts(model).position(|row| row.serial == *serial),
        _ => rows::keys(model, id).iter().position(|known| known == key),
    }
}

/// One step back: the filter, then the zoom, then the frozen screen, then the cursor.
fn back(model: &mut Model) {
    if model.filter.take().is_some() {
        model.panes.at_mut(PaneId::Receipts).offset = 0;
    } else if model.zoomed {
        model.zoomed = false;
    } else if model.frozen.is_some() {
        model.as_of = None;
        freeze(model);
    } else if model.screen != Screen::Dashboard {
        model.show(Screen::Dashboard);
    } else {
        follow(model);
    }
}

/// Back to the first row, and to whatever comes to stand there.
fn follow(model: &mut Model) {
    let id = model.panes.focus;
    let pane = model.panes.at_mut(id);
    pane.selected = None;
    pane.offset = 0;
    pane.arrivals = 0;
}

/// Keeps a copy to look at, or lets it go; the live day goes on either way.
fn freeze(model: &mut Model) {
    // Out of the past the way leads to the present.
    model.as_of = None;
    model.frozen = match model.frozen.take() {
        Some(_) => None,
        None => Some(Box::new(model.live.clone())),
    };
}

/// The next window; the longer ones are asked for at once.
fn window(model: &mut Model) -> Vec<Effect> {
    model.window = model.window.next();
    model.metrics = None;
    super::fold::metrics(model)
}

/// A run stands first on every screen, or no longer.
fn pin(model: &mut Model) {
    let Some(run) = rows::run_at_cursor(model) else { return };
    match model.pins.iter().position(|pinned| *pinned == run) {
        Some(place) => _ = model.pins.remove(place),
        None => model.pins.push(run),
    }
}

/// One step of `[` and `]`.
const SCRUB_S: i64 = 60;
