//! Everything that the ledger knows of one request.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::value::RawValue;
use tollgate_shared::id::{AttemptId, RequestId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::price::PriceCard;
use tollgate_shared::time::Timestamp;

use crate::store::{Reader, StoreError, receipt_of, rows};

/// One attempt with its receipts and its prices.
#[derive(Debug)]
pub struct Explained {
    /// Which try, from 1.
    pub attempt: u32,
    /// The id that went upstream.
    pub attempt_id: AttemptId,
    /// `pending`, `posted`, `voided` or `unknown`.
    pub state: String,
    /// What was set aside.
    pub held: Usd,
    /// What the run is charged: the hold, where the bill is not known.
    pub charged: Usd,
    /// When it was held.
    pub held_at: Timestamp,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
    /// Its exact line.
    pub receipt: Option<Box<RawValue>>,
    /// The exact line of the correction that followed.
    pub correction: Option<Box<RawValue>>,
    /// The card it was held and priced with.
    pub price: Option<PriceCard>,
}

impl Reader {
    /// The attempts of a request, in order.
    pub fn explain(
        &self,
        run_id: &RunId,
        request_id: &RequestId,
    ) -> Result<Vec<Explained>, StoreError> {
        let found = self.with(|db| attempts_of(db, run_id, request_id))?;
        found.into_iter().map(|(attempt, seq)| self.complete(run_id, attempt, seq)).collect()
    }

    /// Runs that have a request of this name. Every run is asked by its key: a few microseconds
    /// each, and no index that every attempt would have to pay for.
    pub fn runs_of(&self, request_id: &RequestId, most: u32) -> Result<Vec<RunId>, StoreError> {
        let sql = "SELECT run_id FROM runs WHERE EXISTS (SELECT 1 FROM attempts \
                   WHERE attempts.run_id = runs.run_id AND request_id = ?) LIMIT ?";
        self.with(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let key = params![request_id.as_str(), most];
            statement.query_map(key, |row| rows::parsed(row, 0))?.collect()
        })
    }

    /// The exact line of the correction of an attempt. Looked for in every attempt: only those who
    /// ask twice for what was resolved need it.
    pub fn correction_of(&self, attempt_id: &AttemptId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT run_id, seq FROM attempts WHERE attempt_id = ? AND seq IS NOT NULL";
        self.with(|db| {
            let place = db.query_row(sql, [attempt_id.as_str()], |row| {
                Ok((rows::parsed(row, 0)?, row.get(1)?))
            });
            match place.optional()? {
                Some((run_id, seq)) => correction(db, &run_id, seq),
                None => Ok(None),
            }
        })
    }

    /// Adds what stands in other tables.
    fn complete(
        &self,
        run_id: &RunId,
        mut attempt: Explained,
        seq: Option<u64>,
    ) -> Result<Explained, StoreError> {
        let Some(text) = attempt.receipt.as_ref().map(|line| line.get()) else {
            return Ok(attempt);
        };
        let receipt = receipt_of(text)?;
        let is_lost = receipt.status == tollgate_shared::receipt::Status::Unknown;
        if let Some(seq) = seq.filter(|_| is_lost && attempt.state != "unknown") {
            attempt.correction =
                self.with(|db| correction(db, run_id, seq))?.map(raw).transpose()?;
        }
        let card = self.with(|db| {
            let sql = "SELECT card FROM price_cards WHERE price_id = ?";
            let mut statement = db.prepare_cached(sql)?;
            statement.query_row([receipt.price_id.as_str()], |row| row.get(0)).optional()
        })?;
        let card: Option<String> = card;
        attempt.price = card.and_then(|text| serde_json::from_str(&text).ok());
        Ok(attempt)
    }
}

fn attempts_of(
    db: &Connection,
    run_id: &RunId,
    request_id: &RequestId,
) -> rusqlite::Result<Vec<(Explained, Option<u64>)>> {
    let sql = "SELECT attempt, attempt_id, state, held, charged, created_us, settled_us, seq, line \
               FROM attempts LEFT JOIN receipts USING (run_id, seq) \
               WHERE run_id = ? AND request_id = ? ORDER BY attempt";
    let mut statement = db.prepare_cached(sql)?;
    statement.query_map([run_id.as_str(), request_id.as_str()], explained)?.collect()
}

fn explained(row: &Row<'_>) -> rusqlite::Result<(Explained, Option<u64>)> {
    let line: Option<String> = row.get(8)?;
    let attempt = Explained {
        attempt: row.get(0)?,
        attempt_id: rows::parsed(row, 1)?,
        state: row.get(2)?,
        held: Usd::from_column(row.get(3)?),
        charged: Usd::from_column(row.get(4)?),
        held_at: Timestamp::from_micros(row.get(5)?),
        settled_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_micros),
        receipt: line.and_then(|line| RawValue::from_string(line).ok()),
        correction: None,
        price: None,
    };
    Ok((attempt, row.get(7)?))
}

/// The correction of a line: it stands behind it, and names its place.
fn correction(db: &Connection, run_id: &RunId, seq: u64) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT line FROM receipts WHERE run_id = ? AND seq > ? AND instr(line, ?) > 0 \
               ORDER BY seq LIMIT 1";
    let mut statement = db.prepare_cached(sql)?;
    let names = format!("\"corrects\":{seq},");
    statement.query_row(params![run_id.as_str(), seq, names], |row| row.get(0)).optional()
}

fn raw(line: String) -> Result<Box<RawValue>, StoreError> {
    RawValue::from_string(line).map_err(|error| StoreError::Corrupt(format!("a line: {error}")))
}
