//! Why rows could not be read or written, and which of it passes.

use tollgate_shared::money::Usd;

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
