//! Everything that can be done, as one list.
//!
//! Keys, help, the palette and the mouse all go through an [`Action`]. Each has a name
//! and a help line, and says why it is not available instead of doing nothing. Refuses to know
//! which key it is on: that is [`crate::keys`].
//!
//! ```text
//! Action ─▶ name()     budget-raise …     for configuration and the palette
//!        ─▶ help()     one line           for the help
//!        ─▶ refusal()  why not            for the person who pressed the key
//! ```

use tollgate_shared::alert::AlertState;
use tollgate_shared::budget::RunState;
use tollgate_shared::event::BudgetEvent;

use crate::model::{Model, PaneId, Screen, rows};

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident $section:ident $name:literal $help:literal;)*) => {
        /// Something that can be done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            /// Shows a screen.
            Screen(Screen),
            $($(#[$doc])* #[doc = $help] $variant,)*
        }

        impl Action {
            /// Every action but the screens, in the order of the help.
            const PLAIN: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name, as configuration and the palette will know it.
            pub fn name(self) -> &'static str {
                match self {
                    Self::Screen(screen) => screen.name().0,
                    $(Self::$variant => $name,)*
                }
            }

            /// What it does, in a few words.
            pub fn help(self) -> &'static str {
                match self {
                    Self::Screen(_) => "screen",
                    $(Self::$variant => $help,)*
                }
            }

            /// The heading it stands under.
            pub fn section(self) -> Section {
                match self {
                    Self::Screen(_) => Section::Move,
                    $(Self::$variant => Section::$section,)*
                }
            }
        }
    };
}

/// Headings of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What the cursor's thing can be told.
    Pane,
    /// Where one is.
    Move,
    /// What one sees.
    Look,
    /// What happens.
    Do,
}

impl Section {
    /// All of them, in the order of the help.
    pub const ALL: [Self; 4] = [Self::Pane, Self::Move, Self::Look, Self::Do];

    /// Its title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Pane => "THIS PANE",
            Self::Move => "MOVE",
            Self::Look => "LOOK",
            Self::Do => "DO",
        }
    }
}

actions! {
    Budget Pane "budget" "budget dialog";
    Raise Pane "raise" "raise the budget one step";
    Lower Pane "lower" "lower the budget one step";
    Circuit Pane "circuit" "circuit dialog";
    Open Pane "open" "open what the cursor is on";
    Copy Pane "copy" "copy: row, id, JSON, curl (OSC 52)";
    CopyJson Pane "json" "copy as JSON";
    CopyCurl Pane "curl" "copy as curl";
    Pause Pane "pause" "pause or resume the run";
    CloseRun Pane "close" "close the run";
    Pin Pane "pin" "pin to the dashboard";
    Edit Pane "edit" "a new price card";
    Probe Pane "probe" "look whether the provider answers (free)";
    Remove Pane "remove" "remove the provider (x)";
    Export Pane "export" "export what is shown";
    Ack Pane "ack" "acknowledge the alert";
    AckAll Pane "ack-all" "acknowledge all shown";
    Snooze Pane "snooze" "snooze the alert 30 m";
    Resolved Pane "resolved" "alerts that ended, too";
    NextPane Move "next-pane" "next pane";
    PreviousPane Move "previous-pane" "previous pane";
    Down Move "down" "row down";
    Up Move "up" "row up";
    First Move "first" "first row";
    Last Move "last" "last row";
    HalfDown Move "half-down" "half a page down";
    HalfUp Move "half-up" "half a page up";
    PageDown Move "page-down" "page down";
    PageUp Move "page-up" "page up";
    ColumnsLeft Move "columns-left" "columns to the left";
    ColumnsRight Move "columns-right" "columns to the right";
    Back Move "back" "back, clear filter; never quits";
    PreviousScreen Move "previous-screen" "previous screen";
    JumpLabels Move "jump" "jump labels";
    Filter Look "filter" "filter cost>0.05 lat>2s";
    NextMatch Look "next-match" "next match";
    PreviousMatch Look "previous-match" "previous match";
    Sort Look "sort" "sort by the next order";
    ReverseSort Look "reverse-sort" "turn the order round";
    Window Look "window" "window 1m 15m 1h 24h 7d";
    Group Look "group" "group by run agent provider model";
    Freeze Look "freeze" "freeze the screen";
    Follow Look "follow" "follow the newest receipt";
    Zoom Look "zoom" "zoom the pane";
    Wide Look "wide" "narrow columns, so that more fit";
    HideMoney Look "hide-money" "hide money (privacy)";
    Theme Look "theme" "dark, light, no colour";
    ScrubBack Look "scrub-back" "back in time";
    ScrubOn Look "scrub-on" "on in time";
    Audit Look "audit" "own sum against the ledger's (Σ)";
    Help Look "help" "keys, those of this pane first";
    Palette Do "palette" "command palette";
    Register Do "register" "register a provider";
    Undo Do "undo" "undo my last change (10 s)";
    Reconnect Do "reconnect" "connect now; back to live";
    Mouse Do "mouse" "mouse on or off";
    CopyScreen Do "copy-screen" "copy the screen as text";
    Redraw Do "redraw" "draw everything anew";
    Suspend Do "suspend" "suspend to the shell";
    Quit Do "quit" "quit";
    Interrupt Do "interrupt" "close the dialog, else quit";
}

impl Action {
    /// Every action.
    pub fn all() -> impl Iterator<Item = Self> {
        Screen::ALL.into_iter().map(Self::Screen).chain(Self::PLAIN.iter().copied())
    }

    /// What a key means where the cursor is: `x` pauses a run and removes a provider.
    #[must_use]
    pub fn here(self, model: &Model) -> Self {
        match (self, model.panes.focus) {
            (Self::Pause, PaneId::Providers) => Self::Remove,
            _ => self,
        }
    }

    /// Why it cannot be done now; `None` when it can.
    pub fn refusal(self, model: &Model) -> Option<String> {
        match self {
            Self::Budget | Self::Raise | Self::Lower => {
                changes(model).or_else(|| match budget_at_cursor(model) {
                    Some(_) => None,
                    None => Some("there is no run yet; a first request makes one".into()),
                })
            }
            Self::Circuit | Self::Edit | Self::Remove => changes(model).or_else(|| {
                rows::provider_at_cursor(model)
                    .is_none()
                    .then(|| "there is no provider yet; r registers one".into())
            }),
            Self::Probe => rows::provider_at_cursor(model)
                .is_none()
                .then(|| "there is no provider yet; r registers one".into()),
            Self::Register => changes(model),
            Self::Pause | Self::CloseRun => changes(model).or_else(|| of_run(model, self)),
            Self::Pin => rows::run_at_cursor(model).is_none().then(|| "there is no run".into()),
            Self::Ack | Self::Snooze => changes(model).or_else(|| {
                let none = rows::alert_at_cursor(model).is_none();
                none.then(|| "there is no alert to answer".into())
            }),
            Self::AckAll => changes(model).or_else(|| {
                let alerts = rows::alerts(model.day());
                let open = alerts.iter().any(|alert| alert.state == AlertState::Open);
                (!open).then(|| "every alert is known".into())
            }),
            Self::Undo => changes(model).or_else(|| match &model.undo {
                Some(undo) if undo.until > model.live.now => None,
                _ => Some("nothing was changed in the last ten seconds".into()),
            }),
            Self::Sort | Self::ReverseSort => {
                (model.panes.focus.sorts().len() < 2).then(|| "this pane keeps its order".into())
            }
            Self::Open | Self::Copy | Self::CopyJson | Self::CopyCurl => {
                let nothing = rows::cursor(model, model.panes.focus).is_none();
                nothing.then(|| "nothing is in this pane".into())
            }
            Self::Follow => {
                (model.panes.focus != PaneId::Receipts).then(|| "only receipts are followed".into())
            }
            Self::Export => matches!(
                model.panes.focus,
                PaneId::Objectives | PaneId::Experiments | PaneId::Fallbacks
            )
            .then(|| "this pane is no list for a file; receipts are, with every digit".into()),
            Self::NextMatch | Self::PreviousMatch => {
                Some("the filter hides what does not match; Esc clears it".into())
            }
            Self::ScrubBack => model.scrub_limit().err(),
            Self::ScrubOn => {
                model.as_of.is_none().then(|| "this is now; [ goes back in time".into())
            }
            _ => None,
        }
    }
}

/// Why a run cannot be paused, resumed or closed.
fn of_run(model: &Model, action: Action) -> Option<String> {
    let Some(run) = rows::run_at_cursor(model) else {
        return Some("there is no run yet; a first request makes one".into());
    };
    let state = model.day().runs.get(&run).map(crate::model::RunEntry::state);
    let closed = action == Action::CloseRun && state == Some(RunState::Closed);
    closed.then(|| format!("{run} is closed"))
}

/// The budget that keys such as `b` act on; a run without one counts as unlimited.
pub fn budget_at_cursor(model: &Model) -> Option<BudgetEvent> {
    let run = rows::run_at_cursor(model)?;
    model.day().runs.get(&run)?.budget.clone()
}

/// Why nothing may be changed; `None` when it may.
pub(crate) fn changes(model: &Model) -> Option<String> {
    if model.is_read_only() {
        return Some("READ-ONLY: this console changes nothing".into());
    }
    model.frozen.is_some().then(|| "the screen is frozen; f lets it go on".into())
}
