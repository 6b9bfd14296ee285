//! The hands of Tollgate: HTTP, SQLite, files, upstream calls, the event stream.
//!
//! What is decided is decided in `tollgate-shared`; this crate makes it happen and makes it last.
//! A newcomer reads [`flight`] first: one request from accept to answer, as one straight story.
//!
//! | floor | modules |
//! |---|---|
//! | doors | `main`, [`app`], [`api`] |
//! | choreography | [`flight`], [`registry`] |
//! | hands | [`ledger`] on [`store`], [`upstream`], [`projection`] with [`receipts`], [`hub`], [`clock`], [`config`], [`telemetry`], [`simulate`] |

pub mod api;
pub mod app;
pub mod audit;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod config;
pub mod flight;
pub mod hub;
pub mod ledger;
pub mod projection;
pub mod rebuild;
pub mod receipts;
pub mod recovery;
pub mod registry;
pub mod simulate;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod verify;
