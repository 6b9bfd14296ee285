//! Everything the console knows, as plain data.
//!
//! One [`Model`]; only [`crate::update`] changes it and the view only reads it. Time is a field,
//! a selection is the identity of a thing and never a row number, and what came from the backend
//! ([`Day`]) is apart from what the person did, so the screen can be frozen by keeping a copy.

use tollgate_shared::api::MetricsView;
use tollgate_shared::id::RunId;
use tollgate_shared::time::Timestamp;

use crate::keys::KeyMap;
use crate::theme::{Depth, Glyphs, Palette, Theme, ThemeChoice, Tone};

mod as_of;
mod audit;
mod day;
mod dialog;
mod fetched;
mod history;
mod link;
mod pane;
pub mod pulse;
pub(crate) mod reports;
mod routing;
pub mod rows;
mod tail;
pub mod tree;

pub use audit::{Audit, Verdict};
pub use day::{Day, RunEntry, Today};
pub use dialog::{
    BudgetForm, CIRCUIT_CHOICES, Change, CircuitForm, ConfirmForm, Conflict, Detail, Dialog, Field,
    FilterLine, Found, HelpList, MODES, Menu, PaletteLine, ProofView, RegisterForm, Sending,
    compare,
};
pub use fetched::{Answer, Fetched, Lines};
pub use history::{Group, History, QUARTER_S, SPAN_S, Span};
pub use link::{Freshness, Link};
pub use pane::{Key, Pane, PaneId, Panes};
pub use pulse::Pulse;
pub use reports::{Difference, days, differences, selected as selected_day};
pub use routing::{Fallback, Left, Routing, Wanted, word as objective_word};
pub use tail::{Row, Sent, Tail, What};

/// The console.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the backend told, up to now.
    pub live: Day,
    /// The same as of the moment the screen was frozen.
    pub frozen: Option<Box<Day>>,
    /// The moment in the past that the screen shows, while it does.
    pub as_of: Option<Timestamp>,
    /// How the connection is.
    pub link: Link,
    /// When the last frame came.
    pub last_frame: Option<Timestamp>,
    /// Cells of the terminal: width, height.
    pub size: (u16, u16),
    /// The screen that is shown.
    pub screen: Screen,
    /// The screen before it.
    pub screen_before: Screen,
    /// State of every pane.
    pub panes: Panes,
    /// What is asked or shown on top.
    pub dialog: Option<Dialog>,
    /// The filter that holds, with its text.
    pub filter: Option<Filtered>,
    /// Short messages, newest last.
    pub toasts: Vec<Toast>,
    /// The inverse of the last change, while it can be taken back.
    pub undo: Option<Undo>,
    /// Runs that stand first, in the order they were pinned.
    pub pins: Vec<RunId>,
    /// Whether alerts that no longer hold are shown too.
    pub resolved: bool,
    /// Whether the mouse is ours.
    pub mouse: bool,
    /// Which window the chart shows.
    pub window: ChartWindow,
    /// What `GET /metrics` said, for the longer windows.
    pub metrics: Option<MetricsView>,
    /// What was asked for because somebody looked.
    pub fetched: Fetched,
    /// What the Routing screen lists, folded while it is shown.
    pub routing: Routing,
    /// What WHO and the chart are grouped by.
    pub group: Group,
    /// Whether a pane has the whole body.
    pub zoomed: bool,
    /// What was asked for at start, and what keys changed of it.
    pub settings: Settings,
    /// The server's clock less this machine's, in milliseconds; zero while they agree.
    pub skew_ms: i64,
    /// Whether the backend said that this connection may change nothing.
    pub server_read_only: bool,
    /// A change that was sent and has no answer yet, or got none.
    pub unanswered: Option<crate::message::Call>,
    /// Counts requests that were sent, so that each has its own idempotency key.
    pub sent: u64,
}

/// What was asked for at start, and what keys changed of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Whether this console may change nothing.
    pub read_only: bool,
    /// The palette.
    pub theme: ThemeChoice,
    /// The colours of a file, for [`ThemeChoice::Own`].
    pub palette: Option<Palette>,
    /// Whether amounts are hidden from onlookers.
    pub hide_money: bool,
    /// A word for the header: where this console looks.
    pub profile: String,
    /// `http://127.0.0.1:6120`, for lines that a shell runs.
    pub gateway: String,
    /// `http://127.0.0.1:6103`, likewise.
    pub router: String,
    /// Which characters the terminal can show.
    pub glyphs: Glyphs,
    /// The colour of that word.
    pub tint: Option<Tone>,
    /// Most frames a second after data; none is the usual.
    pub fps: Option<u32>,
    /// Whether frames are bracketed by synchronized output.
    pub sync: bool,
    /// Which key does what.
    pub keys: KeyMap,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read_only: false,
            theme: ThemeChoice::default(),
            palette: None,
            hide_money: false,
            profile: String::new(),
            gateway: String::new(),
            router: String::new(),
            glyphs: Glyphs::default(),
            tint: None,
            fps: None,
            sync: true,
            keys: KeyMap::default(),
        }
    }
}

impl Settings {
    /// Every role's colour, as far as the terminal has colours.
    pub fn colours(&self, depth: Depth) -> Theme {
        let theme = match (self.theme, self.palette) {
            (ThemeChoice::Own, Some(palette)) => Theme::own(palette, depth),
            (choice, _) => Theme::new(choice, depth),
        };
        theme.with(self.glyphs)
    }
}

/// The filter of the receipts, as typed and as read.
#[derive(Clone, Debug)]
pub struct Filtered {
    /// As typed.
    pub text: String,
    /// As read.
    pub filter: crate::filter::Filter,
}

/// How the last change is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// What would be so again.
    pub what: String,
    /// The request that makes it so; it names the version that the change made.
    pub call: crate::message::Call,
    /// Until when it is offered.
    pub until: Timestamp,
}

/// A message that goes away by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    /// What it says.
    pub text: String,
    /// When it goes.
    pub until: Timestamp,
}

/// The screens, in the order of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Screen {
    /// One glance.
    #[default]
    Dashboard,
    /// Where one run's money went.
    Runs,
    /// Who is slow, broken or dear.
    Providers,
    /// A receipt is a proof.
    Receipts,
    /// Whether the router earns its keep.
    Routing,
    /// What, then, why, do.
    Alerts,
    /// Days, and why they differ.
    Reports,
}

impl Screen {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 7] = [
        Self::Dashboard,
        Self::Runs,
        Self::Providers,
        Self::Receipts,
        Self::Routing,
        Self::Alerts,
        Self::Reports,
    ];

    /// Its name, and its name where there is little room.
    pub const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Dashboard => ("Dashboard", "Dash"),
            Self::Runs => ("Runs", "Runs"),
            Self::Providers => ("Providers", "Prov"),
            Self::Receipts => ("Receipts", "Rcpt"),
            Self::Routing => ("Routing", "Rout"),
            Self::Alerts => ("Alerts", "Alrt"),
            Self::Reports => ("Reports", "Rept"),
        }
    }

    /// The pane that has the focus when the screen is opened.
    pub const fn home(self) -> PaneId {
        match self {
            Self::Dashboard | Self::Runs => PaneId::Budgets,
            Self::Providers => PaneId::Providers,
            Self::Receipts => PaneId::Receipts,
            Self::Routing => PaneId::Objectives,
            Self::Alerts => PaneId::Alerts,
            Self::Reports => PaneId::Days,
        }
    }
}

/// How far back the chart looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ChartWindow {
    /// Second by second.
    Minute,
    /// In spans of fifteen seconds.
    #[default]
    Quarter,
    /// In minutes, as the backend sums them.
    Hour,
    /// In hours.
    Day,
    /// In days.
    Week,
}

impl ChartWindow {
    /// The next one, for the key that changes it.
    pub const fn next(self) -> Self {
        match self {
            Self::Minute => Self::Quarter,
            Self::Quarter => Self::Hour,
            Self::Hour => Self::Day,
            Self::Day => Self::Week,
            Self::Week => Self::Minute,
        }
    }

    /// What one column of it is.
    pub const fn buckets(self) -> &'static str {
        match self {
            Self::Minute => "1 s buckets",
            Self::Quarter => "15 s buckets",
            Self::Hour => "minutes, all providers",
            Self::Day => "hours, all providers",
            Self::Week => "days, all providers",
        }
    }
}

impl Model {
    /// A console that has heard nothing yet.
    pub fn new(settings: Settings, size: (u16, u16), now: Timestamp) -> Self {
        Self {
            live: Day::new(now),
            frozen: None,
            as_of: None,
            link: Link::default(),
            last_frame: None,
            size,
            screen: Screen::default(),
            screen_before: Screen::default(),
            panes: Panes::default(),
            dialog: None,
            filter: None,
            toasts: Vec::new(),
            undo: None,
            pins: Vec::new(),
            resolved: false,
            mouse: false,
            window: ChartWindow::default(),
            metrics: None,
            fetched: Fetched::default(),
            routing: Routing::default(),
            group: Group::default(),
            zoomed: false,
            settings,
            skew_ms: 0,
            server_read_only: false,
            unanswered: None,
            sent: 0,
        }
    }

    /// The data that the screen shows: as of now, or as of when it was frozen.
    pub fn day(&self) -> &Day {
        self.frozen.as_deref().unwrap_or(&self.live)
    }

    /// How old what is shown is.
    pub fn freshness(&self) -> Freshness {
        self.link.freshness(self.last_frame, self.live.now)
    }

    /// Whether nothing may be changed from here.
    pub fn is_read_only(&self) -> bool {
        self.settings.read_only || self.server_read_only
    }

    /// The pane that has the focus.
    pub fn focused(&self) -> &Pane {
        self.panes.at(self.panes.focus)
    }

    /// Shows a screen, with its main pane in focus; another cursor stays where it was.
    pub fn show(&mut self, screen: Screen) {
        if screen == self.screen {
            return;
        }
        self.screen_before = self.screen;
        self.screen = screen;
        self.zoomed = false;
        self.panes.focus = screen.home();
    }

    /// The earliest moment that the screen can show, or why it shows none but this one.
    pub fn scrub_limit(&self) -> Result<Timestamp, String> {
        self.live.known_from().ok_or_else(|| "nothing is known of the past yet".into())
    }

    /// Offers to take a change back for [`UNDO_MS`].
    pub fn offer_undo(&mut self, what: impl Into<String>, call: crate::message::Call) {
        let until = self.live.now.plus_millis(UNDO_MS);
        self.undo = Some(Undo { what: what.into(), call, until });
    }

    /// The number of the next change: with the session it makes the idempotency key.
    pub fn next_number(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// Shows a message for a few seconds.
    pub fn toast(&mut self, text: impl Into<String>) {
        let until = self.live.now.plus_millis(TOAST_MS);
        self.toasts.push(Toast { text: text.into(), until });
        if self.toasts.len() > TOASTS_MAX {
            self.toasts.remove(0);
        }
    }
}

/// How long a message stays, in milliseconds: long enough to be read twice.
const TOAST_MS: i64 = 6_000;

/// How long a change can be taken back, in milliseconds.
const UNDO_MS: i64 = 10_000;

/// Most messages kept; older ones have been seen or are overtaken.
const TOASTS_MAX: usize = 8;
