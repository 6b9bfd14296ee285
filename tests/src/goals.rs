//! The console measured: how soon, how much, how exactly, against what was set as its goal.
//!
//! The program under measurement runs in a terminal of ours before a swarm of ours, so that every
//! byte and every cent is known. Figures belong to a machine; the table that is printed names the
//! goal, the figure, and whether it is met, and nothing is rounded in its favour.
//!
//! | module | measures |
//! |---|---|
//! | [`typing`] | starts, keys, slow links |
//! | [`load`] | CPU, bytes, memory |
//! | [`link`] | lost links, cut streams, sums |
//! | [`picture`] | one picture, one receipt, without a terminal |

pub mod link;
pub mod load;
pub mod picture;
pub mod typing;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::feed_server::{FeedServer, Names};
use crate::terminal::{Launch, Terminal};

/// What is measured, and how long.
#[derive(Clone, Debug)]
pub struct Lab {
    /// The console's program.
    pub program: PathBuf,
    /// The same without an embedded backend, where its size is to be told.
    pub slim: Option<PathBuf>,
    /// How long memory is watched.
    pub minutes: u64,
    /// How long CPU and bytes are counted, each time.
    pub seconds: u64,
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was to be reached, in words.
    pub goal: String,
    /// The bound.
    pub target: String,
    /// What was found.
    pub figure: String,
    /// Whether it is within the bound; none where there is no bound.
    pub met: Option<bool>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { goal, target, figure, met } = self;
        let met = match met {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "–",
        };
        write!(f, "| {goal} | {target} | {figure} | {met} |")
    }
}

/// A row whose figure has a bound.
fn finding(goal: impl Into<String>, target: &str, figure: String, met: bool) -> Finding {
    Finding { goal: goal.into(), target: target.into(), figure, met: Some(met) }
}

/// A row that only informs.
fn note(goal: impl Into<String>, figure: String) -> Finding {
    Finding { goal: goal.into(), target: "–".into(), figure, met: None }
}

impl Lab {
    /// The program, looking at this address.
    fn launch(&self, address: std::net::SocketAddr) -> Launch {
        Launch::new(&self.program)
            .env("TOLLGATE_EVENTS", format!("ws://{address}/events"))
            .env("TOLLGATE_GATEWAY", format!("http://{address}"))
            .env("TOLLGATE_ROUTER", format!("http://{address}"))
    }

    /// A swarm that has spent something, and a console of this size that shows it.
    fn live(&self, width: u16, height: u16) -> anyhow::Result<(FeedServer, Terminal)> {
        let server = FeedServer::start(Names::default())?;
        server.publish(500);
        let terminal = self.launch(server.address()).size(width, height).start()?;
        terminal.shows("Σ✓")?;
        Ok((server, terminal))
    }
}

/// Times in order, to be asked for shares of them.
#[derive(Clone, Debug, Default)]
struct Times(Vec<Duration>);

impl Times {
    fn add(&mut self, time: Duration) {
        let place = self.0.partition_point(|known| *known <= time);
        self.0.insert(place, time);
    }

    /// The time that so many of a hundred stay within.
    fn share(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let place = (self.0.len() * percent).div_ceil(100).saturating_sub(1).min(last);
        self.0.get(place).copied().unwrap_or_default()
    }

    fn print(&self) -> String {
        let ms = |percent| millis(self.share(percent));
        format!("p50 {} · p95 {} · most {}, of {}", ms(50), ms(95), ms(100), self.0.len())
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

/// Time on a CPU so far, of all threads.
fn cpu(id: u32) -> anyhow::Result<Duration> {
    let mut nanos = 0_u64;
    for task in std::fs::read_dir(format!("/proc/{id}/task"))? {
        // A thread may end while the list is read.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanos += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    }
    ensure!(nanos > 0, "this machine does not say how long threads ran");
    Ok(Duration::from_nanos(nanos))
}

/// Resident memory, in bytes.
fn memory(id: u32) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib = line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    Ok(kib.unwrap_or(0) * 1_024)
}

/// Lets time pass: a measurement is made of it.
fn pass(time: Duration) {
    let until = Instant::now() + time;
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_what_was_counted() {
        let mut times = Times::default();
        assert_eq!(times.share(95), Duration::ZERO);
        for millis in (1..=100).rev() {
            times.add(Duration::from_millis(millis));
        }
        let shares = [1, 50, 95, 100].map(|percent| times.share(percent).as_millis());
        assert_eq!(shares, [1, 50, 95, 100]);
    }
}
