//! One request id, one bill: what a repeated request gets.

use std::sync::Arc;

use anyhow::Context;
use serde_json::json;
use tollgate_shared::provider::Dialect;
use tollgate_tests::{House, chat, faulty, simulator};

fn named(run_id: &str, request_id: &str, message: &str) -> serde_json::Value {
    let mut request = chat(run_id, "gpt-4", message);
    request["request_id"] = json!(request_id);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_request_is_not_paid_twice() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("my-run", "1").await?;
    let url = house.gateway("/route");
    let first = house.post(&url, &named("my-run", "req-001", "hello")).await?;
    assert_eq!(first.status, 200);
    let again = house.post(&url, &named("my-run", "req-001", "hello")).await?;
    assert_eq!((again.status, again.code().as_str()), (409, "already_completed"));
    assert_eq!(again.header("x-should-retry"), Some("false"));
    assert_eq!(
        again.json()["error"]["message"],
        "request_id `req-001` was already completed in run `my-run`; send a new id, or none"
    );
    let other = house.post(&url, &named("my-run", "req-001", "something else")).await?;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_mismatch"));
    let elsewhere = house.post(&url, &named("other-run", "req-001", "hello")).await?;
    assert_eq!(elsewhere.status, 200, "an id is a name within its run");
    assert_eq!(provider.bill().count, 2);

    let mut house = house;
    house.restart().await?;
    let after = house.post(&house.gateway("/route"), &named("my-run", "req-001", "hello")).await?;
    assert_eq!(after.code(), "already_completed", "also after a restart");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_are_one_attempt() -> anyhow::Result<()> {
    let house = Arc::new(House::open().await?);
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("once", "1").await?;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let house = Arc::clone(&house);
            let request = named("once", "req-1", "[slow:100ms] hello");
            tokio::spawn(async move { house.post(&house.gateway("/route"), &request).await })
        })
        .collect();
    let mut answered = 0;
    for call in calls {
        let reply = call.await??;
        match (reply.status, reply.code().as_str()) {
            (200, _) => answered += 1,
            (409, "request_in_progress" | "already_completed") => {}
            _ => panic!("{}: {}", reply.status, reply.text),
        }
    }
    assert_eq!((answered, provider.bill().count), (1, 1));
    Arc::try_unwrap(house).ok().context("someone is still in the house")?.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_or_voided_is_judged_afresh() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("poor", "0.0001").await?;
    let url = house.gateway("/route");
    let refused = house.post(&url, &named("poor", "req-1", "hello")).await?;
    assert_eq!(refused.code(), "budget_exhausted");
    house.budget("poor", "1").await?;
    assert_eq!(house.post(&url, &named("poor", "req-1", "hello")).await?.status, 200);

    let busy = named("poor", "req-2", "[fault:status429] hello");
    let turned_away = house.post(&url, &busy).await?;
    assert_eq!((turned_away.status, turned_away.code().as_str()), (503, "providers_busy"));
    let again = house.post(&url, &busy).await?;
    assert_eq!(again.code(), "providers_busy", "tried again: nothing had been billed");
    let receipts = house.receipts("poor").await?;
    let attempts: Vec<_> = receipts.iter().map(|receipt| receipt.attempt).collect();
    assert_eq!(attempts, [1, 1, 2]);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_attempt_is_not_forgotten_behind_a_voided_fallback() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (billing, busy) = (faulty("bill_then_500:1").await?, faulty("status429:1").await?);
    let cheap = json!({"cost_per_input_token": "0.00001", "cost_per_output_token": "0.00001"});
    house.register_with("first", "gpt-4", &billing, cheap).await?;
    house.register("second", "gpt-4", &busy).await?;
    house.budget("both", "5").await?;
    let (url, request) = (house.gateway("/route"), named("both", "req-1", "hello"));
    assert_eq!(house.post(&url, &request).await?.code(), "providers_busy");
    let again = house.post(&url, &request).await?;
    assert_eq!((again.status, again.code().as_str()), (409, "outcome_unknown"));
    assert_eq!(billing.bill().count, 1);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_never_repeated_unasked() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("lost", "1").await?;
    let request = named("lost", "req-1", "[fault:bill_then_500] hello");
    let url = house.gateway("/route");
    assert_eq!(house.post(&url, &request).await?.status, 502);
    let again = house.post(&url, &request).await?;
    assert_eq!((again.status, again.code().as_str()), (409, "outcome_unknown"));
    assert_eq!(provider.bill().count, 1);
    house.leave().await
}
