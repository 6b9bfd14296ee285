//! What people and bills change about providers, and what of it stands in the audit.
//!
//! A registration is on disk before it counts. Its row in the audit is the ledger's, behind it: one
//! list in one order is worth more than the row of a change whose process died between the two.

use std::sync::Arc;

use tollgate_shared::alert;
use tollgate_shared::circuit::{CircuitState, CircuitView};
use tollgate_shared::id::ProviderName;
use tollgate_shared::provider::{ProviderStatus, Registration};
use tollgate_shared::time::Timestamp;

use super::{Entry, Live, Registry, RegistryError, rows};
use crate::clock;
use crate::ledger::{ITSELF, Recorded};
use crate::store::Facts;

/// A change of a registration.
#[derive(Debug)]
pub struct Changed {
    /// What was registered under the name, where anything was.
    pub before: Option<Arc<Entry>>,
    /// What is.
    pub entry: Arc<Entry>,
}

/// A person's word about a circuit.
#[derive(Clone, Debug)]
pub struct Force {
    /// What it is to be.
    pub state: CircuitState,
    /// Why.
    pub reason: String,
    /// When an open one lets a request through; `None` until a person acts.
    pub retry_at: Option<Timestamp>,
}

impl Changed {
    /// Whether the name was not active before.
    pub fn is_fresh(&self) -> bool {
        self.before.as_ref().is_none_or(|known| known.status == ProviderStatus::Inactive)
    }

    /// Whether anything is other than it was.
    pub fn is_change(&self) -> bool {
        self.before.as_ref().is_none_or(|known| known.version != self.entry.version)
    }
}

impl Entry {
    /// What operators decide about a provider, in words, for the audit.
    pub fn facts(&self) -> Facts {
        let provider = &self.registration;
        let status = match self.status {
            ProviderStatus::Active => "active",
            ProviderStatus::Inactive => "inactive",
        };
        let optional = |value: Option<u64>| value.map(|value| value.to_string());
        [
            ("status", Some(status.to_owned())),
            ("model", Some(provider.model.to_string())),
            ("endpoint", Some(provider.endpoint.as_str().to_owned())),
            ("context_window", Some(provider.context_window.to_string())),
            ("max_output_tokens", optional(provider.max_output_tokens)),
            ("cost_per_input_token", Some(provider.card.input.usd().to_string())),
            ("cost_per_output_token", Some(provider.card.output.usd().to_string())),
            ("price_id", Some(self.card.0.to_string())),
            ("features", Some(provider.features.join(" "))),
            ("bounded", Some(provider.bounded.to_string())),
            ("version", Some(self.version.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
    }
}

impl Entry {
    /// What a bill beyond the bound has changed.
    pub fn distrusted(&self) -> Recorded {
        let fact = |name: &str, value: &dyn ToString| (name.to_owned(), value.to_string());
        Recorded {
            who: ITSELF.into(),
            what: "unbound",
            subject: self.registration.name.to_string(),
            note: Some("it billed more than its bound".into()),
            before: Facts::from([fact("bounded", &true)]),
            after: Facts::from([fact("bounded", &false), fact("version", &self.version)]),
        }
    }
}

/// A circuit in words, for the audit.
pub fn facts_of(circuit: &CircuitView) -> Facts {
    let state = match circuit.state {
        CircuitState::Closed => "closed",
        CircuitState::HalfOpen => "half_open",
        CircuitState::Open => "open",
    };
    let retry_at = circuit.retry_at.map(|at| ("retry_at".to_owned(), at.to_string()));
    [("state".to_owned(), state.to_owned())].into_iter().chain(retry_at).collect()
}

impl Registry {
    /// Registers a provider.
    pub fn register(
        &self,
        registration: Registration,
        if_version: Option<u64>,
    ) -> Result<Changed, RegistryError> {
        let db = self.db();
        let now = clock::now();
        let mut entries = self.snapshot().entries.clone();
        let known = entries.get(&registration.name);
        check_version(if_version, known)?;
        let before = known.cloned();
        let fresh = known.is_none_or(|known| known.status == ProviderStatus::Inactive);
        let same_place = |known: &&Arc<Entry>| {
            let old = &known.registration;
            !fresh && (&old.endpoint, &old.model) == (&registration.endpoint, &registration.model)
        };
        // Prices may change; what was measured stays true as long as the place is the same.
        let kept = known.filter(same_place).map(|known| Arc::clone(&known.live));
        let elsewhere = || Arc::new(live_elsewhere(known.filter(|_| !fresh)));
        let live = kept.unwrap_or_else(elsewhere);
        let entry = Arc::new(Entry {
            card: Arc::new((registration.card.id(), registration.card.clone())),
            status: ProviderStatus::Active,
            version: known.map_or(1, |known| known.version + 1),
            registered_at: known.map_or(now, |known| known.registered_at),
            updated_at: now,
            live,
            registration,
        });
        rows::save(&db, &entry)?;
        entries.insert(entry.registration.name.clone(), Arc::clone(&entry));
        self.swap(entries);
        self.hub.provider(entry.view(now));
        self.hub.resolve(&alert::bound_id(&entry.registration.name));
        if entry.live.circuit().state == CircuitState::Closed {
            self.hub.resolve(&alert::circuit_id(&entry.registration.name));
        }
        Ok(Changed { before, entry })
    }

    /// Takes a provider out of traffic. What is in flight there goes on.
    pub fn remove(
        &self,
        name: &ProviderName,
        if_version: Option<u64>,
    ) -> Result<Changed, RegistryError> {
        let db = self.db();
        let now = clock::now();
        let mut entries = self.snapshot().entries.clone();
        let known = entries.get(name).ok_or_else(|| RegistryError::Unknown(name.clone()))?;
        check_version(if_version, Some(known))?;
        let before = Some(Arc::clone(known));
        if known.status == ProviderStatus::Inactive {
            return Ok(Changed { entry: Arc::clone(known), before });
        }
        let entry = Arc::new(Entry {
            registration: known.registration.clone(),
            card: Arc::clone(&known.card),
            status: ProviderStatus::Inactive,
            version: known.version + 1,
            registered_at: known.registered_at,
            updated_at: now,
            live: Arc::clone(&known.live),
        });
        rows::save(&db, &entry)?;
        entries.insert(name.clone(), Arc::clone(&entry));
        self.swap(entries);
        self.hub.provider(entry.view(now));
        self.hub.resolve(&alert::circuit_id(name));
        self.hub.resolve(&alert::bound_id(name));
        Ok(Changed { before, entry })
    }

    /// A bill went beyond what was held: runs with a limit do not use the provider any more, until
    /// somebody registers it anew.
    /// Answers the provider where this is news.
    pub fn lose_bound(&self, name: &ProviderName) -> Result<Option<Arc<Entry>>, RegistryError> {
        let db = self.db();
        let now = clock::now();
        let mut entries = self.snapshot().entries.clone();
        let known = entries.get(name).ok_or_else(|| RegistryError::Unknown(name.clone()))?;
        if !known.registration.bounded {
            return Ok(None);
        }
        let entry = Arc::new(Entry {
            registration: Registration { bounded: false, ..known.registration.clone() },
            card: Arc::clone(&known.card),
            status: known.status,
            version: known.version + 1,
            registered_at: known.registered_at,
            updated_at: now,
            live: Arc::clone(&known.live),
        });
        entries.insert(name.clone(), Arc::clone(&entry));
        // In memory first: a database that cannot be written must not keep it in use.
        self.swap(entries);
        self.hub.provider(entry.view(now));
        self.hub.alert(alert::of_bound(name, now));
        rows::save(&db, &entry)?;
        Ok(Some(entry))
    }

    /// Sets a circuit by a person's word. Answers what it was, and the provider as it is. One that
    /// is to be open until a person closes it is on disk before it counts.
    pub fn force_circuit(
        &self,
        name: &ProviderName,
        force: &Force,
        if_version: Option<u64>,
    ) -> Result<(CircuitView, Arc<Entry>), RegistryError> {
        let db = self.db();
        let now = clock::now();
        let snapshot = self.snapshot();
        let known = snapshot.get(name.as_str());
        let entry = known.ok_or_else(|| RegistryError::Unknown(name.clone()))?;
        check_version(if_version, known)?;
        if entry.status == ProviderStatus::Inactive {
            return Err(RegistryError::Inactive(name.clone()));
        }
        let before = entry.live.circuit();
        let is_held = force.state == CircuitState::Open && force.retry_at.is_none();
        rows::save_held(&db, name, is_held.then_some((force.reason.as_str(), now)))?;
        entry.live.force(force, now);
        self.tell_circuit(entry);
        Ok((before, Arc::clone(entry)))
    }
}

/// How a provider is doing at another place: nothing is known, but a person's word goes with it.
fn live_elsewhere(before: Option<&Arc<Entry>>) -> Live {
    let live = Live::default();
    if let Some((reason, since)) = before.and_then(|before| before.live.held_open()) {
        live.hold_open(&reason, since);
    }
    live
}

fn check_version(expected: Option<u64>, known: Option<&Arc<Entry>>) -> Result<(), RegistryError> {
    let current = known.map_or(0, |known| known.version);
    match expected.filter(|expected| *expected != current) {
        Some(expected) => Err(RegistryError::Stale { expected, current }),
        None => Ok(()),
    }
}
