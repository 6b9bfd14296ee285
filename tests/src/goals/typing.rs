//! How soon a person sees something: after a start, after a key, over a slow link.

use std::time::Duration;

use super::{Finding, Lab, Times, finding, millis, note, pass};
use crate::terminal::Terminal;

/// Start to the first whole frame, with nobody to connect to.
pub fn first_frame(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut findings = Vec::new();
    for (answers, goal) in [
        (true, "start → first frame, no server"),
        (false, "the same on a terminal that answers no question about its colours"),
    ] {
        let mut times = Times::default();
        for _ in 0..STARTS {
            let launch = lab.launch(nobody);
            let launch = if answers { launch } else { launch.mute() };
            let terminal = launch.start()?;
            let shown = terminal.wait("a frame", |seen| seen.frames() > 0)?;
            times.add(shown - terminal.began());
        }
        if answers {
            let met = times.share(95) <= Duration::from_millis(50);
            findings.push(finding(goal, "p95 ≤ 50 ms", times.print(), met));
        } else {
            findings.push(note(goal, times.print()));
        }
    }
    Ok(findings)
}

/// Start to the first number that came over the wire.
pub fn first_number(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let mut times = Times::default();
    for _ in 0..STARTS {
        let (_server, terminal) = lab.live(120, 40)?;
        let shown = terminal.wait("the sums", |seen| seen.text().contains("Σ✓"))?;
        times.add(shown - terminal.began());
    }
    let met = times.share(95) <= Duration::from_millis(300);
    Ok(vec![finding("start → first live number", "p95 ≤ 300 ms", times.print(), met)])
}

/// Key to frame while nothing happens.
pub fn keys_idle(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let (_server, terminal) = lab.live(120, 40)?;
    let times = screens(&terminal, KEYS)?;
    let met = times.share(95) <= Duration::from_millis(16);
    Ok(vec![finding("key → frame, idle", "p95 ≤ 16 ms", times.print(), met)])
}

/// Key to frame at ten thousand receipts a second.
pub fn keys_busy(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let (server, terminal) = lab.live(120, 40)?;
    server.pace(10_000);
    pass(Duration::from_secs(8));
    let times = screens(&terminal, KEYS)?;
    let met = times.share(95) <= Duration::from_millis(33);
    Ok(vec![finding("key → frame at 10,000 receipts/s", "p95 ≤ 33 ms", times.print(), met)])
}

/// Goes from one screen to another and back: every key changes most of the cells.
fn screens(terminal: &Terminal, keys: u32) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for number in 0..keys {
        let is_away = number % 2 == 0;
        let sent = terminal.press(if is_away { "2" } else { "1" })?;
        let what = if is_away { "the other screen" } else { "the dashboard" };
        let shown =
            terminal.wait(what, |seen| is_away != seen.text().contains("PROVIDERS worst"))?;
        times.add(shown - sent);
        // A gap that is no multiple of any clock of the console's.
        pass(Duration::from_millis(67 + u64::from(number % 31)));
    }
    Ok(times)
}

/// Keys over a link that drains 4 KB a second, and whether anything was lost by it.
pub fn slow_link(lab: &Lab) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (receipts_per_s, pace) in [(0, "idle"), (1_000, "1,000"), (10_000, "10,000")] {
        let (server, terminal) = lab.live(80, 24)?;
        terminal.drain(4_000);
        server.pace(receipts_per_s);
        pass(Duration::from_secs(5));
        let mut times = Times::default();
        for _ in 0..40 {
            let cursor = mark(&terminal.text());
            // The cursor of another pane: few cells, and never where it was.
            let sent = terminal.press("Tab")?;
            let shown = terminal.wait("the cursor moves", |seen| mark(&seen.text()) != cursor)?;
            times.add(shown - sent);
            pass(Duration::from_millis(200));
        }
        server.pace(0);
        terminal.drain(0);
        server.checkpoint();
        let is_exact = terminal.shows("Σ✓").is_ok() && server.tally().lagged == 0;
        let met = times.share(95) <= Duration::from_millis(250) && is_exact;
        let lost = if is_exact { "nothing lost" } else { "events lost" };
        findings.push(finding(
            format!("key on a link of 4 KB/s, 80x24, {pace} receipts/s"),
            "p95 ≤ 250 ms, no event lost",
            format!("{}; {lost}", times.print()),
            met,
        ));
    }
    let (_server, terminal) = lab.live(80, 24)?;
    terminal.drain(4_000);
    let times = screens(&terminal, 10)?;
    let text = format!("p50 {}", millis(times.share(50)));
    findings.push(note("another whole screen over the same link, idle", text));
    Ok(findings)
}

/// Where the cursor is: its row, and the cell in it.
fn mark(text: &str) -> Option<(usize, usize)> {
    let of_row = |(row, text): (usize, &str)| Some((row, text.chars().position(|c| c == '▌')?));
    text.lines().enumerate().find_map(of_row)
}

/// Starts of each kind.
const STARTS: u32 = 50;

/// Keys of each kind.
const KEYS: u32 = 200;
