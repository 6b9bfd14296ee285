//! The accept loop: HTTP with time limits, until told to stop.
//!
//! Our own, because the loop that comes with axum sets no timer on a client's headers.

use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::ServiceExt;

/// Serves a listener. Returns when told to stop and every connection has finished.
pub(super) async fn serve(listener: TcpListener, door: Router, mut stopped: watch::Receiver<bool>) {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX);
    http.http2().timer(TokioTimer::new());
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: those that finish make room.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = told_to_stop(&mut stopped) => break,
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it began");
        }
        let service =
            TowerToHyperService::new(door.clone().map_request(
                |request: hyper::Request<Incoming>| request.map(axum::body::Body::new),
            ));
        let connection =
            http.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended badly");
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Waits until told to stop, or until nobody is left who could say so.
pub(super) async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // The borrowed value is dropped here: a loop that holds it could not move between threads.
    drop(stopped.wait_for(|stop| *stop).await);
}

/// How long a client may take to send its headers, also between two requests.
const HEADERS_MAX: Duration = Duration::from_secs(75);

/// Most bytes of a request's head.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
