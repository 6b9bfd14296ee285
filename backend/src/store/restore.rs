//! A ledger written anew from what is known of an old one: rows as they are, not as they happen.
//!
//! Only `rebuild` writes this way, into a file of its own that no backend has open. Receipts are
//! gathered first and numbered at the end, because their ids follow time over all runs.

use rusqlite::params;

use crate::store::{AttemptRow, PurseRow, ReceiptRow, RunRow, Store, StoreError, column, seal};

impl Store {
    /// Begins; nothing lasts before [`Self::end_restore`].
    pub fn begin_restore(&self) -> Result<(), StoreError> {
        self.begin()?;
        self.db.execute_batch(
            "CREATE TEMP TABLE gathered (run_id TEXT, seq INTEGER, at_us INTEGER, cost INTEGER, \
             line TEXT)",
        )?;
        Ok(())
    }

    /// Takes a receipt.
    pub fn restore_receipt(&self, run_id: &str, row: &ReceiptRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO gathered VALUES (?, ?, ?, ?, ?)";
        let cost = column(row.cost)?;
        self.db
            .prepare_cached(sql)?
            .execute(params![run_id, row.seq, row.at_us, cost, row.line])?;
        Ok(())
    }

    /// Takes an attempt.
    pub fn restore_attempt(&self, row: &AttemptRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO attempts (run_id, request_id, attempt, attempt_id, body_hash, state, \
                   held, charged, draft, created_us, settled_us, agent, seq, uncertain) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.db.prepare_cached(sql)?.execute(params![
            row.run_id,
            row.request_id,
            row.attempt,
            row.attempt_id,
            row.body_hash,
            row.state,
            column(row.held)?,
            column(row.charged)?,
            row.draft,
            row.created_us,
            row.settled_us,
            row.agent,
            row.seq,
            column(row.uncertain)?,
        ])?;
        let agent = "INSERT OR IGNORE INTO agents (run_id, agent) VALUES (?, ?)";
        self.db.prepare_cached(agent)?.execute(params![row.run_id, row.agent])?;
        Ok(())
    }

    /// Takes a run with so many requests.
    pub fn restore_run(&self, run: &RunRow, requests: u64) -> Result<(), StoreError> {
        let sql = "INSERT INTO runs (run_id, state, mode, version, limit_picos, posted, pending, \
                   unknown, uncertain, smallest, requests, seq, head, created_us, last_us, parent, \
                   period, period_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.db.prepare_cached(sql)?.execute(params![
            run.run_id,
            run.state,
            run.mode,
            run.version,
            run.limit.map(column).transpose()?,
            column(run.sums.posted)?,
            column(run.sums.pending)?,
            column(run.sums.unknown)?,
            column(run.sums.uncertain)?,
            requests,
            run.seq,
            run.head,
            run.created_us,
            run.last_us,
            run.parent,
            run.period,
            run.period_us,
        ])?;
        Ok(())
    }

    /// Takes an account beside the runs.
    pub fn restore_purse(&self, purse: &PurseRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO accounts (run_id, agent, limit_picos, posted, pending, unknown, \
                   uncertain, exposed, period, period_us, version) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)";
        self.db.prepare_cached(sql)?.execute(params![
            purse.run_id,
            purse.agent,
            purse.limit.map(column).transpose()?,
            column(purse.sums.posted)?,
            column(purse.sums.pending)?,
            column(purse.sums.unknown)?,
            column(purse.sums.uncertain)?,
            purse.period,
            purse.period_us,
            purse.version,
        ])?;
        Ok(())
    }

    /// Everything is taken: it lasts when this has returned, in one file without a log.
    pub fn end_restore(self, commits: u64) -> Result<(), StoreError> {
        self.db.execute_batch(
            "INSERT INTO receipts (run_id, seq, at_us, cost, line) \
             SELECT run_id, seq, at_us, cost, line FROM gathered ORDER BY at_us, run_id, seq; \
             DROP TABLE gathered",
        )?;
        self.count_commit(commits)?;
        // Rows were taken as they are, from where there may be no seals.
        seal::all(&self.db)?;
        self.commit()?;
        self.empty_log().map(drop)
    }

    /// Moves the whole log into the database and syncs it, so that nothing rests on a page whose
    /// sync may once have failed. Answers whether nobody was in the way.
    pub fn empty_log(&self) -> Result<bool, StoreError> {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy: i64 = self.db.query_row(sql, [], |row| row.get(0))?;
        Ok(busy == 0)
    }
}
