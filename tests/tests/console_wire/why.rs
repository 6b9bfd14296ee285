//! Why a request went where it went, what it cost there, and what a look at a provider says.

use tollgate_shared::api::{ExplainView, ProbeView, ReceiptList};
use tollgate_shared::money::Usd;
use tollgate_shared::provider::ProviderView;
use tollgate_shared::receipt::{Receipt, Status};
use tollgate_shared::usage::UsageSource;
use tollgate_tests::{chat, faulty};

use super::*;

async fn explain(house: &House, path: &str) -> anyhow::Result<ExplainView> {
    house.get(&house.gateway(&format!("/explain/{path}"))).await?.read()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_is_explained_down_to_the_price_of_a_token() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    let (broken, good) = (faulty("status503:1").await?, simulator(Dialect::Openai).await?);
    let cheap = json!({"cost_per_input_token": "0.00001", "cost_per_output_token": "0.00002"});
    house.register_with("broken", "gpt-4", &broken, cheap).await?;
    house.register("good", "gpt-4", &good).await?;
    house.register("other", "gpt-5", &good).await?;
    house.register_with("small", "gpt-4", &good, json!({"context_window": 100})).await?;
    let mut asked = chat("r", "gpt-4", "Hello!");
    asked["request_id"] = json!("req-1");
    asked["requirements"]["context_window"] = json!(4000);
    let answer = house.post(&house.gateway("/route"), &asked).await?;
    ensure!(answer.status == 200, "{}", answer.text);

    let told = explain(&house, "req-1").await?;
    assert_eq!((told.run_id.as_str(), told.plan_missing), ("r", None));
    let plan = told.plan.context("no plan")?;
    let names: Vec<&str> = plan.candidates.iter().map(|it| it.provider.as_str()).collect();
    assert_eq!(names, ["broken", "good"], "in the order in which they were tried");
    ensure!(plan.candidates[0].score > plan.candidates[1].score);
    ensure!(plan.candidates[0].cost_usd < plan.candidates[1].cost_usd);
    let rejected: Vec<(&str, &str)> =
        plan.rejected.iter().map(|it| (it.name.as_str(), it.reason.as_str())).collect();
    assert_eq!(rejected, [("small", "context_window_too_small")]);
    let receipts = house.receipts("r").await?;
    let lines: Vec<Receipt> = told
        .attempts
        .iter()
        .map(|attempt| serde_json::from_str(attempt.receipt.as_ref().expect("a receipt").get()))
        .collect::<Result<_, _>>()?;
    assert_eq!(lines, receipts, "each exactly as in the file");
    let states: Vec<&str> = told.attempts.iter().map(|it| it.state.as_str()).collect();
    assert_eq!((states.len(), states[1]), (2, "posted"));
    let spent: Usd = receipts.iter().map(|receipt| receipt.cost_usd).sum();
    assert_eq!(told.cost_usd, spent);
    let price = told.attempts[1].price.as_ref().context("no prices")?;
    assert_eq!(lines[1].usage_source, UsageSource::Reported);
    assert_eq!(price.cost(&lines[1].usage).total(), lines[1].cost_usd, "price times tokens");

    // A restart takes the plan, and nothing else.
    house.restart().await?;
    let after = explain(&house, "req-1?run_id=r").await?;
    ensure!(after.plan.is_none() && after.plan_missing.is_some(), "{after:?}");
    assert_eq!((after.attempts.len(), after.cost_usd), (2, spent));
    let nobody = house.get(&house.gateway("/explain/req-9")).await?;
    assert_eq!((nobody.status, nobody.code().as_str()), (404, "unknown_request"));
    let provider: ProviderView = house.get(&house.router("/providers/broken")).await?.read()?;
    ensure!(provider.last_error.is_none(), "health starts neutral");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_several_runs_used_wants_the_run() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("p", "gpt-4", &provider).await?;
    for run in ["one", "two"] {
        let mut asked = chat(run, "gpt-4", "Hello!");
        asked["request_id"] = json!("same");
        ensure!(house.post(&house.gateway("/route"), &asked).await?.status == 200);
    }
    let several = house.get(&house.gateway("/explain/same")).await?;
    assert_eq!((several.status, several.code().as_str()), (409, "several_runs"));
    assert_eq!(several.json()["error"]["details"]["runs"], json!(["one", "two"]));
    assert_eq!(explain(&house, "same?run_id=two").await?.run_id.as_str(), "two");
    // One that got no money has a plan, and no attempt.
    house.budget("poor", "0.000001").await?;
    let mut asked = chat("poor", "gpt-4", "Hello!");
    asked["request_id"] = json!("refused");
    assert_eq!(house.post(&house.gateway("/route"), &asked).await?.status, 402);
    let refused = explain(&house, "refused").await?;
    ensure!(refused.attempts.is_empty() && refused.plan.is_some(), "{refused:?}");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_attempt_is_told_with_its_correction() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = faulty("cut:1").await?;
    house.register("p", "gpt-4", &provider).await?;
    let mut asked = chat("r", "gpt-4", "Hello!");
    asked["request_id"] = json!("lost");
    house.post(&house.gateway("/route"), &asked).await?;
    let told = explain(&house, "lost").await?;
    assert_eq!((told.attempts[0].state.as_str(), told.attempts[0].charged_usd), {
        ("unknown", told.attempts[0].held_usd)
    });
    let id = told.attempts[0].attempt_id.as_str();
    let url = house.gateway(&format!("/unknowns/{id}/resolve"));
    let found = json!({"outcome": "posted", "cost_usd": "0.001", "evidence": "the invoice"});
    assert_eq!(house.post(&url, &found).await?.status, 200);
    let told = explain(&house, "lost").await?;
    let attempt = &told.attempts[0];
    let correction: Receipt =
        serde_json::from_str(attempt.correction.as_ref().context("no correction")?.get())?;
    assert_eq!((correction.status, correction.corrects), (Status::Correction, Some(1)));
    assert_eq!((attempt.state.as_str(), told.cost_usd), ("posted", "0.001".parse()?));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_page_of_receipts_comes_without_the_others() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("p", "gpt-4", &provider).await?;
    for _ in 0..7 {
        ensure!(house.route("r", "gpt-4", "Hello!").await?.status == 200);
    }
    let page = async |query: &str| {
        let url = house.gateway(&format!("/receipts/r?{query}"));
        let list: ReceiptList = house.get(&url).await?.read()?;
        let places = list
            .receipts
            .iter()
            .map(|line| serde_json::from_str::<Receipt>(line.get()).map(|receipt| receipt.seq));
        anyhow::Ok((list.count, places.collect::<Result<Vec<_>, _>>()?))
    };
    assert_eq!(page("tail=3").await?, (7, vec![5, 6, 7]));
    assert_eq!(page("tail=3&before=5").await?, (7, vec![2, 3, 4]));
    assert_eq!(page("tail=3&before=2").await?, (7, vec![1]));
    assert_eq!(page("limit=2&after=3").await?, (7, vec![4, 5]));
    assert_eq!(page("tail=9&after=5").await?, (7, vec![6, 7]));
    let both = house.get(&house.gateway("/receipts/r?tail=1&limit=1")).await?;
    assert_eq!((both.status, both.code().as_str()), (422, "invalid_field"));
    // What was added up before is not read again, and what came since is.
    ensure!(house.route("r", "gpt-4", "Hello!").await?.status == 200);
    assert_eq!(house.receipts("r").await?.len(), 8);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_costs_nothing_and_says_what_it_saw() -> anyhow::Result<()> {
    let house = House::open().await?;
    for dialect in [Dialect::Openai, Dialect::Anthropic, Dialect::Gemini] {
        let provider = simulator(dialect).await?;
        let word = json!({"dialect": serde_json::to_value(dialect)?});
        house.register_with("p", "gpt-4", &provider, word).await?;
        let url = house.router("/providers/p/probe");
        let seen: ProbeView = house.post(&url, &json!({})).await?.read()?;
        assert_eq!((seen.ok, seen.status, seen.error.as_deref()), (true, Some(200), None));
        ensure!(seen.lists_model.is_some(), "{seen:?}");
        assert_eq!(provider.bill().count, 0, "nothing was billed");
    }
    let keyless = simulator(Dialect::Openai).await?;
    let key = json!({"api_key_env": "TOLLGATE_TEST_NO_SUCH_KEY"});
    house.register_with("keyless", "gpt-4", &keyless, key).await?;
    let nowhere = json!({"endpoint": "http://127.0.0.1:9"});
    house.register_with("nowhere", "gpt-4", &keyless, nowhere).await?;
    for (name, word) in [("keyless", "no_key"), ("nowhere", "connect_failed")] {
        let url = house.router(&format!("/providers/{name}/probe"));
        let seen: ProbeView = house.post(&url, &json!({})).await?.read()?;
        assert_eq!((seen.ok, seen.status), (false, None));
        assert_eq!(seen.error.as_deref(), Some(word));
    }
    let nobody = house.post(&house.router("/providers/nobody/probe"), &json!({})).await?;
    assert_eq!((nobody.status, nobody.code().as_str()), (404, "unknown_provider"));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_says_how_often_it_turned_away_and_what_failed_last() -> anyhow::Result<()> {
    let house = House::open().await?;
    let busy = faulty("status429:1").await?;
    house.register("busy", "gpt-4", &busy).await?;
    for _ in 0..4 {
        house.route("r", "gpt-4", "Hello!").await?;
    }
    ask_until((Some(1.0), Some("status_429".to_owned())), async || {
        let view: ProviderView = house.get(&house.router("/providers/busy")).await?.read()?;
        Ok((view.quality.throttled_rate, view.last_error.map(|error| error.what)))
    })
    .await?;
    house.leave().await
}
