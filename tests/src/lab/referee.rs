//! Checkers from outside: the program's own `verify`, and the one in Python.
//!
//! Neither shares code with the oracle. What is not there is said to be not there; it never counts
//! as passed.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::Context;
use tollgate_backend::simulate::Bill;

use crate::lab::Breach;
use crate::lab::oracle::Verdict;

/// What the checkers are given.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The backend's program, which may know `verify`.
    pub program: &'a Path,
    /// What is judged.
    pub data_dir: &'a Path,
    /// Where files for the checkers may be put.
    pub beside: &'a Path,
    /// What the provider billed.
    pub bill: &'a Bill,
    /// The answer of `GET /budgets`.
    pub budgets: &'a str,
    /// Whether the slower one judges as well.
    pub with_python: bool,
}

/// Asks every checker that is here.
pub fn ask_all(case: &Case<'_>, verdict: &mut Verdict) -> anyhow::Result<()> {
    verify(case, verdict)?;
    if case.with_python {
        python(case, verdict)?;
    }
    Ok(())
}

fn verify(case: &Case<'_>, verdict: &mut Verdict) -> anyhow::Result<()> {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    let help = || Command::new(case.program).args(["verify", "--help"]).output();
    if !KNOWN.get_or_init(|| help().is_ok_and(|output| output.status.success())) {
        verdict.not_run.push("`tollgated verify`: this program does not have it".into());
        return Ok(());
    }
    let mut command = Command::new(case.program);
    command.arg("verify").arg("--data-dir").arg(case.data_dir).env_remove("RUST_LOG");
    let output = command.output().context("failed to run `verify`")?;
    verdict.facts.push(("judged by verify", 1));
    found("verify", &output, verdict);
    Ok(())
}

fn python(case: &Case<'_>, verdict: &mut Verdict) -> anyhow::Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("checker/check.py");
    let has_python =
        || Command::new("python3").arg("--version").output().is_ok_and(|out| out.status.success());
    if !script.is_file() || !has_python() {
        verdict.not_run.push("the checker in Python: no python3, or no `check.py`".into());
        return Ok(());
    }
    let (bill, budgets) = (case.beside.join("bill.json"), case.beside.join("budgets.json"));
    std::fs::write(&bill, serde_json::to_string(case.bill)?)?;
    std::fs::write(&budgets, case.budgets)?;
    let mut command = Command::new("python3");
    command.arg(script).arg(case.data_dir).arg("--bill").arg(bill).arg("--budgets").arg(budgets);
    let output = command.output().context("failed to run the checker in Python")?;
    verdict.facts.push(("judged by check.py", 1));
    found("check.py", &output, verdict);
    Ok(())
}

/// A checker that ends with anything but 0 has found something; its first lines say what.
fn found(oracle: &'static str, output: &Output, verdict: &mut Verdict) {
    verdict.checks += 1;
    if output.status.success() {
        return;
    }
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().take(LINES_SHOWN).collect();
    let what = format!("{}: {}", output.status, lines.join(" | "));
    verdict.breaches.push(Breach { oracle, run_id: String::new(), attempt: String::new(), what });
}

/// Lines of a checker's words that are shown.
const LINES_SHOWN: usize = 8;
