//! A wire between backend and provider that fails on purpose, and a gate that can be held shut.
//!
//! Bytes are counted from when the trouble was set, in each direction, whichever connection they
//! come over: a pooled connection that lives on is in the same trouble. Refuses to know HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the backend to the provider.
    Request,
    /// Back.
    Answer,
}

/// What is wrong with the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// Both ends are reset once so many bytes went this way.
    Cut(Way, u64),
    /// The byte at this place becomes zero, which is no part of any HTTP head or JSON text.
    Spoil(Way, u64),
    /// What comes this way goes nowhere.
    Swallow(Way),
    /// Each piece waits so long.
    Delay(Way, Duration),
    /// Bytes go one by one, each after so long.
    Drip(Way, Duration),
}

/// The wire. It ends, with all its connections, when this is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    /// Whether what arrives is passed on; else it waits.
    gate: watch::Sender<bool>,
    /// Connections that brought something.
    arrived: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    trouble: Trouble,
    request_bytes: u64,
    answer_bytes: u64,
}

/// What becomes of a piece.
enum Fate {
    Pass {
        wait: Duration,
        one_by_one: bool,
    },
    /// So much of it passes, then both ends are reset.
    Cut(usize),
    Swallow,
}

impl Relay {
    /// Listens in front of a provider. The gate is open.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            state: Mutex::default(),
            gate: watch::Sender::new(true),
            arrived: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// The endpoint to register.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Gets into trouble; counting begins anew.
    pub fn set(&self, trouble: Trouble) {
        *self.shared.state() = State { trouble, ..State::default() };
    }

    /// Bytes that came since the trouble was set: of requests, and of answers.
    pub fn counted(&self) -> (u64, u64) {
        let state = self.shared.state();
        (state.request_bytes, state.answer_bytes)
    }

    /// Holds everything that arrives from now on until [`Self::open_gate`].
    pub fn shut_gate(&self) {
        self.shared.arrived.store(0, Ordering::Relaxed);
        self.shared.gate.send_replace(false);
    }

    /// Lets everything pass.
    pub fn open_gate(&self) {
        self.shared.gate.send_replace(true);
    }

    /// How many pieces have come to the gate since it was shut; a small request is one piece.
    pub fn arrived(&self) -> u64 {
        self.shared.arrived.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a piece and decides what becomes of it; may spoil a byte of it.
    fn judge(&self, way: Way, piece: &mut [u8]) -> Fate {
        let mut state = self.state();
        let trouble = state.trouble;
        let counted = match way {
            Way::Request => &mut state.request_bytes,
            Way::Answer => &mut state.answer_bytes,
        };
        let start = *counted;
        *counted += piece.len() as u64;
        let pass = Fate::Pass { wait: Duration::ZERO, one_by_one: false };
        match trouble {
            Trouble::Cut(of, after) if of == way && *counted >= after => {
                Fate::Cut(usize::try_from(after.saturating_sub(start)).unwrap_or(0))
            }
            Trouble::Spoil(of, place) if of == way => {
                let place = place.checked_sub(start).and_then(|place| usize::try_from(place).ok());
                if let Some(byte) = place.and_then(|place| piece.get_mut(place)) {
                    *byte = 0;
                }
                pass
            }
            Trouble::Swallow(of) if of == way => Fate::Swallow,
            Trouble::Delay(of, wait) if of == way => Fate::Pass { wait, one_by_one: false },
            Trouble::Drip(of, wait) if of == way => Fate::Pass { wait, one_by_one: true },
            _ => pass,
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((socket, _)) = accepted {
                    connections.spawn(connection(socket, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Two pumps; where one fails, both ends are reset, so that nobody takes the end for an end.
async fn connection(backend: TcpStream, shared: Arc<Shared>) {
    let Ok(provider) = TcpStream::connect(shared.target).await else { return };
    for socket in [&backend, &provider] {
        if socket.set_nodelay(true).is_err() {
            return;
        }
    }
    let (from_backend, to_backend) = backend.into_split();
    let (from_provider, to_provider) = provider.into_split();
    let (mut requests, mut answers) = (
        Pump { from: from_backend, to: to_provider, way: Way::Request, shared: shared.clone() },
        Pump { from: from_provider, to: to_backend, way: Way::Answer, shared },
    );
    let ended = tokio::select! {
        ended = requests.run() => ended,
        ended = answers.run() => ended,
    };
    if ended.is_err() {
        for half in [&requests.to, &answers.to] {
            half.as_ref().set_zero_linger().ok();
        }
    }
}

struct Pump {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    way: Way,
    shared: Arc<Shared>,
}

impl Pump {
    /// Passes on until the end, or until the trouble says that it ends here.
    async fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; PIECE_BYTES];
        let mut gate = self.shared.gate.subscribe();
        loop {
            let count = self.from.read(&mut buffer).await?;
            if count == 0 {
                return self.to.shutdown().await;
            }
            if self.way == Way::Request {
                self.shared.arrived.fetch_add(1, Ordering::Relaxed);
                gate.wait_for(|open| *open).await.map_err(io::Error::other)?;
            }
            let piece = buffer.get_mut(..count).unwrap_or_default();
            match self.shared.judge(self.way, piece) {
                Fate::Swallow => {}
                Fate::Cut(kept) => {
                    self.to.write_all(piece.get(..kept).unwrap_or_default()).await?;
                    self.to.flush().await?;
                    return Err(io::Error::other("cut on purpose"));
                }
                Fate::Pass { wait, one_by_one: false } => {
                    pause(wait).await;
                    self.to.write_all(piece).await?;
                }
                Fate::Pass { wait, one_by_one: true } => {
                    for byte in piece.chunks(1) {
                        pause(wait).await;
                        self.to.write_all(byte).await?;
                    }
                }
            }
        }
    }
}

async fn pause(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// Largest piece that is read at once.
const PIECE_BYTES: usize = 16 * 1024;
