//! `themes/*.toml`: palettes, each laid over another.
//!
//! ```toml
//! inherits = "dark"           # dark, light, mono, high-contrast, or a file beside this one
//! ground = "#101418"
//! ok = "#3A9BDC"              # caution, warning, critical; text, dim, key; selected, alert, field
//! series = ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#9AA5B1"]
//! ```
//!
//! A palette in which a severity looks like another, or a text like its ground, is refused: what
//! it hides is money. Refuses to know what is drawn.

use std::path::Path;

use ratatui::style::Color;
use serde::Deserialize;
use toml::Spanned;

use super::{FileError, at, text, unreadable, whole};
use crate::theme::{Palette, SERIES, ThemeChoice};

/// A theme as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    inherits: Option<Spanned<String>>,
    ground: Option<Spanned<String>>,
    ok: Option<Spanned<String>>,
    caution: Option<Spanned<String>>,
    warning: Option<Spanned<String>>,
    critical: Option<Spanned<String>>,
    text: Option<Spanned<String>>,
    dim: Option<Spanned<String>>,
    key: Option<Spanned<String>>,
    selected: Option<Spanned<String>>,
    alert: Option<Spanned<String>>,
    field: Option<Spanned<String>>,
    series: Option<Spanned<Vec<Spanned<String>>>>,
}

/// Every palette of the folder, by the names of their files.
pub(super) fn load(folder: &Path) -> Result<Vec<(String, Palette)>, FileError> {
    let Ok(entries) = std::fs::read_dir(folder.join(FOLDER)) else { return Ok(Vec::new()) };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned()))
        .filter(|name| !name.starts_with('.'))
        .take(THEMES_MAX)
        .collect();
    names.sort_unstable();
    names.into_iter().map(|name| Ok((name.clone(), palette(folder, &name, 0)?))).collect()
}

/// The palette of one file, and of all that it is laid over.
fn palette(folder: &Path, name: &str, depth: usize) -> Result<Palette, FileError> {
    let file = format!("{FOLDER}/{name}.toml");
    let Some(text) = text(folder, &file)? else {
        return Err(whole(&file, "it is not there".into()));
    };
    let raw: Raw = toml::from_str(&text).map_err(|error| unreadable(&file, &text, &error))?;
    let wrong = |span, why: String| at(&file, &text, Some(span), why);
    let mut palette = match &raw.inherits {
        None => Palette::of(ThemeChoice::Dark),
        Some(base) => match built_in(base.get_ref()) {
            Some(palette) => palette,
            // A file that bears its own base's name means the built-in one, handled above.
            None if depth == DEPTH_MAX => {
                return Err(wrong(
                    base.span(),
                    "too many themes on each other, or a circle".into(),
                ));
            }
            None if !folder.join(FOLDER).join(format!("{}.toml", base.get_ref())).is_file() => {
                return Err(wrong(base.span(), format!("no theme `{}`", base.get_ref())));
            }
            None => self::palette(folder, base.get_ref(), depth + 1)?,
        },
    };
    let [ok, caution, warning, critical] = &mut palette.severities;
    let roles = [
        (&raw.ground, &mut palette.ground),
        (&raw.ok, ok),
        (&raw.caution, caution),
        (&raw.warning, warning),
        (&raw.critical, critical),
        (&raw.text, &mut palette.text),
        (&raw.dim, &mut palette.dim),
        (&raw.key, &mut palette.key),
        (&raw.selected, &mut palette.selected),
        (&raw.alert, &mut palette.alert),
        (&raw.field, &mut palette.field),
    ];
    for (said, role) in roles {
        if let Some(said) = said {
            *role = color(said.get_ref()).map_err(|why| wrong(said.span(), why))?;
        }
    }
    if let Some(series) = &raw.series {
        if series.get_ref().len() != SERIES {
            return Err(wrong(series.span(), format!("{SERIES} colours, the last for all others")));
        }
        for (role, said) in palette.series.iter_mut().zip(series.get_ref()) {
            *role = color(said.get_ref()).map_err(|why| wrong(said.span(), why))?;
        }
    }
    match palette.fault() {
        Some(fault) => Err(whole(&file, fault)),
        None => Ok(palette),
    }
}

/// A palette that needs no file.
fn built_in(name: &str) -> Option<Palette> {
    Some(match name {
        "dark" | "auto" => Palette::of(ThemeChoice::Dark),
        "light" => Palette::of(ThemeChoice::Light),
        "mono" => Palette::of(ThemeChoice::Mono),
        "high-contrast" => Palette::HIGH_CONTRAST,
        _ => return None,
    })
}

/// Reads `#3A9BDC`.
fn color(text: &str) -> Result<Color, String> {
    let wrong = || format!("`{text}` is no colour such as \"#3A9BDC\"");
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or_else(wrong)?;
    let hex = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
    let [_, red, green, blue] = hex.to_be_bytes();
    Ok(Color::Rgb(red, green, blue))
}

/// Names that need no file.
pub(super) const BUILT_IN: [&str; 5] = ["auto", "dark", "light", "mono", "high-contrast"];

const FOLDER: &str = "themes";

/// Most files that are read; more would be a mistake.
const THEMES_MAX: usize = 200;

/// Most themes laid on each other.
const DEPTH_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn themes(files: &[(&str, &str)]) -> Result<Vec<(String, Palette)>, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(FOLDER)).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(FOLDER).join(name), text).unwrap();
        }
        load(dir.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_theme_changes_what_it_names_of_what_it_inherits() {
        let found = themes(&[
            ("base.toml", "inherits = \"light\"\nok = \"#112233\"\n"),
            ("night.toml", "inherits = \"base\"\nground = \"#fffffe\"\n"),
            ("note.txt", "not a theme"),
        ])
        .unwrap();
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["base", "night"]);
        let night = found[1].1;
        assert_eq!(
            (night.severities[0], night.ground),
            (Color::Rgb(0x11, 0x22, 0x33), Color::Rgb(0xff, 0xff, 0xfe))
        );
        assert_eq!(night.text, Palette::of(ThemeChoice::Light).text);
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_place() {
        let rows = [
            ("ok = \"red\"", "themes/a.toml:1:6: `red` is no colour"),
            ("ok = \"#12345\"", "themes/a.toml:1:6: "),
            ("\ngreen = \"#123456\"", "themes/a.toml:2:1: "),
            ("inherits = \"b\"", "themes/a.toml:1:12: no theme `b`"),
            ("inherits = \"a\"", "a circle"),
            ("series = [\"#123456\"]", "themes/a.toml:1:10: 6 colours"),
            ("warning = \"#F0307A\"", "themes/a.toml: warning and critical look the same"),
            ("text = \"#0B0E14\"", "themes/a.toml: text looks like its ground"),
        ];
        for (text, wanted) in rows {
            let error = themes(&[("a.toml", text)]).expect_err(text);
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
