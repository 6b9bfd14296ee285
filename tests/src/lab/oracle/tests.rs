//! The oracle finds fault with doctored evidence: a judge that cannot say no proves nothing.

use serde_json::json;
use tollgate_backend::simulate::BillEntry;
use tollgate_shared::provider::Dialect;

use super::*;
use crate::{House, chat, simulator};

/// Three answered requests, one unknown, one voided, of a run that is honest in everything.
async fn honest() -> anyhow::Result<(Evidence, Truth)> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "for-r", &provider).await?;
    house.budget("r", "5").await?;
    let mut truth = Truth::default();
    truth.limits.insert("r".into(), "5".parse()?);
    for (number, wish) in
        ["one", "two", "three", "[fault:bill_then_500]", "[fault:status429]"].iter().enumerate()
    {
        let mut request = chat("r", "for-r", wish);
        request["request_id"] = json!(format!("q{number}"));
        let reply = house.post(&house.gateway("/route"), &request).await?;
        let saw = match reply.status {
            200 => Saw::Answer {
                cost_usd: reply.header("x-tollgate-cost-usd").map(|cost| cost.parse().unwrap()),
                is_durable: true,
                told_usage: true,
            },
            status => Saw::Refusal { status, code: reply.code(), enough: "1".parse()? },
        };
        truth.seen.push(Seen { run_id: "r".into(), request_id: format!("q{number}"), saw });
    }
    truth.bill = provider.bill();
    let gateway = house.gateway("").replace("http://", "");
    let evidence = Evidence::collect(&house.path(""), &gateway, house.client()).await?;
    house.leave().await?;
    Ok((evidence, truth))
}

/// The oracles that find fault.
fn found(evidence: &Evidence, truth: &Truth) -> Vec<&'static str> {
    let mut oracles: Vec<_> =
        judge(evidence, truth).breaches.into_iter().map(|breach| breach.oracle).collect();
    oracles.sort_unstable();
    oracles.dedup();
    oracles
}

/// One way to doctor what an honest backend left.
type Doctor = fn(&mut Evidence, &mut Truth);

#[tokio::test(flavor = "multi_thread")]
async fn every_doctored_story_is_found_out() -> anyhow::Result<()> {
    let (evidence, truth) = honest().await?;
    assert_eq!(judge(&evidence, &truth).breaches, []);
    assert_eq!(truth.bill.count, 4, "three answers and one that was billed and lost");

    let cases: [(&str, Doctor, &[&str]); 20] = [
        (
            "a billed attempt too many",
            |_, truth| {
                let extra =
                    BillEntry { attempt_id: "ghost".into(), ..truth.bill.attempts[0].clone() };
                truth.bill.attempts.push(extra);
            },
            &["O1"],
        ),
        (
            "a billed attempt too few",
            |_, truth| {
                truth.bill.attempts.remove(0);
            },
            &["O1", "O4"],
        ),
        (
            "one digit of a bill",
            |_, truth| {
                truth.bill.attempts[0].cost_usd = "0.009999999999".parse().unwrap();
            },
            &["O4", "O5"],
        ),
        (
            "an attempt sent twice",
            |_, truth| {
                truth.bill.attempts.push(truth.bill.attempts[1].clone());
            },
            &["O2"],
        ),
        (
            "a doubled receipt",
            |evidence, _| {
                let lines = evidence.lines.get_mut("r").unwrap();
                lines.push(lines.last().unwrap().clone());
            },
            &["O2", "O6"],
        ),
        (
            "a receipt lost from the end",
            |evidence, _| {
                evidence.lines.get_mut("r").unwrap().pop();
            },
            &["O6"],
        ),
        (
            "a receipt lost from the middle",
            |evidence, _| {
                evidence.lines.get_mut("r").unwrap().remove(1);
            },
            &["O1", "O2", "O4", "O6"],
        ),
        (
            "a limit below the bill",
            |_, truth| {
                truth.limits.insert("r".into(), "0.000001".parse().unwrap());
            },
            &["O3"],
        ),
        (
            "a parent's limit below its children's bill",
            |_, truth| {
                truth.parents.insert("r".into(), "p".into());
                truth.limits.insert("p".into(), "0.000001".parse().unwrap());
            },
            &["O3"],
        ),
        (
            "an unknown billed above its hold",
            |_, truth| {
                truth.bill.attempts[3].cost_usd = "4".parse().unwrap();
            },
            &["O5"],
        ),
        (
            "a voided one that was billed",
            |evidence, truth| {
                let voided = evidence.attempts.iter().find(|row| row.state == "voided").unwrap();
                let attempt_id = voided.attempt_id.clone();
                truth
                    .bill
                    .attempts
                    .push(BillEntry { attempt_id, ..truth.bill.attempts[0].clone() });
            },
            &["O1", "O4", "O5"],
        ),
        (
            "an answer at another cost",
            |_, truth| {
                let cost_usd = Some("0.5".parse().unwrap());
                truth.seen[0].saw = Saw::Answer { cost_usd, is_durable: true, told_usage: true };
            },
            &["O4"],
        ),
        (
            "an answer that nobody recorded",
            |_, truth| {
                truth.seen[0].request_id = "other".into();
            },
            &["O4"],
        ),
        (
            "a hold left over",
            |evidence, _| {
                evidence.attempts[0].state = "pending".into();
            },
            &["O7"],
        ),
        (
            "a run that still holds",
            |evidence, _| {
                evidence.runs.get_mut("r").unwrap().pending = "0.1".parse().unwrap();
            },
            &["O6", "O7"],
        ),
        (
            "a file that lost its last byte",
            |evidence, _| {
                evidence.files.get_mut("r").unwrap().pop();
            },
            &["O6"],
        ),
        (
            "an API that tells one line less",
            |evidence, _| {
                evidence.told.get_mut("r").unwrap().0.pop();
            },
            &["O6"],
        ),
        (
            "metrics that miss a pico",
            |evidence, _| {
                evidence.metrics.as_mut().unwrap().total_cost_usd += Usd::from_picos(1);
            },
            &["O6"],
        ),
        (
            "a refusal while money was free",
            |_, truth| {
                let code = "budget_exhausted".to_owned();
                let enough = "0.01".parse().unwrap();
                truth.seen[4].saw = Saw::Refusal { status: 402, code, enough };
            },
            &["O8"],
        ),
        (
            "a line that changed after it was read",
            |evidence, truth| {
                truth
                    .acknowledged
                    .insert("r".into(), evidence.lines["r"].iter().rev().cloned().collect());
            },
            &["O8"],
        ),
    ];
    for (name, doctor, expected) in cases {
        let (mut evidence, mut truth) = (evidence.clone(), truth.clone());
        doctor(&mut evidence, &mut truth);
        assert_eq!(found(&evidence, &truth), expected, "{name}");
    }
    Ok(())
}
