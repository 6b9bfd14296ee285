//! `tollgate explain`: one request whole.
//!
//! Prints the attempts that its receipts tell of, and the plan where the backend still knows it.
//! Refuses to know how providers are chosen.

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_shared::id::{RequestId, RunId};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Receipt;

use super::Failure;
use super::api::{Api, read};
use super::outcome::{Done, clean, print};
use super::providers::word;
use crate::format;
use crate::message::Target;
use crate::message::segment;

/// Which request.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The request's id.
    request: RequestId,
    /// Its run, where several used that id.
    #[arg(long)]
    run: Option<RunId>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Answer of `GET /explain/{request_id}`, as far as it is printed; the rest is in `--json`.
#[derive(Debug, Deserialize)]
struct Explained {
    request_id: RequestId,
    run_id: RunId,
    cost_usd: Usd,
    attempts: Vec<Attempt>,
    plan: Option<Plan>,
    plan_missing: Option<String>,
}

/// One try at one provider.
#[derive(Debug, Deserialize)]
struct Attempt {
    attempt: u32,
    state: String,
    held_usd: Usd,
    receipt: Option<Box<RawValue>>,
    correction: Option<Box<RawValue>>,
}

/// The plan as it was made.
#[derive(Debug, Deserialize)]
struct Plan {
    candidates: Vec<Candidate>,
    rejected: Vec<Rejected>,
}

/// A provider that fitted.
#[derive(Debug, Deserialize)]
struct Candidate {
    provider: String,
    score: Box<RawValue>,
    cost_usd: Usd,
}

/// A provider that did not.
#[derive(Debug, Deserialize)]
struct Rejected {
    name: String,
    reason: String,
    detail: String,
}

/// Explains.
pub async fn run(args: Args, api: &Api) -> Done {
    let mut path = format!("/explain/{}", segment(args.request.as_str()));
    if let Some(run) = &args.run {
        path.push_str(&format!("?run_id={}", segment(run.as_str())));
    }
    let text = api.get(Target::Gateway, &path).await?;
    if args.json {
        return print(&format!("{text}\n"));
    }
    print(&clean(&shown(&read(&text)?)?)).and_then(|()| print("\n"))
}

/// Attempts, then the plan.
fn shown(explained: &Explained) -> Result<String, Failure> {
    let Explained { request_id, run_id, cost_usd, .. } = explained;
    let mut lines = vec![format!("request {request_id} of run {run_id}: ${cost_usd}")];
    for one in &explained.attempts {
        match &one.receipt {
            Some(line) => attempt(&read(line.get())?, &mut lines),
            None => lines
                .push(format!("attempt {}: {}, ${} is held", one.attempt, one.state, one.held_usd)),
        }
        if let Some(line) = &one.correction {
            let correction: Receipt = read(line.get())?;
            let how = correction.evidence.unwrap_or_default();
            lines.push(format!("  corrected by ${}: {how}", correction.cost_usd));
        }
    }
    match &explained.plan {
        None => {
            let why = explained.plan_missing.as_deref().unwrap_or("the backend does not say why");
            lines.push(format!("plan: not known, {why}"));
        }
        Some(plan) => plan_of(plan, &mut lines),
    }
    Ok(lines.join("\n"))
}

/// What one attempt did and cost, line by line.
fn attempt(receipt: &Receipt, lines: &mut Vec<String>) {
    lines.push(format!(
        "attempt {} at {}, {}: {}, {} s",
        receipt.attempt,
        receipt.provider,
        receipt.timestamp,
        word(&receipt.status).replace('_', " "),
        format::seconds(receipt.latency_ms)
    ));
    if let Some(from) = &receipt.fallback_from {
        lines.push(format!("  after {from} had failed"));
    }
    if let Some(error) = &receipt.error {
        lines.push(format!("  error: {error}"));
    }
    lines.push(format!(
        "  {} tokens in, {} out, {}",
        receipt.input_tokens,
        receipt.output_tokens,
        word(&receipt.usage_source)
    ));
    lines.push(format!(
        "  ${} charged, {}; ${} was held",
        receipt.cost_usd,
        word(&receipt.cost_is),
        receipt.held_usd
    ));
    lines.push(format!("  why: {}, {}", word(&receipt.decision.objective), receipt.decision.why));
    lines.push(format!(
        "  cheapest of {} candidates: ${}",
        receipt.decision.candidates, receipt.decision.cheapest_usd
    ));
}

/// Everyone who could have answered, and everyone who could not.
fn plan_of(plan: &Plan, lines: &mut Vec<String>) {
    lines.push("plan:".into());
    for (place, candidate) in plan.candidates.iter().enumerate() {
        let Candidate { provider, score, cost_usd } = candidate;
        lines.push(format!("  {}. {provider}, score {score}, ${cost_usd} expected", place + 1));
    }
    for rejected in &plan.rejected {
        lines.push(format!("  –  {}: {}, {}", rejected.name, rejected.reason, rejected.detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_told_with_every_digit_and_a_plan_where_it_is_known() {
        let mut receipt = crate::fixture::receipts().remove(0);
        receipt.cost_usd = "0.000000000001".parse().unwrap();
        let line = receipt.seal().unwrap();
        let told = |attempts: &str, plan: &str| {
            let text = format!(
                r#"{{"request_id":"q","run_id":"r","cost_usd":0.000000000001,
                "attempts":[{attempts}],{plan}}}"#
            );
            shown(&read(&text).unwrap()).unwrap()
        };
        let attempt = |receipt: &str| {
            format!(
                r#"{{"attempt":1,"state":"posted","held_usd":1,"receipt":{receipt},"correction":null}}"#
            )
        };
        let text = told(&attempt(&line), r#""plan":null,"plan_missing":"restarted""#);
        assert!(text.contains("$0.000000000001 charged"), "{text}");
        assert!(text.ends_with("plan: not known, restarted"), "{text}");
        let plan = r#""plan":{"candidates":[{"provider":"a","score":0.5,"cost_usd":0.10}],
            "rejected":[{"name":"b","reason":"circuit_open","detail":"12 s"}]},"plan_missing":null"#;
        let text = told(&attempt("null"), plan);
        assert!(text.contains("attempt 1: posted, $1 is held"), "{text}");
        assert!(text.contains("1. a, score 0.5, $0.1 expected"), "{text}");
        assert!(text.contains("b: circuit_open, 12 s"), "{text}");
    }
}
