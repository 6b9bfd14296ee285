//! The door before every change: whose hand it is, whether it may, and whether it was done before.
//!
//! A change that carries an `Idempotency-Key` is made once however often it is sent, and gets the
//! answer that it got. For accounts, runs, unknowns and alerts the key is on disk in the transaction
//! of the change itself, the answer right behind it; where a crash fell in between, the change is
//! not made again and the answer is what stands there now. Providers and circuits are not in the
//! ledger: their key is written behind the change, and where a crash or a full disk fell in between,
//! the same request makes the change once more. What it says is then what stands, unless somebody
//! changed it meanwhile: `If-Match` guards registrations and removals against that. A refusal
//! changed nothing, so it uses no key up. Agents' requests are no changes: their `request_id` does
//! the same for them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tollgate_shared::receipt::hex_sha256;

use crate::api::{Problem, Rooms};
use crate::clock;
use crate::ledger::{ITSELF, LOCAL, Note, Word};
use crate::store::{Key, Used};

/// Whose hand a change is, and whether it was made already.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The name in [`OPERATOR`], or `local`.
    pub who: String,
    /// The key of this change.
    pub key: Option<Key>,
    /// It was made, and its answer was lost: it is not made again.
    pub repeated: bool,
}

impl Origin {
    /// The change as the ledger takes it.
    pub(super) fn word(&self, note: Option<String>) -> Word {
        Word { who: self.who.clone(), note, key: self.key.clone(), name: None }
    }
}

/// Lets a request through to its door, with its [`Origin`] where it is a change.
pub(super) async fn admit(
    State(rooms): State<Rooms>,
    mut request: Request,
    next: Next,
) -> Response {
    if !is_change(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    if rooms.read_only {
        let message = "this gateway is read-only: nothing can be changed here";
        return Problem::new(403, "read_only", message).into_response();
    }
    let (who, key) = match (operator(request.headers()), key_of(request.headers())) {
        (Ok(who), Ok(key)) => (who, key),
        (Err(problem), _) | (_, Err(problem)) => return problem.into_response(),
    };
    let Some(name) = key else {
        request.extensions_mut().insert(Origin { who, key: None, repeated: false });
        return next.run(request).await;
    };
    // A task of its own: a caller that hangs up leaves no change without its key and answer.
    let change = tokio::spawn(async move { once(rooms, (who, name), request, next).await });
    let done = change.await;
    done.unwrap_or_else(|_| Err(lost())).unwrap_or_else(IntoResponse::into_response)
}

/// Makes a change that has a name, unless it was made.
async fn once(
    rooms: Rooms,
    (who, name): (String, String),
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(_under_way) = UnderWay::begin(&rooms.keys, &name) else {
        let message = "the change with this key is under way";
        return Err(Problem::new(409, "request_in_progress", message).retry_after(1));
    };
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX).await.map_err(|_| {
        Problem::new(413, "body_too_large", format!("the body is larger than {BODY_MAX} bytes"))
    })?;
    let asked = format!("{} {}\n", parts.method, parts.uri);
    let fingerprint = hex_sha256(&[asked.as_bytes(), &body].concat());
    let reader = Arc::clone(&rooms.reader);
    let wanted = name.clone();
    let used = tokio::task::spawn_blocking(move || reader.used(&wanted, clock::now())).await;
    let used = used.map_err(|_| lost())??;
    match used {
        Some(used) if used.fingerprint != fingerprint => {
            let message = "this key came with another change before; use a new one";
            return Err(Problem::new(422, "idempotency_key_reused", message).final_());
        }
        Some(Used { answer: Some((status, body)), .. }) => return Ok(replay(status, body)),
        lost_answer => {
            let repeated = lost_answer.is_some();
            let key = Some(Key { name: name.clone(), fingerprint });
            parts.extensions.insert(Origin { who, key, repeated });
        }
    }
    let response = next.run(Request::from_parts(parts, HttpBody::from(body))).await;
    remember(&rooms, name, response).await
}

/// Keeps the answer of a change that was made.
async fn remember(rooms: &Rooms, name: String, response: Response) -> Result<Response, Problem> {
    if !response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, BODY_MAX).await.map_err(|_| lost())?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let answer = Some((name, parts.status.as_u16(), text));
    // The change is on disk; without its answer a repetition says what stands there then.
    if let Err(error) = rooms.gateway.ledger.note(Note { answer, ..Note::default() }).await {
        tracing::warn!(%error, "the answer of a change could not be kept");
    }
    Ok(Response::from_parts(parts, HttpBody::from(body)))
}

fn replay(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true")),
    ];
    (status, headers, body).into_response()
}

/// A key whose change is under way, until this is dropped.
struct UnderWay {
    keys: Arc<Mutex<HashSet<String>>>,
    name: String,
}

impl UnderWay {
    fn begin(keys: &Arc<Mutex<HashSet<String>>>, name: &str) -> Option<Self> {
        let fresh = keys.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        fresh.then(|| Self { keys: Arc::clone(keys), name: name.to_owned() })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// Whether a request changes what operators decide. Questions and agents' requests do not.
pub(super) fn is_change(method: &Method, path: &str) -> bool {
    let is_question = ["/select", "/estimate", "/whatif"].contains(&path);
    let is_agents = path == "/route" || path.starts_with("/v1");
    !(method.is_safe() || is_question || is_agents || path.ends_with("/probe"))
}

/// Who changes it.
fn operator(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(value) = headers.get(OPERATOR) else { return Ok(LOCAL.into()) };
    hand(OPERATOR, plain(OPERATOR, value, OPERATOR_MAX)?)
}

/// The name of a person, out of the field of this name. The gateway's own is nobody else's.
pub(super) fn hand(field: &str, name: String) -> Result<String, Problem> {
    if name.trim().is_empty() || name.len() > OPERATOR_MAX || name.chars().any(char::is_control) {
        let reason = format_args!("it is not 1 to {OPERATOR_MAX} bytes without controls");
        return Err(Problem::field(field, reason));
    }
    if name.trim().eq_ignore_ascii_case(ITSELF) {
        return Err(Problem::field(field, "the gateway itself is called that"));
    }
    Ok(name)
}

/// By what it is the same change when it is sent again.
fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    headers.get(KEY).map(|value| plain(KEY, value, KEY_MAX)).transpose()
}

/// A header of visible ASCII, with spaces inside.
fn plain(name: &str, value: &HeaderValue, most: usize) -> Result<String, Problem> {
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > most {
        let reason = format_args!("it is not 1 to {most} visible ASCII characters");
        return Err(Problem::field(name, reason));
    }
    Ok(text.to_owned())
}

fn lost() -> Problem {
    Problem::new(500, "lost", "the change was lost inside the gateway")
}

/// The header that says whose hand a change is. A name, not a proof.
const OPERATOR: &str = "x-tollgate-operator";

/// The header that names a change.
const KEY: &str = "Idempotency-Key";

/// Longest name of an operator, in bytes.
const OPERATOR_MAX: usize = 100;

/// Longest key, in bytes: what others' clients send is a UUID.
const KEY_MAX: usize = 255;

/// Largest body of a change, in bytes.
const BODY_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_agents_requests_are_no_changes() {
        for (method, path, wanted) in [
            (Method::GET, "/budgets", false),
            (Method::POST, "/route", false),
            (Method::POST, "/select", false),
            (Method::POST, "/v1/chat/completions", false),
            (Method::POST, "/v1beta/models/m:generateContent", false),
            (Method::POST, "/providers/p/probe", false),
            (Method::POST, "/budget", true),
            (Method::POST, "/runs/v1/pause", true),
            (Method::POST, "/alerts/budget:r/ack", true),
            (Method::DELETE, "/providers/p", true),
        ] {
            assert_eq!(is_change(&method, path), wanted, "{method} {path}");
        }
    }
}
