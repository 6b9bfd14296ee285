//! What a backend left behind: its rows, its answers, its files, read at one quiet moment.
//!
//! Refuses to judge. Rows are read through SQLite by this process, read-only, as any stranger could.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use rusqlite::{Connection, OpenFlags};
use tollgate_shared::api::{BudgetList, BudgetView, MetricsView, ReceiptList};
use tollgate_shared::money::Usd;

/// Everything that is judged.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Rows of `runs`, by run.
    pub runs: BTreeMap<String, RunRow>,
    /// What each run is part of, where it is part of one.
    pub parents: BTreeMap<String, String>,
    /// Rows of `attempts`.
    pub attempts: Vec<AttemptRow>,
    /// Lines of `receipts` in their order, by run.
    pub lines: BTreeMap<String, Vec<String>>,
    /// What `GET /receipts/{run}` answers, by run.
    pub told: BTreeMap<String, (Vec<String>, Usd)>,
    /// What `GET /budgets` answers, by run.
    pub budgets: BTreeMap<String, BudgetView>,
    /// The same as it came.
    pub budgets_text: String,
    /// What `GET /metrics?window=day` answers.
    pub metrics: Option<MetricsView>,
    /// Receipt files, by run.
    pub files: BTreeMap<String, String>,
}

/// A row of `runs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunRow {
    /// The limit.
    pub limit: Option<Usd>,
    /// What bills are known to be.
    pub posted: Usd,
    /// Held by attempts in flight.
    pub pending: Usd,
    /// Held by attempts whose bill is not known.
    pub unknown: Usd,
    /// What may still be billed for streams that were cut off.
    pub uncertain: Usd,
    /// Receipts so far.
    pub seq: u64,
}

/// A row of `attempts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// The run.
    pub run_id: String,
    /// The caller's name for the request.
    pub request_id: String,
    /// Its number within the request.
    pub attempt: u64,
    /// What was sent to the provider.
    pub attempt_id: String,
    /// `pending`, `posted`, `voided` or `unknown`.
    pub state: String,
    /// What was held.
    pub held: Usd,
    /// What is charged.
    pub charged: Usd,
}

impl Evidence {
    /// Reads everything once nothing is in flight and the projections have caught up; when that
    /// takes too long, what is there then, for the oracle to find fault with.
    pub async fn collect(
        data_dir: &Path,
        gateway: &str,
        client: &reqwest::Client,
    ) -> anyhow::Result<Self> {
        Self::look(data_dir, gateway, client, true).await
    }

    /// The same without the rolling figures: where the wall clock was moved, they rightly look back
    /// from another place than the receipts' own.
    pub async fn timeless(
        data_dir: &Path,
        gateway: &str,
        client: &reqwest::Client,
    ) -> anyhow::Result<Self> {
        Self::look(data_dir, gateway, client, false).await
    }

    async fn look(
        data_dir: &Path,
        gateway: &str,
        client: &reqwest::Client,
        with_figures: bool,
    ) -> anyhow::Result<Self> {
        let begun = Instant::now();
        loop {
            let mut evidence = Self::rows(data_dir)?;
            let late = begun.elapsed() > QUIET_MAX;
            if late || evidence.runs.values().all(|run| run.pending.is_zero()) {
                evidence.files(data_dir)?;
                evidence.answers(gateway, client).await?;
                evidence.metrics = evidence.metrics.filter(|_| with_figures);
                if late || evidence.is_settled() {
                    return Ok(evidence);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The rows alone, in one read transaction.
    pub fn rows(data_dir: &Path) -> anyhow::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(data_dir.join("gateway/ledger.db"), flags)
            .context("failed to open the ledger")?;
        db.busy_timeout(Duration::from_secs(5))?;
        let at_once = db.transaction()?;
        let amount = Usd::from_column;
        let mut evidence = Self::default();
        let sql = "SELECT run_id, limit_picos, posted, pending, unknown, uncertain, seq FROM runs";
        let mut statement = at_once.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let run = RunRow {
                limit: row.get::<_, Option<i64>>(1)?.map(amount),
                posted: row.get(2).map(amount)?,
                pending: row.get(3).map(amount)?,
                unknown: row.get(4).map(amount)?,
                uncertain: row.get(5).map(amount)?,
                seq: row.get(6)?,
            };
            Ok((row.get::<_, String>(0)?, run))
        })?;
        evidence.runs = rows.collect::<Result<_, _>>()?;
        evidence.parents = parents(&at_once)?;
        let sql = "SELECT run_id, request_id, attempt, attempt_id, state, held, charged \
                   FROM attempts";
        let mut statement = at_once.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(AttemptRow {
                run_id: row.get(0)?,
                request_id: row.get(1)?,
                attempt: row.get(2)?,
                attempt_id: row.get(3)?,
                state: row.get(4)?,
                held: row.get(5).map(amount)?,
                charged: row.get(6).map(amount)?,
            })
        })?;
        evidence.attempts = rows.collect::<Result<_, _>>()?;
        let mut statement = at_once.prepare("SELECT run_id, line FROM receipts ORDER BY id")?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        for row in rows {
            let (run_id, line) = row?;
            evidence.lines.entry(run_id).or_default().push(line);
        }
        Ok(evidence)
    }

    /// A run's lines as its file should hold them.
    pub fn wanted(&self, run_id: &str) -> String {
        let lines = self.lines.get(run_id).into_iter().flatten();
        lines.map(|line| format!("{line}\n")).collect()
    }

    fn files(&mut self, data_dir: &Path) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(data_dir.join("costs"))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(run_id) = name.strip_suffix(".jsonl") {
                let bytes = std::fs::read(&path)?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.files.insert(run_id.to_owned(), text);
            }
        }
        Ok(())
    }

    async fn answers(&mut self, gateway: &str, client: &reqwest::Client) -> anyhow::Result<()> {
        let get = async |path: &str| {
            let reply = client.get(format!("http://{gateway}{path}")).send().await?;
            Ok::<_, anyhow::Error>(reply.text().await?)
        };
        self.budgets_text = get("/budgets").await?;
        let list: BudgetList =
            serde_json::from_str(&self.budgets_text).context(self.budgets_text.clone())?;
        let by_run = list.budgets.into_iter().map(|view| (view.run_id.to_string(), view));
        self.budgets = by_run.collect();
        let text = get("/metrics?window=day").await?;
        self.metrics = Some(serde_json::from_str(&text).context(text.clone())?);
        for run_id in self.runs.keys() {
            let text = get(&format!("/receipts/{run_id}")).await?;
            let list: ReceiptList = serde_json::from_str(&text).context(text.clone())?;
            let lines = list.receipts.iter().map(|raw| raw.get().to_owned()).collect();
            self.told.insert(run_id.clone(), (lines, list.total_cost_usd));
        }
        Ok(())
    }

    /// Whether files and figures have caught up with the rows.
    fn is_settled(&self) -> bool {
        let is_sent = |line: &&String| !line.contains("\"status\":\"correction\"");
        let attempts = self.lines.values().flatten().filter(is_sent).count();
        let told = self.metrics.as_ref().map_or(u64::MAX, |metrics| metrics.total_attempts);
        let is_file = |run_id: &String| {
            self.files.get(run_id).map_or("", String::as_str) == self.wanted(run_id)
        };
        told >= attempts as u64 && self.runs.keys().all(is_file)
    }
}

/// The tree of runs; a ledger from before there were trees has none.
fn parents(db: &Connection) -> anyhow::Result<BTreeMap<String, String>> {
    let sql = "SELECT count(*) FROM pragma_table_info('runs') WHERE name = 'parent'";
    if db.query_row(sql, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(BTreeMap::new());
    }
    let mut statement = db.prepare("SELECT run_id, parent FROM runs WHERE parent IS NOT NULL")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How long flights and projections may take to come to rest.
const QUIET_MAX: Duration = Duration::from_secs(20);

/// How often they are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
