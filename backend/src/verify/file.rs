//! A receipt file held against the ledger's lines, byte for byte and one line at a time.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use tollgate_shared::receipt::{Chain, ChainError, Receipt};

/// A receipt file that is being compared.
#[derive(Debug)]
pub(super) struct Compared {
    file: Option<BufReader<File>>,
    state: Agreement,
}

/// How far a file agrees with the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// In every byte so far.
    Equal,
    /// It ends before this receipt, perhaps within its line.
    Behind(u64),
    /// It has something else where this receipt should be.
    Altered(u64),
    /// It goes on after the ledger's last receipt, up to this one.
    Ahead(u64),
    /// It could not be read, or is no file.
    Unreadable(String),
}

impl Compared {
    /// Opens a file; one that is not there is behind from the first line on.
    pub(super) fn open(path: &Path) -> Self {
        let plain = match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_file() => File::open(path).map(Some),
            Ok(_) => Err(std::io::Error::other("something that is not a file stands there")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        match plain {
            Ok(file) => Self { file: file.map(BufReader::new), state: Agreement::Equal },
            Err(error) => Self { file: None, state: Agreement::Unreadable(error.to_string()) },
        }
    }

    /// Holds the next line of the ledger against the file.
    pub(super) fn next(&mut self, seq: u64, line: &str) {
        if self.state != Agreement::Equal {
            return;
        }
        let mut found = Vec::with_capacity(line.len() + 1);
        let read = match &mut self.file {
            Some(file) => file.read_until(b'\n', &mut found),
            None => Ok(0),
        };
        let wanted = line.as_bytes();
        self.state = match read {
            Err(error) => Agreement::Unreadable(error.to_string()),
            Ok(_) if found.strip_suffix(b"\n") == Some(wanted) => Agreement::Equal,
            Ok(_) if wanted.starts_with(&found) => Agreement::Behind(seq),
            Ok(_) => Agreement::Altered(seq),
        };
    }

    /// What the whole comparison comes to, after `seq` lines.
    pub(super) fn finish(mut self, seq: u64) -> Agreement {
        let (Agreement::Equal, Some(file)) = (&self.state, &mut self.file) else {
            return self.state;
        };
        let (mut rest, mut last) = (Vec::new(), None);
        loop {
            rest.clear();
            match file.read_until(b'\n', &mut rest) {
                Err(error) => return Agreement::Unreadable(error.to_string()),
                Ok(0) => break,
                Ok(_) => {
                    let text = std::str::from_utf8(&rest).ok().and_then(|t| t.strip_suffix('\n'));
                    let Some(receipt) = text.and_then(sealed) else {
                        return Agreement::Altered(last.unwrap_or(seq) + 1);
                    };
                    last = Some(receipt.seq);
                }
            }
        }
        last.map_or(Agreement::Equal, Agreement::Ahead)
    }
}

/// The receipt of a line whose own hash is right, wherever in a chain it stands.
pub fn sealed(line: &str) -> Option<Receipt> {
    match Chain::default().next(line) {
        Ok(receipt) => Some(receipt),
        Err(ChainError::OutOfPlace { .. } | ChainError::Unlinked { .. }) => {
            serde_json::from_str(line).ok()
        }
        Err(_) => None,
    }
}
