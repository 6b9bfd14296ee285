//! What is asked and folded because somebody looks at it.
//!
//! After every key and every second: sums of the Routing screen are folded, exact lines are asked
//! for where the cursor rests. Nothing is asked twice, and nothing while the connection is gone.
//! Refuses to know what the answers look like.

use crate::message::Effect;
use crate::model::{Model, Screen};

/// Looks at what is shown; answers what has to be asked for it.
pub(super) fn look(model: &mut Model) -> Vec<Effect> {
    if model.screen == Screen::Routing {
        let mut routing = std::mem::take(&mut model.routing);
        routing.refresh(model.day());
        model.routing = routing;
    }
    Vec::new()
}
