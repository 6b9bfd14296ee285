//! The self-audit in full: two sums, and the first receipt on which they part.
//!
//! The console adds receipts up by itself; the ledger says what they add up to. Where the two
//! differ, the run's receipts are read again and held against the rows that came. Refuses to know
//! who is right.
//!
//! ```text
//! rows that came:  seq 1 2 3 . 5 6          ledger:  seq 1 2 3 4 5 6        parted at 4
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;

use crate::model::Day;

/// The self-audit while it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofView {
    /// The run whose receipts are compared.
    pub run: Option<RunId>,
    /// What the comparison found; `None` until the receipts are here.
    pub found: Option<Result<Found, String>>,
}

/// What comparing a run's receipts found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// So many receipts are equal to the last digit, from one place of the chain to another.
    Equal(usize, u64, u64),
    /// The ledger has a receipt that never came.
    Missing(u64, Usd),
    /// A receipt came with another cost.
    Other {
        /// Its place.
        seq: u64,
        /// As it came.
        ours: Usd,
        /// As the ledger has it.
        theirs: Usd,
    },
    /// None of the receipts that the ledger sent ever came as a row.
    Apart,
}

/// The parts of a receipt that are compared.
#[derive(Deserialize)]
struct Line {
    seq: u64,
    cost_usd: Usd,
}

/// Compares lines of the ledger with the rows of a run.
pub fn compare(day: &Day, run: &RunId, lines: &[Box<RawValue>]) -> Result<Found, String> {
    let theirs = lines
        .iter()
        .map(|line| serde_json::from_str::<Line>(line.get()).map(|line| (line.seq, line.cost_usd)))
        .collect::<Result<BTreeMap<u64, Usd>, _>>()
        .map_err(|error| format!("a receipt cannot be read: {error}"))?;
    let rows = day.tail.newest_first().filter(|row| row.run == *run);
    let ours: BTreeMap<u64, Usd> =
        rows.filter_map(|row| row.sent().map(|sent| (sent.seq, sent.cost_usd))).collect();
    // Older receipts are in the base that the snapshot gave; newer ones may be on their way.
    let (Some(first), Some(last)) = (ours.keys().next(), ours.keys().next_back()) else {
        return Ok(Found::Apart);
    };
    let mut shared = theirs.range(*first..=*last).peekable();
    let Some((from, _)) = shared.peek().copied() else { return Ok(Found::Apart) };
    let (mut count, mut to) = (0, *from);
    for (seq, cost) in shared {
        match ours.get(seq) {
            None => return Ok(Found::Missing(*seq, *cost)),
            Some(own) if own != cost => {
                return Ok(Found::Other { seq: *seq, ours: *own, theirs: *cost });
            }
            Some(_) => (count, to) = (count + 1, *seq),
        }
    }
    Ok(Found::Equal(count, *from, to))
}
