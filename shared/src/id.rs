//! Names that were parsed once, at the door.
//!
//! A run id becomes a file name, a provider name a URL segment, a request id a database key; each
//! has a grammar and a length, and nothing else in the house checks them again. Refuses to know
//! what a name is used for. Cloning is cheap: the text is shared.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a name of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is no {kind}: {rule}")]
pub struct IdError {
    /// What was being read, such as `run id`.
    pub kind: &'static str,
    /// The text, escaped and cut so that it is safe to print.
    pub shown: String,
    /// The rule that every name of this kind follows.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path, $rule:expr, $schema:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if $check(text) {
                    return Ok(Self(text.into()));
                }
                Err(IdError { kind: $kind, shown: shown(text), rule: $rule })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $schema})
            }
        }
    };
}

name!(
    /// A piece of swarm work with one budget; also the stem of its receipt file.
    RunId,
    "run id",
    is_run_id,
    RUN_ID_RULE,
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
);
name!(
    /// The caller's name for one request; unique within its run.
    RequestId,
    "request id",
    is_visible_ascii,
    VISIBLE_RULE,
    "^[!-~]{1,128}$"
);
name!(
    /// One try of a request at one provider: a UUIDv7, also sent upstream to tie bill to receipt.
    AttemptId,
    "attempt id",
    is_visible_ascii,
    VISIBLE_RULE,
    "^[!-~]{1,128}$"
);
name!(
    /// Who in the run asked: a label people read.
    AgentName,
    "agent name",
    is_label,
    LABEL_RULE,
    "^.{1,128}$"
);
name!(
    /// One registered way to reach one model.
    ProviderName,
    "provider name",
    is_provider_name,
    PROVIDER_NAME_RULE,
    "^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"
);
name!(
    /// A model as callers ask for it.
    ModelName,
    "model name",
    is_visible_ascii,
    VISIBLE_RULE,
    "^[!-~]{1,128}$"
);
name!(
    /// The version of a price card: receipts say with which one they were priced.
    PriceId,
    "price id",
    is_visible_ascii,
    VISIBLE_RULE,
    "^[!-~]{1,128}$"
);

impl RunId {
    /// The text with ASCII letters folded: two runs may not differ by case alone, because their
    /// receipt files could not on every file system.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// A plain file name: no path, no device, no hidden file, nothing that our suffix could double.
fn is_run_id(text: &str) -> bool {
    let folded = text.to_ascii_lowercase();
    let stem = folded.split('.').next().unwrap_or_default();
    starts_alphanumeric(text, |byte| matches!(byte, b'.' | b'_' | b'-'))
        && !text.contains("..")
        && !text.ends_with('.')
        && !folded.ends_with(".jsonl")
        && !DEVICES.contains(&stem)
}

fn is_provider_name(text: &str) -> bool {
    starts_alphanumeric(text, |byte| matches!(byte, b'.' | b'_' | b':' | b'@' | b'-'))
}

fn is_visible_ascii(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_LENGTH_MAX && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Any script, but nothing that moves a cursor or hides what follows.
fn is_label(text: &str) -> bool {
    !text.trim().is_empty()
        && text.len() <= NAME_LENGTH_MAX
        && !text.chars().any(|c| c.is_control() || is_format_control(c))
}

fn starts_alphanumeric(text: &str, and_also: fn(u8) -> bool) -> bool {
    let mut bytes = text.bytes();
    text.len() <= NAME_LENGTH_MAX
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || and_also(byte))
}

/// Bidirectional overrides, separators and invisible marks that could forge a line or a name.
fn is_format_control(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

/// Longest name of any kind, in bytes: with `.jsonl` it stays below every file system's 255.
pub const NAME_LENGTH_MAX: usize = 128;

const RUN_ID_RULE: &str = "it wants a letter or digit, then at most 127 of letters, digits, `.`, `_`, `-`; \
     no `..`, no final `.`, no `.jsonl`, no device name";
const PROVIDER_NAME_RULE: &str =
    "it wants a letter or digit, then at most 127 of letters, digits, `.`, `_`, `:`, `@`, `-`";
const VISIBLE_RULE: &str = "it wants 1 to 128 visible ASCII characters without spaces";
const LABEL_RULE: &str = "it wants 1 to 128 bytes without control characters";

/// Names that Windows opens as devices whatever the directory: a copied artifact must not be one.
const DEVICES: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8",
    "com9", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_run_ids_pass() {
        for text in ["my-run", "R-001", "a", "9", "a.b_c-d", "jsonl", "console"] {
            assert!(text.parse::<RunId>().is_ok(), "{text}");
        }
        assert!("a".repeat(128).parse::<RunId>().is_ok());
    }

    #[test]
    fn run_ids_that_could_touch_another_file_are_refused() {
        let rows = [
            "",
            "../x",
            "%2e%2e/",
            "/etc/passwd",
            "a\\b",
            ".hidden",
            "-rf",
            "a\0b",
            "a\nb",
            "a\u{202e}b",
            "．．",
            "CON",
            "con.txt",
            "trailing.",
            "x.jsonl",
            "x.JSONL",
            "a..b",
            "a b",
        ];
        for text in rows {
            assert!(text.parse::<RunId>().is_err(), "{text:?}");
        }
        assert!("a".repeat(129).parse::<RunId>().is_err());
    }

    #[test]
    fn an_error_shows_the_text_escaped_and_short() {
        let error = format!("{}\u{1b}[31m", "x".repeat(300)).parse::<RunId>().unwrap_err();
        assert!(error.shown.len() <= 40);
        assert!("\u{1b}[31m".parse::<RunId>().unwrap_err().to_string().contains("\\u{1b}"));
    }

    #[test]
    fn labels_take_any_script_but_no_controls() {
        assert!("Worker-CPE-5".parse::<AgentName>().is_ok());
        assert!("Prüfer 工人".parse::<AgentName>().is_ok());
        for text in ["", "  ", "a\u{202e}b", "a\u{2028}b", "a\rb", "\u{1b}[2J"] {
            assert!(text.parse::<AgentName>().is_err(), "{text:?}");
        }
    }
}
