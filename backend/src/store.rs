//! The ledger's rows in SQLite.
//!
//! Makes last what [`tollgate_shared::budget`] decides, and decides nothing itself. One writing
//! connection belongs to the ledger thread; readers open their own, read-only, through the same
//! SQLite. The one idea: a group of events is one transaction, and an answer leaves only when the
//! commit has returned.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use tollgate_shared::budget::{Account, Books, OpenHold, Owner, Purse, Run, Unresolved};
use tollgate_shared::id::{AgentName, AttemptId, PriceId, RequestId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::price::PriceCard;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;

use crate::config::Durability;

mod audit;
mod migrate;
mod reader;
mod rows;

pub use audit::{AttemptRow, Held, PurseRow, ReceiptRow, RunRow, Snapshot, Sums};
pub use reader::{Page, Reader};

/// Why rows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("the ledger database failed: {0}")]
    Sqlite(rusqlite::Error),
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
    /// A group could not be written, and may be written again: the disk is full, or a stranger
    /// holds the database.
    #[error("the ledger cannot write for now: {0}")]
    Outage(Outage),
    /// An amount does not fit its column.
    #[error("`{0}` USD does not fit the ledger's columns")]
    TooLarge(Usd),
}

/// What stands in the way of a group, and passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// No room, or a quota or limit of the file.
    #[error("the disk is full")]
    Full,
    /// Another program holds the database.
    #[error("another program holds the database")]
    Locked,
}

impl From<rusqlite::Error> for StoreError {
    /// A write that found no room has changed nothing and may be tried again. A sync that failed
    /// may not: the system can have dropped what it did not write.
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ffi;
        let Some(code) = error.sqlite_error() else { return Self::Sqlite(error) };
        match code.extended_code {
            ffi::SQLITE_FULL
            | ffi::SQLITE_IOERR_WRITE
            | ffi::SQLITE_IOERR_TRUNCATE
            | ffi::SQLITE_IOERR_SHMSIZE => Self::Outage(Outage::Full),
            extended if extended & 0xff == ffi::SQLITE_BUSY => Self::Outage(Outage::Locked),
            extended if matches!(extended & 0xff, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => {
                Self::Corrupt(error.to_string())
            }
            _ => Self::Sqlite(error),
        }
    }
}

/// The writing connection.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
}

/// An attempt that was held and not settled when the process ended.
#[derive(Debug)]
pub struct Orphan {
    /// The receipt it gets now.
    pub receipt: Receipt,
    /// What was held.
    pub hold: OpenHold,
    /// When it was held.
    pub at: Timestamp,
}

/// An attempt whose bill is not known, with its receipt.
#[derive(Debug)]
pub struct Lost {
    /// Its receipt.
    pub receipt: Receipt,
    /// What is held, and since when.
    pub unresolved: Unresolved,
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
    /// The most it can cost above what is held.
    pub exposed: Usd,
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
        // See `checkpoint`.
        db.pragma_update(None, "wal_autocheckpoint", 0)?;
        db.set_prepared_statement_cache_capacity(64);
        let store = Self { db, path: path.into() };
        migrate::up(&store.db, found)?;
        Ok(store)
    }

    /// The directory that the ledger is in.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new("."))
    }

    /// How long the log is that waits to be moved into the database.
    pub fn log_bytes(&self) -> u64 {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        std::fs::metadata(log).map_or(0, |meta| meta.len())
    }

    /// Begins a group.
    pub fn begin(&self) -> Result<(), StoreError> {
        self.run("BEGIN IMMEDIATE")
    }

    /// Makes the group last. When this has returned, a power cut does not take it.
    pub fn commit(&self) -> Result<(), StoreError> {
        self.run("COMMIT")
    }

    /// Forgets the group, where SQLite has not done so by itself.
    pub fn rollback(&self) -> Result<(), StoreError> {
        if self.db.is_autocommit() { Ok(()) } else { self.run("ROLLBACK") }
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
        let mut statement = self.db.prepare("SELECT * FROM accounts")?;
        for row in statement.query_map([], rows::purse_of)? {
            let (owner, purse) = row?;
            books.restore_purse(owner, purse);
        }
        books.relevel_quietly();
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
        self.orphans_before(Timestamp::from_micros(i64::MAX))
    }

    /// Those of them that were held before a moment.
    pub fn orphans_before(&self, at: Timestamp) -> Result<Vec<Orphan>, StoreError> {
        let sql = "SELECT draft, held, exposed, created_us FROM attempts WHERE state = 'pending' \
                   AND created_us < ? ORDER BY attempt_id";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([at.micros()])?;
        let mut orphans = Vec::new();
        while let Some(row) = rows.next()? {
            let receipt = receipt_of(row.get_ref(0)?.as_str().map_err(not_text)?)?;
            let hold = OpenHold {
                run_id: receipt.run_id.clone(),
                agent: receipt.agent.clone(),
                amount: Usd::from_column(row.get(1)?),
                exposed: Usd::from_column(row.get(2)?),
            };
            orphans.push(Orphan { receipt, hold, at: Timestamp::from_micros(row.get(3)?) });
        }
        Ok(orphans)
    }

    /// An attempt whose bill is not known; `None` where it is known or there is no such attempt.
    pub fn lost(&self, attempt_id: &AttemptId) -> Result<Option<Lost>, StoreError> {
        let sql = "SELECT line, held, exposed, settled_us FROM attempts JOIN receipts \
                   USING (run_id, seq) WHERE state = 'unknown' AND attempt_id = ?";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([attempt_id.as_str()])?;
        rows.next()?.map(lost_of).transpose()
    }

    /// Attempts whose bill has not been known since before a moment, oldest first.
    pub fn lost_before(&self, at: Timestamp, most: u32) -> Result<Vec<Lost>, StoreError> {
        let sql = "SELECT line, held, exposed, settled_us FROM attempts JOIN receipts \
                   USING (run_id, seq) WHERE state = 'unknown' AND settled_us < ? \
                   ORDER BY attempt_id LIMIT ?";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query(params![at.micros(), most])?;
        let mut lost = Vec::new();
        while let Some(row) = rows.next()? {
            lost.push(lost_of(row)?);
        }
        Ok(lost)
    }

    /// What attempts of some runs were charged since a moment, of one agent or of all.
    pub fn charged_since(
        &self,
        runs: &[RunId],
        agent: Option<&AgentName>,
        since: Timestamp,
    ) -> Result<Account, StoreError> {
        let sql = "SELECT state, held, charged, uncertain, exposed FROM attempts WHERE run_id = ? \
                   AND settled_us >= ? AND (?3 IS NULL OR agent = ?3)";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut account = Account::default();
        for run_id in runs {
            let agent = agent.map(AgentName::as_str);
            let mut rows = statement.query(params![run_id.as_str(), since.micros(), agent])?;
            while let Some(row) = rows.next()? {
                let amount = |index: usize| row.get(index).map(Usd::from_column);
                if row.get_ref(0)?.as_str().is_ok_and(|state| state == "unknown") {
                    account.unknown += amount(1)?;
                    account.exposed += amount(4)?;
                } else {
                    account.posted += amount(2)?;
                    account.uncertain += amount(3)?;
                }
            }
        }
        Ok(account)
    }

    /// Groups committed so far.
    pub fn commits(&self) -> Result<u64, StoreError> {
        let sql = "SELECT value FROM meta WHERE key = 'commits'";
        Ok(self.db.query_row(sql, [], |row| row.get(0))?)
    }

    /// Counts a group, in the group itself.
    pub fn count_commit(&self, commits: u64) -> Result<(), StoreError> {
        let sql = "UPDATE meta SET value = ? WHERE key = 'commits'";
        self.db.prepare_cached(sql)?.execute([commits])?;
        Ok(())
    }

    /// Moves what was committed from the log into the database, as far as no reader is in the way.
    /// SQLite would do it by itself and keep a failing sync to itself: here it is an error.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let mut statement = self.db.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
        statement.query_row([], |_| Ok(()))?;
        Ok(())
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
                   held, charged, draft, created_us, agent, exposed) \
                   VALUES (?, ?, ?, ?, ?, 'pending', ?, 0, ?, ?, ?, ?)";
        self.db.prepare_cached(sql)?.execute(params![
            draft.run_id.as_str(),
            draft.request_id.as_str(),
            draft.attempt,
            draft.attempt_id.as_str(),
            new.body_hash,
            column(draft.held_usd)?,
            text,
            new.at.micros(),
            draft.agent.as_str(),
            column(new.exposed)?,
        ])?;
        Ok(())
    }

    /// Writes how an attempt ended; its receipt is sealed.
    pub fn settle_attempt(
        &self,
        receipt: &Receipt,
        state: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE attempts SET state = ?, charged = ?, uncertain = ?, seq = ?, draft = NULL, \
                   settled_us = ? WHERE run_id = ? AND request_id = ? AND attempt = ? \
                   AND state = 'pending'";
        let changed = self.db.prepare_cached(sql)?.execute(params![
            state,
            column(receipt.cost_usd)?,
            column(receipt.uncertain_usd)?,
            receipt.seq,
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

    /// Writes what became of an unknown attempt. When it was lost stays as it is: that decides
    /// which days it counts for.
    pub fn resolve_attempt(
        &self,
        receipt: &Receipt,
        state: &str,
        cost: Usd,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE attempts SET state = ?, charged = ? WHERE run_id = ? AND request_id = ? \
                   AND attempt = ? AND state = 'unknown'";
        let changed = self.db.prepare_cached(sql)?.execute(params![
            state,
            column(cost)?,
            receipt.run_id.as_str(),
            receipt.request_id.as_str(),
            receipt.attempt,
        ])?;
        match changed {
            1 => Ok(()),
            _ => Err(StoreError::Corrupt(format!("attempt {} is not unknown", receipt.attempt_id))),
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
                   pending, unknown, uncertain, smallest, requests, seq, head, created_us, last_us, \
                   parent, period, period_us, exposed) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
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
            run.parent.as_ref().map(RunId::as_str),
            word(&run.period)?,
            run.since.micros(),
            column(account.exposed)?,
        ])?;
        Ok(())
    }

    /// Writes an account beside the runs as it is now.
    pub fn save_purse(&self, owner: &Owner, purse: &Purse) -> Result<(), StoreError> {
        let (run_id, agent) = match owner {
            Owner::Agent(run_id, agent) => (run_id.as_str(), agent.as_str()),
            Owner::Fleet | Owner::Run(_) => ("", ""),
        };
        let sql = "INSERT OR REPLACE INTO accounts (run_id, agent, limit_picos, posted, pending, \
                   unknown, uncertain, exposed, period, period_us, version) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let account = &purse.account;
        self.db.prepare_cached(sql)?.execute(params![
            run_id,
            agent,
            account.limit.map(column).transpose()?,
            column(account.posted)?,
            column(account.pending)?,
            column(account.unknown)?,
            column(account.uncertain)?,
            column(account.exposed)?,
            word(&purse.period)?,
            purse.since.micros(),
            purse.version,
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

/// A receipt from its line or draft.
fn receipt_of(text: &str) -> Result<Receipt, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt(format!("receipt of an attempt: {error}")))
}

fn lost_of(row: &rusqlite::Row<'_>) -> Result<Lost, StoreError> {
    let receipt = receipt_of(row.get_ref(0)?.as_str().map_err(not_text)?)?;
    let hold = OpenHold {
        run_id: receipt.run_id.clone(),
        agent: receipt.agent.clone(),
        amount: Usd::from_column(row.get(1)?),
        exposed: Usd::from_column(row.get(2)?),
    };
    let at = Timestamp::from_micros(row.get(3)?);
    Ok(Lost { receipt, unresolved: Unresolved { hold, at } })
}

fn not_text(error: rusqlite::types::FromSqlError) -> StoreError {
    StoreError::Corrupt(format!("a text column: {error}"))
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
pub const SCHEMA_VERSION: i64 = 2;
