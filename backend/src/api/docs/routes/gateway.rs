//! The routes of the gateway, :6120.

use schemars::SchemaGenerator;
use tollgate_shared::api::{
    BudgetList, BudgetView, MetricsView, ReceiptList, RouteAnswer, RunList,
};

use super::{
    Answer, HEALTH, IF_MATCH, JSON, Kind, LOST, MISSING, Method, NO_JSON, Route, STALE, SUBSCRIBE,
    Service, TOO_LARGE, TWICE, UNKNOWN, WRONG, alerts, answer, header, query, runs,
};
use crate::api::docs::contract::{BUDGET_REQUEST, ROUTING_REQUEST};

/// The gateway.
pub(in crate::api::docs) const GATEWAY: Service = Service {
    title: "Tollgate gateway",
    summary: "Requests to models under budgets, and what they cost.",
    routes: &[
        Route {
            method: Method::Post,
            path: "/route",
            summary: "Sends a chat request to the provider that fits, within the run's budget.",
            parameters: &[header(
                "x-tollgate-retry-unknown",
                "`1` sends a request again whose outcome is unknown; both are charged.",
            )],
            body: Some(ROUTING_REQUEST),
            answers: &[Answer {
                status: 200,
                what: "The answer with its cost; with `payload.stream` the provider's stream in \
                    OpenAI's shape, and the facts in headers and in the closing comment.",
                content: &[
                    (JSON, SchemaGenerator::subschema_for::<RouteAnswer>),
                    ("text/event-stream", SchemaGenerator::subschema_for::<String>),
                ],
                headers: &FACTS,
            }],
            errors: &[
                NO_JSON,
                TWICE,
                NO_RUN_ID,
                (400, "invalid_request_id"),
                (400, "rejected_by_provider"),
                (402, "budget_exhausted"),
                (402, "budget_required"),
                (404, "no_provider"),
                (409, "already_completed"),
                (409, "outcome_unknown"),
                (409, "request_in_progress"),
                (409, "run_closed"),
                (409, "run_frozen"),
                (409, "run_paused"),
                TOO_LARGE,
                (413, "rejected_by_provider"),
                WRONG,
                MISSING,
                UNKNOWN,
                (422, "idempotency_mismatch"),
                (422, "rejected_by_provider"),
                (422, "unbounded_request"),
                (422, "untranslatable"),
                (429, "budget_contended"),
                LOST,
                (502, "upstream_failed"),
                NO_LEDGER,
                (503, "overloaded"),
                (503, "providers_busy"),
                (504, "upstream_timeout"),
                NO_ROOM,
            ],
        },
        Route {
            method: Method::Get,
            path: "/metrics",
            summary: "Rolling figures of a window; without one, Prometheus text.",
            parameters: &[query(
                "window",
                Kind::OneOf(&["minute", "hour", "day"]),
                "60 minutes by minute, 24 hours by hour, 7 days by day.",
            )],
            body: None,
            answers: &[answer(
                200,
                "The figures.",
                &[
                    (JSON, SchemaGenerator::subschema_for::<MetricsView>),
                    ("text/plain", SchemaGenerator::subschema_for::<String>),
                ],
            )],
            errors: &[WRONG],
        },
        Route {
            method: Method::Get,
            path: "/receipts/{run_id}",
            summary: "A run's receipts, each exactly as in its file; all of them unless limited.",
            parameters: &[
                query("after", Kind::Count, "Only those with a larger `seq`."),
                query("before", Kind::Count, "Only those with a smaller `seq`."),
                query("limit", Kind::Count, "At most so many, the oldest of them."),
                query(
                    "tail",
                    Kind::Count,
                    "At most so many, the newest of them; not with `limit`.",
                ),
            ],
            body: None,
            answers: &[answer(
                200,
                "The receipts, oldest first.",
                &[(JSON, SchemaGenerator::subschema_for::<ReceiptList>)],
            )],
            errors: &[NO_RUN_ID, NO_RUN, WRONG, LOST, NO_LEDGER],
        },
        Route {
            method: Method::Post,
            path: "/budget",
            summary: "Sets a run's budget, by body or by query; raising it unblocks at once.",
            parameters: &[
                query("run_id", Kind::Text, "Whose budget."),
                query("budget_usd", Kind::Amount, "The new limit."),
                IF_MATCH,
            ],
            body: Some(BUDGET_REQUEST),
            answers: &[answer(
                200,
                "The budget as it is now.",
                &[(JSON, SchemaGenerator::subschema_for::<BudgetView>)],
            )],
            errors: &[
                NO_JSON,
                TWICE,
                NO_RUN_ID,
                STALE,
                TOO_LARGE,
                WRONG,
                MISSING,
                UNKNOWN,
                (409, "parent_fixed"),
                (422, "amount_too_large"),
                (422, "invalid_parent"),
                NO_LEDGER,
                NO_ROOM,
            ],
        },
        Route {
            method: Method::Get,
            path: "/budget/{run_id}",
            summary: "A run's budget: what is spent, held and left, how fast it goes, and when.",
            parameters: &[],
            body: None,
            answers: &[answer(
                200,
                "The budget.",
                &[(JSON, SchemaGenerator::subschema_for::<BudgetView>)],
            )],
            errors: &[NO_RUN_ID, NO_RUN, NO_LEDGER],
        },
        Route {
            method: Method::Get,
            path: "/budgets",
            summary: "Every run's budget.",
            parameters: &[],
            body: None,
            answers: &[answer(
                200,
                "The budgets, by run.",
                &[(JSON, SchemaGenerator::subschema_for::<BudgetList>)],
            )],
            errors: &[NO_LEDGER],
        },
        Route {
            method: Method::Get,
            path: "/runs",
            summary: "Every run: its state, requests and spending.",
            parameters: &[],
            body: None,
            answers: &[answer(
                200,
                "The runs, by name.",
                &[(JSON, SchemaGenerator::subschema_for::<RunList>)],
            )],
            errors: &[NO_LEDGER],
        },
        alerts::EXPLAIN,
        alerts::DAILY,
        alerts::AUDIT,
        alerts::ALERTS,
        alerts::ACK,
        alerts::SNOOZE,
        runs::PAUSE,
        runs::RESUME,
        runs::CLOSE,
        runs::UNKNOWNS,
        runs::RESOLVE,
        runs::FLEET,
        runs::SET_FLEET,
        HEALTH,
        SUBSCRIBE,
    ],
};

/// The facts of a routed answer, as headers; a stream has those that are known when it begins.
const FACTS: [(&str, &str); 10] = [
    ("x-tollgate-request-id", "The request, by the caller's name or ours."),
    ("x-tollgate-run-id", "Who paid."),
    ("x-tollgate-provider", "Who answered."),
    ("x-tollgate-model", "The model that was asked for."),
    ("x-tollgate-attempts", "How many attempts were made."),
    ("x-tollgate-output-cap", "The output cap that was forwarded, where the gateway chose it."),
    ("x-tollgate-output-cap-source", "By what: `gateway`, `budget`, or the `model`'s maximum."),
    ("x-tollgate-cost-usd", "What the attempt cost."),
    ("x-tollgate-run-posted-usd", "What the run's bills are known to be."),
    ("x-tollgate-receipt", "`durable` or `pending`."),
];

pub(super) const NO_RUN_ID: (u16, &str) = (400, "invalid_run_id");
pub(super) const NO_RUN: (u16, &str) = (404, "unknown_run");
pub(super) const NO_ROOM: (u16, &str) = (507, "storage_low");
pub(super) const NO_LEDGER: (u16, &str) = (503, "ledger_unavailable");
