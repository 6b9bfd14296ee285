//! What a console needs of the wire: changes with their authors, once however often they are sent;
//! alerts that people answer; and what stands behind the figures.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tollgate_backend::hub::Hub;
use tollgate_backend::registry::Registry;
use tollgate_shared::alert::{Alert, AlertState};
use tollgate_shared::api::{AlertList, AuditList, BudgetView};
use tollgate_shared::body::Body;
use tollgate_shared::circuit::FAULTS_TO_OPEN;
use tollgate_shared::provider::{Dialect, Registration};
use tollgate_tests::{House, Reply, simulator};

#[path = "console_wire/alerts.rs"]
mod alerts;
#[path = "console_wire/changes.rs"]
mod changes;
#[path = "console_wire/days.rs"]
mod days;
#[path = "console_wire/why.rs"]
mod why;

/// A request with headers of its own.
async fn send(
    house: &House,
    (method, url): (&str, String),
    headers: &[(&str, &str)],
    body: &Value,
) -> anyhow::Result<Reply> {
    let method = reqwest::Method::from_bytes(method.as_bytes())?;
    let mut request = house.client().request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_null() {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Reply { status, headers, text: response.text().await? })
}

/// Asks until the answer is the wanted one, with a bound; fails with the last one.
async fn ask_until<T: PartialEq + std::fmt::Debug>(
    wanted: T,
    mut ask: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let found = ask().await?;
        if found == wanted {
            return Ok(());
        }
        let is_late = tokio::time::Instant::now() >= deadline;
        ensure!(!is_late, "it stays {found:?} and never is {wanted:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A registry of its own with the provider `p`, and two more of its model, so that its circuit may
/// open by itself.
fn registry(dir: &std::path::Path, hub: &Hub) -> anyhow::Result<Arc<Registry>> {
    let registry = Registry::open(&dir.join("providers.db"), hub.clone())?;
    for name in ["p", "q", "s"] {
        registry.register(registration(name, 1)?, None)?;
    }
    Ok(Arc::new(registry))
}

fn registration(name: &str, port: u16) -> anyhow::Result<Registration> {
    let body = json!({"name": name, "model": "gpt-4", "context_window": 4096,
        "endpoint": format!("http://127.0.0.1:{port}"), "free": true});
    Ok(Registration::from_body(Body::parse(body.to_string().as_bytes())?)?)
}

async fn audit(house: &House) -> anyhow::Result<AuditList> {
    house.get(&house.gateway("/audit")).await?.read()
}

async fn alerts_in(house: &House, state: &str) -> anyhow::Result<Vec<Alert>> {
    let url = house.gateway(&format!("/alerts?state={state}"));
    let list: AlertList = house.get(&url).await?.read()?;
    Ok(list.alerts)
}
