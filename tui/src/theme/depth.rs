//! How many colours a terminal has, and the nearest one where it has few.
//!
//! Read from the environment, because asking the terminal costs a round trip that may never
//! answer. Refuses to know roles.

use ratatui::style::Color;

/// How many colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Depth {
    /// Every one.
    #[default]
    True,
    /// The cube of 6 × 6 × 6 and its greys.
    Indexed,
    /// The sixteen that the user chose.
    Sixteen,
    /// None, or none wanted.
    None,
}

impl Depth {
    /// What `NO_COLOR`, `COLORTERM` and `TERM` say, as looked up by `variable`.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        // An empty NO_COLOR means nothing, by its own standard (https://no-color.org).
        if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            return Self::None;
        }
        let term = variable("TERM").unwrap_or_default();
        let many = variable("COLORTERM").unwrap_or_default();
        if many.contains("truecolor") || many.contains("24bit") {
            return Self::True;
        }
        let modern = ["tmux", "kitty", "alacritty", "wezterm", "ghostty", "foot", "direct"];
        if modern.iter().any(|name| term.contains(name)) {
            return Self::True;
        }
        match term.as_str() {
            "" | "dumb" => Self::None,
            term if term.contains("256color") => Self::Indexed,
            _ => Self::Sixteen,
        }
    }
}

/// The cube's colour nearest to a computed one; others stay as they are.
pub fn nearest(color: Color) -> Color {
    let Color::Rgb(red, green, blue) = color else { return color };
    let index = |part: u8| {
        let near = LEVELS.iter().enumerate().min_by_key(|(_, level)| level.abs_diff(part));
        near.map_or(0, |(index, _)| index)
    };
    let cube = [red, green, blue].map(index);
    let grey_step = (u32::from(red) + u32::from(green) + u32::from(blue)).saturating_sub(24) / 30;
    let grey_step = u8::try_from(grey_step.min(23)).unwrap_or(23);
    let grey = 8 + 10 * grey_step;
    let off = |seen: [u8; 3]| -> u32 {
        [red, green, blue]
            .iter()
            .zip(seen)
            .map(|(part, seen)| u32::from(part.abs_diff(seen)).pow(2))
            .sum()
    };
    if off([grey; 3]) < off(cube.map(|index| LEVELS[index])) {
        return Color::Indexed(232 + grey_step);
    }
    let place = cube.iter().fold(0, |place, index| place * 6 + index);
    Color::Indexed(16 + u8::try_from(place).unwrap_or(0))
}

/// The six levels of each part of the cube.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_how_many_colours_there_are() {
        let rows = [
            (&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")][..], Depth::None),
            (&[("NO_COLOR", ""), ("COLORTERM", "truecolor")], Depth::True),
            (&[("TERM", "xterm-256color")], Depth::Indexed),
            (&[("TERM", "tmux-256color")], Depth::True),
            (&[("TERM", "linux")], Depth::Sixteen),
            (&[("TERM", "dumb")], Depth::None),
        ];
        for (variables, depth) in rows {
            let look = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned())
            };
            assert_eq!(Depth::of(look), depth, "{variables:?}");
        }
    }

    #[test]
    fn the_nearest_colour_is_near() {
        assert_eq!(nearest(Color::Rgb(255, 0, 0)), Color::Indexed(196));
        assert_eq!(nearest(Color::Rgb(8, 8, 8)), Color::Indexed(232));
        assert_eq!(nearest(Color::Reset), Color::Reset);
    }
}
