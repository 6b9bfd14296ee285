//! Receipt files for people and `jq`: `artifacts/costs/<run_id>.jsonl`.
//!
//! A projection of the ledger: what is missing, cut or altered in a file is put right from there,
//! and bytes that the ledger does not know are kept in `artifacts/quarantine/`. The ledger never
//! waits for these files and never believes them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollgate_shared::id::RunId;
use tollgate_shared::receipt::Receipt;

use crate::clock;
use crate::store::{Page, Reader, StoreError};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk or the directory said no.
    #[error("failed to write the receipts of run `{run_id}`: {error}")]
    Io {
        /// Whose.
        run_id: RunId,
        /// Why.
        error: std::io::Error,
    },
    /// The ledger could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The directory of receipt files, and how far each is written.
#[derive(Debug)]
pub struct ReceiptFiles {
    costs: PathBuf,
    quarantine: PathBuf,
    reader: Arc<Reader>,
    lengths: HashMap<RunId, u64>,
    /// Lines of files that were completed from the ledger, which may be ahead of what is told:
    /// those lines come once more, and are in the file already.
    ahead: HashMap<RunId, u64>,
    behind: BTreeMap<RunId, String>,
}

impl ReceiptFiles {
    /// The files beneath an artifacts directory.
    pub fn new(data_dir: &Path, reader: Arc<Reader>) -> Self {
        Self {
            costs: data_dir.join("costs"),
            quarantine: data_dir.join("quarantine"),
            reader,
            lengths: HashMap::new(),
            ahead: HashMap::new(),
            behind: BTreeMap::new(),
        }
    }

    /// Appends a run's newest lines. On failure the run is behind until [`Self::catch_up`].
    pub fn append(&mut self, run_id: &RunId, lines: &[Arc<str>]) {
        if self.behind.contains_key(run_id) {
            return;
        }
        let lines = self.beyond(run_id, lines);
        if lines.is_empty() {
            return;
        }
        if let Err(error) = self.try_append(run_id, lines) {
            tracing::error!(run.id = %run_id, %error, "receipts on disk are behind the ledger");
            self.behind.insert(run_id.clone(), error.to_string());
        }
    }

    /// Tries again to complete the files that are behind. Answers what still stands in the way.
    pub fn catch_up(&mut self) -> Vec<String> {
        for run_id in self.behind.keys().cloned().collect::<Vec<_>>() {
            match self.complete(&run_id) {
                Ok(_) => {
                    tracing::info!(run.id = %run_id, "receipts on disk are complete again");
                    self.behind.remove(&run_id);
                }
                Err(error) => {
                    self.behind.insert(run_id, error.to_string());
                }
            }
        }
        self.behind.values().cloned().collect()
    }

    /// Makes a run's file equal to the ledger: completes it, or puts it right. Answers its length.
    pub fn complete(&mut self, run_id: &RunId) -> Result<u64, FileError> {
        let lines = self.reader.lines(run_id, Page::default())?;
        self.ahead.insert(run_id.clone(), lines.len() as u64);
        let mut wanted = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in lines {
            wanted.push_str(&line);
            wanted.push('\n');
        }
        let wrap = |error| FileError::Io { run_id: run_id.clone(), error };
        fs::create_dir_all(&self.costs).map_err(wrap)?;
        let path = self.path(run_id);
        let found = read_plain(&path).map_err(wrap)?.unwrap_or_default();
        if wanted.as_bytes().starts_with(&found) {
            let missing = &wanted.as_bytes()[found.len()..];
            if !missing.is_empty() {
                open_plain(&path).and_then(|mut file| file.write_all(missing)).map_err(wrap)?;
            }
        } else {
            self.set_aside(run_id, &found).map_err(wrap)?;
            let fresh = path.with_extension("jsonl.new");
            fs::write(&fresh, &wanted).and_then(|()| fs::rename(&fresh, &path)).map_err(wrap)?;
        }
        let length = wanted.len() as u64;
        self.lengths.insert(run_id.clone(), length);
        Ok(length)
    }

    /// Whether a run's file ends in this hash, so that it need not be read whole at start.
    pub fn ends_in(&mut self, run_id: &RunId, hash: &str) -> bool {
        let path = self.path(run_id);
        let tail = format!(",\"hash\":\"{hash}\"}}\n");
        let ends =
            fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file).and_then(|meta| {
                use std::os::unix::fs::FileExt;
                let start = meta.len().checked_sub(tail.len() as u64)?;
                let mut bytes = vec![0; tail.len()];
                File::open(&path).ok()?.read_exact_at(&mut bytes, start).ok()?;
                (bytes == tail.as_bytes()).then_some(meta.len())
            });
        if let Some(length) = ends {
            self.lengths.insert(run_id.clone(), length);
        }
        ends.is_some()
    }

    /// The lines that a completed file does not have yet.
    fn beyond<'a>(&mut self, run_id: &RunId, lines: &'a [Arc<str>]) -> &'a [Arc<str>] {
        let Some(known) = self.ahead.get(run_id).copied() else { return lines };
        let seq = |line: &str| serde_json::from_str::<Receipt>(line).map(|receipt| receipt.seq);
        let written = lines.iter().take_while(|line| seq(line).is_ok_and(|seq| seq <= known));
        let fresh = lines.get(written.count()..).unwrap_or_default();
        if !fresh.is_empty() {
            self.ahead.remove(run_id);
        }
        fresh
    }

    fn try_append(&mut self, run_id: &RunId, lines: &[Arc<str>]) -> Result<(), FileError> {
        let path = self.path(run_id);
        let expected = self.lengths.get(run_id).copied().unwrap_or(0);
        // A file that is not as we left it (deleted, cut, edited, replaced) is put right instead.
        let length = fs::symlink_metadata(&path)
            .map_or(0, |meta| if meta.is_file() { meta.len() } else { u64::MAX });
        if length != expected || (expected == 0 && !self.costs.is_dir()) {
            return self.complete(run_id).map(drop);
        }
        let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        open_plain(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| FileError::Io { run_id: run_id.clone(), error })?;
        self.lengths.insert(run_id.clone(), expected + text.len() as u64);
        Ok(())
    }

    /// Keeps bytes that the ledger does not know where a person can look at them.
    fn set_aside(&self, run_id: &RunId, bytes: &[u8]) -> std::io::Result<()> {
        fs::create_dir_all(&self.quarantine)?;
        let name = format!("{run_id}-{}.jsonl", clock::now().micros());
        tracing::error!(run.id = %run_id, file = %name, "a receipt file was altered: its bytes are set aside");
        fs::write(self.quarantine.join(name), bytes)
    }

    fn path(&self, run_id: &RunId) -> PathBuf {
        self.costs.join(format!("{run_id}.jsonl"))
    }
}

/// Reads a file that is a file: a link, a pipe or a directory in its place is an error.
fn read_plain(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => {
            return Err(std::io::Error::other("something that is not a file stands in its place"));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn open_plain(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
