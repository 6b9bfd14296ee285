//! Pointing at things: with the mouse, or with a letter on every row.
//!
//! Both ask the layout what stands where, so what is seen is what is hit. Refuses to know what an
//! answer means.
//!
//! | what | where | does |
//! |---|---|---|
//! | press | a tab | shows the screen |
//! | press | a row | takes the cursor there; once more opens it |
//! | wheel | a pane | moves its cursor |
//! | `;` and a letter | anywhere | takes the cursor to the row with that letter |

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::browse;
use crate::action::Action;
use crate::message::{Chord, Click, Code, Effect};
use crate::model::{Key, Model, PaneId, Screen, rows};
use crate::theme::{Depth, Theme};
use crate::view::layout;

/// A row with something on it: the pane, the thing, and where it stands.
pub(crate) type Spot = (PaneId, Key, Rect);

/// Every row that is drawn, those of the focused pane first.
pub(crate) fn spots(model: &Model) -> Vec<Spot> {
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    let mut layout = layout::layout(model, area);
    // The easiest letters stand where the person is looking.
    layout.panes.sort_by_key(|(id, _)| *id != model.panes.focus);
    let mut spots = Vec::new();
    for (id, rect) in &layout.panes {
        let count = usize::from(layout::rows(layout.class, *id, *rect));
        let first = layout::first_row(layout.class, *id, *rect);
        let offset = model.panes.at(*id).offset;
        let shown = rows::keys(model, *id).into_iter().skip(offset).take(count);
        for (key, y) in shown.zip(first..) {
            spots.push((*id, key, Rect { y, height: 1, ..*rect }));
        }
    }
    spots
}

/// A letter takes the cursor to its row; any other key only ends it.
pub(super) fn jump(model: &mut Model, known: Vec<(PaneId, Key)>, chord: Chord) -> Vec<Effect> {
    let Code::Char(letter) = chord.code else { return Vec::new() };
    let place = LABELS.chars().position(|label| label == letter);
    if let Some((pane, key)) = place.and_then(|place| known.into_iter().nth(place)) {
        go(model, pane, key);
    }
    Vec::new()
}

/// The mouse did something.
pub(super) fn mouse(model: &mut Model, click: Click, at: (u16, u16)) -> Vec<Effect> {
    if model.dialog.is_some() {
        return Vec::new();
    }
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    let panes = layout::layout(model, area).panes;
    let under = panes.iter().find(|(_, rect)| rect.contains(at.into())).map(|(id, _)| *id);
    if let Some(pane) = under {
        model.panes.focus = pane;
    }
    match (click, under) {
        (Click::WheelDown, Some(_)) => super::run(model, Action::Down),
        (Click::WheelUp, Some(_)) => super::run(model, Action::Up),
        (Click::Press, Some(pane)) => {
            let hit = spots(model).into_iter().find(|(_, _, rect)| rect.contains(at.into()));
            let Some((_, key, _)) = hit.filter(|(id, ..)| *id == pane) else { return Vec::new() };
            if model.panes.at(pane).selected.as_ref() == Some(&key) {
                return super::run(model, Action::Open);
            }
            go(model, pane, key);
            Vec::new()
        }
        (Click::Press, None) => {
            if let Some(screen) = tab(model, at) {
                model.show(screen);
            }
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// The cursor onto a thing.
fn go(model: &mut Model, pane: PaneId, key: Key) {
    model.panes.focus = pane;
    model.panes.at_mut(pane).selected = Some(key);
    browse::keep_in_sight(model);
}

/// The screen whose tab is under the mouse, found in the footer as it is drawn.
fn tab(model: &Model, (x, y): (u16, u16)) -> Option<Screen> {
    if y + 1 != model.size.1 {
        return None;
    }
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    let mut buffer = Buffer::empty(area);
    let plain = Theme::new(model.settings.theme, Depth::None);
    crate::view::view(model, &plain, area, &mut buffer);
    let row: Vec<&str> = (0..area.width).map(|x| buffer[(x, y)].symbol()).collect();
    Screen::ALL.into_iter().zip(1_u8..).find_map(|(screen, number)| {
        let (long, short) = screen.name();
        [long, short].into_iter().find_map(|name| {
            let tab = format!("{number}{name}");
            let start = row.windows(tab.len()).position(|cells| cells.concat() == tab)?;
            let hit = (start..start + tab.len()).contains(&usize::from(x));
            hit.then_some(screen)
        })
    })
}

/// The letters that stand on rows, the easiest first.
pub(crate) const LABELS: &str = "asdfghjklqwertyuiopzxcvbnm1234567890ASDFGHJKLQWERTYUIOPZXCVBNM";
