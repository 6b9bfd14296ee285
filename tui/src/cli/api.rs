//! Questions and changes, one after another, with answers as text or as a failure with its code.
//!
//! The console's client answers in messages; a command waits. The text of an answer is kept as it
//! came, so that `--json` prints every digit of it. Refuses to know what answers mean.
//!
//! | answer | failure |
//! |---|---|
//! | none | silent |
//! | 404 `not_found`, 405 | the backend is older |
//! | other 404s | absent |
//! | 409, 412 | changed by somebody else, or refused for its state |
//! | other errors | refused, with code and message |

use std::time::Duration;

use anyhow::Context;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use tollgate_shared::api::ErrorBody;

use super::Failure;
use crate::console::ConsoleOptions;
use crate::message::Target;

/// The backend, as a command sees it.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    gateway: String,
    router: String,
    read_only: bool,
    operator: Option<String>,
    session: String,
}

/// A change to make.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which listener.
    pub target: Target,
    /// POST, or DELETE.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The body.
    pub body: String,
    /// The version it changes.
    pub if_match: Option<u64>,
}

impl Change {
    /// A POST.
    pub fn post(target: Target, path: String, body: String) -> Self {
        Self { target, method: Method::POST, path, body, if_match: None }
    }
}

impl Api {
    /// The backend that the options name.
    pub fn new(options: &ConsoleOptions) -> Result<Self, Failure> {
        // An error means that somebody in this process was first, and theirs is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut headers = HeaderMap::new();
        if let Some(key) = &options.key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .context("failed to use the key: it has characters that no header can have")?;
            value.set_sensitive(true);
            headers.insert("authorization", value);
        }
        let http = reqwest::Client::builder().default_headers(headers).timeout(TIMEOUT);
        let http = http.build().context("failed to set up the HTTP client")?;
        let [gateway, router] =
            [&options.gateway, &options.router].map(|url| url.trim_end_matches('/').to_owned());
        Ok(Self {
            http,
            gateway,
            router,
            read_only: options.settings.read_only,
            operator: options.operator.clone(),
            session: format!("cli-{:x}-{:x}", crate::feed::clock().micros(), std::process::id()),
        })
    }

    /// Where a listener is, for people.
    pub fn address(&self, target: Target) -> &str {
        match target {
            Target::Gateway => &self.gateway,
            Target::Router => &self.router,
        }
    }

    /// Asks; answers the exact text.
    pub async fn get(&self, target: Target, path: &str) -> Result<String, Failure> {
        let request = self.http.get(format!("{}{path}", self.address(target)));
        self.send(target, &format!("GET {}", route(path)), request).await
    }

    /// Asks, and reads the answer.
    pub async fn read<T: DeserializeOwned>(
        &self,
        target: Target,
        path: &str,
    ) -> Result<T, Failure> {
        read(&self.get(target, path).await?)
    }

    /// Changes something; each change has an idempotency key of its own.
    pub async fn change(&self, change: Change) -> Result<String, Failure> {
        if self.read_only {
            return Err(Failure::Refused("READ-ONLY: this profile changes nothing".into()));
        }
        let Change { target, method, path, body, if_match } = change;
        let what = format!("{method} {}", route(&path));
        let mut request = self.http.request(method, format!("{}{path}", self.address(target)));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        request = request.header("idempotency-key", &self.session);
        if let Some(version) = if_match {
            request = request.header("if-match", version.to_string());
        }
        if let Some(operator) = &self.operator {
            request = request.header("x-tollgate-operator", operator);
        }
        self.send(target, &what, request).await
    }

    /// Sends, and tells answers from failures. Addresses are left out of errors of the client: a
    /// URL may hold a key.
    async fn send(
        &self,
        target: Target,
        what: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<String, Failure> {
        let silent = |error: reqwest::Error| {
            let why = source(&error.without_url());
            Failure::Silent(format!("no answer from {}: {why}", self.address(target)))
        };
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(silent)?;
        if status < 300 { Ok(text) } else { Err(failure(status, &text, what)) }
    }
}

/// Reads an answer as its type, with every digit.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::Refused(format!("an answer that cannot be read: {error}; is it a tollgate?"))
    })
}

/// What an error answer means.
fn failure(status: u16, text: &str, what: &str) -> Failure {
    let Ok(ErrorBody { error }) = serde_json::from_str(text) else {
        return Failure::Refused(format!("{status} from something that is no tollgate"));
    };
    let words = format!("{}: {}", error.code, error.message);
    match (status, error.code.as_str()) {
        (404, "not_found") | (405, _) => Failure::Older(format!(
            "the backend does not know `{what}`: it is older than this program"
        )),
        (404, _) => Failure::Absent(words),
        (412, _) => {
            let now = error.details.map_or(String::new(), |now| format!("; now it is {now}"));
            Failure::Changed(format!("{words}{now}"))
        }
        _ => Failure::Refused(words),
    }
}

/// The route of a path, without its query.
fn route(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

/// The innermost reason of an error: "error sending request" tells nobody anything.
fn source(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}

/// How long an answer may take; a person or a script is waiting for it.
const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_their_codes() {
        let error = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
        let rows = [
            (404, error("not_found"), 6),
            (405, error("method_not_allowed"), 6),
            (404, error("unknown_run"), 4),
            (412, error("version_mismatch"), 5),
            (422, error("invalid_budget"), 1),
            (403, error("read_only"), 1),
            (502, "<html>".to_owned(), 1),
        ];
        for (status, text, code) in rows {
            assert_eq!(failure(status, &text, "GET /x").code(), code, "{status} {text}");
        }
    }
}
