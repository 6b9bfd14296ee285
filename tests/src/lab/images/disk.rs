//! A disk as the journal of its calls describes it, and the images that a cut may leave of it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::lab::chance::Chance;
use crate::lab::flips::Files;

/// One call that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub event: Event,
    /// Its file, from the data directory; of [`Event::Told`] what was told.
    pub path: String,
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = &self.path;
        match &self.event {
            Event::Write(at, bytes) => write!(f, "write {path} {at}+{}", bytes.len()),
            Event::Size(length) => write!(f, "size {path} {length}"),
            other => write!(f, "{other:?} {path}"),
        }
    }
}

/// What a call does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// There is an empty file.
    Create,
    /// Bytes at a place.
    Write(usize, Vec<u8>),
    /// It is so long.
    Size(usize),
    /// What was done to it so far is on the disk.
    Sync,
    /// It has another name.
    Rename(String),
    /// It is gone.
    Remove,
    /// A client heard an answer.
    Told,
}

/// Files as they are, and as they may be after a cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(BTreeMap<String, Inode>);

/// A file: what is on the disk for certain, and what was done to it since.
#[derive(Clone, Debug, Default)]
struct Inode {
    synced: Option<Vec<u8>>,
    since: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    /// Its bytes after a call.
    Bytes(Vec<u8>),
    /// Its bytes after it was cut short: whole or not at all, and before whatever comes after it,
    /// for a length is one number, and what is written behind it goes to other blocks.
    Cut(Vec<u8>),
    /// The name stands for another file, or for none.
    Name(Option<Box<Inode>>),
}

/// How the sectors of a file are chosen in an image.
#[derive(Clone, Copy, Debug)]
enum Style {
    /// Nothing after the last sync.
    Nothing,
    /// Everything but one sector.
    AllButOne,
    /// One sector.
    One,
    /// Each by chance.
    Any,
}

impl Disk {
    /// Everything is on the disk for certain.
    pub(super) fn of(files: &Files) -> Self {
        let inode = |bytes: &Vec<u8>| Inode { synced: Some(bytes.clone()), since: Vec::new() };
        let named = |path: &Path| path.to_string_lossy().into_owned();
        Self(files.iter().map(|(path, bytes)| (named(path), inode(bytes))).collect())
    }

    /// A call is made.
    pub(super) fn take(&mut self, record: &Record) {
        if let Event::Rename(to) = &record.event {
            let moved = self.0.get(&record.path).cloned();
            self.change(&record.path, Change::Name(None));
            self.change(to, Change::Name(moved.map(Box::new)));
            return;
        }
        let inode = self.0.entry(record.path.clone()).or_default();
        let mut bytes = inode.latest().unwrap_or_default();
        match &record.event {
            Event::Create => inode.since.push(Change::Bytes(Vec::new())),
            Event::Write(at, written) => {
                let end = at + written.len();
                bytes.resize(bytes.len().max(end), 0);
                if let Some(place) = bytes.get_mut(*at..end) {
                    place.copy_from_slice(written);
                }
                inode.since.push(Change::Bytes(bytes));
            }
            Event::Size(length) => {
                let is_cut = *length < bytes.len();
                bytes.resize(*length, 0);
                inode.since.push(if is_cut { Change::Cut(bytes) } else { Change::Bytes(bytes) });
            }
            Event::Sync => {
                inode.synced = inode.latest();
                inode.since.clear();
            }
            Event::Remove => inode.since.push(Change::Name(None)),
            Event::Rename(_) | Event::Told => {}
        }
    }

    fn change(&mut self, path: &str, change: Change) {
        self.0.entry(path.to_owned()).or_default().since.push(change);
    }

    /// Every file as the process sees it.
    pub(super) fn latest(&self) -> Files {
        let files = self.0.iter().filter_map(|(path, inode)| Some((path, inode.latest()?)));
        files.map(|(path, bytes)| (PathBuf::from(path), bytes)).collect()
    }

    /// Every file as a cut may leave it, and how many sectors are not their latest.
    pub(super) fn image(&self, chance: &mut Chance) -> (Files, u64) {
        let sector = if chance.once_in(2) { 512 } else { 4_096 };
        let mut dropped = 0;
        let mut files = Files::new();
        for (path, inode) in &self.0 {
            if let Some(bytes) = inode.choose(sector, chance, &mut dropped) {
                files.insert(PathBuf::from(path), bytes);
            }
        }
        (files, dropped)
    }
}

impl Inode {
    fn latest(&self) -> Option<Vec<u8>> {
        match self.since.last() {
            None => self.synced.clone(),
            Some(Change::Bytes(bytes) | Change::Cut(bytes)) => Some(bytes.clone()),
            Some(Change::Name(other)) => other.as_ref().and_then(|inode| inode.latest()),
        }
    }

    fn choose(&self, sector: usize, chance: &mut Chance, dropped: &mut u64) -> Option<Vec<u8>> {
        let mut base = self.synced.clone();
        let mut versions: Vec<&[u8]> = Vec::new();
        for change in &self.since {
            match change {
                Change::Bytes(bytes) => versions.push(bytes),
                // What was done from here on has not come to the disk.
                Change::Cut(_) | Change::Name(_) if chance.once_in(2) => {
                    *dropped += 1;
                    break;
                }
                Change::Cut(bytes) => {
                    let known = base.take().unwrap_or_default();
                    let all: Vec<&[u8]> =
                        std::iter::once(known.as_slice()).chain(versions.drain(..)).collect();
                    let mut cut = mixed(&all, sector, chance, dropped);
                    cut.resize(bytes.len(), 0);
                    base = Some(cut);
                }
                Change::Name(other) => {
                    base = other.as_ref().and_then(|inode| inode.choose(sector, chance, dropped));
                    versions.clear();
                }
            }
        }
        if versions.is_empty() {
            return base;
        }
        if base.is_none() && chance.once_in(4) {
            *dropped += 1;
            return None;
        }
        let base = base.unwrap_or_default();
        let all: Vec<&[u8]> = std::iter::once(base.as_slice()).chain(versions).collect();
        Some(mixed(&all, sector, chance, dropped))
    }
}

/// A file of which every sector has one of its versions, and which has one of its lengths.
fn mixed(versions: &[&[u8]], sector: usize, chance: &mut Chance, dropped: &mut u64) -> Vec<u8> {
    const STYLES: [Style; 6] =
        [Style::Nothing, Style::AllButOne, Style::AllButOne, Style::One, Style::Any, Style::Any];
    let style = chance.pick(&STYLES).copied().unwrap_or(Style::Any);
    let last = versions.len() - 1;
    let length = match style {
        Style::Nothing => versions.first().map_or(0, |bytes| bytes.len()),
        // Long enough, so that the sector that is missing is a hole.
        Style::AllButOne => versions.last().map_or(0, |bytes| bytes.len()),
        Style::One | Style::Any => chance.pick(versions).map_or(0, |bytes| bytes.len()),
    };
    let mut image = vec![0; length];
    let changed: Vec<Vec<usize>> =
        (0..length.div_ceil(sector)).map(|at| changes(versions, at * sector, sector)).collect();
    let moved: Vec<usize> = (0..changed.len()).filter(|at| changed[*at].len() > 1).collect();
    let lone = chance.pick(&moved).copied();
    for (at, places) in changed.iter().enumerate() {
        let place = match style {
            Style::Nothing => 0,
            Style::AllButOne if Some(at) == lone => 0,
            Style::AllButOne => last,
            Style::One if Some(at) == lone => last,
            Style::One => 0,
            Style::Any => chance.pick(places).copied().unwrap_or(0),
        };
        let latest = part(versions, last, at * sector, sector);
        let chosen = part(versions, place, at * sector, sector);
        if chosen != latest {
            *dropped += 1;
        }
        let end = (at * sector + chosen.len()).min(length);
        if let Some(space) = image.get_mut(at * sector..end) {
            let bytes = space.len();
            space.copy_from_slice(&chosen[..bytes]);
        }
    }
    image
}

/// Versions in which a sector is another than in the one before; the first is always among them.
fn changes(versions: &[&[u8]], start: usize, sector: usize) -> Vec<usize> {
    let is_change = |place: &usize| {
        *place == 0
            || part(versions, *place, start, sector) != part(versions, *place - 1, start, sector)
    };
    (0..versions.len()).filter(is_change).collect()
}

/// A sector of a version, as far as the version goes.
fn part<'a>(versions: &[&'a [u8]], place: usize, start: usize, sector: usize) -> &'a [u8] {
    let bytes = versions.get(place).copied().unwrap_or_default();
    let start = start.min(bytes.len());
    bytes.get(start..(start + sector).min(bytes.len())).unwrap_or_default()
}

/// Notes in a journal that a client heard an answer.
pub(super) fn tell(journal: &Path, what: &str) -> anyhow::Result<()> {
    let line = format!("told {what} 0 0\n\n");
    Ok(OpenOptions::new().append(true).open(journal)?.write_all(line.as_bytes())?)
}

/// Reads a journal; a process that was killed may leave its last record torn, which is left out.
pub(super) fn read(mut journal: &[u8]) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    while let Some(end) = journal.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = journal.split_at(end);
        let line = std::str::from_utf8(line)?;
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, path, offset, length] = words[..] else { anyhow::bail!("`{line}`") };
        let (offset, length) = (offset.parse()?, length.parse::<usize>()?);
        let Some(bytes) = rest.get(1..=length) else { break };
        journal = rest.get(length + 2..).unwrap_or_default();
        let event = match kind {
            "create" => Event::Create,
            "write" => Event::Write(offset, bytes.to_vec()),
            "size" => Event::Size(offset),
            "sync" => Event::Sync,
            "rename" => Event::Rename(String::from_utf8(bytes.to_vec())?),
            "remove" => Event::Remove,
            "told" => Event::Told,
            other => anyhow::bail!("`{other}` is no call"),
        };
        records.push(Record { event, path: path.to_owned() });
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(events: &[(&str, Event)]) -> Disk {
        let mut disk = Disk::default();
        for (path, event) in events {
            disk.take(&Record { event: event.clone(), path: (*path).to_owned() });
        }
        disk
    }

    #[test]
    fn what_was_synced_is_in_every_image_and_what_was_not_is_in_some() {
        let write = |at, byte| Event::Write(at, vec![byte; 512]);
        let disk = disk(&[
            ("a", Event::Create),
            ("a", write(0, 1)),
            ("a", Event::Sync),
            ("a", write(512, 2)),
            ("a", write(1_024, 3)),
        ]);
        let mut chance = Chance::new(1);
        let (mut holes, mut whole, mut none) = (0, 0, 0);
        for _ in 0..400 {
            let (files, _) = disk.image(&mut chance);
            let bytes = &files[Path::new("a")];
            assert_eq!(bytes[..512], [1; 512]);
            match bytes.get(512..) {
                Some([]) | None => none += 1,
                Some([0, .., 3]) => holes += 1,
                Some([2, .., 3]) => whole += 1,
                Some(_) => {}
            }
        }
        assert!(holes > 10 && whole > 10 && none > 10, "{holes} {whole} {none}");
    }

    #[test]
    fn a_name_is_that_of_the_old_file_or_of_the_new_one() {
        let write = |byte| Event::Write(0, vec![byte]);
        let disk = disk(&[
            ("a", Event::Create),
            ("a", write(1)),
            ("a", Event::Sync),
            ("b", Event::Create),
            ("b", write(2)),
            ("b", Event::Sync),
            ("b", Event::Rename("a".into())),
        ]);
        assert_eq!(disk.latest(), Files::from([(PathBuf::from("a"), vec![2])]));
        let mut chance = Chance::new(2);
        let images: Vec<Files> = (0..50).map(|_| disk.image(&mut chance).0).collect();
        assert!(images.iter().any(|files| files[Path::new("a")] == [1]));
        assert!(images.iter().any(|files| files[Path::new("a")] == [2]));
    }

    #[test]
    fn a_file_is_cut_short_whole_or_not_at_all() {
        let disk = disk(&[
            ("a", Event::Create),
            ("a", Event::Write(0, vec![1; 4_096])),
            ("a", Event::Sync),
            ("a", Event::Size(0)),
            ("a", Event::Write(0, vec![2; 32])),
        ]);
        let mut chance = Chance::new(3);
        let images = (0..50).map(|_| disk.image(&mut chance).0[Path::new("a")].clone());
        for bytes in images {
            assert!(matches!(bytes.len(), 0 | 32) || bytes == [1; 4_096], "{}", bytes.len());
        }
    }

    #[test]
    fn a_journal_is_read_back_and_its_torn_end_is_left_out() {
        let text =
            b"create a 0 0\n\nwrite a 3 2\n\n\n\nsync a 0 0\n\ntold x 0 0\n\nwrite a 0 9\nab";
        let records = read(text).unwrap();
        let events: Vec<Event> = records.into_iter().map(|record| record.event).collect();
        let written = Event::Write(3, b"\n\n".to_vec());
        assert_eq!(events, [Event::Create, written, Event::Sync, Event::Told]);
    }
}
