//! `tollgate shot`: a picture of a screen, printed or written. Refuses to know how it is drawn.

use std::path::PathBuf;
use std::time::Duration;

use super::Failure;
use super::outcome::{Done, print};
use crate::console::ConsoleOptions;
use crate::model::Screen;
use crate::shot::{self, ShotOptions};
use crate::theme::Depth;

/// What the picture shows, and in which form.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The screen.
    #[arg(long, default_value = "dashboard", value_parser = screen)]
    screen: Screen,
    /// Columns and rows.
    #[arg(long, default_value = "120x40", value_parser = size)]
    size: (u16, u16),
    /// As SVG.
    #[arg(long, conflicts_with = "text")]
    svg: bool,
    /// As text; the default.
    #[arg(long)]
    text: bool,
    /// As a PNG, where rsvg-convert is installed.
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// Seconds to collect before it is taken.
    #[arg(long, default_value_t = 0)]
    wait: u64,
    /// Keys to press before it is taken, such as `b` or `Tab`.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
}

/// Takes the picture and prints or writes it.
pub async fn run(args: Args, mut console: ConsoleOptions) -> Done {
    // A picture has every colour, whatever terminal asked for it.
    if console.depth != Depth::None {
        console.depth = Depth::True;
    }
    let wait = Duration::from_secs(args.wait);
    let Args { screen, size, keys, .. } = args;
    let shot = shot::take(ShotOptions { console, screen, size, wait, keys });
    let shot = shot.await.map_err(|error| Failure::Silent(format!("{error:#}")))?;
    match (args.png, args.svg) {
        (Some(path), _) => Ok(shot.png(&path)?),
        (None, true) => print(&shot.svg()),
        (None, false) => print(&shot.text()),
    }
}

/// A screen by its name.
pub fn screen(text: &str) -> Result<Screen, String> {
    let wanted = text.to_lowercase();
    let names = || Screen::ALL.into_iter().map(|screen| screen.name().0.to_lowercase());
    let found = Screen::ALL.into_iter().zip(names()).find(|(_, name)| *name == wanted);
    let known = || format!("one of {}", names().collect::<Vec<_>>().join(", "));
    found.map(|(screen, _)| screen).ok_or_else(known)
}

/// `120x40`, bounded so that a slip of the finger does not draw a gigabyte.
fn size(text: &str) -> Result<(u16, u16), String> {
    let read = text.split_once(['x', '×']).and_then(|(width, height)| {
        let (width, height) = (width.parse::<u16>().ok()?, height.parse::<u16>().ok()?);
        ((1..=400).contains(&width) && (1..=200).contains(&height)).then_some((width, height))
    });
    read.ok_or_else(|| "a size such as 120x40, at most 400x200".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screens_and_sizes_are_read_or_explained() {
        assert_eq!(screen("Runs"), Ok(Screen::Runs));
        assert!(screen("desk").unwrap_err().contains("dashboard, runs"));
        assert_eq!(size("80x24"), Ok((80, 24)));
        assert!(size("9000x1").is_err() && size("80").is_err());
    }
}
