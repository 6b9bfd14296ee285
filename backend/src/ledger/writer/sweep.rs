//! What time does: orphans at start, holds that nobody ends, unknowns that nobody explains, days.

use tollgate_shared::alert;
use tollgate_shared::budget::{Account, Owner};
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;
use tollgate_shared::usage::CostIs;

use super::{Owed, Writer};
use crate::clock;
use crate::ledger::{Ending, Resolve, Told};
use crate::store::StoreError;

impl Writer {
    /// Every hold that the last process left becomes unknown, with its receipt. Told to nobody:
    /// projections begin with what the store holds, and this is in it.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        let orphans = self.store.orphans()?;
        self.tick();
        self.store.begin()?;
        for orphan in &orphans {
            self.books.restore_hold(orphan.receipt.attempt_id.clone(), orphan.hold.clone());
        }
        // First, so that what is lost now counts for the day in which it is lost.
        self.open_fleet()?;
        self.pass_midnight()?;
        for orphan in orphans {
            self.lose_sight(orphan.receipt, "recovered")?;
        }
        drop(self.finish()?);
        Ok(())
    }

    /// The fleet's account counts the day's money from the day's first receipt on, also in a
    /// ledger that did not have one.
    fn open_fleet(&mut self) -> Result<(), StoreError> {
        if self.books.purse(&Owner::Fleet).is_some_and(|fleet| fleet.version > 0) {
            return Ok(());
        }
        let day = self.read_calendar();
        let runs: Vec<_> = self.books.runs().map(|run| run.id.clone()).collect();
        let spent = self.store.charged_since(&runs, None, day)?;
        let (pending, exposed) = self.books.in_flight(&Owner::Fleet);
        let fleet = tollgate_shared::budget::Purse {
            account: Account { pending, exposed: spent.exposed + exposed, ..spent },
            version: 1,
            ..tollgate_shared::budget::Purse::daily(day)
        };
        self.books.restore_purse(Owner::Fleet, fleet);
        self.books.restore_day(day);
        self.store.save_day(day)?;
        self.group.dirty.insert(Owner::Fleet);
        Ok(())
    }

    /// Looks for what has waited too long.
    pub(super) fn sweep(&mut self) -> Result<(), StoreError> {
        let held_before = self.now.plus_millis(-millis(self.policy.hold_timeout));
        // A clock that jumped says nothing about how long anything took.
        if self.books.open_holds() > 0 && !self.doubtful {
            for orphan in self.store.orphans_before(held_before)? {
                self.lose_sight(orphan.receipt, "hold_timeout")?;
            }
        }
        let lost_before = self.now.plus_millis(-millis(self.policy.unknown_ttl));
        for lost in self.store.lost_before(lost_before, SWEPT_AT_ONCE)? {
            let resolve = Resolve {
                attempt_id: lost.receipt.attempt_id.clone(),
                voided: false,
                cost: lost.receipt.held_usd,
                beyond_bound: false,
                cost_is: CostIs::Hold,
                evidence: "assumed: nothing was learned about it in time".into(),
                bill: None,
            };
            self.correct(lost, &resolve)?;
        }
        Ok(())
    }

    fn lose_sight(&mut self, receipt: Receipt, error: &str) -> Result<(), StoreError> {
        let ending = Box::new(lost(&receipt, error));
        self.settle(Owed { draft: Box::new(receipt), ending, reply: None, receipt: None })
    }

    /// Accounts that count days begin anew when both clocks say that one has begun.
    pub(super) fn pass_midnight(&mut self) -> Result<(), StoreError> {
        let day = self.read_calendar();
        let begun = self.books.begin_day(day, self.now);
        if begun.is_empty() {
            return Ok(());
        }
        self.store.save_day(day)?;
        let crossed = begun.iter().filter_map(|owner| self.books.relevel(owner)).collect();
        self.tell_crossings(crossed);
        self.group.dirty.extend(begun.iter().cloned());
        self.group.freed.extend(begun);
        Ok(())
    }

    /// The beginning of the day it is; an alarm where the clocks disagree about it.
    pub(super) fn read_calendar(&mut self) -> Timestamp {
        let steady = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        let reading = self.calendar.read(clock::now(), steady);
        if reading.doubtful != self.doubtful {
            self.doubtful = reading.doubtful;
            self.group.told.push(match reading.doubtful {
                true => Told::Alarm(alert::of_clock(self.now)),
                false => Told::Calm(alert::CLOCK_ID),
            });
        }
        reading.day
    }
}

/// The ending of an attempt of which nothing more is known than its draft says.
fn lost(receipt: &Receipt, error: &str) -> Ending {
    Ending {
        outcome: tollgate_shared::budget::Outcome::Unknown,
        status: Some(receipt.status),
        usage: receipt.usage,
        usage_source: receipt.usage_source,
        cost_is: receipt.cost_is,
        cost: receipt.cost,
        latency_ms: receipt.latency_ms,
        ttft_ms: None,
        error: Some(error.into()),
        flags: Vec::new(),
    }
}

fn millis(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2_000)
}

/// Most unknowns that one sweep ends: a bound for the group.
const SWEPT_AT_ONCE: u32 = 500;
