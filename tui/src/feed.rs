//! The event stream: frames in, one [`Delta`] every 100 ms out.
//!
//! Connects, resumes where it left off, notices holes, and never gives up. Refuses to know the
//! model: it hands over what came and how the connection is.

mod delta;
mod socket;

pub use delta::{Delta, LinkChange};
pub(crate) use socket::clock;
pub use socket::{Feed, FeedOptions};
