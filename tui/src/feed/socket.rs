//! The websocket: connect, read, notice holes, come back.
//!
//! | after | waits at most |
//! |---|---|
//! | the 1st failure | 0.25 s |
//! | each one more | twice as long, up to 5 s |
//!
//! The wait is drawn at random up to that bound, so that a thousand consoles do not return as one.
//! It never gives up. Refuses to know what frames mean beyond their place.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tollgate_shared::event::Event;
use tollgate_shared::time::Timestamp;

use super::{Delta, LinkChange};

/// Where the events come from.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// `ws://127.0.0.1:6102/events`.
    pub url: String,
    /// The caller's key, where the backend wants one.
    pub key: Option<String>,
}

/// The feed's own end.
#[derive(Debug)]
pub struct Feed {
    options: FeedOptions,
    deltas: mpsc::Sender<Delta>,
    hurry: Arc<Notify>,
    place: Place,
    delta: Delta,
}

/// Where the stream is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    epoch: Option<String>,
    seq: u64,
    /// A hole that was already asked for and not filled: it is gone for good.
    given_up: Option<u64>,
}

/// How a frame follows the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is the next one, or has no place.
    Next,
    /// It was seen already.
    Again,
    /// Some are missing before it.
    Hole,
}

impl Feed {
    /// A feed that hands over to `deltas`, and connects at once when `hurry` is notified.
    pub fn new(options: FeedOptions, deltas: mpsc::Sender<Delta>, hurry: Arc<Notify>) -> Self {
        Self { options, deltas, hurry, place: Place::default(), delta: Delta::default() }
    }

    /// Runs until the other end is gone.
    pub async fn run(mut self) {
        let mut attempt = 0;
        while !self.deltas.is_closed() {
            let (heard, why) = self.connect().await;
            attempt = if heard { 1 } else { attempt + 1 };
            let wait = backoff(attempt, chance());
            let millis = i64::try_from(wait.as_millis()).unwrap_or(0);
            let retry_at = clock().plus_millis(millis);
            self.delta.link = Some(LinkChange::Lost { attempt, retry_at, why });
            self.hand_over().await;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.hurry.notified() => {}
                () = self.deltas.closed() => {}
            }
        }
    }

    /// One connection from beginning to end: whether anything was heard, and why it ended.
    async fn connect(&mut self) -> (bool, String) {
        let request = match self.request() {
            Ok(request) => request,
            Err(why) => return (false, why),
        };
        let connecting = tokio_tungstenite::connect_async(request);
        let mut socket = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok((socket, _))) => socket,
            Ok(Err(error)) => return (false, error.to_string()),
            Err(_) => return (false, "no answer within 5 s".into()),
        };
        let mut flush = tokio::time::interval(FLUSH);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut last) = (false, Instant::now());
        let why = loop {
            tokio::select! {
                frame = socket.next() => match frame {
                    Some(Ok(Frame::Text(text))) => {
                        last = Instant::now();
                        heard = true;
                        if let Err(why) = self.read(&text) {
                            break why;
                        }
                    }
                    Some(Ok(Frame::Close(close))) => {
                        break close.map_or("closed".into(), |close| close.to_string());
                    }
                    Some(Ok(_)) => last = Instant::now(),
                    Some(Err(error)) => break error.to_string(),
                    None => break "closed".into(),
                },
                _ = flush.tick() => {
                    self.hand_over().await;
                    // Heartbeats come every two seconds; a dead link says nothing at all.
                    if last.elapsed() > SILENCE {
                        break "no heartbeat for 15 s".into();
                    }
                }
                () = self.hurry.notified() => break "asked to reconnect".into(),
                () = self.deltas.closed() => break "done".into(),
            }
        };
        socket.close(None).await.ok();
        (heard, why)
    }

    /// The handshake: where to go on from, and the key in a header, never in the address.
    fn request(
        &self,
    ) -> Result<tokio_tungstenite::tungstenite::handshake::client::Request, String> {
        let mut url = self.options.url.clone();
        if let Some(epoch) = &self.place.epoch {
            let joint = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{joint}after={}&epoch={epoch}", self.place.seq);
        }
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        if let Some(key) = &self.options.key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| "the key has characters that no header can have".to_owned())?;
            value.set_sensitive(true);
            request.headers_mut().insert("authorization", value);
        }
        Ok(request)
    }

    /// Takes one frame in; an error ends the connection.
    fn read(&mut self, text: &str) -> Result<(), String> {
        let event = match Event::read(text) {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(_) => {
                self.delta.unread += 1;
                return Ok(());
            }
        };
        if let Event::Hello(hello) = &event {
            let resumed = self.place.epoch.as_deref() == Some(hello.epoch.as_str());
            if !resumed {
                self.place = Place { epoch: Some(hello.epoch.clone()), ..Place::default() };
            }
            self.delta.link = Some(LinkChange::Up { resumed });
        }
        match self.place.step(&event) {
            Step::Again => return Ok(()),
            Step::Hole => return Err(format!("events after {} are missing", self.place.seq)),
            Step::Next => {}
        }
        self.delta.add(event, clock());
        Ok(())
    }

    /// Waits when the console is behind: events then queue in the socket, and the server says
    /// `lagged` before anybody's memory fills.
    async fn hand_over(&mut self) {
        if self.delta.is_empty() {
            return;
        }
        let mut delta = std::mem::take(&mut self.delta);
        delta.at = clock();
        // The receiver is gone only when the console ends, and then nobody wants it.
        self.deltas.send(delta).await.ok();
    }
}

impl Place {
    /// Judges where an event stands, and moves on.
    fn step(&mut self, event: &Event) -> Step {
        let (from, to) = match event {
            Event::Snapshot(snapshot) => {
                self.seq = snapshot.seq;
                return Step::Next;
            }
            Event::Lagged(lagged) => {
                self.seq = self.seq.max(lagged.to);
                return Step::Next;
            }
            Event::Hello(_) | Event::Ping(_) => return Step::Next,
            Event::Tick(tick) => (tick.seq, tick.seq),
            Event::Receipts(receipts) => (receipts.from, receipts.to),
            Event::Refusal(refused) => (refused.seq, refused.seq),
            Event::Budget(budget) => (budget.seq, budget.seq),
            Event::Run(run) => (run.seq, run.seq),
            Event::Provider(provider) => (provider.seq, provider.seq),
            Event::Circuit(circuit) => (circuit.seq, circuit.seq),
            Event::Alert(alert) => (alert.seq, alert.seq),
            Event::Audit(audit) => (audit.seq, audit.seq),
            Event::Checkpoint(checkpoint) => (checkpoint.seq, checkpoint.seq),
        };
        if to <= self.seq {
            return Step::Again;
        }
        if from > self.seq + 1 && self.given_up != Some(self.seq) {
            // Asked for once by connecting anew; when it is still missing, it is gone.
            self.given_up = Some(self.seq);
            return Step::Hole;
        }
        self.seq = to;
        Step::Next
    }
}

/// The wait before a try: a share of the bound, by chance.
fn backoff(attempt: u32, chance: u64) -> Duration {
    let bound =
        BACKOFF_MS.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(BACKOFF_MAX_MS);
    Duration::from_millis(chance % (bound + 1))
}

/// A random number from the keys that the standard library's maps are seeded with.
fn chance() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// This machine's clock.
pub(crate) fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// First bound of the wait between tries, in milliseconds.
const BACKOFF_MS: u64 = 250;

/// Last bound: a backend that is back is found within a second. One connection a second is nothing
/// to a server, and an operator who waits for it is not told to wait longer.
const BACKOFF_MAX_MS: u64 = 1_000;

/// How often news are handed over.
const FLUSH: Duration = Duration::from_millis(100);

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Silence after which a link is dead: seven heartbeats were missed.
const SILENCE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::SinkExt;
    use tokio::net::TcpListener;

    fn tick(seq: u64) -> Event {
        let text = format!(
            r#"{{"type":"tick","seq":{seq},"at":"2026-11-23T14:14:07Z","all":{{"cost_usd":0.5}}}}"#
        );
        Event::read(&text).unwrap().unwrap()
    }

    #[test]
    fn places_are_dense_and_a_hole_is_asked_for_once() {
        let mut place = Place { epoch: None, seq: 4, given_up: None };
        assert_eq!(place.step(&tick(5)), Step::Next);
        assert_eq!(place.step(&tick(5)), Step::Again);
        assert_eq!(place.step(&tick(8)), Step::Hole);
        assert_eq!(place.seq, 5, "the resume asks for what is missing");
        assert_eq!(place.step(&tick(8)), Step::Next, "it is gone for good");
        assert_eq!(place.step(&tick(12)), Step::Hole, "another one");
    }

    #[test]
    fn waits_double_up_to_a_second() {
        let bounds: Vec<_> = (1..=7)
            .map(|attempt| {
                (0..20_000).map(|chance| backoff(attempt, chance).as_millis()).max().unwrap()
            })
            .collect();
        assert_eq!(bounds, [250, 500, 1_000, 1_000, 1_000, 1_000, 1_000]);
        assert_eq!(backoff(3, 0), Duration::ZERO);
    }

    const HELLO: &str = r#"{"type":"hello","proto":1,"epoch":"e1","seq":3,"now":"2026-11-23T14:14:07Z","catalogue":"v1","read_only":false}"#;

    /// Serves one connection: answers its path, sends the frames, closes.
    async fn serve(listener: &TcpListener, frames: &[String]) -> String {
        let (stream, _) = listener.accept().await.unwrap();
        let mut path = String::new();
        let note = |request: &tokio_tungstenite::tungstenite::handshake::server::Request,
                    response| {
            path = request.uri().to_string();
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, note).await.unwrap();
        for frame in frames {
            socket.send(Frame::text(frame.clone())).await.unwrap();
        }
        socket.close(None).await.unwrap();
        path
    }

    #[tokio::test]
    async fn a_broken_connection_is_resumed_where_it_stopped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/events", listener.local_addr().unwrap());
        let (sender, mut deltas) = mpsc::channel(8);
        let feed = Feed::new(FeedOptions { url, key: None }, sender, Arc::default());
        let feed = tokio::spawn(feed.run());
        let frame = |seq| serde_json::to_string(&tick(seq)).unwrap();
        let snapshot = r#"{"type":"snapshot","seq":3,"seconds":[],"runs":[],"budgets":[],"providers":[],"alerts":[],"checkpoint":{}}"#;
        let first = serve(&listener, &[HELLO.into(), snapshot.into(), frame(4)]).await;
        let second = serve(&listener, &[HELLO.into(), frame(5)]).await;
        assert_eq!((first.as_str(), second.as_str()), ("/events", "/events?after=4&epoch=e1"));
        let mut seconds = 0;
        let mut resumed = Vec::new();
        while seconds < 2 {
            let delta = deltas.recv().await.unwrap();
            seconds += delta.seconds.len();
            if let Some(hello) = delta.hello {
                resumed.push(hello.seq);
            }
        }
        assert_eq!(resumed.len(), 2);
        drop(deltas);
        feed.await.unwrap();
    }
}
