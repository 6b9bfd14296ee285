//! The seam towards providers: there is no way through it without a [`Hold`].
//!
//! Sends one attempt and says what was observed, as facts: an answer, a stream, or a failure that
//! [`tollgate_shared::retry`] can judge. Refuses to know budgets and to retry.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tollgate_shared::provider::Registration;
use tollgate_shared::retry::Failure;

use crate::ledger::Hold;

pub mod dialect;
mod probe;
pub mod sse;

use dialect::Outgoing;
pub use probe::Seen;

/// The pooled client of all providers.
#[derive(Clone, Debug)]
pub struct Upstream {
    client: reqwest::Client,
    drains: Arc<Semaphore>,
}

/// What went wrong, for the verdict and in words for people.
#[derive(Debug, thiserror::Error)]
#[error("{word}: {detail}")]
pub struct Failed {
    /// What the money rules judge.
    pub failure: Failure,
    /// A stable word: `connect_failed`, `status_503`, `timeout`, `broken`.
    pub word: String,
    /// For people; a provider's own words, cut short.
    pub detail: String,
}

impl Failed {
    /// Nothing left this machine.
    fn not_sent(word: &str, detail: String) -> Self {
        Self { failure: Failure::NotSent, word: word.into(), detail }
    }
}

impl Upstream {
    /// A client that follows no redirect, asks no proxy and gives up on a connection in two
    /// seconds. A redirect would carry a key to a place nobody registered.
    pub fn new() -> Result<Self, reqwest::Error> {
        // Installed once; whoever came first chose the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, drains: Arc::new(Semaphore::new(DRAINS_MAX)) })
    }

    /// A place among the streams that are read on though their clients have left; `None` when
    /// there are too many of them.
    pub fn may_drain(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.drains).try_acquire_owned().ok()
    }

    /// Sends an attempt and waits for the head of its answer. From here on something may have
    /// been billed, unless the failure proves that nothing was sent.
    pub async fn send(
        &self,
        hold: &mut Hold,
        provider: &Registration,
        outgoing: Outgoing,
        deadline: Instant,
    ) -> Result<reqwest::Response, Failed> {
        let url = format!("{}{}", provider.endpoint.as_str(), outgoing.path);
        let mut request = self.client.post(url).body(outgoing.body);
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in outgoing.headers {
            request = request.header(name, value);
        }
        if let Some(attempt_id) = hold.attempt_id() {
            request = request.header("x-client-request-id", attempt_id.as_str());
        }
        if let Some((name, value)) = probe::key_of(provider)? {
            request = request.header(name, value);
        }
        hold.mark_sent();
        match tokio::time::timeout_at(deadline, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() || error.is_builder() => {
                Err(Failed::not_sent("connect_failed", root_cause(&error)))
            }
            Ok(Err(error)) => Err(broken(&error)),
            Err(_) => Err(timed_out()),
        }
    }

    /// Reads a whole answer, bounded in size and time.
    pub async fn read(response: reqwest::Response, deadline: Instant) -> Result<Bytes, Failed> {
        let mut response = response;
        let mut body = BytesMut::new();
        while let Some(chunk) = next_chunk(&mut response, deadline).await? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(Failed {
                    failure: Failure::Broken,
                    word: "answer_too_large".into(),
                    detail: format!("the answer is larger than {ANSWER_MAX} bytes"),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// The next piece of an answer; `None` at its end.
pub async fn next_chunk(
    response: &mut reqwest::Response,
    deadline: Instant,
) -> Result<Option<Bytes>, Failed> {
    match tokio::time::timeout_at(deadline, response.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(broken(&error)),
        Err(_) => Err(timed_out()),
    }
}

/// A complete answer that is not 2xx.
pub fn rejected(status: u16, body: &[u8]) -> Failed {
    let text: String = String::from_utf8_lossy(body).chars().take(DETAIL_MAX).collect();
    Failed { failure: Failure::Status(status), word: format!("status_{status}"), detail: text }
}

fn timed_out() -> Failed {
    Failed {
        failure: Failure::Broken,
        word: "timeout".into(),
        detail: "no complete answer in time".into(),
    }
}

fn broken(error: &reqwest::Error) -> Failed {
    Failed { failure: Failure::Broken, word: "broken".into(), detail: root_cause(error) }
}

/// The innermost reason: the outer ones repeat the address.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// How long a connection may take: a provider that does not pick up is not worth waiting for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an idle connection is kept: shorter than what common servers allow, so that a request
/// seldom meets a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Most streams that are read on at once for clients who have left.
const DRAINS_MAX: usize = 64;

/// Largest whole answer, in bytes.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

/// Longest piece of a provider's error that is shown to the caller, in characters.
const DETAIL_MAX: usize = 500;
