//! What the wall clock says where the person sits.
//!
//! Clock times on the screen are local, days of reports are UTC and say so. A process has one zone,
//! as it has one locale: it is looked up once, and every moment is shown with the offset that holds
//! at that moment, so a night with 25 hours is shown right. Tests show UTC. Refuses to know what is
//! shown.

use std::sync::OnceLock;

use jiff::tz::TimeZone;
use tollgate_shared::time::Timestamp;

static ZONE: OnceLock<TimeZone> = OnceLock::new();

/// From now on times are shown as the clocks here show them (`TZ`, else the system's zone).
pub fn use_system() {
    ZONE.get_or_init(TimeZone::system);
}

/// The moment whose UTC digits are the local digits of `at`.
pub fn local(at: Timestamp) -> Timestamp {
    at.plus_millis(offset_s(at).saturating_mul(1_000))
}

/// The moment at which clocks here show the digits that `at` has in UTC.
pub fn from_local(at: Timestamp) -> Timestamp {
    // The offset is that of the moment itself; on the one night where guesses differ the second
    // guess is within the hour that happens twice or never.
    let guess = at.plus_millis(offset_s(at).saturating_mul(-1_000));
    at.plus_millis(offset_s(guess).saturating_mul(-1_000))
}

/// Seconds by which clocks here are ahead of UTC.
fn offset_s(at: Timestamp) -> i64 {
    let Some(zone) = ZONE.get() else { return 0 };
    let moment = jiff::Timestamp::from_second(at.seconds()).unwrap_or_default();
    i64::from(zone.to_offset(moment).seconds())
}
