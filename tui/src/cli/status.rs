//! `tollgate status`: one line for a status bar or a prompt.
//!
//! Asked every second by every pane of tmux, so it answers from a file that is at most a second
//! old, without opening a socket. Refuses to know the console.
//!
//! ```text
//! cache ≤ 1 s ─▶ print                     a few milliseconds
//! older       ─▶ budgets, alerts, metrics ─▶ cache ─▶ print
//! no answer   ─▶ print what was known, with its age; exit 3
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_shared::alert::Severity;
use tollgate_shared::api::{AlertList, BudgetList, MetricsView};
use tollgate_shared::budget::Level;
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

use super::Failure;
use super::api::Api;
use super::outcome::{clean, print};
use crate::console::ConsoleOptions;
use crate::feed::clock;
use crate::format;
use crate::message::Target;
use crate::settings::words;
use crate::theme::Depth;

/// How to print it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A line of your own, from {burn} {change} {run} {runway} {alerts} {spent} {held} {profile}.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["tmux", "json"])]
    format: Option<String>,
    /// With the colours of tmux.
    #[arg(long, conflicts_with = "json")]
    tmux: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What is known, and since when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Status {
    /// When it was asked for, by this machine's clock.
    at: Timestamp,
    /// Left in the last sixty seconds.
    burn_usd_per_min: Usd,
    /// Mean of the fifteen minutes before.
    mean_usd_per_min: Usd,
    /// The run that will be empty first.
    run: Option<String>,
    /// When.
    runway_s: Option<u64>,
    /// Spent by all runs.
    spent_usd: Usd,
    /// Held by requests in flight.
    held_usd: Usd,
    /// Conditions that hold.
    critical: usize,
    /// The same, less bad.
    warning: usize,
    /// The same, to be looked at.
    caution: usize,
}

/// Prints the line.
pub fn run(
    args: &Args,
    options: &ConsoleOptions,
    usual: Option<&str>,
    runtime: impl FnOnce() -> std::io::Result<tokio::runtime::Runtime>,
) -> Result<ExitCode, Failure> {
    if let Some(format) = &args.format {
        words::check(format, &crate::settings::STATUS_WORDS).map_err(Failure::Usage)?;
    }
    let known = cache(options).and_then(|path| read(&path));
    let age = |status: &Status| clock().millis_since(status.at);
    if let Some(status) = known.as_ref().filter(|status| (0..=FRESH_MS).contains(&age(status))) {
        print(&shown(status, args, options, usual)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let asked = runtime()?.block_on(async {
        let asking = ask(Api::new(options)?);
        let late = |_| Failure::Silent(format!("no answer from {} in time", options.gateway));
        tokio::time::timeout(PATIENCE, asking).await.map_err(late)?
    });
    match (asked, known) {
        (Ok(status), _) => {
            if let Some(path) = cache(options) {
                let text = serde_json::to_string(&status).unwrap_or_default();
                // Without a place to keep it the next one asks again.
                crate::settings::replace(&path, &text).ok();
            }
            print(&shown(&status, args, options, usual)?)?;
            Ok(ExitCode::SUCCESS)
        }
        (Err(failure), Some(status)) if matches!(failure, Failure::Silent(_)) => {
            let old = shown(&status, args, options, usual)?;
            let seconds = u64::try_from(age(&status) / 1_000).unwrap_or(0);
            let mark = if args.json {
                String::new()
            } else {
                format!("✖ {} ago ", format::age(seconds))
            };
            print(&format!("{mark}{old}"))?;
            Ok(ExitCode::from(failure.code()))
        }
        (Err(failure), _) => {
            if !args.json {
                print("✖ no answer\n")?;
            }
            Err(failure)
        }
    }
}

/// Asks the backend.
async fn ask(api: Api) -> Result<Status, Failure> {
    let budgets: BudgetList = api.read(Target::Gateway, "/budgets").await?;
    let metrics: MetricsView = api.read(Target::Gateway, "/metrics?window=minute").await?;
    let alerts = match api.read::<AlertList>(Target::Gateway, "/alerts").await {
        Ok(list) => Some(list),
        // Without the route, the levels of budgets are what is known.
        Err(Failure::Older(_)) => None,
        Err(other) => return Err(other),
    };
    Ok(summary(&budgets, &metrics, alerts.as_ref(), clock()))
}

/// What the answers come to.
fn summary(
    budgets: &BudgetList,
    metrics: &MetricsView,
    alerts: Option<&AlertList>,
    now: Timestamp,
) -> Status {
    let mut status = Status { at: now, ..Status::default() };
    let next = budgets.budgets.iter().filter(|view| !view.blocked);
    let next = next.filter_map(|view| Some((view.runway_s?, &view.run_id))).min();
    if let Some((seconds, run)) = next {
        (status.run, status.runway_s) = (Some(run.to_string()), Some(seconds));
    }
    // A run below another counts in that one already.
    for view in budgets.budgets.iter().filter(|view| view.parent.is_none()) {
        status.spent_usd += view.spent_usd;
        status.held_usd += view.held_usd - view.unknown_usd;
    }
    (status.burn_usd_per_min, status.mean_usd_per_min) = burn(metrics, now);
    let mut count = |severity| match severity {
        Severity::Critical => status.critical += 1,
        Severity::Warning => status.warning += 1,
        Severity::Caution => status.caution += 1,
    };
    match alerts {
        Some(list) => list.alerts.iter().for_each(|alert| count(alert.severity)),
        None => {
            for view in &budgets.budgets {
                match view.level {
                    Level::Critical => count(Severity::Critical),
                    Level::Warning => count(Severity::Warning),
                    Level::Caution => count(Severity::Caution),
                    Level::Ok => {}
                }
            }
        }
    }
    status
}

/// The last sixty seconds and the mean of the fifteen minutes before, of whole minutes: the one
/// that runs, and of the one before as large a part as is missing to a minute.
fn burn(metrics: &MetricsView, now: Timestamp) -> (Usd, Usd) {
    let past = u64::try_from(now.millis_since(now.floor_to(60)) / 1_000).unwrap_or(0).min(60);
    let cost = |back: usize| {
        let place = metrics.buckets.len().checked_sub(back + 1);
        place.and_then(|place| metrics.buckets.get(place)).map_or(Usd::ZERO, |one| one.cost_usd)
    };
    let part = cost(1).times(60 - past).picos() / 60;
    let before: Usd = (2..17).map(cost).sum();
    (cost(0) + Usd::from_picos(part), Usd::from_picos(before.picos() / 15))
}

/// The line.
fn shown(
    status: &Status,
    args: &Args,
    options: &ConsoleOptions,
    usual: Option<&str>,
) -> Result<String, Failure> {
    if args.json {
        let text = serde_json::to_string(status).map_err(|e| Failure::Refused(e.to_string()))?;
        return Ok(format!("{text}\n"));
    }
    let coloured = args.tmux && options.depth != Depth::None;
    let alerts = alerts(status, coloured);
    if let Some(format) = args.format.as_deref().or(usual.filter(|_| !args.tmux)) {
        let words = [
            ("burn", format!("${}", status.burn_usd_per_min.rounded(2))),
            ("change", change(status)),
            ("run", status.run.clone().unwrap_or_default()),
            ("runway", status.runway_s.map_or("safe".into(), format::span)),
            ("alerts", alerts),
            ("spent", format!("${}", status.spent_usd.rounded(2))),
            ("held", format!("${}", status.held_usd.rounded(2))),
            ("profile", options.settings.profile.clone()),
        ];
        let line = words::fill(format, &words).map_err(Failure::Usage)?;
        return Ok(format!("{}\n", clean(&line)));
    }
    let burn = format!("${}/m {}", status.burn_usd_per_min.rounded(2), change(status));
    let mut parts = vec![burn.trim_end().to_owned()];
    if let (Some(run), Some(seconds)) = (&status.run, status.runway_s) {
        // In tmux a hash begins a colour; twice it is itself.
        let run = if args.tmux { run.replace('#', "##") } else { run.clone() };
        parts.push(format!("{} {}", clean(&run), format::span(seconds)));
    }
    parts.push(alerts);
    Ok(format!("{}\n", parts.join(" · ")))
}

/// Against the fifteen minutes before: `▲31%`; nothing where those were empty.
fn change(status: &Status) -> String {
    let Some(ppm) = status.burn_usd_per_min.ppm_of(status.mean_usd_per_min) else {
        return String::new();
    };
    match ppm / 10_000 {
        percent @ 100.. => format!("▲{}%", (percent - 100).min(999)),
        percent => format!("▼{}%", 100 - percent),
    }
}

/// `✖2 ▲3 ●1`, or `○` when all is well.
fn alerts(status: &Status, coloured: bool) -> String {
    let marks = [
        (status.critical, "✖", "#[fg=magenta,bold]"),
        (status.warning, "▲", "#[fg=yellow,bold]"),
        (status.caution, "●", "#[fg=yellow]"),
    ];
    let shown = marks.into_iter().filter(|(count, _, _)| *count > 0);
    let shown = shown.map(|(count, mark, colour)| match coloured {
        true => format!("{colour}{mark}{count}#[default]"),
        false => format!("{mark}{count}"),
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { "○".into() } else { shown.join(" ") }
}

/// The file for a backend; each address has its own.
fn cache(options: &ConsoleOptions) -> Option<PathBuf> {
    let folder = options.files.as_ref()?.0.cache.clone()?;
    let name: String = options
        .gateway
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .take(NAME_MAX)
        .collect();
    Some(folder.join(format!("status-{name}.json")))
}

/// What was kept; one that cannot be read was never there.
fn read(path: &PathBuf) -> Option<Status> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// How old an answer may be, in milliseconds: a status bar asks once a second.
const FRESH_MS: i64 = 1_000;

/// How long a status bar is kept waiting.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most letters of an address in a file's name.
const NAME_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    fn status() -> Status {
        Status {
            burn_usd_per_min: usd("0.84"),
            mean_usd_per_min: usd("0.64"),
            run: Some("R-207".into()),
            runway_s: Some(1_080),
            critical: 2,
            ..Status::default()
        }
    }

    fn line(status: &Status, args: Args) -> String {
        shown(status, &args, &ConsoleOptions::default(), None).unwrap()
    }

    #[test]
    fn the_line_is_short_and_says_it_all() {
        let plain = || Args { format: None, tmux: false, json: false };
        assert_eq!(line(&status(), plain()), "$0.84/m ▲31% · R-207 18m · ✖2\n");
        assert_eq!(line(&Status::default(), plain()), "$0.00/m · ○\n");
        let tmux = Args { tmux: true, ..plain() };
        let text = line(&Status { run: Some("a#[x]".into()), ..status() }, tmux);
        assert_eq!(text, "$0.84/m ▲31% · a##[x] 18m · #[fg=magenta,bold]✖2#[default]\n");
        let own = Args { format: Some("{burn}/m {runway} {alerts}".into()), ..plain() };
        assert_eq!(line(&status(), own), "$0.84/m 18m ✖2\n");
        let json = line(&status(), Args { json: true, ..plain() });
        assert!(json.contains(r#""burn_usd_per_min":0.84,"#), "{json}");
    }

    #[test]
    fn a_minute_is_what_runs_and_the_rest_of_the_one_before() {
        let now: Timestamp = "2026-11-23T14:14:15Z".parse().unwrap();
        let bucket = |cost: &str| {
            format!(
                r#"{{"start":"2026-11-23T14:00:00Z","cost_usd":{cost},"requests":0,"input_tokens":0,"output_tokens":0}}"#
            )
        };
        let buckets: Vec<String> = ["15", "0", "0.4", "0.1"].into_iter().map(bucket).collect();
        let text = format!(
            r#"{{"window":"minute","total_cost_usd":0,"total_requests":0,"total_attempts":0,
            "total_refused":0,"total_input_tokens":0,"total_output_tokens":0,"total_tokens":0,
            "cost_per_request_usd":0,"requests_per_provider":{{}},"cost_per_provider_usd":{{}},
            "buckets":[{}]}}"#,
            buckets.join(",")
        );
        let metrics: MetricsView = serde_json::from_str(&text).unwrap();
        assert_eq!(burn(&metrics, now), (usd("0.4"), usd("1")));
    }
}
