//! The files of `contracts/`: schemas with their validators, and examples.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use jsonschema::{Registry, Validator};
use serde_json::Value;

/// Every schema by name, with its validator.
pub struct Book {
    schemas: BTreeMap<String, Value>,
    validators: BTreeMap<String, Validator>,
}

/// One example.
pub struct Example {
    /// Its file's stem: what it shows.
    pub name: String,
    /// Its bytes, digits and all.
    pub text: String,
}

impl Book {
    pub fn open() -> Self {
        let mut schemas = BTreeMap::new();
        for file in names_in("") {
            if let Some(name) = file.strip_suffix(".schema.json") {
                let schema: Value =
                    serde_json::from_str(&text_of(&file)).expect("a schema is JSON");
                schemas.insert(name.to_owned(), schema);
            }
        }
        let named = schemas.iter().map(|(name, schema)| (Self::id(name), schema.clone()));
        let registry = Registry::new().extend(named).unwrap().prepare().unwrap();
        let validator = |(name, schema): (&String, &Value)| {
            let built = jsonschema::options()
                .with_registry(&registry)
                .offline()
                .should_validate_formats(true)
                .build(schema);
            (name.clone(), built.unwrap_or_else(|error| panic!("{name}: {error}")))
        };
        let validators = schemas.iter().map(validator).collect();
        Self { schemas, validators }
    }

    /// What a schema calls itself.
    pub fn id(name: &str) -> String {
        format!("https://tollgate.invalid/contracts/v1/{name}.schema.json")
    }

    pub fn schemas(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.schemas.iter().map(|(name, schema)| (name.as_str(), schema))
    }

    pub fn schema(&self, name: &str) -> &Value {
        &self.schemas[name]
    }

    /// Whether a text is valid; every reason why not.
    pub fn check(&self, name: &str, text: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let faults: Vec<String> = self.validators[name]
            .iter_errors(&value)
            .map(|error| format!("{} at `{}`", error, error.instance_path()))
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    pub fn examples(&self, name: &str, kind: &str) -> Vec<Example> {
        let folder = format!("examples/{name}/{kind}");
        names_in(&folder)
            .into_iter()
            .map(|file| Example {
                text: text_of(&format!("{folder}/{file}")),
                name: file.trim_end_matches(".json").to_owned(),
            })
            .collect()
    }
}

/// Whole receipt files, by name.
pub fn chains(kind: &str) -> Vec<(String, String)> {
    let folder = format!("examples/chain/{kind}");
    let read = |file: String| (text_of(&format!("{folder}/{file}")), file);
    names_in(&folder).into_iter().map(read).map(|(text, file)| (file, text)).collect()
}

/// Names in a folder of `contracts/`, sorted; none where it does not exist.
pub fn names_in(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path(folder)) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// A file of `contracts/`.
pub fn text_of(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("contracts/{file}: {error}"))
}

pub fn path(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../contracts").join(below)
}
