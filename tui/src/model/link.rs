//! How the connection is, and how old what is shown has become.
//!
//! | age of the last frame | state |
//! |---|---|
//! | under 5 s | live |
//! | 5 to 15 s | late: numbers dim |
//! | over 15 s | stale: rates say `≈` |
//! | the socket is gone | lost: the next try is on screen |
//!
//! Refuses to know sockets; the feed reports, this only judges.

use tollgate_shared::time::Timestamp;

/// The connection to the event stream.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Link {
    /// The first try is under way.
    #[default]
    Connecting,
    /// Frames may come.
    Up,
    /// It broke, or never came up.
    Lost {
        /// Since when.
        since: Timestamp,
        /// Which try comes next, from 1.
        attempt: u32,
        /// When it comes.
        retry_at: Timestamp,
        /// What went wrong.
        why: String,
    },
}

/// How much what is shown can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing came yet.
    Waiting,
    /// As of this many milliseconds ago.
    Live(u64),
    /// A little old: this many seconds.
    Late(u64),
    /// Old: this many seconds.
    Stale(u64),
    /// The connection is gone.
    Lost,
}

impl Freshness {
    /// Whether rates are guesses by now.
    pub const fn is_old(self) -> bool {
        matches!(self, Self::Stale(_) | Self::Lost)
    }
}

impl Link {
    /// Judges by the age of the last frame.
    pub fn freshness(&self, last_frame: Option<Timestamp>, now: Timestamp) -> Freshness {
        if let Self::Lost { .. } = self {
            return Freshness::Lost;
        }
        let Some(last) = last_frame else { return Freshness::Waiting };
        let age = u64::try_from(now.millis_since(last)).unwrap_or(0);
        match age {
            ..LATE_MS => Freshness::Live(age),
            LATE_MS..STALE_MS => Freshness::Late(age / 1_000),
            _ => Freshness::Stale(age / 1_000),
        }
    }
}

/// From this age of the last frame it is late, in milliseconds: two heartbeats of 2 s were missed,
/// and the second that the clock takes to tick still leaves it within five.
pub const LATE_MS: u64 = 4_000;

/// From this age it is stale.
pub const STALE_MS: u64 = 15_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_decides() {
        let now = Timestamp::from_micros(100_000_000);
        let rows = [
            (200, Freshness::Live(200)),
            (3_999, Freshness::Live(3_999)),
            (7_000, Freshness::Late(7)),
            (15_000, Freshness::Stale(15)),
        ];
        for (age, state) in rows {
            assert_eq!(Link::Up.freshness(Some(now.plus_millis(-age)), now), state);
        }
        assert_eq!(Link::Connecting.freshness(None, now), Freshness::Waiting);
        let lost = Link::Lost { since: now, attempt: 1, retry_at: now, why: String::new() };
        assert_eq!(lost.freshness(Some(now), now), Freshness::Lost);
    }
}
