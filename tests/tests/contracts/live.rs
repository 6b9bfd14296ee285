//! What a running backend answers is valid by its contracts, and it takes and refuses the same
//! bodies as they do.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use serde_json::json;
use tollgate_shared::event::Event;
use tollgate_shared::provider::Dialect;
use tollgate_tests::{House, Reply, chat, simulator};

use crate::book::Book;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_valid() -> anyhow::Result<()> {
    let (book, house) = (Book::open(), House::open().await?);
    let answers = Answers { book: &book };
    let provider = simulator(Dialect::Openai).await?;
    let (mut socket, _) = tokio_tungstenite::connect_async(house.socket("")).await?;

    let slo = json!({"slo": {"latency_p95_ms": 2000, "throughput": 42.5, "availability": 0.999}});
    answers.valid("provider", 201, &house.register_with("one", "gpt-4", &provider, slo).await?)?;
    house.register("two", "gpt-4", &provider).await?;
    let question = json!({"requirements": {"model": "gpt-4"}});
    let url = house.router("/select");
    answers.valid("select_answer", 200, &house.post(&url, &question).await?)?;
    let nobody = json!({"requirements": {"model": "gpt-9"}});
    answers.valid("error", 404, &house.post(&url, &nobody).await?)?;

    let budget = json!({"run_id": "my-run", "budget_usd": "10.0", "mode": "hard"});
    answers.valid("budget", 200, &house.post(&house.gateway("/budget"), &budget).await?)?;
    let routed = house.route("my-run", "gpt-4", "Hello!").await?;
    answers.valid("route_answer", 200, &routed)?;
    let request_id = routed.json()["request_id"].as_str().unwrap_or_default().to_owned();
    let probe = house.router("/providers/one/probe");
    answers.valid("probe", 200, &house.post(&probe, &json!({})).await?)?;
    house.budget("tight", "0.000001").await?;
    answers.valid("error", 402, &house.route("tight", "gpt-4", "Hello!").await?)?;
    // The alert is told behind the answer, by the projection.
    let alerts = house.gateway("/alerts");
    for tries in 1.. {
        if house.get(&alerts).await?.text.contains("budget:tight") {
            break;
        }
        ensure!(tries < 2_000, "the refusal raised no alert");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let known = json!({"minutes": 30, "note": "it is meant to be"});
    let snooze = house.gateway("/alerts/budget:tight/snooze");
    answers.valid("alert", 200, &house.post(&snooze, &known).await?)?;
    let mut stream = chat("my-run", "gpt-4", "Hello again!");
    stream["payload"]["stream"] = json!(true);
    ensure!(house.post(&house.gateway("/route"), &stream).await?.status == 200);
    let gone = house.client().delete(house.router("/providers/two")).send().await?;
    ensure!(gone.status().as_u16() == 200);

    for (schema, url) in [
        ("provider", house.router("/providers/two")),
        ("providers", house.router("/providers?status=all")),
        ("router_stats", house.router("/stats")),
        ("health", house.router("/health")),
        ("receipts", house.gateway("/receipts/my-run")),
        ("metrics", house.gateway("/metrics?window=minute")),
        ("metrics", house.gateway("/metrics?window=hour")),
        ("metrics", house.gateway("/metrics?window=day")),
        ("budget", house.gateway("/budget/my-run")),
        ("budgets", house.gateway("/budgets")),
        ("runs", house.gateway("/runs")),
        ("account", house.gateway("/fleet/budget")),
        ("unknowns", house.gateway("/unknowns")),
        ("audit", house.gateway("/audit")),
        ("daily_report", house.gateway("/report/daily?days=2")),
        ("receipts", house.gateway("/receipts/my-run?tail=1")),
        ("explain", house.gateway(&format!("/explain/{request_id}"))),
        ("alerts", house.gateway("/alerts?state=all")),
        ("health", house.gateway("/health")),
        ("stream_stats", house.events("/stats")),
        ("health", house.events("/health")),
    ] {
        answers.valid(schema, 200, &house.get(&url).await?).context(url)?;
    }
    for url in [house.gateway("/nowhere"), house.gateway("/budget/nobody")] {
        answers.valid("error", 404, &house.get(&url).await?)?;
    }

    let mut wanted = vec![
        "hello", "snapshot", "provider", "budget", "refusal", "receipts", "tick", "audit", "alert",
    ];
    let frames = tokio::time::timeout(Duration::from_secs(20), async {
        while !wanted.is_empty() {
            let message = socket.next().await.context("the stream ended")??;
            let Ok(text) = message.to_text() else { continue };
            book.check("event", text).map_err(|why| anyhow::anyhow!("{why}: {text}"))?;
            ensure!(Event::read(text)?.is_some(), "an unknown frame: {text}");
            let value: serde_json::Value = serde_json::from_str(text)?;
            wanted.retain(|kind| value["type"] != *kind);
        }
        anyhow::Ok(())
    });
    frames.await.context("some kind of frame never came")??;
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_taken_or_refused_as_the_examples_say() -> anyhow::Result<()> {
    let (book, house) = (Book::open(), House::open().await?);
    let provider = simulator(Dialect::Openai).await?;
    house.register("somebody", "some-model", &provider).await?;
    for (schema, url) in [
        ("circuit_request", house.router("/providers/somebody/circuit")),
        ("provider_registration", house.router("/register")),
        ("budget_request", house.gateway("/budget")),
        ("fleet_request", house.gateway("/fleet/budget")),
        ("state_request", house.gateway("/runs/my-run/pause")),
    ] {
        for example in book.examples(schema, "valid") {
            let reply = house.post_text(&url, &example.text).await?;
            ensure!(reply.status < 300, "{schema}/{}: {}", example.name, reply.text);
        }
    }
    for (schema, url) in [
        ("circuit_request", house.router("/providers/somebody/circuit")),
        ("provider_registration", house.router("/register")),
        ("select_request", house.router("/select")),
        ("routing_request", house.gateway("/route")),
        ("budget_request", house.gateway("/budget")),
        ("fleet_request", house.gateway("/fleet/budget")),
        ("state_request", house.gateway("/runs/my-run/pause")),
        ("ack_request", house.gateway("/alerts/budget:my-run/ack")),
        ("snooze_request", house.gateway("/alerts/budget:my-run/snooze")),
        ("resolve_request", house.gateway("/unknowns/019ab1c2/resolve")),
    ] {
        for kind in ["invalid", "beyond"] {
            for example in book.examples(schema, kind) {
                let reply = house.post_text(&url, &example.text).await?;
                let place = format!("{schema}/{kind}/{}: {}", example.name, reply.text);
                ensure!(matches!(reply.status, 400 | 422), "{} {place}", reply.status);
                book.check("error", &reply.text)
                    .map_err(|why| anyhow::anyhow!("{place}: {why}"))?;
            }
        }
    }
    house.leave().await
}

struct Answers<'a> {
    book: &'a Book,
}

impl Answers<'_> {
    fn valid(&self, schema: &str, status: u16, reply: &Reply) -> anyhow::Result<()> {
        ensure!(reply.status == status, "{schema}: {} {}", reply.status, reply.text);
        self.book
            .check(schema, &reply.text)
            .map_err(|why| anyhow::anyhow!("{schema}: {why}: {}", reply.text))
    }
}
