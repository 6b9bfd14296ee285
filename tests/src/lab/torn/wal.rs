//! The ledger's WAL, cut at every byte of frames that nobody was answered about.
//!
//! A request is held, sent, given up and settled; the process is killed. Its two commits, the hold
//! and the settlement, are the end of the WAL, and a crash may leave any part of them. A cut in the
//! hold happened before anything was sent, so the bill of that story lacks the attempt.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use tollgate_backend::simulate;

use super::{copy, spread};
use crate::lab::load;
use crate::lab::oracle::Truth;
use crate::lab::scene::{Ask, Scene};
use crate::lab::{Options, Report};
use crate::until;

/// A directory as a kill left it, and where its last commits begin and end.
pub(super) struct Left {
    pub scene: Scene,
    /// The directory's copy, with the WAL whole.
    pub template: PathBuf,
    /// Bytes of the WAL when everything so far was acknowledged.
    pub acknowledged: u64,
    /// When the last request was held.
    pub held: u64,
    /// When it was settled.
    pub settled: u64,
    /// The high-water mark at the first two of these, where the backend keeps one.
    pub marks: [Option<String>; 2],
    /// The attempt that was held last.
    pub last_attempt: String,
    /// What was known before it.
    pub truth: Truth,
}

/// Cuts the WAL at every offset after what was acknowledged.
pub(super) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let mut left = leave(&options.program).await?;
    let (start, end) = (left.acknowledged + 1, left.settled + 1);
    let offsets = spread(start, end, (options.cycles / 2).max(1));
    for (number, offset) in (1..).zip(offsets) {
        let is_held = offset >= left.held;
        left.lay_out(offset, usize::from(is_held))?;
        let truth = &mut left.scene.truth;
        truth.clone_from(&left.truth);
        if !is_held {
            truth.never_sent.push(left.last_attempt.clone());
        }
        match left.scene.start().await {
            Ok(()) => {
                let verdict = left.scene.judge().await?;
                report.add(verdict);
                left.scene.kill()?;
            }
            Err(error) => {
                let what = format!("refused to start, WAL cut at {offset} of {end}: {error:#}");
                report.breach("O7", what);
            }
        }
        report.cycles += 1;
        report.count("offsets in unacknowledged WAL frames", 1);
        options.tell_progress(number, report);
    }
    Ok(())
}

impl Left {
    /// Puts the directory there as it would be had the WAL ended at `offset`.
    pub fn lay_out(&self, offset: u64, mark: usize) -> anyhow::Result<()> {
        let data_dir = &self.scene.data_dir;
        std::fs::remove_dir_all(data_dir)?;
        copy(&self.template, data_dir)?;
        let wal = std::fs::File::options().write(true).open(data_dir.join(WAL))?;
        wal.set_len(offset)?;
        if let Some(Some(text)) = self.marks.get(mark) {
            std::fs::write(data_dir.join(MARK), text)?;
        }
        Ok(())
    }
}

/// Spends a little, lets one request hang and be given up, and kills.
pub(super) async fn leave(program: &Path) -> anyhow::Result<Left> {
    let mut scene = Scene::open(program, simulate::Config::default()).await?;
    scene.flags = load::short_flags(1, 0);
    scene.start().await?;
    scene.register("wal", 1).await?;
    scene.limit("wal", "5".parse()?, "clamp").await?;
    for number in 0..12 {
        let wish = if number % 4 == 3 { "[fault:bill_then_500]" } else { "" };
        let seen = scene.ask(&ask(number, wish)).await?;
        scene.truth.seen.push(seen);
    }
    let verdict = scene.judge().await?;
    ensure!(verdict.breaches.is_empty(), "{:?}", verdict.breaches);
    let truth = scene.truth.clone();
    let (acknowledged, first) = at_rest(&scene.data_dir).await?;
    let (client, url) = (scene.client(), scene.gateway("/route")?);
    let last = ask(12, "[fault:hang]");
    let hanging = tokio::spawn(async move { last.at(&client, &url).await });
    let known = scene.truth.bill.count;
    until("the last request is billed", || scene.provider.bill().count > known).await?;
    let (held, second) = at_rest(&scene.data_dir).await?;
    let template = scene.beside("template");
    copy(&scene.data_dir.join("costs"), &template.join("costs"))?;
    // In this story nobody is answered any more: what the client sees is not told to the oracle.
    hanging.await?;
    let (settled, _) = at_rest(&scene.data_dir).await?;
    scene.kill()?;
    ensure!(acknowledged < held && held < settled, "{acknowledged} {held} {settled}");
    let bill = scene.provider.bill();
    let last_attempt = bill.attempts.last().context("nothing was billed")?.attempt_id.clone();
    for room in ["gateway", "provider_router"] {
        copy(&scene.data_dir.join(room), &template.join(room))?;
    }
    // A machine that went down has no shared memory left.
    std::fs::remove_file(template.join("gateway/ledger.db-shm")).ok();
    let marks = [first, second];
    Ok(Left { scene, template, acknowledged, held, settled, marks, last_attempt, truth })
}

fn ask(number: u64, wish: &str) -> Ask {
    Ask {
        run_id: "wal".into(),
        request_id: format!("wal-{number}"),
        message: format!("{wish}[out:3] to be torn"),
        cap: Some(8),
        stream: false,
        leaves_after: None,
        told_usage: true,
    }
}

/// The WAL's length and the high-water mark, once both stand still: the mark is written after the
/// commit that it counts, and after the answer that the commit released.
async fn at_rest(data_dir: &Path) -> anyhow::Result<(u64, Option<String>)> {
    let look = || {
        let length = std::fs::metadata(data_dir.join(WAL)).map_or(0, |meta| meta.len());
        (length, std::fs::read_to_string(data_dir.join(MARK)).ok())
    };
    let (mut known, mut alike) = (look(), 0);
    while alike < 10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = look();
        alike = if now == known { alike + 1 } else { 0 };
        known = now;
    }
    Ok(known)
}

pub(super) const WAL: &str = "gateway/ledger.db-wal";
pub(super) const MARK: &str = "gateway/mark";
