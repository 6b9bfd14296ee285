//! The house keeps itself in order: floors, sizes, comments, dependencies, names of machines.
//!
//! Everything is read from the sources as text, so a broken build cannot hide disorder. A number
//! here may be made stricter by anyone; making it looser needs a reason in the commit.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One of our source files.
struct Source {
    /// From the root of the repository, with slashes.
    path: String,
    text: String,
}

impl Source {
    /// The package: `shared`, `backend`, `tui` or `tests`.
    fn package(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// The first module below the package: `flight` of `backend/src/flight/attempt.rs`.
    fn module(&self) -> &str {
        let below = self.path.split('/').nth(2).unwrap_or_default();
        below.trim_end_matches(".rs")
    }

    /// Whether all of it is compiled for tests alone.
    fn is_test(&self) -> bool {
        self.path.contains("tests/") || declared_for_tests(&self.path)
    }

    /// The lines that are not compiled for tests alone: up to the first `#[cfg(test)]` that opens
    /// a module, which by custom stands at the end.
    fn production(&self) -> impl Iterator<Item = &str> {
        let lines: Vec<&str> = self.text.lines().collect();
        let opens = |pair: &[&str]| {
            pair[0].trim() == "#[cfg(test)]"
                && pair[1].trim_start().starts_with("mod ")
                && pair[1].ends_with('{')
        };
        let end = lines.windows(2).position(opens).unwrap_or(lines.len());
        lines.into_iter().take(end)
    }
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "the first line is no module doc: {silent:?}");
}

#[test]
fn files_stay_small() {
    let production = sources().into_iter().filter(|source| !source.is_test());
    let mut sizes: Vec<(usize, String)> =
        production.map(|source| (source.production().count(), source.path)).collect();
    sizes.sort_unstable();
    let most =
        |path: &str| LARGE.iter().find(|row| row.0 == path).map_or(FILE_LINES_MAX, |row| row.1);
    let large: Vec<_> = sizes.iter().filter(|(lines, path)| *lines > most(path)).collect();
    assert!(large.is_empty(), "longer than {FILE_LINES_MAX} lines: {large:?}");
    let median = sizes[sizes.len() / 2].0;
    assert!(median <= FILE_LINES_MEDIAN, "half of the files are longer than {median} lines");
}

#[test]
fn code_is_explained() {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let (comments, code) = counts.entry(source.package().to_owned()).or_default();
        for line in source.production().map(str::trim).filter(|line| !line.is_empty()) {
            if line.starts_with("//") {
                *comments += 1;
            } else {
                *code += 1;
            }
        }
    }
    for (package, (comments, code)) in counts {
        let least = EXPLAINED.iter().find(|(room, _)| *room == package).map_or(20, |row| row.1);
        assert!(
            comments * 100 >= code * least,
            "{package}: {comments} lines of comment for {code} of code, less than {least} %"
        );
    }
}

#[test]
fn imports_only_go_down() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let floors = match source.package() {
            "shared" => SHARED,
            "backend" => BACKEND,
            "tui" => TUI,
            _ => continue,
        };
        let module = source.module();
        let Some(own) = floor(floors, module) else {
            faults.push(format!("{}: `{module}` is on no floor", source.path));
            continue;
        };
        for used in uses(source) {
            match floor(floors, &used) {
                Some(below) if below <= own => {}
                Some(_) if DEBTS.contains(&format!("{}: `{used}`", source.path).as_str()) => {}
                Some(_) => faults.push(format!("{}: `{used}` is above it", source.path)),
                None => faults.push(format!("{}: `{used}` is on no floor", source.path)),
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn rooms_use_only_what_they_may() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let words: Vec<&str> = match source.package() {
            "shared" => SHARED_NEVER.to_vec(),
            "backend" => vec!["tollgate_tui", "tollgate_tests"],
            "tui" if source.module() != "embedded" && source.module() != "main" => {
                vec!["tollgate_backend", "tollgate_tests"]
            }
            "tui" => vec!["tollgate_tests"],
            _ => continue,
        };
        for line in source.production().filter(|line| !line.trim_start().starts_with("//")) {
            for word in words.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{}: {word} in `{}`", source.path, line.trim()));
            }
        }
    }
    let manifest = read("shared/Cargo.toml");
    let allowed = ["rust_decimal", "schemars", "serde", "serde_json", "sha2", "thiserror"];
    for name in dependencies(&manifest) {
        if !allowed.contains(&name.as_str()) {
            faults.push(format!("shared/Cargo.toml: `{name}`"));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn dependencies_are_few_and_each_has_its_reason() {
    let mut used: Vec<String> = ["shared", "backend", "tui"]
        .iter()
        .flat_map(|package| dependencies(&read(&format!("{package}/Cargo.toml"))))
        .filter(|name| !name.starts_with("tollgate-"))
        .collect();
    used.sort_unstable();
    used.dedup();
    assert!(used.len() <= DEPENDENCIES_MAX, "{} direct dependencies: {used:?}", used.len());
    let root = read("Cargo.toml");
    let table = section(&root, "[workspace.dependencies]");
    let mut under_tests = false;
    for line in table.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            under_tests |= line.starts_with("# Tests only");
            continue;
        }
        let name = line.split([' ', '=']).next().unwrap_or_default();
        let explained = line.contains(" # ") || name.starts_with("tollgate-") || under_tests;
        assert!(explained, "Cargo.toml does not say what `{name}` spares us");
    }
}

#[test]
fn nothing_panics_on_purpose() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let mut expected = false;
        for line in source.production() {
            let line = line.trim();
            if line.contains("clippy::expect_used") || line.contains("clippy::unwrap_used") {
                expected = true;
                continue;
            }
            let code = line.split("//").next().unwrap_or_default();
            if code.contains(".unwrap()") || code.contains(".expect(") {
                if !expected {
                    faults.push(format!("{}: {line}", source.path));
                }
                expected = false;
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_file_names_a_machine() {
    let Some(files) = run("git", &["ls-files"]) else {
        // An archive without its history has nothing that could be checked more than by eye.
        return;
    };
    // Spelt in two halves, so that this file does not find itself.
    let machines = [["/wo", "rk/"], ["/ho", "me/"], ["/ro", "ot/"]].map(|halves| halves.concat());
    let mut faults = Vec::new();
    for file in files.lines() {
        let Ok(text) = fs::read_to_string(root().join(file)) else { continue };
        for machine in machines.iter().filter(|machine| text.contains(machine.as_str())) {
            faults.push(format!("{file}: {machine}"));
        }
    }
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn money_never_meets_arbitrary_precision() {
    // It changes how every number of the process is read, and untagged values lose their digits.
    let arguments = ["tree", "--offline", "--workspace", "-e", "features", "-i", "serde_json"];
    let Some(tree) = run(env!("CARGO"), &arguments) else {
        // Another platform's crates may not be here; the feature is then judged where they are.
        return;
    };
    assert!(!tree.contains("arbitrary_precision"), "{tree}");
}

/// The modules of this crate that a file uses, by its `use` lines and its paths.
fn uses(source: &Source) -> Vec<String> {
    let code: Vec<&str> =
        source.production().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => {
                let inside = group.split('}').next().unwrap_or_default();
                found.extend(inside.split(',').map(first_word));
            }
            None => found.push(first_word(rest)),
        }
    }
    // What starts with a capital is an item at the crate's root, not a module.
    found.retain(|name| name.starts_with(|first: char| first.is_ascii_lowercase()));
    found.sort_unstable();
    found.dedup();
    found
}

fn first_word(text: &str) -> String {
    let is_word = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    text.trim_start().chars().take_while(is_word).collect()
}

fn floor(floors: &[&[&str]], module: &str) -> Option<usize> {
    floors.iter().rev().position(|rooms| rooms.contains(&module))
}

/// Whether the file beside or above a test file declares it for tests alone.
fn declared_for_tests(path: &str) -> bool {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".rs");
    let owners = [format!("{folder}.rs"), format!("{folder}/lib.rs"), format!("{folder}/main.rs")];
    owners.iter().filter_map(|owner| fs::read_to_string(root().join(owner)).ok()).any(|owner| {
        let declares = |line: &str| line.trim_start().ends_with(&format!("mod {stem};"));
        let lines: Vec<&str> = owner.lines().collect();
        lines.windows(2).any(|pair| pair[0].contains("cfg(test)") && declares(pair[1]))
    })
}

/// Names under `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let table = section(manifest, "[dependencies]");
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split(['.', ' ', '=']).next().map(str::to_owned)).collect()
}

/// The text from a heading of a manifest to the next.
fn section<'a>(manifest: &'a str, heading: &str) -> &'a str {
    let rest = manifest.split(&format!("{heading}\n")).nth(1).unwrap_or_default();
    rest.split("\n[").next().unwrap_or_default()
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for package in ["shared", "backend", "tui", "tests"] {
        walk(&root().join(package), &mut found);
    }
    assert!(found.len() > 20, "the sources are not where they were");
    found.sort_unstable();
    let named = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        Source { path, text }
    };
    found.into_iter().map(named).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package lies in the repository").to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What a program prints; nothing where it is not there or fails.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(root()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Production lines of the longest file. A file that grows beyond it hides a noun.
const FILE_LINES_MAX: usize = 400;

/// Files that are longer, and how long they are; they only shrink.
const LARGE: &[(&str, usize)] = &[("shared/src/api.rs", 503), ("shared/src/provider.rs", 467)];

/// Production lines of the file in the middle.
const FILE_LINES_MEDIAN: usize = 200;

/// Lines of comment for a hundred of code, over a package. The house wants 20 everywhere and 30 in
/// the room that everyone reads first; what is below that is a debt, and only rises.
const EXPLAINED: &[(&str, usize)] = &[("shared", 30), ("backend", 16), ("tui", 15)];

/// External direct dependencies of what we ship.
const DEPENDENCIES_MAX: usize = 50;

/// What the pure core must not know: clocks, sockets, files, threads, chance, waiting.
const SHARED_NEVER: &[&str] = &[
    "tollgate_backend",
    "tollgate_tui",
    "tollgate_tests",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant",
    "async fn",
    ".await",
    "println!",
];

/// Floors from the top; a room may use those on its own floor and below. Finer than the map in
/// ARCHITECTURE.md where the code is: a floor of one room is free of circles by itself.
const SHARED: &[&[&str]] = &[
    &["lib"],
    &["event"],
    &["api"],
    &["alert", "window"],
    &["receipt"],
    &["select"],
    &["provider"],
    &["budget", "circuit", "forecast", "retry"],
    &["price"],
    &["body", "id", "money", "time", "usage"],
];

const BACKEND: &[&[&str]] = &[
    &["main", "lib"],
    &["cli"],
    &["app"],
    &["api"],
    &["flight"],
    &["audit", "backup", "projection", "rebuild", "registry", "simulate", "telemetry"],
    &["receipts", "upstream"],
    &["hub", "ledger", "recovery"],
    &["verify"],
    &["store"],
    &["clock", "config"],
];

const TUI: &[&[&str]] = &[
    &["main", "lib"],
    &["cli"],
    &["embedded"],
    &["console", "shot"],
    &["palette", "replay", "settings", "update", "view"],
    &[
        "action", "client", "export", "feed", "filter", "keys", "message", "model", "picture",
        "term",
    ],
    &["amount", "format", "text", "theme", "zone"],
];

/// Known debts, as `file: room`, each with why it is one. The list only gets shorter.
const DEBTS: &[&str] = &[
    // Prometheus text is written from what the doors reach, which is named at the doors.
    "backend/src/telemetry.rs: `api`",
];
