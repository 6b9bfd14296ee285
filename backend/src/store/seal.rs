//! A number beside every row that shows when the row is not what was written.
//!
//! SQLite knows a broken page by its structure alone: a bit that turned within a value is believed,
//! and a limit with another bit is another limit. So every row carries a hash of its other values,
//! made by the statement that writes it. The hash is no secret: who can write the file can seal it.
//! It refuses to know what a row means.
//!
//! ```text
//! | run_id | mode  | limit_picos   | … | seal                |
//! | R-7    | clamp | 5000000000000 | … | seal_of(R-7, clamp, 5000000000000, …) |
//! ```

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;

use crate::store::{StoreError, migrate};

/// Which rows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Every one.
    All,
    /// Those that say what may be spent, and those that hold money: few in any ledger.
    Open,
}

/// Teaches a connection `seal_of(value, …)`, without which it can write no row.
pub(super) fn teach(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    db.create_scalar_function("seal_of", -1, flags, |values| Ok(seal_of(values)))
}

/// Seals every row as it is now: for rows that older versions wrote, and for those of a rebuild.
pub(super) fn all(db: &Connection) -> Result<(), StoreError> {
    for (table, columns) in sealed(db)? {
        db.execute_batch(&format!("UPDATE \"{table}\" SET seal = seal_of({columns})"))?;
    }
    Ok(())
}

/// The first thing that is not as this program wrote it: a table's form, or a row.
pub(super) fn broken(db: &Connection, rows: Rows) -> Result<Option<String>, StoreError> {
    if form(db)? != form_of_ours()? {
        return Ok(Some("its tables are not those that this program makes".into()));
    }
    for (table, columns) in sealed(db)? {
        let clause = match (rows, table.as_str()) {
            (Rows::All, _) | (Rows::Open, "runs" | "accounts" | "meta") => "true",
            (Rows::Open, "attempts") => "state IN ('pending', 'unknown')",
            (Rows::Open, _) => continue,
        };
        let sql = format!(
            "SELECT count(*) FROM \"{table}\" WHERE {clause} AND seal IS NOT seal_of({columns})"
        );
        let count: u64 = db.query_row(&sql, [], |row| row.get(0))?;
        if count > 0 {
            return Ok(Some(format!("rows of `{table}` that are not what was written: {count}")));
        }
    }
    Ok(None)
}

/// Tables whose rows are sealed, and their other columns in order; but for an `id`, which SQLite
/// gives as it writes, and which nothing but an order rests on.
fn sealed(db: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT name, (SELECT group_concat(name, ', ') FROM pragma_table_info(tables.name) \
               WHERE name NOT IN ('seal', 'id')) FROM sqlite_schema AS tables WHERE type = 'table' AND EXISTS \
               (SELECT 1 FROM pragma_table_info(tables.name) WHERE name = 'seal') ORDER BY name";
    let mut statement = db.prepare(sql)?;
    let tables = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(tables.collect::<Result<_, _>>()?)
}

/// What every table and index is made of, as it is written in the database.
fn form(db: &Connection) -> Result<Vec<[Option<String>; 4]>, StoreError> {
    let sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema \
               WHERE tbl_name NOT LIKE 'sqlite_stat%' ORDER BY name";
    let mut statement = db.prepare(sql)?;
    let rows =
        statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What they would be in a ledger that is made now.
fn form_of_ours() -> Result<Vec<[Option<String>; 4]>, StoreError> {
    let db = Connection::open_in_memory()?;
    teach(&db)?;
    migrate::up(&db, 0)?;
    form(&db)
}

/// Every value with its kind and its length, so that no two rows run together.
fn seal_of(values: &Context<'_>) -> i64 {
    let mut hash = Fnv(FNV_START);
    for at in 0..values.len() {
        match values.get_raw(at) {
            ValueRef::Null => hash.take(b"n"),
            ValueRef::Integer(number) => {
                hash.take(b"i");
                hash.take(&number.to_le_bytes());
            }
            ValueRef::Real(number) => {
                hash.take(b"r");
                hash.take(&number.to_bits().to_le_bytes());
            }
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                hash.take(b"t");
                hash.take(&(bytes.len() as u64).to_le_bytes());
                hash.take(bytes);
            }
        }
    }
    hash.0.cast_signed()
}

/// FNV-1a of 64 bits: each step is undone by none but its own byte, so one byte that is another is
/// always seen. A stronger hash would see no more of what a disk does, and cost more at every hold.
struct Fnv(u64);

impl Fnv {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(FNV_STEP);
        }
    }
}

/// Where a hash begins, and what each step multiplies by: both are FNV's own.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_STEP: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        teach(&db).unwrap();
        migrate::up(&db, 0).unwrap();
        db
    }

    #[test]
    fn a_row_that_was_changed_without_its_seal_is_found() {
        let db = ledger();
        assert_eq!(broken(&db, Rows::All).unwrap(), None);
        db.execute_batch("UPDATE meta SET value = 4").unwrap();
        let found = broken(&db, Rows::Open).unwrap();
        assert!(found.unwrap().contains("`meta`"));
        all(&db).unwrap();
        assert_eq!(broken(&db, Rows::All).unwrap(), None);
        db.execute_batch("INSERT INTO agents (run_id, agent) VALUES ('r', 'a')").unwrap();
        assert_eq!(broken(&db, Rows::Open).unwrap(), None);
        assert!(broken(&db, Rows::All).unwrap().is_some());
    }

    #[test]
    fn a_table_of_another_form_is_found() {
        let db = ledger();
        db.execute_batch("CREATE INDEX more ON runs (mode)").unwrap();
        assert!(broken(&db, Rows::Open).unwrap().is_some());
    }

    #[test]
    fn values_do_not_run_together() {
        let db = ledger();
        let seal = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let all = [
            "seal_of('ab', 'c')",
            "seal_of('a', 'bc')",
            "seal_of('abc')",
            "seal_of(NULL)",
            "seal_of(0)",
            "seal_of('0')",
            "seal_of('')",
        ];
        let mut seals: Vec<i64> = all.iter().map(|one| seal(&format!("SELECT {one}"))).collect();
        seals.sort_unstable();
        seals.dedup();
        assert_eq!(seals.len(), all.len());
    }
}
