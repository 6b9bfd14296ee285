//! Receipts read back, beside the writer and never in its way.

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
        Ok(Self { db: Mutex::new(read_only(path)?) })
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

    /// How many receipts a run has, and what they add up to: added here, never by SQL `SUM`.
    pub fn total(&self, run_id: &RunId) -> Result<(u64, Usd), StoreError> {
        self.with(|db| {
            let mut statement = db.prepare_cached("SELECT cost FROM receipts WHERE run_id = ?")?;
            let costs = statement.query_map([run_id.as_str()], |row| row.get(0))?;
            costs.into_iter().try_fold((0, Usd::ZERO), |(count, sum), cost| {
                Ok((count + 1, sum + Usd::from_column(cost?)))
            })
        })
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
