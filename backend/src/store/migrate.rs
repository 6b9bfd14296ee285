//! A ledger of an older version becomes one of this version, in one transaction.

use rusqlite::{Connection, params};
use tollgate_shared::money::Usd;

use crate::store::{SCHEMA_VERSION, StoreError, column, not_text, receipt_of};

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
        uncertain_amounts(db)?;
    }
    db.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(())
}

/// Writes beside each attempt what its receipt says may still be billed.
fn uncertain_amounts(db: &Connection) -> Result<(), StoreError> {
    let mut lines =
        db.prepare("SELECT line FROM receipts WHERE line LIKE '%\"uncertain_usd\"%'")?;
    let mut write = db.prepare(
        "UPDATE attempts SET uncertain = ? WHERE run_id = ? AND request_id = ? AND attempt = ?",
    )?;
    let mut rows = lines.query([])?;
    while let Some(row) = rows.next()? {
        let receipt = receipt_of(row.get_ref(0)?.as_str().map_err(not_text)?)?;
        let uncertain: Usd = receipt.uncertain_usd;
        write.execute(params![
            column(uncertain)?,
            receipt.run_id.as_str(),
            receipt.request_id.as_str(),
            receipt.attempt,
        ])?;
    }
    Ok(())
}
