//! Doors of the provider router.

use std::sync::Arc;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tollgate_shared::api::{
    Alternative, Estimate, Health, ProbeView, ProviderList, RouterStats, SelectAnswer,
    SelectRequest,
};
use tollgate_shared::circuit::CircuitState;
use tollgate_shared::id::ProviderName;
use tollgate_shared::provider::{ProviderView, Registration};
use tollgate_shared::select::{Candidate, Demand};

use crate::api::change::Origin;
use crate::api::{Problem, Rooms, problem, read};
use crate::clock;
use crate::ledger::{Note, Recorded};
use crate::registry::{Changed, Choice, Entry, Force, Registry, RegistryError, facts_of};
use crate::store::Key;

/// `POST /register`: 201 when the name was not active, 200 when it replaced an active one.
pub(super) async fn register(
    State(rooms): State<Rooms>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<Response, Problem> {
    let registration = Registration::from_body(read::object(body).await?)?;
    let version = read::if_match(&headers)?;
    let name = registration.name.clone();
    if origin.repeated {
        let shown = show(State(rooms), read::Segment(name.to_string())).await?;
        return Ok(shown.into_response());
    }
    let changed = in_registry(&rooms, &name, move |it| it.register(registration, version)).await?;
    record_provider(&rooms, origin, "register", &changed).await;
    let status = if changed.is_fresh() { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(changed.entry.view(clock::now()))).into_response())
}

/// Filters of `GET /providers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    model: Option<String>,
    min_context: Option<u64>,
    feature: Option<String>,
    status: Option<String>,
}

/// `GET /providers`: active ones; `?status=all` shows the rest.
pub(super) async fn list(
    State(rooms): State<Rooms>,
    read::Query(query): read::Query<ListQuery>,
) -> Result<Json<ProviderList>, Problem> {
    let all = match query.status.as_deref() {
        None | Some("active") => false,
        Some("all") => true,
        Some(_) => return Err(Problem::field("status", "it is neither `active` nor `all`")),
    };
    let fits = |entry: &&Arc<Entry>| {
        let provider = &entry.registration;
        query.model.as_ref().is_none_or(|model| provider.model.as_str() == model)
            && query.min_context.is_none_or(|least| provider.context_window >= least)
            && query.feature.as_ref().is_none_or(|feature| provider.features.contains(feature))
    };
    let (snapshot, now) = (rooms.gateway.registry.snapshot(), clock::now());
    let providers: Vec<ProviderView> = if all {
        snapshot.all().filter(fits).map(|entry| entry.view(now)).collect()
    } else {
        snapshot.active().filter(fits).map(|entry| entry.view(now)).collect()
    };
    let count = providers.len();
    Ok(Json(ProviderList { providers, count }))
}

/// `GET /providers/{name}`, also when it is inactive.
pub(super) async fn show(
    State(rooms): State<Rooms>,
    read::Segment(name): read::Segment,
) -> Result<Json<ProviderView>, Problem> {
    let name: ProviderName = read::name("name", &name)?;
    let snapshot = rooms.gateway.registry.snapshot();
    let entry = snapshot.get(name.as_str()).ok_or(RegistryError::Unknown(name))?;
    Ok(Json(entry.view(clock::now())))
}

/// `DELETE /providers/{name}`: it becomes inactive; doing it twice is the same.
pub(super) async fn remove(
    State(rooms): State<Rooms>,
    read::Segment(name): read::Segment,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
) -> Result<Json<ProviderView>, Problem> {
    let name: ProviderName = read::name("name", &name)?;
    let version = read::if_match(&headers)?;
    if origin.repeated {
        return show(State(rooms), read::Segment(name.to_string())).await;
    }
    let removed = name.clone();
    let changed = in_registry(&rooms, &name, move |it| it.remove(&removed, version)).await?;
    if changed.is_change() {
        record_provider(&rooms, origin, "remove", &changed).await;
    } else if origin.key.is_some() {
        // Sent again when the name is registered anew, it is still the request that was answered.
        rooms.gateway.ledger.note(Note { key: origin.key, ..Note::default() }).await?;
    }
    Ok(Json(changed.entry.view(clock::now())))
}

/// `POST /providers/{name}/circuit`: `{"state":"open","reason":"maintenance","for_s":600}`.
pub(super) async fn force_circuit(
    State(rooms): State<Rooms>,
    read::Segment(name): read::Segment,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<Json<ProviderView>, Problem> {
    let name: ProviderName = read::name("name", &name)?;
    let mut body = read::object(body).await?;
    let state: CircuitState = body.require("state")?;
    let reason: String = body.take("reason")?.unwrap_or_else(|| "set by an operator".into());
    let for_s: Option<u32> = body.take("for_s")?;
    body.finish()?;
    if reason.len() > REASON_MAX || reason.chars().any(char::is_control) {
        return Err(Problem::field(
            "reason",
            format_args!("longer than {REASON_MAX} or with controls"),
        ));
    }
    if for_s.is_some() && state != CircuitState::Open {
        return Err(Problem::field("for_s", "only an open circuit has a time to close"));
    }
    let version = read::if_match(&headers)?;
    let retry_at = for_s.map(|seconds| clock::now().plus_millis(i64::from(seconds) * 1_000));
    let force = Force { state, reason: reason.clone(), retry_at };
    if origin.repeated {
        return show(State(rooms), read::Segment(name.to_string())).await;
    }
    let of = name.clone();
    let forced = in_registry(&rooms, &name, move |it| it.force_circuit(&of, &force, version));
    let (before, entry) = forced.await?;
    let change = Recorded {
        who: origin.who,
        what: "circuit",
        subject: name.to_string(),
        note: Some(reason),
        before: facts_of(&before),
        after: facts_of(&entry.live.circuit()),
    };
    record(&rooms, change, origin.key).await;
    Ok(Json(entry.view(clock::now())))
}

/// `POST /providers/{name}/probe`: one look at the list of its models, which nobody bills for.
pub(super) async fn probe(
    State(rooms): State<Rooms>,
    read::Segment(name): read::Segment,
) -> Result<Json<ProbeView>, Problem> {
    let name: ProviderName = read::name("name", &name)?;
    let snapshot = rooms.gateway.registry.snapshot();
    let entry = snapshot.get(name.as_str()).ok_or_else(|| RegistryError::Unknown(name.clone()))?;
    let at = clock::now();
    let seen = rooms.gateway.upstream.probe(&entry.registration).await;
    let (error, detail) = seen.error.unzip();
    Ok(Json(ProbeView {
        name,
        at,
        ok: error.is_none(),
        status: seen.status,
        latency_ms: seen.latency_ms,
        lists_model: seen.lists_model,
        error,
        detail,
    }))
}

/// `POST /select`: the winner, the next two, and everyone else's reason.
pub(super) async fn select(
    State(rooms): State<Rooms>,
    body: HttpBody,
) -> Result<Json<SelectAnswer>, Problem> {
    let request = SelectRequest::from_body(read::object(body).await?)?;
    let demand = Demand {
        requirements: &request.requirements,
        objective: request.optimization,
        expected: request.estimate.into(),
    };
    let choice = rooms.gateway.registry.choose(&demand);
    let Some((winner, others)) = choice.plan.candidates.split_first() else {
        return Err(Problem::no_provider(&choice));
    };
    let best = ranked(&choice, winner, &request);
    Ok(Json(SelectAnswer {
        provider: best.provider,
        score: best.score,
        estimate: best.estimate,
        alternatives: others.iter().take(2).map(|other| ranked(&choice, other, &request)).collect(),
        rejected: problem::rejected_of(&choice),
    }))
}

/// `GET /stats`.
pub(super) async fn stats(State(rooms): State<Rooms>) -> Json<RouterStats> {
    Json(rooms.gateway.registry.stats())
}

/// `GET /health`.
pub(super) async fn health(State(rooms): State<Rooms>) -> Json<Health> {
    Json(rooms.health("provider_router", rooms.ports[0]))
}

fn ranked(choice: &Choice, candidate: &Candidate, request: &SelectRequest) -> Alternative {
    Alternative {
        provider: choice.entries[candidate.index].view(clock::now()),
        score: candidate.score,
        estimate: Estimate {
            input_tokens: request.estimate.input_tokens,
            output_tokens: request.estimate.output_tokens,
            cost_usd: candidate.cost,
        },
    }
}

/// Runs a verb of the registry that writes to disk, off the runtime's own threads.
async fn in_registry<T: Send + 'static>(
    rooms: &Rooms,
    name: &ProviderName,
    verb: impl FnOnce(&Registry) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Problem> {
    let registry = Arc::clone(&rooms.gateway.registry);
    let done = tokio::task::spawn_blocking(move || verb(&registry)).await;
    let lost = |_| Problem::new(500, "lost", "the change was lost inside the router");
    done.map_err(lost)?.map_err(|error| with_current(rooms, name, error.into()))
}

/// Who came second is shown what the first one made of it.
fn with_current(rooms: &Rooms, name: &ProviderName, problem: Problem) -> Problem {
    match rooms.gateway.registry.snapshot().get(name.as_str()) {
        Some(entry) if problem.is_stale() => problem.with_current(&entry.view(clock::now())),
        _ => problem,
    }
}

async fn record_provider(rooms: &Rooms, origin: Origin, what: &'static str, changed: &Changed) {
    let change = Recorded {
        who: origin.who,
        what,
        subject: changed.entry.registration.name.to_string(),
        note: None,
        before: changed.before.as_ref().map(|entry| entry.facts()).unwrap_or_default(),
        after: changed.entry.facts(),
    };
    record(rooms, change, origin.key).await;
}

/// Writes a change into the audit. It was made, so what cannot be written is told to the log alone.
async fn record(rooms: &Rooms, change: Recorded, key: Option<Key>) {
    let note = Note { change: Some(change), key, ..Note::default() };
    if let Err(error) = rooms.gateway.ledger.note(note).await {
        tracing::error!(%error, "a change of a provider is missing in the audit");
    }
}

/// Longest reason of a circuit's state, in bytes.
const REASON_MAX: usize = 200;
