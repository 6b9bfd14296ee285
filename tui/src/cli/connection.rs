//! Where the backend is and how the console looks: arguments, environment and files as one.
//!
//! ```text
//! argument  ─▶ environment ─▶ profile in config.toml ─▶ the usual ports of this machine
//! ```
//!
//! A file that cannot be read ends a command before it does anything: a profile that was skipped
//! would send a change to another backend. Refuses to know verbs.

use clap::Args;

use super::Failure;
use crate::client::operator;
use crate::console::ConsoleOptions;
use crate::settings::{Chosen, Files, Resolved};
use crate::theme::{Depth, Glyphs, ThemeChoice};

/// Where the backend is and how the console looks; the same for every verb.
#[derive(Clone, Debug, Args)]
pub struct Connection {
    /// A profile of config.toml.
    #[arg(long, global = true, env = "TOLLGATE_PROFILE", value_name = "NAME")]
    pub profile: Option<String>,
    /// The gateway [default: http://127.0.0.1:6120].
    #[arg(long, global = true, env = "TOLLGATE_GATEWAY", value_name = "URL")]
    pub gateway: Option<String>,
    /// The provider router [default: http://127.0.0.1:6103].
    #[arg(long, global = true, env = "TOLLGATE_ROUTER", value_name = "URL")]
    pub router: Option<String>,
    /// The event stream [default: ws://127.0.0.1:6102/events].
    #[arg(long, global = true, env = "TOLLGATE_EVENTS", value_name = "URL")]
    pub events: Option<String>,
    /// The environment variable that holds the key, where the backend wants one.
    #[arg(long, global = true, value_name = "NAME")]
    pub key_env: Option<String>,
    /// Change nothing.
    #[arg(long, global = true)]
    pub read_only: bool,
    /// auto, dark, light, mono, high-contrast, or a file in themes/; NO_COLOR is honoured.
    #[arg(long, global = true, value_name = "NAME")]
    pub theme: Option<String>,
    /// Most frames a second after data.
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..=30))]
    pub fps: Option<u32>,
}

impl Connection {
    /// Everything a console or a command needs; a key is read from the variable that was named and
    /// goes nowhere else.
    pub fn options(&self) -> Result<(ConsoleOptions, Resolved), Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        let files = Files::of(variable);
        let chosen = self.chosen(Glyphs::of(variable));
        let resolved = files.load().and_then(|loaded| loaded.resolve(&chosen));
        let resolved = resolved.map_err(|error| Failure::Usage(error.to_string()))?;
        let places = resolved.places.clone();
        let key = match &places.key_env {
            None => None,
            Some(name) => match variable(name) {
                Some(key) => Some(key),
                None => return Err(Failure::Usage(format!("the variable `{name}` is not set"))),
            },
        };
        let options = ConsoleOptions {
            gateway: places.gateway,
            router: places.router,
            events: places.events,
            key,
            depth: Depth::of(variable),
            settings: resolved.settings.clone(),
            operator: operator(resolved.operator.clone(), variable),
            files: Some((files, chosen)),
            replay: None,
        };
        Ok((options, resolved))
    }

    /// What was said on the command line.
    pub fn chosen(&self, glyphs: Glyphs) -> Chosen {
        Chosen {
            profile: self.profile.clone(),
            theme: self.theme.clone(),
            fps: self.fps,
            read_only: self.read_only,
            gateway: self.gateway.clone(),
            router: self.router.clone(),
            events: self.events.clone(),
            key_env: self.key_env.clone(),
            ground: ThemeChoice::Auto,
            glyphs,
        }
    }
}
