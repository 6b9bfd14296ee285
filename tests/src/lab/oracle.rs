//! The oracles O1 to O8: what must hold after every fault, by the provider's bill.
//!
//! | oracle | must hold |
//! |---|---|
//! | O1 no loss | every billed attempt ↔ exactly one receipt that charges for it; none is invented |
//! | O2 no double | attempt ids and answered requests are unique, chains dense, nothing sent twice |
//! | O3 budget | what was billed to a run is within its limit |
//! | O4 exactness | an answer seen complete, with usage, is posted at its bill, to the last digit |
//! | O5 caution | no attempt is billed more than it is charged and kept in sight for |
//! | O6 agreement | rows = API = receipt files = metrics |
//! | O7 liveness | nothing is held once nothing is in flight |
//! | O8 honesty | refusals are known and true; what was acknowledged never changes |
//!
//! A pure function of [`Evidence`] and [`Truth`]: it refuses to look for itself, so a doctored bill
//! shows that it can find fault.

use std::collections::{BTreeMap, HashMap, HashSet};

use tollgate_backend::simulate::{Bill, BillEntry};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::{Chain, Receipt, Status};
use tollgate_shared::time::Timestamp;
use tollgate_shared::usage::CostIs;

use crate::lab::Breach;
use crate::lab::evidence::Evidence;

mod books;
mod seen;
#[cfg(test)]
mod tests;

/// What is known from outside.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// What the provider billed.
    pub bill: Bill,
    /// The largest limit that each run ever had, and has now.
    pub limits: BTreeMap<String, Usd>,
    /// What each run is part of; a limit counts for all beneath it.
    pub parents: BTreeMap<String, String>,
    /// What clients saw since the last judgement.
    pub seen: Vec<Seen>,
    /// The wall clock was moved: rolling figures look back from elsewhere and are not judged.
    pub clock_jumps: bool,
    /// Attempts on the bill that, in the story being judged, were never sent.
    pub never_sent: Vec<String>,
    /// Unknown attempts whose resolution was acknowledged, and at what cost.
    pub resolved: Vec<(String, Usd)>,
    /// Lines that were read at earlier judgements, by run: they must stay as they were.
    pub acknowledged: BTreeMap<String, Vec<String>>,
}

/// What one client saw of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who was to pay.
    pub run_id: String,
    /// The client's name for it.
    pub request_id: String,
    /// The outcome.
    pub saw: Saw,
}

/// The outcome of a request, as its client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saw {
    /// No complete answer.
    Nothing,
    /// A complete answer.
    Answer {
        /// What it says it cost; nothing where its receipt is pending.
        cost_usd: Option<Usd>,
        /// Whether it says that its receipt is on disk.
        is_durable: bool,
        /// Whether the provider was to tell the usage.
        told_usage: bool,
    },
    /// A complete refusal.
    Refusal {
        /// HTTP status.
        status: u16,
        /// The stable code.
        code: String,
        /// Money that would surely have been enough.
        enough: Usd,
    },
    /// A complete answer that contradicts itself.
    Wrong(String),
}

/// What a judgement found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How many statements were checked.
    pub checks: u64,
    /// Those that are false.
    pub breaches: Vec<Breach>,
    /// Counts worth adding up.
    pub facts: Vec<(&'static str, u64)>,
    /// Figures of which the largest is worth knowing.
    pub peaks: Vec<(&'static str, u64)>,
    /// Judges that were not there.
    pub not_run: Vec<String>,
}

impl Truth {
    /// Takes the provider's bill, but for what was never sent.
    pub fn set_bill(&mut self, mut bill: Bill) {
        bill.attempts.retain(|entry| !self.never_sent.contains(&entry.attempt_id));
        bill.count = bill.attempts.len();
        bill.total_cost_usd = bill.attempts.iter().map(|entry| entry.cost_usd).sum();
        self.bill = bill;
    }

    /// Remembers what was read, so that the next judgement can see whether it stayed.
    pub fn remember(&mut self, evidence: &Evidence) {
        self.acknowledged.clone_from(&evidence.lines);
        self.seen.clear();
    }
}

impl Verdict {
    /// Checks one statement; `what` is only made where it is false.
    fn check(&mut self, holds: bool, at: At<'_>, what: impl FnOnce() -> String) {
        self.checks += 1;
        if !holds {
            let (run_id, attempt) = (at.run_id.to_owned(), at.attempt.to_owned());
            self.breaches.push(Breach { oracle: at.oracle, run_id, attempt, what: what() });
        }
    }
}

/// Where a statement is made.
#[derive(Clone, Copy)]
struct At<'a> {
    oracle: &'static str,
    run_id: &'a str,
    attempt: &'a str,
}

const fn at<'a>(oracle: &'static str, run_id: &'a str, attempt: &'a str) -> At<'a> {
    At { oracle, run_id, attempt }
}

/// What the receipts of one attempt come to, corrections included.
struct Charge<'a> {
    receipt: &'a Receipt,
    /// Charged now.
    cost: Usd,
    /// Whether a correction has settled what was unknown.
    is_corrected: bool,
}

/// Judges.
pub fn judge(evidence: &Evidence, truth: &Truth) -> Verdict {
    let mut verdict = Verdict::default();
    let receipts = read_chains(evidence, &mut verdict);
    let charges = charges(&receipts, &mut verdict);
    let bill = by_attempt(&truth.bill, &mut verdict);
    loss(&charges, &bill, &mut verdict);
    budget(&charges, truth, &mut verdict);
    exactness(&charges, &bill, &mut verdict);
    books::judge(evidence, &receipts, &mut verdict);
    seen::judge(evidence, truth, (&charges, &bill), &mut verdict);
    let unknown = charges.values().filter(|charge| charge.receipt.status == Status::Unknown);
    verdict.peaks.push(("attempts billed in one directory, most", truth.bill.count as u64));
    verdict.peaks.push(("attempts unknown in one directory, most", unknown.count() as u64));
    verdict.facts.push(("clients' requests", truth.seen.len() as u64));
    let saw = |kind: fn(&Saw) -> bool| truth.seen.iter().filter(|seen| kind(&seen.saw)).count();
    let answered = saw(|saw| matches!(saw, Saw::Answer { .. }));
    verdict.facts.push(("of these answered whole", answered as u64));
    let exhausted =
        saw(|saw| matches!(saw, Saw::Refusal { code, .. } if code == "budget_exhausted"));
    verdict.facts.push(("of these refused for want of money", exhausted as u64));
    verdict
}

/// O2: every line continues its run's chain.
fn read_chains(evidence: &Evidence, verdict: &mut Verdict) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for (run_id, lines) in &evidence.lines {
        let (mut chain, mut last) = (Chain::default(), Timestamp::default());
        for line in lines {
            let read = chain.next(line);
            verdict.check(read.is_ok(), at("O2", run_id, ""), || {
                format!(
                    "after line {}: {}",
                    chain.seq(),
                    read.as_ref().err().map_or_else(String::new, ToString::to_string)
                )
            });
            match read {
                Ok(receipt) => {
                    verdict.check(receipt.timestamp >= last, at("O2", run_id, ""), || {
                        format!("line {} is from before the line before it", receipt.seq)
                    });
                    last = receipt.timestamp;
                    receipts.push(receipt);
                }
                // What follows a broken link would only repeat the complaint.
                Err(_) => break,
            }
        }
    }
    receipts
}

/// O2: one receipt an attempt, one answer a request; corrections are added to what they correct.
fn charges<'a>(receipts: &'a [Receipt], verdict: &mut Verdict) -> HashMap<&'a str, Charge<'a>> {
    let mut charges: HashMap<&str, Charge<'_>> = HashMap::new();
    let mut answered = HashSet::new();
    for receipt in receipts {
        let (run_id, attempt) = (receipt.run_id.as_str(), receipt.attempt_id.as_str());
        if receipt.status == Status::Correction {
            let known = charges.get_mut(attempt).filter(|charge| !charge.is_corrected);
            verdict.check(known.is_some(), at("O2", run_id, attempt), || {
                format!("line {} corrects nothing, or twice", receipt.seq)
            });
            if let Some(charge) = known {
                charge.cost += receipt.cost_usd;
                charge.is_corrected = true;
            }
            continue;
        }
        let charge = Charge { receipt, cost: receipt.cost_usd, is_corrected: false };
        let before = charges.insert(attempt, charge);
        verdict.check(before.is_none(), at("O2", run_id, attempt), || {
            format!("line {} is a second receipt of one attempt", receipt.seq)
        });
        if receipt.status.is_answer() {
            let is_first = answered.insert((run_id, receipt.request_id.as_str()));
            verdict.check(is_first, at("O2", run_id, attempt), || {
                format!("request `{}` was answered twice", receipt.request_id)
            });
        }
    }
    charges
}

/// O2: nothing was sent twice under one attempt's id.
fn by_attempt<'a>(bill: &'a Bill, verdict: &mut Verdict) -> HashMap<&'a str, &'a BillEntry> {
    let mut entries = HashMap::new();
    for entry in &bill.attempts {
        let before = entries.insert(entry.attempt_id.as_str(), entry);
        let run_id = run_of(entry).unwrap_or_default();
        verdict.check(before.is_none(), at("O2", run_id, &entry.attempt_id), || {
            "it was billed twice: something was sent again".into()
        });
    }
    entries
}

/// O1: billed ↔ charged for.
fn loss(
    charges: &HashMap<&str, Charge<'_>>,
    bill: &HashMap<&str, &BillEntry>,
    verdict: &mut Verdict,
) {
    for (attempt, entry) in bill {
        let run_id = run_of(entry).unwrap_or_default();
        let charge = charges.get(attempt);
        verdict.check(charge.is_some(), at("O1", run_id, attempt), || {
            format!("billed {} USD, and there is no receipt", entry.cost_usd)
        });
        let Some(charge) = charge else { continue };
        let paid_by = charge.receipt.run_id.as_str();
        verdict.check(run_id.is_empty() || paid_by == run_id, at("O1", run_id, attempt), || {
            format!("its receipt is in run `{paid_by}`")
        });
        let is_voided = charge.receipt.status == Status::Voided;
        verdict.check(!is_voided, at("O1", run_id, attempt), || {
            format!("voided, but {} USD were billed", entry.cost_usd)
        });
    }
    for (attempt, charge) in charges {
        let status = charge.receipt.status;
        let wants_bill = !matches!(status, Status::Unknown | Status::Voided);
        let holds = !wants_bill || bill.contains_key(attempt);
        verdict.check(holds, at("O1", charge.receipt.run_id.as_str(), attempt), || {
            format!("charged {} USD as {status:?}, and never billed", charge.cost)
        });
    }
}

/// O3: the bill of a run, and of all beneath it, is within its limit.
fn budget(charges: &HashMap<&str, Charge<'_>>, truth: &Truth, verdict: &mut Verdict) {
    let mut billed: BTreeMap<&str, Usd> = BTreeMap::new();
    for entry in &truth.bill.attempts {
        let by_books = || charges.get(entry.attempt_id.as_str()).map(|c| c.receipt.run_id.as_str());
        let mut run = run_of(entry).or_else(by_books);
        let mut depth = 0;
        while let Some(run_id) = run.filter(|_| depth < TREE_DEPTH_MAX) {
            *billed.entry(run_id).or_default() += entry.cost_usd;
            run = truth.parents.get(run_id).map(String::as_str);
            depth += 1;
        }
    }
    for (run_id, limit) in &truth.limits {
        let billed = billed.get(run_id.as_str()).copied().unwrap_or_default();
        verdict.check(billed <= *limit, at("O3", run_id, ""), || {
            format!("{billed} USD were billed on a limit of {limit}")
        });
    }
}

/// O4 and O5: exact where it says exact, and never charged too little.
fn exactness(
    charges: &HashMap<&str, Charge<'_>>,
    bill: &HashMap<&str, &BillEntry>,
    verdict: &mut Verdict,
) {
    let mut above = 0;
    for (attempt, charge) in charges {
        let receipt = charge.receipt;
        let run_id = receipt.run_id.as_str();
        let billed = bill.get(attempt).map(|entry| entry.cost_usd).unwrap_or_default();
        let is_exact = receipt.cost_is == CostIs::Exact && !charge.is_corrected;
        verdict.check(!is_exact || charge.cost == billed, at("O4", run_id, attempt), || {
            format!("charged exactly {} USD, billed {billed}", charge.cost)
        });
        let in_sight = charge.cost + receipt.uncertain_usd;
        // What mode `expected` lost sight of is charged at what was likely: it promises no more.
        let is_likely = receipt.status == Status::Unknown
            && receipt.flags.iter().any(|flag| flag == "expected");
        verdict.check(billed <= in_sight || is_likely, at("O5", run_id, attempt), || {
            format!("billed {billed} USD, charged and in sight {in_sight}")
        });
        above += u64::from(billed > charge.cost);
    }
    verdict.peaks.push(("estimates below their bill, within uncertain_usd, most", above));
}

/// The run that a bill's entry belongs to, by the name of its model.
fn run_of(entry: &BillEntry) -> Option<&str> {
    entry.model.strip_prefix(MODEL_PREFIX)
}

/// The model of run `r` is called `for-r`.
pub const MODEL_PREFIX: &str = "for-";

/// Deeper than any tree of runs may be: a circle must not hang the judge.
const TREE_DEPTH_MAX: u32 = 64;
