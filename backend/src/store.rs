//! The ledger's rows in SQLite.
//!
//! Makes last what [`tollgate_shared::budget`] decides, and decides nothing itself. One writing
//! connection belongs to the ledger thread; readers open their own, read-only, through the same
//! SQLite. The one idea: a group of events is one transaction, and an answer leaves only when the
//! commit has returned.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use tollgate_shared::budget::{Books, Run};
use tollgate_shared::id::{AgentName, PriceId, RequestId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::price::PriceCard;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;

use crate::config::Durability;

mod audit;
mod reader;
mod rows;

pub use audit::{AttemptRow, Held, PurseRow, ReceiptRow, RunRow, Snapshot, Sums};
pub use reader::{Page, Reader};

/// Why rows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("the ledger database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file was written by a newer program.
    #[error("the ledger is of version {found}, this program knows {known}; nothing was touched")]
    Newer {
        /// What the file says.
        found: i64,
        /// What this program reads and writes.
        known: i64,
    },
    /// A row does not hold what it must.
    #[error("the ledger holds a value that cannot be: {0}")]
    Corrupt(String),
    /// An amount does not fit its column.
    #[error("`{0}` USD does not fit the ledger's columns")]
    TooLarge(Usd),
}

/// The writing connection.
#[derive(Debug)]
pub struct Store {
    db: Connection,
}

/// An attempt that was held and not settled when the process ended.
#[derive(Debug)]
pub struct Orphan {
    /// The receipt it gets now.
    pub receipt: Receipt,
    /// What was held.
    pub held: Usd,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    /// Its number.
    pub attempt: u32,
    /// `pending`, `posted`, `voided` or `unknown`.
    pub state: String,
    /// Fingerprint of the request's body.
    pub body_hash: String,
    /// What the run was charged.
    pub charged: Usd,
}

/// A new row of `attempts`.
#[derive(Debug)]
pub struct NewAttempt<'a> {
    /// The receipt it would get if nothing more were heard of it.
    pub draft: &'a Receipt,
    /// Fingerprint of the request's body.
    pub body_hash: &'a str,
    /// When it was held.
    pub at: Timestamp,
}

/// A change by an operator, for `audit`.
#[derive(Debug)]
pub struct AuditRow<'a> {
    /// When.
    pub at: Timestamp,
    /// Which verb.
    pub action: &'a str,
    /// Of what.
    pub subject: &'a str,
    /// What it was.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
    /// Why, in the operator's words.
    pub note: Option<&'a str>,
}

impl Store {
    /// Opens or creates the ledger.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        let db = Connection::open(path)?;
        db.busy_timeout(std::time::Duration::from_secs(2))?;
        let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > SCHEMA_VERSION {
            return Err(StoreError::Newer { found, known: SCHEMA_VERSION });
        }
        db.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = match durability {
            Durability::Power => "FULL",
            Durability::Process => "NORMAL",
        };
        db.pragma_update(None, "synchronous", synchronous)?;
        db.pragma_update(None, "mmap_size", 0)?;
        db.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
        db.set_prepared_statement_cache_capacity(64);
        if found == 0 {
            db.execute_batch(&format!(
                "BEGIN IMMEDIATE; {} PRAGMA user_version = 1; COMMIT;",
                include_str!("store/schema/ledger_001.sql")
            ))?;
        }
        Ok(Self { db })
    }

    /// Begins a group.
    pub fn begin(&self) -> Result<(), StoreError> {
        self.run("BEGIN IMMEDIATE")
    }

    /// Makes the group last. When this has returned, a power cut does not take it.
    pub fn commit(&self) -> Result<(), StoreError> {
        self.run("COMMIT")
    }

    /// Forgets the group.
    pub fn rollback(&self) -> Result<(), StoreError> {
        self.run("ROLLBACK")
    }

    fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.db.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// Reads every run back into the books. Open holds are not among them: see [`Self::orphans`].
    pub fn load(&self) -> Result<Books, StoreError> {
        let mut books = Books::default();
        let mut statement = self.db.prepare("SELECT * FROM runs")?;
        for run in statement.query_map([], rows::run_of)? {
            books.restore(run?);
        }
        let mut statement = self.db.prepare("SELECT run_id, agent FROM agents")?;
        let agents = statement.query_map([], |row| {
            Ok((rows::parsed::<RunId>(row, 0)?, rows::parsed::<AgentName>(row, 1)?))
        })?;
        for agent in agents {
            let (run_id, agent) = agent?;
            books.meet_agent(&run_id, &agent);
        }
        Ok(books)
    }

    /// Attempts that were held and not settled.
    pub fn orphans(&self) -> Result<Vec<Orphan>, StoreError> {
        let sql = "SELECT draft, held FROM attempts WHERE state = 'pending' ORDER BY attempt_id";
        let mut statement = self.db.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        rows.map(|row| {
            let (draft, held) = row?;
            let receipt = serde_json::from_str(&draft)
                .map_err(|error| StoreError::Corrupt(format!("draft of an attempt: {error}")))?;
            Ok(Orphan { receipt, held: Usd::from_column(held) })
        })
        .collect()
    }

    /// The latest moment in the ledger: order never goes back behind it.
    pub fn last_moment(&self) -> Result<Timestamp, StoreError> {
        let sql = "SELECT max(coalesce((SELECT max(last_us) FROM runs), 0), \
                   coalesce((SELECT at_us FROM receipts ORDER BY id DESC LIMIT 1), 0))";
        Ok(Timestamp::from_micros(self.db.query_row(sql, [], |row| row.get(0))?))
    }

    /// What became of a request: its most binding attempt, for an answer or an unknown outcome is
    /// not undone by a later attempt that came to nothing. The number is that of the last one.
    pub fn last_attempt(
        &self,
        run_id: &RunId,
        request_id: &RequestId,
    ) -> Result<Option<LastAttempt>, StoreError> {
        let sql = "SELECT max(attempt) OVER (), state, body_hash, charged FROM attempts \
                   WHERE run_id = ? AND request_id = ? ORDER BY CASE state WHEN 'posted' THEN 0 \
                   WHEN 'unknown' THEN 1 WHEN 'pending' THEN 2 ELSE 3 END, attempt DESC LIMIT 1";
        let mut statement = self.db.prepare_cached(sql)?;
        let row = statement
            .query_row(params![run_id.as_str(), request_id.as_str()], |row| {
                Ok(LastAttempt {
                    attempt: row.get(0)?,
                    state: row.get(1)?,
                    body_hash: row.get(2)?,
                    charged: Usd::from_column(row.get(3)?),
                })
            })
            .optional()?;
        Ok(row)
    }

    /// Writes a new attempt, pending.
    pub fn insert_attempt(&self, new: &NewAttempt<'_>) -> Result<(), StoreError> {
        let draft = new.draft;
        let text = serde_json::to_string(draft)
            .map_err(|error| StoreError::Corrupt(format!("draft of an attempt: {error}")))?;
        let sql = "INSERT INTO attempts (run_id, request_id, attempt, attempt_id, body_hash, state, \
                   held, charged, draft, created_us) VALUES (?, ?, ?, ?, ?, 'pending', ?, 0, ?, ?)";
        self.db.prepare_cached(sql)?.execute(params![
            draft.run_id.as_str(),
            draft.request_id.as_str(),
            draft.attempt,
            draft.attempt_id.as_str(),
            new.body_hash,
            column(draft.held_usd)?,
            text,
            new.at.micros(),
        ])?;
        Ok(())
    }

    /// Writes how an attempt ended.
    pub fn settle_attempt(
        &self,
        receipt: &Receipt,
        state: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE attempts SET state = ?, charged = ?, draft = NULL, settled_us = ? \
                   WHERE run_id = ? AND request_id = ? AND attempt = ? AND state = 'pending'";
        let changed = self.db.prepare_cached(sql)?.execute(params![
            state,
            column(receipt.cost_usd)?,
            at.micros(),
            receipt.run_id.as_str(),
            receipt.request_id.as_str(),
            receipt.attempt,
        ])?;
        match changed {
            1 => Ok(()),
            _ => Err(StoreError::Corrupt(format!("attempt {} is not pending", receipt.attempt_id))),
        }
    }

    /// Forgets an attempt that never left: it has no receipt and gives its number to the next.
    pub fn delete_attempt(&self, receipt: &Receipt) -> Result<(), StoreError> {
        let sql = "DELETE FROM attempts WHERE run_id = ? AND request_id = ? AND attempt = ? \
                   AND state = 'pending'";
        let key = params![receipt.run_id.as_str(), receipt.request_id.as_str(), receipt.attempt];
        match self.db.prepare_cached(sql)?.execute(key)? {
            1 => Ok(()),
            _ => Err(StoreError::Corrupt(format!("attempt {} is not pending", receipt.attempt_id))),
        }
    }

    /// Writes a receipt's exact line.
    pub fn insert_receipt(&self, receipt: &Receipt, line: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO receipts (run_id, seq, at_us, cost, line) VALUES (?, ?, ?, ?, ?)";
        self.db.prepare_cached(sql)?.execute(params![
            receipt.run_id.as_str(),
            receipt.seq,
            receipt.timestamp.micros(),
            column(receipt.cost_usd)?,
            line,
        ])?;
        Ok(())
    }

    /// Writes a run's page as it is now.
    pub fn save_run(&self, run: &Run) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO runs (run_id, state, mode, version, limit_picos, posted, \
                   pending, unknown, uncertain, smallest, requests, seq, head, created_us, last_us) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let account = &run.account;
        self.db.prepare_cached(sql)?.execute(params![
            run.id.as_str(),
            word(&run.state)?,
            word(&run.mode)?,
            run.version,
            account.limit.map(column).transpose()?,
            column(account.posted)?,
            column(account.pending)?,
            column(account.unknown)?,
            column(account.uncertain)?,
            column(run.smallest).unwrap_or(i64::MAX),
            run.requests,
            run.seq,
            run.head,
            run.created_at.micros(),
            run.last_at.micros(),
        ])?;
        Ok(())
    }

    /// Remembers that an agent worked in a run.
    pub fn insert_agent(&self, run_id: &RunId, agent: &AgentName) -> Result<(), StoreError> {
        let sql = "INSERT OR IGNORE INTO agents (run_id, agent) VALUES (?, ?)";
        self.db.prepare_cached(sql)?.execute(params![run_id.as_str(), agent.as_str()])?;
        Ok(())
    }

    /// Keeps the card that an attempt is priced with, for as long as its receipts.
    pub fn insert_card(&self, id: &PriceId, card: &PriceCard) -> Result<(), StoreError> {
        let text = serde_json::to_string(card)
            .map_err(|error| StoreError::Corrupt(format!("price card: {error}")))?;
        let sql = "INSERT OR IGNORE INTO price_cards (price_id, card) VALUES (?, ?)";
        self.db.prepare_cached(sql)?.execute(params![id.as_str(), text])?;
        Ok(())
    }

    /// Writes who changed what.
    pub fn insert_audit(&self, row: &AuditRow<'_>) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit (at_us, action, subject, before, after, note) \
                   VALUES (?, ?, ?, ?, ?, ?)";
        self.db.prepare_cached(sql)?.execute(params![
            row.at.micros(),
            row.action,
            row.subject,
            row.before,
            row.after,
            row.note,
        ])?;
        Ok(())
    }
}

/// The wire's word for an enum: the same on disk, so a dump reads like the API.
fn word<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        _ => Err(StoreError::Corrupt("an enum without a word".into())),
    }
}

fn column(amount: Usd) -> Result<i64, StoreError> {
    amount.to_column().ok_or(StoreError::TooLarge(amount))
}

fn read_only(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(std::time::Duration::from_secs(2))?;
    db.set_prepared_statement_cache_capacity(16);
    Ok(db)
}

/// The version that this program reads and writes.
pub const SCHEMA_VERSION: i64 = 1;

/// Pages in the WAL before SQLite moves them to the database: 16 MiB, so that a checkpoint is
/// rare beside commits and short beside a time-out.
const WAL_PAGES: i64 = 4_000;
