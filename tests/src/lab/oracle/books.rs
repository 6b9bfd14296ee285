//! O6 and O7: the ledger's rows against each other, against the API, files and metrics.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tollgate_shared::money::Usd;
use tollgate_shared::receipt::{Receipt, Status};

use super::{Verdict, at};
use crate::lab::evidence::{AttemptRow, Evidence, RunRow};

/// What the receipts of a run come to.
#[derive(Clone, Copy, Default)]
struct Sum {
    lines: u64,
    cost: Usd,
}

pub(super) fn judge(evidence: &Evidence, receipts: &[Receipt], verdict: &mut Verdict) {
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for receipt in receipts {
        let sum = sums.entry(receipt.run_id.as_str()).or_default();
        sum.lines += 1;
        sum.cost += receipt.cost_usd;
    }
    attempts(evidence, receipts, verdict);
    for (run_id, row) in &evidence.runs {
        run(evidence, (run_id, row), &sums, verdict);
    }
    metrics(evidence, receipts, verdict);
}

/// Rows of attempts and receipts tell the same story.
fn attempts(evidence: &Evidence, receipts: &[Receipt], verdict: &mut Verdict) {
    let mut by_id: HashMap<&str, &Receipt> = HashMap::new();
    for receipt in receipts.iter().filter(|receipt| receipt.status != Status::Correction) {
        by_id.insert(receipt.attempt_id.as_str(), receipt);
    }
    let corrected: HashSet<&str> = receipts
        .iter()
        .filter(|receipt| receipt.status == Status::Correction)
        .map(|receipt| receipt.attempt_id.as_str())
        .collect();
    let mut ids = HashSet::new();
    for row in &evidence.attempts {
        let place = at("O6", &row.run_id, &row.attempt_id);
        let is_first = ids.insert(row.attempt_id.as_str());
        verdict.check(is_first, at("O2", &row.run_id, &row.attempt_id), || {
            "two rows of attempts have this id".into()
        });
        verdict.check(row.state != "pending", at("O7", &row.run_id, &row.attempt_id), || {
            format!("{} USD are still held with nothing in flight", row.held)
        });
        let receipt = by_id.get(row.attempt_id.as_str()).copied();
        let agrees = corrected.contains(row.attempt_id.as_str()) || same_story(row, receipt);
        verdict.check(agrees, place, || {
            let told = receipt.map(|receipt| (receipt.status, receipt.cost_usd));
            format!("its row is {} at {} USD, its receipt {told:?}", row.state, row.charged)
        });
    }
    for receipt in by_id.values() {
        let (run_id, attempt) = (receipt.run_id.as_str(), receipt.attempt_id.as_str());
        verdict.check(ids.contains(attempt), at("O6", run_id, attempt), || {
            "a receipt without a row of attempts".into()
        });
    }
}

fn same_story(row: &AttemptRow, receipt: Option<&Receipt>) -> bool {
    match (row.state.as_str(), receipt) {
        // What never left has no receipt.
        ("voided", None) => row.charged.is_zero(),
        ("pending", _) => true,
        (_, None) => false,
        ("voided", Some(receipt)) => receipt.status == Status::Voided && receipt.cost_usd.is_zero(),
        ("unknown", Some(receipt)) => {
            receipt.status == Status::Unknown && receipt.cost_usd == row.held
        }
        ("posted", Some(receipt)) => {
            !matches!(receipt.status, Status::Unknown | Status::Voided)
                && receipt.cost_usd == row.charged
        }
        _ => false,
    }
}

/// One run: its row, its receipts, the API and its file.
fn run(
    evidence: &Evidence,
    (run_id, row): (&str, &RunRow),
    sums: &BTreeMap<&str, Sum>,
    verdict: &mut Verdict,
) {
    let place = at("O6", run_id, "");
    let sum = sums.get(run_id).copied().unwrap_or_default();
    verdict.check(row.pending.is_zero(), at("O7", run_id, ""), || {
        format!("{} USD are pending with nothing in flight", row.pending)
    });
    verdict.check(row.seq == sum.lines, place, || {
        format!("the run counts {} receipts, there are {}", row.seq, sum.lines)
    });
    // A run's account counts its own attempts and those of all beneath it.
    let beneath: BTreeSet<&str> = evidence
        .runs
        .keys()
        .map(String::as_str)
        .filter(|run| is_within(evidence, run, run_id))
        .collect();
    let cost: Usd = beneath.iter().filter_map(|run| sums.get(run)).map(|sum| sum.cost).sum();
    verdict.check(row.posted + row.unknown == cost, place, || {
        let (posted, unknown) = (row.posted, row.unknown);
        format!("posted {posted} + unknown {unknown} is not what receipts say: {cost}")
    });
    let unknown: Usd = evidence
        .attempts
        .iter()
        .filter(|attempt| attempt.state == "unknown" && beneath.contains(attempt.run_id.as_str()))
        .map(|attempt| attempt.held)
        .sum();
    verdict.check(row.unknown == unknown, place, || {
        format!("unknown is {}, open unknown holds add up to {unknown}", row.unknown)
    });
    let wanted = evidence.lines.get(run_id).map_or(&[][..], Vec::as_slice);
    let (told, total) = evidence.told.get(run_id).cloned().unwrap_or_default();
    verdict.check(told == wanted, place, || {
        format!(
            "GET /receipts tells {} lines, or others than the {} rows",
            told.len(),
            wanted.len()
        )
    });
    verdict.check(total == sum.cost, place, || {
        format!("GET /receipts adds up to {total}, the rows to {}", sum.cost)
    });
    let file = evidence.files.get(run_id).map_or("", String::as_str);
    verdict.check(file == evidence.wanted(run_id), place, || {
        format!("its file of {} lines is not its {} rows", file.lines().count(), wanted.len())
    });
    let view = evidence.budgets.get(run_id);
    let same = view.is_some_and(|view| {
        (view.posted_usd, view.unknown_usd, view.uncertain_usd, view.budget_usd)
            == (row.posted, row.unknown, row.uncertain, row.limit)
            && view.held_usd == row.pending + row.unknown
            && view.spent_usd == row.posted + row.unknown
    });
    verdict.check(same, place, || format!("GET /budgets says {view:?}, its row {row:?}"));
}

/// Whether a run is this one, or somewhere beneath it.
fn is_within(evidence: &Evidence, run_id: &str, above: &str) -> bool {
    let up = |run_id: &&str| evidence.parents.get(*run_id).map(String::as_str);
    let mut line = std::iter::successors(Some(run_id), up).take(super::TREE_DEPTH_MAX as usize);
    line.any(|run_id| run_id == above)
}

/// The rolling figures of the last seven days: all of the lab's time.
fn metrics(evidence: &Evidence, receipts: &[Receipt], verdict: &mut Verdict) {
    let Some(metrics) = &evidence.metrics else { return };
    let cost: Usd = receipts.iter().map(|receipt| receipt.cost_usd).sum();
    verdict.check(metrics.total_cost_usd == cost, at("O6", "", ""), || {
        format!("GET /metrics adds up to {}, receipts to {cost}", metrics.total_cost_usd)
    });
    // A correction moves money, and is no request of its own.
    let sent = || receipts.iter().filter(|receipt| receipt.status != Status::Correction);
    let requests = sent().filter(|receipt| receipt.attempt == 1).count() as u64;
    verdict.check(metrics.total_requests == requests, at("O6", "", ""), || {
        format!("GET /metrics counts {} requests, receipts {requests}", metrics.total_requests)
    });
    let output: u64 = sent().map(|receipt| receipt.output_tokens).sum();
    verdict.check(metrics.total_output_tokens == output, at("O6", "", ""), || {
        let told = metrics.total_output_tokens;
        format!("GET /metrics counts {told} tokens of output, receipts {output}")
    });
    let buckets: Usd = metrics.buckets.iter().map(|bucket| bucket.cost_usd).sum();
    verdict.check(buckets == metrics.total_cost_usd, at("O6", "", ""), || {
        format!("the days of GET /metrics add up to {buckets}, not {}", metrics.total_cost_usd)
    });
}
