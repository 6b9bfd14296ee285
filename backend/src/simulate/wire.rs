//! A connection that can break on purpose.
//!
//! Refuses to know HTTP. The one idea: an ordinary close says "this was all" (FIN), and a peer may
//! take what it got for whole; only a reset (RST) says that something went wrong.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A socket that can end in a reset: closed with nothing lingering, it sends RST, not FIN.
#[derive(Debug)]
pub(super) struct Wire {
    socket: TcpStream,
    /// Set by the request that wants a reset.
    resets: Arc<AtomicBool>,
}

impl Wire {
    /// Takes a socket that was just accepted; a small frame shall not wait for a larger one.
    pub fn new(socket: TcpStream, resets: Arc<AtomicBool>) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self { socket, resets })
    }
}

impl Drop for Wire {
    /// Without lingering, closing throws away what was not sent and resets.
    fn drop(&mut self) {
        if self.resets.load(Ordering::Relaxed) {
            // Where that fails the peer sees a plain close, which no test takes for a reset.
            self.socket.set_zero_linger().unwrap_or_default();
        }
    }
}

// Reading and writing are the socket's own, each of them passed on as it is: the only thing that
// is ours is the end.
impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    /// Head and body of an answer leave in one call.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A FIN before the reset would make a good end of it.
        if self.resets.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
