//! The address of a provider, as strict as what is sent there deserves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The address of a provider: scheme, host and the path its routes hang under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Endpoint(String);

impl Endpoint {
    /// The address as it was given, without a final slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port: where a key may travel.
    pub fn origin(&self) -> &str {
        let after_scheme = self.0.find("://").map_or(0, |at| at + 3);
        let end = self.0[after_scheme..].find('/').map_or(self.0.len(), |at| after_scheme + at);
        &self.0[..end]
    }

    /// The last segment of the path where it names an API version, such as `v1` or `v1beta`.
    pub fn ends_in_version(&self) -> bool {
        let path = &self.0[self.origin().len()..];
        path.rsplit('/').next().is_some_and(|segment| {
            let mut rest = segment.strip_prefix('v').unwrap_or_default().bytes();
            rest.next().is_some_and(|byte| byte.is_ascii_digit())
                && rest.all(|byte| byte.is_ascii_alphanumeric())
        })
    }
}

impl std::str::FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = |why: &str| Err(format!("`{}` {why}", text.escape_debug()));
        let trimmed = text.trim_end_matches('/');
        let Some(rest) =
            trimmed.strip_prefix("http://").or_else(|| trimmed.strip_prefix("https://"))
        else {
            return fault("is no http:// or https:// address");
        };
        if text.len() > ENDPOINT_LENGTH_MAX {
            return fault("is too long");
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@[]".contains(&byte);
        if !rest.bytes().all(allowed) {
            return fault("has a character that an address cannot have");
        }
        if authority.contains('@') {
            return fault("carries a user name; keys are named by `api_key_env`");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if !is_host(host) {
            return fault("has no valid host");
        }
        if port.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..))) {
            return fault("has no valid port");
        }
        if path.split('/').any(|segment| segment == "..") {
            return fault("climbs out of its path");
        }
        Ok(Self(trimmed.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A name of letters, digits, dots, dashes and underscores, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(address) => {
            address.is_some_and(|address| address.parse::<core::net::Ipv6Addr>().is_ok())
        }
        None => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            host.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
                && host.bytes().all(plain)
        }
    }
}

/// Longest endpoint, in bytes.
pub const ENDPOINT_LENGTH_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_plain_web_address() {
        for text in [
            "",
            "localhost:8100",
            "file:///etc/passwd",
            "http://",
            "http://user@host",
            "http://h:0",
            "http://h:99999",
            "http://h/../x",
            "http://h?key=1",
            "http://h/a b",
            "http://h#x",
            "ftp://h",
            "http://[]",
            "http://a[b]",
            "http://[::1",
            "http://-h",
            "http://[::g]",
            "http://:80",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
        let rows = [
            ("http://localhost:8100", "http://localhost:8100", false),
            ("https://api.openai.com/v1/", "https://api.openai.com", true),
            ("http://[::1]:8080/v1beta", "http://[::1]:8080", true),
            ("http://host/vendor", "http://host", false),
        ];
        for (text, origin, version) in rows {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.origin(), endpoint.ends_in_version()), (origin, version));
        }
    }
}
