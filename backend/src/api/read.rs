//! Reading requests strictly: bounded bodies, path names, versions.

use axum::body::{Body as HttpBody, to_bytes};
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use tollgate_shared::body::{Body, parsed};

use crate::api::Problem;

/// A JSON object of at most [`BODY_MAX`] bytes.
pub(super) async fn object(body: HttpBody) -> Result<Body, Problem> {
    let bytes = to_bytes(body, BODY_MAX).await.map_err(|_| {
        Problem::new(413, "body_too_large", format!("the body is larger than {BODY_MAX} bytes"))
    })?;
    Ok(Body::parse(&bytes)?)
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

/// Largest body of a request, in bytes: a long context with pictures fits, a flood does not.
const BODY_MAX: usize = 32 * 1024 * 1024;
