//! The seed's eight curl examples and its checks of these services, to the letter, in one story
//! against real listeners.

use anyhow::Context;
use serde_json::json;
use tollgate_shared::api::{
    BudgetView, MetricsView, ProviderList, ReceiptList, RouteAnswer, SelectAnswer,
};
use tollgate_shared::budget::Level;
use tollgate_shared::provider::Dialect;
use tollgate_tests::{House, billed, simulator, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_runs_to_the_letter() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;

    // Health, names and ports of the three services.
    for (url, service) in [
        (house.router("/health"), "provider_router"),
        (house.gateway("/health"), "gateway"),
        (house.events("/health"), "event_stream"),
    ] {
        let health = house.get(&url).await?;
        assert_eq!(health.status, 200);
        assert_eq!(health.json()["status"], "healthy");
        assert_eq!(health.json()["service"], service);
        let port = health.json()["port"].to_string();
        assert!(url.contains(&format!(":{port}/")), "{url} is not port {port}");
    }

    // Three registrations: with SLO, without, with features null.
    let endpoint = provider.url();
    let first = format!(
        r#"{{"name":"my-gpt4","model":"gpt-4","context_window":8192,
        "cost_per_input_token":0.00003,"cost_per_output_token":0.00006,"endpoint":"{endpoint}",
        "features":["function_calling","vision"],"slo":{{"latency_p95_ms":2000}}}}"#
    );
    let second = format!(
        r#"{{"name":"dear-gpt4","model":"gpt-4","context_window":32768,
        "cost_per_input_token":0.00006,"cost_per_output_token":0.00012,"endpoint":"{endpoint}",
        "features":["vision"],"slo":{{"latency_p95_ms":900,"throughput":50.0,"availability":0.999}}}}"#
    );
    let third = format!(
        r#"{{"name":"my-mini","model":"gpt-mini","context_window":16384,
        "cost_per_input_token":1.5e-07,"cost_per_output_token":6e-07,"endpoint":"{endpoint}","features":null}}"#
    );
    for body in [&first, &second, &third] {
        assert_eq!(house.post_text(&house.router("/register"), body).await?.status, 201);
    }
    assert_eq!(house.post_text(&house.router("/register"), &first).await?.status, 200, "replaced");

    // Discovery.
    let list = |reply: tollgate_tests::Reply| -> anyhow::Result<Vec<String>> {
        let list: ProviderList = reply.read()?;
        assert_eq!(list.count, list.providers.len());
        Ok(list.providers.iter().map(|provider| provider.name.to_string()).collect())
    };
    let all = list(house.get(&house.router("/providers")).await?)?;
    assert_eq!(all, ["dear-gpt4", "my-gpt4", "my-mini"]);
    let by_model = list(house.get(&house.router("/providers?model=gpt-4")).await?)?;
    assert_eq!(by_model, ["dear-gpt4", "my-gpt4"]);
    let by_context = list(house.get(&house.router("/providers?min_context=10000")).await?)?;
    assert_eq!(by_context, ["dear-gpt4", "my-mini"]);

    // Stats of the router.
    let stats = house.get(&house.router("/stats")).await?.json();
    assert_eq!((&stats["active"], &stats["models"]), (&json!(3), &json!(2)));
    assert_eq!(stats["cheapest"]["gpt-4"], "my-gpt4");

    // The cheapest; then with a feature that only one has; then nobody.
    let select = |body: serde_json::Value| {
        let (house, url) = (&house, house.router("/select"));
        async move { house.post(&url, &body).await }
    };
    let answer: SelectAnswer = select(
        json!({"requirements":{"model":"gpt-4","context_window":4000},"optimization":"cost"}),
    )
    .await?
    .read()?;
    assert_eq!(answer.provider.name.as_str(), "my-gpt4");
    assert_eq!(answer.alternatives.len(), 1);
    assert_eq!(
        (answer.score.to_string(), answer.alternatives[0].score.to_string()),
        ("1".into(), "0.5".into())
    );
    let answer: SelectAnswer =
        select(json!({"requirements":{"model":"gpt-4","context_window":4000,
        "features":["function_calling"]},"optimization":"cost"}))
        .await?
        .read()?;
    assert_eq!(answer.provider.name.as_str(), "my-gpt4");
    assert_eq!(answer.rejected[0].reason, "missing_feature");
    let fastest: SelectAnswer =
        select(json!({"requirements":{"model":"gpt-4"},"optimization":"latency"})).await?.read()?;
    assert_eq!(fastest.provider.name.as_str(), "dear-gpt4");
    let nobody = select(json!({"requirements":{"model":"gpt-9"}})).await?;
    assert_eq!((nobody.status, nobody.code().as_str()), (404, "no_provider"));
    assert_eq!(nobody.json()["error"]["details"]["rejected"].as_array().map(Vec::len), Some(3));

    // Budget, then routing: the seed's body, byte for byte.
    let budget = house.budget("my-run", "10.0").await?;
    assert_eq!(budget.budget_usd.context("no limit")?.to_string(), "10");
    assert_eq!((budget.level, budget.blocked), (Level::Ok, false));
    let route = r#"{"request_id":"req-001","run_id":"my-run","agent":"my-agent",
        "requirements":{"model":"gpt-4","context_window":4000},"optimization":"cost",
        "payload":{"messages":[{"role":"user","content":"Hello!"}]}}"#;
    let routed = house.post_text(&house.gateway("/route"), route).await?;
    assert_eq!(routed.status, 200, "{}", routed.text);
    assert_eq!(routed.header("x-tollgate-receipt"), Some("durable"));
    let answer: RouteAnswer = routed.read()?;
    assert_eq!((answer.provider.as_str(), answer.attempts, answer.fallback), ("my-gpt4", 1, false));
    assert_eq!(answer.cost_usd, billed([&provider.bill()]));
    assert_eq!(routed.json()["response"]["object"], "chat.completion");

    // A second route, of another model.
    let second = house.route("my-run", "gpt-mini", "Hello again!").await?;
    assert_eq!(second.status, 200, "{}", second.text);

    // Metrics over the three windows, receipts, budget: all agree with the budget's own numbers.
    let receipts: ReceiptList = house.get(&house.gateway("/receipts/my-run")).await?.read()?;
    assert_eq!(receipts.count, 2);
    let checked = house.receipts("my-run").await?;
    assert_eq!(checked[0].request_id.as_str(), "req-001");
    let after: BudgetView = house.budget_of("my-run").await?;
    assert_eq!(
        (after.spent_usd, after.held_usd.to_string()),
        (receipts.total_cost_usd, "0".to_owned())
    );
    for window in ["minute", "hour", "day"] {
        let metrics: MetricsView =
            house.get(&house.gateway(&format!("/metrics?window={window}"))).await?.read()?;
        assert_eq!(metrics.total_cost_usd, receipts.total_cost_usd, "{window}");
        assert_eq!(metrics.total_requests, 2);
        assert_eq!(metrics.total_tokens, metrics.total_input_tokens + metrics.total_output_tokens);
        assert_eq!(
            metrics.cost_per_provider_usd.values().copied().sum::<tollgate_shared::money::Usd>(),
            receipts.total_cost_usd
        );
        assert_eq!(
            metrics.buckets.len(),
            match window {
                "minute" => 60,
                "hour" => 24,
                _ => 7,
            }
        );
    }
    let prometheus = house.get(&house.gateway("/metrics")).await?.text;
    assert!(
        prometheus.contains(&format!("tollgate_cost_usd_total {}", receipts.total_cost_usd)),
        "{prometheus}"
    );

    // The receipt file and its JSON; the stream counted what happened.
    let file = std::fs::read_to_string(house.path("costs/my-run.jsonl"))?;
    let line: serde_json::Value = serde_json::from_str(file.lines().next().context("no line")?)?;
    for field in [
        "request_id",
        "run_id",
        "agent",
        "timestamp",
        "provider",
        "model",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "latency_ms",
        "status",
    ] {
        assert!(!line[field].is_null(), "{field}");
    }
    assert!(line["timestamp"].as_str().is_some_and(|text| text.ends_with('Z')));
    let stream = house.get(&house.events("/stats")).await?.json();
    assert!(stream["buffered"].as_u64() > Some(0), "{stream}");

    // Everything is there again after a restart.
    let mut house = house;
    house.restart().await?;
    assert_eq!(house.budget_of("my-run").await?.spent_usd, after.spent_usd);
    assert_eq!(house.receipts("my-run").await?, checked);
    let metrics: MetricsView = house.get(&house.gateway("/metrics?window=hour")).await?.read()?;
    assert_eq!(metrics.total_cost_usd, receipts.total_cost_usd);
    let path = house.path("costs/my-run.jsonl");
    until("the file is whole", || std::fs::read_to_string(&path).is_ok_and(|text| text == file))
        .await?;
    house.leave().await
}
