//! The command `tollgate`: its arguments, and who is called with them.
#![expect(clippy::print_stdout, reason = "printing is what these commands are for")]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
#[cfg(not(feature = "embedded"))]
use tollgate_tui::console;
use tollgate_tui::console::{ConsoleOptions, FPS_DEFAULT};
use tollgate_tui::model::Screen;
use tollgate_tui::shot::{self, ShotOptions};
use tollgate_tui::theme::{Depth, ThemeChoice};

/// How fast money is leaving, who spends it, when it runs out, and what is broken.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Option<Verb>,
}

/// What to do instead of opening the console.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Prints a picture of a screen.
    Shot(ShotArgs),
    /// Backend, three simulated providers, a small synthetic swarm, and the console on top.
    #[cfg(feature = "embedded")]
    Demo(tollgate_tui::embedded::DemoArgs),
    /// Prints the key map.
    Keys {
        /// As a Markdown table.
        #[arg(long)]
        md: bool,
    },
}

/// Where the backend is and how the console looks; the same for every verb.
#[derive(Debug, Args)]
struct Connection {
    /// The gateway.
    #[arg(long, global = true, env = "TOLLGATE_GATEWAY", default_value = "http://127.0.0.1:6120")]
    gateway: String,
    /// The provider router.
    #[arg(long, global = true, env = "TOLLGATE_ROUTER", default_value = "http://127.0.0.1:6103")]
    router: String,
    /// The event stream.
    #[arg(
        long,
        global = true,
        env = "TOLLGATE_EVENTS",
        default_value = "ws://127.0.0.1:6102/events"
    )]
    events: String,
    /// The environment variable that holds the key, where the backend wants one.
    #[arg(long, global = true, value_name = "NAME")]
    key_env: Option<String>,
    /// Change nothing.
    #[arg(long, global = true)]
    read_only: bool,
    /// The palette; NO_COLOR is honoured.
    #[arg(long, global = true, value_enum, default_value = "auto")]
    theme: ThemeArg,
    /// Most frames a second after data.
    #[arg(long, global = true, default_value_t = FPS_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=30))]
    fps: u32,
    /// A word for the header.
    #[arg(long, global = true, default_value = "local")]
    profile: String,
}

/// The palettes by their names on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ThemeArg {
    Auto,
    Dark,
    Light,
    Mono,
}

/// What the picture shows, and in which form.
#[derive(Debug, Args)]
struct ShotArgs {
    /// The screen.
    #[arg(long, default_value = "dashboard")]
    screen: String,
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

/// Parses, then hands over; nothing is decided here.
fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Verb::Keys { md }) => {
            print!("{}", tollgate_tui::keys::KeyMap::default().print(md));
            Ok(())
        }
        Some(Verb::Shot(args)) => {
            // A picture has every colour, whatever terminal asked for it.
            let mut options = options(cli.connection)?;
            if options.depth != Depth::None {
                options.depth = Depth::True;
            }
            runtime()?.block_on(take_shot(args, options))
        }
        #[cfg(feature = "embedded")]
        Some(Verb::Demo(args)) => {
            let options = options(cli.connection)?;
            backend_runtime()?.block_on(tollgate_tui::embedded::demo(args, options))
        }
        #[cfg(feature = "embedded")]
        None => backend_runtime()?.block_on(tollgate_tui::embedded::open(options(cli.connection)?)),
        #[cfg(not(feature = "embedded"))]
        None => runtime()?.block_on(console::run(options(cli.connection)?)),
    }
}

/// A backend in this process wants every core.
#[cfg(feature = "embedded")]
fn backend_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// One thread is enough for a window; an embedded backend brings its own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Takes the picture and prints or writes it.
async fn take_shot(args: ShotArgs, console: ConsoleOptions) -> anyhow::Result<()> {
    let wanted = args.screen.to_lowercase();
    let screen = Screen::ALL
        .into_iter()
        .find(|screen| screen.name().0.to_lowercase() == wanted)
        .with_context(|| format!("there is no screen `{wanted}`"))?;
    let wait = Duration::from_secs(args.wait);
    let shot = shot::take(ShotOptions { console, screen, size: args.size, wait, keys: args.keys });
    let shot = shot.await?;
    match (args.png, args.svg) {
        (Some(path), _) => shot.png(&path)?,
        (None, true) => print!("{}", shot.svg()),
        (None, false) => print!("{}", shot.text()),
    }
    Ok(())
}

/// Arguments and environment become the console's options; a key is read from the variable that
/// was named and goes nowhere else.
fn options(connection: Connection) -> anyhow::Result<ConsoleOptions> {
    let variable = |name: &str| std::env::var(name).ok();
    let key = match &connection.key_env {
        Some(name) => Some(variable(name).with_context(|| format!("`{name}` is not set"))?),
        None => None,
    };
    let theme = match connection.theme {
        ThemeArg::Auto => background(variable("COLORFGBG").as_deref()),
        ThemeArg::Dark => ThemeChoice::Dark,
        ThemeArg::Light => ThemeChoice::Light,
        ThemeArg::Mono => ThemeChoice::Mono,
    };
    Ok(ConsoleOptions {
        gateway: connection.gateway,
        router: connection.router,
        events: connection.events,
        key,
        read_only: connection.read_only,
        theme,
        depth: Depth::of(variable),
        fps: connection.fps,
        profile: connection.profile,
    })
}

/// Terminals that set `COLORFGBG` end it with the number of their ground: 7 and 15 are light.
fn background(colorfgbg: Option<&str>) -> ThemeChoice {
    match colorfgbg.and_then(|value| value.rsplit(';').next()) {
        Some("7" | "15") => ThemeChoice::Light,
        _ => ThemeChoice::Auto,
    }
}

/// `120x40`, bounded so that a slip of the finger does not draw a gigabyte.
fn size(text: &str) -> Result<(u16, u16), String> {
    let read = text.split_once(['x', '×']).and_then(|(width, height)| {
        let (width, height) = (width.parse::<u16>().ok()?, height.parse::<u16>().ok()?);
        ((1..=400).contains(&width) && (1..=200).contains(&height)).then_some((width, height))
    });
    read.ok_or_else(|| "a size such as 120x40, at most 400x200".into())
}
