//! What a pane remembers: where its cursor is, how it is sorted, which columns it shows.
//!
//! A cursor is on a thing, never on a row number: sorting and arrivals cannot move it to another
//! run. Refuses to know what the pane draws.

use std::sync::Arc;

use tollgate_shared::id::{AgentName, ProviderName, RunId};

/// Every list with a cursor, in the order of Tab. Screens share them: a cursor that was set on the
/// dashboard is where it was on the screen of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PaneId {
    /// Shortest runway first.
    #[default]
    Budgets,
    /// Worst first.
    Providers,
    /// Newest first.
    Receipts,
    /// Worst first; wide terminals only.
    Alerts,
    /// Who spends.
    Who,
    /// What requests asked to be chosen by.
    Objectives,
    /// Splits of traffic.
    Experiments,
    /// From whom to whom.
    Fallbacks,
    /// Days, newest first.
    Days,
    /// What each provider will ask for.
    Invoice,
}

impl PaneId {
    /// Every pane, in the order of Tab.
    pub const ALL: [Self; 10] = [
        Self::Budgets,
        Self::Providers,
        Self::Receipts,
        Self::Alerts,
        Self::Who,
        Self::Objectives,
        Self::Experiments,
        Self::Fallbacks,
        Self::Days,
        Self::Invoice,
    ];

    /// Its title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Budgets => "BUDGETS",
            Self::Providers => "PROVIDERS",
            Self::Receipts => "RECEIPTS",
            Self::Alerts => "ALERTS",
            Self::Who => "WHO",
            Self::Objectives => "OBJECTIVES",
            Self::Experiments => "EXPERIMENTS",
            Self::Fallbacks => "FALLBACKS",
            Self::Days => "DAILY",
            Self::Invoice => "BY PROVIDER",
        }
    }

    /// The orders its rows can have; the first is by trouble.
    pub const fn sorts(self) -> &'static [&'static str] {
        match self {
            Self::Budgets => &[
                "shortest runway first",
                "most spent first",
                "fastest burn first",
                "fullest first",
                "by name",
            ],
            Self::Providers => {
                &["worst first", "most $/min first", "slowest first", "dearest first", "by name"]
            }
            Self::Who => &["largest share first", "fastest now first", "by name"],
            Self::Receipts => &["newest first"],
            Self::Alerts => &["worst first"],
            Self::Objectives | Self::Invoice => &["most spent first"],
            Self::Experiments => &["newest first"],
            Self::Fallbacks => &["most often first"],
            Self::Days => &["newest first"],
        }
    }
}

/// The identity of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A run.
    Run(RunId),
    /// An agent within a run; keys that act on a run act on its.
    Agent(RunId, AgentName),
    /// A provider.
    Provider(ProviderName),
    /// A row of the tail, by its serial.
    Row(u64),
    /// An alert.
    Alert(String),
    /// A line of WHO.
    Name(Arc<str>),
}

/// What one pane remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pane {
    /// The thing that the cursor is on; `None` is the first row, whatever it is.
    pub selected: Option<Key>,
    /// Rows above the first one shown.
    pub offset: usize,
    /// Which of the pane's orders.
    pub sort: usize,
    /// Whether the order is turned round.
    pub reversed: bool,
    /// How many columns were scrolled away.
    pub first_column: usize,
    /// Whether columns are drawn as narrow as they go, so that more fit.
    pub wide: bool,
    /// Rows that came since the cursor left the newest one.
    pub arrivals: u64,
}

/// Every pane, and which one has the focus.
#[derive(Clone, Debug, Default)]
pub struct Panes {
    /// The pane that keys act on.
    pub focus: PaneId,
    panes: [Pane; 10],
}

impl Panes {
    /// One pane.
    pub fn at(&self, id: PaneId) -> &Pane {
        &self.panes[id as usize]
    }

    /// One pane, to change.
    pub fn at_mut(&mut self, id: PaneId) -> &mut Pane {
        &mut self.panes[id as usize]
    }
}

impl Pane {
    /// Whether the newest rows are shown as they come.
    pub fn follows(&self) -> bool {
        self.selected.is_none() && self.offset == 0
    }
}
