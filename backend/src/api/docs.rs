//! `/docs` and `/openapi.json`, without the internet.
//!
//! The documents are built from the tables in [`routes`]. What is answered is described by the
//! wire types themselves; what is asked by the hand-written contracts, word for word, because
//! those say more than a type can. Refuses to know handlers: a test compares the tables with the
//! routes that are served. The page itself is compiled in and asks nobody else for anything.

use axum::Router;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use utoipa_swagger_ui::{Config, SwaggerUi};

mod contract;
mod routes;

use routes::{Answer, EVENTS, GATEWAY, Method, Parameter, ROUTER, Route, Service};

/// Adds the pages of the provider router.
pub(super) fn router(routes: Router) -> Router {
    routes.merge(pages(&ROUTER))
}

/// Adds the pages of the gateway.
pub(super) fn gateway(routes: Router) -> Router {
    routes.merge(pages(&GATEWAY))
}

/// Adds the pages of the event stream.
pub(super) fn events(routes: Router) -> Router {
    routes.merge(pages(&EVENTS))
}

/// The OpenAPI 3.1 documents of the three listeners, by the name of their file in `contracts/`.
pub fn documents() -> [(&'static str, Value); 3] {
    [("router", document(&ROUTER)), ("gateway", document(&GATEWAY)), ("events", document(&EVENTS))]
}

fn pages(service: &Service) -> Router {
    // The page would ask a public validator about our document; "none" keeps it quiet.
    let quiet = Config::default().validator_url("none");
    SwaggerUi::new("/docs")
        .external_url_unchecked("/openapi.json", document(service))
        .config(quiet)
        .into()
}

fn document(service: &Service) -> Value {
    let mut components = Components::new();
    let mut paths = Map::new();
    for route in service.routes {
        let operation = operation(route, &mut components);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": service.title,
            "summary": service.summary,
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "Where this document came from."}],
        "paths": paths,
        "components": {"schemas": components.finish()},
    })
}

fn operation(route: &Route, components: &mut Components) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "parameters": parameters(route),
    });
    if let Some(body) = &route.body {
        operation["requestBody"] = json!({
            // Only a route that takes the same facts in its query can do without a body.
            "required": !has_query(route),
            "content": {"application/json": {"schema": components.contract(body)}},
        });
    }
    let mut responses = Map::new();
    for answer in route.answers {
        responses.insert(answer.status.to_string(), success(answer, components));
    }
    let mut errors: Vec<(u16, &str)> = route.errors.iter().chain(&EVERYWHERE).copied().collect();
    if route.path.contains('{') {
        errors.push(NO_PATH);
    }
    if has_query(route) {
        errors.push(NO_QUERY);
    }
    if is_change(route) {
        errors.extend(OF_CHANGES);
        errors.sort_unstable();
        errors.dedup();
    }
    errors.sort_unstable();
    for group in errors.chunk_by(|one, other| one.0 == other.0) {
        let codes: Vec<&str> = group.iter().map(|(_, code)| *code).collect();
        let shown: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
        responses.insert(
            group[0].0.to_string(),
            json!({
                "description": shown.join(", "),
                "content": {"application/json": {"schema": components.error()}},
                "x-codes": codes,
            }),
        );
    }
    operation["responses"] = responses.into();
    operation
}

fn success(answer: &Answer, components: &mut Components) -> Value {
    let mut content = Map::new();
    for (media, schema) in answer.content {
        content.insert((*media).to_owned(), json!({"schema": schema(&mut components.generator)}));
    }
    let mut response = json!({"description": answer.what});
    if !content.is_empty() {
        response["content"] = content.into();
    }
    if !answer.headers.is_empty() {
        let header = |(name, what): &(&str, &str)| {
            ((*name).to_owned(), json!({"description": what, "schema": {"type": "string"}}))
        };
        response["headers"] = answer.headers.iter().map(header).collect::<Map<_, _>>().into();
    }
    response
}

/// Names in the path, which need no row of their own, and then those of the table.
fn parameters(route: &Route) -> Value {
    let in_path = route.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
    });
    let in_table = route.parameters.iter().map(|parameter| {
        let Parameter { place, name, kind, what } = parameter;
        json!({"name": name, "in": place, "description": what, "schema": kind.schema()})
    });
    let of_changes = OF_EVERY_CHANGE.iter().filter(|_| is_change(route)).map(|(name, what)| {
        json!({"name": name, "in": "header", "description": what, "schema": {"type": "string"}})
    });
    in_path.chain(in_table).chain(of_changes).collect()
}

/// Whether the door before every change stands before a route.
fn is_change(route: &Route) -> bool {
    let method = match route.method {
        Method::Get => axum::http::Method::GET,
        Method::Post => axum::http::Method::POST,
        Method::Delete => axum::http::Method::DELETE,
    };
    super::change::is_change(&method, route.path)
}

fn has_query(route: &Route) -> bool {
    route.parameters.iter().any(|parameter| parameter.place == "query")
}

/// `getBudgetRunId`: what generated clients call their functions.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '{', '}', '_']).filter(|word| !word.is_empty());
    words.fold(route.method.as_str().to_owned(), |mut id, word| {
        id.push_str(&word[..1].to_ascii_uppercase());
        id.push_str(&word[1..]);
        id
    })
}

/// The schemas that a document refers to, collected while it is written.
struct Components {
    generator: SchemaGenerator,
    contracts: Map<String, Value>,
}

impl Components {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12()
            .with(|settings| settings.definitions_path = "/components/schemas".into())
            .for_serialize();
        Self { generator: settings.into_generator(), contracts: Map::new() }
    }

    fn contract(&mut self, contract: &contract::Contract) -> Value {
        let (reference, schemas) = contract.lifted();
        self.contracts.extend(schemas);
        reference
    }

    fn error(&mut self) -> Value {
        self.generator.subschema_for::<tollgate_shared::api::ErrorBody>().into()
    }

    fn finish(mut self) -> Map<String, Value> {
        let mut schemas = self.generator.take_definitions(true);
        // The hash is written into the sealed line by hand, so the type does not say it.
        if let Some(receipt) = schemas.get_mut("Receipt") {
            receipt["properties"]["hash"] = json!({
                "description": "SHA-256 over the line before `,\"hash\":`, in lower-case hex.",
                "type": "string",
                "pattern": "^[0-9a-f]{64}$",
            });
        }
        schemas.extend(self.contracts);
        schemas.sort_keys();
        schemas
    }
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Delete => "delete",
        }
    }
}

/// What the guard before every door answers.
const EVERYWHERE: [(u16, &str); 2] = [(403, "foreign_host"), (403, "foreign_origin")];

/// Headers that every change takes.
const OF_EVERY_CHANGE: [(&str, &str); 2] = [
    (
        "Idempotency-Key",
        "A name for this change: sent again within a day, it changes nothing and gets the same \
         answer; 422 if it came with another change.",
    ),
    ("x-tollgate-operator", "Whose hand it is, for the audit; `local` without it."),
];

/// What the door before every change answers.
const OF_CHANGES: [(u16, &str); 8] = [
    (403, "read_only"),
    (409, "request_in_progress"),
    (413, "body_too_large"),
    (422, "idempotency_key_reused"),
    (422, "invalid_field"),
    (500, "lost"),
    (503, "ledger_unavailable"),
    (507, "storage_low"),
];

/// What a path with a variable part can answer.
const NO_PATH: (u16, &str) = (400, "invalid_path");

/// What a route that reads its query can answer.
const NO_QUERY: (u16, &str) = (422, "invalid_query");

/// What holds for every route.
const ABOUT: &str = "Money is an exact JSON number with at most 12 decimals, or a decimal string \
    on input. Times are UTC in RFC 3339 with `Z`. An unknown field of a request is refused; an \
    answer may gain fields. Every error has one shape and a stable `code`; `contracts/README.md` \
    lists them all.";
