//! Rows read back as the things they are; a value that cannot be is an error, never a default.

use rusqlite::Row;
use rusqlite::types::Type;
use tollgate_shared::budget::{Account, Level, Mode, Owner, Period, Purse, Run, RunState};
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

/// The account in a row of `runs` or `accounts`.
fn account_of(row: &Row<'_>) -> rusqlite::Result<Account> {
    let amount = |name: &str| row.get(name).map(Usd::from_column);
    Ok(Account {
        limit: row.get::<_, Option<i64>>("limit_picos")?.map(Usd::from_column),
        posted: amount("posted")?,
        pending: amount("pending")?,
        unknown: amount("unknown")?,
        uncertain: amount("uncertain")?,
        exposed: amount("exposed")?,
    })
}

/// A row of `accounts`.
pub(super) fn purse_of(row: &Row<'_>) -> rusqlite::Result<(Owner, Purse)> {
    let run_id: String = row.get("run_id")?;
    let owner = match run_id.is_empty() {
        true => Owner::Fleet,
        false => Owner::Agent(parsed(row, "run_id")?, parsed(row, "agent")?),
    };
    let purse = Purse {
        account: account_of(row)?,
        period: enumerated::<Period>(row, "period")?,
        since: Timestamp::from_micros(row.get("period_us")?),
        version: row.get("version")?,
        level: Level::Ok,
    };
    Ok((owner, purse))
}

/// A row of `runs`.
pub(super) fn run_of(row: &Row<'_>) -> rusqlite::Result<Run> {
    let smallest = Usd::from_column(row.get("smallest")?);
    let parent: Option<String> = row.get("parent")?;
    Ok(Run {
        id: parsed(row, "run_id")?,
        parent: parent.is_some().then(|| parsed(row, "parent")).transpose()?,
        account: account_of(row)?,
        period: enumerated::<Period>(row, "period")?,
        since: Timestamp::from_micros(row.get("period_us")?),
        mode: enumerated::<Mode>(row, "mode")?,
        state: enumerated::<RunState>(row, "state")?,
        version: row.get("version")?,
        seq: row.get("seq")?,
        head: row.get("head")?,
        requests: row.get("requests")?,
        smallest,
        level: Level::Ok,
        agents: 0,
        name: None,
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
