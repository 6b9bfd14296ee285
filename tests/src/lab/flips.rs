//! One bit of a file is another, as a disk that ages makes it: at every byte of a small ledger.
//!
//! The start must be harmless, repair what is wrong, or be refused with exit code 3; what was
//! altered is never believed. Every row of the unharmed ledger is the truth here, of all tables but
//! alarms and kept answers: what is equal in every row says the same about all money.
//!
//! | part | the file | judged |
//! |---|---|---|
//! | [`rows`] | `ledger.db` of a backend that was stopped, and of one that was killed; its `-wal` | in process, by the start's own functions in their order; of some the program itself is started |
//! | [`files`] | receipt files | by starts of the program, many files in each |
//!
//! A cycle is a flip. With more cycles than bytes, each byte has several of its bits turned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tollgate_backend::simulate;

use crate::lab::chance::Chance;
use crate::lab::load;
use crate::lab::scene::{AGENT, Ask, Limit, Scene};
use crate::lab::{Options, Report};
use crate::until;

pub mod files;
pub(in crate::lab) mod rows;

/// The fault.
#[derive(Debug)]
pub struct Flips {
    options: Options,
}

/// Every file of a data directory, whole, by its path from there.
pub(in crate::lab) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A place to flip: the byte, and the bit of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    byte: usize,
    bit: u8,
}

impl Flips {
    /// With these options; half of the cycles go to the database, a quarter to its log, and receipt
    /// files get the rest.
    pub const fn new(options: Options) -> Self {
        Self { options }
    }

    /// Brings it about.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let mut report = Report::default();
        let told = tell(&self.options.program).await?;
        let cycles = self.options.cycles;
        for (number, (name, files, most)) in [
            (DATABASE, &told.stopped, cycles / 4),
            (DATABASE, &told.killed, cycles / 4),
            (LOG, &told.killed, cycles / 4),
        ]
        .into_iter()
        .enumerate()
        {
            let bytes = files.get(Path::new(name)).map_or(0, Vec::len);
            let seed = self.options.seed.wrapping_add(number as u64);
            let places = places(bytes, most, seed);
            let case = rows::Case { options: &self.options, files, name };
            case.run(&places, &mut report)?;
        }
        files::run(&self.options, cycles / 4, &mut report).await?;
        Ok(report)
    }
}

/// What a story left behind.
pub(in crate::lab) struct Told {
    /// By a backend that was stopped.
    pub(in crate::lab) stopped: Files,
    /// By one that was killed with a hold pending, a little later.
    pub(in crate::lab) killed: Files,
}

/// A story with an attempt in every state, accounts of every kind, and a hold that is pending when
/// the process is killed.
pub(in crate::lab) async fn tell(program: &Path) -> anyhow::Result<Told> {
    let mut scene = Scene::open(program, simulate::Config::default()).await?;
    scene.flags = load::short_flags(5, 0);
    scene.flags.extend(crate::lab::volume::NO_RESERVE.map(str::to_owned));
    scene.start().await?;
    for run_id in RUNS {
        scene.register(run_id, 1).await?;
        scene.set(&Limit::of(run_id, "5".parse()?, "clamp")).await?;
    }
    let daily = Limit { period: Some("day"), ..Limit::of("daily", "2".parse()?, "") };
    scene.set(&daily).await?;
    let leaf = Limit { parent: Some(RUNS[0]), ..Limit::of("leaf", "1".parse()?, "hard") };
    scene.register("leaf", 1).await?;
    scene.set(&leaf).await?;
    let usd = "1".parse()?;
    scene.set(&Limit { agent: Some(AGENT), ..Limit::of(RUNS[0], usd, "") }).await?;
    for (number, wish) in WISHES.iter().enumerate() {
        for run_id in ["leaf", RUNS[0], RUNS[1]] {
            scene.ask(&ask(run_id, number, wish)).await?;
        }
    }
    let process = scene.process.take().context("nothing runs")?;
    tokio::task::spawn_blocking(move || process.terminate()).await??;
    let stopped = everything(&scene.data_dir)?;
    scene.start().await?;
    for number in WISHES.len()..WISHES.len() + 3 {
        scene.ask(&ask(RUNS[0], number, "")).await?;
    }
    let (client, url, last) =
        (scene.client(), scene.gateway("/route")?, ask(RUNS[0], 99, "[fault:hang]"));
    let known = scene.provider.bill().count;
    let hanging = tokio::spawn(async move { last.at(&client, &url).await });
    until("the last request is billed", || scene.provider.bill().count > known).await?;
    at_rest(&scene.data_dir).await?;
    scene.kill()?;
    hanging.await?;
    let mut killed = everything(&scene.data_dir)?;
    // A machine that went down has no shared memory left.
    killed.remove(Path::new("gateway/ledger.db-shm"));
    Ok(Told { stopped, killed })
}

fn ask(run_id: &str, number: usize, wish: &str) -> Ask {
    Ask {
        run_id: run_id.to_owned(),
        request_id: format!("flip-{number}"),
        message: format!("{wish}[out:3] to be flipped"),
        cap: Some(8),
        stream: wish.contains("cut"),
        leaves_after: None,
        told_usage: true,
    }
}

/// Every file below a directory, but for the lock, which says nothing.
pub(in crate::lab) fn everything(dir: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for room in ["gateway", "costs", "provider_router"] {
        for (name, bytes) in everything_in(&dir.join(room))? {
            if name != Path::new("lock") {
                files.insert(Path::new(room).join(name), bytes);
            }
        }
    }
    Ok(files)
}

/// Every file in a directory, by its name.
pub(in crate::lab) fn everything_in(dir: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() {
            files.insert(path.strip_prefix(dir)?.to_owned(), std::fs::read(&path)?);
        }
    }
    Ok(files)
}

/// Waits until the files of a backend stand still: projections follow the ledger at a distance.
pub(in crate::lab) async fn at_rest(data_dir: &Path) -> anyhow::Result<()> {
    let mut known = everything(data_dir)?;
    for _ in 0..200 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let now = everything(data_dir)?;
        if now == known {
            return Ok(());
        }
        known = now;
    }
    anyhow::bail!("its files do not come to rest")
}

/// At most `most` places of so many bytes: evenly spread bytes with one bit each, or every byte
/// with as many of its bits as there are cycles for.
fn places(bytes: usize, most: u64, seed: u64) -> Vec<Place> {
    let mut chance = Chance::of(seed, bytes as u64);
    let rounds = u8::try_from(most / (bytes as u64).max(1)).unwrap_or(8).clamp(1, 8);
    let chosen = super::torn::spread(0, bytes as u64, most.min(bytes as u64));
    let chosen = chosen.into_iter().filter_map(|byte| usize::try_from(byte).ok());
    let bits = |byte| {
        let first = u8::try_from(chance.below(8)).unwrap_or(0);
        (0..rounds).map(move |round| Place { byte, bit: (first + round) % 8 })
    };
    chosen.flat_map(bits).collect()
}

/// A file with one bit turned.
fn flipped(whole: &[u8], place: Place) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    if let Some(byte) = bytes.get_mut(place.byte) {
        *byte ^= 1 << place.bit;
    }
    bytes
}

/// Runs with limits; the first has a child and an agent with a limit of its own.
const RUNS: [&str; 3] = ["trunk", "alone", "daily"];

/// An answer, a void, an unknown, a stream that was cut, another answer.
const WISHES: [&str; 5] = ["", "[fault:status404]", "[fault:bill_then_500]", "[fault:cut]", ""];

const DATABASE: &str = "gateway/ledger.db";
const LOG: &str = "gateway/ledger.db-wal";

#[cfg(test)]
mod tests {
    use super::{Place, flipped, places};

    #[test]
    fn every_byte_has_a_bit_turned_and_with_enough_cycles_all_of_them() {
        assert_eq!(places(10, 4, 1).len(), 4);
        let each = places(10, 10, 1);
        assert!(each.iter().map(|place| place.byte).eq(0..10));
        let mut all = places(10, 1_000, 1);
        all.sort_by_key(|place| (place.byte, place.bit));
        all.dedup();
        assert_eq!(all.len(), 80);
        assert_eq!(flipped(&[0, 0], Place { byte: 1, bit: 7 }), [0, 128]);
    }
}
