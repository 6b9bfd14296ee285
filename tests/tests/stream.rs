//! The event stream: dense, resumable, and equal to the ledger.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;
use tollgate_shared::event::{Event, Hello, Snapshot};
use tollgate_shared::id::RunId;
use tollgate_shared::money::Usd;
use tollgate_shared::provider::Dialect;
use tollgate_shared::receipt::Receipt;
use tollgate_tests::{House, simulator};

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

struct Console {
    socket: Socket,
    hello: Hello,
}

impl Console {
    async fn open(house: &House, query: &str) -> anyhow::Result<Self> {
        let (mut socket, _) = tokio_tungstenite::connect_async(house.socket(query)).await?;
        let Event::Hello(hello) = next(&mut socket).await? else { bail!("no hello") };
        Ok(Self { socket, hello })
    }

    async fn snapshot(&mut self) -> anyhow::Result<Snapshot> {
        match next(&mut self.socket).await? {
            Event::Snapshot(snapshot) => Ok(*snapshot),
            other => bail!("no snapshot but {other:?}"),
        }
    }
}

async fn next(socket: &mut Socket) -> anyhow::Result<Event> {
    loop {
        match socket.next().await.context("the stream ended")?? {
            Message::Text(text) => return Event::read(&text)?.context("an unknown event"),
            _ => continue,
        }
    }
}

/// The first and last event a frame covers; `None` for a heartbeat.
fn span(event: &Event) -> Option<(u64, u64)> {
    let one = |seq| Some((seq, seq));
    match event {
        Event::Tick(it) => one(it.seq),
        Event::Receipts(it) => Some((it.from, it.to)),
        Event::Refusal(it) => one(it.seq),
        Event::Budget(it) => one(it.seq),
        Event::Run(it) => one(it.seq),
        Event::Provider(it) => one(it.seq),
        Event::Circuit(it) => one(it.seq),
        Event::Alert(it) => one(it.seq),
        Event::Audit(it) => one(it.seq),
        Event::Checkpoint(it) => one(it.seq),
        Event::Ping(_) | Event::Hello(_) | Event::Snapshot(_) | Event::Lagged(_) => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_finds_the_same_sums_as_the_ledger() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    house.budget("watched", "0.1").await?;
    assert_eq!(house.route("watched", "gpt-4", "before anyone watches").await?.status, 200);

    let mut console = Console::open(&house, "").await?;
    let snapshot = console.snapshot().await?;
    assert_eq!(snapshot.providers.len(), 1);
    let mut place = snapshot.seq;
    let mut spent: BTreeMap<RunId, Usd> = snapshot.checkpoint.by_run.clone();
    let (mut refused, mut alerts, mut levels) = (0, 0, Vec::new());
    for number in 0..40 {
        house.route("watched", "gpt-4", &format!("[out:60] message {number}")).await?;
    }
    // Until the ledger's own word about all of it, which comes every ten seconds.
    let total = house.budget_of("watched").await?.spent_usd;
    let checkpoint = loop {
        let event = next(&mut console.socket).await?;
        if let Some((from, to)) = span(&event) {
            ensure!(from == place + 1 && to >= from, "{from} follows {place}: {event:?}");
            place = to;
        }
        match event {
            Event::Receipts(frame) => {
                for line in frame.items {
                    let receipt: Receipt = serde_json::from_str(line.get())?;
                    *spent.entry(receipt.run_id).or_default() += receipt.cost_usd;
                }
            }
            Event::Refusal(_) => refused += 1,
            Event::Alert(_) => alerts += 1,
            Event::Budget(budget) => levels.push(budget.level),
            Event::Checkpoint(checkpoint) if checkpoint.posted_usd == total => break checkpoint,
            _ => {}
        }
    };
    assert_eq!(spent, checkpoint.by_run, "the console's own sums are the ledger's");
    assert_eq!(
        spent.values().copied().sum::<Usd>(),
        checkpoint.posted_usd + checkpoint.unknown_usd
    );
    assert!(refused > 0 && alerts > 0, "{refused} refusals, {alerts} alerts");
    assert!(levels.is_sorted(), "{levels:?}");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_comes_back_gets_what_it_missed() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("only", "gpt-4", &provider).await?;
    let mut console = Console::open(&house, "").await?;
    let place = console.snapshot().await?.seq;
    let epoch = console.hello.epoch.clone();
    drop(console);
    house.route("missed", "gpt-4", "while nobody watches").await?;

    let mut back = Console::open(&house, &format!("?after={place}&epoch={epoch}")).await?;
    let mut at = place;
    loop {
        let event = next(&mut back.socket).await?;
        ensure!(!matches!(event, Event::Snapshot(_)), "it is still known: no snapshot");
        if let Some((from, to)) = span(&event) {
            ensure!(from == at + 1, "{from} follows {at}");
            at = to;
        }
        if matches!(event, Event::Receipts(_)) {
            break;
        }
    }
    let mut stranger = Console::open(&house, &format!("?after={place}&epoch=another")).await?;
    assert!(stranger.snapshot().await?.seq >= at, "another epoch: a snapshot");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_carries_the_same_stream() -> anyhow::Result<()> {
    let house = House::open().await?;
    let url = house.gateway("/events").replace("http://", "ws://");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
    assert!(matches!(next(&mut socket).await?, Event::Hello(_)));
    assert!(matches!(next(&mut socket).await?, Event::Snapshot(_)));
    let stats = house.get(&house.events("/stats")).await?.json();
    assert_eq!(stats["subscribers"], 1);
    house.leave().await
}
