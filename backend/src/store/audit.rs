//! The ledger as one moment of it: every row, for those who check rather than believe.
//!
//! A [`Snapshot`] is one read transaction over a read-only connection, so it may stand beside a
//! backend that writes. Rows come as they lie there: an enum is a text, an amount a count, because
//! a value that cannot be is what a checker looks for. Reads every version alike.

use std::path::Path;

use rusqlite::types::FromSqlError;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use tollgate_shared::id::PriceId;
use tollgate_shared::money::Usd;
use tollgate_shared::price::PriceCard;

use crate::store::seal::{self, Rows};
use crate::store::{SCHEMA_VERSION, StoreError, read_only};

mod rows;

pub use rows::{AttemptRow, AuditEntry, ChargeRow, PurseRow, ReceiptRow, RunRow, Sums};

/// One moment of a ledger.
#[derive(Debug)]
pub struct Snapshot {
    db: Connection,
    version: i64,
}

impl Snapshot {
    /// Opens a ledger read-only and keeps the moment.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = read_only(path)?;
        db.execute_batch("BEGIN")?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > SCHEMA_VERSION {
            return Err(StoreError::Newer { found: version, known: SCHEMA_VERSION });
        }
        Ok(Self { db, version })
    }

    /// The schema's version; 0 where nothing was ever written.
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// Groups committed so far; 0 where the ledger does not count them yet.
    pub fn commits(&self) -> Result<u64, StoreError> {
        if self.version < 2 {
            return Ok(0);
        }
        let sql = "SELECT value FROM meta WHERE key = 'commits'";
        Ok(self.db.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// How many bytes the database has.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        let pages: u64 = self.db.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let size: u64 = self.db.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(pages.saturating_mul(size))
    }

    /// What SQLite finds wrong with its own pages; `deep` compares the indexes as well.
    pub fn faults(&self, deep: bool) -> Result<Vec<String>, StoreError> {
        let sql = if deep { "PRAGMA integrity_check(20)" } else { "PRAGMA quick_check(5)" };
        let mut statement = self.db.prepare(sql)?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut found = lines.collect::<Result<Vec<_>, _>>()?;
        found.retain(|line| line != "ok");
        Ok(found)
    }

    /// Whether there is a table at all.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)";
        Ok(self.db.query_row(sql, [], |row| row.get(0))?)
    }

    /// The first table or row that is not as it was written; earlier versions cannot tell.
    pub fn broken(&self, rows: Rows) -> Result<Option<String>, StoreError> {
        if self.version < 4 { Ok(None) } else { seal::broken(&self.db, rows) }
    }

    /// Every run, by name.
    pub fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        let more = match self.version {
            ..2 => "NULL AS parent, 'lifetime' AS period, 0 AS period_us",
            _ => "parent, period, period_us",
        };
        let sql = format!(
            "SELECT run_id, state, mode, version, limit_picos, posted, pending, unknown, uncertain, \
             seq, head, created_us, last_us, {more} FROM runs ORDER BY run_id"
        );
        self.all(&sql, |row| {
            Ok(RunRow {
                run_id: row.get("run_id")?,
                parent: row.get("parent")?,
                state: row.get("state")?,
                mode: row.get("mode")?,
                version: row.get("version")?,
                limit: row.get::<_, Option<i64>>("limit_picos")?.map(Usd::from_column),
                sums: sums_of(row)?,
                seq: row.get("seq")?,
                head: row.get("head")?,
                created_us: row.get("created_us")?,
                last_us: row.get("last_us")?,
                period: row.get("period")?,
                period_us: row.get("period_us")?,
            })
        })
    }

    /// The fleet's account and those of agents.
    pub fn purses(&self) -> Result<Vec<PurseRow>, StoreError> {
        if self.version < 2 {
            return Ok(Vec::new());
        }
        self.all("SELECT * FROM accounts ORDER BY run_id, agent", |row| {
            Ok(PurseRow {
                run_id: row.get("run_id")?,
                agent: row.get("agent")?,
                limit: row.get::<_, Option<i64>>("limit_picos")?.map(Usd::from_column),
                sums: sums_of(row)?,
                period: row.get("period")?,
                period_us: row.get("period_us")?,
                version: row.get("version")?,
            })
        })
    }

    /// A run's attempts.
    pub fn attempts_of(&self, run_id: &str) -> Result<Vec<AttemptRow>, StoreError> {
        let mut found = Vec::new();
        self.attempts("WHERE run_id = ?", run_id, |row| found.push(row))?;
        Ok(found)
    }

    /// What every attempt is charged, those of one run together; as cheap as reading them can be.
    pub fn charges(&self, mut take: impl FnMut(ChargeRow<'_>)) -> Result<(), StoreError> {
        let more = if self.version < 2 { "'', 0" } else { "agent, uncertain" };
        let sql = format!("SELECT run_id, state, held, charged, {more} FROM attempts");
        let mut statement = self.db.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let text = |error: FromSqlError| StoreError::Corrupt(format!("an attempt: {error}"));
        while let Some(row) = rows.next()? {
            take(ChargeRow {
                run_id: row.get_ref(0)?.as_str().map_err(text)?,
                state: row.get_ref(1)?.as_str().map_err(text)?,
                held: Usd::from_column(row.get(2)?),
                charged: Usd::from_column(row.get(3)?),
                agent: row.get_ref(4)?.as_str().map_err(text)?,
                uncertain: Usd::from_column(row.get(5)?),
            });
        }
        Ok(())
    }

    /// Attempts in one of the states that hold money; there is an index of each.
    pub fn held(&self, state: Held, take: impl FnMut(AttemptRow)) -> Result<(), StoreError> {
        match state {
            Held::Pending => self.attempts("WHERE state = 'pending' AND ? = ''", "", take),
            Held::Unknown => self.attempts("WHERE state = 'unknown' AND ? = ''", "", take),
        }
    }

    /// One attempt of a run.
    pub fn attempt(
        &self,
        run_id: &str,
        request_id: &str,
        attempt: u32,
    ) -> Result<Option<AttemptRow>, StoreError> {
        let sql = format!(
            "{} WHERE run_id = ? AND request_id = ? AND attempt = ?",
            self.select_attempts()
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let key = params![run_id, request_id, attempt];
        Ok(statement.query_row(key, attempt_of).optional()?)
    }

    /// Ids under which more than one attempt was sent.
    pub fn doubled_attempts(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT attempt_id FROM attempts GROUP BY attempt_id HAVING count(*) > 1";
        self.all(sql, |row| row.get(0))
    }

    /// Runs that attempts or receipts name and `runs` does not.
    pub fn strays(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT run_id FROM receipts WHERE run_id NOT IN (SELECT run_id FROM runs) \
                   UNION SELECT run_id FROM attempts WHERE run_id NOT IN (SELECT run_id FROM runs)";
        self.all(sql, |row| row.get(0))
    }

    /// A run's receipts behind a place, oldest first, until `take` answers that it has enough.
    pub fn receipts(
        &self,
        run_id: &str,
        after: u64,
        mut take: impl FnMut(ReceiptRow) -> bool,
    ) -> Result<(), StoreError> {
        let sql = "SELECT seq, at_us, cost, line FROM receipts WHERE run_id = ? AND seq > ? \
                   ORDER BY seq";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query(params![run_id, after])?;
        while let Some(row) = rows.next()? {
            let receipt = ReceiptRow {
                seq: row.get(0)?,
                at_us: row.get(1)?,
                cost: Usd::from_column(row.get(2)?),
                line: row.get(3)?,
            };
            if !take(receipt) {
                break;
            }
        }
        Ok(())
    }

    /// The line at a place of a run's chain.
    pub fn line(&self, run_id: &str, seq: u64) -> Result<Option<String>, StoreError> {
        let sql = "SELECT line FROM receipts WHERE run_id = ? AND seq = ?";
        let mut statement = self.db.prepare_cached(sql)?;
        Ok(statement.query_row(params![run_id, seq], |row| row.get(0)).optional()?)
    }

    /// Every price card that an attempt was priced with; one that cannot be read is left out.
    pub fn cards(&self) -> Result<Vec<(PriceId, PriceCard)>, StoreError> {
        let rows: Vec<(String, String)> = self
            .all("SELECT price_id, card FROM price_cards", |row| Ok((row.get(0)?, row.get(1)?)))?;
        let read = |(id, card): (String, String)| {
            Some((id.parse().ok()?, serde_json::from_str(&card).ok()?))
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Who changed what, oldest first.
    pub fn audit(&self) -> Result<Vec<AuditEntry>, StoreError> {
        let who = if self.version < 3 { "'local'" } else { "who" };
        let sql = format!(
            "SELECT at_us, action, subject, before, after, note, {who} FROM audit ORDER BY id"
        );
        self.all(&sql, |row| {
            Ok(AuditEntry {
                at_us: row.get(0)?,
                action: row.get(1)?,
                subject: row.get(2)?,
                before: row.get(3)?,
                after: row.get(4)?,
                note: row.get(5)?,
                who: row.get(6)?,
            })
        })
    }

    /// What people call runs; earlier versions know no names.
    pub fn names(&self) -> Result<Vec<(String, String)>, StoreError> {
        if self.version < 3 {
            return Ok(Vec::new());
        }
        self.all("SELECT run_id, name FROM names", |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn attempts(
        &self,
        clause: &str,
        argument: &str,
        mut take: impl FnMut(AttemptRow),
    ) -> Result<(), StoreError> {
        let mut statement =
            self.db.prepare_cached(&format!("{} {clause}", self.select_attempts()))?;
        let mut rows = statement.query([argument])?;
        while let Some(row) = rows.next()? {
            take(attempt_of(row)?);
        }
        Ok(())
    }

    fn select_attempts(&self) -> String {
        let more = match self.version {
            ..2 => "'' AS agent, NULL AS seq, 0 AS uncertain",
            _ => "agent, seq, uncertain",
        };
        format!(
            "SELECT run_id, request_id, attempt, attempt_id, body_hash, state, held, charged, \
             draft, created_us, settled_us, {more} FROM attempts"
        )
    }

    fn all<T>(
        &self,
        sql: &str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.db.prepare(sql)?;
        let rows = statement.query_map([], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Writes one moment of a ledger to a file that does not exist yet. Nothing is synced.
pub fn copy_into(path: &Path, to: &Path) -> Result<(), StoreError> {
    let db = read_only(path)?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { found, known: SCHEMA_VERSION });
    }
    let to = to.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(to.into()))?;
    db.execute("VACUUM INTO ?", [to])?;
    Ok(())
}

/// A state in which an attempt holds money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// In flight.
    Pending,
    /// Its bill is not known.
    Unknown,
}

impl StoreError {
    /// Whether the bytes themselves are not to be believed: pages, a value that cannot be, or tables
    /// that our own words do not fit.
    pub fn is_damage(&self) -> bool {
        let error = match self {
            Self::Corrupt(_) => return true,
            Self::Sqlite(error) => error,
            _ => return false,
        };
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::InvalidColumnName(..)
            | rusqlite::Error::SqlInputError { .. }
            | rusqlite::Error::QueryReturnedNoRows => true,
            other => matches!(
                other.sqlite_error_code(),
                Some(
                    ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                        | ErrorCode::Unknown
                        | ErrorCode::ConstraintViolation
                )
            ),
        }
    }
}

fn attempt_of(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    Ok(AttemptRow {
        run_id: row.get(0)?,
        request_id: row.get(1)?,
        attempt: row.get(2)?,
        attempt_id: row.get(3)?,
        body_hash: row.get(4)?,
        state: row.get(5)?,
        held: Usd::from_column(row.get(6)?),
        charged: Usd::from_column(row.get(7)?),
        draft: row.get(8)?,
        created_us: row.get(9)?,
        settled_us: row.get(10)?,
        agent: row.get(11)?,
        seq: row.get(12)?,
        uncertain: Usd::from_column(row.get(13)?),
    })
}

fn sums_of(row: &Row<'_>) -> rusqlite::Result<Sums> {
    let amount = |name: &str| row.get(name).map(Usd::from_column);
    Ok(Sums {
        posted: amount("posted")?,
        pending: amount("pending")?,
        unknown: amount("unknown")?,
        uncertain: amount("uncertain")?,
    })
}
