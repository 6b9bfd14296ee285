//! What time it is, and ids that carry it. The only place that asks the system.

use std::time::{SystemTime, UNIX_EPOCH};

use tollgate_shared::id::{AttemptId, RequestId};
use tollgate_shared::time::Timestamp;
use uuid::Uuid;

/// Wall-clock time. Order is the ledger's business: it never goes back there.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A new attempt's id: sorts by time, and is the one thing of ours that goes upstream.
pub fn attempt_id() -> AttemptId {
    #[expect(clippy::expect_used, reason = "a hyphenated UUID is 36 visible ASCII characters")]
    Uuid::now_v7().to_string().parse().expect("a UUID is an attempt id")
}

/// A request id for a caller that gave none.
pub fn request_id() -> RequestId {
    #[expect(clippy::expect_used, reason = "a hyphenated UUID is 36 visible ASCII characters")]
    Uuid::now_v7().to_string().parse().expect("a UUID is a request id")
}

/// A name for this start of this node: event numbers begin anew with it.
pub fn epoch() -> String {
    let id = Uuid::now_v7().simple().to_string();
    format!("n1-{}", &id[..16])
}
