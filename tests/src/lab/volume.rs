//! File systems of our own: one whose plug can be pulled, and a small one that can be filled.
//!
//! Both want root and the ordinary tools of Linux; where one is missing, the reason says so and the
//! fault is not run. A volume is unmounted when it is dropped.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use tempfile::TempDir;

/// A mounted file system.
#[derive(Debug)]
pub struct Volume {
    home: TempDir,
    kind: Kind,
}

/// What it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ext4 in a file, mounted through a loop device: a power cut can be had for it.
    Ext4 {
        /// Its size.
        mib: u32,
    },
    /// Memory, with a limit: it can be filled in no time.
    Memory {
        /// Its size.
        mib: u32,
    },
}

impl Volume {
    /// Makes it and mounts it. The error says why this machine cannot.
    pub fn new(kind: Kind) -> Result<Self, String> {
        let home =
            tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let volume = Self { home, kind };
        volume.make().map_err(|error| format!("no mounts of our own here: {error:#}"))?;
        Ok(volume)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.home.path().join("mount")
    }

    fn image(&self) -> PathBuf {
        self.home.path().join("image")
    }

    fn make(&self) -> anyhow::Result<()> {
        fs::create_dir(self.path())?;
        if let Kind::Ext4 { mib } = self.kind {
            File::create(self.image())?.set_len(u64::from(mib) << 20)?;
            run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), &self.image()])?;
        }
        self.mount()
    }

    /// Mounts it; after a power cut this replays its journal.
    pub fn mount(&self) -> anyhow::Result<()> {
        match self.kind {
            // Sizes are then written with the journal, so a cut that keeps metadata can leave a
            // file that is long enough and full of zeros.
            Kind::Ext4 { .. } => run(
                "mount",
                &["-o".as_ref(), "loop,nodelalloc".as_ref(), &self.image(), &self.path()],
            ),
            Kind::Memory { mib } => {
                let size = format!("size={mib}m");
                let words = ["-t", "tmpfs", "-o", &size, "tmpfs"].map(Path::new);
                run("mount", &[&words[..], &[&self.path()]].concat())
            }
        }
    }

    /// Unmounts it.
    pub fn unmount(&self) -> anyhow::Result<()> {
        run("umount", &[&self.path()])
    }

    /// Takes all the room there is.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut filler = OpenOptions::new().append(true).create(true).open(self.filler())?;
        // Large pieces first, then down to what would hold one page.
        let mut piece = vec![0x5a_u8; 1 << 20];
        while !piece.is_empty() {
            if filler.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 4);
            }
        }
        Ok(())
    }

    /// Gives it back.
    pub fn free(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // What still uses it keeps it until then; nothing else can be done about it here.
        Command::new("umount").arg("-l").arg(self.path()).output().ok();
    }
}

fn run(program: &str, words: &[&Path]) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(words)
        .output()
        .map_err(|error| anyhow::anyhow!("no `{program}`: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}", said.trim());
    Ok(())
}

/// Flags of a backend that keeps no room for itself: laying a ballast takes longer than a story.
pub const NO_RESERVE: [&str; 4] = ["--ballast-mib", "0", "--storage-low-water-mib", "0"];
