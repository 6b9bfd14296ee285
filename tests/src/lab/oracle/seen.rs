//! O4 and O8: what clients saw is true, and stays true.

use std::collections::{BTreeSet, HashMap};

use tollgate_backend::simulate::BillEntry;
use tollgate_shared::budget::Mode;
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Receipt;

use super::{Charge, Saw, Seen, Truth, Verdict, at};
use crate::lab::evidence::Evidence;

/// What is charged, and what is billed, by attempt.
type Accounts<'a> = (&'a HashMap<&'a str, Charge<'a>>, &'a HashMap<&'a str, &'a BillEntry>);

pub(super) fn judge(
    evidence: &Evidence,
    truth: &Truth,
    accounts: Accounts<'_>,
    verdict: &mut Verdict,
) {
    acknowledged(evidence, truth, verdict);
    resolved(truth, accounts.0, verdict);
    let mut by_request: HashMap<(&str, &str), Vec<&Receipt>> = HashMap::new();
    for charge in accounts.0.values() {
        let receipt = charge.receipt;
        let key = (receipt.run_id.as_str(), receipt.request_id.as_str());
        by_request.entry(key).or_default().push(receipt);
    }
    let attempted: BTreeSet<(&str, &str)> = evidence
        .attempts
        .iter()
        .map(|row| (row.run_id.as_str(), row.request_id.as_str()))
        .collect();
    for seen in &truth.seen {
        let key = (seen.run_id.as_str(), seen.request_id.as_str());
        match &seen.saw {
            Saw::Nothing => {}
            Saw::Wrong(why) => {
                verdict.check(false, at("O8", key.0, key.1), || why.clone());
            }
            Saw::Answer { .. } => {
                let receipts = by_request.get(&key).map_or(&[][..], Vec::as_slice);
                answer(seen, receipts, accounts.1, verdict);
            }
            Saw::Refusal { status, code, enough } => {
                verdict.check(is_known(*status, code), at("O8", key.0, key.1), || {
                    format!("refused with {status} `{code}`, which nobody documented")
                });
                let was_tried = matches!(code.as_str(), "already_completed" | "outcome_unknown");
                let is_true = !was_tried || attempted.contains(&key);
                verdict.check(is_true, at("O8", key.0, key.1), || {
                    format!("refused as `{code}`, and there is no attempt of it")
                });
                if code == "budget_exhausted" {
                    exhausted(evidence, truth, (seen, *enough), verdict);
                }
            }
        }
    }
}

/// O8: lines that were read once stand where they stood.
fn acknowledged(evidence: &Evidence, truth: &Truth, verdict: &mut Verdict) {
    for (run_id, known) in &truth.acknowledged {
        let now = evidence.lines.get(run_id).map_or(&[][..], Vec::as_slice);
        verdict.check(now.starts_with(known), at("O8", run_id, ""), || {
            let kept = now.iter().zip(known).take_while(|(now, known)| now == known).count();
            format!("of {} lines that were read before, {kept} are as they were", known.len())
        });
    }
}

/// O8: an unknown that was resolved, and said so, is charged what was said.
fn resolved(truth: &Truth, charges: &HashMap<&str, Charge<'_>>, verdict: &mut Verdict) {
    for (attempt, cost) in &truth.resolved {
        let charge = charges.get(attempt.as_str());
        let run_id = charge.map_or("", |charge| charge.receipt.run_id.as_str());
        let holds = charge.is_some_and(|charge| charge.is_corrected && charge.cost == *cost);
        verdict.check(holds, at("O8", run_id, attempt), || {
            let now = charge.map(|charge| (charge.is_corrected, charge.cost));
            format!("resolved at {cost} USD, and is now (corrected, charged) {now:?}")
        });
    }
}

/// O4 and O8: a complete answer has its receipt, at the provider's price.
fn answer(
    seen: &Seen,
    receipts: &[&Receipt],
    bill: &HashMap<&str, &BillEntry>,
    verdict: &mut Verdict,
) {
    let Saw::Answer { cost_usd, is_durable, told_usage } = seen.saw else { return };
    let place = at("O4", &seen.run_id, &seen.request_id);
    let answered = receipts.iter().find(|receipt| receipt.status.is_answer());
    let Some(receipt) = answered else {
        // `receipt: pending` promises the hold alone.
        let is_kept = !is_durable && !receipts.is_empty();
        verdict.check(is_kept, place, || {
            let states: Vec<_> = receipts.iter().map(|receipt| receipt.status).collect();
            format!("an answer was seen complete, durable: {is_durable}; its receipts: {states:?}")
        });
        return;
    };
    verdict.check(cost_usd.is_none_or(|cost| cost == receipt.cost_usd), place, || {
        format!("the answer said {cost_usd:?} USD, its receipt {}", receipt.cost_usd)
    });
    if told_usage {
        let billed = bill.get(receipt.attempt_id.as_str()).map(|entry| entry.cost_usd);
        verdict.check(billed == Some(receipt.cost_usd), place, || {
            format!("the provider billed {billed:?} USD, its receipt says {}", receipt.cost_usd)
        });
    }
}

/// O8: nobody is told that the money is gone while it plainly is not. What a run has spent only
/// grows, so what is left now was left then as well.
fn exhausted(
    evidence: &Evidence,
    truth: &Truth,
    (seen, enough): (&Seen, Usd),
    verdict: &mut Verdict,
) {
    let mut run = Some(seen.run_id.as_str());
    let mut is_true = false;
    let mut depth = 0;
    // Any account up the tree may be the one that is empty.
    while let Some(run_id) = run.filter(|_| depth < super::TREE_DEPTH_MAX) {
        let row = evidence.runs.get(run_id).copied().unwrap_or_default();
        let gone = row.posted + row.unknown + row.uncertain;
        // An agent's limit may be tighter than its run's.
        // What mode `expected` holds follows from answers of before, not from this request alone.
        let mode = evidence.budgets.get(run_id).map(|view| view.mode);
        is_true |= mode == Some(Mode::Expected);
        let limit = [row.limit, truth.limits.get(run_id).copied()].into_iter().flatten().min();
        is_true |= limit.is_some_and(|limit| limit - gone < enough);
        run = truth.parents.get(run_id).map(String::as_str);
        depth += 1;
    }
    verdict.check(is_true, at("O8", &seen.run_id, &seen.request_id), || {
        let row = evidence.runs.get(&seen.run_id);
        format!("refused as exhausted while {enough} USD were enough and free: {row:?}")
    });
}

/// Whether this code is documented for `POST /route` with this status.
fn is_known(status: u16, code: &str) -> bool {
    REFUSALS.contains(&(status, code))
        || (code == "rejected_by_provider" && matches!(status, 400 | 413 | 422))
}

/// The refusals of `POST /route` that the lab can cause, as `contracts/README.md` lists them.
const REFUSALS: &[(u16, &str)] = &[
    (402, "budget_exhausted"),
    (404, "no_provider"),
    (409, "already_completed"),
    (409, "outcome_unknown"),
    (409, "request_in_progress"),
    (409, "run_closed"),
    (409, "run_frozen"),
    (409, "run_paused"),
    (422, "idempotency_mismatch"),
    (429, "budget_contended"),
    (502, "upstream_failed"),
    (503, "ledger_unavailable"),
    (503, "overloaded"),
    (503, "providers_busy"),
    (504, "upstream_timeout"),
    (507, "storage_low"),
];
