//! Bodies about what people changed, and about what wants their attention.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budgets::short;
use crate::alert::Alert;
use crate::body::{Body, BodyError, invalid};
use crate::time::Timestamp;

/// One change by an operator.
///
/// ```json
/// {"id":17,"at":"2026-11-23T14:14:07Z","who":"ann","what":"budget","subject":"R-207",
///  "note":"the refactoring grew","before":{"budget_usd":"25"},"after":{"budget_usd":"50"}}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Its place in the list; later changes have larger ones.
    pub id: u64,
    /// When it was on disk.
    pub at: Timestamp,
    /// Whose hand it was: the name in `x-tollgate-operator`, or `local`; `tollgate` where a rule
    /// acted.
    pub who: String,
    /// The verb: `budget`, `pause`, `resume`, `close`, `resolve`, `register`, `remove`, `circuit`,
    /// `ack`, `snooze`, `rebuild`; by a rule, `freeze` and `unbound`. Others may come.
    pub what: String,
    /// The run, `run/agent`, provider, alert, or `fleet`.
    pub subject: String,
    /// Why, in the operator's words.
    #[serde(default)]
    pub note: Option<String>,
    /// What changed, as it was: values in words, amounts with every digit.
    #[serde(default)]
    pub before: BTreeMap<String, String>,
    /// The same as it is since.
    #[serde(default)]
    pub after: BTreeMap<String, String>,
}

/// Answer of `GET /audit`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AuditList {
    /// The changes, newest first.
    pub changes: Vec<AuditEntry>,
    /// What `before` must be to read on; null at the end.
    pub next_before: Option<u64>,
}

/// Answer of `GET /alerts`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AlertList {
    /// The alerts: those that hold by severity and age, resolved ones newest first.
    pub alerts: Vec<Alert>,
    /// How many hold and nobody has said that they know.
    pub unacked: u64,
}

/// Body of `POST /alerts/{id}/ack`; all of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct AckRequest {
    /// What the operator does about it.
    pub note: Option<String>,
}

impl AckRequest {
    /// Reads the body.
    pub fn from_body(mut body: Body) -> Result<Self, BodyError> {
        let request = Self { note: body.take("note")? };
        body.finish()?;
        short(request.note.as_deref())?;
        Ok(request)
    }
}

/// Body of `POST /alerts/{id}/snooze`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SnoozeRequest {
    /// How long nobody wants to hear of it.
    pub minutes: u32,
    /// Why.
    pub note: Option<String>,
}

impl SnoozeRequest {
    /// Reads the body.
    pub fn from_body(mut body: Body) -> Result<Self, BodyError> {
        let request = Self { minutes: body.require("minutes")?, note: body.take("note")? };
        body.finish()?;
        if !(1..=SNOOZE_MINUTES_MAX).contains(&request.minutes) {
            let reason = format_args!("it is not from 1 to {SNOOZE_MINUTES_MAX}");
            return Err(invalid("minutes", reason));
        }
        short(request.note.as_deref())?;
        Ok(request)
    }
}

/// Longest that an alert can be snoozed, in minutes: a week. What may be silent for longer is to
/// be acknowledged, by name.
pub const SNOOZE_MINUTES_MAX: u32 = 10_080;
