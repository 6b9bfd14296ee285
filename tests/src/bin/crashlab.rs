//! `crashlab <fault> --cycles N --seed S`: brings a fault about, judges what is left, exits with 1
//! on any breach.
//!
//! A failure is replayed by the seed it names. `--record FILE` writes the figures into the table of
//! `docs/reliability.md`. The backend is `backend-under-test` beside this program.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tollgate_tests::lab::{
    Options, Report, clock, crowd, cut, flips, full, halt, images, kill, link, model, mutants,
    narrow, points, proxy, record, rules, sync, torn, verbs,
};

#[derive(Debug, Parser)]
#[command(name = "crashlab", about = "Breaks a backend and judges what is left by the bill")]
struct Cli {
    #[command(subcommand)]
    fault: Fault,
    /// How many times; every fault has a number of its own without it.
    #[arg(long, global = true)]
    cycles: Option<u64>,
    /// Where chance begins.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// The document whose table gets the figures.
    #[arg(long, global = true)]
    record: Option<PathBuf>,
    /// The backend's program, where it is not beside this one.
    #[arg(long, global = true)]
    program: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
enum Fault {
    /// kill -9 at a random moment under 64 streaming clients.
    Kill,
    /// Receipt files, and WAL frames that nobody was answered about, torn at every byte.
    Torn,
    /// Acknowledged WAL frames lost: the backend must refuse to start.
    Loss,
    /// One bit of the ledger, its log or a receipt file turned. A cycle is a flip.
    Flips,
    /// 10,000 at once on a limit for exactly k. Wants 12,000 open files.
    Crowd,
    /// Unsynced writes dropped and reordered, in disks made from recorded stories. A cycle is a disk.
    Images,
    /// Negative control: the same with syncs that are nothing must show losses.
    ImagesNosync,
    /// SIGTERM with streams in flight; SIGSTOP and SIGCONT.
    Halt,
    /// The wire to the provider in trouble at every byte.
    Proxy,
    /// No memory, a twentieth of a core, no descriptors, in turn.
    Narrow,
    /// The provider in a network of its own, cut off and back under load. Root only.
    Link,
    /// The wall clock jumps by hours and years.
    Clock,
    /// The pure ledger against a naive one, in random histories.
    Model,
    /// kill -9 before, inside and after every storage call of every story of up to three
    /// operations. A cycle is a story.
    Points,
    /// kill -9 at every storage call of backup, rebuild and restore, five deep. A cycle is a story.
    Verbs,
    /// Power cuts under load, of both kinds in turn: unsynced data lost, metadata kept.
    Cut,
    /// Negative control: the same without syncs must show losses.
    CutNosync,
    /// Negative control: the same under `--durability process` must show losses.
    CutProcess,
    /// A disk filled and freed under load.
    Full,
    /// Syncs and writes that fail once or for ever, and slow syncs.
    Sync,
    /// No fault: everyday rules, each put to a question from outside.
    Rules,
    /// Negative controls: mistakes made in the sources, each to be caught. Wants cargo.
    Mutants {
        /// Only those with one of these in their name, between commas.
        #[arg(long)]
        only: Option<String>,
    },
}

impl Fault {
    /// Its name on the command line and in the table, and how often it is brought about.
    fn facts(&self) -> (&'static str, u64) {
        match self {
            Self::Kill => ("kill", 1_000),
            Self::Torn => ("torn", 10_000),
            Self::Loss => ("loss", 500),
            Self::Flips => ("flips", 2_000_000),
            Self::Crowd => ("crowd", 100),
            Self::Images => ("images", 20_000),
            Self::ImagesNosync => ("images-nosync", 400),
            Self::Halt => ("halt", 500),
            Self::Proxy => ("proxy", 20_000),
            Self::Narrow => ("narrow", 300),
            Self::Link => ("link", 100),
            Self::Clock => ("clock", 200),
            Self::Model => ("model", 1_000_000),
            Self::Points => ("points", 258),
            Self::Verbs => ("verbs", 1_000_000),
            Self::Cut => ("cut", 400),
            Self::CutNosync => ("cut-nosync", 20),
            Self::CutProcess => ("cut-process", 20),
            Self::Full => ("full", 1_000),
            Self::Sync => ("sync", 160),
            Self::Rules => ("rules", 10),
            Self::Mutants { .. } => ("mutants", 1),
        }
    }

    /// Brings it about. One arm a fault.
    async fn run(self, options: Options, record: Option<PathBuf>) -> anyhow::Result<Report> {
        match self {
            Self::Kill => kill::Kill::new(options).run().await,
            Self::Torn => torn::Torn::new(options).run().await,
            Self::Loss => torn::loss::Loss::new(options).run().await,
            Self::Flips => flips::Flips::new(options).run().await,
            Self::Crowd => crowd::Crowd::new(options, CROWD).run().await,
            Self::Images => images::Images::new(options, images::Control::None).run().await,
            Self::ImagesNosync => images::Images::new(options, images::Control::NoSync).run().await,
            Self::Halt => halt::Halt::new(options).run().await,
            Self::Proxy => proxy::Proxy::new(options).run().await,
            Self::Narrow => narrow::Narrow::new(options).run().await,
            Self::Link => link::Link::new(options).run().await,
            Self::Clock => clock::Clock::new(options).run().await,
            Self::Model => Ok(model::Model::new(options).run()),
            Self::Points => points::Points::new(options, 3).run().await,
            Self::Verbs => verbs::Verbs::new(options).run().await,
            Self::Cut => cut::Cut::new(options, cut::Control::None).run().await,
            Self::CutNosync => cut::Cut::new(options, cut::Control::NoSync).run().await,
            Self::CutProcess => cut::Cut::new(options, cut::Control::Process).run().await,
            Self::Full => full::Full::new(options).run().await,
            Self::Sync => sync::Sync::new(options).run().await,
            Self::Rules => rules::Rules::new(options).run().await,
            Self::Mutants { only } => mutants::Mutants { only, record }.run(),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let program = match cli.program {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("backend-under-test"),
    };
    let program = program
        .canonicalize()
        .with_context(|| format!("build `{}` first, or name another", program.display()))?;
    let (name, cycles) = cli.fault.facts();
    let cycles = cli.cycles.unwrap_or(cycles);
    let options = Options { program, cycles, seed: cli.seed, tells_progress: true };
    let report = cli.fault.run(options, cli.record.clone()).await?;
    println!("{report}");
    if let Some(document) = cli.record {
        record::figures(&document, name, cli.seed, &report)?;
    }
    if report.is_clean() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("replay: crashlab {name} --cycles {cycles} --seed {}", cli.seed);
    Ok(ExitCode::FAILURE)
}

/// How many ask at once.
const CROWD: u64 = 10_000;
