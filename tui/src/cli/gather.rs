//! The console's own model without a terminal: connect, listen until it is complete, stop.
//!
//! What a command prints from it is what the screen shows, folded by the same code. Sends nothing.
//! Refuses to know what is printed.

use std::time::Duration;

use tokio::time::Instant;

use super::Failure;
use crate::console::ConsoleOptions;
use crate::feed::{LinkChange, clock};
use crate::message::Message;
use crate::model::Model;
use crate::update::update;

/// A model with a snapshot in it; silent where none came in time.
pub async fn gather(options: &ConsoleOptions, patience: Duration) -> Result<Model, Failure> {
    let (mut deltas, _hurry, _feed) = options.feed();
    let mut model = Model::new(options.settings(), (120, 40), clock());
    let until = Instant::now() + patience;
    let mut why = format!("no snapshot within {} s", patience.as_secs());
    while !model.live.ready {
        tokio::select! {
            delta = deltas.recv() => match delta {
                Some(delta) => {
                    if let Some(LinkChange::Lost { why: reason, .. }) = &delta.link {
                        why.clone_from(reason);
                    }
                    update(&mut model, Message::Delta(Box::new(delta)));
                }
                None => break,
            },
            () = tokio::time::sleep_until(until) => break,
        }
    }
    if !model.live.ready {
        return Err(Failure::Silent(format!("no answer from {}: {why}", options.events)));
    }
    Ok(model)
}
