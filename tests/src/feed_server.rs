//! A made-up event stream: a swarm whose every cent is known, at any rate, behind a real socket.
//!
//! Speaks the stream of `shared::event` as a backend does: hello, snapshot, resume, lagged, ticks,
//! receipts, budgets, checkpoints, heartbeats. What it has told adds up to
//! [`FeedServer::spent`], exactly; a console that says otherwise has lost or doubled something.
//! Shares no code with the backend. Every other route is a 404, as on an older backend.
//!
//! ```text
//! publisher, every 100 ms ──▶ ring of frames ──▶ a connection each at its own pace
//! World { seq, sums }                └──▶ fallen off its end: lagged, snapshot
//! ```

pub mod cutter;
pub mod script;
mod world;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;
use tokio::sync::watch;
use tollgate_shared::event::{Event, Ping};
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

pub use world::Names;
use world::World;

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub struct FeedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    newest: watch::Sender<u64>,
    receipts_per_s: AtomicU64,
    ended: AtomicBool,
    connections: AtomicUsize,
    resumed: AtomicU64,
    lagged: AtomicU64,
}

/// How connections have gone so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Those open now.
    pub open: usize,
    /// Those that went on where they had stopped.
    pub resumed: u64,
    /// Times that a client was told it was too slow.
    pub lagged: u64,
}

impl FeedServer {
    /// A server over a quiet swarm, on a port of its own and in a thread of its own.
    pub fn start(names: Names) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (newest, _) = watch::channel(0);
        let shared = Arc::new(Shared {
            world: Mutex::new(World::new(names, now())),
            newest,
            receipts_per_s: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            resumed: AtomicU64::new(0),
            lagged: AtomicU64::new(0),
        });
        let serving = shared.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("feed".into()).spawn(move || {
            runtime.block_on(async move {
                let app = Router::new()
                    .route("/events", get(subscribe))
                    .fallback(|| async { (StatusCode::NOT_FOUND, UNKNOWN) })
                    .with_state(serving.clone());
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                tokio::select! {
                    _ = axum::serve(listener, app) => {}
                    () = publish(&serving) => {}
                }
            });
        })?;
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// So many receipts a second from now on.
    pub fn pace(&self, receipts_per_s: u64) {
        self.shared.receipts_per_s.store(receipts_per_s, Ordering::SeqCst);
    }

    /// So many receipts now, in frames of at most a thousand.
    pub fn publish(&self, receipts: u64) {
        let mut world = self.shared.world();
        world.receipts(receipts, now());
        self.shared.newest.send_replace(world.seq());
    }

    /// The text of a frame with so many receipts, which goes to every console as well.
    pub fn frame_of(&self, receipts: u64) -> String {
        let mut world = self.shared.world();
        world.receipts(receipts, now());
        self.shared.newest.send_replace(world.seq());
        world.newest()
    }

    /// What the ledger says, to every console, at this place in the stream.
    pub fn checkpoint(&self) {
        let mut world = self.shared.world();
        world.checkpoint();
        self.shared.newest.send_replace(world.seq());
    }

    /// As after a restart: another epoch, numbers from the beginning, the same money. Open
    /// connections are closed.
    pub fn restart(&self) {
        let mut world = self.shared.world();
        world.restart();
        self.shared.newest.send_replace(0);
    }

    /// Forgets the frames of the past, so that whoever is behind has lagged.
    pub fn forget(&self) {
        self.shared.world().forget();
    }

    /// Everything ever spent, and how many receipts say so.
    pub fn spent(&self) -> (Usd, u64) {
        self.shared.world().spent()
    }

    /// How connections have gone.
    pub fn tally(&self) -> Tally {
        Tally {
            open: self.shared.connections.load(Ordering::SeqCst),
            resumed: self.shared.resumed.load(Ordering::SeqCst),
            lagged: self.shared.lagged.load(Ordering::SeqCst),
        }
    }
}

impl Drop for FeedServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Receipts ten times a second at the pace that is set, a tick with every second, what the ledger
/// says every ten.
async fn publish(shared: &Shared) {
    let mut beat = tokio::time::interval(Duration::from_millis(100));
    let (mut beats, mut owed) = (0_u64, 0_u64);
    while !shared.ended.load(Ordering::SeqCst) {
        beat.tick().await;
        beats += 1;
        owed += shared.receipts_per_s.load(Ordering::SeqCst);
        let mut world = shared.world();
        world.receipts(owed / 10, now());
        owed %= 10;
        if beats.is_multiple_of(10) {
            world.second(now());
        }
        if beats.is_multiple_of(100) {
            world.checkpoint();
        }
        if world.seq() != *shared.newest.borrow() {
            shared.newest.send_replace(world.seq());
        }
    }
}

/// Where a client was before.
#[derive(Debug, Deserialize)]
struct Resume {
    after: Option<u64>,
    epoch: Option<String>,
}

async fn subscribe(
    State(shared): State<Arc<Shared>>,
    Query(resume): Query<Resume>,
    upgrade: WebSocketUpgrade,
) -> impl IntoResponse {
    upgrade.on_upgrade(move |socket| async move {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        // A client that leaves is no news.
        serve(socket, &shared, resume).await.ok();
        shared.connections.fetch_sub(1, Ordering::SeqCst);
    })
}

/// One connection: hello, what it missed or everything, then frames as they come.
async fn serve(mut socket: WebSocket, shared: &Shared, resume: Resume) -> Result<(), axum::Error> {
    let mut newest = shared.newest.subscribe();
    let (hello, epoch) = shared.world().hello(now());
    send(&mut socket, hello).await?;
    let is_same = resume.epoch.as_deref() == Some(epoch.as_str());
    let known = resume.after.filter(|_| is_same).filter(|after| shared.world().has(*after));
    let mut place = match known {
        Some(after) => {
            shared.resumed.fetch_add(1, Ordering::SeqCst);
            after
        }
        None => {
            let (seq, snapshot) = shared.world().snapshot();
            send(&mut socket, snapshot).await?;
            seq
        }
    };
    loop {
        if shared.world().epoch() != epoch {
            return Ok(());
        }
        let frames = shared.world().after(place);
        match frames {
            Some(frames) if frames.is_empty() => {
                tokio::select! {
                    changed = newest.changed() => if changed.is_err() { return Ok(()) },
                    heard = socket.recv() => match heard {
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return Err(error),
                        None => return Ok(()),
                    },
                    () = tokio::time::sleep(HEARTBEAT) => {
                        let ping = Event::Ping(Ping { now: now() });
                        send(&mut socket, world::text_of(&ping)).await?;
                    }
                }
            }
            Some(frames) => {
                for frame in frames {
                    send(&mut socket, frame.text.to_string()).await?;
                    place = frame.to;
                }
            }
            None => {
                shared.lagged.fetch_add(1, Ordering::SeqCst);
                let (notice, seq, snapshot) = shared.world().lagged(place);
                send(&mut socket, notice).await?;
                send(&mut socket, snapshot).await?;
                place = seq;
            }
        }
    }
}

async fn send(socket: &mut WebSocket, text: String) -> Result<(), axum::Error> {
    socket.send(Message::text(text)).await
}

/// This machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Longest silence, as of a backend.
const HEARTBEAT: Duration = Duration::from_secs(2);

const UNKNOWN: &str =
    r#"{"error":{"code":"unknown_route","message":"there is no such route","details":null}}"#;
