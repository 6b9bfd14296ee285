//! The doors: every route of the three listeners, on one screen.
//!
//! A door reads a request strictly, calls one verb below it, and turns the result into an answer
//! or into the one error shape. Nothing is decided here.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use crate::config::Durability;
use crate::flight::Gateway;
use crate::hub::Hub;
use crate::projection::{Reports, Views};
use crate::store::Reader;

mod alerts;
mod budgets;
mod change;
mod docs;
mod events;
mod explain;
mod gateway;
mod guard;
mod problem;
mod read;
mod report;
mod router;
mod runs;

pub use docs::documents;
pub use problem::Problem;

/// What the doors reach; cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// Flights, and through it ledger and registry.
    pub gateway: Gateway,
    /// Rolling figures.
    pub views: Views,
    /// Receipts on disk.
    pub reader: Arc<Reader>,
    /// Days that were asked for.
    pub reports: Arc<Reports>,
    /// The event stream.
    pub hub: Hub,
    /// What an acknowledged receipt survives.
    pub durability: Durability,
    /// Where the three services listen: router, gateway, events.
    pub ports: [u16; 3],
    /// Whether nothing may be changed here; agents' requests go on.
    pub read_only: bool,
    /// Idempotency keys whose changes are under way.
    pub keys: Arc<Mutex<HashSet<String>>>,
}

/// The provider router, :6103.
pub fn router(rooms: Rooms) -> Router {
    let routes = Router::new()
        .route("/register", post(router::register))
        .route("/providers", get(router::list))
        .route("/providers/{name}", get(router::show).delete(router::remove))
        .route("/providers/{name}/circuit", post(router::force_circuit))
        .route("/providers/{name}/probe", post(router::probe))
        .route("/select", post(router::select))
        .route("/stats", get(router::stats))
        .route("/health", get(router::health))
        .layer(from_fn_with_state(rooms.clone(), change::admit))
        .with_state(rooms);
    finished(docs::router(routes))
}

/// The gateway, :6120.
pub fn gateway(rooms: Rooms) -> Router {
    let routes = Router::new()
        .route("/route", post(gateway::route))
        .route("/metrics", get(gateway::metrics))
        .route("/receipts/{run_id}", get(gateway::receipts))
        .route("/budget", post(budgets::set))
        .route("/budget/{run_id}", get(budgets::show))
        .route("/budgets", get(budgets::list))
        .route("/fleet/budget", get(budgets::show_fleet).post(budgets::set_fleet))
        .route("/runs", get(budgets::runs))
        .route("/runs/{run_id}/pause", post(runs::pause))
        .route("/runs/{run_id}/resume", post(runs::resume))
        .route("/runs/{run_id}/close", post(runs::close))
        .route("/explain/{request_id}", get(explain::explain))
        .route("/report/daily", get(report::daily))
        .route("/audit", get(alerts::audit))
        .route("/alerts", get(alerts::list))
        .route("/alerts/{id}/ack", post(alerts::ack))
        .route("/alerts/{id}/snooze", post(alerts::snooze))
        .route("/unknowns", get(runs::unknowns))
        .route("/unknowns/{attempt_id}/resolve", post(runs::resolve))
        .route("/health", get(gateway::health))
        .route("/events", get(events::subscribe))
        .layer(from_fn_with_state(rooms.clone(), change::admit))
        .with_state(rooms);
    finished(docs::gateway(routes))
}

/// The event stream, :6102.
pub fn events(rooms: Rooms) -> Router {
    let routes = Router::new()
        .route("/events", get(events::subscribe))
        .route("/stats", get(events::stats))
        .route("/health", get(events::health))
        .with_state(rooms);
    finished(docs::events(routes))
}

/// What is the same behind every listener: the guard, and errors in the one shape.
fn finished(routes: Router) -> Router {
    routes
        .fallback(|| async { Problem::new(404, "not_found", "there is no such route") })
        .method_not_allowed_fallback(|| async {
            Problem::new(405, "method_not_allowed", "the route does not take this method")
        })
        .layer(from_fn(guard::no_web_pages))
}
