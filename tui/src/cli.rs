//! The command line: arguments, and who is called with them.
//!
//! One file a verb. Each asks the backend by its wire, prints what it heard, and ends with a code
//! that scripts can rely on. Refuses to know what answers mean: that is in the verbs.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | refused, or failed |
//! | 2 | wrong arguments, or a configuration file that cannot be read |
//! | 3 | no answer |
//! | 4 | no such run, provider, alert or request |
//! | 5 | somebody else changed it meanwhile |
//! | 6 | the backend is older than this program |
//!
//! `once` has the codes that monitors expect, see [`once`].

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::console::ConsoleOptions;
use crate::replay::ReplayOptions;

mod alerts;
mod api;
mod budget;
mod circuit;
mod connection;
mod doctor;
mod explain;
mod gather;
mod once;
mod outcome;
mod pages;
mod plain;
mod providers;
mod receipts;
mod report;
mod runs;
mod shot;
mod status;
mod table;

pub use connection::Connection;
pub use outcome::Failure;

use api::Api;
use outcome::{Done, print};

/// How fast money is leaving, who spends it, when it runs out, and what is broken.
///
/// Without a verb it opens the console. Where there is no terminal, or a dumb one, it prints a
/// sentence for each change instead.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, after_long_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Option<Verb>,
}

/// What to do instead of opening the console.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Providers: list, show, add, remove.
    #[command(subcommand)]
    Providers(providers::Verb),
    /// Budgets: list, show, set, raise.
    #[command(subcommand)]
    Budget(budget::Verb),
    /// Lists the runs.
    Runs(runs::ListArgs),
    /// Pauses a run: its requests wait.
    Pause(runs::StateArgs),
    /// Lets a run that was paused, frozen or closed go on.
    Resume(runs::StateArgs),
    /// Closes a run: its requests are refused.
    Close(runs::StateArgs),
    /// Opens, half-opens or closes the circuit of a provider.
    Circuit(circuit::Args),
    /// Alerts: list, ack, snooze.
    #[command(subcommand)]
    Alerts(alerts::Verb),
    /// A run's receipts, and each new one as it comes.
    Receipts(receipts::Args),
    /// One request whole: attempts, prices, and why each provider was chosen or not.
    Explain(explain::Args),
    /// Days, weeks, or one run.
    #[command(subcommand)]
    Report(report::Verb),
    /// One line for a status bar or a prompt.
    Status(status::Args),
    /// One screen as a table, with an exit code for monitors.
    Once(once::Args),
    /// A sentence for each change: for screen readers, pipes and logs.
    Plain(plain::Args),
    /// The console over receipt files, without a backend.
    Replay(ReplayArgs),
    /// Prints a picture of a screen.
    Shot(shot::Args),
    /// Backend, three simulated providers, a small synthetic swarm, and the console on top.
    #[cfg(feature = "embedded")]
    Demo(crate::embedded::DemoArgs),
    /// Prints the key map.
    Keys {
        /// As a Markdown table.
        #[arg(long)]
        md: bool,
    },
    /// What works here, what does not, and what to do about it.
    Doctor,
    /// Prints completions for a shell.
    Completions(pages::CompletionArgs),
    /// Prints the manual page.
    Man(pages::ManArgs),
}

/// What is replayed, and how fast.
#[derive(Debug, clap::Args)]
struct ReplayArgs {
    /// Receipt files, or folders of them, such as artifacts/costs; folders are watched.
    #[arg(required = true, value_name = "FILE")]
    paths: Vec<PathBuf>,
    /// So many times faster than it happened: 60x. Without it, everything at once.
    #[arg(long, value_parser = speed)]
    speed: Option<u32>,
    /// Sentences instead of the console.
    #[arg(long)]
    plain: bool,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &words),
    };
    match run(cli) {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}

/// What clap has to say; a monitor takes 2 for critical, so `once` says "unknown" instead.
fn usage(error: &clap::Error, words: &[OsString]) -> ExitCode {
    // Nobody is left to be told when stderr is gone.
    error.print().ok();
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if words.iter().any(|word| word == "once") => ExitCode::from(3),
        _ => ExitCode::from(2),
    }
}

/// Hands over to the verb. Those that need no backend come first, for they must work where the
/// configuration does not.
fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let (options, resolved) = match &cli.command {
        Some(Verb::Doctor) => return runtime()?.block_on(doctor::run(&cli.connection)),
        Some(Verb::Completions(args)) => return pages::completions(args).map(success),
        Some(Verb::Man(args)) => return pages::man(args).map(success),
        _ => cli.connection.options()?,
    };
    let done = match cli.command {
        None if is_plain() => talk(plain::Args::default(), &options),
        None => open(options),
        Some(Verb::Status(args)) => {
            return status::run(&args, &options, resolved.status.as_deref(), runtime);
        }
        Some(Verb::Once(args)) => return runtime()?.block_on(once::run(args, &options)),
        Some(Verb::Plain(args)) => talk(args, &options),
        Some(Verb::Replay(args)) => replay(args, options),
        Some(Verb::Receipts(args)) => runtime()?.block_on(receipts::run(args, &options)),
        Some(Verb::Explain(args)) => ask(&options, async |api| explain::run(args, &api).await),
        Some(Verb::Report(verb)) => ask(&options, async |api| report::run(verb, &api).await),
        Some(Verb::Providers(verb)) => ask(&options, async |api| providers::run(verb, &api).await),
        Some(Verb::Budget(verb)) => ask(&options, async |api| budget::run(verb, &api).await),
        Some(Verb::Runs(args)) => ask(&options, async |api| runs::list(args, &api).await),
        Some(Verb::Pause(args)) => {
            ask(&options, async |api| runs::change("pause", args, &api).await)
        }
        Some(Verb::Resume(args)) => {
            ask(&options, async |api| runs::change("resume", args, &api).await)
        }
        Some(Verb::Close(args)) => {
            ask(&options, async |api| runs::change("close", args, &api).await)
        }
        Some(Verb::Circuit(args)) => ask(&options, async |api| circuit::run(args, &api).await),
        Some(Verb::Alerts(verb)) => ask(&options, async |api| alerts::run(verb, &api).await),
        Some(Verb::Shot(args)) => runtime()?.block_on(shot::run(args, options)),
        #[cfg(feature = "embedded")]
        Some(Verb::Demo(args)) => {
            Ok(backend_runtime()?.block_on(crate::embedded::demo(args, options))?)
        }
        Some(Verb::Keys { md }) => print(&options.settings.keys.print(md)),
        Some(Verb::Doctor | Verb::Completions(_) | Verb::Man(_)) => Ok(()),
    };
    done.map(success)
}

const fn success(_: ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// Whether a screen would be of no use: no terminal, or one that cannot move its cursor.
fn is_plain() -> bool {
    !std::io::stdout().is_terminal() || std::env::var("TERM").is_ok_and(|term| term == "dumb")
}

/// A sentence for each change.
fn talk(args: plain::Args, options: &ConsoleOptions) -> Done {
    runtime()?.block_on(plain::run(args, options))
}

/// The console over files: it changes nothing, and there is nobody it could ask to.
fn replay(args: ReplayArgs, mut options: ConsoleOptions) -> Done {
    let missing = args.paths.iter().find(|path| !path.exists());
    if let Some(path) = missing {
        return Err(Failure::Absent(format!("there is no `{}`", path.display())));
    }
    options.settings.profile = "replay".into();
    options.settings.read_only = true;
    options.gateway =
        args.paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
    options.replay = Some(ReplayOptions { paths: args.paths, speed: args.speed });
    if args.plain || is_plain() {
        return talk(plain::Args::default(), &options);
    }
    Ok(runtime()?.block_on(crate::console::run(options))?)
}

/// `60x`, from 1 to 100,000.
fn speed(text: &str) -> Result<u32, String> {
    let digits = text.strip_suffix(['x', '×']).unwrap_or(text);
    let speed = digits.parse().ok().filter(|speed| (1..=100_000).contains(speed));
    speed.ok_or_else(|| "a factor such as 60x, from 1x to 100000x".into())
}

/// One question or change, on one thread.
fn ask(options: &ConsoleOptions, verb: impl AsyncFnOnce(Api) -> Done) -> Done {
    runtime()?.block_on(verb(Api::new(options)?))
}

/// The console; a backend is started in this process where none answers.
#[cfg(feature = "embedded")]
fn open(options: ConsoleOptions) -> Done {
    Ok(backend_runtime()?.block_on(crate::embedded::open(options))?)
}

/// The console.
#[cfg(not(feature = "embedded"))]
fn open(options: ConsoleOptions) -> Done {
    Ok(runtime()?.block_on(crate::console::run(options))?)
}

/// A backend in this process wants every core.
#[cfg(feature = "embedded")]
fn backend_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// One thread is enough for a window; an embedded backend brings its own.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The table above, for `--help`.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  refused, or failed
  2  wrong arguments, or a configuration file that cannot be read
  3  no answer from the backend
  4  no such run, provider, alert or request
  5  somebody else changed it meanwhile
  6  the backend is older than this program
`once` has its own: 0 ok, 1 caution or warning, 2 critical, 3 stale or unreachable.";
