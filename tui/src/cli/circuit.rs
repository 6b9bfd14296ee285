//! `tollgate circuit`: traffic to a provider stopped, tried or let through. Refuses to know why a
//! circuit opens by itself.

use clap::ValueEnum;
use serde_json::json;
use tollgate_shared::id::ProviderName;

use super::Failure;
use super::api::{Api, Change};
use super::outcome::{Done, print};
use crate::message::Target;
use crate::message::segment;

/// Which circuit, and how it shall be.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The provider.
    provider: ProviderName,
    /// open: no traffic; half-open: one request as a probe; close: all of it.
    state: State,
    /// How long it stays open: 5m, 90s, 2h.
    #[arg(long = "for", value_name = "SPAN", value_parser = seconds)]
    for_s: Option<u64>,
    /// Why, for those who see it.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// How it shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    Open,
    HalfOpen,
    #[value(alias = "closed")]
    Close,
}

/// Does it.
pub async fn run(args: Args, api: &Api) -> Done {
    if args.for_s.is_some() && args.state != State::Open {
        return Err(Failure::Usage("only an open circuit stays so for a while".into()));
    }
    let (word, said) = match args.state {
        State::Open => ("open", "open: no traffic"),
        State::HalfOpen => ("half_open", "half-open: one request as a probe"),
        State::Close => ("closed", "closed: traffic flows"),
    };
    let mut body = json!({"state": word});
    if let Some(why) = args.why {
        body["reason"] = why.into();
    }
    if let Some(seconds) = args.for_s {
        body["for_s"] = seconds.into();
    }
    let path = format!("/providers/{}/circuit", segment(args.provider.as_str()));
    api.change(Change::post(Target::Router, path, body.to_string())).await?;
    let span = args.for_s.map_or(String::new(), |s| format!(" for {}", crate::format::span(s)));
    print(&format!("The circuit of {} is {said}{span}.\n", args.provider))
}

/// A span with its unit, in whole seconds.
pub fn seconds(text: &str) -> Result<u64, String> {
    let ms = crate::filter::span_ms(text).ok_or("a span such as 90s, 5m or 2h")?;
    Some(ms / 1_000).filter(|s| *s > 0).ok_or_else(|| "at least a second".into())
}
