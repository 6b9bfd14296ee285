//! Registrations as rows of `providers.db`, and the circuits that a person keeps open.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};
use tollgate_shared::id::ProviderName;
use tollgate_shared::provider::{ProviderStatus, Registration};
use tollgate_shared::time::Timestamp;

use crate::registry::{Entry, Live, RegistryError};

/// Opens or creates the database.
pub(super) fn open(path: &Path) -> Result<Connection, RegistryError> {
    let db = Connection::open(path)?;
    db.busy_timeout(std::time::Duration::from_secs(2))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(include_str!("../store/schema/providers_001.sql"))?;
    db.execute_batch(include_str!("../store/schema/providers_002.sql"))?;
    Ok(db)
}

pub(super) fn load(db: &Connection) -> Result<BTreeMap<ProviderName, Arc<Entry>>, RegistryError> {
    let sql = "SELECT registration, active, version, registered_us, updated_us, reason, since_us \
               FROM providers LEFT JOIN held_open USING (name)";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, bool>(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            (row.get::<_, Option<String>>(5)?, row.get::<_, Option<i64>>(6)?),
        ))
    })?;
    rows.map(|row| {
        let (text, active, version, registered, updated, held) = row?;
        let registration: Registration = serde_json::from_str(&text)
            .map_err(|error| RegistryError::Corrupt(format!("a registration: {error}")))?;
        let live = Live::default();
        if let (Some(reason), Some(since)) = held {
            live.hold_open(&reason, Timestamp::from_micros(since));
        }
        let entry = Entry {
            card: Arc::new((registration.card.id(), registration.card.clone())),
            status: if active { ProviderStatus::Active } else { ProviderStatus::Inactive },
            version,
            registered_at: Timestamp::from_micros(registered),
            updated_at: Timestamp::from_micros(updated),
            live: Arc::new(live),
            registration,
        };
        Ok((entry.registration.name.clone(), Arc::new(entry)))
    })
    .collect()
}

/// Writes a registration, and with it whether its circuit is kept open: both or neither.
pub(super) fn save(db: &Connection, entry: &Entry) -> Result<(), RegistryError> {
    let text = serde_json::to_string(&entry.registration)
        .map_err(|error| RegistryError::Corrupt(format!("a registration: {error}")))?;
    let sql = "INSERT OR REPLACE INTO providers \
               (name, registration, active, version, registered_us, updated_us) VALUES (?, ?, ?, ?, ?, ?)";
    let change = db.unchecked_transaction()?;
    change.execute(
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
    let held = entry.live.held_open().filter(|_| entry.status == ProviderStatus::Active);
    let held = held.as_ref().map(|(reason, since)| (reason.as_str(), *since));
    save_held(&change, &entry.registration.name, held)?;
    Ok(change.commit()?)
}

/// Writes why and since when a circuit is open until a person closes it; `None` where it is not.
pub(super) fn save_held(
    db: &Connection,
    name: &ProviderName,
    held: Option<(&str, Timestamp)>,
) -> Result<(), RegistryError> {
    let (insert, delete) = (
        "INSERT OR REPLACE INTO held_open (name, reason, since_us) VALUES (?, ?, ?)",
        "DELETE FROM held_open WHERE name = ?",
    );
    match held {
        Some((reason, since)) => db.execute(insert, params![name.as_str(), reason, since.micros()]),
        None => db.execute(delete, [name.as_str()]),
    }?;
    Ok(())
}
