//! The hand-written contracts of request bodies, made to fit into an OpenAPI document.
//!
//! A contract is a document of its own with an `$id` and definitions. Inside another document its
//! parts become components, because many readers of OpenAPI do not follow an embedded `$id`.

use serde_json::{Map, Value, json};

/// One contract: its name and its text.
#[derive(Debug)]
pub(super) struct Contract {
    name: &'static str,
    text: &'static str,
}

impl Contract {
    /// A reference to it, and the components that it consists of.
    pub(super) fn lifted(&self) -> (Value, Map<String, Value>) {
        // A test reads every contract, so one that is not JSON does not get here.
        let mut schema: Value = serde_json::from_str(self.text).unwrap_or_default();
        relink(&mut schema, self.name);
        let mut schemas = Map::new();
        if let Some(object) = schema.as_object_mut() {
            object.shift_remove("$schema");
            object.shift_remove("$id");
            if let Some(Value::Object(parts)) = object.shift_remove("$defs") {
                let named = |(part, schema)| (format!("{}.{part}", self.name), schema);
                schemas.extend(parts.into_iter().map(named));
            }
        }
        schemas.insert(self.name.to_owned(), schema);
        (json!({"$ref": format!("#/components/schemas/{}", self.name)}), schemas)
    }
}

/// Points references to a contract's own definitions to where these become components.
fn relink(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(fields) => fields.iter_mut().for_each(|(field, value)| {
            let local = value.as_str().and_then(|target| target.strip_prefix("#/$defs/"));
            match local.filter(|_| field == "$ref") {
                Some(part) => *value = json!(format!("#/components/schemas/{name}.{part}")),
                None => relink(value, name),
            }
        }),
        Value::Array(items) => items.iter_mut().for_each(|item| relink(item, name)),
        _ => {}
    }
}

/// Body of `POST /register`.
pub(super) const PROVIDER_REGISTRATION: Contract = Contract {
    name: "provider_registration",
    text: include_str!("../../../../contracts/provider_registration.schema.json"),
};

/// Body of `POST /providers/{name}/circuit`.
pub(super) const CIRCUIT_REQUEST: Contract = Contract {
    name: "circuit_request",
    text: include_str!("../../../../contracts/circuit_request.schema.json"),
};

/// Body of `POST /select`.
pub(super) const SELECT_REQUEST: Contract = Contract {
    name: "select_request",
    text: include_str!("../../../../contracts/select_request.schema.json"),
};

/// Body of `POST /route`.
pub(super) const ROUTING_REQUEST: Contract = Contract {
    name: "routing_request",
    text: include_str!("../../../../contracts/routing_request.schema.json"),
};

/// Body of `POST /budget`.
pub(super) const BUDGET_REQUEST: Contract = Contract {
    name: "budget_request",
    text: include_str!("../../../../contracts/budget_request.schema.json"),
};

/// Body of `POST /fleet/budget`.
pub(super) const FLEET_REQUEST: Contract = Contract {
    name: "fleet_request",
    text: include_str!("../../../../contracts/fleet_request.schema.json"),
};

/// Body of `POST /runs/{run_id}/pause`, `resume` and `close`.
pub(super) const STATE_REQUEST: Contract = Contract {
    name: "state_request",
    text: include_str!("../../../../contracts/state_request.schema.json"),
};

/// Body of `POST /alerts/{id}/ack`.
pub(super) const ACK_REQUEST: Contract = Contract {
    name: "ack_request",
    text: include_str!("../../../../contracts/ack_request.schema.json"),
};

/// Body of `POST /alerts/{id}/snooze`.
pub(super) const SNOOZE_REQUEST: Contract = Contract {
    name: "snooze_request",
    text: include_str!("../../../../contracts/snooze_request.schema.json"),
};

/// Body of `POST /unknowns/{attempt_id}/resolve`.
pub(super) const RESOLVE_REQUEST: Contract = Contract {
    name: "resolve_request",
    text: include_str!("../../../../contracts/resolve_request.schema.json"),
};
