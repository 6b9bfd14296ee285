//! What the console was like when it was left: screen, orders, columns, pins.
//!
//! Written when a person leaves, read when one comes, apart for each profile. It is no
//! configuration: one that cannot be read is forgotten, for nobody wrote it by hand. Refuses to
//! know keys and colours.
//!
//! ```toml
//! screen = "Runs"
//! pins = ["R-207"]
//! [panes.BUDGETS]
//! sort = 2
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tollgate_shared::id::RunId;

use super::Files;
use crate::model::{Model, PaneId, Screen};

/// How the console was left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The screen, by its name.
    screen: String,
    /// Runs that stand first.
    pins: Vec<RunId>,
    /// Panes that differ from the usual, by their titles.
    panes: BTreeMap<String, PaneState>,
}

/// How one pane was left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct PaneState {
    sort: usize,
    reversed: bool,
    wide: bool,
    first_column: usize,
}

impl State {
    /// What is worth keeping of a model.
    pub fn of(model: &Model) -> Self {
        let panes = PaneId::ALL.into_iter().map(|id| {
            let pane = model.panes.at(id);
            let state = PaneState {
                sort: pane.sort,
                reversed: pane.reversed,
                wide: pane.wide,
                first_column: pane.first_column,
            };
            (id.title().to_owned(), state)
        });
        let panes = panes.filter(|(_, state)| *state != PaneState::default()).collect();
        Self { screen: model.screen.name().0.to_owned(), pins: model.pins.clone(), panes }
    }

    /// Makes a model what it was; what is not known any more is passed over.
    pub fn apply(&self, model: &mut Model) {
        let named = |screen: &Screen| screen.name().0 == self.screen;
        if let Some(screen) = Screen::ALL.into_iter().find(named) {
            model.show(screen);
        }
        model.pins = self.pins.iter().take(PINS_MAX).cloned().collect();
        for id in PaneId::ALL {
            let Some(state) = self.panes.get(id.title()) else { continue };
            let pane = model.panes.at_mut(id);
            pane.sort = state.sort.min(id.sorts().len().saturating_sub(1));
            pane.reversed = state.reversed;
            pane.wide = state.wide;
            pane.first_column = state.first_column.min(COLUMNS_MAX);
        }
    }

    /// Reads what was left; nothing where nothing was, or where it cannot be read.
    pub fn load(files: &Files, profile: &str) -> Self {
        let text = path(files, profile).and_then(|path| std::fs::read_to_string(path).ok());
        text.and_then(|text| toml::from_str(&text).ok()).unwrap_or_default()
    }

    /// Writes it whole: beside its place first, then over what was there.
    pub fn save(&self, files: &Files, profile: &str) -> io::Result<()> {
        let Some(path) = path(files, profile) else { return Ok(()) };
        let text = toml::to_string(self).map_err(io::Error::other)?;
        replace(&path, &text)
    }
}

/// Replaces a file's text in one step; its folder is made where it is missing.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

/// Where a profile's state is; names of profiles are checked before, but `embedded` and others of
/// the program's own pass here as well.
fn path(files: &Files, profile: &str) -> Option<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_name = !profile.is_empty() && !profile.starts_with('.') && profile.chars().all(plain);
    is_name.then_some(())?;
    Some(files.state.as_ref()?.join(format!("{profile}.toml")))
}

/// Most runs that are pinned.
const PINS_MAX: usize = 100;

/// Most columns that can have been scrolled away.
const COLUMNS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Settings;
    use tollgate_shared::time::Timestamp;

    fn model() -> Model {
        Model::new(Settings::default(), (120, 40), Timestamp::default())
    }

    #[test]
    fn a_console_is_as_it_was_left() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files { state: Some(dir.path().join("deep/state")), ..Files::default() };
        assert_eq!(State::load(&files, "prod"), State::default());
        let mut left = model();
        left.show(Screen::Alerts);
        left.panes.at_mut(PaneId::Providers).sort = 3;
        left.panes.at_mut(PaneId::Budgets).reversed = true;
        left.pins = vec!["R-207".parse().unwrap()];
        State::of(&left).save(&files, "prod").unwrap();
        let mut found = model();
        State::load(&files, "prod").apply(&mut found);
        assert_eq!(found.screen, Screen::Alerts);
        assert_eq!(found.panes.at(PaneId::Providers).sort, 3);
        assert!(found.panes.at(PaneId::Budgets).reversed);
        assert_eq!(found.pins, left.pins);
        assert_eq!(State::load(&files, "local"), State::default(), "each profile has its own");
        assert_eq!(std::fs::read_dir(dir.path().join("deep/state")).unwrap().count(), 1);
    }

    #[test]
    fn nonsense_is_forgotten_and_bounds_hold() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files { state: Some(dir.path().to_owned()), ..Files::default() };
        std::fs::write(dir.path().join("prod.toml"), "screen = 7").unwrap();
        assert_eq!(State::load(&files, "prod"), State::default());
        let text =
            "screen = \"Nowhere\"\n[panes.BUDGETS]\nsort = 99\nnew = 1\n[panes.GONE]\nsort = 1";
        std::fs::write(dir.path().join("prod.toml"), text).unwrap();
        let mut found = model();
        State::load(&files, "prod").apply(&mut found);
        assert_eq!(found.screen, Screen::Dashboard);
        assert_eq!(found.panes.at(PaneId::Budgets).sort, PaneId::Budgets.sorts().len() - 1);
        assert!(path(&files, "../x").is_none());
    }
}
