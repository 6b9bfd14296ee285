//! No web page may act through a visitor's browser.
//!
//! The listeners need no key on loopback, so a page must not reach them: a foreign origin is
//! refused, and so is a host name that merely resolves to this machine. Plain clients send neither
//! header, or their own.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::Problem;

pub(super) async fn no_web_pages(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = header(headers, HOST.as_str()).unwrap_or_default();
    if !is_loopback(host) {
        return refused("foreign_host", "this host name is not one of this machine's own");
    }
    let foreign = header(headers, ORIGIN.as_str()).is_some_and(|origin| {
        origin.split_once("://").is_none_or(|(_, authority)| authority != host)
    });
    if foreign || header(headers, "sec-fetch-site") == Some("cross-site") {
        return refused("foreign_origin", "requests from other sites' pages are refused");
    }
    next.run(request).await
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// A loopback name or address, with or without a port; HTTP/1.0 clients send no host at all.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.is_empty()
        || name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn refused(code: &'static str, message: &str) -> Response {
    Problem::new(403, code, message).into_response()
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_this_machines_names_pass() {
        for host in ["", "localhost", "localhost:6120", "127.0.0.1:6120", "[::1]:6103", "127.9.9.9"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["evil.com", "evil.com:6120", "127.0.0.1.evil.com", "10.0.0.1", "localhost.evil"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
