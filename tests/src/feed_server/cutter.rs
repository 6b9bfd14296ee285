//! A wire between console and backend that can be cut, fall silent, or lead nowhere.
//!
//! Refuses to know what goes over it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Bytes go both ways. A new number cuts what is connected under another.
    Sound(u64),
    /// Connections stay, and nothing comes through any more.
    Silent,
    /// Nobody is there: what is connected is cut, and whoever comes is turned away.
    Down,
}

/// The wire; it ends when this is dropped.
#[derive(Debug)]
pub struct Cutter {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
    cuts: u64,
}

impl Cutter {
    /// A sound wire to `target`, on a port of its own and in a thread of its own.
    pub fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (wire, state) = watch::channel(Wire::Sound(0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("cutter".into()).spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                let mut watched = state.clone();
                loop {
                    tokio::select! {
                        // An error means that the other end is gone, and with it the need.
                        changed = watched.changed() => if changed.is_err() { return },
                        accepted = listener.accept() => {
                            let Ok((client, _)) = accepted else { continue };
                            if *state.borrow() != Wire::Down {
                                tokio::spawn(join(client, target, state.clone()));
                            }
                        }
                    }
                }
            });
        })?;
        Ok(Self { address, wire, cuts: 0 })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts what is connected; who comes back is let through.
    pub fn cut(&mut self) {
        self.cuts += 1;
        self.wire.send_replace(Wire::Sound(self.cuts));
    }

    /// Makes it so.
    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

/// Passes bytes on until the wire says otherwise.
async fn join(mut client: TcpStream, target: SocketAddr, mut wire: watch::Receiver<Wire>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let began = *wire.borrow();
    let (mut there, mut back) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let now = *wire.borrow_and_update();
        let is_silent = now == Wire::Silent;
        if now == Wire::Down || (now != began && !is_silent) {
            return;
        }
        tokio::select! {
            changed = wire.changed() => if changed.is_err() { return },
            read = client.read(&mut there), if !is_silent => match read {
                Ok(count @ 1..) if server.write_all(&there[..count]).await.is_ok() => {}
                _ => return,
            },
            read = server.read(&mut back), if !is_silent => match read {
                Ok(count @ 1..) if client.write_all(&back[..count]).await.is_ok() => {}
                _ => return,
            },
            () = tokio::time::sleep(Duration::from_secs(3_600)) => {}
        }
    }
}
