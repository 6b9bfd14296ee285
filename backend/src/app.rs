//! Every part wired once.
//!
//! Opens the data directory, starts the ledger and what follows from it, binds the listeners, and
//! serves until told to stop. The order matters: nothing listens before the ledger is recovered.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{self, Rooms};
use crate::audit::{self, Audit};
use crate::config::{Config, Durability, Unbudgeted};
use crate::flight::{Gateway, Plans};
use crate::hub::Hub;
use crate::ledger::{Ledger, Policy};
use crate::projection::{Projection, Reports, Views};
use crate::receipts::ReceiptFiles;
use crate::recovery;
use crate::registry::Registry;
use crate::store::{Reader, Store, StoreError};
use crate::upstream::Upstream;

mod serve;

/// A backend that listens.
#[derive(Debug)]
pub struct Backend {
    /// Where the provider router listens.
    pub router: SocketAddr,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// Where the event stream listens.
    pub events: SocketAddr,
    stop: watch::Sender<bool>,
    fatal: watch::Receiver<bool>,
    tasks: JoinSet<()>,
    projection: Option<std::thread::JoinHandle<()>>,
    ledger: PathBuf,
    /// Held for as long as the backend lives; another process must not open the same ledger.
    _lock: File,
}

impl Backend {
    /// Starts everything. When this returns, all three services listen.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        if !config.bind.is_loopback() {
            bail!(
                "`{}` is open to others and no keys are configured; bind to loopback",
                config.bind
            );
        }
        let lock = open_data_dir(&config.data_dir)?;
        // Taken now, so that a wrong port is said before anything is written; nobody can connect
        // until they listen.
        let doors = [
            Door::reserve(config.bind, config.router_port, "--router-port")?,
            Door::reserve(config.bind, config.gateway_port, "--gateway-port")?,
            Door::reserve(config.bind, config.events_port, "--events-port")?,
        ];
        let addresses = [doors[0].address, doors[1].address, doors[2].address];
        recovery::look(&config.data_dir)?;
        let (fatal_tx, fatal) = watch::channel(false);
        let ports = addresses.map(|address| address.port());
        let (rooms, projection) = furnish(&config, ports, fatal_tx).await?;
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(tell_quality(rooms.clone(), stopped.clone()));
        let audit = Audit::of(&recovery::ledger_path(&config.data_dir));
        let ledger = rooms.gateway.ledger.clone();
        tasks.spawn(audit::run(audit, ledger, config.audit_every, stopped.clone()));
        let routes: [Router; 3] =
            [api::router(rooms.clone()), api::gateway(rooms.clone()), api::events(rooms)];
        for (door, routes) in doors.into_iter().zip(routes) {
            tasks.spawn(serve::serve(door.open()?, routes, stopped.clone()));
        }
        let [router, gateway, events] = addresses;
        Ok(Self {
            router,
            gateway,
            events,
            stop,
            fatal,
            tasks,
            projection: Some(projection),
            ledger: recovery::ledger_path(&config.data_dir),
            _lock: lock,
        })
    }

    /// Waits until the ledger can no longer commit; for ever, if all goes well.
    pub async fn ledger_died(&mut self) {
        if self.fatal.wait_for(|dead| *dead).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Stops accepting, lets what is in flight finish for a while, and brings the projections up
    /// to date. What does not finish keeps its hold and becomes unknown at the next start.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let drained = tokio::time::timeout(DRAIN_MAX, async {
            while self.tasks.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            tracing::warn!("some requests did not finish in time; their holds stay");
            self.tasks.shutdown().await;
        }
        if let Some(projection) = self.projection.take() {
            let joined = tokio::task::spawn_blocking(move || projection.join());
            if tokio::time::timeout(JOIN_MAX, joined).await.is_err() {
                tracing::warn!("projections are behind; the next start completes them");
            }
        }
        // A ledger that failed to sync is left as it is, for the next start to judge.
        if !*self.fatal.borrow() {
            let emptied = Store::open(&self.ledger, Durability::Power).and_then(|s| s.empty_log());
            if let Err(error) = emptied {
                tracing::warn!(%error, "the ledger's log stays; the next start takes it in");
            }
        }
    }
}

/// Another process works on the same files.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is in use by another backend; stop it, or choose another --data-dir")]
pub struct InUse(pub PathBuf);

/// Ledger, projections, registry: recovered, before anyone can ask.
async fn furnish(
    config: &Config,
    ports: [u16; 3],
    fatal: watch::Sender<bool>,
) -> anyhow::Result<(Rooms, std::thread::JoinHandle<()>)> {
    let path = config.data_dir.join("gateway/ledger.db");
    let store = Store::open(&path, config.durability).context("failed to open the ledger")?;
    match store.empty_log() {
        Ok(true) => {}
        Ok(false) => tracing::warn!("a reader is in the way: the ledger's log stays as it is"),
        Err(StoreError::Outage(outage)) => tracing::warn!(%outage, "the ledger's log stays"),
        Err(error) => return Err(error).context("failed to bring the ledger's log home"),
    }
    let reader = Arc::new(Reader::open(&path).context("failed to open the ledger for reading")?);
    let reports = Reports::new(Reader::open(&path)?);
    let hub = Hub::new();
    let views = Views::default();
    let (told, told_rx) = sync_channel(GROUPS_WAITING);
    let policy = Policy {
        default_limit: config.default_budget,
        refuse_unbudgeted: config.unbudgeted == Unbudgeted::Refuse,
        contention_wait: config.contention_wait,
        pause_wait: config.pause_wait,
        unknown_ttl: config.unknown_ttl,
        reserve: config.reserve,
        ..Policy::default()
    };
    let ledger = Ledger::start(store, policy, told, move |_| {
        fatal.send_replace(true);
    })
    .context("failed to recover the ledger")?;
    // Only now: the ledger's recovery may have written receipts of its own.
    hub.begin_at(reader.count()?);
    hub.restore_alerts(reader.alerts()?, ledger.keeper());
    let registry =
        Registry::open(&config.data_dir.join("provider_router/providers.db"), hub.clone())
            .context("failed to open the provider registry")?;
    let known = ledger.read(|books| (books.runs().cloned().collect(), books.standing())).await;
    let known = known.context("the ledger died")?;
    let files = ReceiptFiles::new(&config.data_dir, Arc::clone(&reader));
    let projection = Projection::start(views.clone(), hub.clone(), files, &reader, known)?;
    let projection = std::thread::Builder::new()
        .name("projection".into())
        .spawn(move || projection.run(&told_rx))?;
    let rooms = Rooms {
        gateway: Gateway {
            ledger,
            registry: Arc::new(registry),
            upstream: Upstream::new()?,
            deadline: config.deadline,
            plans: Plans::default(),
        },
        views,
        reader,
        hub,
        durability: config.durability,
        ports,
        read_only: config.read_only,
        keys: Arc::default(),
        reports: Arc::new(reports),
    };
    Ok((rooms, projection))
}

/// Makes the data directory and takes it for this process alone, as long as the file is held.
pub fn open_data_dir(data_dir: &Path) -> anyhow::Result<File> {
    for room in ["gateway", "provider_router", "costs"] {
        let path = data_dir.join(room);
        fs::create_dir_all(&path)
            .with_context(|| format!("failed to make `{}`", path.display()))?;
    }
    let path = data_dir.join("gateway/lock");
    let lock =
        File::create(&path).with_context(|| format!("failed to make `{}`", path.display()))?;
    // A `verify` that looks whether a backend runs holds it for a moment.
    for _ in 0..LOCK_TRIES {
        if lock.try_lock().is_ok() {
            return Ok(lock);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Err(InUse(data_dir.to_owned()).into())
}

/// Whether a backend works on a data directory now.
pub fn is_in_use(data_dir: &Path) -> bool {
    File::open(data_dir.join("gateway/lock")).is_ok_and(|lock| lock.try_lock_shared().is_err())
}

/// A port that is ours and where nobody listens yet.
struct Door {
    socket: TcpSocket,
    address: SocketAddr,
    flag: &'static str,
}

impl Door {
    fn reserve(bind: IpAddr, port: u16, flag: &'static str) -> anyhow::Result<Self> {
        let asked = SocketAddr::new(bind, port);
        let reserved = || {
            let socket = if bind.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A port that was closed a moment ago is free, as for every server.
            socket.set_reuseaddr(true)?;
            socket.bind(asked)?;
            Ok((socket.local_addr()?, socket))
        };
        let (address, socket) = reserved().map_err(|error| not_ours(&error, asked, flag))?;
        Ok(Self { socket, address, flag })
    }

    /// From now on clients can connect.
    fn open(self) -> anyhow::Result<TcpListener> {
        let Self { socket, address, flag } = self;
        socket.listen(BACKLOG).map_err(|error| not_ours(&error, address, flag))
    }
}

fn not_ours(error: &std::io::Error, asked: SocketAddr, flag: &str) -> anyhow::Error {
    let port = asked.port();
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {port} is taken; choose another with {flag}, or 0 to pick one")
        }
        _ => anyhow::anyhow!("failed to listen on {asked} ({flag}): {error}"),
    }
}

/// Tells the stream how providers are doing, while they have traffic.
async fn tell_quality(rooms: Rooms, mut stopped: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(QUALITY_EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => rooms.gateway.registry.tell_quality(),
            () = serve::told_to_stop(&mut stopped) => return,
        }
    }
}

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// How long a stop waits for requests in flight.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// How long a stop waits for the projections after that.
const JOIN_MAX: Duration = Duration::from_secs(10);

/// How often a lock that is held is tried again, and how long between.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// How often measured quality goes to the stream.
const QUALITY_EVERY: Duration = Duration::from_secs(2);

/// Groups that wait for the projections; beyond it the ledger waits as well, so that memory is
/// bounded when a disk is slow.
const GROUPS_WAITING: usize = 1_024;
