//! What a pane lists, as a table for files: CSV, JSON, Markdown.
//!
//! Every row that the filter lets through, not only those on the screen, and every digit. A cell
//! that a spreadsheet would run as a formula is defused. Refuses to know screens and files.
//!
//! ```text
//! pane ─▶ Table {columns, rows} ─▶ csv · json · markdown
//! ```

use serde_json::{Map, Value};
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::money::Usd;

use crate::model::{Model, PaneId, RunEntry, reports, rows};

/// Rows under headings; a cell without a value is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Headings, as names of fields.
    pub columns: Vec<&'static str>,
    /// Cells, as many as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// The forms a table can be written in: key, ending, what it is.
pub const FORMATS: [(char, &str, &str); 3] =
    [('c', "csv", "CSV, for a spreadsheet"), ('j', "json", "JSON"), ('m', "md", "Markdown")];

/// What a pane lists.
pub fn table(model: &Model, pane: PaneId) -> Option<Table> {
    Some(match pane {
        PaneId::Budgets => budgets(model),
        PaneId::Providers => providers(model),
        PaneId::Receipts => receipts(model),
        PaneId::Alerts => alerts(model),
        PaneId::Who => who(model),
        PaneId::Days | PaneId::Invoice => days(model, pane)?,
        PaneId::Objectives | PaneId::Experiments | PaneId::Fallbacks => return None,
    })
}

impl Table {
    /// In one of the forms, by its ending.
    pub fn write(&self, ending: &str) -> String {
        match ending {
            "json" => self.json(),
            "md" => self.markdown(),
            _ => self.csv(),
        }
    }

    /// RFC 4180, with a line feed after each row.
    pub fn csv(&self) -> String {
        let head = self.columns.iter().map(|title| (*title).to_owned()).collect();
        let lines = std::iter::once(&head).chain(&self.rows);
        lines.fold(String::new(), |mut text, row: &Vec<String>| {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
            text.push_str(&cells.join(","));
            text.push('\n');
            text
        })
    }

    /// A list of objects. Cells stay text, so that no digit is lost on the way.
    pub fn json(&self) -> String {
        let objects = self.rows.iter().map(|row| {
            let fields = self.columns.iter().zip(row);
            let object: Map<String, Value> =
                fields.map(|(title, cell)| ((*title).into(), cell.clone().into())).collect();
            Value::Object(object)
        });
        let list = Value::Array(objects.collect());
        format!("{}\n", serde_json::to_string_pretty(&list).unwrap_or_default())
    }

    /// A table for a page.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.columns.iter().map(|title| (*title).to_owned()).collect());
        text.push_str(&line(vec!["---".into(); self.columns.len()]));
        for row in &self.rows {
            let safe = row.iter().map(|cell| {
                let plain: String = cell.chars().filter(|letter| !letter.is_control()).collect();
                escaped(&plain)
            });
            text.push_str(&line(safe.collect()));
        }
        text
    }
}

/// Text that stays text in Markdown: no link, no image, no tag.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, letter| {
        if letter.is_ascii_punctuation()
            && !matches!(letter, '-' | '.' | ',' | ':' | '_' | '/' | '$' | '%')
        {
            safe.push('\\');
        }
        safe.push(letter);
        safe
    })
}

/// One cell of CSV. A leading `=`, `+`, `-` or `@` would be a formula to a spreadsheet, unless it
/// is a plain number.
fn quoted(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r'])
        && cell.parse::<Usd>().is_err()
        && cell.parse::<i64>().is_err();
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains(['"', ',', '\n', '\r']) || is_formula {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

fn budgets(model: &Model) -> Table {
    let columns = vec![
        "run_id",
        "state",
        "mode",
        "budget_usd",
        "posted_usd",
        "unknown_usd",
        "held_usd",
        "uncertain_usd",
        "available_usd",
        "burn_usd_per_min",
        "runway_s",
        "level",
        "requests",
    ];
    let row = |(run, entry): (&tollgate_shared::id::RunId, &RunEntry)| {
        let budget = entry.budget.as_ref();
        let of = |read: &dyn Fn(&BudgetEvent) -> String| budget.map_or(String::new(), read);
        let some = |amount: Option<Usd>| amount.map_or(String::new(), |usd| usd.to_string());
        vec![
            run.to_string(),
            word(&entry.state()),
            of(&|budget| word(&budget.mode)),
            of(&|budget| some(budget.enforced.limit_usd)),
            of(&|budget| budget.enforced.posted_usd.to_string()),
            of(&|budget| budget.enforced.unknown_usd.to_string()),
            of(&|budget| budget.enforced.held_usd.to_string()),
            of(&|budget| budget.enforced.uncertain_usd.to_string()),
            of(&|budget| some(budget.enforced.available_usd)),
            of(&|budget| budget.burn_usd_per_min.to_string()),
            of(&|budget| budget.runway_s.map_or(String::new(), |s| s.to_string())),
            of(&|budget| word(&budget.level)),
            entry.view.as_ref().map_or(String::new(), |view| view.requests.to_string()),
        ]
    };
    let mut seen = std::collections::BTreeSet::new();
    let once = rows::budgets(model).into_iter().filter(|(run, _)| seen.insert((*run).clone()));
    Table { columns, rows: once.map(row).collect() }
}

fn providers(model: &Model) -> Table {
    let columns = vec![
        "name",
        "model",
        "endpoint",
        "context_window",
        "usd_per_input_token",
        "usd_per_output_token",
        "p50_ms",
        "p95_ms",
        "slo_p95_ms",
        "success_rate",
        "circuit",
        "reason",
        "version",
    ];
    let row = |view: &tollgate_shared::provider::ProviderView| {
        let slo = view.slo.as_ref().and_then(|slo| slo.latency_p95_ms);
        let some = |count: Option<u64>| count.map_or(String::new(), |count| count.to_string());
        vec![
            view.name.to_string(),
            view.model.to_string(),
            view.endpoint.as_str().to_owned(),
            view.context_window.to_string(),
            view.cost_per_input_token.usd().to_string(),
            view.cost_per_output_token.usd().to_string(),
            some(view.quality.p50_ms.map(u64::from)),
            some(view.quality.p95_ms.map(u64::from)),
            some(slo.map(u64::from)),
            view.quality.success_rate.map_or(String::new(), |share| share.to_string()),
            word(&view.circuit.state),
            view.circuit.reason.clone().unwrap_or_default(),
            view.version.to_string(),
        ]
    };
    Table { columns, rows: rows::providers(model).into_iter().map(row).collect() }
}

/// Refused requests are no receipts: they are in no export.
fn receipts(model: &Model) -> Table {
    let columns = vec![
        "timestamp",
        "run_id",
        "seq",
        "agent",
        "request_id",
        "attempt",
        "provider",
        "model",
        "fallback_from",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "held_usd",
        "uncertain_usd",
        "latency_ms",
        "status",
    ];
    let row = |row: &std::sync::Arc<crate::model::Row>| {
        let sent = row.sent()?;
        let from = sent.fallback_from.as_ref();
        Some(vec![
            row.at.to_string(),
            row.run.to_string(),
            sent.seq.to_string(),
            row.agent.to_string(),
            row.request.to_string(),
            sent.attempt.to_string(),
            sent.provider.to_string(),
            sent.model.to_string(),
            from.map_or(String::new(), ToString::to_string),
            sent.usage.input_tokens().to_string(),
            sent.usage.output_tokens().to_string(),
            sent.cost_usd.to_string(),
            sent.held_usd.to_string(),
            sent.uncertain_usd.to_string(),
            sent.latency_ms.to_string(),
            word(&sent.status),
        ])
    };
    Table { columns, rows: rows::receipts(model).filter_map(row).collect() }
}

fn alerts(model: &Model) -> Table {
    let columns = vec!["id", "severity", "subject", "since", "state", "acked_by", "what", "then"];
    let row = |alert: &tollgate_shared::alert::Alert| {
        vec![
            alert.id.clone(),
            word(&alert.severity),
            alert.subject.clone(),
            alert.since.to_string(),
            word(&alert.state),
            alert.acked_by.clone().unwrap_or_default(),
            alert.what.clone(),
            alert.then.clone(),
        ]
    };
    Table { columns, rows: rows::alerts(model.day()).into_iter().map(row).collect() }
}

/// Days in UTC, or what each provider was paid on the one at the cursor.
fn days(model: &Model, pane: PaneId) -> Option<Table> {
    let sums = |name: String, sums: &tollgate_shared::window::Sums| {
        vec![
            name,
            sums.cost_usd.to_string(),
            sums.requests.to_string(),
            sums.attempts.to_string(),
            sums.input_tokens.to_string(),
            sums.output_tokens.to_string(),
        ]
    };
    let mut columns =
        vec!["day", "cost_usd", "requests", "attempts", "input_tokens", "output_tokens"];
    if pane == PaneId::Days {
        let row =
            |day: &tollgate_shared::api::DayReport| sums(day.date.to_string(), &day.breakdown.sums);
        return Some(Table { columns, rows: reports::days(model).map(row).collect() });
    }
    if let Some(first) = columns.first_mut() {
        *first = "provider";
    }
    let (day, _) = reports::selected(model)?;
    let ranking = &day.breakdown.by_provider;
    let rows = ranking.top.iter().map(|row| sums(row.name.to_string(), &row.sums)).collect();
    Some(Table { columns, rows })
}

fn who(model: &Model) -> Table {
    let columns = vec!["name", "quarter_usd", "minute_usd"];
    let row = |line: rows::WhoLine| {
        vec![line.name.to_string(), line.quarter.to_string(), line.now.to_string()]
    };
    Table { columns, rows: rows::who(model).into_iter().map(row).collect() }
}

/// The word of a value, as the wire spells it.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn every_digit_and_every_row_of_the_tail_is_in_the_file() {
        let model = fixture::model((80, 24));
        let table = table(&model, PaneId::Receipts).unwrap();
        let cost = table.columns.iter().position(|title| *title == "cost_usd").unwrap();
        let sum: Usd = table.rows.iter().map(|row| row[cost].parse::<Usd>().unwrap()).sum();
        let told: Usd =
            rows::receipts(&model).filter_map(|row| row.sent()).map(|s| s.cost_usd).sum();
        assert_eq!(sum, told);
        assert!(sum > Usd::ZERO);
        assert_eq!(table.csv().lines().count(), table.rows.len() + 1);
    }

    #[test]
    fn cells_stay_within_their_cells() {
        let table = Table {
            columns: vec!["a", "b"],
            rows: vec![vec!["=1+1".into(), "x,\"y\"|z\n".into()], vec!["-0.5".into(), "@b".into()]],
        };
        assert_eq!(table.csv(), "a,b\n\"'=1+1\",\"x,\"\"y\"\"|z\n\"\n-0.5,\"'@b\"\n");
        assert!(table.markdown().contains("| \\=1\\+1 | x,\\\"y\\\"\\|z |\n"));
        assert!(table.json().contains("\"a\": \"=1+1\""));
    }
}
