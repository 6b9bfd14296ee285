//! Reading requests strictly: bounded bodies, path names, versions.

use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use tollgate_shared::body::{Body, parsed};

use crate::api::Problem;

/// A JSON object of at most [`BODY_MAX`] bytes.
pub(super) async fn object(body: HttpBody) -> Result<Body, Problem> {
    let bytes = to_bytes(body, BODY_MAX).await.map_err(|_| {
        Problem::new(413, "body_too_large", format!("the body is larger than {BODY_MAX} bytes"))
    })?;
    Ok(Body::parse(&bytes)?)
}

/// A JSON object, or no body at all for an empty one.
pub(super) async fn object_or_nothing(body: HttpBody) -> Result<Body, Problem> {
    let bytes = to_bytes(body, BODY_MAX).await.map_err(|_| {
        Problem::new(413, "body_too_large", format!("the body is larger than {BODY_MAX} bytes"))
    })?;
    Ok(if bytes.is_empty() { Body::parse(b"{}")? } else { Body::parse(&bytes)? })
}

/// Whether there is no body.
pub(super) async fn is_empty(body: HttpBody) -> bool {
    to_bytes(body, BODY_MAX).await.is_ok_and(|bytes| bytes.is_empty())
}

/// The query of a URL; a mistake in it has the one error shape.
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(error) => Err(Problem::new(422, "invalid_query", error.body_text())),
        }
    }
}

/// The one variable part of a path; a mistake in it has the one error shape.
pub(super) struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<String>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(text)) => Ok(Self(text)),
            Err(error) => Err(Problem::new(400, "invalid_path", error.body_text())),
        }
    }
}

/// A name from the path or the query.
pub(super) fn name<T>(field: &str, text: &str) -> Result<T, Problem>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    Ok(parsed(field, text)?)
}

/// The version that a change was made against; quotes are allowed, as in an entity tag.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim_matches('"');
    text.parse().map(Some).map_err(|_| Problem::field("If-Match", "it is no version number"))
}

/// A header that is `1` or `0`, or absent.
pub(super) fn flag(headers: &HeaderMap, name: &str) -> Result<bool, Problem> {
    match headers.get(name).map(|value| value.to_str().unwrap_or_default()) {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(Problem::field(name, "it is not `1` or `0`")),
    }
}

/// Largest body of a request, in bytes: a long context with pictures fits, a flood does not.
const BODY_MAX: usize = 32 * 1024 * 1024;
