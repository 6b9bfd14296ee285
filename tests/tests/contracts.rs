//! What `contracts/` promises is what the program does, in both directions.
//!
//! Every valid example is read, every invalid one is refused by its schema and by the program, and
//! what is answered or documented is covered by a schema. Others' checkers read the same files.

#[path = "contracts/book.rs"]
mod book;
#[path = "contracts/codes.rs"]
mod codes;
#[path = "contracts/cover.rs"]
mod cover;
#[path = "contracts/live.rs"]
mod live;
#[path = "contracts/openapi.rs"]
mod openapi;
#[path = "contracts/readers.rs"]
mod readers;

use std::collections::BTreeSet;

use book::{Book, Example};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::{Chain, hex_sha256};

#[test]
fn every_schema_is_a_schema_and_has_examples_of_both_kinds() {
    let book = Book::open();
    for (name, schema) in book.schemas() {
        assert!(jsonschema::meta::is_valid(schema), "{name}");
        assert_eq!(schema["$id"], Book::id(name), "{name}");
        for kind in ["valid", "invalid"] {
            assert!(book.examples(name, kind).len() >= 2, "{name} has too few {kind} examples");
        }
    }
    let schemas: BTreeSet<&str> = book.schemas().map(|(name, _)| name).collect();
    let folders = book::names_in("examples");
    let strangers: Vec<&String> =
        folders.iter().filter(|it| *it != "chain" && !schemas.contains(it.as_str())).collect();
    assert!(strangers.is_empty(), "examples of no schema: {strangers:?}");
}

#[test]
fn valid_examples_are_read_and_what_is_written_back_is_valid() {
    let book = Book::open();
    each(&book, "valid", |name, example| {
        book.check(name, &example.text)?;
        if SEED_RECEIPT == (name, example.name.as_str()) {
            return Ok(());
        }
        match readers::read(name, &example.text)? {
            Some(written) => book.check(name, &written).map_err(|why| format!("written: {why}")),
            None => Ok(()),
        }
    });
}

#[test]
fn invalid_examples_are_refused_by_schema_and_program() {
    let book = Book::open();
    each(&book, "invalid", |name, example| {
        if book.check(name, &example.text).is_ok() {
            return Err("the schema lets it through".into());
        }
        match readers::read(name, &example.text) {
            Ok(_) => Err("the program reads it".into()),
            Err(_) => Ok(()),
        }
    });
}

#[test]
fn what_a_schema_cannot_say_the_program_refuses() {
    let book = Book::open();
    each(&book, "beyond", |name, example| {
        book.check(name, &example.text).map_err(|why| format!("it is plain invalid: {why}"))?;
        match readers::read(name, &example.text) {
            Ok(_) => Err("the program reads it".into()),
            Err(_) => Ok(()),
        }
    });
}

#[test]
fn whole_chains_pass_both_checkers_and_broken_ones_neither() {
    for kind in ["valid", "invalid"] {
        for (name, text) in book::chains(kind) {
            let mut chain = Chain::default();
            let ours = text.lines().try_for_each(|line| chain.next(line).map(drop));
            let second = second_checker(&text);
            assert_eq!(ours.is_ok(), kind == "valid", "{name}: {ours:?}");
            assert_eq!(second.is_ok(), kind == "valid", "{name}: {second:?}");
        }
    }
}

#[test]
fn a_sealed_line_of_the_examples_is_sealed_the_same_again() {
    let (_, text) = book::chains("valid").into_iter().next().expect("a chain");
    for line in text.lines() {
        let mut receipt: tollgate_shared::receipt::Receipt = serde_json::from_str(line).unwrap();
        assert_eq!(receipt.seal().unwrap(), line);
    }
}

/// The checker that `contracts/README.md` describes, written from that page alone.
fn second_checker(text: &str) -> Result<Usd, String> {
    #[derive(serde::Deserialize)]
    struct Line {
        seq: usize,
        prev: String,
        cost_usd: Usd,
    }
    let (mut head, mut total) = (String::new(), Usd::ZERO);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let (body, _) = line.rsplit_once(",\"hash\":").ok_or("no hash")?;
        let hash = hex_sha256(body.as_bytes());
        if line != format!("{body},\"hash\":\"{hash}\"}}\n") {
            return Err(format!("line {} was altered", index + 1));
        }
        let read: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if read.seq != index + 1 || read.prev != head {
            return Err(format!("line {} is out of place", index + 1));
        }
        (head, total) = (hash, total + read.cost_usd);
    }
    Ok(total)
}

/// Judges every example of a kind and reports all that fail at once.
fn each(book: &Book, kind: &str, judge: impl Fn(&str, &Example) -> Result<(), String>) {
    let mut faults = Vec::new();
    for (name, _) in book.schemas() {
        for example in book.examples(name, kind) {
            if let Err(why) = judge(name, &example) {
                faults.push(format!("{name}/{kind}/{}: {why}", example.name));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The seed's receipt is shorter than ours: a promise about what others may write, not us.
const SEED_RECEIPT: (&str, &str) = ("routing_receipt", "of_the_seed");
