//! Rows read back as the things they are; a value that cannot be is an error, never a default.

use rusqlite::Row;
use rusqlite::types::Type;
use tollgate_shared::budget::{Account, Level, Mode, Run, RunState};
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

/// A row of `runs`.
pub(super) fn run_of(row: &Row<'_>) -> rusqlite::Result<Run> {
    let amount = |name: &str| row.get(name).map(Usd::from_column);
    let account = Account {
        limit: row.get::<_, Option<i64>>("limit_picos")?.map(Usd::from_column),
        posted: amount("posted")?,
        pending: amount("pending")?,
        unknown: amount("unknown")?,
        uncertain: amount("uncertain")?,
    };
    let smallest = amount("smallest")?;
    Ok(Run {
        id: parsed(row, "run_id")?,
        account,
        mode: enumerated::<Mode>(row, "mode")?,
        state: enumerated::<RunState>(row, "state")?,
        version: row.get("version")?,
        seq: row.get("seq")?,
        head: row.get("head")?,
        requests: row.get("requests")?,
        smallest,
        level: if account.limit.is_some() { account.level(smallest) } else { Level::Ok },
        agents: 0,
        created_at: Timestamp::from_micros(row.get("created_us")?),
        last_at: Timestamp::from_micros(row.get("last_us")?),
    })
}

/// A column's text as the name it is.
pub(super) fn parsed<T>(row: &Row<'_>, index: impl rusqlite::RowIndex) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(index)?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::<T::Err>::new(error))
    })
}

fn enumerated<T: serde::de::DeserializeOwned>(row: &Row<'_>, index: &str) -> rusqlite::Result<T> {
    let text: String = row.get(index)?;
    serde_json::from_value(serde_json::Value::String(text))
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}
