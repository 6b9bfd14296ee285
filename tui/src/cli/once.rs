//! `tollgate once`: one screen as a table, and an exit code that monitors understand.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | nothing is wrong |
//! | 1 | a caution or a warning holds |
//! | 2 | something critical holds |
//! | 3 | stale, or nobody answers |
//!
//! What holds counts, whether somebody knows of it or not. Refuses to know how it came about.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::value::RawValue;
use tollgate_shared::alert::{Alert, Severity};
use tollgate_shared::api::RunView;
use tollgate_shared::budget::Level;
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::money::Usd;
use tollgate_shared::provider::ProviderView;

use super::Failure;
use super::gather::gather;
use super::outcome::{Done, print};
use super::report::aligned;
use super::shot::screen;
use crate::console::ConsoleOptions;
use crate::export;
use crate::format;
use crate::model::{Model, PaneId, Screen};
use crate::picture;

/// What to print.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Exit codes: 0 ok, 1 caution or warning, 2 critical, 3 stale or unreachable."
)]
pub struct Args {
    /// The screen.
    #[arg(long, default_value = "dashboard", value_parser = screen)]
    screen: Screen,
    /// Everything as JSON, whatever the screen.
    #[arg(long)]
    json: bool,
    /// Seconds to wait for an answer.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// Everything, for scripts. Money is exact.
#[derive(Debug, serde::Serialize)]
struct Everything<'a> {
    state: &'static str,
    burn_usd_per_min: Usd,
    next_empty: Option<NextEmpty>,
    runs: Vec<&'a RunView>,
    budgets: Vec<&'a BudgetEvent>,
    providers: Vec<&'a ProviderView>,
    alerts: Vec<&'a Alert>,
    receipts_usd: Usd,
}

/// The run that will be empty first.
#[derive(Debug, serde::Serialize)]
struct NextEmpty {
    run_id: String,
    runway_s: u64,
}

/// Prints, and answers how things are.
pub async fn run(args: Args, options: &ConsoleOptions) -> Result<ExitCode, Failure> {
    let model = match gather(options, Duration::from_secs(args.timeout)).await {
        Ok(model) => model,
        Err(failure) => {
            failure.tell();
            return Ok(ExitCode::from(STALE));
        }
    };
    let printed = if args.json { json(&model) } else { show(&model, args.screen, options) };
    match printed {
        // A monitor that reads only the first line still wants the code.
        Ok(()) | Err(Failure::Gone) => Ok(ExitCode::from(code(&model))),
        Err(other) => Err(other),
    }
}

/// How bad it is, by what holds.
fn code(model: &Model) -> u8 {
    let day = model.day();
    let levels = day.runs.values().filter_map(|entry| entry.budget.as_ref());
    let levels = levels.map(|budget| match (budget.blocked, budget.level) {
        (true, _) | (_, Level::Critical) => 2,
        (_, Level::Warning | Level::Caution) => 1,
        (_, Level::Ok) => 0,
    });
    let alerts = day.alerts.values().map(|alert| match alert.severity {
        Severity::Critical => 2,
        Severity::Warning | Severity::Caution => 1,
    });
    if model.freshness().is_old() {
        return STALE;
    }
    levels.chain(alerts).max().unwrap_or(0)
}

/// A line that says it all, and the screen's tables.
fn show(model: &Model, screen: Screen, options: &ConsoleOptions) -> Done {
    let panes: &[PaneId] = match screen {
        Screen::Dashboard => &[PaneId::Alerts, PaneId::Budgets, PaneId::Providers],
        Screen::Runs => &[PaneId::Budgets],
        Screen::Providers => &[PaneId::Providers],
        Screen::Receipts => &[PaneId::Receipts],
        Screen::Alerts => &[PaneId::Alerts],
        // These are no lists; the picture of them is.
        Screen::Routing | Screen::Reports => return print(&picture_of(model, screen, options)),
    };
    let mut text = format!("{}\n", headline(model));
    for pane in panes {
        let Some(table) = export::table(model, *pane) else { continue };
        if table.rows.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{}\n", pane.title()));
        text.push_str(&aligned(&table).print());
    }
    print(&text)
}

/// State, burn, next empty, alerts: `WARNING $0.84/min, R-207 empty in 18m, 2 critical …`.
fn headline(model: &Model) -> String {
    let day = model.day();
    let burn = day.history.minute_sums().cost_usd.rounded(2);
    let next = day.next_empty().map_or(String::new(), |(run, seconds)| {
        format!(", {run} empty in {}", format::span(seconds))
    });
    let counts = [Severity::Critical, Severity::Warning, Severity::Caution]
        .map(|severity| (day.count(severity), severity));
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: String = counts
        .map(|(count, severity)| format!(", {count} {}", super::providers::word(&severity)))
        .collect();
    format!("{} ${burn}/min{next}{counts}", STATES[usize::from(code(model).min(STALE))])
}

/// The screen as it would be drawn.
fn picture_of(model: &Model, screen: Screen, options: &ConsoleOptions) -> String {
    let mut model = model.clone();
    model.show(screen);
    let area = ratatui::layout::Rect::new(0, 0, model.size.0, model.size.1);
    let mut buffer = ratatui::buffer::Buffer::empty(area);
    let theme = model.settings.colours(options.depth);
    crate::view::view(&model, &theme, area, &mut buffer);
    picture::text(&buffer)
}

/// Everything as one line of JSON.
fn json(model: &Model) -> Done {
    let day = model.day();
    let next = day.next_empty();
    let everything = Everything {
        state: STATES[usize::from(code(model).min(STALE))],
        burn_usd_per_min: day.history.minute_sums().cost_usd,
        next_empty: next.map(|(run, runway_s)| NextEmpty { run_id: run.to_string(), runway_s }),
        runs: day.runs.values().filter_map(|entry| entry.view.as_ref()).collect(),
        budgets: day.runs.values().filter_map(|entry| entry.budget.as_ref()).collect(),
        providers: day.providers.values().collect(),
        alerts: day.alerts.values().collect(),
        receipts_usd: day.audit.total(),
    };
    let text: Box<RawValue> = serde_json::value::to_raw_value(&everything)
        .map_err(|error| Failure::Refused(error.to_string()))?;
    print(&format!("{text}\n"))
}

/// Nothing that can be relied on.
const STALE: u8 = 3;

/// The codes in words, as monitors know them.
const STATES: [&str; 4] = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_worst_that_holds_is_the_code() {
        let mut model = fixture::model((120, 40));
        assert_eq!(code(&model), 2);
        assert!(headline(&model).starts_with("CRITICAL $"), "{}", headline(&model));
        model.live.alerts.clear();
        for entry in model.live.runs.values_mut() {
            if let Some(budget) = &mut entry.budget {
                (budget.blocked, budget.level) = (false, Level::Ok);
            }
        }
        assert_eq!(code(&model), 0);
        let first = model.live.runs.values_mut().next().unwrap();
        first.budget.as_mut().unwrap().level = Level::Caution;
        assert_eq!(code(&model), 1);
        model.live.now = model.live.now.plus_millis(60_000);
        assert_eq!(code(&model), STALE);
    }
}
