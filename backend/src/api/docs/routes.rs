//! Every route of the three listeners as data: what it takes, what it answers, how it refuses.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};
use tollgate_shared::api::Health;

use super::contract::Contract;

mod alerts;
mod events;
mod gateway;
mod router;
mod runs;

pub(super) use events::EVENTS;
pub(super) use gateway::GATEWAY;
pub(super) use router::ROUTER;

/// One listener.
#[derive(Debug)]
pub(super) struct Service {
    pub title: &'static str,
    pub summary: &'static str,
    pub routes: &'static [Route],
}

/// One method of one path.
#[derive(Debug)]
pub(super) struct Route {
    pub method: Method,
    pub path: &'static str,
    pub summary: &'static str,
    /// Beside those in the path.
    pub parameters: &'static [Parameter],
    pub body: Option<Contract>,
    pub answers: &'static [Answer],
    /// Status and stable code, beside those of the guard.
    pub errors: &'static [(u16, &'static str)],
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    Get,
    Post,
    Delete,
}

/// A part of the query, or a header.
#[derive(Debug)]
pub(super) struct Parameter {
    /// `query` or `header`, as OpenAPI spells it.
    pub place: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    pub what: &'static str,
}

/// What a parameter may be.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Count,
    Amount,
    OneOf(&'static [&'static str]),
}

impl Kind {
    /// Its schema.
    pub(super) fn schema(&self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Count => json!({"type": "integer", "minimum": 0}),
            Self::Amount => json!({"type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,12})?$"}),
            Self::OneOf(words) => json!({"type": "string", "enum": words}),
        }
    }
}

/// An answer that is no error.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub what: &'static str,
    pub content: &'static [(&'static str, SchemaOf)],
    pub headers: &'static [(&'static str, &'static str)],
}

/// Writes a type's schema, or a reference to it.
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

const fn answer(
    status: u16,
    what: &'static str,
    content: &'static [(&'static str, SchemaOf)],
) -> Answer {
    Answer { status, what, content, headers: &[] }
}

const fn query(name: &'static str, kind: Kind, what: &'static str) -> Parameter {
    Parameter { place: "query", name, kind, what }
}

const fn header(name: &'static str, what: &'static str) -> Parameter {
    Parameter { place: "header", name, kind: Kind::Text, what }
}

const JSON: &str = "application/json";

/// The version that a change was made against.
const IF_MATCH: Parameter = Parameter {
    place: "header",
    name: "If-Match",
    kind: Kind::Text,
    what: "The `version` that the change was made against; 412 if it is another by now.",
};

/// How a body can be unreadable.
const NO_JSON: (u16, &str) = (400, "invalid_json");
const TWICE: (u16, &str) = (400, "duplicate_field");
const STALE: (u16, &str) = (412, "version_mismatch");
const TOO_LARGE: (u16, &str) = (413, "body_too_large");
const WRONG: (u16, &str) = (422, "invalid_field");
const MISSING: (u16, &str) = (422, "missing_field");
const UNKNOWN: (u16, &str) = (422, "unknown_field");
const LOST: (u16, &str) = (500, "lost");

const HEALTH: Route = Route {
    method: Method::Get,
    path: "/health",
    summary: "Whether the service works, and what is wrong where it does not.",
    parameters: &[],
    body: None,
    answers: &[answer(200, "How it is.", &[(JSON, SchemaGenerator::subschema_for::<Health>)])],
    errors: &[],
};

const SUBSCRIBE: Route = Route {
    method: Method::Get,
    path: "/events",
    summary: "The event stream, as a websocket: hello, a snapshot or what was missed, then events.",
    parameters: &[
        query("after", Kind::Count, "The last `seq` that the client has."),
        query("epoch", Kind::Text, "The epoch that `after` belongs to."),
    ],
    body: None,
    answers: &[answer(101, "Frames of JSON text; `event.schema.json` describes each.", &[])],
    errors: &[],
};
