//! Days: what was spent on each, and by whom, from the ledger's receipts.
//!
//! A day is folded from its receipts when somebody asks, and remembered. Receipts are append-only
//! and their time never goes back, so a day that is asked for again is read on from where it ended:
//! always exact, and never read twice. Refuses to be kept on disk: the receipts are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tollgate_shared::api::{Breakdown, DailyReport, DayReport, RANKING_MAX, RankedRow, Ranking};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;
use tollgate_shared::window::Sums;

use crate::store::{Reader, StoreError};

/// The days that somebody asked for.
#[derive(Debug)]
pub struct Reports {
    /// Its own, so that a first look at a month stands in nobody's way.
    reader: Reader,
    days: Mutex<BTreeMap<Timestamp, Day>>,
}

/// One day, as far as it was read.
#[derive(Debug)]
struct Day {
    /// The first receipt that was not looked at.
    next_id: i64,
    hours: [Usd; 24],
    of: Folded,
}

/// Sums by name.
#[derive(Clone, Debug, Default)]
struct Folded {
    sums: Sums,
    uncertain: Usd,
    receipts: u64,
    /// By run, agent, provider and model.
    by: [Names; 4],
}

/// Sums by name, of one kind; beyond [`NAMES_MAX`] the rest in one.
#[derive(Clone, Debug, Default)]
struct Names {
    known: HashMap<String, Sums>,
    rest: Sums,
    rest_rows: u64,
}

impl Reports {
    /// Nothing is read before somebody asks.
    pub fn new(reader: Reader) -> Self {
        Self { reader, days: Mutex::default() }
    }

    /// The report of so many days, of which `last` is the last.
    pub fn daily(
        &self,
        last: Timestamp,
        count: usize,
        now: Timestamp,
    ) -> Result<DailyReport, StoreError> {
        let mut kept = self.days();
        let mut total = Folded::default();
        let mut days = Vec::with_capacity(count);
        for back in (0..count).rev() {
            let ago = i64::try_from(back).unwrap_or(0) * DAY_MS;
            let start = last.floor_to(DAY_MS / 1_000).plus_millis(-ago);
            let day = self.read_on(&mut kept, start)?;
            total.add(&day.of);
            let date = start.to_string().chars().take(DATE_LENGTH).collect();
            let is_over = start.plus_millis(DAY_MS) <= now;
            days.push(DayReport {
                date,
                is_over,
                hours_usd: day.hours.to_vec(),
                breakdown: day.of.breakdown(),
            });
        }
        while kept.len() > DAYS_KEPT {
            kept.pop_first();
        }
        Ok(DailyReport { as_of: now, days, total: total.breakdown() })
    }

    /// A day with every receipt that it has now.
    fn read_on<'a>(
        &self,
        kept: &'a mut BTreeMap<Timestamp, Day>,
        start: Timestamp,
    ) -> Result<&'a Day, StoreError> {
        let day = match kept.entry(start) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                let next_id = self.reader.first_id(start)?;
                vacant.insert(Day { next_id, hours: [Usd::ZERO; 24], of: Folded::default() })
            }
        };
        let end = start.plus_millis(DAY_MS);
        while self.reader.from_id((day.next_id, end), READ_AT_ONCE, |id, at, line| {
            day.next_id = id + 1;
            // A line that cannot be read was never written by the ledger; `verify` reports it.
            let Ok(receipt) = serde_json::from_str::<Receipt>(line) else { return };
            let hour = usize::try_from(at.millis_since(start) / 3_600_000).unwrap_or(0);
            if let Some(sum) = day.hours.get_mut(hour) {
                *sum += receipt.cost_usd;
            }
            day.of.fold(&receipt);
        })? {}
        Ok(day)
    }

    fn days(&self) -> MutexGuard<'_, BTreeMap<Timestamp, Day>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Folded {
    fn fold(&mut self, receipt: &Receipt) {
        let sums = Sums::of(receipt);
        self.sums.add(&sums);
        self.uncertain += receipt.uncertain_usd;
        self.receipts += 1;
        let names = [
            receipt.run_id.as_str(),
            receipt.agent.as_str(),
            receipt.provider.as_str(),
            receipt.model.as_str(),
        ];
        for (by, name) in self.by.iter_mut().zip(names) {
            by.add(name, &sums);
        }
    }

    fn add(&mut self, other: &Self) {
        self.sums.add(&other.sums);
        self.uncertain += other.uncertain;
        self.receipts += other.receipts;
        for (by, others) in self.by.iter_mut().zip(&other.by) {
            for (name, sums) in &others.known {
                by.add(name, sums);
            }
            by.rest.add(&others.rest);
            by.rest_rows += others.rest_rows;
        }
    }

    fn breakdown(&self) -> Breakdown {
        let [by_run, by_agent, by_provider, by_model] = self.by.each_ref().map(Names::ranking);
        Breakdown {
            sums: self.sums,
            uncertain_usd: self.uncertain,
            receipts: self.receipts,
            by_run,
            by_agent,
            by_provider,
            by_model,
        }
    }
}

impl Names {
    /// Looked up before the name is copied: the usual case is that it is there.
    fn add(&mut self, name: &str, sums: &Sums) {
        if let Some(known) = self.known.get_mut(name) {
            known.add(sums);
        } else if self.known.len() < NAMES_MAX {
            self.known.insert(name.to_owned(), *sums);
        } else {
            self.rest.add(sums);
            self.rest_rows += 1;
        }
    }

    fn ranking(&self) -> Ranking {
        let mut rows: Vec<(&String, &Sums)> = self.known.iter().collect();
        rows.sort_unstable_by(|(one, left), (other, right)| {
            right.cost_usd.cmp(&left.cost_usd).then_with(|| one.cmp(other))
        });
        let mut others_sums = self.rest;
        let (top, others) = rows.split_at(rows.len().min(RANKING_MAX));
        others.iter().for_each(|(_, sums)| others_sums.add(sums));
        Ranking {
            top: top
                .iter()
                .map(|(name, sums)| RankedRow { name: (*name).clone(), sums: **sums })
                .collect(),
            others: others.len() as u64 + self.rest_rows,
            others_sums,
        }
    }
}

/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// Characters of a date within a timestamp.
const DATE_LENGTH: usize = 10;

/// Most days in one report: a month, as an invoice has it.
pub const DAYS_MAX: usize = 31;

/// Days that are remembered; the oldest are read anew when somebody asks for them again.
const DAYS_KEPT: usize = 2 * DAYS_MAX;

/// Names of one kind that a day tells apart: far more than any list shows, and a bound for memory.
/// Sums are exact whatever their number.
const NAMES_MAX: usize = 10_000;

/// Receipts read in one go.
const READ_AT_ONCE: u32 = 4_096;
