//! Rows as they lie in the ledger: an enum is a text, because a checker looks for what cannot be.

use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

use crate::store::AuditRow;

/// What an account says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sums {
    /// Bills that are known.
    pub posted: Usd,
    /// Held by attempts in flight.
    pub pending: Usd,
    /// Held by attempts whose bill is not known.
    pub unknown: Usd,
    /// What may still be billed for streams that were cut off.
    pub uncertain: Usd,
}

/// A row of `runs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its name.
    pub run_id: String,
    /// The run it is part of.
    pub parent: Option<String>,
    /// Whether it may spend.
    pub state: String,
    /// How it treats what may not fit.
    pub mode: String,
    /// Counts changes.
    pub version: u64,
    /// Most that it may spend.
    pub limit: Option<Usd>,
    /// Its account.
    pub sums: Sums,
    /// Receipts written.
    pub seq: u64,
    /// Hash of the last one.
    pub head: String,
    /// When it was first seen, in microseconds.
    pub created_us: i64,
    /// When its money last moved, in microseconds.
    pub last_us: i64,
    /// `lifetime` or `day`.
    pub period: String,
    /// Where the period begins that posted, unknown and uncertain count, in microseconds.
    pub period_us: i64,
}

/// A row of `accounts`: the fleet's where both names are empty, else an agent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurseRow {
    /// Whose run.
    pub run_id: String,
    /// Whose.
    pub agent: String,
    /// Most that it may spend.
    pub limit: Option<Usd>,
    /// Its account.
    pub sums: Sums,
    /// `lifetime` or `day`.
    pub period: String,
    /// Where the period begins, in microseconds.
    pub period_us: i64,
    /// Counts changes.
    pub version: u64,
}

/// A row of `attempts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Whose budget.
    pub run_id: String,
    /// Which request.
    pub request_id: String,
    /// Which try of it.
    pub attempt: u32,
    /// The id that went upstream.
    pub attempt_id: String,
    /// Fingerprint of the request's body.
    pub body_hash: String,
    /// `pending`, `posted`, `voided` or `unknown`.
    pub state: String,
    /// What was set aside.
    pub held: Usd,
    /// What the run is charged.
    pub charged: Usd,
    /// The receipt it would get, while it is pending.
    pub draft: Option<String>,
    /// When it was held, in microseconds.
    pub created_us: i64,
    /// When it was settled, in microseconds.
    pub settled_us: Option<i64>,
    /// Who asked; empty in rows of version 1.
    pub agent: String,
    /// Its receipt's place in the chain; absent in rows of version 1.
    pub seq: Option<u64>,
    /// What may still be billed on top; nothing in rows of version 1.
    pub uncertain: Usd,
}

/// What a row of `attempts` is to accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChargeRow<'a> {
    /// Whose budget.
    pub run_id: &'a str,
    /// Who asked; empty in rows of version 1.
    pub agent: &'a str,
    /// `pending`, `posted`, `voided` or `unknown`.
    pub state: &'a str,
    /// What was set aside.
    pub held: Usd,
    /// What the run is charged.
    pub charged: Usd,
    /// What may still be billed on top.
    pub uncertain: Usd,
}

/// A row of `audit`: who changed what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub(super) at_us: i64,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) note: Option<String>,
    pub(super) who: String,
}

impl AuditEntry {
    /// The same, to be written elsewhere.
    pub fn as_row(&self) -> AuditRow<'_> {
        AuditRow {
            at: Timestamp::from_micros(self.at_us),
            who: &self.who,
            action: &self.action,
            subject: &self.subject,
            before: self.before.clone(),
            after: self.after.clone(),
            note: self.note.as_deref(),
        }
    }
}

/// A row of `receipts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// Its place in the chain.
    pub seq: u64,
    /// When it was settled, in microseconds.
    pub at_us: i64,
    /// What the run is charged.
    pub cost: Usd,
    /// The exact line.
    pub line: String,
}
