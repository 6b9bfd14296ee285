//! What is put right on a person's word: `tollgated rebuild`.
//!
//! Receipt files follow the ledger, so they are written again from it. With `--from-receipts` it
//! is the other way round, for a ledger that is gone, damaged or behind: a new one is made from the
//! lines whose chain holds, joined with what can still be read of the old one. Nothing is
//! deleted: the old ledger, and every byte that is not taken, is kept in `quarantine/`. What
//! receipts do not tell (limits, states) is not guessed: such runs are frozen until a person
//! looks.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tollgate_shared::id::RunId;

use crate::clock;
use crate::config::Durability;
use crate::receipts::ReceiptFiles;
use crate::recovery::{self, ledger_path};
use crate::store::{AuditRow, Reader, Store};
use crate::verify::{Owner, Tally};

mod old;
mod run;

use old::Old;
use run::Source;

/// What a rebuild of the receipt files did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Files that are now as the ledger says.
    pub runs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that had other bytes, which were set aside.
    pub set_aside: u64,
}

/// What a rebuild of the ledger found, took and could not take.
#[derive(Clone, Debug, Default)]
pub struct Rebuilt {
    /// Runs in the new ledger.
    pub runs: u64,
    /// Receipts in it.
    pub receipts: u64,
    /// Runs that are frozen until a person looks.
    pub frozen: Vec<String>,
    /// What happened, a sentence for each thing that a person should know.
    pub notes: Vec<String>,
    /// Where the old ledger is kept.
    pub kept_in: Option<PathBuf>,
    /// The receipt files afterwards.
    pub files: Files,
}

/// Makes every receipt file equal to the ledger. The caller holds the data directory's lock.
pub fn files(data_dir: &Path) -> anyhow::Result<Files> {
    let reader = Arc::new(Reader::open(&ledger_path(data_dir))?);
    let runs = old::runs_of(&ledger_path(data_dir))?;
    let mut writer = ReceiptFiles::new(data_dir, reader);
    let before = quarantined(data_dir);
    let mut done = Files::default();
    for run in runs {
        let path = data_dir.join("costs").join(format!("{}.jsonl", run.run_id));
        if run.seq == 0 && !path.exists() {
            continue;
        }
        let run_id: RunId = run.run_id.parse()?;
        done.bytes += writer.complete(&run_id)?;
        done.runs += 1;
    }
    done.set_aside = quarantined(data_dir).saturating_sub(before);
    Ok(done)
}

/// Makes a ledger from receipt files and what is left of the old ledger, and puts it in its place.
/// The caller holds the data directory's lock.
pub fn ledger(data_dir: &Path, is_blind: bool) -> anyhow::Result<Rebuilt> {
    let path = ledger_path(data_dir);
    let fresh = path.with_extension("db.new");
    for part in parts(&fresh) {
        remove(&part)?;
    }
    let mut rebuilt = Rebuilt::default();
    let mark = recovery::mark(data_dir).unwrap_or(0);
    let mut old = Old::read(data_dir, mark, &mut rebuilt.notes)?;
    if is_blind {
        rebuilt.notes.push("what was made after the copy is not known: every run is frozen".into());
        old.is_behind = true;
    }
    let store = Store::open(&fresh, Durability::Power)?;
    store.begin_restore()?;
    write(&store, &old, data_dir, &mut rebuilt)?;
    let commits = old.commits.max(mark) + 1;
    store.end_restore(commits).context("failed to write the new ledger")?;
    drop(old);
    rebuilt.kept_in = replace(data_dir, &path, &fresh)?;
    rebuilt.files = files(data_dir).context("failed to write the receipt files")?;
    Ok(rebuilt)
}

/// Writes every run, then the accounts that all of them add up to.
fn write(store: &Store, old: &Old, data_dir: &Path, rebuilt: &mut Rebuilt) -> anyhow::Result<()> {
    let names: BTreeSet<String> =
        old.runs.keys().cloned().chain(old::files(data_dir).map(|(run_id, _)| run_id)).collect();
    let mut pages = Vec::new();
    for run_id in names {
        let source = Source::of(old, data_dir, &run_id)?;
        let built = source.restore(store)?;
        rebuilt.receipts += built.page.seq;
        rebuilt.notes.extend(built.notes.iter().cloned());
        if built.page.state == "frozen" {
            rebuilt.frozen.push(run_id);
        }
        pages.push(built);
    }
    let runs: Vec<_> = pages.iter().map(|built| built.page.clone()).collect();
    let mut tally = Tally::of(&runs, &old.purses);
    for built in &pages {
        for (agent, charge) in &built.charges {
            tally.count(&built.page.run_id, agent, *charge);
        }
    }
    for mut built in pages {
        built.page.sums = tally.counted(&Owner::run(&built.page.run_id));
        store.restore_run(&built.page, built.requests)?;
        rebuilt.runs += 1;
    }
    for purse in &old.purses {
        let owner = Owner { run_id: purse.run_id.clone(), agent: purse.agent.clone() };
        let mut purse = purse.clone();
        purse.sums = tally.counted(&owner);
        store.restore_purse(&purse)?;
    }
    for (id, card) in &old.cards {
        store.insert_card(id, card)?;
    }
    for (run_id, name) in &old.names {
        if let Ok(run_id) = run_id.parse() {
            store.save_name(&run_id, Some(name))?;
        }
    }
    for row in &old.audit {
        store.insert_audit(&row.as_row())?;
    }
    store.insert_audit(&AuditRow {
        at: clock::now(),
        who: "local",
        action: "rebuild",
        subject: "ledger",
        before: None,
        after: Some(format!("{} receipts", rebuilt.receipts)),
        note: Some(&rebuilt.notes.join("; ")),
    })?;
    Ok(())
}

/// Puts the new ledger in the old one's place and keeps the old one. A crash at any step leaves
/// either the old ledger, which a start refuses again, or the new one: never the old log beside
/// the new ledger.
pub(crate) fn replace(
    data_dir: &Path,
    path: &Path,
    fresh: &Path,
) -> anyhow::Result<Option<PathBuf>> {
    let old: Vec<PathBuf> = parts(path).into_iter().filter(|part| part.exists()).collect();
    let kept = data_dir.join("quarantine").join(format!("ledger-{}", clock::now().micros()));
    if !old.is_empty() {
        fs::create_dir_all(&kept)?;
        for part in &old {
            let name = part.file_name().context("a ledger without a name")?;
            // A second name for the same bytes; where the disk has no such thing, a copy.
            if fs::hard_link(part, kept.join(name)).is_err() {
                fs::copy(part, kept.join(name))?;
                File::open(kept.join(name))?.sync_all()?;
            }
        }
        sync_dir(&kept)?;
        sync_dir(&data_dir.join("quarantine"))?;
        for part in old.iter().filter(|part| *part != path) {
            remove(part)?;
        }
        sync_dir(&data_dir.join("gateway"))?;
    }
    fs::rename(fresh, path)?;
    sync_dir(&data_dir.join("gateway"))?;
    Ok((!old.is_empty()).then_some(kept))
}

/// A database and what SQLite keeps beside it.
fn parts(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes names in a directory last.
pub(crate) fn sync_dir(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

fn quarantined(data_dir: &Path) -> u64 {
    fs::read_dir(data_dir.join("quarantine")).map_or(0, |entries| entries.count() as u64)
}
