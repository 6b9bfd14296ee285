//! What people said: changes and why, names of runs, words about alerts, keys of requests.
//!
//! Beside the money and in the same transactions. The one idea: a change, its row in the audit and
//! its idempotency key are on disk together or not at all.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, params};
use tollgate_shared::alert::{Alert, AlertState, RESOLVED_MAX};
use tollgate_shared::api::AuditEntry;
use tollgate_shared::id::RunId;
use tollgate_shared::time::Timestamp;

use crate::store::{Reader, Store, StoreError};

/// A change by an operator, for `audit`.
#[derive(Debug)]
pub struct AuditRow<'a> {
    /// When.
    pub at: Timestamp,
    /// Whose hand it was.
    pub who: &'a str,
    /// Which verb.
    pub action: &'a str,
    /// Of what.
    pub subject: &'a str,
    /// What it was: an object of texts; a plain text in ledgers before version 3.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
    /// Why, in the operator's words.
    pub note: Option<&'a str>,
}

/// What changed, by name, in words.
pub type Facts = BTreeMap<String, String>;

/// The name of a request that is done once however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The caller's name for it.
    pub name: String,
    /// Fingerprint of everything that it asks for.
    pub fingerprint: String,
}

/// What a key was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Fingerprint of what was asked.
    pub fingerprint: String,
    /// Status and body of the answer; missing where the process ended before it left.
    pub answer: Option<(u16, String)>,
}

impl Store {
    /// Writes who changed what. Answers its place in the list.
    pub fn insert_audit(&self, row: &AuditRow<'_>) -> Result<u64, StoreError> {
        let sql = "INSERT INTO audit (at_us, action, subject, before, after, note, who, seal) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, seal_of(?1, ?2, ?3, ?4, ?5, ?6, ?7))";
        self.db.prepare_cached(sql)?.execute(params![
            row.at.micros(),
            row.action,
            row.subject,
            row.before,
            row.after,
            row.note,
            row.who,
        ])?;
        Ok(self.db.last_insert_rowid().unsigned_abs())
    }

    /// Writes what people call a run; nothing for an empty name.
    pub fn save_name(&self, run_id: &RunId, name: Option<&str>) -> Result<(), StoreError> {
        let run_id = run_id.as_str();
        match name {
            Some(name) => {
                let sql = "INSERT OR REPLACE INTO names (run_id, name, seal) \
                           VALUES (?1, ?2, seal_of(?1, ?2))";
                self.db.prepare_cached(sql)?.execute([run_id, name])?;
            }
            None => {
                self.db.prepare_cached("DELETE FROM names WHERE run_id = ?")?.execute([run_id])?;
            }
        }
        Ok(())
    }

    /// What people call runs.
    pub fn names(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut statement = self.db.prepare("SELECT run_id, name FROM names")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes an alert as it is now; of those that are resolved, the latest stay.
    pub fn save_alert(&self, alert: &Alert) -> Result<(), StoreError> {
        let text = serde_json::to_string(alert)
            .map_err(|error| StoreError::Corrupt(format!("alert: {error}")))?;
        if alert.state != AlertState::Resolved {
            let sql = "INSERT INTO alerts (id, holds, alert) VALUES (?, 1, ?) \
                       ON CONFLICT (id) WHERE holds = 1 DO UPDATE SET alert = excluded.alert";
            self.db.prepare_cached(sql)?.execute([&alert.id, &text])?;
            return Ok(());
        }
        let sql = "DELETE FROM alerts WHERE id = ? AND holds = 1";
        self.db.prepare_cached(sql)?.execute([&alert.id])?;
        let sql = "INSERT INTO alerts (id, holds, alert) VALUES (?, 0, ?)";
        self.db.prepare_cached(sql)?.execute([&alert.id, &text])?;
        let sql = "DELETE FROM alerts WHERE holds = 0 AND serial <= (SELECT serial FROM alerts \
                   WHERE holds = 0 ORDER BY serial DESC LIMIT 1 OFFSET ?)";
        self.db.prepare_cached(sql)?.execute([RESOLVED_MAX])?;
        Ok(())
    }

    /// Notes that a key was used, and forgets those that are a day old.
    pub fn use_key(&self, key: &Key, at: Timestamp) -> Result<(), StoreError> {
        let old = at.plus_millis(-KEY_LIFE_MS).micros();
        self.db.prepare_cached("DELETE FROM answers WHERE at_us < ?")?.execute([old])?;
        let sql = "INSERT INTO answers (key, fingerprint, at_us) VALUES (?, ?, ?) \
                   ON CONFLICT (key) DO NOTHING";
        self.db.prepare_cached(sql)?.execute(params![key.name, key.fingerprint, at.micros()])?;
        Ok(())
    }

    /// Keeps the answer that a key got.
    pub fn save_answer(&self, key: &str, status: u16, body: &str) -> Result<(), StoreError> {
        let sql = "UPDATE answers SET status = ?, body = ? WHERE key = ?";
        self.db.prepare_cached(sql)?.execute(params![status, body, key])?;
        Ok(())
    }
}

impl Reader {
    /// The latest changes before a place, newest first.
    pub fn audit(&self, before: u64, limit: u64) -> Result<Vec<AuditEntry>, StoreError> {
        let sql = "SELECT id, at_us, who, action, subject, before, after, note FROM audit \
                   WHERE id < ? ORDER BY id DESC LIMIT ?";
        self.with(|db| {
            let mut statement = db.prepare_cached(sql)?;
            statement.query_map([before, limit], entry_of)?.collect()
        })
    }

    /// What a key was used for within a day.
    pub fn used(&self, key: &str, now: Timestamp) -> Result<Option<Used>, StoreError> {
        let sql = "SELECT fingerprint, status, body FROM answers WHERE key = ? AND at_us >= ?";
        let old = now.plus_millis(-KEY_LIFE_MS).micros();
        self.with(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let used = statement.query_row(params![key, old], |row| {
                let (status, body): (Option<u16>, Option<String>) = (row.get(1)?, row.get(2)?);
                Ok(Used { fingerprint: row.get(0)?, answer: status.zip(body) })
            });
            used.optional()
        })
    }

    /// Every alert that is remembered, in the order in which they were written.
    pub fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        let texts: Vec<String> = self.with(|db| {
            let mut statement = db.prepare("SELECT alert FROM alerts ORDER BY serial")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })?;
        let read = |text: String| {
            serde_json::from_str(&text)
                .map_err(|error| StoreError::Corrupt(format!("an alert: {error}")))
        };
        texts.into_iter().map(read).collect()
    }
}

/// Facts as they lie in a column; nothing where there are none.
pub fn facts_text(facts: &Facts) -> Result<Option<String>, StoreError> {
    if facts.is_empty() {
        return Ok(None);
    }
    let text = serde_json::to_string(facts);
    text.map(Some).map_err(|error| StoreError::Corrupt(format!("facts of a change: {error}")))
}

fn entry_of(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let what: String = row.get(3)?;
    let facts = |index: usize| {
        let text: Option<String> = row.get(index)?;
        Ok::<_, rusqlite::Error>(text.map(|text| facts_of(&what, text)).unwrap_or_default())
    };
    Ok(AuditEntry {
        id: row.get(0)?,
        at: Timestamp::from_micros(row.get(1)?),
        who: row.get(2)?,
        before: facts(5)?,
        after: facts(6)?,
        subject: row.get(4)?,
        note: row.get(7)?,
        what,
    })
}

/// Before version 3 a change was about one thing, whose name goes without saying.
fn facts_of(what: &str, text: String) -> Facts {
    if let Ok(facts) = serde_json::from_str(&text) {
        return facts;
    }
    let name = match what {
        "budget" => "budget_usd",
        "pause" | "resume" | "close" => "state",
        "resolve" => "cost_usd",
        _ => "value",
    };
    Facts::from([(name.to_owned(), text)])
}

/// How long a key stands for its first answer, in milliseconds: a day, as callers expect.
pub const KEY_LIFE_MS: i64 = 86_400_000;
