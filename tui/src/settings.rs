//! Configuration files: read strictly, taken whole, or not at all.
//!
//! ```text
//! $XDG_CONFIG_HOME/tollgate/config.toml      theme, fps, profiles
//!                           keys.toml        other keys for actions
//!                           themes/*.toml    palettes, each laid over another
//! $XDG_STATE_HOME/tollgate/<profile>.toml    sort, columns, last screen; written when leaving
//! ```
//!
//! A key that is not known or a value that cannot be used is an error with its line and column, and
//! what held before goes on. What was said on the command line outweighs every file. Refuses to
//! know sockets and screens: it makes values of texts.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::keys::KeyMap;
use crate::model::Settings;
use crate::theme::{Glyphs, Palette, ThemeChoice};

mod config;
mod keys;
mod state;
mod themes;
mod watch;
pub mod words;

pub use config::{Config, Places, Profile, STATUS_WORDS};
pub use state::{State, replace};
pub use watch::{News, watch};

/// Where the files are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The folder of the configuration; none where no home is known.
    pub config: Option<PathBuf>,
    /// The folder of the state.
    pub state: Option<PathBuf>,
    /// The folder of what can be thrown away.
    pub cache: Option<PathBuf>,
}

/// What was said on the command line; it outweighs the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// `--profile`.
    pub profile: Option<String>,
    /// `--theme`.
    pub theme: Option<String>,
    /// `--fps`.
    pub fps: Option<u32>,
    /// `--read-only`; a file cannot take it back.
    pub read_only: bool,
    /// `--gateway`.
    pub gateway: Option<String>,
    /// `--router`.
    pub router: Option<String>,
    /// `--events`.
    pub events: Option<String>,
    /// `--key-env`.
    pub key_env: Option<String>,
    /// What `auto` means here: the ground of the terminal, once it has answered.
    pub ground: ThemeChoice,
    /// Which characters the terminal can show, as its environment says.
    pub glyphs: Glyphs,
}

/// Everything that the files say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// `config.toml`.
    pub config: Config,
    /// `keys.toml`, laid over the usual keys.
    pub keys: KeyMap,
    /// The palettes of `themes/`, by name.
    pub themes: Vec<(String, Palette)>,
}

/// Files and command line as one.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Where the backend is.
    pub places: Places,
    /// How the console looks and what its keys do.
    pub settings: Settings,
    /// Who changes things, for the audit.
    pub operator: Option<String>,
    /// The format of `tollgate status`.
    pub status: Option<String>,
}

/// Why a file cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file, below the folder of the configuration.
    pub file: String,
    /// Line and column, from 1; none where the file could not be read at all.
    pub place: Option<(usize, usize)>,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.why),
            None => write!(f, "{}: {}", self.file, self.why),
        }
    }
}

impl Files {
    /// Where `XDG_CONFIG_HOME`, `XDG_STATE_HOME`, `XDG_CACHE_HOME` and `HOME` say, as looked up by
    /// `variable`. Relative paths count as unset, by the standard of those variables.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let home = |name: &str, usual: &str| {
            let set = variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
            let usual = || variable("HOME").map(|home| Path::new(&home).join(usual));
            Some(set.or_else(usual)?.join("tollgate"))
        };
        Self {
            config: home("XDG_CONFIG_HOME", ".config"),
            state: home("XDG_STATE_HOME", ".local/state"),
            cache: home("XDG_CACHE_HOME", ".cache"),
        }
    }

    /// Reads everything; a file that is not there says nothing.
    pub fn load(&self) -> Result<Loaded, FileError> {
        let Some(folder) = &self.config else { return Ok(Loaded::default()) };
        let config = match text(folder, "config.toml")? {
            Some(text) => config::read(&text)?,
            None => Config::default(),
        };
        let keys = match text(folder, "keys.toml")? {
            Some(text) => keys::read(&text)?,
            None => KeyMap::default(),
        };
        Ok(Loaded { config, keys, themes: themes::load(folder)? })
    }

    /// Every mistake that the files hold, one for each file, for `doctor`.
    pub fn mistakes(&self) -> Vec<FileError> {
        let Some(folder) = &self.config else { return Vec::new() };
        let read = |name, parse: &dyn Fn(&str) -> Result<(), FileError>| match text(folder, name) {
            Ok(Some(text)) => parse(&text).err(),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let config = read("config.toml", &|text| config::read(text).map(drop));
        let keys = read("keys.toml", &|text| keys::read(text).map(drop));
        config.into_iter().chain(keys).chain(themes::load(folder).err()).collect()
    }
}

impl Loaded {
    /// Files and command line as one.
    pub fn resolve(&self, chosen: &Chosen) -> Result<Resolved, FileError> {
        let config = &self.config;
        let name = chosen.profile.as_deref().or(config.default_profile.as_deref());
        let name = name.unwrap_or(LOCAL);
        let profile = match config.profiles.get(name) {
            Some(profile) => profile.clone(),
            None if name == LOCAL => Profile::default(),
            None => {
                let known: Vec<&str> = config.profiles.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                return Err(whole("config.toml", format!("no profile `{name}`; known: {known}")));
            }
        };
        let (theme, palette) = self.theme(chosen)?;
        let places = profile.places(chosen);
        let settings = Settings {
            read_only: chosen.read_only || profile.read_only,
            theme,
            palette,
            hide_money: config.hide_money,
            profile: name.to_owned(),
            gateway: places.gateway.clone(),
            router: places.router.clone(),
            glyphs: config.glyphs.unwrap_or(chosen.glyphs),
            tint: profile.colour,
            fps: chosen.fps.or(config.fps),
            sync: config.sync,
            keys: self.keys.clone(),
        };
        Ok(Resolved {
            places,
            settings,
            operator: config.operator.clone(),
            status: config.status.clone(),
        })
    }

    /// The palette that was asked for by its name.
    fn theme(&self, chosen: &Chosen) -> Result<(ThemeChoice, Option<Palette>), FileError> {
        let name = chosen.theme.as_deref().or(self.config.theme.as_deref()).unwrap_or("auto");
        // A file may bear the name of a built-in one, to change it a little.
        if let Some((_, palette)) = self.themes.iter().find(|(known, _)| known == name) {
            return Ok((ThemeChoice::Own, Some(*palette)));
        }
        Ok(match name {
            "auto" => (chosen.ground, None),
            "dark" => (ThemeChoice::Dark, None),
            "light" => (ThemeChoice::Light, None),
            "mono" => (ThemeChoice::Mono, None),
            "high-contrast" => (ThemeChoice::Own, Some(Palette::HIGH_CONTRAST)),
            _ => {
                let own = self.themes.iter().map(|(name, _)| format!(", {name}"));
                let own: String = own.collect();
                let known = format!("{}{own}", themes::BUILT_IN.join(", "));
                return Err(whole("config.toml", format!("no theme `{name}`; known: {known}")));
            }
        })
    }
}

/// The text of a file below the folder; none where it is not there.
fn text(folder: &Path, name: &str) -> Result<Option<String>, FileError> {
    match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(whole(name, error.to_string())),
    }
}

/// A mistake that has no place in its file.
fn whole(file: &str, why: String) -> FileError {
    FileError { file: file.to_owned(), place: None, why }
}

/// A mistake at some bytes of a file's text.
fn at(file: &str, text: &str, span: Option<Range<usize>>, why: impl Into<String>) -> FileError {
    let place = span.map(|span| {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    });
    FileError { file: file.to_owned(), place, why: why.into() }
}

/// What the reader of TOML did not like.
fn unreadable(file: &str, text: &str, error: &toml::de::Error) -> FileError {
    // Its message may go over lines; a toast has one.
    at(file, text, error.span(), error.message().replace('\n', "; "))
}

/// The profile that needs no file.
const LOCAL: &str = "local";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::Tone;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let config = Some(dir.path().to_owned());
        (dir, Files { config, ..Files::default() })
    }

    #[test]
    fn folders_follow_the_variables() {
        let rows = [
            (&[("HOME", "/h")][..], Some("/h/.config/tollgate")),
            (&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")], Some("/c/tollgate")),
            (&[("HOME", "/h"), ("XDG_CONFIG_HOME", "c")], Some("/h/.config/tollgate")),
            (&[], None),
        ];
        for (variables, folder) in rows {
            let look = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned())
            };
            assert_eq!(Files::of(look).config, folder.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn no_files_are_the_usual_settings() {
        let (_dir, files) = folder(&[]);
        let resolved = files.load().unwrap().resolve(&Chosen::default()).unwrap();
        assert_eq!(resolved.places.gateway, "http://127.0.0.1:6120");
        assert_eq!(resolved.settings.keys, KeyMap::default());
        assert_eq!(
            (resolved.settings.profile.as_str(), resolved.settings.read_only),
            ("local", false)
        );
    }

    #[test]
    fn a_profile_names_its_backend_and_the_command_line_outweighs_it() {
        let text = "theme = \"light\"\n[profile.prod]\nurl = \"https://gate.example\"\n\
                    read_only = true\ncolour = \"critical\"\n";
        let (_dir, files) = folder(&[("config.toml", text)]);
        let loaded = files.load().unwrap();
        let prod = Chosen { profile: Some("prod".into()), ..Chosen::default() };
        let resolved = loaded.resolve(&prod).unwrap();
        assert_eq!(resolved.places.events, "wss://gate.example/events");
        assert_eq!(resolved.places.router, "https://gate.example:6103");
        assert_eq!(resolved.settings.tint, Some(Tone::Critical));
        assert!(resolved.settings.read_only);
        let more =
            Chosen { gateway: Some("http://x:1".into()), theme: Some("mono".into()), ..prod };
        let resolved = loaded.resolve(&more).unwrap();
        assert_eq!(resolved.places.gateway, "http://x:1");
        assert_eq!(resolved.settings.theme, ThemeChoice::Mono);
        let unknown = Chosen { profile: Some("prdo".into()), ..Chosen::default() };
        let error = loaded.resolve(&unknown).unwrap_err().to_string();
        assert_eq!(error, "config.toml: no profile `prdo`; known: prod");
        let unknown = Chosen { theme: Some("night".into()), ..Chosen::default() };
        assert!(loaded.resolve(&unknown).unwrap_err().to_string().contains("no theme `night`"));
    }

    #[test]
    fn every_broken_file_is_named_with_its_place() {
        let (_dir, files) = folder(&[
            ("config.toml", "fps = 4\ncolor = 1\n"),
            ("keys.toml", "budget = \"q\"\n"),
            ("themes/night.toml", "ok = \"blue\"\n"),
        ]);
        assert!(files.load().is_err());
        let mistakes: Vec<String> = files.mistakes().iter().map(ToString::to_string).collect();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(mistakes[0].starts_with("config.toml:2:1: "), "{mistakes:?}");
        assert!(mistakes[1].starts_with("keys.toml:1:1: "), "{mistakes:?}");
        assert!(mistakes[2].starts_with("themes/night.toml:1:6: "), "{mistakes:?}");
    }
}
