//! How providers did over the last hour: how long they took, whether their circuits were closed.
//!
//! The events of a provider carry its state of now; what a curve needs is kept here. Of each span
//! of fifteen seconds a fixed number of latencies is kept, which of them chosen evenly, so an hour
//! stays small at any rate. Refuses to know money and the screen.
//!
//! ```text
//! beats    azure-gpt4o  14:13:45  n 12  0.91 0.88 1.02 …   answers alone; failures have none
//! circuits azure-gpt4o  closed until 14:09:55, then open
//! ```

use std::collections::{BTreeMap, VecDeque};

use tollgate_shared::circuit::{CircuitState, CircuitView};
use tollgate_shared::id::ProviderName;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;

use super::history::SPAN_S;

/// What one provider did within one span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// The start of the span.
    pub start: Timestamp,
    /// Answers.
    pub answered: u64,
    /// Latencies of some of them, in milliseconds.
    pub sample: Vec<u32>,
}

/// A state of a circuit, and since when it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Since when; `None`: for as long as anybody remembers.
    pub since: Option<Timestamp>,
    /// The state.
    pub state: CircuitState,
}

/// The recent past of every provider.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    beats: BTreeMap<ProviderName, VecDeque<Beat>>,
    turns: BTreeMap<ProviderName, VecDeque<Turn>>,
}

impl Pulse {
    /// An attempt was settled.
    pub fn beat(&mut self, receipt: &Receipt) {
        if !receipt.status.is_answer() {
            return;
        }
        let Some(beats) = ring(&mut self.beats, &receipt.provider) else { return };
        let start = receipt.timestamp.floor_to(SPAN_S);
        let place = beats.iter().rposition(|beat| beat.start <= start);
        let at = match place {
            Some(index) if beats[index].start == start => index,
            _ => {
                let index = place.map_or(0, |index| index + 1);
                beats.insert(index, Beat { start, ..Beat::default() });
                index
            }
        };
        if let Some(beat) = beats.get_mut(at) {
            let ms = u32::try_from(receipt.latency_ms).unwrap_or(u32::MAX);
            beat.keep(ms);
        }
        if beats.len() > BEATS_MAX {
            beats.pop_front();
        }
    }

    /// A circuit is in this state, as was heard at `now`.
    pub fn turn(&mut self, name: &ProviderName, circuit: &CircuitView, now: Timestamp) {
        let Some(turns) = ring(&mut self.turns, name) else { return };
        // Only the first turn may be without a beginning: nobody knows what was before.
        let heard = (!turns.is_empty()).then_some(now);
        let turn = Turn { since: circuit.since.or(heard), state: circuit.state };
        match turns.back() {
            Some(known) if known.state == turn.state => {}
            // Two turns of one moment: the later word holds.
            Some(known) if known.since.is_some() && known.since >= turn.since => {
                turns.pop_back();
                turns.push_back(turn);
            }
            _ => turns.push_back(turn),
        }
        if turns.len() > TURNS_MAX {
            turns.pop_front();
        }
    }

    /// What a provider did, oldest first.
    pub fn beats(&self, name: &ProviderName) -> impl DoubleEndedIterator<Item = &Beat> {
        self.beats.get(name).into_iter().flatten()
    }

    /// The states of a circuit, oldest first.
    pub fn turns(&self, name: &ProviderName) -> impl DoubleEndedIterator<Item = Turn> {
        self.turns.get(name).into_iter().flatten().copied()
    }

    /// The pulse as it was at `at`.
    #[must_use]
    pub fn as_of(&self, at: Timestamp) -> Self {
        let mut pulse = self.clone();
        for beats in pulse.beats.values_mut() {
            beats.retain(|beat| beat.start <= at);
        }
        for turns in pulse.turns.values_mut() {
            turns.retain(|turn| turn.since.is_none_or(|since| since <= at));
        }
        pulse
    }
}

impl Beat {
    /// Counts an answer; once the sample is full, it takes the place of an earlier one as often as
    /// it takes for each to have the same chance.
    fn keep(&mut self, ms: u32) {
        if self.sample.len() < SAMPLE_MAX {
            self.sample.push(ms);
        } else {
            // No chance is involved: a golden stride visits places evenly and tells the same story
            // twice.
            let place = self.answered.wrapping_mul(STRIDE) % (self.answered + 1);
            if let Some(kept) = usize::try_from(place).ok().and_then(|at| self.sample.get_mut(at)) {
                *kept = ms;
            }
        }
        self.answered += 1;
    }
}

/// The ring of a provider; none for the name that would be one too many.
fn ring<'a, T>(
    rings: &'a mut BTreeMap<ProviderName, VecDeque<T>>,
    name: &ProviderName,
) -> Option<&'a mut VecDeque<T>> {
    if !rings.contains_key(name) {
        if rings.len() >= PROVIDERS_MAX {
            return None;
        }
        rings.insert(name.clone(), VecDeque::new());
    }
    rings.get_mut(name)
}

/// Spans kept: an hour.
const BEATS_MAX: usize = 240;

/// Latencies kept of one span; five minutes of them are 320, enough for a 95th.
const SAMPLE_MAX: usize = 16;

/// Turns kept of one circuit; one that flaps faster forgets the oldest.
const TURNS_MAX: usize = 256;

/// Providers with a pulse; a fleet of more is shown without curves.
const PROVIDERS_MAX: usize = 500;

/// A large odd number near the golden part of 2^64.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn answers_are_counted_in_their_span_and_failures_are_not() {
        let mut pulse = Pulse::default();
        for receipt in fixture::receipts() {
            pulse.beat(&receipt);
        }
        let name = "anthropic-son".parse().unwrap();
        let answered: u64 = pulse.beats(&name).map(|beat| beat.answered).sum();
        let kept: usize = pulse.beats(&name).map(|beat| beat.sample.len()).sum();
        assert_eq!((answered, kept), (3, 3), "the unknown and the cut off are no answers");
    }

    #[test]
    fn a_sample_is_bounded_and_takes_from_the_whole_span() {
        let mut beat = Beat::default();
        (0..2_000).for_each(|ms| beat.keep(ms));
        assert_eq!((beat.sample.len(), beat.answered), (SAMPLE_MAX, 2_000));
        assert!(beat.sample.iter().any(|ms| *ms > 1_000), "{:?}", beat.sample);
        assert!(beat.sample.iter().any(|ms| *ms < 1_000), "{:?}", beat.sample);
    }

    #[test]
    fn a_circuit_turns_once_however_often_it_is_told() {
        let mut pulse = Pulse::default();
        let name = "azure".parse().unwrap();
        let open = CircuitView {
            state: CircuitState::Open,
            since: Some(fixture::now()),
            ..CircuitView::default()
        };
        for circuit in [&CircuitView::default(), &open, &open] {
            pulse.turn(&name, circuit, fixture::now());
        }
        let turns: Vec<_> = pulse.turns(&name).map(|turn| turn.state).collect();
        assert_eq!(turns, [CircuitState::Closed, CircuitState::Open]);
        let before = pulse.as_of(fixture::now().plus_millis(-1));
        assert_eq!(before.turns(&name).count(), 1);
    }
}
