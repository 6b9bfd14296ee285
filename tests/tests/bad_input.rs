//! Bad input gets a clear, typed error and loses nothing.

use serde_json::json;
use tollgate_shared::provider::Dialect;
use tollgate_tests::{House, chat, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_has_its_own_code() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    let register = house.router("/register");
    let (select, route, budget) =
        (house.router("/select"), house.gateway("/route"), house.gateway("/budget"));
    let base = r#""name":"x","model":"m","context_window":10,"endpoint":"http://h""#;
    let rows: Vec<(&str, String, u16, &str)> = vec![
        (&register, format!("{{{base},\"free\":true,\"colour\":1}}"), 422, "unknown_field"),
        (
            &register,
            format!("{{{base},\"cost_per_input_token\":-1,\"cost_per_output_token\":1}}"),
            422,
            "invalid_field",
        ),
        (
            &register,
            format!("{{{base},\"cost_per_input_token\":1e999,\"cost_per_output_token\":1}}"),
            422,
            "invalid_field",
        ),
        (&register, format!("{{{base},\"cost_per_input_token\":NaN}}"), 400, "invalid_json"),
        (&register, format!("{{{base}}}"), 422, "missing_price"),
        (
            &register,
            format!("{{{base},\"free\":true,\"cost_per_input_token\":0.1}}"),
            422,
            "free_with_price",
        ),
        (
            &register,
            r#"{"name":"","model":"m","context_window":1,"endpoint":"http://h","free":true}"#
                .into(),
            422,
            "invalid_field",
        ),
        (
            &register,
            r#"{"name":"a","model":"m","context_window":1,"endpoint":"file:///x","free":true}"#
                .into(),
            422,
            "invalid_field",
        ),
        (&register, "{".into(), 400, "invalid_json"),
        (&register, "[]".into(), 400, "invalid_json"),
        (&register, r#"{"name":"a","name":"b"}"#.into(), 400, "duplicate_field"),
        (
            &select,
            r#"{"requirements":{"model":"gpt-4"},"optimization":"best"}"#.into(),
            422,
            "invalid_field",
        ),
        (&select, r#"{"requirements":{"model":"none"}}"#.into(), 404, "no_provider"),
        (&select, r#"{}"#.into(), 422, "missing_field"),
        (&route, chat("../x", "gpt-4", "hi").to_string(), 400, "invalid_run_id"),
        (&route, chat("r", "none", "hi").to_string(), 404, "no_provider"),
        (
            &route,
            chat("r", "gpt-4", "hi").to_string().replace("\"messages\"", "\"n\":0,\"messages\""),
            422,
            "invalid_field",
        ),
        (
            &route,
            chat("r", "gpt-4", "hi")
                .to_string()
                .replace("\"messages\"", "\"max_tokens\":-1,\"messages\""),
            422,
            "invalid_field",
        ),
        (&budget, r#"{"run_id":"r","budget_usd":0}"#.into(), 422, "invalid_field"),
        (&budget, r#"{"run_id":"r","budget_usd":"1,5"}"#.into(), 422, "invalid_field"),
        (&budget, r#"{"run_id":"r","budget_usd":9000001}"#.into(), 422, "amount_too_large"),
        (&budget, r#"{"run_id":"../x","budget_usd":1}"#.into(), 400, "invalid_run_id"),
    ];
    for (url, body, status, code) in rows {
        let reply = house.post_text(url, &body).await?;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{body}: {}", reply.text);
        let error = &reply.json()["error"];
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    }
    for (url, status, code) in [
        (house.gateway("/budget/none"), 404, "unknown_run"),
        (house.gateway("/budget/..%2fx"), 400, "invalid_run_id"),
        (house.gateway("/receipts/none"), 404, "unknown_run"),
        (house.router("/providers/none"), 404, "unknown_provider"),
        (house.gateway("/metrics?window=year"), 422, "invalid_field"),
        (house.gateway("/nothing"), 404, "not_found"),
        (house.gateway("/route"), 405, "method_not_allowed"),
    ] {
        let reply = house.get(&url).await?;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{url}: {}", reply.text);
    }
    let costs: Vec<_> = std::fs::read_dir(house.path("costs"))?.collect();
    assert!(costs.is_empty(), "no file was touched: {costs:?}");
    assert_eq!(provider.bill().count, 0);
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(33 * 1024 * 1024));
    let reply = house.post_text(&route, &large).await?;
    assert_eq!((reply.status, reply.code().as_str()), (413, "body_too_large"));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_query_is_an_error_of_the_one_shape() -> anyhow::Result<()> {
    let house = House::open().await?;
    for url in [house.router("/providers?min_context=many"), house.gateway("/receipts/r?limit=x")] {
        let reply = house.get(&url).await?;
        assert_eq!((reply.status, reply.code().as_str()), (422, "invalid_query"), "{}", reply.text);
    }
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_cannot_spend() -> anyhow::Result<()> {
    let house = House::open().await?;
    let url = house.gateway("/budget?run_id=r&budget_usd=5");
    for (name, value) in [
        ("origin", "http://evil.com"),
        ("origin", "null"),
        ("host", "evil.com"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let reply = house.client().post(&url).header(name, value).send().await?;
        assert_eq!(reply.status().as_u16(), 403, "{name}: {value}");
    }
    assert_eq!(house.get(&house.gateway("/budget/r")).await?.status, 404);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_differ_by_case_alone_are_refused() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    assert_eq!(house.route("R-one", "gpt-4", "hi").await?.status, 200);
    let twin = house.route("r-ONE", "gpt-4", "hi").await?;
    assert_eq!((twin.status, twin.code().as_str()), (400, "invalid_run_id"));
    let set =
        house.post(&house.gateway("/budget"), &json!({"run_id": "r-one", "budget_usd": 1})).await?;
    assert_eq!(set.code(), "invalid_run_id");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_see_each_others_change() -> anyhow::Result<()> {
    let house = House::open().await?;
    let first = house.budget("shared", "5").await?;
    let set = |usd: u32| {
        let request = house
            .client()
            .post(house.gateway("/budget"))
            .header("if-match", first.version.to_string());
        request
            .header("content-type", "application/json")
            .body(json!({"run_id": "shared", "budget_usd": usd}).to_string())
    };
    assert_eq!(set(6).send().await?.status().as_u16(), 200);
    let stale = set(7).send().await?;
    assert_eq!(stale.status().as_u16(), 412);
    assert!(stale.text().await?.contains("version_mismatch"));
    assert_eq!(house.budget_of("shared").await?.budget_usd, Some("6".parse()?));
    house.leave().await
}
