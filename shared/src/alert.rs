//! Conditions worth a person's attention, told once per crossing.
//!
//! An alert has an identity (its rule and subject), so a condition that goes on is one alert, and
//! one that ends resolves it. A person may say that they know, or that they want to hear of it
//! later; that holds for as long as it does not get worse. Refuses to know who is told, and how.

use std::collections::{BTreeMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

mod condition;

pub use condition::{
    CLOCK_ID, SOFT, account_id, bound_id, budget_id, circuit_id, frozen_id, of_bound, of_circuit,
    of_clock, of_frozen, of_level, of_soft, soft_id,
};

/// How bad it is, worst last.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Look when there is time.
    #[default]
    Caution,
    /// Look soon.
    Warning,
    /// Something does not work now.
    Critical,
}

/// Whether the condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It holds, and nobody has said that they know.
    #[default]
    Open,
    /// It holds, and somebody knows.
    Acked,
    /// It no longer holds.
    Resolved,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Rule and subject: `budget:R-198`, `circuit:azure-gpt4o`.
    pub id: String,
    /// How bad.
    pub severity: Severity,
    /// The run or provider it is about.
    pub subject: String,
    /// The rule that found it.
    pub rule: String,
    /// Since when.
    pub since: Timestamp,
    /// What happened, in words.
    pub what: String,
    /// What comes next, or what to do.
    pub then: String,
    /// Whether it holds.
    pub state: AlertState,
    /// Who knows, or wants to hear of it later.
    #[serde(default)]
    pub acked_by: Option<String>,
    /// When they said so.
    #[serde(default)]
    pub acked_at: Option<Timestamp>,
    /// When it returns by itself: it is acknowledged until then alone.
    #[serde(default)]
    pub snoozed_until: Option<Timestamp>,
    /// What they said about it.
    #[serde(default)]
    pub note: Option<String>,
    /// When its condition ended.
    #[serde(default)]
    pub resolved_at: Option<Timestamp>,
}

impl Alert {
    /// The same condition with another one's answer.
    fn answered_as(self, other: &Self) -> Self {
        Self {
            state: other.state,
            acked_by: other.acked_by.clone(),
            acked_at: other.acked_at,
            snoozed_until: other.snoozed_until,
            note: other.note.clone(),
            ..self
        }
    }
}

/// What a person says about an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Who.
    pub who: String,
    /// When.
    pub at: Timestamp,
    /// In their words.
    pub note: Option<String>,
    /// When they want to hear of it again; `None`: never, for they know.
    pub until: Option<Timestamp>,
}

/// Every alert that holds, and the latest that do not.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    open: BTreeMap<String, Alert>,
    resolved: VecDeque<Alert>,
    /// Alerts that held before a restart and have not been found again yet.
    remembered: BTreeMap<String, Alert>,
    /// How bad each answered one was at its worst: up to there nothing about it is news to whoever
    /// answered, also when it was milder in between. After a restart it is what it was then.
    known_up_to: BTreeMap<String, Severity>,
}

impl Alerts {
    /// A condition was found. Answers the alert where this is news: a new one, or a worse or
    /// milder one of the same identity. Who knew of the worse one knows of the milder one, and of
    /// the worse one when it is back: a provider's circuit is tried again and again.
    pub fn raise(&mut self, mut alert: Alert) -> Option<Alert> {
        if let Some(before) = self.remembered.remove(&alert.id) {
            if before.state == AlertState::Acked {
                self.known_up_to.insert(before.id.clone(), before.severity);
            }
            self.open.insert(before.id.clone(), before);
        }
        if let Some(known) = self.open.get(&alert.id) {
            if known.severity == alert.severity {
                return None;
            }
            if self.known_up_to.get(&alert.id).is_some_and(|worst| alert.severity <= *worst) {
                alert = alert.answered_as(known);
            } else {
                self.known_up_to.remove(&alert.id);
            }
        }
        self.open.insert(alert.id.clone(), alert.clone());
        Some(alert)
    }

    /// The condition no longer holds. Answers the resolved alert where there was one.
    pub fn resolve(&mut self, id: &str, now: Timestamp) -> Option<Alert> {
        let mut alert = self.open.remove(id).or_else(|| self.remembered.remove(id))?;
        self.known_up_to.remove(id);
        alert.state = AlertState::Resolved;
        alert.resolved_at = Some(now);
        if self.resolved.len() >= RESOLVED_MAX {
            self.resolved.pop_front();
        }
        self.resolved.push_back(alert.clone());
        Some(alert)
    }

    /// A person says something about it. Answers the alert as it is now; `None` where none of that
    /// identity holds.
    pub fn say(&mut self, id: &str, said: Said) -> Option<Alert> {
        let alert = self.open.get_mut(id)?;
        alert.state = AlertState::Acked;
        alert.acked_by = Some(said.who);
        alert.acked_at = Some(said.at);
        alert.snoozed_until = said.until;
        alert.note = said.note;
        let worst = self.known_up_to.entry(id.to_owned()).or_default();
        *worst = alert.severity.max(*worst);
        Some(alert.clone())
    }

    /// Those whose time of silence is over: they are open again.
    pub fn wake(&mut self, now: Timestamp) -> Vec<Alert> {
        let over = |alert: &&mut Alert| alert.snoozed_until.is_some_and(|until| until <= now);
        let known_up_to = &mut self.known_up_to;
        let wake = |alert: &mut Alert| {
            known_up_to.remove(&alert.id);
            *alert = alert.clone().answered_as(&Alert::default());
            alert.clone()
        };
        self.open.values_mut().filter(over).map(wake).collect()
    }

    /// What was said could not be kept: the answer is again the one from before it. The condition
    /// stays what it is, and so does an answer that is another one by now, or was lost because it
    /// got worse. Answers the alert where this changed it.
    pub fn take_back(&mut self, said: &Alert, before: &Alert) -> Option<Alert> {
        let alert = self.open.get_mut(&said.id)?;
        if *alert != alert.clone().answered_as(said) {
            return None;
        }
        *alert = alert.clone().answered_as(before);
        if alert.state == AlertState::Open {
            self.known_up_to.remove(&alert.id);
        }
        Some(alert.clone())
    }

    /// What storage remembers, in the order in which it was written.
    pub fn restore(&mut self, alerts: impl IntoIterator<Item = Alert>) {
        for alert in alerts {
            match alert.state {
                AlertState::Resolved => self.resolved.push_back(alert),
                _ => drop(self.remembered.insert(alert.id.clone(), alert)),
            }
        }
    }

    /// Every condition was looked for: what was remembered and not found again has ended.
    pub fn end_restore(&mut self, now: Timestamp) -> Vec<Alert> {
        let ids: Vec<String> = self.remembered.keys().cloned().collect();
        ids.iter().filter_map(|id| self.resolve(id, now)).collect()
    }

    /// The alert of an identity, where it holds.
    pub fn get(&self, id: &str) -> Option<&Alert> {
        self.open.get(id)
    }

    /// What holds, by identity.
    pub fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.open.values()
    }

    /// What no longer holds, oldest first; at most [`RESOLVED_MAX`].
    pub fn resolved(&self) -> impl Iterator<Item = &Alert> {
        self.resolved.iter()
    }
}

/// Resolved alerts that are remembered; older ones are forgotten.
pub const RESOLVED_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Level, Owner};
    use crate::id::RunId;

    #[test]
    fn one_crossing_is_told_once() {
        let run: RunId = "r".parse().unwrap();
        let level = |level| {
            of_level(&Owner::Run(run.clone()), level, "10".parse().unwrap(), Timestamp::default())
        };
        let mut alerts = Alerts::default();
        assert!(alerts.raise(level(Level::Caution).unwrap()).is_some());
        assert!(alerts.raise(level(Level::Caution).unwrap()).is_none());
        assert!(alerts.raise(level(Level::Critical).unwrap()).is_some());
        assert_eq!(alerts.iter().count(), 1);
        let now = Timestamp::default();
        assert_eq!(alerts.resolve(&budget_id(&run), now).unwrap().state, AlertState::Resolved);
        assert!(alerts.resolve(&budget_id(&run), now).is_none());
        assert!(level(Level::Ok).is_none());
        assert_eq!(alerts.resolved().count(), 1);
    }

    fn alert(severity: Severity) -> Alert {
        Alert { id: "budget:r".into(), severity, ..Alert::default() }
    }

    fn said(until: Option<Timestamp>) -> Said {
        Said { who: "ann".into(), at: Timestamp::default(), note: None, until }
    }

    #[test]
    fn who_knows_is_not_told_again_until_it_is_worse() {
        let mut alerts = Alerts::default();
        alerts.raise(alert(Severity::Warning));
        assert!(alerts.say("budget:other", said(None)).is_none());
        assert_eq!(alerts.say("budget:r", said(None)).unwrap().state, AlertState::Acked);
        let milder = alerts.raise(alert(Severity::Caution)).unwrap();
        assert_eq!((milder.state, milder.acked_by.as_deref()), (AlertState::Acked, Some("ann")));
        let worse = alerts.raise(alert(Severity::Critical)).unwrap();
        assert_eq!((worse.state, worse.acked_by), (AlertState::Open, None));
    }

    #[test]
    fn who_knows_of_the_worst_is_not_told_when_it_was_milder_in_between() {
        let (mut alerts, at) = (Alerts::default(), Timestamp::from_micros);
        alerts.raise(alert(Severity::Critical));
        let snoozed = alerts.say("budget:r", said(Some(at(60)))).unwrap();
        for _ in 0..2 {
            alerts.raise(alert(Severity::Warning)).unwrap();
            // An answer while it is mild takes nothing back of what they knew before.
            alerts.say("budget:r", said(Some(at(60)))).unwrap();
            assert_eq!(alerts.raise(alert(Severity::Critical)), Some(snoozed.clone()));
        }
        // Once it is back, by its time or as a new condition, the answer counts no more.
        alerts.raise(alert(Severity::Warning)).unwrap();
        assert_eq!(alerts.wake(at(60)), [alert(Severity::Warning)]);
        assert_eq!(alerts.raise(alert(Severity::Critical)), Some(alert(Severity::Critical)));
        alerts.say("budget:r", said(None)).unwrap();
        alerts.resolve("budget:r", at(61)).unwrap();
        assert_eq!(alerts.raise(alert(Severity::Warning)), Some(alert(Severity::Warning)));
        assert_eq!(alerts.raise(alert(Severity::Critical)), Some(alert(Severity::Critical)));
    }

    #[test]
    fn an_answer_is_taken_back_where_it_still_stands_and_the_condition_is_what_it_became() {
        for (became, wanted) in [
            (Severity::Warning, Some(alert(Severity::Warning))),
            (Severity::Caution, Some(alert(Severity::Caution))),
            (Severity::Critical, None),
        ] {
            let mut alerts = Alerts::default();
            let before = alerts.raise(alert(Severity::Warning)).unwrap();
            let answered = alerts.say("budget:r", said(None)).unwrap();
            alerts.raise(alert(became));
            assert_eq!(alerts.take_back(&answered, &before), wanted);
            assert_eq!(alerts.get("budget:r"), Some(&alert(became)));
            // Nobody knows of it, so that it is told when it is worse.
            alerts.raise(alert(Severity::Critical));
            assert_eq!(alerts.get("budget:r"), Some(&alert(Severity::Critical)));
            let other = alerts.say("budget:r", said(Some(Timestamp::from_micros(9)))).unwrap();
            assert_eq!(alerts.take_back(&answered, &before), None, "another answer stands");
            assert_eq!(alerts.get("budget:r"), Some(&other));
            alerts.resolve("budget:r", Timestamp::default()).unwrap();
            assert_eq!(alerts.take_back(&other, &before), None, "it has ended");
        }
    }

    #[test]
    fn a_snoozed_alert_returns_by_itself_and_once() {
        let (mut alerts, at) = (Alerts::default(), Timestamp::from_micros);
        alerts.raise(alert(Severity::Warning));
        alerts.say("budget:r", said(Some(at(60)))).unwrap();
        assert!(alerts.wake(at(59)).is_empty());
        let woken = alerts.wake(at(60));
        assert_eq!(woken, [alert(Severity::Warning)]);
        assert!(alerts.wake(at(61)).is_empty());
    }

    #[test]
    fn what_is_found_again_after_a_restart_is_known_and_the_rest_has_ended() {
        let mut before = Alerts::default();
        before.raise(alert(Severity::Warning));
        let known = before.say("budget:r", said(None)).unwrap();
        let circuit = Alert { id: "circuit:p".into(), ..alert(Severity::Critical) };
        let mut after = Alerts::default();
        after.restore([known.clone(), circuit]);
        assert_eq!(after.iter().count(), 0, "nothing holds before it is found");
        assert!(after.raise(alert(Severity::Warning)).is_none());
        assert_eq!(after.get("budget:r"), Some(&known));
        let ended = after.end_restore(Timestamp::from_micros(7));
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].resolved_at, Some(Timestamp::from_micros(7)));
    }
}
