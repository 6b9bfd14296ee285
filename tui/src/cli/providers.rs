//! `tollgate providers`: what is registered, a new one, one less.
//!
//! Prices need a unit, as in the console's form: `2.50/M`, never a bare `60`. Refuses to know the
//! registry; it says what it thinks of a body.

use clap::Subcommand;
use reqwest::Method;
use tollgate_shared::api::ProviderList;
use tollgate_shared::id::{ModelName, ProviderName};
use tollgate_shared::provider::ProviderView;

use super::Failure;
use super::api::{Api, Change, read};
use super::outcome::{Done, print};
use super::table::{Head, Table, or_dash};
use crate::amount::{self, Price};
use crate::format;
use crate::message::Target;
use crate::message::segment;

/// What to do with providers.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists them.
    List {
        /// Those that were removed as well.
        #[arg(long)]
        all: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows one, also after it was removed.
    Show {
        /// Its name.
        name: ProviderName,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Registers one, or replaces one of the same name.
    Add(Box<AddArgs>),
    /// Removes one: it takes no more traffic.
    Remove {
        /// Its name.
        name: ProviderName,
    },
}

/// A registration.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Its name.
    #[arg(required_unless_present = "body")]
    name: Option<ProviderName>,
    /// The model, as callers ask for it.
    #[arg(long, required_unless_present = "body")]
    model: Option<ModelName>,
    /// Where it listens.
    #[arg(long, value_name = "URL", required_unless_present = "body")]
    endpoint: Option<String>,
    /// Largest input and output together, in tokens.
    #[arg(long, value_name = "TOKENS", required_unless_present = "body")]
    context_window: Option<u64>,
    /// Price of input with its unit: 2.50/M, 3/k, 0.0000025, free.
    #[arg(long, value_name = "PRICE", value_parser = amount::price, required_unless_present = "body")]
    input: Option<Price>,
    /// Price of output with its unit.
    #[arg(long, value_name = "PRICE", value_parser = amount::price, required_unless_present = "body")]
    output: Option<Price>,
    /// The language it speaks: openai, anthropic or gemini.
    #[arg(long)]
    dialect: Option<String>,
    /// What it can do; repeat it, or use commas.
    #[arg(long = "feature", value_name = "WORD", value_delimiter = ',')]
    features: Vec<String>,
    /// The environment variable of the backend that holds its key.
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,
    /// The whole registration as a JSON file instead; `-` is stdin.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "model", "endpoint", "context_window", "input", "output", "dialect", "features", "api_key_env"])]
    body: Option<String>,
}

/// Does it.
pub async fn run(verb: Verb, api: &Api) -> Done {
    match verb {
        Verb::List { all, json } => list(all, json, api).await,
        Verb::Show { name, json } => {
            let path = format!("/providers/{}", segment(name.as_str()));
            let text = api.get(Target::Router, &path).await?;
            if json { print(&format!("{text}\n")) } else { print(&shown(&read(&text)?)) }
        }
        Verb::Add(args) => {
            let change = Change::post(Target::Router, "/register".into(), body(*args)?);
            let view: ProviderView = read(&api.change(change).await?)?;
            print(&format!("{} is registered, version {}.\n", view.name, view.version))
        }
        Verb::Remove { name } => {
            let path = format!("/providers/{}", segment(name.as_str()));
            let change = Change::post(Target::Router, path, String::new());
            api.change(Change { method: Method::DELETE, ..change }).await?;
            print(&format!("{name} takes no more traffic; `providers show` still knows it.\n"))
        }
    }
}

async fn list(all: bool, json: bool, api: &Api) -> Done {
    let path = if all { "/providers?status=all" } else { "/providers" };
    let text = api.get(Target::Router, path).await?;
    if json {
        return print(&format!("{text}\n"));
    }
    let list: ProviderList = read(&text)?;
    let mut table = Table::new(&[
        Head::Left("PROVIDER"),
        Head::Left("MODEL"),
        Head::Right("IN $/M"),
        Head::Right("OUT $/M"),
        Head::Right("P95 s"),
        Head::Right("OK %"),
        Head::Left("CIRCUIT"),
        Head::Left("STATUS"),
    ]);
    for view in &list.providers {
        table.row(vec![
            view.name.to_string(),
            view.model.to_string(),
            view.cost_per_input_token.usd().times(1_000_000).rounded(4),
            view.cost_per_output_token.usd().times(1_000_000).rounded(4),
            or_dash(view.quality.p95_ms.map(|ms| format::seconds(ms.into()))),
            or_dash(view.quality.success_rate.map(format::permille_of_share).map(format::percent)),
            circuit(view),
            if all { word(&view.status) } else { String::new() },
        ]);
    }
    if table.is_empty() {
        return print("No provider yet: tollgate providers add NAME --model … registers one.\n");
    }
    print(&table.print())
}

/// Everything about one, a line each.
fn shown(view: &ProviderView) -> String {
    let per_million = |rate: tollgate_shared::price::UsdPerToken| rate.usd().times(1_000_000);
    let slo = view.slo.as_ref().and_then(|slo| slo.latency_p95_ms);
    let rows = [
        ("name", view.name.to_string()),
        ("model", view.model.to_string()),
        ("upstream model", view.upstream_model.to_string()),
        ("endpoint", word(&view.endpoint)),
        ("dialect", word(&view.dialect)),
        ("status", word(&view.status)),
        ("circuit", circuit(view)),
        ("input $/M", per_million(view.cost_per_input_token).to_string()),
        ("output $/M", per_million(view.cost_per_output_token).to_string()),
        ("context window", view.context_window.to_string()),
        ("features", view.features.join(", ")),
        ("promised p95 s", or_dash(slo.map(|ms| format::seconds(ms.into())))),
        ("p50 s", or_dash(view.quality.p50_ms.map(|ms| format::seconds(ms.into())))),
        ("p95 s", or_dash(view.quality.p95_ms.map(|ms| format::seconds(ms.into())))),
        ("attempts measured", view.quality.attempts.to_string()),
        ("key from", or_dash(view.api_key_env.clone())),
        ("registered", view.registered_at.to_string()),
        ("version", view.version.to_string()),
        ("managed by", word(&view.managed_by)),
    ];
    let line = |(name, value): &(&str, String)| {
        format!("{name:<18} {}\n", crate::text::clean(value, VALUE_MAX))
    };
    rows.iter().map(line).collect()
}

/// State and reason of a circuit.
fn circuit(view: &ProviderView) -> String {
    let state = word(&view.circuit.state).replace('_', "-");
    match &view.circuit.reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state,
    }
}

/// The word that stands for a value on the wire.
pub fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "?".into(),
    }
}

/// The registration, from arguments or as it was written.
fn body(args: AddArgs) -> Result<String, Failure> {
    match args.body.as_deref() {
        Some("-") => return Ok(std::io::read_to_string(std::io::stdin())?),
        Some(path) => {
            return std::fs::read_to_string(path)
                .map_err(|error| Failure::Usage(format!("failed to read `{path}`: {error}")));
        }
        None => {}
    }
    let (input, output) = (args.input, args.output);
    let free = [input, output].contains(&Some(Price::Free));
    if free && input != output {
        return Err(Failure::Usage("free means both: --input free --output free".into()));
    }
    let rate = |price: Option<Price>| price.filter(|_| !free).map(|price| price.rate());
    let body = serde_json::json!({
        "name": args.name,
        "model": args.model,
        "endpoint": args.endpoint,
        "context_window": args.context_window,
        "cost_per_input_token": rate(input).map(|rate| rate.usd().to_string()),
        "cost_per_output_token": rate(output).map(|rate| rate.usd().to_string()),
        "free": free.then_some(true),
        "dialect": args.dialect,
        "features": args.features,
        "api_key_env": args.api_key_env,
    });
    // What was not said is left out, so that the registry's own defaults hold.
    let said = body.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let said: serde_json::Map<_, _> =
        said.map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(serde_json::Value::Object(said).to_string())
}

/// Widest value of a line.
const VALUE_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        verb: Verb,
    }

    fn add(words: &str) -> Result<String, String> {
        let words = ["x", "add"].into_iter().chain(words.split(' '));
        match Line::try_parse_from(words).map_err(|error| error.to_string())?.verb {
            Verb::Add(args) => body(*args).map_err(|failure| failure.words().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn prices_keep_every_digit_and_need_a_unit() {
        let rest = "n --model m --endpoint http://x --context-window 8192";
        let body = add(&format!("{rest} --input 2.50/M --output 0.00001")).unwrap();
        assert!(body.contains(r#""cost_per_input_token":"0.0000025""#), "{body}");
        assert!(!body.contains("dialect") && !body.contains("free"), "{body}");
        let error = add(&format!("{rest} --input 60 --output 1/M")).unwrap_err();
        assert!(error.contains("unit? type 60/M"), "{error}");
        let body = add(&format!("{rest} --input free --output free")).unwrap();
        assert!(body.contains(r#""free":true"#) && !body.contains("cost_per"), "{body}");
        assert!(add(&format!("{rest} --input free --output 1/M")).is_err());
    }
}
