//! Receipt files, torn at every byte of their last lines, many files in one start.

use std::collections::BTreeMap;
use std::path::Path;

use tollgate_backend::simulate;

use crate::lab::chance::Chance;
use crate::lab::scene::{Ask, Scene};
use crate::lab::{Options, Report};
use crate::until;

/// What happened to a file at an offset.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// It ends there.
    Cut,
    /// One byte is another.
    Altered,
    /// What follows is zeros: the length was written, the bytes were not.
    Zeros,
    /// It ends there, in bytes of something else.
    Rubbish,
}

/// A file that was harmed, and what must be found in quarantine.
pub(in crate::lab) struct Harmed {
    pub(in crate::lab) run_id: String,
    pub(in crate::lab) whole: Vec<u8>,
    pub(in crate::lab) harmed: Vec<u8>,
}

/// Tears every file at one offset a start.
pub(super) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let mut scene = Scene::open(&options.program, simulate::Config::default()).await?;
    scene.start().await?;
    for number in 0..FILES {
        spend(&mut scene, &format!("torn{number:02}")).await?;
    }
    let verdict = scene.judge().await?;
    report.add(verdict);
    scene.kill()?;
    let files = files(&scene.data_dir.join("costs"))?;
    let longest = files.values().map(|whole| tail(whole)).max().unwrap_or(0);
    // One file takes one offset a start; each harm goes over all offsets.
    let harms = [Harm::Cut, Harm::Altered, Harm::Zeros, Harm::Rubbish];
    let all = longest * harms.len() as u64;
    let starts = all.div_ceil(FILES).min(options.cycles / 2).max(1);
    let step = (all / (starts * FILES)).max(1);
    let mut chance = Chance::of(options.seed, 1);
    let mut number = 0;
    for start in 1..=starts {
        let mut harmed = Vec::new();
        for (run_id, whole) in &files {
            let harm = harms[(number % harms.len() as u64) as usize];
            let back = 1 + (number / harms.len() as u64) * step % tail(whole);
            number += 1;
            let bytes = hurt(whole, whole.len() - back as usize, harm, &mut chance);
            let path = scene.data_dir.join(format!("costs/{run_id}.jsonl"));
            std::fs::write(path, &bytes)?;
            harmed.push(Harmed { run_id: run_id.clone(), whole: whole.clone(), harmed: bytes });
        }
        if let Err(error) = scene.start().await {
            report.breach("O7", format!("it refused to start over torn receipt files: {error:#}"));
            break;
        }
        judge(&scene.data_dir, &harmed, report).await?;
        scene.kill()?;
        std::fs::remove_dir_all(scene.data_dir.join("quarantine")).ok();
        report.cycles += 1;
        report.count("offsets in receipt files", harmed.len() as u64);
        options.tell_progress(start, report);
    }
    scene.start().await?;
    let verdict = scene.judge().await?;
    report.add(verdict);
    Ok(())
}

/// Three receipts of a run.
pub(in crate::lab) async fn spend(scene: &mut Scene, run_id: &str) -> anyhow::Result<()> {
    scene.register(run_id, 1).await?;
    for number in 0..LINES {
        let ask = Ask {
            run_id: run_id.to_owned(),
            request_id: format!("{run_id}-{number}"),
            message: "[out:3] to be torn".into(),
            cap: Some(8),
            stream: false,
            leaves_after: None,
            told_usage: true,
        };
        let seen = scene.ask(&ask).await?;
        scene.truth.seen.push(seen);
    }
    Ok(())
}

pub(in crate::lab) fn files(costs: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(costs)? {
        let path = entry?.path();
        let run_id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        files.insert(run_id.to_owned(), std::fs::read(&path)?);
    }
    Ok(files)
}

/// Bytes of the last two lines: their ends, their hashes, and everything between.
fn tail(whole: &[u8]) -> u64 {
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    lines.iter().rev().take(2).map(|line| line.len() as u64).sum()
}

fn hurt(whole: &[u8], offset: usize, harm: Harm, chance: &mut Chance) -> Vec<u8> {
    let (kept, lost) = whole.split_at(offset);
    let mut bytes = kept.to_vec();
    match harm {
        Harm::Cut => {}
        Harm::Altered => {
            bytes.extend_from_slice(lost);
            // Never the same byte again.
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1 + (chance.below(255) as u8);
            }
        }
        Harm::Zeros => bytes.resize(whole.len(), 0),
        Harm::Rubbish => {
            let more = 1 + chance.below(2 * lost.len() as u64);
            bytes.extend((0..more).map(|_| chance.below(256) as u8));
        }
    }
    bytes
}

/// Every file is whole again, and what was altered is kept.
pub(in crate::lab) async fn judge(
    data_dir: &Path,
    harmed: &[Harmed],
    report: &mut Report,
) -> anyhow::Result<()> {
    let path = |run_id: &str| data_dir.join(format!("costs/{run_id}.jsonl"));
    let is_whole =
        |file: &Harmed| std::fs::read(path(&file.run_id)).is_ok_and(|bytes| bytes == file.whole);
    // Files that end as they should are compared whole a little later.
    until("every file is whole again", || harmed.iter().all(is_whole)).await.ok();
    let mut kept: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for entry in std::fs::read_dir(data_dir.join("quarantine")).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let run_id = name.split('-').next().unwrap_or_default();
        kept.entry(run_id.to_owned()).or_default().push(std::fs::read(&path)?);
    }
    for file in harmed {
        report.checks += 2;
        if !is_whole(file) {
            report.breach("O6", format!("`{}` is not the ledger's lines again", file.run_id));
        }
        let is_prefix = file.whole.starts_with(&file.harmed);
        let found = kept.remove(&file.run_id).unwrap_or_default();
        let is_kept = match is_prefix {
            // Nothing in it was foreign: there is nothing to keep.
            true => found.is_empty(),
            false => found.iter().any(|bytes| ends_alike(bytes, &file.harmed)),
        };
        if !is_kept {
            let (bytes, files) = (file.harmed.len(), found.len());
            let what = format!("`{}`: {files} files in quarantine for {bytes} bytes", file.run_id);
            report.breach("O6", what);
        }
    }
    Ok(())
}

/// Whether quarantine has the file, or the part of it that was altered.
fn ends_alike(kept: &[u8], harmed: &[u8]) -> bool {
    !kept.is_empty() && harmed.ends_with(kept)
}

/// Files that are torn in one start.
pub(in crate::lab) const FILES: u64 = 64;

/// Receipts in each.
const LINES: u64 = 3;
