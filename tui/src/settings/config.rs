//! `config.toml`: how the console looks, and where backends are.
//!
//! ```toml
//! theme = "auto"              # auto, dark, light, mono, high-contrast, or a file in themes/
//! glyphs = "blocks"           # unicode, blocks, ascii; without it as the locale says
//! fps = 4                     # most frames a second after data, 1 to 30
//! sync = true                 # synchronized output
//! hide_money = false
//! operator = "kim"            # who changes things, for the audit
//! status = "{burn}/m {runway} {alerts}"
//! default_profile = "prod"
//!
//! [profile.prod]
//! url = "https://gate.example:6120"     # or gateway, router and events apart
//! key_env = "TOLLGATE_KEY"              # the variable that holds the key, never the key
//! read_only = true
//! colour = "critical"                   # of the header's word: ok, caution, warning, critical
//! ```
//!
//! Refuses to know other files.

use std::collections::BTreeMap;

use reqwest::Url;
use serde::Deserialize;
use toml::Spanned;

use super::{Chosen, FileError, at, unreadable};
use crate::theme::{Glyphs, Tone};

/// What `config.toml` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The theme's name.
    pub theme: Option<String>,
    /// Which characters are drawn.
    pub glyphs: Option<Glyphs>,
    /// Most frames a second after data.
    pub fps: Option<u32>,
    /// Whether frames are bracketed by synchronized output.
    pub sync: bool,
    /// Whether amounts are hidden from the start.
    pub hide_money: bool,
    /// Who changes things.
    pub operator: Option<String>,
    /// The format of `tollgate status`.
    pub status: Option<String>,
    /// The profile without `--profile`.
    pub default_profile: Option<String>,
    /// Backends by name.
    pub profiles: BTreeMap<String, Profile>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            theme: None,
            glyphs: None,
            fps: None,
            sync: true,
            hide_money: false,
            operator: None,
            status: None,
            default_profile: None,
            profiles: BTreeMap::new(),
        }
    }
}

/// One backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    gateway: Option<String>,
    router: Option<String>,
    events: Option<String>,
    key_env: Option<String>,
    /// Whether nothing may be changed there.
    pub read_only: bool,
    /// The colour of its word in the header.
    pub colour: Option<Tone>,
}

/// Where a backend's services are, and which variable holds the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The gateway.
    pub gateway: String,
    /// The provider router.
    pub router: String,
    /// The event stream.
    pub events: String,
    /// The environment variable that holds the key.
    pub key_env: Option<String>,
}

impl Profile {
    /// Where its backend is; the command line outweighs the file, and both the usual ports.
    pub fn places(&self, chosen: &Chosen) -> Places {
        let place = |said: &Option<String>, own: &Option<String>, usual: &str| {
            said.as_ref().or(own.as_ref()).map_or_else(|| usual.to_owned(), Clone::clone)
        };
        Places {
            gateway: place(&chosen.gateway, &self.gateway, "http://127.0.0.1:6120"),
            router: place(&chosen.router, &self.router, "http://127.0.0.1:6103"),
            events: place(&chosen.events, &self.events, "ws://127.0.0.1:6102/events"),
            key_env: chosen.key_env.clone().or_else(|| self.key_env.clone()),
        }
    }
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    theme: Option<String>,
    glyphs: Option<Spanned<String>>,
    fps: Option<Spanned<i64>>,
    sync: Option<bool>,
    hide_money: Option<bool>,
    operator: Option<Spanned<String>>,
    status: Option<Spanned<String>>,
    default_profile: Option<Spanned<String>>,
    #[serde(default)]
    profile: BTreeMap<Spanned<String>, RawProfile>,
}

/// A profile as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    url: Option<Spanned<String>>,
    gateway: Option<Spanned<String>>,
    router: Option<Spanned<String>>,
    events: Option<Spanned<String>>,
    key_env: Option<Spanned<String>>,
    #[serde(default)]
    read_only: bool,
    colour: Option<Spanned<String>>,
}

/// Reads the file's text.
pub(super) fn read(text: &str) -> Result<Config, FileError> {
    let raw: RawConfig = toml::from_str(text).map_err(|error| unreadable(FILE, text, &error))?;
    let reader = Reader { text };
    let mut profiles = BTreeMap::new();
    for (name, profile) in &raw.profile {
        if !is_name(name.get_ref()) {
            return Err(reader.wrong(name, "a name has letters, digits, `.`, `_` and `-`"));
        }
        profiles.insert(name.get_ref().clone(), reader.profile(profile)?);
    }
    if let Some(name) = &raw.default_profile
        && !profiles.contains_key(name.get_ref())
        && name.get_ref() != super::LOCAL
    {
        return Err(reader.wrong(name, format!("no profile `{}` in this file", name.get_ref())));
    }
    let fps = match &raw.fps {
        None => None,
        Some(fps) => match u32::try_from(*fps.get_ref()) {
            Ok(rate @ 1..=30) => Some(rate),
            _ => return Err(reader.wrong(fps, "from 1 to 30 frames a second")),
        },
    };
    let glyphs = raw.glyphs.as_ref().map(|word| {
        Glyphs::read(word.get_ref())
            .ok_or_else(|| reader.wrong(word, "one of unicode, blocks, ascii"))
    });
    let operator = match raw.operator {
        Some(name) if !is_header(name.get_ref()) => {
            return Err(reader.wrong(&name, "a name of 1 to 100 plain letters"));
        }
        other => other.map(Spanned::into_inner),
    };
    if let Some(format) = &raw.status {
        super::words::check(format.get_ref(), &STATUS_WORDS)
            .map_err(|why| reader.wrong(format, why))?;
    }
    Ok(Config {
        theme: raw.theme,
        glyphs: glyphs.transpose()?,
        fps,
        sync: raw.sync.unwrap_or(true),
        hide_money: raw.hide_money.unwrap_or(false),
        operator,
        status: raw.status.map(Spanned::into_inner),
        default_profile: raw.default_profile.map(Spanned::into_inner),
        profiles,
    })
}

/// Judges values, and knows where they stand.
struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn wrong<T>(&self, value: &Spanned<T>, why: impl Into<String>) -> FileError {
        at(FILE, self.text, Some(value.span()), why)
    }

    fn profile(&self, raw: &RawProfile) -> Result<Profile, FileError> {
        let mut profile = Profile { read_only: raw.read_only, ..Profile::default() };
        if let Some(url) = &raw.url {
            let base = self.url(url, &["http", "https"])?;
            profile.gateway = Some(bare(&base));
            profile.router = beside(&base, |url| url.set_port(Some(ROUTER_PORT)).is_ok());
            // The gateway has the stream as well, so one open port is enough for looking.
            profile.events = beside(&base, |url| {
                let scheme = if base.scheme() == "https" { "wss" } else { "ws" };
                url.set_path("/events");
                url.set_scheme(scheme).is_ok()
            });
        }
        if let Some(url) = &raw.gateway {
            profile.gateway = Some(bare(&self.url(url, &["http", "https"])?));
        }
        if let Some(url) = &raw.router {
            profile.router = Some(bare(&self.url(url, &["http", "https"])?));
        }
        if let Some(url) = &raw.events {
            profile.events = Some(bare(&self.url(url, &["ws", "wss"])?));
        }
        if let Some(name) = &raw.key_env {
            let is_variable = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.get_ref().is_empty() || !name.get_ref().chars().all(is_variable) {
                return Err(self.wrong(name, "the name of a variable, never the key itself"));
            }
            profile.key_env = Some(name.get_ref().clone());
        }
        if let Some(word) = &raw.colour {
            profile.colour = Some(match word.get_ref().as_str() {
                "ok" => Tone::Ok,
                "caution" => Tone::Caution,
                "warning" => Tone::Warning,
                "critical" => Tone::Critical,
                _ => return Err(self.wrong(word, "one of ok, caution, warning, critical")),
            });
        }
        Ok(profile)
    }

    fn url(&self, value: &Spanned<String>, schemes: &[&str]) -> Result<Url, FileError> {
        let url =
            Url::parse(value.get_ref()).map_err(|error| self.wrong(value, error.to_string()))?;
        if !schemes.contains(&url.scheme()) {
            return Err(self.wrong(value, format!("it begins with {}://", schemes.join(":// or "))));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(self.wrong(value, "no names or keys in an address; key_env is for keys"));
        }
        Ok(url)
    }
}

/// An address without the slash at its end.
fn bare(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// The same host otherwise.
fn beside(base: &Url, change: impl FnOnce(&mut Url) -> bool) -> Option<String> {
    let mut url = base.clone();
    change(&mut url).then(|| bare(&url))
}

/// Whether a text can be a profile's name, and so a file's.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !text.is_empty() && text.len() <= 40 && !text.starts_with('.') && text.chars().all(plain)
}

/// Whether a text can travel in a header.
fn is_header(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

const FILE: &str = "config.toml";

/// Where the router is beside a gateway.
const ROUTER_PORT: u16 = 6103;

/// What `tollgate status` can say.
pub const STATUS_WORDS: [&str; 8] =
    ["burn", "change", "run", "runway", "alerts", "spent", "held", "profile"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_have_their_line_and_column() {
        let rows = [
            ("fps = 31", "1:7", "from 1 to 30"),
            ("fps = -1", "1:7", "from 1 to 30"),
            ("\nfps = \"fast\"", "2:7", "fast"),
            ("colour = \"red\"", "1:1", "colour"),
            ("glyphs = \"emoji\"", "1:10", "one of unicode"),
            ("theme = \"dark\"\ntheme = \"light\"", "2:1", "duplicate"),
            ("[profile.prod]\nurl = \"ftp://x\"", "2:7", "begins with http"),
            ("[profile.prod]\nurl = \"nonsense\"", "2:7", "relative URL"),
            ("[profile.prod]\nurl = \"http://me:secret@x\"", "2:7", "key_env"),
            ("[profile.prod]\nkey_env = \"sk-123\"", "2:11", "never the key"),
            ("[profile.prod]\ncolour = \"red\"", "2:10", "one of ok"),
            ("[profile.prod]\nreadonly = true", "2:1", "readonly"),
            ("[profile.\"a/b\"]\nread_only = true", "1:10", "a name has letters"),
            ("default_profile = \"x\"", "1:19", "no profile `x`"),
            ("status = \"{brun}\"", "1:10", "brun"),
            ("theme = ", "1:9", ""),
        ];
        for (text, place, why) in rows {
            let error = read(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("config.toml:{place}: ")), "{text}: {error}");
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn one_address_is_enough_and_each_can_be_told_apart() {
        let text = "[profile.a]\nurl = \"http://gate:6120/\"\n[profile.b]\n\
                    gateway = \"http://g:1\"\nevents = \"ws://e:2/events\"\n";
        let config = read(text).unwrap();
        let places = config.profiles["a"].places(&Chosen::default());
        assert_eq!(
            (places.gateway.as_str(), places.router.as_str(), places.events.as_str()),
            ("http://gate:6120", "http://gate:6103", "ws://gate:6120/events")
        );
        let places = config.profiles["b"].places(&Chosen::default());
        assert_eq!(
            (places.gateway.as_str(), places.router.as_str(), places.events.as_str()),
            ("http://g:1", "http://127.0.0.1:6103", "ws://e:2/events")
        );
    }
}
