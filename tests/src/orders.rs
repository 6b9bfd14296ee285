//! Orders for the ledger alone, without HTTP and providers.

use std::sync::Arc;

use tollgate_backend::clock;
use tollgate_backend::ledger::Order;
use tollgate_shared::budget::{CapSource, Need};
use tollgate_shared::id::{PriceId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::price::{PriceCard, UsdPerToken};
use tollgate_shared::receipt::{Decision, Receipt, Status};
use tollgate_shared::select::Objective;
use tollgate_shared::usage::{CostIs, Usage, UsageSource};

/// A price card with its id.
pub type Card = Arc<(PriceId, PriceCard)>;

/// The seed's prices.
pub fn card() -> anyhow::Result<Card> {
    let card =
        PriceCard::of(UsdPerToken::new("0.00003".parse()?)?, UsdPerToken::new("0.00006".parse()?)?);
    Ok(Arc::new((card.id(), card)))
}

/// An order for 200 tokens of input and a stated cap of 64.
pub fn order(run: &RunId, card: &Card) -> Order {
    let fixed = card.1.input.cost(1_000);
    let receipt = Receipt {
        request_id: clock::request_id(),
        run_id: run.clone(),
        agent: name("tester"),
        timestamp: clock::now(),
        provider: name("instant"),
        model: name("gpt-4"),
        input_tokens: 0,
        output_tokens: 0,
        cost_usd: Usd::ZERO,
        latency_ms: 0,
        status: Status::Unknown,
        attempt: 1,
        attempt_id: clock::attempt_id(),
        seq: 0,
        usage: Usage::default(),
        usage_source: UsageSource::Bound,
        cost_is: CostIs::Hold,
        cost: Default::default(),
        held_usd: Usd::ZERO,
        cap: None,
        cap_source: CapSource::None,
        price_id: card.0.clone(),
        fallback_from: None,
        ttft_ms: None,
        uncertain_usd: Usd::ZERO,
        error: None,
        corrects: None,
        evidence: None,
        flags: Vec::new(),
        decision: Decision {
            objective: Objective::Cost,
            why: "cost: cheapest eligible".into(),
            cheapest_usd: Usd::ZERO,
            candidates: 1,
        },
        prev: String::new(),
        hash: String::new(),
    };
    Order {
        receipt,
        need: Need {
            fixed,
            likely_fixed: fixed,
            per_output_token: card.1.output.cost(1),
            stated_cap: Some(64),
            model_max: 4_096,
        },
        smallest: fixed,
        input_bound: 1_000,
        unbounded: None,
        choices: 1,
        body_hash: None,
        retry_unknown: false,
        first: true,
        card: Arc::clone(card),
    }
}

/// A name that stands in this file, and so is one.
fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name of its kind")
}
