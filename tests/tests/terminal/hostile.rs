//! Servers that send garbage, floods and lies: the console never leaves, never goes blank, and
//! nothing from outside steers the terminal.

use std::time::Duration;

use anyhow::ensure;
use tollgate_tests::feed_server::script::{Line, Script};
use tollgate_tests::terminal::{Terminal, strange};

use super::super::console;

const HELLO: &str = r#"{"type":"hello","proto":1,"epoch":"e1","seq":3,"now":"2026-11-23T14:14:07Z","catalogue":"v1","read_only":false}"#;

fn text(text: impl Into<String>) -> Line {
    Line::Text(text.into())
}

/// A snapshot with one run and, in its only alert, these words.
fn snapshot(seq: u64, run: &str, words: &str) -> Line {
    let words = serde_json::to_string(words).expect("a text is JSON");
    text(format!(
        r#"{{"type":"snapshot","seq":{seq},"seconds":[],"runs":[{{"run_id":"{run}","state":"open","parent":null,"agents":1,"requests":1,"spent_usd":1,"budget_usd":2,"level":"ok","last_at":"2026-11-23T14:14:07Z"}}],"budgets":[],"providers":[],"alerts":[{{"id":"budget:{run}","severity":"critical","subject":{words},"rule":"budget","since":"2026-11-23T14:14:07Z","what":{words},"then":{words},"state":"open"}}],"checkpoint":{{"posted_usd":1}}}}"#
    ))
}

fn tick(seq: u64) -> Line {
    text(format!(
        r#"{{"type":"tick","seq":{seq},"at":"2026-11-23T14:14:07Z","all":{{"cost_usd":0.5}}}}"#
    ))
}

/// A console before a server with this to say, each time it is asked.
fn before(conversations: Vec<Vec<Line>>) -> anyhow::Result<(Script, Terminal)> {
    let script = Script::start(conversations)?;
    let terminal = console(script.address()).start()?;
    Ok((script, terminal))
}

/// It is there, it draws, it answers keys, and wrote nothing that steers the terminal.
fn is_well(terminal: &Terminal) -> anyhow::Result<()> {
    terminal.press("2")?;
    terminal.wait("the runs", |seen| seen.text().contains("RUNS"))?;
    terminal.press("1")?;
    terminal.shows("MONEY OUT")?;
    let strange = strange(terminal.seen().raw());
    ensure!(strange.is_empty(), "the terminal was steered: {strange:?}");
    Ok(())
}

#[test]
fn garbage_is_passed_over() -> anyhow::Result<()> {
    let garbage = vec![
        text("garbage"),
        text(""),
        text("{"),
        text("[]"),
        text(r#"{"type":"horoscope","seq":1}"#),
        text(r#"{"type":"tick","seq":-1}"#),
        text(r#"{"type":"receipts","from":9,"to":2,"items":[]}"#),
        text(r#"{"type":"receipts","from":4,"to":4,"items":["no receipt"]}"#),
        text(format!(r#"{{"type":"tick","seq":{}}}"#, u64::MAX)),
        text(format!("{}{}", "[".repeat(20_000), "]".repeat(20_000))),
        text("\u{0}\u{1b}[2J\u{9b}31m"),
        text("x".repeat(4 << 20)),
        Line::Binary(vec![0, 159, 146, 150]),
        text(HELLO),
        snapshot(3, "R-garbage", "fine"),
        Line::Hang,
    ];
    let (_script, terminal) = before(vec![garbage])?;
    terminal.shows("R-garbage")?;
    is_well(&terminal)
}

#[test]
fn bytes_outside_of_frames_and_no_handshake_are_a_lost_connection() -> anyhow::Result<()> {
    let conversations = vec![
        vec![Line::Raw(b"\x1b[2J\x1b]0;owned\x07 no HTTP at all\r\n\r\n".to_vec())],
        vec![Line::Raw(b"HTTP/1.1 200 \x1b[31mfine\r\n\r\n".to_vec())],
        vec![text(HELLO), Line::Raw(vec![0xff; 4_096])],
        vec![text(HELLO), snapshot(3, "R-at-last", "fine"), Line::Hang],
    ];
    let (script, terminal) = before(conversations)?;
    terminal.shows("R-at-last")?;
    ensure!(script.asked() >= 4);
    is_well(&terminal)
}

#[test]
fn numbers_that_go_backwards_and_epochs_that_change_cost_nothing() -> anyhow::Result<()> {
    let first = vec![
        text(HELLO),
        snapshot(3, "R-first", "fine"),
        tick(4),
        tick(4),
        tick(2),
        tick(1_000_000),
    ];
    // What is missing is asked for once, by coming again.
    let second = vec![
        text(HELLO.replace("\"e1\"", "\"e2\"")),
        snapshot(1, "R-second", "fine"),
        tick(2),
        tick(1),
        text(HELLO.replace("\"e1\"", "\"e3\"")),
        snapshot(0, "R-third", "fine"),
        Line::Hang,
    ];
    let (_script, terminal) = before(vec![first, second])?;
    terminal.shows("R-third")?;
    is_well(&terminal)
}

#[test]
fn a_flood_does_not_drown_the_keys() -> anyhow::Result<()> {
    let flood = vec![
        text(HELLO),
        snapshot(3, "R-flood", "fine"),
        Line::Flood(r#"{"type":"ping","now":"2026-11-23T14:14:07Z"}"#.into(), 200_000),
        Line::Flood("garbage".into(), 200_000),
        Line::Hang,
    ];
    let (_script, terminal) = before(vec![flood])?;
    terminal.shows("R-flood")?;
    is_well(&terminal)
}

#[test]
fn a_stall_is_said() -> anyhow::Result<()> {
    let stall =
        vec![text(HELLO), snapshot(3, "R-stall", "fine"), Line::Wait(Duration::from_secs(60))];
    let (_script, terminal) = before(vec![stall])?;
    terminal.shows("R-stall")?;
    terminal.wait("that nothing comes is said", |seen| {
        let text = seen.text();
        !text.contains("LIVE") && text.contains('◌')
    })?;
    is_well(&terminal)?;
    ensure!(terminal.text().contains("R-stall"), "what was known stays on screen");
    Ok(())
}

#[test]
fn nothing_from_outside_steers_the_terminal() -> anyhow::Result<()> {
    let words = [
        "\u{1b}[2J\u{1b}[31mred\u{7}\u{1b}]0;owned\u{7}\u{1b}]52;c;AAAA\u{7}\r\n\t\u{8}".to_owned(),
        format!("e{}!", "\u{301}".repeat(10_000)),
        "pay \u{202e}fdp.\u{2066}x\u{2069}\u{200f}\u{feff}\u{9b}2J".to_owned(),
        "漢字👩\u{200d}👩\u{200d}👧🏽".repeat(100),
        "\u{e0041}\u{e007f}\u{ad}\u{fffd}\u{0}".to_owned(),
    ];
    for words in words {
        let conversation = vec![text(HELLO), snapshot(3, "R-words", &words), Line::Hang];
        let (_script, terminal) = before(vec![conversation])?;
        terminal.shows("R-words")?;
        terminal.press("6")?;
        terminal.shows("ALERTS")?;
        is_well(&terminal)?;
        let written = String::from_utf8_lossy(terminal.seen().raw()).into_owned();
        ensure!(written.matches('\u{301}').count() < 1_000, "a flood of marks was written");
        ensure!(!written.contains('\u{202e}') && !written.contains('\u{9b}'));
    }
    Ok(())
}
