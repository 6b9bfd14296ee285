//! A ledger of an older version becomes one of this version, in one transaction.

use rusqlite::{Connection, params};

use crate::store::{SCHEMA_VERSION, StoreError, column, not_text, receipt_of, seal};

/// Brings a ledger of version `found` up to date; 0 is an empty file.
pub(super) fn up(db: &Connection, found: i64) -> Result<(), StoreError> {
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    db.execute_batch("BEGIN IMMEDIATE")?;
    let done = steps(db, found);
    db.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    done
}

fn steps(db: &Connection, found: i64) -> Result<(), StoreError> {
    if found < 1 {
        db.execute_batch(include_str!("schema/ledger_001.sql"))?;
    }
    if found < 2 {
        db.execute_batch(include_str!("schema/ledger_002.sql"))?;
        what_receipts_say(db)?;
    }
    if found < 3 {
        db.execute_batch(include_str!("schema/ledger_003.sql"))?;
    }
    if found < 4 {
        db.execute_batch(include_str!("schema/ledger_004.sql"))?;
        seal::all(db)?;
    }
    db.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(())
}

/// Writes beside each attempt what its receipt says: one pass over the receipts, each attempt found
/// by its key.
fn what_receipts_say(db: &Connection) -> Result<(), StoreError> {
    let mut lines = db.prepare("SELECT line FROM receipts")?;
    let mut write = db.prepare(
        "UPDATE attempts SET seq = ?, agent = ?, uncertain = ? \
         WHERE run_id = ? AND request_id = ? AND attempt = ?",
    )?;
    let mut rows = lines.query([])?;
    while let Some(row) = rows.next()? {
        let receipt = receipt_of(row.get_ref(0)?.as_str().map_err(not_text)?)?;
        write.execute(params![
            receipt.seq,
            receipt.agent.as_str(),
            column(receipt.uncertain_usd)?,
            receipt.run_id.as_str(),
            receipt.request_id.as_str(),
            receipt.attempt,
        ])?;
    }
    Ok(())
}
