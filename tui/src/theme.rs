//! Colours by role, computed to be told apart by every eye.
//!
//! Red and green are never the difference: severities run blue, yellow, orange, magenta. The test
//! below holds the rule: any two severities are at least 12 apart (OKLab × 100) for normal,
//! protan, deutan and tritan sight, and every text has contrast 4.5 on every ground it can stand
//! on. Without colour a severity is still a word and a shape. Refuses to know what is drawn.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

mod depth;
mod glyphs;
mod ground;

pub use depth::Depth;
pub use glyphs::Glyphs;
pub use ground::ground;

/// How bad something is; the same four everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// As it should be.
    Ok,
    /// From 75 %, half-open.
    Caution,
    /// From 90 %.
    Warning,
    /// From 100 %, open.
    Critical,
}

/// Which palette was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ThemeChoice {
    /// By the terminal's background, where it says so; else dark.
    #[default]
    Auto,
    /// For dark grounds.
    Dark,
    /// For light grounds.
    Light,
    /// No colour at all: underline, bold and reverse.
    Mono,
    /// The palette of a file.
    Own,
}

/// What each role looks like, at a depth of colours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    choice: ThemeChoice,
    depth: Depth,
    glyphs: Glyphs,
    palette: Palette,
}

/// The colours of one palette.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Behind everything.
    pub ground: Color,
    /// Ok, caution, warning, critical.
    pub severities: [Color; 4],
    /// Plain text.
    pub text: Color,
    /// Labels, units, borders.
    pub dim: Color,
    /// Keys and focus.
    pub key: Color,
    /// Behind the selected row.
    pub selected: Color,
    /// Behind the alert row.
    pub alert: Color,
    /// Behind what is typed into.
    pub field: Color,
    /// Series by rank of share; the last for all others.
    pub series: [Color; SERIES],
}

impl Palette {
    /// For eyes and screens that need more: white and full colours on black.
    pub const HIGH_CONTRAST: Self = HIGH_CONTRAST;

    /// The colours of a choice; those of a file are its own, and dark until they are known.
    pub const fn of(choice: ThemeChoice) -> Self {
        match choice {
            ThemeChoice::Auto | ThemeChoice::Dark | ThemeChoice::Own => DARK,
            ThemeChoice::Light => LIGHT,
            ThemeChoice::Mono => MONO,
        }
    }

    /// Why it cannot be used; none when every severity and text can be told from the others.
    pub fn fault(&self) -> Option<String> {
        // Without colour at all, shapes and modifiers tell them apart.
        if self.severities.iter().all(|color| *color == Color::Reset) {
            return None;
        }
        let names = ["ok", "caution", "warning", "critical"];
        for (place, (one, color)) in names.iter().zip(self.severities).enumerate() {
            let mut after = names.iter().zip(self.severities).skip(place + 1);
            if let Some((other, _)) = after.find(|(_, known)| *known == color) {
                return Some(format!("{one} and {other} look the same"));
            }
        }
        let texts = names.into_iter().zip(self.severities);
        let texts = texts.chain([("text", self.text), ("dim", self.dim), ("key", self.key)]);
        let grounds = [self.ground, self.selected, self.alert, self.field];
        let mut lost = texts.filter(|(_, color)| grounds.contains(color));
        lost.next().map(|(name, _)| format!("{name} looks like its ground"))
    }
}

impl Theme {
    /// The palette of a choice, at a colour depth. Without colour every choice is mono.
    pub fn new(choice: ThemeChoice, depth: Depth) -> Self {
        let choice = match (choice, depth) {
            (_, Depth::None) => ThemeChoice::Mono,
            (ThemeChoice::Auto, _) => ThemeChoice::Dark,
            (choice, _) => choice,
        };
        let palette = match (choice, depth) {
            (ThemeChoice::Mono, _) => MONO,
            (_, Depth::Sixteen) => SIXTEEN,
            (choice, _) => Palette::of(choice),
        };
        Self { choice, depth, glyphs: Glyphs::Unicode, palette }
    }

    /// The same with another set of characters.
    #[must_use]
    pub fn with(self, glyphs: Glyphs) -> Self {
        Self { glyphs, ..self }
    }

    /// The palette of a file; where the terminal cannot show its colours, as [`Self::new`].
    pub fn own(palette: Palette, depth: Depth) -> Self {
        let theme = Self::new(ThemeChoice::Own, depth);
        match depth {
            Depth::None | Depth::Sixteen => theme,
            _ => Self { palette, ..theme },
        }
    }

    /// The next palette, for the key that changes it.
    pub fn next(choice: ThemeChoice) -> ThemeChoice {
        match choice {
            ThemeChoice::Auto | ThemeChoice::Dark => ThemeChoice::Light,
            ThemeChoice::Light => ThemeChoice::Mono,
            ThemeChoice::Mono | ThemeChoice::Own => ThemeChoice::Dark,
        }
    }

    /// Whether severities must do without colour.
    pub fn is_mono(&self) -> bool {
        self.choice == ThemeChoice::Mono
    }

    /// Plain text, on whatever ground it is put.
    pub fn text(&self) -> Style {
        Style::new().fg(self.palette.text)
    }

    /// Text that should be found first.
    pub fn strong(&self) -> Style {
        Style::new().fg(self.palette.text).add_modifier(Modifier::BOLD)
    }

    /// What makes a coloured word strong as well.
    pub fn strong_modifier(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Labels, units, borders.
    pub fn dim(&self) -> Style {
        Style::new().fg(self.palette.dim)
    }

    /// Keys and the border of the pane that has the focus.
    pub fn key(&self) -> Style {
        let style = Style::new().fg(self.palette.key);
        if self.is_mono() { style.add_modifier(Modifier::BOLD) } else { style }
    }

    /// A severity.
    pub fn tone(&self, tone: Tone) -> Style {
        let color = match tone {
            Tone::Ok => self.palette.severities[0],
            Tone::Caution => self.palette.severities[1],
            Tone::Warning => self.palette.severities[2],
            Tone::Critical => self.palette.severities[3],
        };
        let style = Style::new().fg(color);
        match (tone, self.is_mono(), self.depth) {
            (Tone::Caution, true, _) => style.add_modifier(Modifier::UNDERLINED),
            (Tone::Warning, true, _) => style.add_modifier(Modifier::BOLD),
            (Tone::Critical, true, _) => style.add_modifier(Modifier::REVERSED),
            (Tone::Warning | Tone::Critical, _, Depth::Sixteen) => {
                style.add_modifier(Modifier::BOLD)
            }
            _ => style,
        }
    }

    /// The ground of the selected row.
    pub fn selected(&self) -> Style {
        Style::new().bg(self.palette.selected)
    }

    /// The ground of the alert row.
    pub fn alert(&self) -> Style {
        Style::new().bg(self.palette.alert)
    }

    /// The ground of a field that is typed into.
    pub fn field(&self) -> Style {
        Style::new().bg(self.palette.field)
    }

    /// The tab of the present screen.
    pub fn tab(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The series of this rank, by share; the last stands for all others.
    pub fn series(&self, rank: usize) -> Color {
        self.palette.series[rank.min(SERIES - 1)]
    }

    /// The ground of everything.
    pub fn ground(&self) -> Color {
        self.palette.ground
    }

    /// Turns the palette's colours and glyphs into those that the terminal has.
    pub fn adapt(&self, buffer: &mut Buffer) {
        if self.depth == Depth::Indexed {
            for cell in &mut buffer.content {
                cell.fg = depth::nearest(cell.fg);
                cell.bg = depth::nearest(cell.bg);
            }
        }
        if self.glyphs != Glyphs::Unicode {
            for cell in &mut buffer.content {
                if let Some(plain) = self.glyphs.instead(cell.symbol()) {
                    cell.set_symbol(plain);
                }
            }
        }
    }
}

/// How many series a chart tells apart; the last is "other".
pub const SERIES: usize = 6;

/// A colour as palettes are written.
const fn rgb(hex: u32) -> Color {
    let [_, red, green, blue] = hex.to_be_bytes();
    Color::Rgb(red, green, blue)
}

/// Okabe and Ito's colours without the two that severities are near to, and a grey for "other".
const SERIES_DARK: [Color; SERIES] =
    [rgb(0x56B4E9), rgb(0xE69F00), rgb(0x009E73), rgb(0xCC79A7), rgb(0xF0E442), rgb(0x9AA5B1)];

const DARK: Palette = Palette {
    ground: rgb(0x0B0E14),
    severities: [rgb(0x3A9BDC), rgb(0xF9E76E), rgb(0xFF9A3C), rgb(0xF0307A)],
    text: rgb(0xD7DEE8),
    dim: rgb(0x7C8796),
    key: rgb(0x8FC7FF),
    selected: rgb(0x131A24),
    alert: rgb(0x22101A),
    field: rgb(0x131A24),
    series: SERIES_DARK,
};

const LIGHT: Palette = Palette {
    ground: rgb(0xFFFFFF),
    severities: [rgb(0x001A5C), rgb(0x706100), rgb(0x5C1C00), rgb(0xC20091)],
    text: rgb(0x1B1F24),
    dim: rgb(0x5B6470),
    key: rgb(0x0B5CAD),
    selected: rgb(0xE8EEF7),
    alert: rgb(0xFBEAF4),
    field: rgb(0xE8EEF7),
    series: [
        rgb(0x0072B2),
        rgb(0xE69F00),
        rgb(0x009E73),
        rgb(0xCC79A7),
        rgb(0xB8A800),
        rgb(0x9AA5B1),
    ],
};

const HIGH_CONTRAST: Palette = Palette {
    ground: rgb(0x000000),
    severities: [rgb(0x4DB2FF), rgb(0xFFF68A), rgb(0xFF9A3C), rgb(0xFF3D8B)],
    text: rgb(0xFFFFFF),
    dim: rgb(0xB8C2CC),
    key: rgb(0x9FD4FF),
    selected: rgb(0x1C2733),
    alert: rgb(0x330F20),
    field: rgb(0x1C2733),
    series: SERIES_DARK,
};

const SIXTEEN: Palette = Palette {
    ground: Color::Reset,
    severities: [Color::Blue, Color::Yellow, Color::Yellow, Color::Magenta],
    text: Color::Reset,
    dim: Color::Gray,
    key: Color::Cyan,
    selected: Color::Reset,
    alert: Color::Reset,
    field: Color::Reset,
    series: [
        Color::Blue,
        Color::Yellow,
        Color::Green,
        Color::Magenta,
        Color::Cyan,
        Color::DarkGray,
    ],
};

const MONO: Palette = Palette {
    ground: Color::Reset,
    severities: [Color::Reset; 4],
    text: Color::Reset,
    dim: Color::Reset,
    key: Color::Reset,
    selected: Color::Reset,
    alert: Color::Reset,
    field: Color::Reset,
    series: [Color::Reset; SERIES],
};

#[cfg(test)]
mod tests;
