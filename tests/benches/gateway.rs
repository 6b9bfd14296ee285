//! What the gateway costs, beside what it stands between.
//!
//! The whole backend over HTTP against an instant simulated provider, metering, budget and durable
//! receipts on; next to calling that provider directly and to a plain pass-through proxy, in
//! interleaved rounds of one run. **The ratios are the facts**; the absolute figures belong to the
//! machine. `cargo bench -p tollgate-tests --bench gateway [-- ROUNDS]`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench, run by hand")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use tollgate_backend::config::Durability;
use tollgate_shared::provider::Dialect;
use tollgate_tests::{House, chat, client, simulator};

/// Clients that ask at once, for throughput.
const CLIENTS: usize = 64;
/// How long each target is asked in each round.
const SPAN: Duration = Duration::from_secs(2);

struct Target {
    name: &'static str,
    url: String,
    body: String,
    rates: Vec<f64>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let rounds = std::env::args().filter_map(|text| text.parse().ok()).next().unwrap_or(5);
    let provider = simulator(Dialect::Openai).await?;
    let power = House::open().await?;
    let process = House::open_with(|config| config.durability = Durability::Process).await?;
    for house in [&power, &process] {
        house.register("instant", "gpt-4", &provider).await?;
        house.budget("bench", "1000000").await?;
    }
    let proxy = pass_through(provider.url()).await?;
    let mut routed = chat("bench", "gpt-4", &"x".repeat(800));
    routed["payload"]["max_tokens"] = json!(64);
    let mut direct = routed["payload"].clone();
    direct["model"] = json!("gpt-4");
    let target = |name, url: String, body: &serde_json::Value| Target {
        name,
        url,
        body: body.to_string(),
        rates: vec![],
        p50_us: vec![],
        p99_us: vec![],
    };
    let completions = format!("{}/v1/chat/completions", provider.url());
    let mut targets = [
        target("provider, called directly", completions, &direct),
        target("pass-through proxy", format!("http://{proxy}/v1/chat/completions"), &direct),
        target("tollgate, durability power", power.gateway("/route"), &routed),
        target("tollgate, durability process", process.gateway("/route"), &routed),
    ];
    for round in 0..=rounds {
        for target in &mut targets {
            let (rate, _, _) = ask(target, CLIENTS).await?;
            let (_, p50, p99) = ask(target, 1).await?;
            // The first round warms connections and caches.
            if round > 0 {
                target.rates.push(rate);
                target.p50_us.push(p50);
                target.p99_us.push(p99);
            }
        }
    }
    report(&targets, rounds);
    power.leave().await?;
    process.leave().await
}

fn report(targets: &[Target], rounds: usize) {
    let [direct, proxy, ..] = targets else { return };
    println!("{rounds} rounds, medians; {CLIENTS} clients for rates, one client for latencies");
    println!(
        "{:<30} {:>9} {:>9} {:>12} {:>12}",
        "", "req/s", "× proxy", "added p50 µs", "added p99 µs"
    );
    for target in targets {
        println!(
            "{:<30} {:>9.0} {:>9.3} {:>12.0} {:>12.0}",
            target.name,
            median(&target.rates),
            median(&target.rates) / median(&proxy.rates),
            median(&target.p50_us) - median(&direct.p50_us),
            median(&target.p99_us) - median(&direct.p99_us),
        );
    }
}

/// Asks in a closed loop: requests a second, and the latencies' p50 and p99 in microseconds.
async fn ask(target: &Target, clients: usize) -> anyhow::Result<(f64, f64, f64)> {
    let client = client()?;
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (client, url, body) = (client.clone(), target.url.clone(), target.body.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while started.elapsed() < SPAN {
                    let asked = Instant::now();
                    let request = client.post(&url).header("content-type", "application/json");
                    let answer = request.body(body.clone()).send().await?;
                    anyhow::ensure!(answer.status().is_success(), "{}", answer.text().await?);
                    answer.bytes().await?;
                    latencies.push(asked.elapsed().as_secs_f64() * 1e6);
                }
                Ok(latencies)
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
    Ok((all.len() as f64 / started.elapsed().as_secs_f64(), at(0.5), at(0.99)))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The least that can stand between a client and a provider.
async fn pass_through(upstream: String) -> anyhow::Result<SocketAddr> {
    async fn forward(
        State((client, upstream)): State<(reqwest::Client, String)>,
        request: axum::extract::Request,
    ) -> Response {
        let url = format!("{upstream}{}", request.uri());
        let body: Bytes = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let sent = client.post(url).header("content-type", "application/json").body(body).send();
        let answer = sent.await.unwrap();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        *response.body_mut() = Body::from(answer.bytes().await.unwrap());
        response
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let door = Router::new().fallback(forward).with_state((client()?, upstream));
    tokio::spawn(async move { axum::serve(listener, door).await });
    Ok(address)
}
