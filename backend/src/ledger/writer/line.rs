//! Who waits for what, first come first served.
//!
//! An order waits at the account that refused it, or at its paused run. It may be tried when nobody
//! who came before it waits on any account that it needs: so a small request does not overtake a
//! large one at the same purse, and a full purse keeps nobody waiting elsewhere.

use std::collections::{BTreeMap, HashMap};

use tollgate_shared::budget::Owner;
use tollgate_shared::id::{AttemptId, RunId};

use super::HoldReply;
use crate::ledger::Order;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Money on an account.
    Account(Owner),
    /// A paused run to be resumed.
    Run(RunId),
}

/// An order and whom to answer.
pub(super) struct Waiting {
    pub order: Box<Order>,
    pub reply: HoldReply,
    /// When it came, by number.
    pub number: u64,
}

/// Every line.
#[derive(Default)]
pub(super) struct Lines {
    lines: HashMap<Place, BTreeMap<u64, Waiting>>,
    places: HashMap<AttemptId, (Place, u64)>,
    arrivals: u64,
}

impl Lines {
    /// A number for one who comes now.
    pub(super) fn arrive(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    /// Whether anybody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The first account of a path at which somebody waits who came before.
    pub(super) fn ahead(&self, path: &[Owner], number: u64) -> Option<Place> {
        path.iter().map(|owner| Place::Account(owner.clone())).find(|place| {
            let line = self.lines.get(place);
            line.and_then(|line| line.keys().next()).is_some_and(|first| *first < number)
        })
    }

    /// Puts one into a line, in the order of arrival.
    pub(super) fn wait(&mut self, place: Place, waiting: Waiting) {
        let attempt = waiting.order.receipt.attempt_id.clone();
        self.places.insert(attempt, (place.clone(), waiting.number));
        self.lines.entry(place).or_default().insert(waiting.number, waiting);
    }

    /// Takes the first out of a line.
    pub(super) fn first(&mut self, place: &Place) -> Option<Waiting> {
        let number = *self.lines.get(place)?.keys().next()?;
        self.remove(place, number)
    }

    /// Takes one out, wherever it waits; `None` where it was served.
    pub(super) fn take(&mut self, attempt_id: &AttemptId) -> Option<(Place, Waiting)> {
        let (place, number) = self.places.get(attempt_id)?.clone();
        let waiting = self.remove(&place, number)?;
        Some((place, waiting))
    }

    /// What one waits for.
    pub(super) fn place_of(&self, attempt_id: &AttemptId) -> Option<&Place> {
        self.places.get(attempt_id).map(|(place, _)| place)
    }

    /// Empties a line.
    pub(super) fn take_all(&mut self, place: &Place) -> Vec<Waiting> {
        let line = self.lines.remove(place).unwrap_or_default();
        for waiting in line.values() {
            self.places.remove(&waiting.order.receipt.attempt_id);
        }
        line.into_values().collect()
    }

    /// Every line in which somebody waits.
    pub(super) fn places(&self) -> Vec<Place> {
        self.lines.keys().cloned().collect()
    }

    fn remove(&mut self, place: &Place, number: u64) -> Option<Waiting> {
        let line = self.lines.get_mut(place)?;
        let waiting = line.remove(&number)?;
        if line.is_empty() {
            self.lines.remove(place);
        }
        self.places.remove(&waiting.order.receipt.attempt_id);
        Some(waiting)
    }
}
