//! Receipt files with one bit turned, at every byte, many files in one start.

use tollgate_backend::simulate;

use super::{Place, flipped, places};
use crate::lab::scene::Scene;
use crate::lab::torn::lines::{self, FILES, Harmed};
use crate::lab::{Options, Report};

/// Flips one bit of every file a start; the files are alike, so that together they go over all bytes.
pub(super) async fn run(options: &Options, most: u64, report: &mut Report) -> anyhow::Result<()> {
    let mut scene = Scene::open(&options.program, simulate::Config::default()).await?;
    scene.flags = crate::lab::volume::NO_RESERVE.map(str::to_owned).into();
    scene.start().await?;
    for number in 0..FILES {
        lines::spend(&mut scene, &format!("flip{number:02}")).await?;
    }
    let verdict = scene.judge().await?;
    report.add(verdict);
    scene.kill()?;
    let files = lines::files(&scene.data_dir.join("costs"))?;
    let longest = files.values().map(Vec::len).max().unwrap_or(0);
    let mut places = places(longest, most, options.seed).into_iter();
    loop {
        let chosen: Vec<Place> = places.by_ref().take(files.len()).collect();
        if chosen.is_empty() {
            break;
        }
        let mut harmed = Vec::new();
        for ((run_id, whole), place) in files.iter().zip(&chosen) {
            // Files differ in length by a digit or two.
            let byte = place.byte.min(whole.len().saturating_sub(1));
            let bytes = flipped(whole, Place { byte, ..*place });
            std::fs::write(scene.data_dir.join(format!("costs/{run_id}.jsonl")), &bytes)?;
            harmed.push(Harmed { run_id: run_id.clone(), whole: whole.clone(), harmed: bytes });
        }
        if let Err(error) = scene.start().await {
            report.breach("O7", format!("refused to start over {chosen:?}: {error:#}"));
            return Ok(());
        }
        lines::judge(&scene.data_dir, &harmed, report).await?;
        scene.kill()?;
        std::fs::remove_dir_all(scene.data_dir.join("quarantine")).ok();
        report.cycles += harmed.len() as u64;
        report.count("repaired in receipt files", harmed.len() as u64);
        if report.cycles.is_multiple_of(640) {
            options.tell_progress(report.cycles, report);
        }
    }
    scene.start().await?;
    let verdict = scene.judge().await?;
    report.add(verdict);
    Ok(())
}
