//! Streams whose clients leave, and providers that go on beyond their cap.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use tollgate_backend::simulate::{self, Simulator};
use tollgate_shared::provider::{Dialect, ProviderView};
use tollgate_shared::receipt::Status;
use tollgate_tests::{House, billed, chat, simulator};

/// A provider that takes its time between two tokens.
async fn slow(dialect: Dialect) -> anyhow::Result<Simulator> {
    let chunk_delay = Duration::from_millis(5);
    let config = simulate::Config { dialect, chunk_delay, ..simulate::Config::default() };
    Ok(Simulator::start(config).await?)
}

fn stream(run: &str, message: &str) -> Value {
    let mut request = chat(run, "gpt-4", message);
    request["payload"]["stream"] = json!(true);
    request
}

/// Reads the first piece of a stream and hangs up.
async fn hang_up(house: &House, request: &Value) -> anyhow::Result<()> {
    let sent =
        house.client().post(house.gateway("/route")).header("content-type", "application/json");
    let mut response = sent.body(request.to_string()).send().await?;
    ensure!(response.chunk().await?.is_some());
    Ok(())
}

/// Waits until nothing of a run is pending and something is charged.
async fn settled(house: &House, run: &str) -> anyhow::Result<()> {
    let asked = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let budget = house.budget_of(run).await?;
            if budget.held_usd == budget.unknown_usd && !budget.spent_usd.is_zero() {
                return anyhow::Ok(());
            }
        }
    });
    asked.await?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_to_be_cancelled_is_cut_and_charged_for_what_came() -> anyhow::Result<()> {
    for dialect in [Dialect::Openai, Dialect::Anthropic, Dialect::Gemini] {
        let (house, provider) = (House::open().await?, slow(dialect).await?);
        let extra = json!({"on_disconnect": "cancel", "dialect": dialect});
        house.register_with("only", "gpt-4", &provider, extra).await?;
        house.budget("left", "5").await?;
        hang_up(&house, &stream("left", "[out:4000] a very long story")).await?;
        settled(&house, "left").await?;
        let receipt = &house.receipts("left").await?[0];
        assert_eq!(
            (receipt.status, receipt.error.as_deref()),
            (Status::CutOff, Some("client_left"))
        );
        ensure!(receipt.output_tokens < 4_000, "{} were read", receipt.output_tokens);
        let billed = billed([&provider.bill()]);
        let most = receipt.cost_usd + receipt.uncertain_usd;
        ensure!(billed <= most, "{dialect:?}: {billed} was billed, {most} is in sight");
        let view: ProviderView = house.get(&house.router("/providers/only")).await?.read()?;
        assert_eq!(serde_json::to_value(view.circuit.state)?, "closed");
        assert_eq!(view.quality.success_rate, None, "who hung up was not the provider");
        house.leave().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_streams_than_are_drained_at_once_are_cut() -> anyhow::Result<()> {
    let (house, provider) = (House::open().await?, slow(Dialect::Openai).await?);
    house.register("only", "gpt-4", &provider).await?;
    house.budget("left", "100").await?;
    let request = stream("left", "[out:400] a story");
    let leave = (0..80).map(|_| hang_up(&house, &request));
    for left in futures_util::future::join_all(leave).await {
        left?;
    }
    settled(&house, "left").await?;
    let receipts = house.receipts("left").await?;
    let read = receipts.iter().filter(|one| one.status == Status::Success).count();
    let cut = receipts.iter().filter(|one| one.status == Status::CutOff).count();
    ensure!(read >= 64 && read + cut == 80, "{read} were read, {cut} cut");
    let in_sight = receipts.iter().map(|one| one.cost_usd + one.uncertain_usd).sum();
    ensure!(billed([&provider.bill()]) <= in_sight);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_ignores_its_cap_is_cut_and_not_trusted_again() -> anyhow::Result<()> {
    let (house, cheat) = (House::open().await?, simulator(Dialect::Openai).await?);
    let honest = simulator(Dialect::Openai).await?;
    house.register("cheat", "gpt-4", &cheat).await?;
    house.budget("strict", "5").await?;
    let mut request = stream("strict", "[fault:over_cap] [out:5000] hello");
    request["payload"]["max_tokens"] = json!(5);
    let reply = house.post(&house.gateway("/route"), &request).await?;
    ensure!(reply.text.contains("beyond_bound"), "{}", reply.text);
    let receipt = &house.receipts("strict").await?[0];
    assert_eq!(
        (receipt.status, receipt.flags.as_slice()),
        (Status::CutOff, &["bound_violation".into()][..])
    );
    assert_eq!(house.route("strict", "gpt-4", "hello").await?.code(), "run_frozen");

    let view: ProviderView = house.get(&house.router("/providers/cheat")).await?.read()?;
    ensure!(!view.bounded);
    house.budget("other", "5").await?;
    let refused = house.route("other", "gpt-4", "hello").await?;
    assert_eq!((refused.status, refused.code().as_str()), (422, "unbounded_request"));
    ensure!(refused.text.contains("cheat"), "{}", refused.text);
    assert_eq!(house.route("unlimited", "gpt-4", "hello").await?.status, 200);
    // Another that kept its word is taken instead, whatever it costs.
    let dear = json!({"cost_per_output_token": "0.0001"});
    house.register_with("honest", "gpt-4", &honest, dear).await?;
    assert_eq!(house.route("other", "gpt-4", "hello").await?.json()["provider"], "honest");
    house.register("cheat", "gpt-4", &cheat).await?;
    assert_eq!(house.route("other", "gpt-4", "hello").await?.json()["provider"], "cheat");
    house.leave().await
}
