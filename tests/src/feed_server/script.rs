//! A server that says what it is told to say, however wrong.
//!
//! The first connection gets the first conversation, and so on; the last one is repeated. Refuses
//! to know what any of it means.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::SinkExt;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;

/// One thing that is said or done.
#[derive(Clone, Debug)]
pub enum Line {
    /// A text frame.
    Text(String),
    /// A text frame many times over, as fast as it goes.
    Flood(String, usize),
    /// A binary frame.
    Binary(Vec<u8>),
    /// Bytes outside of any frame.
    Raw(Vec<u8>),
    /// Nothing for so long.
    Wait(Duration),
    /// Nothing for ever.
    Hang,
}

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub struct Script {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _end: oneshot::Sender<()>,
}

impl Script {
    /// Serves these conversations.
    pub fn start(conversations: Vec<Vec<Line>>) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let (end, ended) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("script".into()).spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                let serving = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        let turn = counted.fetch_add(1, Ordering::SeqCst);
                        let last = conversations.len().saturating_sub(1);
                        let lines = conversations.get(turn.min(last)).cloned().unwrap_or_default();
                        tokio::spawn(say(stream, lines));
                    }
                };
                tokio::select! {
                    () = serving => {}
                    _ = ended => {}
                }
            });
        })?;
        Ok(Self { address, asked, _end: end })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// One conversation; a client that leaves early ends it.
async fn say(mut stream: TcpStream, lines: Vec<Line>) {
    if let Some(Line::Raw(bytes)) = lines.first() {
        // Garbage instead of a handshake.
        stream.write_all(bytes).await.ok();
        return;
    }
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    for line in lines {
        let said = match line {
            Line::Text(text) => socket.send(Message::text(text)).await.is_ok(),
            Line::Binary(bytes) => socket.send(Message::binary(bytes)).await.is_ok(),
            Line::Raw(bytes) => socket.get_mut().write_all(&bytes).await.is_ok(),
            Line::Flood(text, times) => flood(&mut socket, &text, times).await,
            Line::Wait(time) => {
                tokio::time::sleep(time).await;
                true
            }
            Line::Hang => std::future::pending().await,
        };
        if !said {
            return;
        }
    }
    socket.close(None).await.ok();
}

async fn flood(
    socket: &mut tokio_tungstenite::WebSocketStream<TcpStream>,
    text: &str,
    times: usize,
) -> bool {
    for _ in 0..times {
        if socket.send(Message::text(text.to_owned())).await.is_err() {
            return false;
        }
    }
    true
}
