//! The day as of an earlier moment, worked out from what is known now.
//!
//! Receipts are only ever added, so what was spent then is what is spent now less what came since,
//! to the last digit. What no receipt tells (what was held, who was reachable) is not made up: it
//! is left empty. Refuses to know how one travels.
//!
//! ```text
//! posted then = posted now − Σ receipts since, of the run and of the runs below it
//! ```

use std::collections::BTreeMap;

use tollgate_shared::alert::{Alert, AlertState};
use tollgate_shared::budget::{Account, Level};
use tollgate_shared::circuit::CircuitView;
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

use super::history::Group;
use super::{Day, History};

impl Day {
    /// The earliest moment that can be shown.
    pub fn known_from(&self) -> Option<Timestamp> {
        self.history.first()
    }

    /// The day as it was at `at`, a moment not before [`Day::known_from`].
    #[must_use]
    pub fn as_of(&self, at: Timestamp) -> Self {
        let since = self.spent_since(at);
        let mut day = self.clone();
        day.now = at;
        day.history = self.history.as_of(at);
        day.tail = self.tail.as_of(at);
        day.pulse = self.pulse.as_of(at);
        day.changes.retain(|change| change.at <= at);
        day.alerts.retain(|_, alert| alert.since <= at);
        // What has ended since then held then.
        for alert in &self.resolved {
            let held = alert.since <= at && alert.resolved_at.is_some_and(|end| end > at);
            if held && !day.alerts.contains_key(&alert.id) {
                let alert = Alert { state: AlertState::Open, resolved_at: None, ..alert.clone() };
                day.alerts.insert(alert.id.clone(), alert);
            }
        }
        day.resolved.retain(|alert| alert.resolved_at.is_some_and(|end| end <= at));
        day.changes.retain(|change| change.at <= at);
        if let Some(today) = &mut day.today {
            let all: Usd = self.history.from(at).map(|span| span.all.cost_usd).sum();
            today.spent = (today.spent - all).or_zero();
        }
        for view in day.providers.values_mut() {
            if view.circuit.since.is_some_and(|since| since > at) {
                view.circuit = CircuitView::default();
            }
        }
        let burns = History::grouped(day.history.minute(), Group::Run);
        let burns: BTreeMap<String, Usd> =
            burns.into_iter().map(|(name, sums)| (name.to_owned(), sums.cost_usd)).collect();
        for (run, entry) in &mut day.runs {
            // A day's account that began anew since then says nothing about the day before.
            let began = self.now.floor_to(86_400);
            entry.budget = entry.budget.take().filter(|budget| {
                budget.period != tollgate_shared::budget::Period::Day || began <= at
            });
            let Some(budget) = &mut entry.budget else { continue };
            if let Some(limit) = self.limit_as_of(run, at) {
                budget.enforced.limit_usd = limit;
            }
            let spent = since.get(run).copied().unwrap_or_default();
            rewind(budget, spent);
            budget.burn_usd_per_min = burns.get(run.as_str()).copied().unwrap_or_default();
            let enforced = &budget.enforced;
            let left = enforced.limit_usd.map(|limit| (limit - enforced.spent_usd()).or_zero());
            let burn = budget.burn_usd_per_min;
            budget.runway_s = left.and_then(|left| left.times(60).divided_by(burn));
        }
        day
    }

    /// The limit that a run had, where it was changed since: the first change after that moment says
    /// what it was before. `Some(None)` is no limit.
    fn limit_as_of(&self, run: &RunId, at: Timestamp) -> Option<Option<Usd>> {
        self.changes
            .iter()
            .filter(|change| change.at > at && change.subject == run.as_str())
            .filter(|change| change.after.contains_key("budget_usd"))
            .min_by_key(|change| (change.at, change.id))
            .map(|change| change.before.get("budget_usd").and_then(|usd| usd.parse().ok()))
    }

    /// What every run was charged since, with the runs below it.
    fn spent_since(&self, at: Timestamp) -> BTreeMap<RunId, Usd> {
        let own = History::grouped(self.history.from(at), Group::Run);
        let mut sums = BTreeMap::<RunId, Usd>::new();
        for (run, entry) in &self.runs {
            let Some(spent) = own.get(run.as_str()) else { continue };
            *sums.entry(run.clone()).or_default() += spent.cost_usd;
            let mut above = entry.view.as_ref().and_then(|view| view.parent.clone());
            // A tree is not deep; a circle would be the backend's mistake and must not hang us.
            for _ in 0..tollgate_shared::budget::DEPTH_MAX {
                let Some(parent) = above else { break };
                *sums.entry(parent.clone()).or_default() += spent.cost_usd;
                let view = self.runs.get(&parent).and_then(|entry| entry.view.as_ref());
                above = view.and_then(|view| view.parent.clone());
            }
        }
        sums
    }
}

/// Takes a sum out of an account; what was held then is not known.
fn rewind(budget: &mut BudgetEvent, spent: Usd) {
    let enforced = &mut budget.enforced;
    let of_posted = spent.min(enforced.posted_usd);
    enforced.posted_usd -= of_posted;
    enforced.unknown_usd = (enforced.unknown_usd - (spent - of_posted)).or_zero();
    enforced.held_usd = enforced.unknown_usd;
    let account = Account {
        limit: enforced.limit_usd,
        posted: enforced.posted_usd,
        unknown: enforced.unknown_usd,
        uncertain: enforced.uncertain_usd,
        ..Account::default()
    };
    enforced.available_usd = account.available();
    budget.level = account.level(Usd::ZERO);
    budget.blocked = budget.level == Level::Critical;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_parts_of_every_moment_add_up_to_now() {
        let day = fixture::model((80, 24)).live;
        let now: Usd = day.runs.values().filter_map(|e| e.budget.as_ref()).map(spent).sum();
        for minutes in 1..15 {
            let at = day.now.floor_to(60).plus_millis(-60_000 * minutes);
            let then = day.as_of(at);
            let old: Usd = then.runs.values().filter_map(|e| e.budget.as_ref()).map(spent).sum();
            let since: Usd = day.history.from(at).map(|span| span.all.cost_usd).sum();
            assert_eq!(old + since, now, "{minutes} minutes ago");
            assert!(then.tail.newest_first().all(|row| row.at <= at));
            assert!(then.history.from(at).next().is_none());
        }
    }

    #[test]
    fn limits_and_alerts_are_those_of_then() {
        let mut day = fixture::model((80, 24)).live;
        let at = day.now.floor_to(60).plus_millis(-300_000);
        let run: RunId = "R-207".parse().unwrap();
        let change = |minutes: i64, before: &str, after: &str| tollgate_shared::api::AuditEntry {
            id: 0,
            at: day.now.plus_millis(-60_000 * minutes),
            who: "ann".into(),
            what: "budget".into(),
            subject: run.to_string(),
            note: None,
            before: [("budget_usd".to_owned(), before.to_owned())].into(),
            after: [("budget_usd".to_owned(), after.to_owned())].into(),
        };
        let changes = [change(3, "47", "48"), change(2, "48", "50"), change(9, "40", "47")];
        day.changes.extend(changes);
        let mut ended = day.alerts.values().next().unwrap().clone();
        day.alerts.remove(&ended.id);
        ended.since = day.now.plus_millis(-3_600_000);
        ended.resolved_at = Some(day.now.plus_millis(-60_000));
        day.resolved.push_back(ended.clone());
        let then = day.as_of(at);
        let limit = then.runs[&run].budget.as_ref().unwrap().enforced.limit_usd;
        assert_eq!(limit, Some(fixture::usd("47")));
        assert!(then.alerts.contains_key(&ended.id) && then.resolved.is_empty());
    }

    fn spent(budget: &BudgetEvent) -> Usd {
        budget.enforced.spent_usd()
    }
}
