//! Every stable error code of the sources stands in `contracts/README.md`, with its status.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::book;

#[test]
fn every_code_of_the_sources_is_explained() {
    let known = table();
    let mut missing = Vec::new();
    for (code, status) in codes() {
        let statuses = known.get(&code);
        let fits = match &status {
            Some(status) => statuses.is_some_and(|known| known.contains(status)),
            None => statuses.is_some(),
        };
        if !fits {
            missing.push(format!("{code} {status:?}"));
        }
    }
    assert!(missing.is_empty(), "not in the table of contracts/README.md: {missing:?}");
}

#[test]
fn every_code_of_the_table_is_given_somewhere() {
    let sources: String = SOURCES.iter().map(|file| source(file)).collect();
    for code in table().keys() {
        assert!(sources.contains(&format!("\"{code}\"")), "nobody answers `{code}`");
    }
}

#[test]
fn every_documented_refusal_is_in_the_table() {
    let known = table();
    for (service, document) in tollgate_backend::api::documents() {
        for (path, methods) in document["paths"].as_object().unwrap() {
            for operation in methods.as_object().unwrap().values() {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    for code in response["x-codes"].as_array().into_iter().flatten() {
                        let code = code.as_str().unwrap();
                        let fits = known.get(code).is_some_and(|it| it.contains(status));
                        assert!(fits, "{service} {path}: {status} {code}");
                    }
                }
            }
        }
    }
}

/// The table: code to its statuses.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let page = book::text_of("README.md");
    let section = page.split("\n## Errors").nth(1).expect("a section on errors");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (code, rest) = row.split_once("` | ").expect("a code");
        let statuses = rest.split(" | ").next().unwrap_or_default();
        (code.to_owned(), statuses.split(", ").map(str::to_owned).collect())
    })
    .collect()
}

/// Codes by the way they are written: after a status, or as words where one is expected.
fn codes() -> BTreeSet<(String, Option<String>)> {
    let mut found = BTreeSet::new();
    for file in SOURCES {
        let source = source(file);
        let pieces: Vec<&str> = source.split('"').collect();
        for pair in pieces.windows(2) {
            let [before, word] = pair else { continue };
            let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
            if word.is_empty() || !word.chars().all(is_word) {
                continue;
            }
            let before = before.trim_end();
            let status =
                before.strip_suffix(',').and_then(|text| text.get(text.len().checked_sub(3)?..));
            let status = status.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let is_code = before.ends_with("code @")
                || before.ends_with("refused(")
                || before.ends_with("repeated(");
            if status.is_some() || is_code || ALSO.contains(word) {
                found.insert(((*word).to_owned(), status.map(str::to_owned)));
            }
        }
    }
    assert!(found.len() > 30, "the sources look different: {found:?}");
    found
}

/// A source file without its tests.
fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

/// Where codes are given.
const SOURCES: [&str; 14] = [
    "backend/src/api.rs",
    "backend/src/api/alerts.rs",
    "backend/src/api/budgets.rs",
    "backend/src/api/change.rs",
    "backend/src/api/events.rs",
    "backend/src/api/explain.rs",
    "backend/src/api/gateway.rs",
    "backend/src/api/guard.rs",
    "backend/src/api/problem.rs",
    "backend/src/api/read.rs",
    "backend/src/api/report.rs",
    "backend/src/api/router.rs",
    "backend/src/ledger/writer/admission.rs",
    "shared/src/budget/run.rs",
];

/// Codes that stand without a status beside them.
const ALSO: [&str; 3] = ["run_paused", "run_closed", "run_frozen"];
