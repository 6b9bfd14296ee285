//! `tollgated resolve`: what an unknown attempt has cost after all.

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::json;
use tollgate_shared::id::AttemptId;
use tollgate_shared::money::Usd;

/// Flags of `tollgated resolve`.
#[derive(Debug, Args)]
pub(super) struct ResolveArgs {
    /// The attempt, as its receipt names it.
    #[arg(value_name = "ATTEMPT_ID")]
    pub attempt_id: String,
    /// It was billed: this much.
    #[arg(long, value_name = "USD", required_unless_present = "voided", conflicts_with = "voided")]
    pub posted: Option<String>,
    /// It was not billed.
    #[arg(long)]
    pub voided: bool,
    /// How that is known.
    #[arg(long, value_name = "TEXT")]
    pub evidence: String,
    /// Who says so.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Where the gateway listens.
    #[arg(
        long,
        env = "TOLLGATE_GATEWAY",
        value_name = "URL",
        default_value = "http://127.0.0.1:6120"
    )]
    pub gateway: String,
}

/// Asks the running backend, which alone may write, and prints the correction.
pub(super) async fn run(args: ResolveArgs) -> anyhow::Result<ExitCode> {
    let attempt_id: AttemptId = args.attempt_id.parse()?;
    let cost: Option<Usd> = args.posted.as_deref().map(str::parse).transpose()?;
    let mut body = json!({
        "outcome": if args.voided { "voided" } else { "posted" },
        "evidence": args.evidence,
    });
    if let Some(cost) = cost {
        // As a text, for a JSON number could lose digits on its way.
        body["cost_usd"] = cost.to_string().into();
    }
    if let Some(by) = args.by {
        body["by"] = by.into();
    }
    // A second provider that is chosen is refused, and the first one serves.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut url = reqwest::Url::parse(&args.gateway)
        .with_context(|| format!("`{}` is no URL", args.gateway))?;
    url.path_segments_mut()
        .map_err(|()| anyhow!("`{}` is no URL of a gateway", args.gateway))?
        .pop_if_empty()
        .extend(["unknowns", attempt_id.as_str(), "resolve"]);
    let client = reqwest::Client::builder().no_proxy().build()?;
    let reply = client.post(url.clone()).json(&body).send().await;
    let reply = reply.with_context(|| format!("no gateway answers at `{url}`"))?;
    let status = reply.status();
    let text = reply.text().await?;
    if !status.is_success() {
        let told: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let error = &told["error"];
        let code = error["code"].as_str().unwrap_or("unreadable");
        bail!(
            "the gateway answers {status} `{code}`: {}",
            error["message"].as_str().unwrap_or(&text)
        );
    }
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}
