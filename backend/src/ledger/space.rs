//! Room on the disk: refused before it is gone, with a reserve for what is in flight.
//!
//! A ballast file stands beside the ledger. When the disk is full it is given up, so that the
//! settlements of what was already sent find room; new money waits until there is enough again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Reserve;

/// The disk under the ledger.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    reserve: Reserve,
    looked_at: Option<Instant>,
    is_low: bool,
    has_ballast: bool,
}

impl Space {
    pub(super) fn new(dir: &Path, reserve: Reserve) -> Self {
        // One that a crash cut short is none.
        let length = fs::metadata(dir.join(BALLAST)).map_or(0, |meta| meta.len());
        let has_ballast = length == reserve.ballast;
        let mut space =
            Self { dir: dir.into(), reserve, looked_at: None, is_low: false, has_ballast };
        // Now, when nobody waits yet.
        space.is_low(0);
        space
    }

    /// Whether there is too little room for new money, with so many holds to be settled.
    pub(super) fn is_low(&mut self, open_holds: usize) -> bool {
        if self.reserve.low_water == 0 && !self.is_low {
            return false;
        }
        if self.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return self.is_low;
        }
        self.looked_at = Some(Instant::now());
        let owed = SETTLEMENT_BYTES.saturating_mul(open_holds as u64);
        let wanted = self.reserve.low_water.max(FLOOR).saturating_add(owed);
        let Some(free) = self.free() else { return self.is_low };
        let was_low = std::mem::replace(&mut self.is_low, free < wanted);
        match (was_low, self.is_low) {
            (false, true) => tracing::error!(free, wanted, "the disk is nearly full: no new money"),
            (true, false) => tracing::info!(free, "there is room on the disk again"),
            _ => {}
        }
        if !self.is_low && !self.has_ballast && free >= wanted + self.reserve.ballast {
            self.lay_ballast();
        }
        self.is_low
    }

    /// The disk is full: room for what is owed, and no new money until there is enough.
    pub(super) fn give_up_ballast(&mut self) {
        self.is_low = true;
        self.looked_at = Some(Instant::now());
        if fs::remove_file(self.dir.join(BALLAST)).is_ok() {
            tracing::error!("the disk is full: the ballast is given up for settlements");
        }
        self.has_ballast = false;
    }

    fn free(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(&self.dir).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Bytes that no file system can store in less room than they take.
    fn lay_ballast(&mut self) {
        if self.reserve.ballast == 0 {
            self.has_ballast = true;
            return;
        }
        let path = self.dir.join(BALLAST);
        let written = fs::File::create(&path).and_then(|mut file| {
            let (mut state, mut left) = (0x9e37_79b9_7f4a_7c15_u64, self.reserve.ballast);
            let mut block = vec![0_u8; 1 << 16];
            while left > 0 {
                for word in block.chunks_exact_mut(8) {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    word.copy_from_slice(&state.to_le_bytes());
                }
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
                file.write_all(&block[..most])?;
                left -= most as u64;
            }
            Ok(())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "no room for the ballast");
            fs::remove_file(&path).ok();
        }
        self.has_ballast = true;
    }
}

/// The file that is given up.
const BALLAST: &str = "ballast";

/// Room that one settlement can take: its receipt, its rows, their pages in log and database.
const SETTLEMENT_BYTES: u64 = 16 * 1_024;

/// Room wanted after the disk was full, whatever the low water is.
const FLOOR: u64 = 1 << 20;

/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
