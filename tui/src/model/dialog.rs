//! What is asked or shown on top of a screen, as plain data.
//!
//! Forms hold what was typed and answer with the exact request it means, or with the first field
//! that must be mended. Nothing is sent from here. Refuses to know keys and cells.
//!
//! | form | asks | sends |
//! |---|---|---|
//! | budget | `75`, `+25`, `x1.5`, `until 18:00`, mode, note | `POST :6120/budget`, `If-Match` |
//! | confirm | a note, the name where it is worse | `POST :6120/runs/{id}/{verb}`, `DELETE :6103/providers/{name}` |
//! | circuit | open, half-open, closed; for how long; why | `POST :6103/providers/{name}/circuit` |
//! | register | ten fields, or a pasted object | `POST :6103/register` |

use serde::Serialize;
use tollgate_shared::budget::{Account, Level, Mode};
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::id::{ProviderName, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;
use tui_input::Input;

use super::{Key, PaneId};
use crate::amount;

mod confirm;
mod proof;
mod register;

pub use confirm::{Change, ConfirmForm};
pub use proof::{Found, ProofView, compare};
pub use register::{Field, RegisterForm};

/// What is on top.
#[derive(Clone, Debug)]
pub enum Dialog {
    /// The keys, searchable.
    Help(HelpList),
    /// A filter is typed.
    Filter(FilterLine),
    /// A run's budget.
    Budget(Box<BudgetForm>),
    /// A provider's circuit.
    Circuit(Box<CircuitForm>),
    /// A new provider.
    Register(Box<RegisterForm>),
    /// A run or a provider is stopped, with the consequence.
    Confirm(Box<ConfirmForm>),
    /// A command is typed.
    Palette(PaletteLine),
    /// A choice of few, each on its key.
    Menu(Menu),
    /// A letter stands on every row that was drawn, and takes the cursor there.
    Jump(Vec<(PaneId, Key)>),
    /// The self-audit in full.
    Proof(ProofView),
    /// One thing in full.
    Detail(Detail),
}

/// Where a form's request is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Sending {
    /// Not sent.
    #[default]
    Not,
    /// Sent under this number; its answer is awaited.
    Waiting(u64),
    /// Refused, with the reason.
    Failed(String),
}

impl Sending {
    /// Whether an answer is awaited.
    pub const fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }
}

impl Dialog {
    /// Where its request is, where it has one.
    pub fn sending(&mut self) -> Option<&mut Sending> {
        match self {
            Self::Budget(form) => Some(&mut form.sending),
            Self::Circuit(form) => Some(&mut form.sending),
            Self::Register(form) => Some(&mut form.sending),
            Self::Confirm(form) => Some(&mut form.sending),
            _ => None,
        }
    }
}

/// The keys, searchable.
#[derive(Clone, Debug, Default)]
pub struct HelpList {
    /// What is searched for.
    pub search: Input,
    /// The line that Enter runs.
    pub selected: usize,
}

/// A command while it is typed.
#[derive(Clone, Debug, Default)]
pub struct PaletteLine {
    /// What was typed.
    pub input: Input,
    /// The line that Enter runs.
    pub selected: usize,
    /// Its text, as it was seen: lines come and go with what happens.
    pub chosen: Option<String>,
}

/// A choice of few, each on its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Menu {
    /// What to put on the clipboard.
    Copy,
    /// In which form to write what is shown.
    Export,
}

/// The filter while it is typed.
#[derive(Clone, Debug, Default)]
pub struct FilterLine {
    /// What was typed.
    pub input: Input,
    /// What cannot be read; the last good filter stays meanwhile.
    pub error: Option<crate::filter::FilterError>,
}

/// One thing in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Which.
    pub of: Key,
    /// Lines scrolled away.
    pub scroll: usize,
}

/// A run's budget.
#[derive(Clone, Debug)]
pub struct BudgetForm {
    /// Whose.
    pub run: RunId,
    /// The budget as it was when the form was opened; its version goes into `If-Match`.
    pub base: BudgetEvent,
    /// What was typed.
    pub amount: Input,
    /// When it was opened.
    pub opened: Timestamp,
    /// The mode.
    pub mode: Mode,
    /// Why.
    pub note: Input,
    /// The field that keys go to: amount, mode, note.
    pub focus: usize,
    /// Somebody else's change that came in between.
    pub conflict: Option<Conflict>,
    /// Where the request is.
    pub sending: Sending,
}

/// Somebody else's change, beside ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The limit when the form was opened.
    pub before: Option<Usd>,
    /// The limit they set.
    pub theirs: Option<Usd>,
    /// The limit we were about to set.
    pub ours: Usd,
    /// The mode when the form was opened, and the one they set.
    pub modes: (Mode, Mode),
}

/// Body of `POST /budget`.
#[derive(Serialize)]
struct BudgetBody<'a> {
    run_id: &'a RunId,
    budget_usd: Usd,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

impl BudgetForm {
    /// Fields of the form.
    pub const FIELDS: usize = 3;

    /// A form for the budget as it is now, with `text` typed already.
    pub fn new(base: BudgetEvent, text: String, now: Timestamp) -> Self {
        Self {
            opened: now,
            run: base.run_id.clone(),
            mode: base.mode,
            base,
            amount: text.into(),
            note: Input::default(),
            focus: 0,
            conflict: None,
            sending: Sending::Not,
        }
    }

    /// Takes the account as it is now: what was not changed here is as it is there.
    pub fn rebase(&mut self, base: BudgetEvent) {
        if self.mode == self.base.mode {
            self.mode = base.mode;
        }
        self.base = base;
    }

    /// The new limit, or what is wrong with it.
    pub fn target(&self) -> Result<Usd, String> {
        let text = self.amount.value();
        amount::until(text, &self.base, self.opened)
            .unwrap_or_else(|| amount::budget(text, self.base.enforced.limit_usd))
    }

    /// The account as it will be.
    pub fn after(&self, limit: Usd) -> BudgetEvent {
        let mut after = self.base.clone();
        let enforced = &mut after.enforced;
        enforced.limit_usd = Some(limit);
        let account = Account {
            limit: Some(limit),
            posted: enforced.posted_usd,
            pending: enforced.pending_usd(),
            unknown: enforced.unknown_usd,
            uncertain: enforced.uncertain_usd,
            ..Account::default()
        };
        enforced.available_usd = account.available();
        after.level = account.level(Usd::ZERO);
        after.blocked = after.level == Level::Critical;
        let left = (limit - enforced.spent_usd()).or_zero();
        after.runway_s = left.times(60).divided_by(self.base.burn_usd_per_min);
        after
    }

    /// The exact body that would be sent.
    pub fn body(&self, limit: Usd) -> String {
        let note = Some(self.note.value().trim()).filter(|note| !note.is_empty());
        let mode = Some(self.mode).filter(|mode| *mode != self.base.mode);
        let body = BudgetBody { run_id: &self.run, budget_usd: limit, mode, note };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// The modes that the form offers.
pub const MODES: [(Mode, &str); 4] = [
    (Mode::Clamp, "clamp"),
    (Mode::Hard, "hard"),
    (Mode::Expected, "expected"),
    (Mode::Soft, "soft"),
];

/// A provider's circuit.
#[derive(Clone, Debug)]
pub struct CircuitForm {
    /// Whose.
    pub provider: ProviderName,
    /// Which of [`CIRCUIT_CHOICES`].
    pub choice: usize,
    /// For how long, where it is opened for a while.
    pub span: Input,
    /// Why.
    pub reason: Input,
    /// The field that keys go to: choice, span, reason.
    pub focus: usize,
    /// Where the request is.
    pub sending: Sending,
}

/// Body of `POST /providers/{name}/circuit`.
#[derive(Serialize)]
struct CircuitBody<'a> {
    state: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_s: Option<u64>,
}

/// What can be asked of a circuit: the word on the wire, and what it means.
pub const CIRCUIT_CHOICES: [(&str, &str); 4] = [
    ("open", "open for a while: no traffic, then one probe"),
    ("open", "open until a person closes it"),
    ("half_open", "half-open now: one probe at a time"),
    ("closed", "closed: traffic flows, the past is forgotten"),
];

impl CircuitForm {
    /// Fields of the form.
    pub const FIELDS: usize = 3;

    /// A form for this provider; what is offered first depends on the state it is in.
    pub fn new(provider: ProviderName, is_closed: bool) -> Self {
        Self {
            provider,
            choice: if is_closed { 0 } else { 3 },
            span: "5m".to_owned().into(),
            reason: Input::default(),
            focus: 0,
            sending: Sending::Not,
        }
    }

    /// The exact body that would be sent, or what is wrong.
    pub fn body(&self) -> Result<String, String> {
        let (state, _) = CIRCUIT_CHOICES[self.choice.min(CIRCUIT_CHOICES.len() - 1)];
        let for_s = match self.choice {
            0 => Some(self.seconds()?),
            _ => None,
        };
        let typed = self.reason.value().trim();
        let reason = if typed.is_empty() { "by hand" } else { typed };
        Ok(serde_json::to_string(&CircuitBody { state, reason, for_s }).unwrap_or_default())
    }

    /// The span in whole seconds; beyond a day an open circuit should be a decision of its own.
    fn seconds(&self) -> Result<u64, String> {
        match crate::filter::span_ms(self.span.value().trim()).map(|ms| ms / 1_000) {
            Some(seconds @ 1..=86_400) => Ok(seconds),
            Some(_) => Err("from 1s to 24h".into()),
            None => Err("type a span such as 5m or 90s".into()),
        }
    }
}
