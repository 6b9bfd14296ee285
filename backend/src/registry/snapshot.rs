//! All providers at one moment, to be read without a lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tollgate_shared::id::{ModelName, ProviderName};
use tollgate_shared::provider::ProviderStatus;

use crate::registry::Entry;

/// All providers at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub(super) entries: BTreeMap<ProviderName, Arc<Entry>>,
    pub(super) active_by_model: HashMap<ModelName, Vec<Arc<Entry>>>,
}

impl Snapshot {
    pub(super) fn of(entries: BTreeMap<ProviderName, Arc<Entry>>) -> Self {
        let mut active_by_model: HashMap<ModelName, Vec<Arc<Entry>>> = HashMap::new();
        for entry in entries.values().filter(|entry| entry.status == ProviderStatus::Active) {
            active_by_model
                .entry(entry.registration.model.clone())
                .or_default()
                .push(Arc::clone(entry));
        }
        Self { entries, active_by_model }
    }

    /// Those that take traffic, by name.
    pub fn active(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values().filter(|entry| entry.status == ProviderStatus::Active)
    }

    /// Everyone who was ever registered, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.entries.get(name)
    }

    /// Whether traffic of this entry's provider goes where it goes for this entry, and not
    /// elsewhere, or nowhere, since the provider was registered anew or removed.
    pub(super) fn is_served_by(&self, entry: &Entry) -> bool {
        let known = self.entries.get(&entry.registration.name);
        known.is_some_and(|known| {
            known.status == ProviderStatus::Active && Arc::ptr_eq(&known.live, &entry.live)
        })
    }
}
