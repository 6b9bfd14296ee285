//! Figures of a run, written into a table between two marks of a document.
//!
//! ```text
//! <!-- crashlab:figures -->
//! | fault | seed | commit | cycles | checks | breaches | note |
//! |---|---|---|---|---|---|---|
//! | kill | 1 | 87d364e | 1,000 | 9,471,240 | 0 | |
//! <!-- /crashlab -->
//! ```
//!
//! A row is replaced by its first cell, or added; the rest of the document is not touched.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::lab::Report;

/// Writes a fault's figures into the document.
pub fn figures(document: &Path, fault: &str, seed: u64, report: &Report) -> anyhow::Result<()> {
    let count = |number: u64| grouped(number);
    let cells = [
        seed.to_string(),
        commit(),
        count(report.cycles),
        count(report.checks),
        count(report.breaches.len() as u64),
        note(report),
    ];
    row(document, "figures", (fault, &cells))
}

/// Writes one row of the table with this name. The table's head is the document's own.
pub fn row(document: &Path, table: &str, (key, cells): (&str, &[String])) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(document)
        .with_context(|| format!("failed to read `{}`", document.display()))?;
    let line = format!("| {key} | {} |", cells.join(" | "));
    std::fs::write(document, with_row(&text, table, (key, &line))?)?;
    Ok(())
}

fn with_row(text: &str, table: &str, (key, line): (&str, &str)) -> anyhow::Result<String> {
    let begin = format!("<!-- crashlab:{table} -->");
    let mut written = String::with_capacity(text.len() + line.len());
    let (mut inside, mut done) = (false, false);
    for known in text.split_inclusive('\n') {
        let is_end = inside && known.trim() == END;
        let is_row = inside && known.starts_with(&format!("| {key} |"));
        if (is_end || is_row) && !done {
            written.push_str(line);
            written.push('\n');
            done = true;
        }
        if !is_row {
            written.push_str(known);
        }
        inside = (inside && !is_end) || known.trim() == begin;
    }
    ensure!(done, "no table `{begin}` with its `{END}`");
    Ok(written)
}

/// Counts first, then what could not run.
fn note(report: &Report) -> String {
    let shown = report.facts.iter().filter(|(_, count)| **count > 0);
    let mut notes: Vec<String> =
        shown.map(|(name, count)| format!("{name}: {}", grouped(*count))).collect();
    notes.extend(report.not_run.iter().map(|reason| format!("not run: {reason}")));
    notes.join("; ").replace('|', "/")
}

/// The commit that was built, as far as this place knows one.
fn commit() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    let output = Command::new("git").args(["-C", here, "rev-parse", "--short", "HEAD"]).output();
    let known = output.ok().filter(|output| output.status.success());
    let text = known.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|| "unknown".into())
}

/// 1234567 as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Ends every table.
const END: &str = "<!-- /crashlab -->";

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n<!-- crashlab:figures -->\n| fault | n |\n|---|---|\n| kill | 1 |\n\
                        <!-- /crashlab -->\n| kill | elsewhere |\n";

    #[test]
    fn a_row_is_replaced_or_added_and_nothing_else_is_touched() {
        let replaced = with_row(PAGE, "figures", ("kill", "| kill | 2 |")).unwrap();
        assert_eq!(replaced, PAGE.replace("| kill | 1 |", "| kill | 2 |"));
        let added = with_row(PAGE, "figures", ("torn", "| torn | 3 |")).unwrap();
        assert_eq!(added, PAGE.replace("| kill | 1 |\n", "| kill | 1 |\n| torn | 3 |\n"));
        assert!(with_row(PAGE, "mutants", ("a", "| a |")).is_err());
    }

    #[test]
    fn numbers_are_read_in_groups() {
        let rows = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in rows {
            assert_eq!(grouped(number), text);
        }
    }
}
