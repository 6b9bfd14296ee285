//! The ledger's rows in SQLite.
//!
//! Makes last what [`tollgate_shared::budget`] decides, and decides nothing itself. One writing
//! connection belongs to the ledger thread; readers open their own, read-only, through the same
//! SQLite. The one idea: a group of events is one transaction, and an answer leaves only when the
//! commit has returned.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use tollgate_shared::budget::{Books, Owner, Purse, Run};
use tollgate_shared::id::{AgentName, PriceId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::price::PriceCard;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;

use crate::config::Durability;

mod attempts;
mod audit;
mod error;
mod explain;
mod migrate;
mod reader;
mod restore;
mod rows;
mod said;
mod seal;

pub use attempts::{LastAttempt, Lost, NewAttempt, Orphan};
pub use audit::{
    AttemptRow, AuditEntry, ChargeRow, Held, PurseRow, ReceiptRow, RunRow, Snapshot, Sums,
    copy_into,
};
pub use error::{Outage, StoreError};
pub use explain::Explained;
pub use reader::{Page, Reader};
pub use said::{AuditRow, Facts, Key, Used, facts_text};
pub use seal::Rows;

/// The writing connection.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens or creates the ledger.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        let db = Connection::open(path)?;
        seal::teach(&db)?;
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
    pub fn load(&self, default_limit: Option<Usd>) -> Result<Books, StoreError> {
        let mut books = Books::with_default(default_limit);
        let mut statement = self.db.prepare("SELECT * FROM runs")?;
        for run in statement.query_map([], rows::run_of)? {
            books.restore(run?);
        }
        for (run_id, name) in self.names()? {
            if let Some(run) = run_id.parse().ok().and_then(|id| books.run_mut(&id)) {
                run.name = Some(name);
            }
        }
        let mut statement = self.db.prepare("SELECT * FROM accounts")?;
        for row in statement.query_map([], rows::purse_of)? {
            let (owner, purse) = row?;
            books.restore_purse(owner, purse);
        }
        let day = "SELECT value FROM meta WHERE key = 'day'";
        let day = self.db.query_row(day, [], |row| row.get(0)).optional()?;
        // A ledger that was made anew knows it by its fleet's account alone.
        let counted = books.purse(&Owner::Fleet).map(|fleet| fleet.since.floor_to(86_400));
        books.restore_day(day.map_or(counted.unwrap_or_default(), Timestamp::from_micros));
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

    /// Groups committed so far.
    pub fn commits(&self) -> Result<u64, StoreError> {
        let sql = "SELECT value FROM meta WHERE key = 'commits'";
        Ok(self.db.query_row(sql, [], |row| row.get(0))?)
    }

    /// Remembers which day daily accounts count.
    pub fn save_day(&self, day: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO meta (key, value, seal) \
                   VALUES ('day', ?1, seal_of('day', ?1))";
        self.db.prepare_cached(sql)?.execute([day.micros()])?;
        Ok(())
    }

    /// Counts a group, in the group itself.
    pub fn count_commit(&self, commits: u64) -> Result<(), StoreError> {
        let sql = "UPDATE meta SET value = ?1, seal = seal_of(key, ?1) WHERE key = 'commits'";
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

    /// Writes a receipt's exact line.
    pub fn insert_receipt(&self, receipt: &Receipt, line: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO receipts (run_id, seq, at_us, cost, line, seal) \
                   VALUES (?1, ?2, ?3, ?4, ?5, seal_of(?1, ?2, ?3, ?4, ?5))";
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
                   parent, period, period_us, exposed, seal) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
                   ?17, ?18, ?19, seal_of(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, \
                   ?14, ?15, ?16, ?17, ?18, ?19))";
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
                   unknown, uncertain, exposed, period, period_us, version, seal) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, \
                   seal_of(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11))";
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
        let sql = "INSERT OR IGNORE INTO agents (run_id, agent, seal) \
                   VALUES (?1, ?2, seal_of(?1, ?2))";
        self.db.prepare_cached(sql)?.execute(params![run_id.as_str(), agent.as_str()])?;
        Ok(())
    }

    /// Keeps the card that an attempt is priced with, for as long as its receipts.
    pub fn insert_card(&self, id: &PriceId, card: &PriceCard) -> Result<(), StoreError> {
        let text = serde_json::to_string(card)
            .map_err(|error| StoreError::Corrupt(format!("price card: {error}")))?;
        let sql = "INSERT OR IGNORE INTO price_cards (price_id, card, seal) \
                   VALUES (?1, ?2, seal_of(?1, ?2))";
        self.db.prepare_cached(sql)?.execute(params![id.as_str(), text])?;
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

fn not_text(error: rusqlite::types::FromSqlError) -> StoreError {
    StoreError::Corrupt(format!("a text column: {error}"))
}

fn column(amount: Usd) -> Result<i64, StoreError> {
    amount.to_column().ok_or(StoreError::TooLarge(amount))
}

fn read_only(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    seal::teach(&db)?;
    db.busy_timeout(std::time::Duration::from_secs(2))?;
    db.set_prepared_statement_cache_capacity(16);
    Ok(db)
}

/// The version that this program reads and writes.
pub const SCHEMA_VERSION: i64 = 4;
