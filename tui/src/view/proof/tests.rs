//! The proof at every size, in every state.

use std::sync::Arc;

use tollgate_shared::api::ExplainView;

use crate::fixture;
use crate::model::Answer;
use crate::view::tests::{check, every_state};

#[test]
fn receipts() {
    every_state("receipts", "4 j j");
}

#[test]
fn a_refusal_and_a_bill_that_nobody_knows() {
    for (name, keys) in [("receipts_refused", "4"), ("receipts_unknown", "4 G")] {
        for size in [(80, 24), (120, 40), (200, 50)] {
            let mut model = fixture::model(size);
            fixture::press(&mut model, keys);
            check(name, &model);
        }
    }
}

/// What the backend would say about the fallback of the made-up day.
const EXPLAINED: &str = r#"{"request_id":"req-R-190-103","run_id":"R-190","cost_usd":0.00768,"attempts":[],
    "plan":{"at":"2026-11-23T14:14:06Z","objective":"balanced","expected_input_tokens":1800,"expected_output_tokens":400,
    "candidates":[{"provider":"mistral-lg","score":0.71,"cost_usd":0.006072,"latency_ms":1880,"price_id":"pc-0123456789abcdef"},
    {"provider":"openai-gpt4o","score":0.64,"cost_usd":0.00768,"latency_ms":1640,"price_id":"pc-0123456789abcdef"},
    {"provider":"anthropic-son","score":0.48,"cost_usd":0.01143,"latency_ms":2310,"price_id":"pc-0123456789abcdef"}],
    "rejected":[{"name":"azure-gpt4o","reason":"circuit","detail":"its circuit is open"},
    {"name":"gemini-flash","reason":"feature","detail":"it has no `json_schema`"},
    {"name":"local-qwen","reason":"context_window_too_small","detail":"its window is 32000, 40000 are needed"}]},
    "plan_missing":null}"#;

#[test]
fn every_candidate_once_the_backend_has_told() {
    let view: ExplainView = serde_json::from_str(EXPLAINED).unwrap();
    for size in [(80, 24), (120, 40), (200, 50)] {
        let mut model = fixture::model(size);
        let (run, request) = ("R-190".parse().unwrap(), "req-R-190-103".parse().unwrap());
        model.fetched.set_plan(&run, &request, Answer::Here(Arc::new(view.clone())));
        fixture::press(&mut model, "4 j j");
        check("receipts_plan", &model);
        model.fetched.set_plan(&run, &request, Answer::Missing("the backend answered 404".into()));
        fixture::press(&mut model, "Enter");
        check("receipts_whole", &model);
    }
}
