//! The OpenAPI documents: committed as they are served, valid in themselves, and about exactly
//! the routes that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tollgate_backend::api::documents;
use tollgate_tests::House;

use crate::book;

#[test]
fn the_committed_documents_are_the_served_ones() {
    let bless = std::env::var_os("TOLLGATE_BLESS").is_some();
    let mut stale = Vec::new();
    for (service, document) in documents() {
        let text = format!("{document:#}\n");
        let path = book::path(&format!("{service}.openapi.json"));
        let committed = fs::read_to_string(&path).unwrap_or_default();
        if bless {
            fs::write(&path, text).unwrap();
        } else if committed != text {
            let same = committed.lines().zip(text.lines()).take_while(|(old, new)| old == new);
            let line = same.count();
            let show = |text: &str| text.lines().nth(line).unwrap_or("(the end)").trim().to_owned();
            stale.push(format!(
                "contracts/{service}.openapi.json, line {}: it says {}, it would be {}",
                line + 1,
                show(&committed),
                show(&text),
            ));
        }
    }
    assert!(
        stale.is_empty(),
        "\n{}\nTOLLGATE_BLESS=1 cargo test -p tollgate-tests --test contracts rewrites them",
        stale.join("\n")
    );
}

#[test]
fn every_reference_in_a_document_leads_somewhere() {
    for (service, document) in documents() {
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(!references.is_empty(), "{service}");
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("a reference within the document");
            assert!(document.pointer(pointer).is_some(), "{service}: {reference}");
        }
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            assert!(jsonschema::meta::is_valid(schema), "{service}: {name}");
        }
    }
}

#[test]
fn documented_routes_are_the_ones_in_the_route_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../backend/src/api.rs");
    let source = fs::read_to_string(path).unwrap();
    for (service, document) in documents() {
        let start = source.find(&format!("pub fn {service}(rooms")).expect("its table");
        let table = &source[start..start + source[start..].find("\n}").unwrap()];
        assert_eq!(documented(&document), served(table), "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_routes_are_served() -> anyhow::Result<()> {
    let house = House::open().await?;
    for (service, document) in documents() {
        for (method, path) in documented(&document) {
            let path = path.replace("{run_id}", "no-run").replace("{name}", "nobody");
            let url = match service {
                "router" => house.router(&path),
                "gateway" => house.gateway(&path),
                _ => house.events(&path),
            };
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes())?;
            let response = house.client().request(method.clone(), url).send().await?;
            let status = response.status().as_u16();
            let body: Value = response.json().await.unwrap_or_default();
            let code = body["error"]["code"].as_str().unwrap_or_default();
            assert!(
                code != "not_found" && status != 405,
                "{service}: {method} {path} answers {status} {code}"
            );
        }
    }
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_work_without_the_internet() -> anyhow::Result<()> {
    let house = House::open().await?;
    for (service, document) in documents() {
        let url = match service {
            "router" => house.router(""),
            "gateway" => house.gateway(""),
            _ => continue,
        };
        let served = house.get(&format!("{url}/openapi.json")).await?;
        assert_eq!(served.json(), document, "{service}");
        let page = house.get(&format!("{url}/docs")).await?;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
        let setup = house.get(&format!("{url}/docs/swagger-initializer.js")).await?;
        assert!(setup.text.contains("/openapi.json"), "{}", setup.text);
        for text in [&page.text, &setup.text] {
            assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
        }
        for linked in page.text.split(['"', '\'']).filter(|text| text.starts_with("./")) {
            let part = house.get(&format!("{url}/docs/{linked}")).await?;
            assert_eq!(part.status, 200, "{linked}");
        }
    }
    house.leave().await
}

fn documented(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let pair = |(path, methods): (&String, &Value)| {
        let methods: Vec<String> = methods.as_object().unwrap().keys().cloned().collect();
        methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(pair).collect()
}

/// The routes of a table of `api.rs`, by its text.
fn served(table: &str) -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    for route in table.split(".route(\"").skip(1) {
        let (path, handlers) = route.split_once('"').expect("a path");
        for method in ["get", "post", "put", "patch", "delete"] {
            if handlers.contains(&format!("{method}(")) {
                routes.insert((method.to_owned(), path.to_owned()));
            }
        }
    }
    routes
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|inner| collect(inner, references));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, references)),
        _ => {}
    }
}
