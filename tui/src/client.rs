//! Requests to the backend, one task for each, answered as messages.
//!
//! Carries bodies that others wrote and brings back status and text. Refuses to know what they
//! mean, and never prints a key.
//!
//! A task for each request, not a queue: a change must not wait behind a slow read, and each carries
//! its own idempotency key, so a repeated one changes nothing twice.

use std::time::Duration;

use anyhow::Context;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::sync::mpsc;

use crate::message::{Call, Method, Reply, Target};

/// Sends requests.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    gateway: String,
    router: String,
    replies: mpsc::Sender<Reply>,
    session: String,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `http://127.0.0.1:6120`.
    pub gateway: String,
    /// `http://127.0.0.1:6103`.
    pub router: String,
    /// The caller's key, where the backend wants one.
    pub key: Option<String>,
    /// Whose hand changes are.
    pub operator: Option<String>,
}

impl Client {
    /// A client whose answers go to `replies`.
    pub fn new(options: ClientOptions, replies: mpsc::Sender<Reply>) -> anyhow::Result<Self> {
        // An error means that somebody in this process was first, and theirs is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut headers = HeaderMap::new();
        if let Some(key) = options.key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .context("failed to use the key: it has characters that no header can have")?;
            value.set_sensitive(true);
            headers.insert("authorization", value);
        }
        if let Some(name) = options.operator.and_then(|name| HeaderValue::from_str(&name).ok()) {
            headers.insert("x-tollgate-operator", name);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(TIMEOUT)
            .build()
            .context("failed to set up the HTTP client")?;
        let [gateway, router] =
            [options.gateway, options.router].map(|url| url.trim_end_matches('/').to_owned());
        let session = format!("console-{:x}", crate::feed::clock().micros());
        Ok(Self { http, gateway, router, replies, session })
    }

    /// Sends a request in a task of its own; the answer comes as a reply.
    pub fn send(&self, call: Call) {
        let client = self.clone();
        tokio::spawn(async move {
            let result = client.result(&call).await;
            let reply = Reply { purpose: call.purpose, number: call.number, result };
            // The console has ended when nobody takes the reply.
            client.replies.send(reply).await.ok();
        });
    }

    /// Status and text of the answer. Addresses are left out of errors: a URL may hold a key.
    async fn result(&self, call: &Call) -> Result<(u16, String), String> {
        let base = match call.target {
            Target::Gateway => &self.gateway,
            Target::Router => &self.router,
        };
        if base.is_empty() {
            return Err("there is no backend behind receipt files".into());
        }
        let url = format!("{base}{}", call.path);
        let key = format!("{}-{}", self.session, call.number);
        let request = match call.method {
            Method::Get => self.http.get(url),
            Method::Post => self.http.post(url).header("idempotency-key", key),
            Method::Delete => self.http.delete(url).header("idempotency-key", key),
        };
        let request = match &call.body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.clone()),
            None => request,
        };
        let request = match call.if_match {
            Some(version) => request.header("if-match", version.to_string()),
            None => request,
        };
        let failed = |error: reqwest::Error| format!("no answer: {}", error.without_url());
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(failed)?;
        Ok((status, text))
    }
}

/// Whose hand changes are: `TOLLGATE_OPERATOR`, else what a file says, else the user's name. The
/// backend takes visible ASCII only, so other letters are left out.
pub fn operator(
    configured: Option<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let user = || ["USER", "LOGNAME"].into_iter().find_map(&variable);
    let name = variable("TOLLGATE_OPERATOR").or(configured).or_else(user)?;
    let plain: String = name.chars().filter(char::is_ascii_graphic).take(OPERATOR_MAX).collect();
    // The gateway's own hand has this name, and no person's change is taken under it.
    let is_free = !plain.is_empty() && !plain.eq_ignore_ascii_case("tollgate");
    is_free.then_some(plain)
}

/// Longest name of an operator.
const OPERATOR_MAX: usize = 100;

/// How long an answer may take; a person is waiting for it.
const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_has_a_name_that_a_header_can_hold() {
        let of = |name: &'static str, value: &'static str| {
            operator(None, move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(of("TOLLGATE_OPERATOR", "ann").as_deref(), Some("ann"));
        assert_eq!(of("USER", "Zoë of\nops").as_deref(), Some("Zoofops"));
        assert_eq!(of("USER", "Ω"), None);
        assert_eq!(operator(None, |_| None), None);
        let file = || Some("kim".to_owned());
        assert_eq!(operator(file(), |name| (name == "USER").then(|| "u".into())), file());
        assert_eq!(operator(file(), |_| Some("ann".into())).as_deref(), Some("ann"));
    }
}
