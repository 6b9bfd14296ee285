//! Rows of `attempts`: held, settled, resolved, and found again.

use rusqlite::{OptionalExtension, params};
use tollgate_shared::budget::{Account, OpenHold, Unresolved};
use tollgate_shared::id::{AgentName, AttemptId, RequestId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;

use crate::store::{Store, StoreError, column, not_text, receipt_of};

/// An attempt that was held and not settled when the process ended.
#[derive(Debug)]
pub struct Orphan {
    /// The receipt it gets now.
    pub receipt: Receipt,
    /// What was held.
    pub hold: OpenHold,
}

/// An attempt whose bill is not known, with its receipt.
#[derive(Debug)]
pub struct Lost {
    /// Its receipt.
    pub receipt: Receipt,
    /// What is held, and since when.
    pub unresolved: Unresolved,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    /// Its number.
    pub attempt: u32,
    /// `pending`, `posted`, `voided` or `unknown`.
    pub state: String,
    /// Fingerprint of the request's body.
    pub body_hash: String,
    /// What the run was charged.
    pub charged: Usd,
}

/// A new row of `attempts`.
#[derive(Debug)]
pub struct NewAttempt<'a> {
    /// The receipt it would get if nothing more were heard of it.
    pub draft: &'a Receipt,
    /// Fingerprint of the request's body.
    pub body_hash: &'a str,
    /// The most it can cost above what is held.
    pub exposed: Usd,
    /// When it was held.
    pub at: Timestamp,
}

impl Store {
    /// Attempts that were held and not settled.
    pub fn orphans(&self) -> Result<Vec<Orphan>, StoreError> {
        self.orphans_before(Timestamp::from_micros(i64::MAX))
    }

    /// Those of them that were held before a moment.
    pub fn orphans_before(&self, at: Timestamp) -> Result<Vec<Orphan>, StoreError> {
        let sql = "SELECT draft, held, exposed FROM attempts WHERE state = 'pending' \
                   AND created_us < ? ORDER BY attempt_id";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([at.micros()])?;
        let mut orphans = Vec::new();
        while let Some(row) = rows.next()? {
            let receipt = receipt_of(row.get_ref(0)?.as_str().map_err(not_text)?)?;
            let hold = hold_of(row, &receipt)?;
            orphans.push(Orphan { receipt, hold });
        }
        Ok(orphans)
    }

    /// An attempt whose bill is not known; `None` where it is known or there is no such attempt.
    pub fn lost(&self, attempt_id: &AttemptId) -> Result<Option<Lost>, StoreError> {
        let sql = "SELECT line, held, exposed, settled_us FROM attempts JOIN receipts \
                   USING (run_id, seq) WHERE state = 'unknown' AND attempt_id = ?";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([attempt_id.as_str()])?;
        rows.next()?.map(lost_of).transpose()
    }

    /// The receipt of an attempt that has ended.
    pub fn receipt_of(&self, draft: &Receipt) -> Result<Option<Receipt>, StoreError> {
        let sql = "SELECT line FROM attempts JOIN receipts USING (run_id, seq) \
                   WHERE run_id = ? AND request_id = ? AND attempt = ?";
        let mut statement = self.db.prepare_cached(sql)?;
        let key = params![draft.run_id.as_str(), draft.request_id.as_str(), draft.attempt];
        let mut rows = statement.query(key)?;
        let Some(row) = rows.next()? else { return Ok(None) };
        receipt_of(row.get_ref(0)?.as_str().map_err(not_text)?).map(Some)
    }

    /// Attempts whose bill has not been known since before a moment, oldest first. Ids sort by the
    /// time of the hold, so that the first which is not due ends the look: one that was lost sooner
    /// than an older one has its turn later, and is charged at its hold all the while.
    pub fn lost_before(&self, at: Timestamp, most: u32) -> Result<Vec<Lost>, StoreError> {
        let sql = "SELECT line, held, exposed, settled_us FROM attempts JOIN receipts \
                   USING (run_id, seq) WHERE state = 'unknown' ORDER BY attempt_id LIMIT ?";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([most])?;
        let mut lost = Vec::new();
        while let Some(row) = rows.next()? {
            let one = lost_of(row)?;
            if one.unresolved.at >= at {
                break;
            }
            lost.push(one);
        }
        Ok(lost)
    }

    /// What attempts of some runs were charged since a moment, of one agent or of all.
    pub fn charged_since(
        &self,
        runs: &[RunId],
        agent: Option<&AgentName>,
        since: Timestamp,
    ) -> Result<Account, StoreError> {
        let sql = "SELECT state, held, charged, uncertain, exposed FROM attempts WHERE run_id = ? \
                   AND settled_us >= ? AND (?3 IS NULL OR agent = ?3)";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut account = Account::default();
        for run_id in runs {
            let agent = agent.map(AgentName::as_str);
            let mut rows = statement.query(params![run_id.as_str(), since.micros(), agent])?;
            while let Some(row) = rows.next()? {
                let amount = |index: usize| row.get(index).map(Usd::from_column);
                if row.get_ref(0)?.as_str().is_ok_and(|state| state == "unknown") {
                    account.unknown += amount(1)?;
                    account.exposed += amount(4)?;
                } else {
                    account.posted += amount(2)?;
                    account.uncertain += amount(3)?;
                }
            }
        }
        Ok(account)
    }

    /// What became of a request: its most binding attempt, for an answer or an unknown outcome is
    /// not undone by a later attempt that came to nothing. The number is that of the last one.
    pub fn last_attempt(
        &self,
        run_id: &RunId,
        request_id: &RequestId,
    ) -> Result<Option<LastAttempt>, StoreError> {
        let sql = "SELECT max(attempt) OVER (), state, body_hash, charged FROM attempts \
                   WHERE run_id = ? AND request_id = ? ORDER BY CASE state WHEN 'posted' THEN 0 \
                   WHEN 'unknown' THEN 1 WHEN 'pending' THEN 2 ELSE 3 END, attempt DESC LIMIT 1";
        let mut statement = self.db.prepare_cached(sql)?;
        let row = statement
            .query_row(params![run_id.as_str(), request_id.as_str()], |row| {
                Ok(LastAttempt {
                    attempt: row.get(0)?,
                    state: row.get(1)?,
                    body_hash: row.get(2)?,
                    charged: Usd::from_column(row.get(3)?),
                })
            })
            .optional()?;
        Ok(row)
    }

    /// Writes a new attempt, pending.
    pub fn insert_attempt(&self, new: &NewAttempt<'_>) -> Result<(), StoreError> {
        let draft = new.draft;
        let text = serde_json::to_string(draft)
            .map_err(|error| StoreError::Corrupt(format!("draft of an attempt: {error}")))?;
        let sql = "INSERT INTO attempts (run_id, request_id, attempt, attempt_id, body_hash, state, \
                   held, charged, draft, created_us, agent, exposed, seal) \
                   VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, 0, ?7, ?8, ?9, ?10, \
                   seal_of(?1, ?2, ?3, ?4, ?5, 'pending', ?6, 0, ?7, ?8, NULL, ?9, ?10, 0, NULL))";
        self.db.prepare_cached(sql)?.execute(params![
            draft.run_id.as_str(),
            draft.request_id.as_str(),
            draft.attempt,
            draft.attempt_id.as_str(),
            new.body_hash,
            column(draft.held_usd)?,
            text,
            new.at.micros(),
            draft.agent.as_str(),
            column(new.exposed)?,
        ])?;
        Ok(())
    }

    /// Writes how an attempt ended; its receipt is sealed.
    pub fn settle_attempt(
        &self,
        receipt: &Receipt,
        state: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE attempts SET state = ?1, charged = ?2, uncertain = ?3, seq = ?4, draft = NULL, \
                   settled_us = ?5, seal = seal_of(run_id, request_id, attempt, attempt_id, \
                   body_hash, ?1, held, ?2, NULL, created_us, ?5, agent, exposed, ?3, ?4) \
                   WHERE run_id = ?6 AND request_id = ?7 AND attempt = ?8 \
                   AND state = 'pending'";
        let changed = self.db.prepare_cached(sql)?.execute(params![
            state,
            column(receipt.cost_usd)?,
            column(receipt.uncertain_usd)?,
            receipt.seq,
            at.micros(),
            receipt.run_id.as_str(),
            receipt.request_id.as_str(),
            receipt.attempt,
        ])?;
        one_row(changed, receipt, "pending")
    }

    /// Writes what became of an unknown attempt. When it was lost stays as it is: that decides
    /// which days it counts for.
    pub fn resolve_attempt(
        &self,
        receipt: &Receipt,
        state: &str,
        cost: Usd,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE attempts SET state = ?1, charged = ?2, seal = seal_of(run_id, request_id, \
                   attempt, attempt_id, body_hash, ?1, held, ?2, draft, created_us, settled_us, \
                   agent, exposed, uncertain, seq) \
                   WHERE run_id = ?3 AND request_id = ?4 AND attempt = ?5 AND state = 'unknown'";
        let changed = self.db.prepare_cached(sql)?.execute(params![
            state,
            column(cost)?,
            receipt.run_id.as_str(),
            receipt.request_id.as_str(),
            receipt.attempt,
        ])?;
        one_row(changed, receipt, "unknown")
    }

    /// Forgets an attempt that never left: it has no receipt and gives its number to the next.
    pub fn delete_attempt(&self, receipt: &Receipt) -> Result<(), StoreError> {
        let sql = "DELETE FROM attempts WHERE run_id = ? AND request_id = ? AND attempt = ? \
                   AND state = 'pending'";
        let key = params![receipt.run_id.as_str(), receipt.request_id.as_str(), receipt.attempt];
        one_row(self.db.prepare_cached(sql)?.execute(key)?, receipt, "pending")
    }
}

/// An attempt has one row, in the state that it must be in.
fn one_row(changed: usize, receipt: &Receipt, state: &str) -> Result<(), StoreError> {
    match changed {
        1 => Ok(()),
        _ => Err(StoreError::Corrupt(format!("attempt {} is not {state}", receipt.attempt_id))),
    }
}

/// What was held, from the receipt that it got or would get and its columns `held` and `exposed`.
fn hold_of(row: &rusqlite::Row<'_>, receipt: &Receipt) -> Result<OpenHold, StoreError> {
    Ok(OpenHold {
        run_id: receipt.run_id.clone(),
        agent: receipt.agent.clone(),
        amount: Usd::from_column(row.get("held")?),
        exposed: Usd::from_column(row.get("exposed")?),
    })
}

fn lost_of(row: &rusqlite::Row<'_>) -> Result<Lost, StoreError> {
    let receipt = receipt_of(row.get_ref(0)?.as_str().map_err(not_text)?)?;
    let hold = hold_of(row, &receipt)?;
    let at = Timestamp::from_micros(row.get(3)?);
    Ok(Lost { receipt, unresolved: Unresolved { hold, at } })
}
