//! Bodies of what is done to runs, and to attempts whose bill is not known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budgets::short;
use crate::body::{Body, BodyError, invalid};
use crate::budget::{Level, Run, RunState};
use crate::id::{AgentName, AttemptId, ModelName, RequestId, RunId};
use crate::money::Usd;
use crate::time::Timestamp;

/// One line of `GET /runs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunView {
    /// The run.
    pub run_id: RunId,
    /// Whether it may spend.
    pub state: RunState,
    /// The run it is part of.
    pub parent: Option<RunId>,
    /// How many agents have worked in it.
    pub agents: usize,
    /// Requests that reached a provider.
    pub requests: u64,
    /// Posted plus unknown.
    pub spent_usd: Usd,
    /// The limit; null without one.
    pub budget_usd: Option<Usd>,
    /// Spent of the limit, as a word.
    pub level: Level,
    /// When its money last moved.
    pub last_at: Timestamp,
    /// What people call it.
    #[serde(default)]
    pub name: Option<String>,
    /// Agents with an attempt in the last five minutes.
    #[serde(default)]
    pub agents_at_work: usize,
    /// What its requests of the last seven days cost on average; null without any.
    #[serde(default)]
    pub per_request_usd: Option<Usd>,
    /// The model that it spent most on in the last seven days.
    #[serde(default)]
    pub top_model: Option<ModelName>,
}

/// What a run has been doing lately, beside its page in the books.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Agents with an attempt in the last five minutes.
    pub agents_at_work: usize,
    /// What its requests cost on average.
    pub per_request_usd: Option<Usd>,
    /// The model that it spent most on.
    pub top_model: Option<ModelName>,
}

impl RunView {
    /// The view of a run that works like this.
    pub fn of(run: &Run, work: Work) -> Self {
        Self {
            run_id: run.id.clone(),
            state: run.state,
            parent: run.parent.clone(),
            agents: run.agents,
            requests: run.requests,
            spent_usd: run.account.spent(),
            budget_usd: run.account.limit,
            level: run.account.level(run.smallest),
            last_at: run.last_at,
            name: run.name.clone(),
            agents_at_work: work.agents_at_work,
            per_request_usd: work.per_request_usd,
            top_model: work.top_model,
        }
    }
}

/// Answer of `GET /runs`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunList {
    /// The runs, by name.
    pub runs: Vec<RunView>,
}

/// Body of `POST /runs/{run_id}/pause`, `resume` and `close`; all of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct StateRequest {
    /// Why, for the audit; lifting a freeze and reopening a closed run need it.
    pub note: Option<String>,
}

impl StateRequest {
    /// Reads the body.
    pub fn from_body(mut body: Body) -> Result<Self, BodyError> {
        let request = Self { note: body.take("note")? };
        body.finish()?;
        short(request.note.as_deref())?;
        Ok(request)
    }
}

/// Body of `POST /unknowns/{attempt_id}/resolve`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ResolveRequest {
    /// What became of it.
    pub outcome: Resolution,
    /// The bill, where it was `posted`.
    pub cost_usd: Option<Usd>,
    /// How that is known.
    pub evidence: String,
    /// Who says so.
    pub by: Option<String>,
}

/// What became of an attempt whose bill was not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It was billed.
    Posted,
    /// It was not billed.
    Voided,
}

impl ResolveRequest {
    /// Reads the body.
    pub fn from_body(mut body: Body) -> Result<Self, BodyError> {
        let request = Self {
            outcome: body.require("outcome")?,
            cost_usd: body.take("cost_usd")?,
            evidence: body.require("evidence")?,
            by: body.take("by")?,
        };
        body.finish()?;
        match (request.outcome, request.cost_usd) {
            (Resolution::Posted, None) => return Err(BodyError::Missing("cost_usd")),
            (Resolution::Voided, Some(cost)) if !cost.is_zero() => {
                return Err(invalid("cost_usd", "what was voided has cost nothing"));
            }
            (_, Some(cost)) if cost.is_negative() => {
                return Err(invalid("cost_usd", format_args!("`{cost}` is below 0")));
            }
            _ => {}
        }
        if request.evidence.trim().is_empty() {
            return Err(invalid("evidence", "say how it is known"));
        }
        short(Some(&request.evidence))?;
        if request.by.as_ref().is_some_and(|by| by.len() > NAME_LENGTH_MAX) {
            return Err(invalid("by", format_args!("longer than {NAME_LENGTH_MAX} bytes")));
        }
        Ok(request)
    }

    /// What the attempt has cost.
    pub fn cost(&self) -> Usd {
        self.cost_usd.unwrap_or_default()
    }

    /// Evidence and name in one text, for the receipt.
    pub fn testimony(&self) -> String {
        match &self.by {
            Some(by) => format!("{} ({by})", self.evidence),
            None => self.evidence.clone(),
        }
    }
}

/// An unknown attempt, in `GET /unknowns`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnknownView {
    /// The attempt; `POST /unknowns/{attempt_id}/resolve` wants it.
    pub attempt_id: AttemptId,
    /// Its run.
    pub run_id: RunId,
    /// Its request.
    pub request_id: RequestId,
    /// Who asked.
    pub agent: AgentName,
    /// What is held for it.
    pub held_usd: Usd,
    /// When sight of it was lost.
    pub since: Timestamp,
}

/// Answer of `GET /unknowns`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UnknownList {
    /// The unknown attempts, oldest first; at most a thousand.
    pub unknowns: Vec<UnknownView>,
}

/// Longest name of a person, in bytes.
const NAME_LENGTH_MAX: usize = 100;
