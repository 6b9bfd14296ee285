//! The event stream's doors: a websocket, and figures about it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde::Deserialize;
use tollgate_shared::api::{Health, StreamStats};
use tollgate_shared::event::{Event, Ping};

use crate::api::{Rooms, read};
use crate::clock;
use crate::hub::{Next, text_of};

/// Where a client was before.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resume {
    after: Option<u64>,
    epoch: Option<String>,
}

/// `GET /events`: hello, then a snapshot or what was missed, then events as they come.
pub(super) async fn subscribe(
    State(rooms): State<Rooms>,
    read::Query(resume): read::Query<Resume>,
    upgrade: WebSocketUpgrade,
) -> Response {
    // Consoles only listen; what they send is bounded to next to nothing.
    upgrade.max_message_size(CLIENT_MESSAGE_MAX).max_frame_size(CLIENT_MESSAGE_MAX).on_upgrade(
        move |socket| async move {
            if let Err(error) = serve(socket, rooms, resume).await {
                tracing::debug!(%error, "a console left");
            }
        },
    )
}

/// `GET /stats`.
pub(super) async fn stats(State(rooms): State<Rooms>) -> Json<StreamStats> {
    Json(rooms.hub.stats())
}

/// `GET /health`.
pub(super) async fn health(State(rooms): State<Rooms>) -> Json<Health> {
    Json(rooms.health("event_stream", rooms.ports[2]))
}

async fn serve(mut socket: WebSocket, rooms: Rooms, resume: Resume) -> Result<(), axum::Error> {
    let hub = rooms.hub;
    let _counted = hub.subscribe();
    let mut newest = hub.watch();
    send(&mut socket, hub.hello(rooms.read_only)).await?;
    let known = resume.after.and_then(|after| hub.resume(resume.epoch.as_deref(), after));
    let mut place = match known {
        Some(place) => place,
        None => {
            let (place, snapshot) = hub.snapshot();
            send(&mut socket, snapshot).await?;
            place
        }
    };
    loop {
        match hub.next(place) {
            Next::Frames(frames) if frames.is_empty() => {
                tokio::select! {
                    changed = newest.changed() => if changed.is_err() { return Ok(()) },
                    heard = socket.recv() => match heard {
                        // Pings are answered by the library; anything else has no meaning here.
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return Err(error),
                        None => return Ok(()),
                    },
                    () = tokio::time::sleep(HEARTBEAT) => {
                        send(&mut socket, text_of(&Event::Ping(Ping { now: clock::now() }))).await?;
                    }
                }
            }
            Next::Frames(frames) => {
                for frame in frames {
                    send(&mut socket, frame.text.to_string()).await?;
                    place.seq = frame.to;
                    place.receipts += frame.receipts;
                }
            }
            Next::Lagged { notice, snapshot, place: now } => {
                send(&mut socket, text_of(&Event::Lagged(notice))).await?;
                send(&mut socket, snapshot).await?;
                place = now;
            }
        }
    }
}

/// Sends a frame; a client that takes none of it for long is gone.
async fn send(socket: &mut WebSocket, text: String) -> Result<(), axum::Error> {
    match tokio::time::timeout(STALLED, socket.send(Message::text(text))).await {
        Ok(sent) => sent,
        Err(elapsed) => Err(axum::Error::new(elapsed)),
    }
}

/// Longest silence: consoles call a stream late after five seconds.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How long one frame may wait for a client who does not read.
const STALLED: Duration = Duration::from_secs(30);

/// Largest message from a client, in bytes.
const CLIENT_MESSAGE_MAX: usize = 4_096;
