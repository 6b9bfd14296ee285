//! Runs as a tree: child runs below their parents, agents below their run.
//!
//! A family stands where its member in the worst trouble would stand, so that a parent whose child
//! runs dry is not found at the end of the list. What agents spend within a run is in no event; it
//! is read from the receipts at hand, and every answer says how long a span that is. Refuses to
//! know cells.
//!
//! ```text
//!  R-207            shortest runway of its family
//!    R-207-docs     a child run
//!      Crawler-1    an agent, when the pane is zoomed
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tollgate_shared::id::{AgentName, RunId};
use tollgate_shared::money::Usd;

use super::history::QUARTER_S;
use super::{Day, Group, Key, Model, Row, RunEntry, Screen, rows};
use crate::format;

/// One line of the tree.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The run.
    pub run: &'a RunId,
    /// What is known of the run.
    pub entry: &'a RunEntry,
    /// How far it is indented.
    pub depth: u16,
    /// The agent, where the line is one, with what it did of late.
    pub agent: Option<(&'a AgentName, Part)>,
}

/// What somebody did within a run of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What receipts add up to.
    pub spent: Usd,
    /// How many attempts that is.
    pub attempts: u64,
}

/// What was spent within one run, by name, and over how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Names with what each did, the largest first.
    pub lines: Vec<(&'a str, Part)>,
    /// Seconds that the receipts at hand reach back, at most fifteen minutes.
    pub span_s: u64,
    /// All lines together.
    pub total: Part,
}

impl Line<'_> {
    /// Its identity.
    pub fn key(&self) -> Key {
        match self.agent {
            Some((agent, _)) => Key::Agent(self.run.clone(), agent.clone()),
            None => Key::Run(self.run.clone()),
        }
    }
}

/// The lines of the budgets pane, in order: flat beside other panes, a tree on its own screen,
/// with agents when it has the whole body.
pub fn lines(model: &Model) -> Vec<Line<'_>> {
    let sorted = rows::budgets(model);
    let flat = |(run, entry)| Line { run, entry, depth: 0, agent: None };
    if model.screen != Screen::Runs {
        return sorted.into_iter().map(flat).collect();
    }
    let day = model.day();
    let mut children: BTreeMap<&RunId, Vec<&RunId>> = BTreeMap::new();
    for (run, entry) in &sorted {
        if let Some(parent) = parent(day, entry) {
            children.entry(parent).or_default().push(run);
        }
    }
    let mut tree = Vec::with_capacity(sorted.len());
    let mut placed = BTreeSet::new();
    for (run, _) in &sorted {
        let mut next = vec![(root(day, run), 0)];
        while let Some((run, depth)) = next.pop() {
            let Some((run, entry)) = day.runs.get_key_value(run) else { continue };
            if placed.insert(run) {
                tree.push(Line { run, entry, depth, agent: None });
                let below = children.get(run).into_iter().flatten().rev();
                next.extend(below.map(|child| (*child, (depth + 1).min(DEPTH_MAX))));
            }
        }
    }
    if model.zoomed { with_agents(day, tree) } else { tree }
}

/// What was spent within `run` over the last fifteen minutes, by agent, provider or model, as far
/// as receipts are at hand.
pub fn parts<'a>(day: &'a Day, run: &RunId, group: Group) -> Parts<'a> {
    let mut sums: BTreeMap<&str, Part> = BTreeMap::new();
    let mut parts = Parts { span_s: parts_span_s(day), ..Parts::default() };
    for row in recent(day).filter(|row| row.run == *run) {
        let Some(sent) = row.sent() else { continue };
        let name = match group {
            Group::Run | Group::Agent => row.agent.as_str(),
            Group::Provider => sent.provider.as_str(),
            Group::Model => sent.model.as_str(),
        };
        for part in [sums.entry(name).or_default(), &mut parts.total] {
            part.spent += sent.cost_usd;
            part.attempts += 1;
        }
    }
    parts.lines = sums.into_iter().collect();
    parts.lines.sort_by_key(|(_, part)| Reverse((part.spent, part.attempts)));
    parts
}

/// The model that most of a run's recent receipts were for.
pub fn top_models(day: &Day) -> BTreeMap<&RunId, &str> {
    let mut spent: BTreeMap<(&RunId, &str), Part> = BTreeMap::new();
    for row in recent(day) {
        if let Some(sent) = row.sent() {
            let part = spent.entry((&row.run, sent.model.as_str())).or_default();
            part.spent += sent.cost_usd;
            part.attempts += 1;
        }
    }
    let mut top: BTreeMap<&RunId, (&str, Part)> = BTreeMap::new();
    for ((run, name), part) in spent {
        let known = top.entry(run).or_insert((name, part));
        if (part.spent, part.attempts) > (known.1.spent, known.1.attempts) {
            *known = (name, part);
        }
    }
    top.into_iter().map(|(run, (name, _))| (run, name)).collect()
}

/// Rows of the last fifteen minutes, newest first, as many as one drawing may look at.
fn recent(day: &Day) -> impl Iterator<Item = &Row> {
    let from = day.now.plus_millis(-1_000 * QUARTER_S);
    day.tail.newest_first().take(ROWS_MAX).map(|row| &**row).take_while(move |row| row.at >= from)
}

/// How many seconds of receipts [`parts`] looks at: as far as they are at hand, at most fifteen
/// minutes.
pub fn parts_span_s(day: &Day) -> u64 {
    let oldest = recent(day).last().map(|row| row.at);
    let age = oldest.map_or(0, |at| format::seconds_since(day.now, at));
    age.clamp(1, QUARTER_S.unsigned_abs())
}

/// The run that this one is part of, where it is known.
fn parent<'a>(day: &'a Day, entry: &RunEntry) -> Option<&'a RunId> {
    let parent = entry.view.as_ref()?.parent.as_ref()?;
    day.runs.get_key_value(parent).map(|(run, _)| run)
}

/// The first of the family. Bounded, for what comes over a wire may go in circles.
fn root<'a>(day: &'a Day, run: &'a RunId) -> &'a RunId {
    let up = |run: &RunId| day.runs.get(run).and_then(|entry| parent(day, entry));
    std::iter::successors(Some(run), |run| up(run)).take(GENERATIONS_MAX).last().unwrap_or(run)
}

/// Below each run its agents, those that spent most first.
fn with_agents<'a>(day: &'a Day, tree: Vec<Line<'a>>) -> Vec<Line<'a>> {
    let mut agents: BTreeMap<&RunId, BTreeMap<&AgentName, Part>> = BTreeMap::new();
    for row in recent(day) {
        let part = agents.entry(&row.run).or_default().entry(&row.agent).or_default();
        if let Some(sent) = row.sent() {
            part.spent += sent.cost_usd;
            part.attempts += 1;
        }
    }
    let mut lines = Vec::with_capacity(tree.len() * 2);
    for line in tree {
        lines.push(line);
        let mut below: Vec<_> = agents.remove(line.run).into_iter().flatten().collect();
        below.sort_by_key(|(_, part)| Reverse((part.spent, part.attempts)));
        let depth = line.depth + 1;
        let below = below.into_iter().take(AGENTS_MAX);
        lines.extend(below.map(|agent| Line { depth, agent: Some(agent), ..line }));
    }
    lines
}

/// Most rows that one drawing looks at: a picture is due in half a millisecond.
const ROWS_MAX: usize = 4_096;

/// Most agents listed below one run.
const AGENTS_MAX: usize = 50;

/// How far a line is indented at most; deeper runs stand under one another.
const DEPTH_MAX: u16 = 4;

/// How far a family is followed up.
const GENERATIONS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn drawn(model: &Model) -> Vec<String> {
        let indent = |line: &Line<'_>| "  ".repeat(usize::from(line.depth));
        let name = |line: &Line<'_>| match line.agent {
            Some((agent, _)) => agent.to_string(),
            None => line.run.to_string(),
        };
        lines(model).iter().map(|line| format!("{}{}", indent(line), name(line))).collect()
    }

    fn adopt(model: &mut Model, child: &str, parent: &str) {
        let entry = model.live.runs.get_mut(child).unwrap();
        entry.view.as_mut().unwrap().parent = Some(parent.parse().unwrap());
    }

    #[test]
    fn a_family_stands_where_its_worst_member_would() {
        let mut model = fixture::model((120, 40));
        model.screen = Screen::Runs;
        adopt(&mut model, "R-207", "R-213");
        adopt(&mut model, "R-190", "R-207");
        let tree = ["R-198", "R-213", "  R-207", "    R-190", "R-204", "R-211", "R-209", "R-212"];
        assert_eq!(drawn(&model), tree);
        model.screen = Screen::Dashboard;
        assert_eq!(drawn(&model)[..2], ["R-198", "R-207"], "flat beside other panes");
    }

    #[test]
    fn circles_and_strangers_lose_nobody() {
        let mut model = fixture::model((120, 40));
        model.screen = Screen::Runs;
        adopt(&mut model, "R-207", "R-190");
        adopt(&mut model, "R-190", "R-207");
        adopt(&mut model, "R-204", "R-204");
        adopt(&mut model, "R-211", "R-not-here");
        let mut all: Vec<_> = lines(&model).iter().map(|line| line.run.to_string()).collect();
        all.sort_unstable();
        assert_eq!(all.len(), 8);
        all.dedup();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn a_zoomed_tree_has_agents_and_parts_add_up() {
        let mut model = fixture::model((120, 40));
        model.screen = Screen::Runs;
        model.zoomed = true;
        let tree = drawn(&model);
        let place = tree.iter().position(|line| line == "R-207").unwrap();
        let below = ["  Worker-CPE-5", "  Worker-CPE-2", "  Worker-CPE-9"];
        assert_eq!(tree[place + 1..place + 4], below);
        let run = "R-207".parse().unwrap();
        let parts = parts(model.day(), &run, Group::Agent);
        let sum: Usd = parts.lines.iter().map(|(_, part)| part.spent).sum();
        assert_eq!((sum, parts.total.attempts), (parts.total.spent, 4));
        assert_eq!(parts.lines[0].0, "Worker-CPE-5");
    }
}
