//! The routes of the provider router, :6103.

use schemars::SchemaGenerator;
use tollgate_shared::api::{ProbeView, ProviderList, RouterStats, SelectAnswer};
use tollgate_shared::provider::ProviderView;

use super::{
    HEALTH, IF_MATCH, JSON, Kind, LOST, MISSING, Method, NO_JSON, Route, STALE, SchemaOf, Service,
    TOO_LARGE, TWICE, UNKNOWN, WRONG, answer, query,
};
use crate::api::docs::contract::{CIRCUIT_REQUEST, PROVIDER_REGISTRATION, SELECT_REQUEST};

/// The provider router.
pub(in crate::api::docs) const ROUTER: Service = Service {
    title: "Tollgate provider router",
    summary: "Which providers there are, how they are doing, and which one fits a request.",
    routes: &[
        Route {
            method: Method::Post,
            path: "/register",
            summary: "Registers a provider, or replaces the one of that name.",
            parameters: &[IF_MATCH],
            body: Some(PROVIDER_REGISTRATION),
            answers: &[
                answer(200, "It replaced an active provider.", PROVIDER),
                answer(201, "The name was not active before.", PROVIDER),
            ],
            errors: &[
                NO_JSON,
                TWICE,
                STALE,
                TOO_LARGE,
                WRONG,
                MISSING,
                UNKNOWN,
                (422, "missing_price"),
                (422, "free_with_price"),
                LOST,
                NO_REGISTRY,
            ],
        },
        Route {
            method: Method::Get,
            path: "/providers",
            summary: "Lists providers: active ones, unless all are asked for.",
            parameters: &[
                query("model", Kind::Text, "Only those that serve exactly this model."),
                query("min_context", Kind::Count, "Only those with at least this window."),
                query("feature", Kind::Text, "Only those with this feature."),
                query("status", Kind::OneOf(&["active", "all"]), "`all` shows removed ones too."),
            ],
            body: None,
            answers: &[answer(
                200,
                "The providers, by name.",
                &[(JSON, SchemaGenerator::subschema_for::<ProviderList>)],
            )],
            errors: &[WRONG],
        },
        Route {
            method: Method::Get,
            path: "/providers/{name}",
            summary: "Shows one provider, also when it was removed.",
            parameters: &[],
            body: None,
            answers: &[answer(200, "The provider.", PROVIDER)],
            errors: &[NO_PROVIDER_NAMED, WRONG],
        },
        Route {
            method: Method::Delete,
            path: "/providers/{name}",
            summary: "Removes a provider from traffic; its history stays. Twice is as good as once.",
            parameters: &[IF_MATCH],
            body: None,
            answers: &[answer(200, "The provider, now inactive.", PROVIDER)],
            errors: &[NO_PROVIDER_NAMED, STALE, WRONG, LOST, NO_REGISTRY],
        },
        Route {
            method: Method::Post,
            path: "/providers/{name}/circuit",
            summary: "Opens, half-opens or closes a provider's circuit by hand.",
            parameters: &[],
            body: Some(CIRCUIT_REQUEST),
            answers: &[answer(200, "The provider, with its circuit.", PROVIDER)],
            errors: &[NO_JSON, TWICE, NO_PROVIDER_NAMED, TOO_LARGE, WRONG, MISSING, UNKNOWN],
        },
        Route {
            method: Method::Post,
            path: "/providers/{name}/probe",
            summary: "Asks the provider for the list of its models, once: no paid call.",
            parameters: &[],
            body: None,
            answers: &[answer(
                200,
                "What was seen, also where nothing answered.",
                &[(JSON, SchemaGenerator::subschema_for::<ProbeView>)],
            )],
            errors: &[WRONG, (404, "unknown_provider")],
        },
        Route {
            method: Method::Post,
            path: "/select",
            summary: "Picks a provider: the winner, the next two, and everyone else's reason.",
            parameters: &[],
            body: Some(SELECT_REQUEST),
            answers: &[answer(
                200,
                "The choice.",
                &[(JSON, SchemaGenerator::subschema_for::<SelectAnswer>)],
            )],
            errors: &[NO_JSON, TWICE, (404, "no_provider"), TOO_LARGE, WRONG, MISSING, UNKNOWN],
        },
        Route {
            method: Method::Get,
            path: "/stats",
            summary: "Counts providers by model and feature, and names the cheapest of each model.",
            parameters: &[],
            body: None,
            answers: &[answer(
                200,
                "The figures.",
                &[(JSON, SchemaGenerator::subschema_for::<RouterStats>)],
            )],
            errors: &[],
        },
        HEALTH,
    ],
};

const NO_PROVIDER_NAMED: (u16, &str) = (404, "unknown_provider");
const NO_REGISTRY: (u16, &str) = (503, "registry_unavailable");
const PROVIDER: &[(&str, SchemaOf)] = &[(JSON, SchemaGenerator::subschema_for::<ProviderView>)];
