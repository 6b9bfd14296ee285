//! The routes of what wants attention, of what people changed, and of why.

use schemars::SchemaGenerator;
use tollgate_shared::alert::Alert;
use tollgate_shared::api::{AlertList, AuditList, DailyReport, ExplainView};

use super::gateway::{NO_LEDGER, NO_ROOM, NO_RUN_ID};
use super::{
    Answer, JSON, Kind, LOST, MISSING, Method, NO_JSON, Route, TOO_LARGE, TWICE, UNKNOWN, WRONG,
    answer, query,
};
use crate::api::docs::contract::{ACK_REQUEST, SNOOZE_REQUEST};

/// `GET /audit`.
pub(super) const AUDIT: Route = Route {
    method: Method::Get,
    path: "/audit",
    summary: "Who changed what, when and why, newest first.",
    parameters: &[
        query("limit", Kind::Count, "At most so many: 100, unless said, and never over 1,000."),
        query("before", Kind::Count, "Only those with a smaller `id`."),
    ],
    body: None,
    answers: &[answer(200, "The changes.", &[(JSON, SchemaGenerator::subschema_for::<AuditList>)])],
    errors: &[LOST, NO_LEDGER],
};

/// `GET /explain/{request_id}`.
pub(super) const EXPLAIN: Route = Route {
    method: Method::Get,
    path: "/explain/{request_id}",
    summary: "Why a request went where it went: its plan, its attempts, their receipts and prices.",
    parameters: &[query("run_id", Kind::Text, "The run, where several used the name.")],
    body: None,
    answers: &[answer(
        200,
        "All that is known of it.",
        &[(JSON, SchemaGenerator::subschema_for::<ExplainView>)],
    )],
    errors: &[
        NO_RUN_ID,
        (400, "invalid_request_id"),
        (404, "unknown_request"),
        (409, "several_runs"),
        LOST,
        NO_LEDGER,
    ],
};

/// `GET /report/daily`.
pub(super) const DAILY: Route = Route {
    method: Method::Get,
    path: "/report/daily",
    summary: "Days in UTC: what was spent on each, hour by hour, and by whom.",
    parameters: &[
        query("date", Kind::Text, "The last day, such as `2026-11-23`; today, unless said."),
        query("days", Kind::Count, "How many, from 1 to 31; 7, unless said."),
    ],
    body: None,
    answers: &[answer(
        200,
        "The days, and all of them together.",
        &[(JSON, SchemaGenerator::subschema_for::<DailyReport>)],
    )],
    errors: &[WRONG, LOST, NO_LEDGER],
};

/// `GET /alerts`.
pub(super) const ALERTS: Route = Route {
    method: Method::Get,
    path: "/alerts",
    summary: "What wants attention, worst first; the latest that no longer do, where asked for.",
    parameters: &[query(
        "state",
        Kind::OneOf(&["holding", "open", "acked", "snoozed", "resolved", "all"]),
        "Which: those that hold, unless said.",
    )],
    body: None,
    answers: &[answer(200, "The alerts.", &[(JSON, SchemaGenerator::subschema_for::<AlertList>)])],
    errors: &[WRONG],
};

/// `POST /alerts/{id}/ack`.
pub(super) const ACK: Route = Route {
    method: Method::Post,
    path: "/alerts/{id}/ack",
    summary: "Says that somebody knows; it counts until the condition ends or gets worse.",
    parameters: &[],
    body: Some(ACK_REQUEST),
    answers: &SPOKEN,
    errors: &[NO_JSON, TWICE, NO_ALERT, TOO_LARGE, WRONG, UNKNOWN, NO_LEDGER, NO_ROOM],
};

/// `POST /alerts/{id}/snooze`.
pub(super) const SNOOZE: Route = Route {
    method: Method::Post,
    path: "/alerts/{id}/snooze",
    summary: "The same for so many minutes; then it is open again by itself.",
    parameters: &[],
    body: Some(SNOOZE_REQUEST),
    answers: &SPOKEN,
    errors: &[NO_JSON, TWICE, NO_ALERT, TOO_LARGE, WRONG, MISSING, UNKNOWN, NO_LEDGER, NO_ROOM],
};

const SPOKEN: [Answer; 1] =
    [answer(200, "The alert as it is now.", &[(JSON, SchemaGenerator::subschema_for::<Alert>)])];

const NO_ALERT: (u16, &str) = (404, "unknown_alert");
