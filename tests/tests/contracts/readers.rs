//! How the program itself reads each shape, and what it writes back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_backend::upstream::dialect::Shape;
use tollgate_shared::alert::Alert;
use tollgate_shared::api::{
    AccountView, AckRequest, AlertList, AuditList, BudgetList, BudgetRequest, BudgetView,
    DailyReport, ErrorBody, ExplainView, FleetRequest, Health, MetricsView, ProbeView,
    ProviderList, ReceiptList, ResolveRequest, RouteAnswer, RouteRequest, RouterStats, RunList,
    SelectAnswer, SelectRequest, SnoozeRequest, StateRequest, StreamStats, UnknownList,
};
use tollgate_shared::body::Body;
use tollgate_shared::circuit::CircuitState;
use tollgate_shared::event::Event;
use tollgate_shared::provider::{ProviderView, Registration};
use tollgate_shared::receipt::Receipt;

/// Reads a text as its shape; answers what the program writes of it, where it ever does.
pub fn read(schema: &str, text: &str) -> Result<Option<String>, String> {
    match schema {
        "provider_registration" => {
            Registration::from_body(body(text)?).map_err(|error| error.to_string())?;
            Ok(None)
        }
        "routing_request" => {
            let request = RouteRequest::from_body(body(text)?).map_err(|e| e.to_string())?;
            Shape::of(&request.payload).map_err(|error| error.to_string())?;
            Ok(None)
        }
        "select_request" => {
            let request = SelectRequest::from_body(body(text)?).map_err(|e| e.to_string())?;
            written(&request)
        }
        "budget_request" => {
            let request = BudgetRequest::from_body(body(text)?).map_err(|e| e.to_string())?;
            written(&request)
        }
        "fleet_request" => {
            written(&FleetRequest::from_body(body(text)?).map_err(|e| e.to_string())?)
        }
        "state_request" => {
            written(&StateRequest::from_body(body(text)?).map_err(|e| e.to_string())?)
        }
        "resolve_request" => {
            written(&ResolveRequest::from_body(body(text)?).map_err(|e| e.to_string())?)
        }
        "ack_request" => written(&AckRequest::from_body(body(text)?).map_err(|e| e.to_string())?),
        "snooze_request" => {
            written(&SnoozeRequest::from_body(body(text)?).map_err(|e| e.to_string())?)
        }
        "circuit_request" => circuit(text).map(|()| None),
        "routing_receipt" => receipt(text).map(Some),
        "receipts" => {
            let list: ReceiptList = typed(text)?;
            for line in &list.receipts {
                typed::<Receipt>(line.get())?;
            }
            written(&list)
        }
        "event" => match Event::read(text).map_err(|error| error.to_string())? {
            Some(event) => written(&event),
            None => Ok(None),
        },
        "provider" => through::<ProviderView>(text),
        "providers" => through::<ProviderList>(text),
        "select_answer" => through::<SelectAnswer>(text),
        "router_stats" => through::<RouterStats>(text),
        "route_answer" => through::<RouteAnswer>(text),
        "budget" => through::<BudgetView>(text),
        "budgets" => through::<BudgetList>(text),
        "account" => through::<AccountView>(text),
        "unknowns" => through::<UnknownList>(text),
        "runs" => through::<RunList>(text),
        "alert" => through::<Alert>(text),
        "alerts" => through::<AlertList>(text),
        "audit" => through::<AuditList>(text),
        "daily_report" => through::<DailyReport>(text),
        "explain" => through::<ExplainView>(text),
        "probe" => through::<ProbeView>(text),
        "metrics" => through::<MetricsView>(text),
        "error" => through::<ErrorBody>(text),
        "health" => through::<Health>(text),
        "stream_stats" => through::<StreamStats>(text),
        other => Err(format!("nobody reads `{other}`")),
    }
}

fn body(text: &str) -> Result<Body, String> {
    Body::parse(text.as_bytes()).map_err(|error| error.to_string())
}

fn typed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn written<T: Serialize>(value: &T) -> Result<Option<String>, String> {
    serde_json::to_string(value).map(Some).map_err(|error| error.to_string())
}

fn through<T: DeserializeOwned + Serialize>(text: &str) -> Result<Option<String>, String> {
    written(&typed::<T>(text)?)
}

/// A receipt is written sealed.
fn receipt(text: &str) -> Result<String, String> {
    typed::<Receipt>(text)?.seal().map_err(|error| error.to_string())
}

/// The door reads this body itself; `live` sends the same examples to it.
fn circuit(text: &str) -> Result<(), String> {
    let mut body = body(text)?;
    let sentence = |error: tollgate_shared::body::BodyError| error.to_string();
    body.require::<CircuitState>("state").map_err(sentence)?;
    let reason: Option<String> = body.take("reason").map_err(sentence)?;
    body.take::<u32>("for_s").map_err(sentence)?;
    body.finish().map_err(sentence)?;
    match reason.is_some_and(|it| it.len() > 200 || it.chars().any(char::is_control)) {
        true => Err("reason".into()),
        false => Ok(()),
    }
}
