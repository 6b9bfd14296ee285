//! What operators do to runs, and what trees of budgets hold: judged by the provider's bill.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tollgate_backend::config::Config;
use tollgate_shared::api::{AccountView, BudgetView, UnknownList};
use tollgate_shared::money::Usd;
use tollgate_shared::provider::Dialect;
use tollgate_shared::receipt::{Receipt, Status};
use tollgate_tests::{House, Reply, billed, chat, faulty, simulator, until};

/// A house with one provider of `gpt-4`.
async fn furnished(
    change: impl FnOnce(&mut Config),
) -> anyhow::Result<(House, tollgate_backend::simulate::Simulator)> {
    let house = House::open_with(change).await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    Ok((house, provider))
}

async fn step(house: &House, run: &str, verb: &str, body: &str) -> anyhow::Result<Reply> {
    house.post_text(&house.gateway(&format!("/runs/{run}/{verb}")), body).await
}

async fn set(house: &House, body: serde_json::Value) -> anyhow::Result<BudgetView> {
    let reply = house.post(&house.gateway("/budget"), &body).await?;
    ensure!(reply.status == 200, "{}", reply.text);
    reply.read()
}

fn usd(text: &str) -> Usd {
    text.parse().expect("an amount")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_waits_and_goes_on_when_it_is_resumed() -> anyhow::Result<()> {
    let (house, provider) = furnished(|config| config.pause_wait = Duration::from_secs(60)).await?;
    house.budget("r", "1").await?;
    let paused: BudgetView = step(&house, "r", "pause", "").await?.read()?;
    assert_eq!(serde_json::to_value(paused.state)?, "paused");
    let url = house.gateway("/route");
    let client = house.client().clone();
    let body = chat("r", "gpt-4", "wait for me").to_string();
    let waiting = tokio::spawn(async move {
        let sent = client.post(url).header("content-type", "application/json").body(body).send();
        anyhow::Ok(sent.await?.status().as_u16())
    });
    // It has not reached the provider, however often one looks, until the run goes on.
    for _ in 0..20 {
        house.budget_of("r").await?;
        assert_eq!(provider.bill().count, 0);
    }
    ensure!(!waiting.is_finished());
    assert_eq!(step(&house, "r", "resume", "{}").await?.status, 200);
    assert_eq!(waiting.await??, 200);
    assert_eq!(provider.bill().count, 1);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_lasts_and_a_close_are_told_as_what_they_are() -> anyhow::Result<()> {
    let (house, provider) = furnished(|config| {
        config.contention_wait = Duration::from_millis(1);
        config.pause_wait = Duration::from_millis(20);
    })
    .await?;
    house.budget("r", "1").await?;
    step(&house, "r", "pause", "").await?;
    let refused = house.route("r", "gpt-4", "hello").await?;
    assert_eq!((refused.status, refused.code().as_str()), (409, "run_paused"));
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    step(&house, "r", "close", r#"{"note":"done"}"#).await?;
    let refused = house.route("r", "gpt-4", "hello").await?;
    assert_eq!((refused.status, refused.code().as_str()), (409, "run_closed"));
    let again = step(&house, "r", "pause", "").await?;
    assert_eq!((again.status, again.code().as_str()), (409, "run_closed"));
    let bare = step(&house, "r", "resume", r#"{"note":"  "}"#).await?;
    assert_eq!((bare.status, bare.code().as_str()), (422, "note_required"));
    assert_eq!(step(&house, "r", "resume", r#"{"note":"not done"}"#).await?.status, 200);
    assert_eq!(house.route("r", "gpt-4", "hello").await?.status, 200);
    assert_eq!(step(&house, "nobody", "pause", "").await?.code(), "unknown_run");
    assert_eq!(provider.bill().count, 1);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_run_goes_on_when_somebody_says_why() -> anyhow::Result<()> {
    let (house, provider) = furnished(|_| {}).await?;
    house.budget("r", "1").await?;
    let mut request = chat("r", "gpt-4", "[fault:over_cap] [out:50] please");
    request["payload"]["max_tokens"] = json!(10);
    house.post(&house.gateway("/route"), &request).await?;
    assert_eq!(house.route("r", "gpt-4", "hello").await?.code(), "run_frozen");
    assert_eq!(step(&house, "r", "resume", "").await?.code(), "note_required");
    step(&house, "r", "resume", r#"{"note":"the provider credited it"}"#).await?;
    // The run may go on; who broke their word is another question.
    assert_eq!(house.route("r", "gpt-4", "hello").await?.code(), "unbounded_request");
    house.register("only", "gpt-4", &provider).await?;
    assert_eq!(house.route("r", "gpt-4", "hello").await?.status, 200);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn children_and_agents_share_what_is_above_them() -> anyhow::Result<()> {
    let (house, provider) = furnished(|config| {
        config.contention_wait = Duration::from_millis(200);
        config.pause_wait = Duration::from_millis(200);
    })
    .await?;
    set(&house, json!({"run_id": "top", "budget_usd": "0.05"})).await?;
    for child in ["left", "right"] {
        set(&house, json!({"run_id": child, "budget_usd": 10, "parent": "top"})).await?;
    }
    set(&house, json!({"run_id": "left", "agent": "tester", "budget_usd": "0.01"})).await?;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..80 {
        let (client, url) = (house.client().clone(), house.gateway("/route"));
        let run = if number % 2 == 0 { "left" } else { "right" };
        let mut body = chat(run, "gpt-4", "[out:40] share it");
        body["payload"]["max_tokens"] = json!(40);
        calls.spawn(async move {
            let sent = client.post(url).header("content-type", "application/json");
            let reply = sent.body(body.to_string()).send().await?;
            anyhow::Ok((reply.status().as_u16(), reply.text().await?))
        });
    }
    let mut refused = std::collections::BTreeSet::new();
    while let Some(call) = calls.join_next().await {
        let (status, text) = call??;
        if status != 200 {
            let error: serde_json::Value = serde_json::from_str(&text)?;
            refused.insert(error["error"]["message"].as_str().unwrap_or_default().to_owned());
        }
    }
    let spent = billed([&provider.bill()]);
    ensure!(spent <= usd("0.05") && spent > usd("0.03"), "{spent} was billed below one parent");
    let left: Usd = house.receipts("left").await?.iter().map(|one| one.cost_usd).sum();
    ensure!(left <= usd("0.01") && !left.is_zero(), "the agent spent {left}");
    let view = house.budget_of("left").await?;
    let kinds: Vec<_> = view.accounts.iter().map(|one| (one.name.clone(), one.spent_usd)).collect();
    assert_eq!(kinds, [(Some("tester".into()), left), (Some("top".into()), spent)]);
    assert_eq!(house.budget_of("top").await?.spent_usd, spent);
    assert_eq!(view.parent.map(|run| run.to_string()), Some("top".into()));
    let named = |owner: &str| refused.iter().any(|message| message.contains(owner));
    ensure!(named("agent `tester` of run `left`") && named("run `top`"), "{refused:?}");
    let place = |run: &str, parent: &str| json!({"run_id": run, "budget_usd": 1, "parent": parent});
    let url = house.gateway("/budget");
    assert_eq!(house.post(&url, &place("left", "x")).await?.code(), "parent_fixed");
    assert_eq!(house.post(&url, &place("new", "new")).await?.code(), "invalid_parent");
    // A parent that is paused stops everyone below it.
    step(&house, "top", "pause", "").await?;
    assert_eq!(house.route("right", "gpt-4", "hello").await?.code(), "run_paused");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_limit_counts_what_it_spent_before_and_survives_a_restart() -> anyhow::Result<()>
{
    let (mut house, provider) = furnished(|_| {}).await?;
    for _ in 0..3 {
        house.route("r", "gpt-4", "[out:20] before there was a limit").await?;
    }
    let spent = billed([&provider.bill()]);
    let view = set(&house, json!({"run_id": "r", "agent": "tester", "budget_usd": 1})).await?;
    assert_eq!(view.accounts[0].spent_usd, spent);
    let fleet = json!({"budget_usd": "0.5", "note": "careful"});
    let fleet: AccountView = house.post(&house.gateway("/fleet/budget"), &fleet).await?.read()?;
    assert_eq!((fleet.spent_usd, fleet.budget_usd), (spent, Some(usd("0.5"))));
    house.restart().await?;
    let after = house.budget_of("r").await?;
    assert_eq!(after.accounts[0].spent_usd, spent);
    assert_eq!(after.accounts[1].spent_usd, spent, "the fleet counts the day");
    let low = json!({"budget_usd": "0.00001"});
    house.post(&house.gateway("/fleet/budget"), &low).await?;
    let refused = house.route("r", "gpt-4", "hello").await?;
    assert_eq!(refused.code(), "budget_exhausted");
    ensure!(refused.text.contains("the fleet"), "{}", refused.text);
    let none = json!({"budget_usd": null});
    house.post(&house.gateway("/fleet/budget"), &none).await?;
    assert_eq!(house.route("r", "gpt-4", "hello").await?.status, 200);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_resolved_once_with_evidence() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = faulty("bill_then_500:1").await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("r", "1").await?;
    let mut body = chat("r", "gpt-4", "lost");
    body["request_id"] = json!("req-1");
    assert_eq!(house.post(&house.gateway("/route"), &body).await?.status, 502);
    let list: UnknownList = house.get(&house.gateway("/unknowns")).await?.read()?;
    let lost = &list.unknowns[0];
    let before = house.budget_of("r").await?;
    assert_eq!(before.unknown_usd, lost.held_usd);
    let url = house.gateway(&format!("/unknowns/{}/resolve", lost.attempt_id));
    let cost = provider.bill().total_cost_usd;
    let found = json!({"outcome": "posted", "cost_usd": cost, "evidence": "the bill", "by": "sam"});
    let reply = house.post(&url, &found).await?;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let correction: Receipt = reply.read()?;
    assert_eq!((correction.status, correction.corrects), (Status::Correction, Some(1)));
    assert_eq!(correction.cost_usd, cost - lost.held_usd);
    assert_eq!(correction.evidence.as_deref(), Some("the bill (sam)"));
    let after = house.budget_of("r").await?;
    assert_eq!((after.spent_usd, after.unknown_usd, after.posted_usd), (cost, Usd::ZERO, cost));
    let sum: Usd = house.receipts("r").await?.iter().map(|one| one.cost_usd).sum();
    assert_eq!(sum, cost, "the file adds up to the bill");
    let again = house.post(&url, &found).await?;
    assert_eq!((again.status, again.code().as_str()), (404, "unknown_attempt"));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_sent_again_when_asked_and_both_are_charged() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = faulty("bill_then_500:1").await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("r", "1").await?;
    let mut body = chat("r", "gpt-4", "lost");
    body["request_id"] = json!("req-1");
    let send = |flag: Option<&'static str>| {
        let mut request = house.client().post(house.gateway("/route"));
        request = request.header("content-type", "application/json");
        if let Some(flag) = flag {
            request = request.header("x-tollgate-retry-unknown", flag);
        }
        request.body(body.to_string()).send()
    };
    assert_eq!(send(None).await?.status().as_u16(), 502);
    assert_eq!(send(None).await?.status().as_u16(), 409);
    assert_eq!(send(Some("yes")).await?.status().as_u16(), 422);
    assert_eq!(provider.bill().count, 1);
    assert_eq!(send(Some("1")).await?.status().as_u16(), 502);
    assert_eq!(provider.bill().count, 2);
    let receipts = house.receipts("r").await?;
    assert_eq!(receipts.iter().map(|one| one.attempt).collect::<Vec<_>>(), [1, 2]);
    ensure!(house.budget_of("r").await?.spent_usd >= provider.bill().total_cost_usd);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_explains_is_posted_at_its_hold_in_the_end() -> anyhow::Result<()> {
    let house = House::open_with(|config| config.unknown_ttl = Duration::from_millis(1)).await?;
    let provider = faulty("bill_then_500:1").await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("r", "1").await?;
    house.route("r", "gpt-4", "lost").await?;
    let file = house.path("costs/r.jsonl");
    let corrected = || std::fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == 2);
    until("it is taken for granted", corrected).await?;
    let receipts = house.receipts("r").await?;
    assert_eq!((receipts[1].status, receipts[1].cost_usd), (Status::Correction, Usd::ZERO));
    let budget = house.budget_of("r").await?;
    assert_eq!((budget.unknown_usd, budget.posted_usd), (Usd::ZERO, receipts[0].held_usd));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn soft_and_expected_say_how_far_they_can_be_passed() -> anyhow::Result<()> {
    let (house, provider) = furnished(|_| {}).await?;
    set(&house, json!({"run_id": "soft", "budget_usd": "0.0001", "mode": "soft"})).await?;
    for _ in 0..3 {
        assert_eq!(house.route("soft", "gpt-4", "[out:50] go on").await?.status, 200);
    }
    let view = house.budget_of("soft").await?;
    let limit = view.budget_usd.context("no limit")?;
    assert_eq!(view.max_overshoot_usd, provider.bill().total_cost_usd - limit);
    ensure!(!view.blocked && view.spent_usd > limit);
    let receipts = house.receipts("soft").await?;
    ensure!(receipts[1].flags.contains(&"past_limit".to_owned()), "{:?}", receipts[1].flags);
    ensure!(receipts[1].cap.is_some(), "a soft run is capped all the same");

    set(&house, json!({"run_id": "guess", "budget_usd": 1, "mode": "expected"})).await?;
    for _ in 0..10 {
        house.route("guess", "gpt-4", "[out:50] short").await?;
    }
    let receipts = house.receipts("guess").await?;
    let (first, last) = (&receipts[0], receipts.last().context("no receipt")?);
    ensure!(last.held_usd < first.held_usd, "{} is held after {}", last.held_usd, first.held_usd);
    assert_eq!(last.cap, None, "an expected run is forwarded as it is");
    let long = house.route("guess", "gpt-4", "[out:900] long").await?;
    assert_eq!(long.status, 200);
    let passed = house.receipts("guess").await?.pop().context("no receipt")?;
    ensure!(passed.cost_usd > passed.held_usd && passed.flags == ["expected"], "{passed:?}");
    assert_eq!(house.route("guess", "gpt-4", "and on").await?.status, 200, "no freeze");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_opened_by_its_agent_or_child_has_the_default_budget() -> anyhow::Result<()> {
    let default = usd("0.5");
    let (mut house, _provider) = furnished(|config| config.default_budget = Some(default)).await?;
    set(&house, json!({"run_id": "of-agent", "agent": "tester", "budget_usd": 9})).await?;
    set(&house, json!({"run_id": "child", "parent": "of-child", "budget_usd": 9})).await?;
    // Kept as well: the restarted backend has no default to fall back on.
    for _ in 0..2 {
        for run in ["of-agent", "of-child"] {
            assert_eq!(house.budget_of(run).await?.budget_usd, Some(default), "{run}");
        }
        house.restart().await?;
    }
    house.leave().await
}
