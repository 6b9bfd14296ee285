//! The routes of the event stream, :6102.

use schemars::SchemaGenerator;
use tollgate_shared::api::StreamStats;

use super::{HEALTH, JSON, Method, Route, SUBSCRIBE, Service, answer};

/// The event stream.
pub(in crate::api::docs) const EVENTS: Service = Service {
    title: "Tollgate event stream",
    summary: "What just happened, for every console.",
    routes: &[
        SUBSCRIBE,
        Route {
            method: Method::Get,
            path: "/stats",
            summary: "How many listen, how far back a late one can resume, and who was too slow.",
            parameters: &[],
            body: None,
            answers: &[answer(
                200,
                "The figures.",
                &[(JSON, SchemaGenerator::subschema_for::<StreamStats>)],
            )],
            errors: &[],
        },
        HEALTH,
    ],
};
