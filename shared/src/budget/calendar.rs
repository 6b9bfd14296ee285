//! Which day it is, for accounts that refill: a clock that jumps mints no money.
//!
//! The day goes on by the monotonic clock, from a moment at which the wall clock was believed. The
//! wall clock is believed anew as long as both agree; when they part, the day goes on by the
//! monotonic one alone, so that it can come late and never early.

use crate::budget::books::DAY_S;
use crate::time::Timestamp;

/// A day and how it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    anchor: Timestamp,
    anchor_steady_us: i64,
    day: Timestamp,
}

/// What the clocks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The beginning of the day it is.
    pub day: Timestamp,
    /// Whether wall and monotonic clock have parted; then somebody must be told.
    pub doubtful: bool,
}

impl Calendar {
    /// Starts at what the wall clock says, which nothing can check yet; but never on a day before
    /// `known`, the last one that was believed.
    pub fn new(wall: Timestamp, steady_us: i64, known: Timestamp) -> Self {
        let day = wall.floor_to(DAY_S).max(known);
        Self { anchor: wall, anchor_steady_us: steady_us, day }
    }

    /// The day, now that the clocks read this.
    pub fn read(&mut self, wall: Timestamp, steady_us: i64) -> Reading {
        let passed = steady_us - self.anchor_steady_us;
        let now = Timestamp::from_micros(self.anchor.micros() + passed);
        let apart = (wall.micros() - now.micros()).abs();
        let doubtful = apart > APART_MAX_US;
        // Slow drift is followed, but not so often that small steps could add up to a day.
        if !doubtful && passed >= ANCHOR_EVERY_US {
            self.anchor = wall;
            self.anchor_steady_us = steady_us;
        }
        let believed = if doubtful { now } else { wall };
        self.day = self.day.max(believed.floor_to(DAY_S));
        Reading { day: self.day, doubtful }
    }
}

/// How far wall and monotonic clock may part before the wall clock is not believed.
const APART_MAX_US: i64 = 5_000_000;

/// How often the wall clock is taken as the new start.
const ANCHOR_EVERY_US: i64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn at(us: i64) -> Timestamp {
        Timestamp::from_micros(us)
    }

    #[test]
    fn a_day_passes_when_both_clocks_say_so() {
        let mut calendar = Calendar::new(at(23 * HOUR), 0, at(0));
        assert_eq!(calendar.read(at(24 * HOUR - 1), HOUR - 1).day, at(0));
        let reading = calendar.read(at(24 * HOUR), HOUR);
        assert_eq!(reading, Reading { day: at(24 * HOUR), doubtful: false });
    }

    #[test]
    fn a_jump_of_the_wall_clock_mints_no_day() {
        let mut calendar = Calendar::new(at(12 * HOUR), 0, at(0));
        for jump in [HOUR * 24, HOUR * 24 * 365, -HOUR * 24 * 365] {
            let reading = calendar.read(at(12 * HOUR + jump), 1_000_000);
            assert_eq!(reading, Reading { day: at(0), doubtful: true }, "{jump}");
        }
        // The day still comes, by the clock that did not jump.
        assert_eq!(calendar.read(at(900 * HOUR), 12 * HOUR).day, at(24 * HOUR));
    }

    #[test]
    fn small_steps_do_not_add_up_to_a_day() {
        let mut calendar = Calendar::new(at(0), 0, at(0));
        let mut first_doubt = None;
        for step in 1..=100 {
            // Each second the wall clock gains four more.
            let reading = calendar.read(at(step * 5_000_000), step * 1_000_000);
            if reading.doubtful && first_doubt.is_none() {
                first_doubt = Some(step);
            }
        }
        assert_eq!(first_doubt, Some(2));
    }

    #[test]
    fn a_clock_that_was_set_back_while_we_were_away_does_not_bring_a_day_again() {
        let mut calendar = Calendar::new(at(0), 0, at(24 * HOUR));
        assert_eq!(calendar.read(at(1), 1).day, at(24 * HOUR));
    }
}
