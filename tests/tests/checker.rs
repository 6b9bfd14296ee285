//! The second checker judges what a whole backend leaves behind, and cannot be fooled about it.
//!
//! `checker/check.py` follows `contracts/` alone and shares no code with the program. Here it gets
//! real receipt files, the providers' own bills and the budgets as they are shown: it must find
//! nothing in them, and something in every copy that was doctored. Where Python is not installed
//! that is said, and nothing is judged.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_backend::simulate::Simulator;
use tollgate_shared::provider::Dialect;
use tollgate_shared::receipt::Status;
use tollgate_tests::{House, chat, faulty, simulator};

/// What can go wrong at a provider without waiting for a clock.
const FAULTS: [&str; 13] = [
    "reset",
    "redirect",
    "status400",
    "status429",
    "status503",
    "bill_then_500",
    "cut",
    "garbage",
    "no_usage",
    "negative_usage",
    "error_event",
    "no_end",
    "two_ends",
];

/// Every run that spends; the last two are parts of the first.
const RUNS: [&str; 6] = ["plain", "faults", "unlimited", "cheated", "child", "grandchild"];

#[test]
fn each_rule_of_the_checker_is_shown_to_fail() -> anyhow::Result<()> {
    if !python() {
        return Ok(());
    }
    let output = Command::new("python3").arg("-B").arg(script("test_check.py")).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && told.contains("\nOK"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_backend_leaves_is_clean_and_every_doctored_copy_is_not() -> anyhow::Result<()> {
    if !python() {
        return Ok(());
    }
    let books = Books::of_a_day().await?;
    let output = books.judge(true)?;
    let told = String::from_utf8(output.stdout)?;
    ensure!(output.status.code() == Some(0), "honest books: {told}");
    // It read what is there: what it calls clean is not merely empty.
    let lines = RUNS.map(|run| books.lines(run));
    let lines = lines.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat().concat();
    for status in ["success", "fallback", "error", "voided", "cut_off", "unknown", "correction"] {
        ensure!(lines.contains(&format!("\"status\":\"{status}\"")), "no receipt is {status}");
    }

    // What is written back unchanged stays clean: the doctoring is found, not the writing.
    let copy = books.copy()?;
    copy.bill(|_| ())?;
    copy.budget("plain", |_| ())?;
    ensure!(copy.judge(true)?.status.success(), "copies of honest books");

    for (what, with_witnesses, code, doctor) in DOCTORED {
        let copy = books.copy()?;
        doctor(&copy).with_context(|| what.to_owned())?;
        let output = copy.judge(*with_witnesses)?;
        let told = String::from_utf8(output.stdout)?;
        ensure!(output.status.code() == Some(1), "{what}: {told}");
        ensure!(told.lines().any(|line| line.starts_with(code)), "{what}, not {code}: {told}");
    }
    Ok(())
}

/// How a copy is spoilt.
type Doctor = fn(&Books) -> anyhow::Result<()>;

/// What is done, whether bills and budgets are needed to see it, the code that must be found, how.
const DOCTORED: &[(&str, bool, &str, Doctor)] = &[
    ("one digit", false, "altered plain.jsonl:2", |books| books.line(1, digit)),
    ("one line removed", false, "chain plain.jsonl:2", |books| {
        books.edit("plain", |lines| drop(lines.remove(1)))
    }),
    ("one line doubled", false, "attempt_twice plain.jsonl:3", |books| {
        books.edit("plain", |lines| lines.insert(2, lines[1].clone()))
    }),
    ("two lines swapped", false, "seq plain.jsonl:2", |books| {
        books.edit("plain", |lines| lines.swap(1, 2))
    }),
    ("the last line torn", false, "receipt plain.jsonl:", |books| {
        let path = books.file("plain");
        let text = fs::read_to_string(&path)?;
        Ok(fs::write(path, &text[..text.len() - 40])?)
    }),
    ("a file under another name", false, "name other.jsonl:1", |books| {
        Ok(fs::rename(books.file("plain"), books.file("other"))?)
    }),
    ("a file twice", false, "attempt_twice ", |books| {
        Ok(fs::copy(books.file("plain"), books.file("again")).map(drop)?)
    }),
    // The chain that is left is whole in itself: only the witnesses know better.
    ("the last line lost", true, "no_receipt 0.json:", |books| {
        books.edit("plain", |lines| drop(lines.pop()))
    }),
    ("the last line lost, by the budgets", true, "spent budgets.json:", |books| {
        books.edit("plain", |lines| drop(lines.pop()))
    }),
    ("a whole file lost", true, "no_receipt 0.json:", |books| {
        Ok(fs::remove_file(books.file("plain"))?)
    }),
    ("a bill with one attempt too many", true, "no_receipt 0.json:", |books| {
        books.bill(|attempts| {
            let mut more = attempts[0].clone();
            more["attempt_id"] = json!("never-sent");
            attempts.push(more);
        })
    }),
    ("a bill with one attempt too few", true, "not_billed ", |books| {
        books.bill(|attempts| drop(attempts.remove(0)))
    }),
    ("a bill with one attempt twice", true, "billed_twice 0.json:", |books| {
        books.bill(|attempts| attempts.push(attempts[0].clone()))
    }),
    ("a bill with one dollar more", true, "underpaid plain.jsonl:", |books| {
        books.bill(|attempts| attempts[0]["cost_usd"] = json!(1))
    }),
    ("a bill with one cost less", true, "inexact plain.jsonl:", |books| {
        books.bill(|attempts| attempts[0]["cost_usd"] = json!(0))
    }),
    ("a bill with other counts", true, "tokens plain.jsonl:", |books| {
        books.bill(|attempts| attempts[0]["output_tokens"] = json!(0))
    }),
    ("a limit below what was billed", true, "overspent budgets.json:", |books| {
        books.budget("plain", |shown| shown["budget_usd"] = json!(0.000001))
    }),
    ("money held for nothing", true, "held budgets.json:", |books| {
        books.budget("plain", |shown| shown["held_usd"] = json!(0.5))
    }),
    ("a correction lost", true, "spent budgets.json:", |books| {
        books.edit("grandchild", |lines| drop(lines.pop()))
    }),
    ("a child that is nobody's", true, "posted budgets.json:", |books| {
        books.budget("child", |shown| shown["parent"] = Value::Null)
    }),
    ("an unknown forgotten", true, "unknown budgets.json:", |books| {
        books.budget("faults", |shown| shown["unknown_usd"] = json!(0))
    }),
];

/// A data directory with what bears witness to it.
struct Books {
    dir: TempDir,
}

impl Books {
    /// What a day leaves: three dialects, streams, a fallback, a breach, and everything that can go
    /// wrong at once.
    async fn of_a_day() -> anyhow::Result<Self> {
        let house = House::open().await?;
        let providers = [
            simulator(Dialect::Openai).await?,
            simulator(Dialect::Anthropic).await?,
            simulator(Dialect::Gemini).await?,
            faulty("status503:1").await?,
        ];
        let [openai, anthropic, gemini, broken] = &providers;
        house.register("openai", "gpt-4", openai).await?;
        let dialects = [("claude", anthropic, "anthropic"), ("gemini", gemini, "gemini")];
        for (model, provider, dialect) in dialects {
            house.register_with(model, model, provider, json!({"dialect": dialect})).await?;
        }
        let cheap = json!({"pricing": {"bills_on_5xx": "never"},
            "cost_per_input_token": "0.00001", "cost_per_output_token": "0.00001"});
        house.register_with("broken", "falling", broken, cheap).await?;
        house.register("sound", "falling", openai).await?;
        for run in ["plain", "faults", "cheated"] {
            house.budget(run, "5").await?;
        }
        for (run, parent) in [("child", "plain"), ("grandchild", "child")] {
            let part = json!({"run_id": run, "budget_usd": "1", "parent": parent});
            let reply = house.post(&house.gateway("/budget"), &part).await?;
            ensure!(reply.status == 200, "{}", reply.text);
        }
        for stream in [false, true] {
            for run in ["plain", "unlimited", "child", "grandchild"] {
                for model in ["gpt-4", "claude", "gemini", "falling"] {
                    say(&house, run, model, "[out:20] hello", stream).await?;
                }
            }
            for fault in FAULTS {
                let words = format!("[fault:{fault}] [out:30] hello");
                say(&house, "faults", "gpt-4", &words, stream).await?;
            }
        }
        for _ in 0..3 {
            say(&house, "grandchild", "gpt-4", "[fault:bill_then_500] [out:9] hello", false)
                .await?;
        }
        resolve(&house, openai).await?;
        // Last, for a provider that broke its word is not used again.
        let mut cheating = chat("cheated", "gpt-4", "[fault:over_cap] [out:50] hello");
        cheating["payload"]["max_tokens"] = json!(10);
        house.post(&house.gateway("/route"), &cheating).await?;
        Self::save(house, &providers).await
    }

    /// Copies the files when nothing is in flight any more, with bills and budgets beside them.
    async fn save(house: House, providers: &[Simulator]) -> anyhow::Result<Self> {
        for run in RUNS {
            until_settled(&house, run).await?;
            house.receipts(run).await?;
        }
        let books = Self { dir: tempfile::tempdir()? };
        fs::create_dir(books.dir.path().join("costs"))?;
        for entry in fs::read_dir(house.path("costs"))? {
            let entry = entry?;
            fs::copy(entry.path(), books.dir.path().join("costs").join(entry.file_name()))?;
        }
        let budgets = house.get(&house.gateway("/budgets")).await?.text;
        fs::write(books.dir.path().join("budgets.json"), budgets)?;
        for (number, provider) in providers.iter().enumerate() {
            let bill = house.get(&format!("{}/bill", provider.url())).await?.text;
            fs::write(books.dir.path().join(format!("{number}.json")), bill)?;
        }
        house.leave().await?;
        Ok(books)
    }

    /// The checker's verdict, with the bills and budgets or by the files alone.
    fn judge(&self, with_witnesses: bool) -> anyhow::Result<Output> {
        let mut command = Command::new("python3");
        command.arg("-B").arg(script("check.py")).arg(self.dir.path());
        if with_witnesses {
            command.arg("--budgets").arg(self.dir.path().join("budgets.json"));
            for number in 0..4 {
                command.arg("--bill").arg(self.dir.path().join(format!("{number}.json")));
            }
        }
        let output = command.output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(told.is_empty(), "{told}");
        Ok(output)
    }

    fn copy(&self) -> anyhow::Result<Self> {
        let copy = Self { dir: tempfile::tempdir()? };
        fs::create_dir(copy.dir.path().join("costs"))?;
        for folder in ["", "costs"] {
            for entry in fs::read_dir(self.dir.path().join(folder))? {
                let path = entry?.path();
                if path.is_file() {
                    let name = path.file_name().context("a file has a name")?;
                    fs::copy(&path, copy.dir.path().join(folder).join(name))?;
                }
            }
        }
        Ok(copy)
    }

    fn file(&self, run: &str) -> PathBuf {
        self.dir.path().join(format!("costs/{run}.jsonl"))
    }

    fn lines(&self, run: &str) -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string(self.file(run))?;
        Ok(text.split_inclusive('\n').map(str::to_owned).collect())
    }

    fn edit(&self, run: &str, change: impl FnOnce(&mut Vec<String>)) -> anyhow::Result<()> {
        let mut lines = self.lines(run)?;
        change(&mut lines);
        Ok(fs::write(self.file(run), lines.concat())?)
    }

    fn line(&self, index: usize, change: impl FnOnce(&str) -> String) -> anyhow::Result<()> {
        self.edit("plain", |lines| lines[index] = change(&lines[index]))
    }

    fn bill(&self, change: impl FnOnce(&mut Vec<Value>)) -> anyhow::Result<()> {
        self.json("0.json", "attempts", change)
    }

    fn budget(&self, run: &str, change: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
        self.json("budgets.json", "budgets", |budgets| {
            budgets.iter_mut().find(|shown| shown["run_id"] == run).map(change);
        })
    }

    fn json(
        &self,
        file: &str,
        list: &str,
        change: impl FnOnce(&mut Vec<Value>),
    ) -> anyhow::Result<()> {
        let path = self.dir.path().join(file);
        let mut value: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        change(value[list].as_array_mut().context("a list")?);
        Ok(fs::write(path, value.to_string())?)
    }
}

/// The next digit in place of the first one of a receipt's cost.
fn digit(line: &str) -> String {
    let start = line.find("\"cost_usd\":").map_or(0, |at| at + "\"cost_usd\":0.".len());
    let (head, tail) = line.split_at(start);
    let old = tail.chars().next().unwrap_or('0');
    let new = char::from_digit((old.to_digit(10).unwrap_or(0) + 1) % 10, 10).unwrap_or('0');
    format!("{head}{new}{}", &tail[1..])
}

/// One request, whose answer may be any.
async fn say(
    house: &House,
    run: &str,
    model: &str,
    words: &str,
    stream: bool,
) -> anyhow::Result<()> {
    let mut request = chat(run, model, words);
    request["payload"]["stream"] = json!(stream);
    house.post(&house.gateway("/route"), &request).await.map(drop)
}

/// Resolves two of a run's three unknown attempts: one by its bill, one as if it was dearer.
async fn resolve(house: &House, provider: &Simulator) -> anyhow::Result<()> {
    until_settled(house, "grandchild").await?;
    let unknown = house.receipts("grandchild").await?;
    let unknown = unknown.iter().filter(|receipt| receipt.status == Status::Unknown);
    for (receipt, more) in unknown.take(2).zip(["0", "0.00001"]) {
        let id = receipt.attempt_id.as_str();
        let bill = provider.bill();
        let entry = bill.attempts.iter().find(|entry| entry.attempt_id == id);
        let cost = entry.context("it was billed")?.cost_usd + more.parse()?;
        let body = json!({"outcome": "posted", "cost_usd": cost.to_string(), "evidence": "bill"});
        let url = house.gateway(&format!("/unknowns/{id}/resolve"));
        let reply = house.post(&url, &body).await?;
        ensure!(reply.status == 200, "{}", reply.text);
    }
    Ok(())
}

/// Waits until a run holds nothing but what is unknown.
async fn until_settled(house: &House, run: &str) -> anyhow::Result<()> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let shown = house.budget_of(run).await?;
        if shown.held_usd == shown.unknown_usd {
            return Ok(());
        }
        ensure!(std::time::Instant::now() < deadline, "{run} still holds {}", shown.held_usd);
    }
}

/// Whether there is a Python to judge with; where not, that is said past the test's capture.
fn python() -> bool {
    let wanted = "import sys; sys.exit(sys.version_info < (3, 9))";
    let found = Command::new("python3").args(["-c", wanted]).output();
    let there = found.is_ok_and(|output| output.status.success());
    if !there {
        let line = "skipped: the second checker, for there is no python3 of at least 3.9";
        writeln!(std::io::stderr(), "{line}").ok();
    }
    there
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("checker").join(name)
}
