//! The immutable record of one attempt that was sent.
//!
//! One JSON line in `artifacts/costs/<run_id>.jsonl` and one database row. Lines of a run form a
//! chain: `seq` is dense, `prev` is the hash of the line before, and `hash`, last in the line, is
//! SHA-256 over every byte of the line before `,"hash":`. A file alone shows any loss, doubling or
//! slip in it. Refuses to know where lines are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::budget::CapSource;
use crate::id::{AgentName, AttemptId, ModelName, PriceId, ProviderName, RequestId, RunId};
use crate::money::Usd;
use crate::price::Cost;
use crate::select::Objective;
use crate::time::Timestamp;
use crate::usage::{CostIs, Usage, UsageSource};

/// What became of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Answered, at the plan's first choice.
    Success,
    /// Answered, not at the first choice.
    Fallback,
    /// Failed, and billed.
    Error,
    /// Failed, with proof that nothing was billed.
    Voided,
    /// The stream ended early; the cost is an estimate.
    CutOff,
    /// Nobody knows what was billed; charged at its hold.
    Unknown,
    /// A later finding about an unknown one; its cost is signed.
    Correction,
}

impl Status {
    /// Whether the caller got a complete answer.
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::Success | Self::Fallback)
    }
}

/// Why the provider was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// What was asked for.
    pub objective: Objective,
    /// In words.
    pub why: String,
    /// What the cheapest candidate was expected to cost for the same usage.
    pub cheapest_usd: Usd,
    /// How many providers fitted.
    pub candidates: u32,
}

/// The record of one attempt.
///
/// ```json
/// {"request_id":"req-abc123","run_id":"R-001","agent":"Worker-CPE-5","timestamp":"2025-11-06T10:30:00Z",
///  "provider":"openai-gpt4","model":"gpt-4","input_tokens":500,"output_tokens":200,"cost_usd":0.027,
///  "latency_ms":1234,"status":"success", … ,"prev":"…","hash":"…"}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The request it belongs to.
    pub request_id: RequestId,
    /// The run that pays.
    pub run_id: RunId,
    /// Who asked.
    pub agent: AgentName,
    /// When it was settled.
    pub timestamp: Timestamp,
    /// Where it was sent.
    pub provider: ProviderName,
    /// Which model was asked for.
    pub model: ModelName,
    /// All input, cache kinds included.
    pub input_tokens: u64,
    /// All output, reasoning included.
    pub output_tokens: u64,
    /// What the run is charged for it.
    pub cost_usd: Usd,
    /// From the first byte sent to the last byte received.
    pub latency_ms: u64,
    /// What became of it.
    pub status: Status,
    /// Which try of the request this was, from 1.
    pub attempt: u32,
    /// The id that went to the provider in `x-client-request-id`.
    pub attempt_id: AttemptId,
    /// Its place in the run's chain, from 1.
    pub seq: u64,
    /// The same tokens by class.
    pub usage: Usage,
    /// Where the counts come from.
    pub usage_source: UsageSource,
    /// How sure the cost is.
    pub cost_is: CostIs,
    /// The cost by class.
    pub cost: Cost,
    /// What was held for it.
    pub held_usd: Usd,
    /// Output tokens that the hold paid for; absent where none was forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<u64>,
    /// Who chose the cap.
    pub cap_source: CapSource,
    /// The price card it was held and priced with.
    pub price_id: PriceId,
    /// The provider that failed before this one was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_from: Option<ProviderName>,
    /// From the first byte sent to the first token received, for streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<u64>,
    /// What may still be billed on top.
    #[serde(default, skip_serializing_if = "Usd::is_zero_ref")]
    pub uncertain_usd: Usd,
    /// What went wrong, as a stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// In a correction: the place of the line it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<u64>,
    /// In a correction: how the bill became known, in words, and who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// What is remarkable about it, as stable words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Why this provider.
    pub decision: Decision,
    /// Hash of the run's line before; empty for its first.
    pub prev: String,
    /// SHA-256 over the line before `,"hash":`; empty until sealed.
    #[serde(default, skip_serializing)]
    pub hash: String,
}

impl Receipt {
    /// Seals the receipt: its exact line, without a line end. `hash` is set to match.
    pub fn seal(&mut self) -> Result<String, serde_json::Error> {
        let mut line = serde_json::to_string(self)?;
        // The body is an object, so it ends in the brace that the hash goes before.
        line.pop();
        self.hash = hex_sha256(line.as_bytes());
        line.push_str(",\"hash\":\"");
        line.push_str(&self.hash);
        line.push_str("\"}");
        Ok(line)
    }
}

impl Usd {
    fn is_zero_ref(&self) -> bool {
        self.is_zero()
    }
}

/// Why a line does not continue a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// It is no receipt.
    #[error("line is no receipt: {0}")]
    Unreadable(String),
    /// Its bytes are not the ones that were hashed.
    #[error("line {seq} was altered: its hash does not match")]
    Altered {
        /// What the line says its place is.
        seq: u64,
    },
    /// A line is missing, doubled or out of place.
    #[error("line {found} stands where line {expected} should")]
    OutOfPlace {
        /// The place it has.
        expected: u64,
        /// The place it claims.
        found: u64,
    },
    /// It follows another line than the one before it.
    #[error("line {seq} does not follow the line before it")]
    Unlinked {
        /// Its place.
        seq: u64,
    },
}

/// Checks lines one after another.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    seq: u64,
    head: String,
}

impl Chain {
    /// Reads the next line of a run's file and checks that it continues the chain.
    pub fn next(&mut self, line: &str) -> Result<Receipt, ChainError> {
        let receipt: Receipt = serde_json::from_str(line)
            .map_err(|error| ChainError::Unreadable(error.to_string()))?;
        // The digest ends the line: nothing after it would be covered by anything.
        let body = line.rsplit_once(",\"hash\":\"").map_or("", |(body, _)| body);
        let digest = hex_sha256(body.as_bytes());
        let is_whole = line.strip_prefix(body) == Some(&*format!(",\"hash\":\"{digest}\"}}"));
        if !is_whole {
            return Err(ChainError::Altered { seq: receipt.seq });
        }
        if receipt.seq != self.seq + 1 {
            return Err(ChainError::OutOfPlace { expected: self.seq + 1, found: receipt.seq });
        }
        if receipt.prev != self.head {
            return Err(ChainError::Unlinked { seq: receipt.seq });
        }
        self.seq = receipt.seq;
        self.head.clone_from(&receipt.hash);
        Ok(receipt)
    }

    /// Lines read so far.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Hash of the last line; empty before the first.
    pub fn head(&self) -> &str {
        &self.head
    }
}

/// SHA-256 as 64 lower-case hex digits.
pub fn hex_sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn receipt(seq: u64, prev: &str) -> Receipt {
        let usage = Usage::plain(500, 200);
        let card = crate::price::PriceCard::of(
            crate::price::UsdPerToken::new("0.00003".parse().unwrap()).unwrap(),
            crate::price::UsdPerToken::new("0.00006".parse().unwrap()).unwrap(),
        );
        let cost = card.cost(&usage);
        Receipt {
            request_id: format!("req-{seq}").parse().unwrap(),
            run_id: "R-001".parse().unwrap(),
            agent: "Worker-CPE-5".parse().unwrap(),
            timestamp: "2025-11-06T10:30:00Z".parse().unwrap(),
            provider: "openai-gpt4".parse().unwrap(),
            model: "gpt-4".parse().unwrap(),
            input_tokens: usage.input_tokens(),
            output_tokens: usage.output_tokens(),
            cost_usd: cost.total(),
            latency_ms: 1234,
            status: Status::Success,
            attempt: 1,
            attempt_id: format!("a-{seq}").parse().unwrap(),
            seq,
            usage,
            usage_source: UsageSource::Reported,
            cost_is: CostIs::Exact,
            cost,
            held_usd: "0.5".parse().unwrap(),
            cap: Some(200),
            cap_source: CapSource::Caller,
            price_id: card.id(),
            fallback_from: None,
            ttft_ms: None,
            uncertain_usd: Usd::ZERO,
            error: None,
            corrects: None,
            evidence: None,
            flags: vec![],
            decision: Decision {
                objective: Objective::Cost,
                why: "cost: cheapest eligible".into(),
                cheapest_usd: cost.total(),
                candidates: 1,
            },
            prev: prev.into(),
            hash: String::new(),
        }
    }

    #[test]
    fn a_line_begins_like_the_seed_and_ends_in_its_hash() {
        let mut receipt = receipt(1, "");
        let line = receipt.seal().unwrap();
        assert!(line.starts_with(
            r#"{"request_id":"req-1","run_id":"R-001","agent":"Worker-CPE-5","timestamp":"2025-11-06T10:30:00Z","provider":"openai-gpt4","model":"gpt-4","input_tokens":500,"output_tokens":200,"cost_usd":0.027,"latency_ms":1234,"status":"success","#
        ));
        assert!(line.ends_with(&format!(",\"hash\":\"{}\"}}", receipt.hash)));
        assert_eq!(Chain::default().next(&line).unwrap(), receipt);
    }

    #[test]
    fn loss_doubling_and_slips_show() {
        let (mut first, mut lines) = (receipt(1, ""), vec![]);
        lines.push(first.seal().unwrap());
        let mut second = receipt(2, &first.hash);
        lines.push(second.seal().unwrap());
        let mut third = receipt(3, &second.hash);
        lines.push(third.seal().unwrap());
        let mut stray = receipt(2, "elsewhere");
        let stray = stray.seal().unwrap();

        let check = |lines: &[&str]| {
            let mut chain = Chain::default();
            lines.iter().try_for_each(|line| chain.next(line).map(drop))
        };
        let [one, two, three] = [&lines[0], &lines[1], &lines[2]].map(String::as_str);
        assert_eq!(check(&[one, two, three]), Ok(()));
        assert!(matches!(
            check(&[one, three]),
            Err(ChainError::OutOfPlace { expected: 2, found: 3 })
        ));
        assert!(matches!(check(&[one, two, two]), Err(ChainError::OutOfPlace { .. })));
        assert!(matches!(check(&[one, &stray]), Err(ChainError::Unlinked { seq: 2 })));
        let slipped = two.replace("0.027", "0.026");
        assert!(matches!(check(&[one, &slipped]), Err(ChainError::Altered { seq: 2 })));
        assert!(matches!(check(&[&one[..40]]), Err(ChainError::Unreadable(_))));
        let forged = format!("{},\"ttft_ms\":5}}", one.strip_suffix('}').unwrap());
        assert!(matches!(check(&[&forged]), Err(ChainError::Altered { seq: 1 })), "after the hash");
    }
}
