//! `tollgate plain`: a heading, then one sentence for each change.
//!
//! For screen readers, pipes, dumb terminals and logs: no cursor moves, no boxes, no colours, and
//! nothing is said twice. Compares the model with what was last said of it. Refuses to know frames.
//!
//! ```text
//! 14:14:07 Tollgate at http://127.0.0.1:6120: 8 runs, 7 providers, 6 alerts.
//! 14:14:09 Run R-207 has spent $45.12 of $50.00, 90 percent: warning. It is empty in 18m.
//! 14:15:00 $0.84 left in the last minute, 96 requests.
//! ```

use std::collections::{BTreeMap, BTreeSet};

use tollgate_shared::alert::{Alert, AlertState, Severity};
use tollgate_shared::budget::{Level, RunState};
use tollgate_shared::circuit::CircuitState;
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::id::{ProviderName, RunId};
use tollgate_shared::money::{Percent, Usd};
use tollgate_shared::receipt::Receipt;

use super::outcome::{Done, print};
use super::providers::word;
use crate::console::ConsoleOptions;
use crate::feed::{Delta, LinkChange, clock};
use crate::format;
use crate::message::Message;
use crate::model::Model;
use crate::text;
use crate::update::update;
use crate::zone;

/// What else to say.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// A sentence for each receipt as well.
    #[arg(long)]
    receipts: bool,
}

/// Says what changes until nobody listens.
pub async fn run(args: Args, options: &ConsoleOptions) -> Done {
    zone::use_system();
    let (mut deltas, _hurry, _feed) = options.feed();
    let mut model = Model::new(options.settings(), (120, 40), clock());
    let mut teller = Teller { place: options.gateway.clone(), args, ..Teller::default() };
    print(&format!("tollgate {}, {}\n", env!("CARGO_PKG_VERSION"), options.gateway))?;
    while let Some(delta) = deltas.recv().await {
        let link = delta.link.clone();
        let news = News::of(&delta);
        update(&mut model, Message::Delta(Box::new(delta)));
        let mut sentences = teller.link(link.as_ref(), &model);
        sentences.extend(teller.tell(&news, &model));
        let time = format::clock(model.live.now);
        let lines = sentences
            .iter()
            .map(|sentence| format!("{time} {}\n", text::clean(sentence, SENTENCE_MAX)));
        print(&lines.collect::<String>())?;
    }
    Ok(())
}

/// What a delta holds that the model does not keep apart.
#[derive(Clone, Debug, Default)]
struct News {
    receipts: Vec<Receipt>,
    refusals: BTreeMap<(RunId, String), u64>,
}

/// What was last said.
#[derive(Debug, Default)]
struct Teller {
    args: Args,
    place: String,
    began: bool,
    lost: bool,
    minute: i64,
    refused: u64,
    refusals: BTreeSet<(RunId, String)>,
    runs: BTreeMap<RunId, Said>,
    circuits: BTreeMap<ProviderName, CircuitState>,
    alerts: BTreeMap<String, Alert>,
}

/// What was last said of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    state: RunState,
    level: Option<Level>,
    blocked: bool,
    limit: Option<Usd>,
}

impl News {
    fn of(delta: &Delta) -> Self {
        let mut refusals = BTreeMap::new();
        for refused in &delta.refusals {
            *refusals.entry((refused.run_id.clone(), refused.code.clone())).or_default() += 1;
        }
        Self { receipts: delta.receipts.clone(), refusals }
    }
}

impl Teller {
    /// The connection came or went; said once, not at every try.
    fn link(&mut self, link: Option<&LinkChange>, model: &Model) -> Vec<String> {
        match link {
            Some(LinkChange::Lost { why, .. }) if !self.lost => {
                self.lost = true;
                let of = model.last_frame.map_or(String::new(), |at| {
                    format!(" What was said is of {}.", format::clock(at))
                });
                vec![format!("The connection is lost: {why}. Trying again.{of}")]
            }
            Some(LinkChange::Up { .. }) if self.lost => {
                self.lost = false;
                vec!["Connected again.".into()]
            }
            _ => Vec::new(),
        }
    }

    /// What changed since it was last said.
    fn tell(&mut self, news: &News, model: &Model) -> Vec<String> {
        let day = &model.live;
        if !day.ready {
            return Vec::new();
        }
        let mut said = Vec::new();
        let first = !std::mem::replace(&mut self.began, true);
        if first {
            self.minute = day.now.seconds() / 60;
            said.push(format!(
                "Tollgate at {}: {}, {}, {}.",
                self.place,
                counted(day.runs.len(), "run"),
                counted(day.providers.len(), "provider"),
                counted(day.alerts.len(), "alert")
            ));
        }
        self.alerts(model, &mut said);
        self.circuits(model, first, &mut said);
        self.runs(model, first, &mut said);
        for (refused, count) in &news.refusals {
            self.refused += count;
            // The first of a minute is news; the minute itself says how many there were.
            if self.refusals.insert(refused.clone()) {
                let (run, code) = refused;
                said.push(format!(
                    "Requests of run {run} are refused: {}.",
                    code.replace('_', " ")
                ));
            }
        }
        if self.args.receipts {
            said.extend(news.receipts.iter().map(receipt));
        }
        let minute = day.now.seconds() / 60;
        if minute != self.minute {
            self.minute = minute;
            said.extend(self.minute(model));
        }
        said
    }

    /// The minute that has passed; silence where nothing happened in it.
    fn minute(&mut self, model: &Model) -> Option<String> {
        let sums = model.live.history.minute_sums();
        let refused = std::mem::take(&mut self.refused);
        self.refusals.clear();
        if sums.is_empty() && refused == 0 {
            return None;
        }
        let requests = counted(usize::try_from(sums.requests).unwrap_or(usize::MAX), "request");
        let refused = if refused > 0 { format!(", {refused} refused") } else { String::new() };
        let left = money(sums.cost_usd);
        Some(format!("{left} left in the last minute, {requests}{refused}."))
    }

    fn alerts(&mut self, model: &Model, said: &mut Vec<String>) {
        let now = &model.live.alerts;
        for (id, alert) in now {
            let known = self.alerts.get(id);
            if known
                .is_none_or(|known| (known.severity, &known.what) != (alert.severity, &alert.what))
            {
                let severity = match alert.severity {
                    Severity::Critical => "Critical",
                    Severity::Warning => "Warning",
                    Severity::Caution => "Caution",
                };
                said.push(format!(
                    "{severity}: {}, {}; {}.",
                    alert.subject, alert.what, alert.then
                ));
            }
            let was_open = known.is_none_or(|known| known.state == AlertState::Open);
            if alert.state == AlertState::Acked && was_open {
                let who = alert.acked_by.as_deref().unwrap_or("somebody");
                said.push(format!("{who} knows of it: {}, {}.", alert.subject, alert.what));
            }
        }
        for (id, alert) in &self.alerts {
            if !now.contains_key(id) {
                said.push(format!("Over: {}, {}.", alert.subject, alert.what));
            }
        }
        self.alerts.clone_from(now);
    }

    fn circuits(&mut self, model: &Model, first: bool, said: &mut Vec<String>) {
        let providers = &model.live.providers;
        for (name, view) in providers {
            let state = view.circuit.state;
            match self.circuits.insert(name.clone(), state) {
                None if !first => said.push(format!("Provider {name} takes traffic.")),
                // At the beginning the alerts have said which are open.
                None => {}
                Some(known) if known == state => {}
                Some(_) => {
                    let why = view.circuit.reason.as_deref().unwrap_or_default();
                    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                    let state = word(&state).replace('_', "-");
                    said.push(format!("The circuit of {name} is {state}{why}."));
                }
            }
        }
        self.circuits.retain(|name, _| {
            let is_there = providers.contains_key(name);
            if !is_there {
                said.push(format!("Provider {name} takes no more traffic."));
            }
            is_there
        });
    }

    fn runs(&mut self, model: &Model, first: bool, said: &mut Vec<String>) {
        for (run, entry) in &model.live.runs {
            let budget = entry.budget.as_ref();
            let now = Said {
                state: entry.state(),
                level: budget.map(|budget| budget.level),
                blocked: budget.is_some_and(|budget| budget.blocked),
                limit: budget.and_then(|budget| budget.enforced.limit_usd),
            };
            let known = self.runs.insert(run.clone(), now);
            let Some(known) = known else {
                if !first {
                    said.push(format!("Run {run} has begun{}.", limit(now.limit)));
                }
                continue;
            };
            if known.limit != now.limit {
                said.push(format!("Run {run} goes on{}.", limit(now.limit)));
            }
            if known.state != now.state {
                said.push(format!("Run {run} is {}.", word(&now.state)));
            }
            if let Some(budget) = budget
                && (known.level, known.blocked) != (now.level, now.blocked)
            {
                said.push(spent(run, budget));
            }
        }
        self.runs.retain(|run, _| model.live.runs.contains_key(run));
    }
}

/// Where a run's money stands.
fn spent(run: &RunId, budget: &BudgetEvent) -> String {
    let enforced = &budget.enforced;
    let spent = enforced.spent_usd();
    let of = enforced.limit_usd.map_or(String::new(), |limit| {
        format!(" of {}, {} percent", money(limit), Percent::of(spent, limit))
    });
    let then = match (budget.blocked, budget.runway_s) {
        (true, _) => " New requests are refused.".into(),
        (false, Some(seconds)) => format!(" It is empty in {}.", format::span(seconds)),
        (false, None) => String::new(),
    };
    format!("Run {run} has spent {}{of}: {}.{then}", money(spent), word(&budget.level))
}

/// One receipt.
fn receipt(receipt: &Receipt) -> String {
    format!(
        "{} of run {} paid ${} at {}: {}.",
        receipt.agent,
        receipt.run_id,
        receipt.cost_usd.rounded(6),
        receipt.provider,
        word(&receipt.status).replace('_', " ")
    )
}

fn limit(limit: Option<Usd>) -> String {
    limit.map_or(" without a limit".into(), |limit| format!(" with a limit of {}", money(limit)))
}

/// An amount as it is read aloud; a small one keeps its digits.
fn money(amount: Usd) -> String {
    let cent = Usd::from_picos(tollgate_shared::money::PICOS_PER_USD / 100);
    let decimals = if amount.is_zero() || amount >= cent { 2 } else { 6 };
    format!("${}", amount.rounded(decimals))
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// Longest sentence, in letters.
const SENTENCE_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_change_is_one_sentence_and_is_said_once() {
        let mut model = fixture::model((120, 40));
        let mut teller = Teller { place: "http://x".into(), ..Teller::default() };
        let said = teller.tell(&News::default(), &model);
        assert!(said[0].starts_with("Tollgate at http://x: 8 runs, 7 providers, "), "{said:?}");
        assert_eq!(said.len(), 1 + model.live.alerts.len(), "{said:?}");
        assert_eq!(teller.tell(&News::default(), &model), Vec::<String>::new());
        let run = model.live.runs.get_mut("R-211").unwrap().budget.as_mut().unwrap();
        run.level = Level::Caution;
        run.state = RunState::Paused;
        run.enforced.limit_usd = Some("14.5".parse().unwrap());
        let said = teller.tell(&News::default(), &model);
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(said[0], "Run R-211 goes on with a limit of $14.50.");
        assert_eq!(said[1], "Run R-211 is paused.");
        assert!(said[2].starts_with("Run R-211 has spent $12.08 of $14.50, 83."), "{said:?}");
        let name: ProviderName = "azure-gpt4o".parse().unwrap();
        model.live.providers.get_mut(&name).unwrap().circuit.state = CircuitState::Closed;
        model.live.alerts.clear();
        let said = teller.tell(&News::default(), &model);
        assert!(said.iter().any(|line| line.starts_with("The circuit of azure-gpt4o is closed")));
        assert!(said.iter().any(|line| line.starts_with("Over: ")));
    }

    #[test]
    fn a_lost_connection_is_said_once() {
        let model = fixture::model((120, 40));
        let mut teller = Teller::default();
        let lost = LinkChange::Lost { attempt: 1, retry_at: clock(), why: "gone".into() };
        assert_eq!(teller.link(Some(&lost), &model).len(), 1);
        assert_eq!(teller.link(Some(&lost), &model).len(), 0);
        assert_eq!(
            teller.link(Some(&LinkChange::Up { resumed: true }), &model),
            ["Connected again."]
        );
    }

    #[test]
    fn nothing_said_holds_an_escape() {
        let run: RunId = "R-1".parse().unwrap();
        let mut news = News::default();
        news.refusals.insert((run, "a\x1b[2Jb".into()), 1);
        let mut teller = Teller::default();
        let said = teller.tell(&news, &fixture::model((120, 40)));
        assert_eq!(teller.tell(&news, &fixture::model((120, 40))), Vec::<String>::new());
        let line = said.last().unwrap();
        assert!(!text::clean(line, SENTENCE_MAX).contains('\x1b'), "{line}");
    }
}
