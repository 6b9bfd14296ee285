//! The routes of what an operator does to runs, to the fleet, and to unknown outcomes.

use schemars::SchemaGenerator;
use tollgate_shared::api::{AccountView, BudgetView, UnknownList};
use tollgate_shared::receipt::Receipt;

use super::gateway::{NO_LEDGER, NO_ROOM, NO_RUN, NO_RUN_ID};
use super::{
    Answer, IF_MATCH, JSON, LOST, MISSING, Method, NO_JSON, Route, STALE, TOO_LARGE, TWICE,
    UNKNOWN, WRONG, answer,
};
use crate::api::docs::contract::{FLEET_REQUEST, RESOLVE_REQUEST, STATE_REQUEST};

/// `POST /runs/{run_id}/pause`.
pub(super) const PAUSE: Route = step(
    "/runs/{run_id}/pause",
    "Stops a run for now: what is in flight ends, what comes waits a while for it to be resumed.",
    &[
        NO_JSON,
        TWICE,
        NO_RUN_ID,
        NO_RUN,
        STALE,
        TOO_LARGE,
        WRONG,
        UNKNOWN,
        (409, "run_closed"),
        (409, "run_frozen"),
        NO_LEDGER,
        NO_ROOM,
    ],
);

/// `POST /runs/{run_id}/resume`.
pub(super) const RESUME: Route = step(
    "/runs/{run_id}/resume",
    "Lets a run spend again, and those who waited first; lifting a freeze needs a note.",
    &[
        NO_JSON,
        TWICE,
        NO_RUN_ID,
        NO_RUN,
        STALE,
        TOO_LARGE,
        WRONG,
        UNKNOWN,
        (422, "note_required"),
        NO_LEDGER,
        NO_ROOM,
    ],
);

/// `POST /runs/{run_id}/close`.
pub(super) const CLOSE: Route = step(
    "/runs/{run_id}/close",
    "Ends a run: what is in flight ends, nothing new is given.",
    &[NO_JSON, TWICE, NO_RUN_ID, NO_RUN, STALE, TOO_LARGE, WRONG, UNKNOWN, NO_LEDGER, NO_ROOM],
);

/// A step of a run's state.
const fn step(
    path: &'static str,
    summary: &'static str,
    errors: &'static [(u16, &'static str)],
) -> Route {
    Route {
        method: Method::Post,
        path,
        summary,
        parameters: &[IF_MATCH],
        body: Some(STATE_REQUEST),
        answers: &STEPPED,
        errors,
    }
}

const STEPPED: [Answer; 1] = [answer(
    200,
    "The run's budget as it is now.",
    &[(JSON, SchemaGenerator::subschema_for::<BudgetView>)],
)];

/// `GET /unknowns`.
pub(super) const UNKNOWNS: Route = Route {
    method: Method::Get,
    path: "/unknowns",
    summary: "Attempts whose bill is not known, oldest first.",
    parameters: &[],
    body: None,
    answers: &[answer(
        200,
        "The attempts, at most a thousand.",
        &[(JSON, SchemaGenerator::subschema_for::<UnknownList>)],
    )],
    errors: &[LOST, NO_LEDGER],
};

/// `POST /unknowns/{attempt_id}/resolve`.
pub(super) const RESOLVE: Route = Route {
    method: Method::Post,
    path: "/unknowns/{attempt_id}/resolve",
    summary: "Says what an unknown attempt has cost; the rest of its hold is free again.",
    parameters: &[],
    body: Some(RESOLVE_REQUEST),
    answers: &[answer(
        200,
        "The correction, exactly as it stands in the run's file.",
        &[(JSON, SchemaGenerator::subschema_for::<Receipt>)],
    )],
    errors: &[
        NO_JSON,
        TWICE,
        (404, "unknown_attempt"),
        TOO_LARGE,
        WRONG,
        MISSING,
        UNKNOWN,
        (422, "amount_too_large"),
        LOST,
        NO_LEDGER,
        NO_ROOM,
    ],
};

/// `GET /fleet/budget`.
pub(super) const FLEET: Route = Route {
    method: Method::Get,
    path: "/fleet/budget",
    summary: "What everything together has spent today, and its limit.",
    parameters: &[],
    body: None,
    answers: &[answer(
        200,
        "The fleet's account.",
        &[(JSON, SchemaGenerator::subschema_for::<AccountView>)],
    )],
    errors: &[NO_LEDGER],
};

/// `POST /fleet/budget`.
pub(super) const SET_FLEET: Route = Route {
    method: Method::Post,
    path: "/fleet/budget",
    summary: "Sets the limit of everything together for each day in UTC; null takes it away.",
    parameters: &[IF_MATCH],
    body: Some(FLEET_REQUEST),
    answers: &[answer(
        200,
        "The fleet's account as it is now.",
        &[(JSON, SchemaGenerator::subschema_for::<AccountView>)],
    )],
    errors: &[
        NO_JSON,
        TWICE,
        STALE,
        TOO_LARGE,
        WRONG,
        MISSING,
        UNKNOWN,
        (422, "amount_too_large"),
        NO_LEDGER,
        NO_ROOM,
    ],
};
