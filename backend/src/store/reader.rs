//! Receipts read back, beside the writer and never in its way.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, params};
use tollgate_shared::api::UnknownView;
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

use crate::store::{StoreError, read_only, rows};

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    db: Mutex<Connection>,
    /// What each run's receipts added up to when somebody last asked: they only grow.
    totals: Mutex<HashMap<RunId, Total>>,
}

/// A run's receipts up to a place.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    seq: u64,
    sum: Usd,
}

/// Which of a run's receipts to read.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only those behind this one.
    pub after: u64,
    /// Only those before this one.
    pub before: u64,
    /// At most so many.
    pub limit: u64,
}

impl Default for Page {
    /// All of them.
    fn default() -> Self {
        let most = i64::MAX.unsigned_abs();
        Self { after: 0, before: most, limit: most }
    }
}

impl Reader {
    /// Opens the ledger that the writer has created.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { db: Mutex::new(read_only(path)?), totals: Mutex::default() })
    }

    /// A run's lines, oldest first.
    pub fn lines(&self, run_id: &RunId, page: Page) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT line FROM receipts WHERE run_id = ? AND seq > ? AND seq < ? \
                   ORDER BY seq LIMIT ?";
        self.with(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let key = params![run_id.as_str(), page.after, page.before, page.limit];
            statement.query_map(key, |row| row.get(0))?.collect()
        })
    }

    /// A run's last lines, oldest first: the newest page, without the others.
    pub fn last_lines(&self, run_id: &RunId, page: Page) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT line FROM receipts WHERE run_id = ? AND seq > ? AND seq < ? \
                   ORDER BY seq DESC LIMIT ?";
        let mut lines: Vec<String> = self.with(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let key = params![run_id.as_str(), page.after, page.before, page.limit];
            statement.query_map(key, |row| row.get(0))?.collect()
        })?;
        lines.reverse();
        Ok(lines)
    }

    /// How many receipts a run has, and what they add up to: added here, never by SQL `SUM`. Only
    /// those that were not there before are read.
    pub fn total(&self, run_id: &RunId) -> Result<(u64, Usd), StoreError> {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let known = totals.get(run_id).copied().unwrap_or_default();
        let sql = "SELECT seq, cost FROM receipts WHERE run_id = ? AND seq > ? ORDER BY seq";
        let total = self.with(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let mut rows = statement.query(params![run_id.as_str(), known.seq])?;
            let mut total = known;
            while let Some(row) = rows.next()? {
                total = Total { seq: row.get(0)?, sum: total.sum + Usd::from_column(row.get(1)?) };
            }
            Ok(total)
        })?;
        if totals.len() >= TOTALS_MAX && !totals.contains_key(run_id) {
            totals.clear();
        }
        totals.insert(run_id.clone(), total);
        // Places are dense from 1, so the last one is their number.
        Ok((total.seq, total.sum))
    }

    /// The receipts from an id on and before a moment, at most so many, each handed to `take` with
    /// its id and time. Answers whether there may be more of them.
    pub fn from_id(
        &self,
        (id, end): (i64, Timestamp),
        most: u32,
        mut take: impl FnMut(i64, Timestamp, &str),
    ) -> Result<bool, StoreError> {
        let sql = "SELECT id, at_us, line FROM receipts WHERE id >= ? ORDER BY id LIMIT ?";
        self.with(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let mut rows = statement.query(params![id, most])?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let at = Timestamp::from_micros(row.get(1)?);
                if at >= end {
                    return Ok(false);
                }
                take(row.get(0)?, at, row.get_ref(2)?.as_str()?);
                count += 1;
            }
            Ok(count == most)
        })
    }

    /// The first id of a receipt that is not before a moment.
    pub fn first_id(&self, at: Timestamp) -> Result<i64, StoreError> {
        self.with(|db| first_since(db, at))
    }

    /// How many receipts there are in all.
    pub fn count(&self) -> Result<u64, StoreError> {
        self.with(|db| {
            db.query_row("SELECT coalesce(max(id), 0) FROM receipts", [], |row| row.get(0))
        })
    }

    /// Attempts whose bill is not known, oldest first.
    pub fn unknowns(&self, most: u32) -> Result<Vec<UnknownView>, StoreError> {
        let sql = "SELECT attempt_id, run_id, request_id, agent, held, settled_us FROM attempts \
                   WHERE state = 'unknown' ORDER BY attempt_id LIMIT ?";
        self.with(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([most], |row| {
                Ok(UnknownView {
                    attempt_id: rows::parsed(row, 0)?,
                    run_id: rows::parsed(row, 1)?,
                    request_id: rows::parsed(row, 2)?,
                    agent: rows::parsed(row, 3)?,
                    held_usd: Usd::from_column(row.get(4)?),
                    since: Timestamp::from_micros(row.get(5)?),
                })
            })?;
            rows.collect()
        })
    }

    /// Lines since a moment, oldest first, each handed to `take`.
    pub fn since(&self, at: Timestamp, mut take: impl FnMut(&str)) -> Result<(), StoreError> {
        self.with(|db| {
            let first = first_since(db, at)?;
            let mut statement =
                db.prepare_cached("SELECT line FROM receipts WHERE id >= ? ORDER BY id")?;
            let mut rows = statement.query([first])?;
            while let Some(row) = rows.next()? {
                take(row.get_ref(0)?.as_str()?);
            }
            Ok(())
        })
    }

    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(read(&db)?)
    }
}

/// The first id that is not before a moment. Ids are dense and follow commit order, hence time, so
/// a binary search touches a few pages where a scan would read every line.
fn first_since(db: &Connection, at: Timestamp) -> rusqlite::Result<i64> {
    let last: i64 =
        db.query_row("SELECT coalesce(max(id), 0) FROM receipts", [], |row| row.get(0))?;
    let mut moment =
        db.prepare_cached("SELECT at_us FROM receipts WHERE id >= ? ORDER BY id LIMIT 1")?;
    let (mut low, mut high) = (1, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: i64 = moment.query_row([middle], |row| row.get(0))?;
        if found < at.micros() {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Runs whose totals are remembered; beyond it all are read anew.
const TOTALS_MAX: usize = 10_000;
