//! Lines of receipt files, each once.
//!
//! Remembers how far every file was read. A line without its end is a line that is being written;
//! a file that became shorter was written anew and is read from its beginning, for a receipt that
//! is known already counts once. Refuses to know what receipts mean.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tollgate_shared::receipt::Receipt;

/// Files and folders, and how far they were read.
#[derive(Debug)]
pub struct Sources {
    paths: Vec<PathBuf>,
    places: BTreeMap<PathBuf, u64>,
}

impl Sources {
    /// Nothing was read yet.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, places: BTreeMap::new() }
    }

    /// Adds every line that is new; lines that are no receipts are passed over.
    pub fn read(&mut self, receipts: &mut Vec<Receipt>) -> Result<(), String> {
        for path in self.files()? {
            let place = self.places.entry(path.clone()).or_default();
            more(&path, place, receipts).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Every file, those of folders included.
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        let mut found = Vec::new();
        for path in &self.paths {
            if !path.is_dir() {
                found.push(path.clone());
                continue;
            }
            let entries =
                path.read_dir().map_err(|error| format!("{}: {error}", path.display()))?;
            let lines = |path: &PathBuf| {
                path.extension().is_some_and(|end| end == "jsonl") && path.is_file()
            };
            found.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(lines));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// Reads a file on from its place.
fn more(path: &Path, place: &mut u64, receipts: &mut Vec<Receipt>) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length < *place {
        *place = 0;
    }
    if length == *place {
        return Ok(());
    }
    file.seek(SeekFrom::Start(*place))?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            // Its end is still to be written.
            return Ok(());
        }
        *place += u64::try_from(read).unwrap_or(0);
        if let Ok(receipt) = serde_json::from_slice(&line) {
            receipts.push(receipt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_torn_line_waits_and_every_line_comes_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("R-1.jsonl");
        let line = crate::fixture::receipts().remove(0).seal().unwrap();
        let (half, rest) = line.split_at(line.len() / 2);
        let mut file = File::create(&path).unwrap();
        let mut sources = Sources::new(vec![dir.path().to_owned()]);
        let mut count = || {
            let mut found = Vec::new();
            sources.read(&mut found).unwrap();
            found.len()
        };
        assert_eq!(count(), 0);
        write!(file, "{line}\n{half}").unwrap();
        assert_eq!(count(), 1);
        assert_eq!(count(), 0);
        write!(file, "{rest}\nnonsense\n{line}\n").unwrap();
        assert_eq!(count(), 2);
        std::fs::write(dir.path().join("note.txt"), "x\n").unwrap();
        std::fs::create_dir(dir.path().join("R-3.jsonl")).unwrap();
        std::fs::write(dir.path().join("R-2.jsonl"), format!("{line}\n")).unwrap();
        assert_eq!(count(), 1, "a new file of the folder");
        File::create(&path).unwrap();
        std::fs::write(&path, format!("{line}\n")).unwrap();
        assert_eq!(count(), 1, "a shorter file is another one");
        let mut missing = Sources::new(vec![dir.path().join("none")]);
        assert!(missing.read(&mut Vec::new()).is_err());
    }
}
