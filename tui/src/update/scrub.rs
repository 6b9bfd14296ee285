//! Going back in time: the whole screen as of another minute.
//!
//! What stood then follows from what is known now, because receipts are only ever added. The
//! screen says so and changes nothing. Refuses to know how the past is drawn.

use crate::model::Model;

/// Moves by so many seconds; beyond now it is now again.
pub(super) fn go(model: &mut Model, by_s: i64) {
    let Ok(earliest) = model.scrub_limit() else { return };
    let from = model.as_of.unwrap_or_else(|| model.live.now.floor_to(60));
    let wanted = if model.as_of.is_none() && from < model.live.now {
        // The first step back is to the minute that has begun.
        from
    } else {
        from.plus_millis(by_s * 1_000)
    };
    if wanted >= model.live.now {
        model.as_of = None;
        model.frozen = None;
        return;
    }
    let at = wanted.max(earliest);
    if at > wanted {
        model.toast("the past before this is with the backend, not here");
    }
    model.as_of = Some(at);
    model.frozen = Some(Box::new(model.live.as_of(at)));
}
