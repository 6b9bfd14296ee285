//! The window of Tollgate: the console.
//!
//! ```text
//! keys, paste, resize, signals ─┐
//! replies to our requests ──────┼─▶ Message ─▶ update(&mut Model, Message) ─▶ Effects
//! feed: a Delta every 100 ms ───┘                   │
//!                                                 Model ─▶ view(&Model, &Theme, Rect, &mut Buffer)
//! ```
//!
//! Knows the backend only by its wire. Read in this order:
//!
//! | module | what it says |
//! |---|---|
//! | [`model`] | everything the console knows, as plain data |
//! | [`message`] | what can happen, and what can be asked for |
//! | [`update`] | the only place where the model changes |
//! | [`view`] | the picture of a model, pure and total |
//! | [`action`], [`keys`] | everything that can be done, and on which key |
//! | [`filter`], [`amount`] | what people type |
//! | [`palette`], [`export`] | commands in one line; what a pane lists, for files |
//! | [`settings`] | the files that a person configures it with |
//! | [`theme`], [`text`], [`format`], [`zone`] | colours by role, outside text made safe, numbers with units, local clocks |
//! | [`replay`] | receipt files as a feed |
//! | [`feed`], [`client`] | the event stream, and requests |
//! | [`term`], [`console`] | the terminal, and the loop that joins all of it |
//! | `embedded` | a backend in this process: the demo, and a first run |
//! | [`shot`], [`picture`] | a picture of the console, as text or SVG |
//! | [`cli`] | the same without its screen: a verb a file |

pub mod action;
pub mod amount;
pub mod cli;
pub mod client;
pub mod console;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod export;
pub mod feed;
pub mod filter;
pub mod format;
pub mod keys;
pub mod message;
pub mod model;
pub mod palette;
pub mod picture;
pub mod replay;
pub mod settings;
pub mod shot;
pub mod term;
pub mod text;
pub mod theme;
pub mod update;
pub mod view;
pub mod zone;

#[cfg(test)]
mod fixture;
