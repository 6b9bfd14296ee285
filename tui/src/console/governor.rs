//! When to draw.
//!
//! At once after a key, at most so many times a second after data, and more seldom where the
//! terminal takes long to take a frame. Refuses to know what is drawn.

use std::time::Duration;

use tokio::time::Instant;

/// When to draw.
pub(super) struct Governor {
    gap: Duration,
    slow: u32,
    last: Instant,
    dirty: Option<bool>,
}

impl Governor {
    /// At most `fps` frames a second.
    pub fn new(fps: u32) -> Self {
        let gap = Duration::from_secs(1) / fps.clamp(1, FPS_MAX);
        Self { gap, slow: 0, last: Instant::now(), dirty: None }
    }

    /// Another number of frames a second.
    pub fn gap(&mut self, fps: u32) {
        self.gap = Duration::from_secs(1) / fps.clamp(1, FPS_MAX);
    }

    /// Something changed; what a person did is urgent, what came over the wire is not.
    pub fn dirty(&mut self, is_urgent: bool) {
        self.dirty = Some(is_urgent || self.dirty == Some(true));
    }

    /// Whether a frame is owed at all.
    pub fn is_dirty(&self) -> bool {
        self.dirty.is_some()
    }

    /// The earliest moment of a frame that is not urgent.
    pub fn due(&self) -> Instant {
        self.last + self.gap * (1 << self.slow)
    }

    /// Whether a frame should be drawn now.
    pub fn is_time(&self) -> bool {
        match self.dirty {
            None => false,
            Some(true) => true,
            Some(false) => Instant::now() >= self.due(),
        }
    }

    /// A write that took long to drain doubles the gap; a quick one halves it again.
    pub fn drawn(&mut self, took: Duration) {
        self.slow = match took >= SLOW {
            true => (self.slow + 1).min(4),
            false => self.slow.saturating_sub(1),
        };
        self.last = Instant::now();
        self.dirty = None;
    }
}

/// Most frames a second that can be asked for.
const FPS_MAX: u32 = 30;

/// A write that took this long means that the terminal cannot follow.
const SLOW: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_terminals_are_drawn_on_more_seldom() {
        let mut governor = Governor::new(4);
        assert!(!governor.is_time());
        governor.dirty(true);
        assert!(governor.is_time(), "at once after a key");
        governor.drawn(Duration::from_millis(60));
        assert_eq!(governor.due() - governor.last, Duration::from_millis(500));
        governor.drawn(Duration::from_millis(60));
        assert_eq!(governor.due() - governor.last, Duration::from_secs(1));
        governor.dirty(false);
        assert!(!governor.is_time(), "data wait");
        governor.drawn(Duration::ZERO);
        governor.drawn(Duration::ZERO);
        assert_eq!(governor.due() - governor.last, Duration::from_millis(250));
    }
}
