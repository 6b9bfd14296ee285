//! The simulated provider's doors: routes, connections, and how they break.
//!
//! ```text
//! accept ─▶ read ─▶ fate ─▶ latency ─▶ bill the input ─▶ say a word, having billed it ─▶ …
//!                    └─ a fault that is not billed ends here
//! ```
//!
//! Refuses to know tokens and prices. The one idea: what a request costs is on the bill before the
//! first byte of its answer, and each word of a stream before that word leaves.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tollgate_shared::provider::Dialect;
use tower::ServiceExt;

use super::bill::{Ledger, Tab};
use super::fault::{Fate, Fault, FaultRule};
use super::question::{Question, Target};
use super::speech::{Frames, Speech, Step, error_body};
use super::wire::Wire;
use crate::clock;

/// What all connections of one provider share.
#[derive(Debug)]
pub(super) struct Shared {
    pub dialect: Dialect,
    pub port: u16,
    pub latency: Duration,
    pub chunk_delay: Duration,
    pub seed: u64,
    /// Changed between requests by tests; read once a request.
    pub rules: RwLock<Vec<FaultRule>>,
    pub ledger: Arc<Ledger>,
    /// Requests so far: the place of each in the sequence of chance.
    pub served: AtomicU64,
}

impl Shared {
    /// What befalls request number `number`.
    fn draw(&self, number: u64) -> Fate {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        Fate::draw(&rules, self.seed, number)
    }
}

/// Takes connections until it is dropped, and all of them with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = router(shared);
    // Ended ones are taken out as they end, so the set does not grow with every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(connection(socket, router.clone()));
                }
                // No descriptors left, most likely: some will come free.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection; a reset that a request asks for ends it.
async fn connection(socket: TcpStream, router: Router) {
    let resets = Arc::new(AtomicBool::new(false));
    let Ok(wire) = Wire::new(socket, Arc::clone(&resets)) else { return };
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (router, resets) = (router.clone(), Arc::clone(&resets));
        async move {
            // A router never fails; it answers with a failure.
            let Ok(response) = router.oneshot(request.map(Body::new)).await;
            if response.extensions().get::<Reset>().is_some() {
                resets.store(true, Ordering::Relaxed);
                return Err(io::Error::other("reset on purpose"));
            }
            Ok(response)
        }
    });
    // How a connection ends, on purpose or not, is the other side's to notice.
    drop(
        auto::Builder::new(TokioExecutor::new())
            .http1_only()
            .serve_connection(TokioIo::new(wire), service)
            .await,
    );
}

/// The routes of one dialect; another dialect's are not found, as at a real provider.
fn router(shared: Arc<Shared>) -> Router {
    let router = Router::new()
        .route("/bill", get(async |State(shared): Shares| Json(shared.ledger.bill())))
        .route("/health", get(health))
        .route("/v1/models", get(models));
    let router = match shared.dialect {
        Dialect::Openai => router.route("/v1/chat/completions", post(answer)),
        Dialect::Anthropic => router.route("/v1/messages", post(answer)),
        Dialect::Gemini => router
            .route("/v1beta/models", get(models))
            .route("/v1beta/models/{call}", post(answer_call))
            .route("/v1/models/{call}", post(answer_call)),
    };
    router
        .fallback(async |State(shared): Shares| failed(shared.dialect, 404))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(shared)
}

/// How a route gets at what is shared.
type Shares = State<Arc<Shared>>;

/// Shaped as the gateway's own.
async fn health(State(shared): Shares) -> Response {
    Json(serde_json::json!({
        "status": "healthy",
        "service": "simulated_provider",
        "port": shared.port,
        "version": env!("CARGO_PKG_VERSION"),
        "dialect": shared.dialect,
    }))
    .into_response()
}

/// The models with a price of their own; any other is served as well.
async fn models(State(shared): Shares) -> Response {
    // Each dialect lists its models in its own way.
    let named = |model: &str| match shared.dialect {
        Dialect::Openai => serde_json::json!({
            "id": model, "object": "model", "created": 0, "owned_by": "simulated"
        }),
        Dialect::Anthropic => serde_json::json!({
            "id": model, "type": "model", "display_name": model
        }),
        Dialect::Gemini => serde_json::json!({"name": format!("models/{model}")}),
    };
    let models: Vec<_> = shared.ledger.models().map(named).collect();
    Json(match shared.dialect {
        Dialect::Openai => serde_json::json!({"object": "list", "data": models}),
        Dialect::Anthropic => serde_json::json!({"data": models, "has_more": false}),
        Dialect::Gemini => serde_json::json!({"models": models}),
    })
    .into_response()
}

/// The routes whose body says everything.
async fn answer(shares: Shares, headers: HeaderMap, body: Bytes) -> Response {
    answer_target(&shares.0, None, &headers, &body).await
}

/// The routes whose path ends in `{model}:{verb}`.
async fn answer_call(
    State(shared): Shares,
    Path(call): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // The verb follows the last colon: a model's name may have one.
    let target = match call.rsplit_once(':') {
        Some((model, "generateContent")) => Target { model, stream: false },
        Some((model, "streamGenerateContent")) => Target { model, stream: true },
        _ => return failed(shared.dialect, 404),
    };
    answer_target(&shared, Some(target), &headers, &body).await
}

/// Answers, or fails as fate or the message wants it.
///
/// The order is the point: faults before the bill cost nothing, faults after it cost what was
/// made, and the gateway has to tell the two apart from outside.
async fn answer_target(
    shared: &Arc<Shared>,
    target: Option<Target<'_>>,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let number = shared.served.fetch_add(1, Ordering::Relaxed);
    let Ok(question) = Question::read(shared.dialect, target, body) else {
        return failed(shared.dialect, 400);
    };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // The message's wish comes last, so it wins.
    let mut fate = shared.draw(number);
    if fate.wish(text(WISH_HEADER)).and_then(|()| fate.wish(&question.last_user)).is_err() {
        return failed(shared.dialect, 400);
    }
    pause(shared.latency + fate.slow).await;
    match fate.fault {
        Some(Fault::Reset) => return Reset.into_response(),
        Some(Fault::Status(status)) => return failed(shared.dialect, status),
        Some(Fault::Redirect) => return (StatusCode::FOUND, [ELSEWHERE]).into_response(),
        Some(Fault::Silence) => return std::future::pending().await,
        _ => {}
    }
    let now = clock::now();
    let tab = shared.ledger.open(text(ATTEMPT_HEADER), &question.model, question.input_tokens, now);
    let speech = Speech::new(shared.dialect, &question, fate.fault, number, now.seconds());
    if question.stream && fate.fault != Some(Fault::BillThen500) {
        return spoken(speech, tab, shared.chunk_delay);
    }
    // Whole answers are made before they leave, so they are billed whole even where they get lost.
    tab.add_output(speech.tokens());
    match fate.fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::BillThen500) => failed(shared.dialect, 500),
        Some(Fault::Garbage) => ([JSON], "{\"garbage\":").into_response(),
        Some(Fault::Cut) => half(speech.whole()),
        _ => ([JSON], speech.whole()).into_response(),
    }
}

/// A timer even for nothing would cost a turn of the runtime.
async fn pause(span: Duration) {
    if !span.is_zero() {
        tokio::time::sleep(span).await;
    }
}

/// A body that promises all of `text` and breaks off in its middle.
fn half(text: String) -> Response {
    let length = text.len();
    let mut bytes = Bytes::from(text);
    bytes.truncate(length / 2);
    let pieces = stream::unfold(Some(bytes), async |bytes| match bytes {
        Some(bytes) if !bytes.is_empty() => Some((Ok(bytes), Some(Bytes::new()))),
        _ => {
            // Gives the half that was sent a turn to leave.
            tokio::task::yield_now().await;
            Some((Err(io::Error::other("cut on purpose")), None))
        }
    });
    let length = (header::CONTENT_LENGTH, length.to_string());
    ([JSON], [length], Body::from_stream(pieces)).into_response()
}

/// A stream, word by word.
fn spoken(speech: Speech, tab: Tab, delay: Duration) -> Response {
    let is_split = speech.is_split();
    let frames = stream::unfold(Speaking { frames: speech.frames(), tab, delay }, Speaking::next);
    // Pieces that know nothing of frames, lines or characters.
    let body = if is_split {
        let pieces = stream::StreamExt::flat_map(frames, |frame: io::Result<Bytes>| {
            let frame = frame.unwrap_or_default();
            let starts = (0..frame.len()).step_by(PIECE_BYTES);
            let piece =
                move |start: usize| frame.slice(start..frame.len().min(start + PIECE_BYTES));
            stream::iter(starts.map(move |start| Ok::<_, io::Error>(piece(start))))
        });
        Body::from_stream(pieces)
    } else {
        Body::from_stream(frames)
    };
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// A stream on its way out. Dropped with its connection, it makes and bills no more.
struct Speaking {
    frames: Frames,
    tab: Tab,
    delay: Duration,
}

impl Speaking {
    /// The next frame, billed before it leaves.
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        match self.frames.step() {
            Step::Send { text, tokens } => {
                if tokens > 0 {
                    pause(self.delay).await;
                    self.tab.add_output(tokens);
                }
                Some((Ok(text.into()), self))
            }
            Step::Hang => std::future::pending().await,
            // What was said before gets a turn to leave.
            Step::Break => {
                tokio::task::yield_now().await;
                Some((Err(io::Error::other("cut on purpose")), self))
            }
            Step::End => None,
        }
    }
}

/// A complete answer that is an error, in the dialect's shape.
fn failed(dialect: Dialect, status: u16) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (code, [JSON], error_body(dialect, status)).into_response();
    if matches!(status, 429 | 503) {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

/// Marks the response that is never sent: its connection is reset instead.
#[derive(Clone, Copy, Debug)]
struct Reset;

impl IntoResponse for Reset {
    /// The mark travels as an extension to where the connection can act on it.
    fn into_response(self) -> Response {
        (axum::Extension(self), ()).into_response()
    }
}

/// The header that ties an attempt to its line on the bill.
const ATTEMPT_HEADER: &str = "x-client-request-id";

/// The header in which wishes may stand, beside the message: `[fault:cut] [slow:1s]`.
const WISH_HEADER: &str = "x-simulate";

/// Of every answer that is not a stream.
const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

/// Where a redirect leads: a name that can never be resolved.
const ELSEWHERE: (header::HeaderName, &str) = (header::LOCATION, "http://elsewhere.invalid/");

/// Largest request, in bytes.
const BODY_MAX: usize = 64 << 20;

/// Size of the pieces of a stream that comes split, in bytes: not a divisor of anything.
const PIECE_BYTES: usize = 5;

/// How long to wait when a connection cannot be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
