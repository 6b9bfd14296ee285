//! The providers: what is registered, and how each is doing.
//!
//! `providers.db` is the truth about registrations; a snapshot of it, swapped whole, is what
//! requests read, so choosing takes no lock and no I/O. Health is memory only and starts neutral;
//! what a person opened stays open.
//! Nothing is deleted: a removed provider becomes inactive.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rusqlite::Connection;
use tollgate_shared::alert;
use tollgate_shared::api::{ExpectedTokens, RouterStats};
use tollgate_shared::event::CircuitEvent;
use tollgate_shared::id::{ModelName, PriceId, ProviderName};
use tollgate_shared::price::PriceCard;
use tollgate_shared::provider::{ManagedBy, ProviderStatus, ProviderView, Registration};
use tollgate_shared::select::{Demand, Facts, Plan, plan};
use tollgate_shared::time::Timestamp;

use crate::clock;
use crate::hub::Hub;

mod changes;
mod live;
mod rows;
mod snapshot;

pub use changes::{Changed, Force, facts_of};
pub use live::{Live, Passage};
pub use snapshot::Snapshot;

/// Why the registry could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// SQLite said no.
    #[error("the provider database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A row does not hold what it must.
    #[error("the provider database holds a value that cannot be: {0}")]
    Corrupt(String),
    /// No provider of that name was ever registered.
    #[error("no provider is called `{0}`")]
    Unknown(ProviderName),
    /// The provider was removed: nothing goes there, so there is nothing to open or close.
    #[error("`{0}` was removed; register it first")]
    Inactive(ProviderName),
    /// The change was made against an older version.
    #[error("the provider is at version {current}, not {expected}")]
    Stale {
        /// What the caller had seen.
        expected: u64,
        /// What it is.
        current: u64,
    },
}

/// One provider and how it is doing.
#[derive(Debug)]
pub struct Entry {
    /// What was registered.
    pub registration: Registration,
    /// Its price card with its version.
    pub card: Arc<(PriceId, PriceCard)>,
    /// Whether it takes traffic.
    pub status: ProviderStatus,
    /// Counts its changes.
    pub version: u64,
    /// When it was first registered.
    pub registered_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How it is doing.
    pub live: Arc<Live>,
}

/// The registry.
#[derive(Debug)]
pub struct Registry {
    db: Mutex<Connection>,
    snapshot: ArcSwap<Snapshot>,
    hub: Hub,
}

/// A choice: the plan, and the entries its indices mean.
#[derive(Debug)]
pub struct Choice {
    /// Who was looked at.
    pub entries: Vec<Arc<Entry>>,
    /// The ranking, and the reasons of the rest.
    pub plan: Plan,
}

impl Entry {
    /// The provider as the wire shows it.
    pub fn view(&self, now: Timestamp) -> ProviderView {
        let provider = &self.registration;
        ProviderView {
            name: provider.name.clone(),
            model: provider.model.clone(),
            upstream_model: provider.upstream_model.clone(),
            context_window: provider.context_window,
            max_output_tokens: provider.max_output_tokens,
            cost_per_input_token: provider.card.input,
            cost_per_output_token: provider.card.output,
            pricing: provider.card.clone(),
            price_id: self.card.0.clone(),
            free: provider.free,
            endpoint: provider.endpoint.clone(),
            dialect: provider.dialect,
            features: provider.features.clone(),
            slo: provider.slo,
            limits: provider.limits,
            on_disconnect: provider.on_disconnect,
            bounded: provider.bounded,
            api_key_env: provider.api_key_env.clone(),
            status: self.status,
            version: self.version,
            registered_at: self.registered_at,
            updated_at: self.updated_at,
            managed_by: ManagedBy::Api,
            circuit: self.live.circuit(),
            quality: self.live.quality(now),
            last_error: self.live.last_error(),
        }
    }

    fn standing(&self, now: Timestamp) -> Facts<'_> {
        let quality = self.live.figures(now);
        let (circuit, admits) = self.live.admits(now);
        Facts {
            provider: &self.registration,
            circuit,
            admits,
            full: self.live.full(&self.registration.limits, now),
            p95_ms: quality.p95_ms,
            success_ppm: quality.success_ppm,
        }
    }
}

impl Registry {
    /// Opens or creates `providers.db` and reads it whole.
    pub fn open(path: &Path, hub: Hub) -> Result<Self, RegistryError> {
        let db = rows::open(path)?;
        let entries = rows::load(&db)?;
        let registry = Self { db: Mutex::new(db), snapshot: ArcSwap::default(), hub };
        registry.swap(entries);
        let now = clock::now();
        for entry in registry.snapshot().active() {
            registry.hub.provider(entry.view(now));
            let (name, circuit) = (&entry.registration.name, entry.live.circuit());
            if let Some(alert) = alert::of_circuit(name, &circuit, now) {
                registry.hub.alert(alert);
            }
            if !entry.registration.bounded {
                registry.hub.alert(alert::of_bound(&entry.registration.name, now));
            }
        }
        Ok(registry)
    }

    /// All providers as they are now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Ranks the providers of a model. Where none fits, every other one is looked at as well, so
    /// that each gets its reason.
    pub fn choose(&self, demand: &Demand<'_>) -> Choice {
        let (snapshot, now) = (self.snapshot.load(), clock::now());
        let of_model = snapshot.active_by_model.get(&demand.requirements.model);
        let mut entries: Vec<Arc<Entry>> = of_model.cloned().unwrap_or_default();
        let mut ranked = rank(&entries, demand, now);
        if ranked.candidates.is_empty() {
            entries = snapshot.active().cloned().collect();
            ranked = rank(&entries, demand, now);
        }
        Choice { entries, plan: ranked }
    }

    /// Lets a request go to a provider, or not where its circuit has closed in between.
    pub fn start(self: &Arc<Self>, entry: &Arc<Entry>) -> Option<Passage> {
        let changed = entry.live.start(clock::now())?;
        if changed {
            self.tell_circuit(entry);
        }
        Some(Passage::new(Arc::clone(self), Arc::clone(entry)))
    }

    /// Figures about the registry itself.
    pub fn stats(&self) -> RouterStats {
        let snapshot = self.snapshot();
        let (mut by_model, mut features) = (BTreeMap::new(), BTreeMap::new());
        let mut cheapest: BTreeMap<ModelName, (ProviderName, tollgate_shared::money::Usd)> =
            BTreeMap::new();
        for entry in snapshot.active() {
            let provider = &entry.registration;
            *by_model.entry(provider.model.clone()).or_insert(0) += 1;
            for feature in &provider.features {
                *features.entry(feature.clone()).or_insert(0) += 1;
            }
            let cost = provider.card.cost(&ExpectedTokens::default().into()).total();
            let best = cheapest.get(&provider.model).is_none_or(|(_, known)| cost < *known);
            if best {
                cheapest.insert(provider.model.clone(), (provider.name.clone(), cost));
            }
        }
        let active = snapshot.active().count();
        RouterStats {
            active,
            inactive: snapshot.all().count() - active,
            models: by_model.len(),
            by_model,
            features,
            cheapest: cheapest.into_iter().map(|(model, (name, _))| (model, name)).collect(),
        }
    }

    /// Tells the stream how every provider with traffic is doing.
    pub fn tell_quality(&self) {
        let now = clock::now();
        for entry in self.snapshot().active() {
            if entry.live.is_news(now) {
                self.hub.provider(entry.view(now));
            }
        }
    }

    /// Whether one more of a model's providers may be closed to traffic: never more than half. A
    /// circuit that a person opened does not count.
    fn may_open(&self, entry: &Entry) -> bool {
        let snapshot = self.snapshot.load();
        let Some(peers) = snapshot.active_by_model.get(&entry.registration.model) else {
            return true;
        };
        let open = peers.iter().filter(|peer| peer.live.opened_itself()).count();
        (open + 1) * 2 <= peers.len()
    }

    /// Tells a circuit that changed. What was removed, or is registered elsewhere meanwhile, has
    /// flights that end and no circuit any more: nobody could close what is told of it.
    fn tell_circuit(&self, entry: &Entry) {
        if !self.snapshot.load().is_served_by(entry) {
            return;
        }
        let (name, circuit) = (entry.registration.name.clone(), entry.live.circuit());
        match alert::of_circuit(&name, &circuit, clock::now()) {
            Some(alert) => self.hub.alert(alert),
            None => self.hub.resolve(&alert::circuit_id(&name)),
        }
        tracing::info!(provider.name = %name, state = ?circuit.state,
            reason = circuit.reason.as_deref().unwrap_or("closed"), "a circuit changed");
        self.hub.circuit(CircuitEvent::of(name, circuit));
    }

    fn swap(&self, entries: BTreeMap<ProviderName, Arc<Entry>>) {
        self.snapshot.store(Arc::new(Snapshot::of(entries)));
    }

    /// Whoever holds it is the only one who changes the snapshot.
    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rank(entries: &[Arc<Entry>], demand: &Demand<'_>, now: Timestamp) -> Plan {
    let facts: Vec<Facts<'_>> = entries.iter().map(|entry| entry.standing(now)).collect();
    plan(&facts, demand)
}
