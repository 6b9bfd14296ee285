//! The pure core of Tollgate: its words, its things and its decisions.
//!
//! Nothing here knows a clock, a socket, a file or chance; time and randomness are arguments.
//! The backend acts on what this crate decides, the console folds with the same code.
//!
//! Read in this order, twenty minutes:
//!
//! | floor | module | what it says |
//! |---|---|---|
//! | words | [`money`] | exact dollars, and the only rounding in the house |
//! | words | [`id`] | names that were parsed once, at the door |
//! | words | [`time`] | timestamps; arithmetic only |
//! | words | [`usage`] | disjoint token classes |
//! | things | [`price`] | a price card: what usage costs, what a request can cost at worst |
//! | things | [`provider`] | one registered way to reach one model, and whether it fits a request |
//! | things | [`receipt`] | the immutable record of one attempt, and its hash chain |
//! | things | [`event`] | the closed list of what a console can be told |
//! | words | [`body`] | a JSON object read field by field; every mistake names its field |
//! | things | [`api`] | bodies of the router and gateway APIs, and the one error shape |
//! | decisions | [`select`] | facts about providers in, a plan out |
//! | decisions | [`budget`] | accounts and holds: who may spend, who is refused, and by how much |
//! | decisions | [`retry`] | what an attempt's ending means for its money and for the next try |
//! | decisions | [`circuit`] | closed, open, half-open, by arithmetic |
//! | decisions | [`window`] | rolling sums and latency histograms |
//! | decisions | [`alert`] | conditions worth a person's attention, once per crossing |
//! | decisions | [`forecast`] | burn and runway, the only floats and why |

pub mod alert;
pub mod api;
pub mod body;
pub mod budget;
pub mod circuit;
pub mod event;
pub mod forecast;
pub mod id;
pub mod money;
pub mod price;
pub mod provider;
pub mod receipt;
pub mod retry;
pub mod select;
pub mod time;
pub mod usage;
pub mod window;
