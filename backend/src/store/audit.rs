//! The ledger as one moment of it: every row, for those who check rather than believe.
//!
//! A [`Snapshot`] is one read transaction over a read-only connection, so it may stand beside a
//! backend that writes. Rows come as they lie there: an enum is a text, an amount a count, because
//! a value that cannot be is what a checker looks for. Reads version 1 and 2 alike.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use tollgate_shared::id::PriceId;
use tollgate_shared::money::Usd;
use tollgate_shared::price::PriceCard;

use crate::store::{SCHEMA_VERSION, StoreError, read_only};

/// One moment of a ledger.
#[derive(Debug)]
pub struct Snapshot {
    db: Connection,
    version: i64,
}

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
    /// From when on it counts, in microseconds.
    pub since_us: i64,
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
                since_us: row.get("since_us")?,
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

    /// Every attempt, those of one run together.
    pub fn every_attempt(&self, take: impl FnMut(AttemptRow)) -> Result<(), StoreError> {
        self.attempts("WHERE ? = '' ORDER BY run_id", "", take)
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
            ..2 => "'' AS agent, NULL AS seq",
            _ => "agent, seq",
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

/// A state in which an attempt holds money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// In flight.
    Pending,
    /// Its bill is not known.
    Unknown,
}

impl StoreError {
    /// Whether the bytes themselves are not to be believed.
    pub fn is_damage(&self) -> bool {
        let code = match self {
            Self::Corrupt(_) => return true,
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        };
        matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
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
