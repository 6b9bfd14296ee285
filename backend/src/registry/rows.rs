//! Registrations as rows of `providers.db`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};
use tollgate_shared::id::ProviderName;
use tollgate_shared::provider::{ProviderStatus, Registration};
use tollgate_shared::time::Timestamp;

use crate::registry::{Entry, RegistryError};

/// Opens or creates the database.
pub(super) fn open(path: &Path) -> Result<Connection, RegistryError> {
    let db = Connection::open(path)?;
    db.busy_timeout(std::time::Duration::from_secs(2))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(include_str!("../store/schema/providers_001.sql"))?;
    Ok(db)
}

pub(super) fn load(db: &Connection) -> Result<BTreeMap<ProviderName, Arc<Entry>>, RegistryError> {
    let sql = "SELECT registration, active, version, registered_us, updated_us FROM providers";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, bool>(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
        ))
    })?;
    rows.map(|row| {
        let (text, active, version, registered, updated) = row?;
        let registration: Registration = serde_json::from_str(&text)
            .map_err(|error| RegistryError::Corrupt(format!("a registration: {error}")))?;
        let entry = Entry {
            card: Arc::new((registration.card.id(), registration.card.clone())),
            status: if active { ProviderStatus::Active } else { ProviderStatus::Inactive },
            version,
            registered_at: Timestamp::from_micros(registered),
            updated_at: Timestamp::from_micros(updated),
            live: Arc::default(),
            registration,
        };
        Ok((entry.registration.name.clone(), Arc::new(entry)))
    })
    .collect()
}

pub(super) fn save(db: &Connection, entry: &Entry) -> Result<(), RegistryError> {
    let text = serde_json::to_string(&entry.registration)
        .map_err(|error| RegistryError::Corrupt(format!("a registration: {error}")))?;
    let sql = "INSERT OR REPLACE INTO providers \
               (name, registration, active, version, registered_us, updated_us) VALUES (?, ?, ?, ?, ?, ?)";
    db.execute(
        sql,
        params![
            entry.registration.name.as_str(),
            text,
            entry.status == ProviderStatus::Active,
            entry.version,
            entry.registered_at.micros(),
            entry.updated_at.micros(),
        ],
    )?;
    Ok(())
}
