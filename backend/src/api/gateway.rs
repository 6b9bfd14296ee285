//! Doors of the gateway: routing, receipts, metrics.

use axum::Json;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_shared::api::{Health, ReceiptList, ReceiptState, RouteRequest};
use tollgate_shared::circuit::CircuitState;
use tollgate_shared::window::WindowKind;

use crate::api::{Problem, Rooms, budgets, read};
use crate::clock;
use crate::flight::{Accepted, Delivery, Facts};
use crate::ledger::HoldError;
use crate::store::Page;
use crate::telemetry;
use crate::upstream::dialect::Shape;

/// `POST /route`.
pub(super) async fn route(
    State(rooms): State<Rooms>,
    headers_in: HeaderMap,
    body: HttpBody,
) -> Result<Response, Problem> {
    // Before the body is read: who cannot be served is told at once.
    if rooms.gateway.ledger.is_full() {
        return Err(HoldError::Overloaded.into());
    }
    let request = RouteRequest::from_body(read::object(body).await?)?;
    let shape = Shape::of(&request.payload)?;
    let mut accepted = Accepted::new(request, shape);
    accepted.retry_unknown = read::flag(&headers_in, "x-tollgate-retry-unknown")?;
    match rooms.gateway.fly(accepted).await? {
        Delivery::Whole(facts, answer) => {
            let durable = answer.receipt;
            Ok((headers(&facts, Some(durable)), Json(answer)).into_response())
        }
        Delivery::Stream(facts, frames) => {
            let frames = stream::unfold(frames, |mut frames| async move {
                let frame: Bytes = frames.recv().await?;
                Some((Ok::<_, std::convert::Infallible>(frame), frames))
            });
            let mut headers = headers(&facts, None);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok((headers, HttpBody::from_stream(frames)).into_response())
        }
    }
}

/// Which receipts to show.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptQuery {
    after: Option<u64>,
    before: Option<u64>,
    limit: Option<u64>,
    tail: Option<u64>,
}

/// `GET /receipts/{run_id}`: all of them unless `limit` or `tail`; each exactly as in its file.
pub(super) async fn receipts(
    State(rooms): State<Rooms>,
    read::Segment(run_id): read::Segment,
    read::Query(query): read::Query<ReceiptQuery>,
) -> Result<Json<ReceiptList>, Problem> {
    let run_id = budgets::find(&rooms, &run_id).await?.id;
    let all = Page::default();
    if query.limit.is_some() && query.tail.is_some() {
        return Err(Problem::field("tail", "`limit` counts from the other end"));
    }
    let is_tail = query.tail.is_some();
    let clamped = |asked: Option<u64>, most: u64| asked.unwrap_or(most).min(most);
    let page = Page {
        after: query.after.unwrap_or(0).min(all.before),
        before: clamped(query.before, all.before),
        limit: clamped(query.tail.or(query.limit), all.limit),
    };
    let read = tokio::task::spawn_blocking(move || {
        let (count, total_cost_usd) = rooms.reader.total(&run_id)?;
        let lines = match is_tail {
            true => rooms.reader.last_lines(&run_id, page)?,
            false => rooms.reader.lines(&run_id, page)?,
        };
        Ok::<_, crate::store::StoreError>((run_id, count, total_cost_usd, lines))
    });
    let lost = |_| Problem::new(500, "lost", "the receipts were lost inside the gateway");
    let (run_id, count, total_cost_usd, lines) = read.await.map_err(lost)??;
    let receipts = lines.into_iter().filter_map(|line| RawValue::from_string(line).ok()).collect();
    Ok(Json(ReceiptList { run_id, count, total_cost_usd, receipts }))
}

/// Which window of metrics to show; none for Prometheus.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricsQuery {
    window: Option<String>,
}

/// `GET /metrics`: JSON of a window, or Prometheus text.
pub(super) async fn metrics(
    State(rooms): State<Rooms>,
    read::Query(query): read::Query<MetricsQuery>,
) -> Result<Response, Problem> {
    let kind = match query.window.as_deref() {
        Some("minute") => WindowKind::Minute,
        Some("hour") => WindowKind::Hour,
        Some("day") => WindowKind::Day,
        Some(_) => {
            return Err(Problem::field("window", "it is not `minute`, `hour` or `day`"));
        }
        None => {
            let kind = HeaderValue::from_static("text/plain; version=0.0.4");
            return Ok(
                ([(CONTENT_TYPE, kind)], telemetry::prometheus(&rooms.monitored())).into_response()
            );
        }
    };
    Ok(Json(rooms.views.metrics(kind, clock::now())).into_response())
}

/// `GET /health`.
pub(super) async fn health(State(rooms): State<Rooms>) -> Json<Health> {
    Json(rooms.health("gateway", rooms.ports[1]))
}

impl Rooms {
    /// What a monitor is told.
    fn monitored(&self) -> telemetry::Facts {
        let closed = |entry: &std::sync::Arc<crate::registry::Entry>| {
            let state = entry.live.circuit().state;
            (entry.registration.name.clone(), state == CircuitState::Closed)
        };
        telemetry::Facts {
            sums: self.views.lifetime(),
            stream: self.hub.stats(),
            ledger_up: self.gateway.ledger.is_alive(),
            providers: self.gateway.registry.snapshot().active().map(closed).collect(),
        }
    }

    /// How a service is: everything shares one ledger, so its trouble is everyone's.
    pub(super) fn health(&self, service: &str, port: u16) -> Health {
        let mut problems = self.views.problems();
        if !self.gateway.ledger.is_alive() {
            problems.push("the ledger cannot commit: no money is given".into());
        }
        if let Some(reason) = self.gateway.ledger.stopped() {
            problems.push(format!("no money is given: {reason}"));
        }
        Health {
            status: if problems.is_empty() { "healthy" } else { "degraded" }.into(),
            service: service.into(),
            port,
            version: env!("CARGO_PKG_VERSION").into(),
            durability: self.durability.as_str().into(),
            problems,
        }
    }
}

/// The facts of an answer as headers; names come parsed, so each is a header value.
fn headers(facts: &Facts, receipt: Option<ReceiptState>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("x-tollgate-request-id", facts.request_id.as_str());
    put("x-tollgate-run-id", facts.run_id.as_str());
    put("x-tollgate-provider", facts.provider.as_str());
    put("x-tollgate-model", facts.model.as_str());
    put("x-tollgate-attempts", &facts.attempts.to_string());
    if let Some((cap, source)) = facts.output_cap {
        put("x-tollgate-output-cap", &cap.to_string());
        put("x-tollgate-output-cap-source", source.as_str());
    }
    if let Some((cost, account)) = &facts.settled {
        put("x-tollgate-cost-usd", &cost.to_string());
        put("x-tollgate-run-posted-usd", &account.posted.to_string());
        if let Some(available) = account.available() {
            put("x-tollgate-run-available-usd", &available.to_string());
        }
    }
    match receipt {
        Some(ReceiptState::Durable) => put("x-tollgate-receipt", "durable"),
        Some(ReceiptState::Pending) => put("x-tollgate-receipt", "pending"),
        None => {}
    }
    headers
}
