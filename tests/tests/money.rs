//! A budget is a promise: judged by the provider's bill, at any concurrency.

use std::sync::Arc;

use anyhow::Context;
use serde_json::json;
use tollgate_backend::simulate::{self, Simulator};
use tollgate_shared::budget::Level;
use tollgate_shared::money::Usd;
use tollgate_shared::provider::Dialect;
use tollgate_shared::receipt::Status;
use tollgate_shared::usage::CostIs;
use tollgate_tests::{House, billed, chat, faulty, simulator};

/// What a message of these tests can cost at worst with a cap of 100: its payload's bytes and the
/// template's 48 tokens in, 100 tokens out, at 30 and 60 USD per million.
fn worst_case(payload_bytes: u64) -> Usd {
    let input: Usd = "0.00003".parse().unwrap();
    let output: Usd = "0.00006".parse().unwrap();
    input.times(payload_bytes + 48) + output.times(100)
}

fn capped(run_id: &str, cap: u64) -> serde_json::Value {
    let mut request = chat(run_id, "gpt-4", "[out:100] go");
    request["payload"]["max_tokens"] = json!(cap);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_on_a_budget_for_fifty_never_overspend() -> anyhow::Result<()> {
    let house = Arc::new(
        House::open_with(|config| config.contention_wait = std::time::Duration::from_millis(300))
            .await?,
    );
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    let request = capped("tight", 100);
    let bytes = request["payload"].to_string().len() as u64;
    let limit = worst_case(bytes).times(50);
    house.budget("tight", &limit.to_string()).await?;

    let calls = (0..200).map(|_| {
        let (house, request) = (Arc::clone(&house), request.clone());
        tokio::spawn(async move { house.post(&house.gateway("/route"), &request).await })
    });
    let (mut answered, mut refused) = (0, 0);
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await??;
        match (reply.status, reply.code().as_str()) {
            (200, _) => answered += 1,
            (402, "budget_exhausted") | (429, "budget_contended") => refused += 1,
            _ => panic!("{}: {}", reply.status, reply.text),
        }
    }
    assert_eq!(answered + refused, 200);
    assert!(answered >= 50, "{answered} were answered; 50 worst cases fit");
    let (bill, budget) = (provider.bill(), house.budget_of("tight").await?);
    assert_eq!(bill.count, answered);
    assert!(billed([&bill]) <= limit, "{} was billed of {limit}", billed([&bill]));
    assert_eq!(budget.spent_usd, billed([&bill]));
    assert_eq!(budget.held_usd, Usd::ZERO);
    let receipts = house.receipts("tight").await?;
    assert_eq!(receipts.len(), answered);
    Arc::try_unwrap(house).ok().context("someone is still in the house")?.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_equals_its_bill_to_the_last_digit() -> anyhow::Result<()> {
    let house = House::open().await?;
    let mut bills = Vec::new();
    let mut providers = Vec::new();
    for (dialect, name) in [
        (Dialect::Openai, "openai"),
        (Dialect::Anthropic, "anthropic"),
        (Dialect::Gemini, "gemini"),
    ] {
        let provider = simulator(dialect).await?;
        house.register_with(name, name, &provider, json!({"dialect": name})).await?;
        for (index, stream) in [false, true].into_iter().cycle().take(6).enumerate() {
            let mut request =
                chat("exact", name, &format!("[out:{}] {}", 7 * index + 1, "x".repeat(index * 13)));
            request["payload"]["stream"] = json!(stream);
            let reply = house.post(&house.gateway("/route"), &request).await?;
            assert_eq!(reply.status, 200, "{}", reply.text);
            assert_eq!(reply.text.contains("data: [DONE]"), stream, "{}", reply.text);
        }
        bills.push(provider.bill());
        providers.push(provider);
    }
    let receipts = house.receipts("exact").await?;
    assert_eq!(receipts.len(), 18);
    for receipt in &receipts {
        let entry = bills
            .iter()
            .flat_map(|bill| &bill.attempts)
            .find(|entry| entry.attempt_id == receipt.attempt_id.as_str())
            .context("a receipt without a bill")?;
        assert_eq!(entry.cost_usd, receipt.cost_usd);
        assert_eq!(
            (entry.input_tokens, entry.output_tokens),
            (receipt.input_tokens, receipt.output_tokens)
        );
        assert_eq!(receipt.cost.total(), receipt.cost_usd);
    }
    assert_eq!(house.budget_of("exact").await?.spent_usd, billed(&bills));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_blocks_at_its_budget_and_a_raise_unblocks_it_at_once() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("small", "0.05").await?;
    let mut levels = vec![Level::Ok];
    let refusal = loop {
        let reply = house.post(&house.gateway("/route"), &capped("small", 100)).await?;
        let level = house.budget_of("small").await?.level;
        if levels.last() != Some(&level) {
            levels.push(level);
        }
        if reply.status != 200 {
            break reply;
        }
    };
    assert_eq!((refusal.status, refusal.code().as_str()), (402, "budget_exhausted"));
    assert_eq!(refusal.header("x-should-retry"), Some("false"));
    assert!(refusal.json()["error"]["details"]["needed_usd"].is_number());
    assert_eq!(levels.first(), Some(&Level::Ok));
    assert_eq!(levels.last(), Some(&Level::Critical));
    assert!(levels.is_sorted(), "{levels:?}");
    let blocked = house.budget_of("small").await?;
    assert!(blocked.blocked && blocked.spent_usd <= blocked.budget_usd.unwrap());

    let raised = house.budget("small", "0.5").await?;
    assert_eq!((raised.blocked, raised.level), (false, Level::Ok));
    assert_eq!(house.post(&house.gateway("/route"), &capped("small", 100)).await?.status, 200);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_cap_gets_one_under_a_limit() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("capped", "0.02").await?;
    let reply = house.route("capped", "gpt-4", "[out:5000] a very long answer").await?;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let cap: u64 = reply.header("x-tollgate-output-cap").context("no cap was told")?.parse()?;
    let receipts = house.receipts("capped").await?;
    assert_eq!(receipts[0].output_tokens, cap, "the provider honoured the cap");
    assert!(receipts[0].cost_usd <= receipts[0].held_usd);
    assert!(billed([&provider.bill()]) <= "0.02".parse()?);

    let free = house.route("unlimited", "gpt-4", "[out:5000] a very long answer").await?;
    assert_eq!(free.header("x-tollgate-output-cap"), None, "no limit, no cap");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worst_case_beyond_counting_is_refused_and_the_ledger_goes_on() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    let dear = json!({"cost_per_output_token": "1000", "max_output_tokens": 100_000});
    house.register_with("dear", "diamond", &provider, dear).await?;
    for cap in [200_000_000_000_u64, u64::MAX] {
        let mut vast = capped("endless", cap);
        vast["requirements"]["model"] = json!("diamond");
        let reply = house.post(&house.gateway("/route"), &vast).await?;
        assert_eq!((reply.status, reply.code().as_str()), (422, "amount_too_large"), "{cap}");
        // A cap beyond what a model can give costs no more than the model can give.
        let large = house.post(&house.gateway("/route"), &capped("endless", cap)).await?;
        assert_eq!(large.status, 200, "{}", large.text);
    }
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_bound_is_refused_also_to_a_new_run_under_a_default_budget()
-> anyhow::Result<()> {
    let default = Some("1".parse()?);
    let house = House::open_with(|config| config.default_budget = default).await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    for (field, value) in [
        ("web_search_options", json!({})),
        ("plugins", json!([{"id": "web"}])),
        ("MAX_TOKENS", json!(100_000)),
    ] {
        let mut request = capped("fresh", 100);
        request["payload"][field] = value;
        let reply = house.post(&house.gateway("/route"), &request).await?;
        assert_eq!((reply.status, reply.code().as_str()), (422, "unbounded_request"), "{field}");
        assert!(reply.text.contains(field), "{}", reply.text);
    }
    assert_eq!(provider.bill().count, 0);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_run_sends_nothing_that_was_waiting() -> anyhow::Result<()> {
    let house = Arc::new(House::open().await?);
    let provider = simulator(Dialect::Openai).await?;
    house.register("cheat", "gpt-4", &provider).await?;
    let mut first = capped("frozen", 100);
    first["payload"]["messages"][0]["content"] =
        json!("[fault:over_cap] [slow:500ms] [out:120] go");
    let bytes = first["payload"].to_string().len() as u64;
    let limit = worst_case(bytes).times(3).half();
    let budget = json!({"run_id": "frozen", "budget_usd": limit.to_string(), "mode": "hard"});
    assert_eq!(house.post(&house.gateway("/budget"), &budget).await?.status, 200);
    let ask = |request: serde_json::Value| {
        let house = Arc::clone(&house);
        tokio::spawn(async move { house.post(&house.gateway("/route"), &request).await })
    };
    let cheating = ask(first);
    while house.budget_of("frozen").await?.held_usd.is_zero() {}
    let waiting = ask(capped("frozen", 100));
    assert_eq!(cheating.await??.status, 200);
    let refused = waiting.await??;
    assert_eq!((refused.status, refused.code().as_str()), (409, "run_frozen"), "{}", refused.text);
    assert_eq!(provider.bill().count, 1);
    Arc::try_unwrap(house).ok().context("someone is still in the house")?.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_pays_once_and_says_who_failed() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (broken, sound) = (faulty("status503:1").await?, simulator(Dialect::Openai).await?);
    let prices = json!({"pricing": {"bills_on_5xx": "never"},
        "cost_per_input_token": "0.00001", "cost_per_output_token": "0.00001"});
    house.register_with("cheap-but-broken", "gpt-4", &broken, prices).await?;
    house.register("sound", "gpt-4", &sound).await?;
    house.budget("fall", "1").await?;
    let reply = house.route("fall", "gpt-4", "hello").await?;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!((&reply.json()["fallback"], &reply.json()["attempts"]), (&json!(true), &json!(2)));
    let receipts = house.receipts("fall").await?;
    let facts: Vec<_> = receipts.iter().map(|receipt| (receipt.status, receipt.attempt)).collect();
    assert_eq!(facts, [(Status::Voided, 1), (Status::Fallback, 2)]);
    assert_eq!(
        receipts[1].fallback_from.as_ref().map(|name| name.as_str()),
        Some("cheap-but-broken")
    );
    assert_eq!(house.budget_of("fall").await?.spent_usd, billed([&sound.bill(), &broken.bill()]));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_costs_nothing_and_leaves_no_receipt() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (gone, sound) = (simulator(Dialect::Openai).await?, simulator(Dialect::Openai).await?);
    let cheap = json!({"cost_per_input_token": "0.00001", "cost_per_output_token": "0.00001"});
    house.register_with("gone", "gpt-4", &gone, cheap).await?;
    house.register("sound", "gpt-4", &sound).await?;
    gone.stop().await;
    house.budget("down", "1").await?;
    let reply = house.route("down", "gpt-4", "hello").await?;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let receipts = house.receipts("down").await?;
    assert_eq!(receipts.len(), 1, "nothing was sent to the one that was down");
    assert_eq!((receipts[0].status, receipts[0].attempt), (Status::Fallback, 1));
    let metrics = house.get(&house.gateway("/metrics?window=minute")).await?.json();
    assert_eq!(metrics["total_requests"], 1, "one request reached a provider");
    assert_eq!(receipts[0].fallback_from.as_ref().map(|name| name.as_str()), Some("gone"));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_billed_stays_charged_at_its_hold() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("careful", "5").await?;
    for (fault, status, code) in [
        ("bill_then_500", Status::Unknown, 502),
        ("no_usage", Status::Success, 200),
        ("negative_usage", Status::Success, 200),
        ("garbage", Status::Error, 502),
    ] {
        let run_id = format!("careful-{fault}");
        house.budget(&run_id, "5").await?;
        let reply = house.route(&run_id, "gpt-4", &format!("[fault:{fault}] hello")).await?;
        assert_eq!(reply.status, code, "{fault}: {}", reply.text);
        let receipts = house.receipts(&run_id).await?;
        assert_eq!(receipts[0].status, status, "{fault}");
        assert_eq!(receipts[0].cost_usd, receipts[0].held_usd, "{fault}");
        let entry = provider
            .bill()
            .attempts
            .into_iter()
            .find(|entry| entry.attempt_id == receipts[0].attempt_id.as_str());
        let bill = entry.map(|entry| entry.cost_usd).unwrap_or_default();
        assert!(bill <= receipts[0].cost_usd, "{fault}: billed {bill}");
    }
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_is_an_error_to_its_client_and_charged_with_care() -> anyhow::Result<()>
{
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("cut", "5").await?;
    let mut request = chat("cut", "gpt-4", "[fault:cut] [out:60] tell me more");
    request["payload"]["stream"] = json!(true);
    let reply = house.post(&house.gateway("/route"), &request).await?;
    assert!(reply.text.contains("\"error\"") && !reply.text.contains("[DONE]"), "{}", reply.text);
    let receipts = house.receipts("cut").await?;
    assert_eq!(receipts[0].status, Status::CutOff);
    assert!(billed([&provider.bill()]) <= receipts[0].cost_usd, "never below what was billed");
    let budget = house.budget_of("cut").await?;
    assert_eq!(budget.uncertain_usd, receipts[0].held_usd - receipts[0].cost_usd);
    let limit: Usd = "5".parse()?;
    assert_eq!(budget.available_usd, Some(limit - receipts[0].held_usd), "not given again");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_told_its_usage_before_it_broke_is_charged_exactly() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("told", "5").await?;
    let mut request = chat("told", "gpt-4", "[fault:no_end] [out:30] tell me");
    request["payload"]["stream"] = json!(true);
    let reply = house.post(&house.gateway("/route"), &request).await?;
    assert!(!reply.text.contains("[DONE]"), "{}", reply.text);
    let receipts = house.receipts("told").await?;
    assert_eq!((receipts[0].status, receipts[0].cost_is), (Status::CutOff, CostIs::Exact));
    assert_eq!(receipts[0].cost_usd, billed([&provider.bill()]));
    assert_eq!(house.budget_of("told").await?.uncertain_usd, Usd::ZERO);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_pays_what_was_made() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = Simulator::start(simulate::Config {
        chunk_delay: std::time::Duration::from_millis(2),
        ..simulate::Config::default()
    })
    .await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("left", "5").await?;
    let mut request = chat("left", "gpt-4", "[out:120] a long story");
    request["payload"]["stream"] = json!(true);
    let sent =
        house.client().post(house.gateway("/route")).header("content-type", "application/json");
    let mut response = sent.body(request.to_string()).send().await?;
    response.chunk().await?;
    drop(response);
    loop {
        let budget = house.budget_of("left").await?;
        if budget.held_usd.is_zero() && !budget.spent_usd.is_zero() {
            break;
        }
    }
    let receipts = house.receipts("left").await?;
    assert_eq!(receipts[0].cost_usd, billed([&provider.bill()]), "read to its end for the bill");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_above_its_hold_freezes_the_run() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("cheat", "gpt-4", &provider).await?;
    house.budget("cheated", "5").await?;
    let mut request = chat("cheated", "gpt-4", "[fault:over_cap] [out:50] hello");
    request["payload"]["max_tokens"] = json!(10);
    let reply = house.post(&house.gateway("/route"), &request).await?;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let receipts = house.receipts("cheated").await?;
    assert_eq!(receipts[0].flags, ["bound_violation"]);
    assert_eq!(receipts[0].cost_usd, billed([&provider.bill()]), "posted as billed");
    let next = house.route("cheated", "gpt-4", "hello").await?;
    assert_eq!((next.status, next.code().as_str()), (409, "run_frozen"));
    house.leave().await
}
