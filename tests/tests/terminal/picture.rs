//! What the terminal shows is what was drawn: after a start, a resize, keys, and a suspension.

use std::time::Duration;

use anyhow::bail;
use tollgate_tests::feed_server::{FeedServer, Names};
use tollgate_tests::terminal::Terminal;
use tollgate_tui::console::ConsoleOptions;
use tollgate_tui::model::Screen;
use tollgate_tui::shot::{self, ShotOptions};

use super::super::console;

/// The picture of the same state, drawn without a terminal.
fn drawn(server: &FeedServer, size: (u16, u16)) -> anyhow::Result<String> {
    let options = ConsoleOptions {
        events: format!("ws://{}/events", server.address()),
        gateway: format!("http://{}", server.address()),
        router: format!("http://{}", server.address()),
        ..ConsoleOptions::default()
    };
    let options = ShotOptions {
        console: options,
        screen: Screen::Dashboard,
        size,
        wait: Duration::ZERO,
        keys: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(shot::take(options))?.text())
}

/// Rows whose digits are alike: ages and clocks move between two pictures.
fn shape(text: &str) -> Vec<String> {
    let digit = |letter: char| if letter.is_ascii_digit() { '0' } else { letter };
    text.lines().map(|row| row.trim_end().chars().map(digit).collect()).collect()
}

/// The terminal comes to show the picture. One that was taken while a second ended is taken again.
fn is_as_drawn(terminal: &Terminal, server: &FeedServer, size: (u16, u16)) -> anyhow::Result<()> {
    let mut last = anyhow::anyhow!("no picture was taken");
    for _ in 0..TRIES {
        let wanted = shape(&drawn(server, size)?);
        let what = format!("{size:?} is as drawn:\n{}", wanted.join("\n"));
        match terminal.wait_within(WHILE, &what, |seen| shape(&seen.text()) == wanted) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What was written piece by piece equals what is written when everything is written anew, digit
/// for digit. Where the clock has moved in between, it is asked again.
fn is_as_written_anew(terminal: &Terminal) -> anyhow::Result<()> {
    let mut difference = String::new();
    for _ in 0..TRIES {
        let (pieces, (_, frames)) = (terminal.text(), terminal.tally());
        terminal.press("C-l")?;
        let mut anew = String::new();
        terminal.wait("a frame written anew", |seen| {
            anew = seen.text();
            seen.frames() > frames
        })?;
        if anew == pieces {
            return Ok(());
        }
        difference = format!("in pieces:\n{pieces}anew:\n{anew}");
    }
    bail!("what is written in pieces is never what is written anew; {difference}")
}

/// How long a picture stays true at least: ages in it have a digit more after ten seconds.
const WHILE: Duration = Duration::from_secs(2);

/// Pictures that are compared; the clock moves in one of many.
const TRIES: u32 = 20;

#[test]
fn the_terminal_shows_the_picture_after_start_resize_and_keys() -> anyhow::Result<()> {
    let server = FeedServer::start(Names::default())?;
    server.publish(500);
    let terminal = console(server.address()).start()?;
    terminal.shows("Σ✓")?;
    is_as_drawn(&terminal, &server, (120, 40))?;
    for size in [(80, 24), (200, 50), (50, 12), (20, 3), (120, 40)] {
        terminal.resize(size.0, size.1)?;
        is_as_drawn(&terminal, &server, size)?;
    }
    terminal.press("2 3 4 5 6 7 ?")?;
    terminal.shows("HELP")?;
    // An escape that is followed at once is another key, so each has its effect first.
    terminal.press("Esc")?;
    terminal.wait("the help is closed", |seen| !seen.text().contains("HELP"))?;
    terminal.press("2 b")?;
    terminal.shows("BUDGET R-")?;
    terminal.press("Esc")?;
    terminal.wait("the dialog is closed", |seen| !seen.text().contains("BUDGET R-"))?;
    terminal.press("1")?;
    is_as_drawn(&terminal, &server, (120, 40))?;
    is_as_written_anew(&terminal)
}

#[test]
fn two_terminals_agree() -> anyhow::Result<()> {
    let server = FeedServer::start(Names::default())?;
    server.publish(500);
    let one = console(server.address()).start()?;
    let other = console(server.address()).size(80, 24).start()?;
    one.shows("Σ✓")?;
    other.shows("Σ✓")?;
    server.publish(700);
    other.resize(120, 40)?;
    let wanted = shape(&one.text());
    other.wait("the other shows the same", |seen| {
        let now = shape(&seen.text());
        now == wanted || now == shape(&one.text())
    })?;
    Ok(())
}
