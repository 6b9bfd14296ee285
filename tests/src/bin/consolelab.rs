//! `consolelab goals` measures the console against its goals and prints the table; any goal by
//! its name measures that one.
//!
//! Wants a release build of `tollgate` beside it, or one that is named. Exits with 1 where a goal
//! is not met.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use tollgate_tests::goals::{Finding, Lab, link, load, picture, typing};

#[derive(Debug, Parser)]
#[command(name = "consolelab", about = "Measures the console against its goals")]
struct Cli {
    /// What is measured.
    goal: Goal,
    /// How long memory is watched.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// How long CPU and bytes are counted, each time.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// The console's program, where it is not beside this one.
    #[arg(long)]
    program: Option<PathBuf>,
    /// The same built with `--no-default-features`, to tell its size.
    #[arg(long)]
    slim: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Goal {
    /// All of them, in this order.
    Goals,
    FirstFrame,
    FirstNumber,
    KeysIdle,
    KeysBusy,
    View,
    Fold,
    Cpu,
    Idle,
    Bytes,
    SlowLink,
    Loss,
    DeadLink,
    Memory,
    Binary,
}

impl Goal {
    fn measure(self, lab: &Lab) -> anyhow::Result<Vec<Finding>> {
        match self {
            Self::Goals => Ok(Vec::new()),
            Self::FirstFrame => typing::first_frame(lab),
            Self::FirstNumber => typing::first_number(lab),
            Self::KeysIdle => typing::keys_idle(lab),
            Self::KeysBusy => typing::keys_busy(lab),
            Self::View => picture::view_time(lab),
            Self::Fold => picture::fold(lab),
            Self::Cpu => load::busy_cpu(lab),
            Self::Idle => load::idle(lab),
            Self::Bytes => load::busy_bytes(lab),
            Self::SlowLink => typing::slow_link(lab),
            Self::Loss => link::loss(lab),
            Self::DeadLink => link::dead_link(lab),
            Self::Memory => load::soak(lab),
            Self::Binary => load::binary(lab),
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let program = match cli.program {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("tollgate"),
    };
    let program = program
        .canonicalize()
        .with_context(|| format!("build `{}` first, or name another", program.display()))?;
    let lab = Lab { program, slim: cli.slim, minutes: cli.minutes, seconds: cli.seconds };
    let goals: Vec<Goal> = match cli.goal {
        Goal::Goals => Goal::value_variants().to_vec(),
        one => vec![one],
    };
    println!("| goal | target | figure | |\n|---|---|---|---|");
    let mut is_met = true;
    for goal in goals {
        match goal.measure(&lab) {
            Ok(findings) => {
                for finding in findings {
                    is_met &= finding.met != Some(false);
                    println!("{finding}");
                }
            }
            // One that cannot be measured does not keep the others from it.
            Err(error) => {
                is_met = false;
                println!(
                    "| {goal:?} | – | could not be measured: {} | **not met** |",
                    first(&error)
                );
            }
        }
    }
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The first line of an error: the rest is a screen.
fn first(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
