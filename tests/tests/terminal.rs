//! The console in a real terminal: start, keys, sizes, pastes, signals, and servers that lie.
//!
//! Only what needs a terminal stands here; what a screen says is judged where it is drawn.

use anyhow::{Context, ensure};
use tollgate_tests::feed_server::{FeedServer, Names};
use tollgate_tests::terminal::{Launch, Modes, Terminal, strange};

mod terminal {
    pub mod exits;
    pub mod hostile;
    pub mod picture;
}

/// A console that looks at this address, in a terminal of 120x40.
fn console(address: std::net::SocketAddr) -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_console-under-test"))
        .env("TOLLGATE_EVENTS", format!("ws://{address}/events"))
        .env("TOLLGATE_GATEWAY", format!("http://{address}"))
        .env("TOLLGATE_ROUTER", format!("http://{address}"))
}

/// A swarm that has spent something, and a console that shows it.
fn live() -> anyhow::Result<(FeedServer, Terminal)> {
    let server = FeedServer::start(Names::default())?;
    server.publish(500);
    let terminal = console(server.address()).start()?;
    terminal.shows("Σ✓")?;
    Ok((server, terminal))
}

/// The address of nobody.
fn nobody() -> anyhow::Result<std::net::SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[test]
fn the_first_frame_comes_without_a_server() -> anyhow::Result<()> {
    let terminal = console(nobody()?).start()?;
    terminal.shows("BUDGETS")?;
    terminal.shows("reconnecting")?;
    let modes = terminal.modes();
    assert!(modes.alternate && modes.hidden_cursor && modes.bracketed_paste && !modes.cooked);
    assert!(!modes.mouse, "text can be selected");
    assert_eq!(strange(terminal.seen().raw()), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_terminal_that_answers_no_questions_is_drawn_on_all_the_same() -> anyhow::Result<()> {
    let terminal = console(nobody()?).mute().start()?;
    terminal.shows("BUDGETS")?;
    Ok(())
}

#[test]
fn every_screen_has_its_key() -> anyhow::Result<()> {
    let (_server, terminal) = live()?;
    let dashboard = terminal.text();
    let mut shown = vec![body(&dashboard)];
    for key in ["2", "3", "4", "5", "6", "7"] {
        let before = body(&terminal.text());
        terminal.press(key)?;
        terminal
            .wait(&format!("`{key}` changes the screen"), |seen| body(&seen.text()) != before)?;
        let now = body(&terminal.text());
        ensure!(!shown.contains(&now), "`{key}` shows what another key shows:\n{now}");
        shown.push(now);
    }
    terminal.press("1")?;
    terminal.shows("MONEY OUT")?;
    Ok(())
}

/// What is below the three rows of the header, whose clock changes by itself.
fn body(text: &str) -> String {
    text.lines().skip(3).collect::<Vec<_>>().join("\n")
}

#[test]
fn any_size_is_drawn() -> anyhow::Result<()> {
    let (_server, terminal) = live()?;
    for (width, height) in SIZES {
        let before = terminal.seen().frames();
        terminal.resize(width, height)?;
        terminal.wait(&format!("a frame of {width}x{height}"), |seen| seen.frames() > before)?;
    }
    // Bursts: only the last size counts.
    for (width, height) in SIZES.into_iter().chain([(120, 40)]) {
        terminal.resize(width, height)?;
    }
    terminal.wait("the dashboard is whole again", |seen| {
        let text = seen.text();
        text.contains("BUDGETS") && text.contains("RECEIPTS") && text.contains("Σ✓")
    })?;
    terminal.resize(20, 3)?;
    terminal.wait("speed at 20x3", |seen| seen.text().contains("/min"))?;
    assert_eq!(strange(terminal.seen().raw()), Vec::<String>::new());
    Ok(())
}

const SIZES: [(u16, u16); 12] = [
    (1, 1),
    (20, 3),
    (300, 100),
    (2, 100),
    (300, 1),
    (59, 15),
    (60, 16),
    (99, 24),
    (100, 24),
    (159, 40),
    (160, 40),
    (80, 24),
];

#[test]
fn a_pasted_registration_fills_the_form() -> anyhow::Result<()> {
    let (_server, terminal) = live()?;
    terminal.press("r")?;
    terminal.shows("REGISTER")?;
    terminal.paste(
        "{\"name\":\"pasted-provider\",\"model\":\"gpt-4\",\n \"context_window\":8192,\
         \"endpoint\":\"http://localhost:8100\",\"cost_per_input_token\":0.00003,\
         \"cost_per_output_token\":0.00006}",
    )?;
    terminal.shows("pasted-provider")?;
    // A paste is text: no letter of it is a key.
    terminal.press("Esc")?;
    terminal.wait("the form is closed", |seen| !seen.text().contains("REGISTER"))?;
    terminal.paste("q\r\x1bq")?;
    terminal.press("2")?;
    terminal.shows("RUNS")?;
    Ok(())
}

#[test]
fn the_mouse_is_asked_for_and_let_go() -> anyhow::Result<()> {
    let (_server, mut terminal) = live()?;
    terminal.press("m")?;
    terminal.wait("the mouse is ours", |seen| seen.has_mouse())?;
    terminal.press("q")?;
    let status = terminal.end()?;
    assert!(status.success(), "{status}");
    assert_eq!(terminal.modes(), Modes::GIVEN_BACK);
    Ok(())
}

#[test]
fn ten_thousand_runs_are_a_screen_like_any_other() -> anyhow::Result<()> {
    let server = FeedServer::start(Names { idle_runs: 10_000, ..Names::default() })?;
    server.publish(500);
    let mut terminal = console(server.address()).start()?;
    terminal.shows("Σ✓")?;
    terminal.press("2 G")?;
    terminal.shows("R-9999").context("the last of 10,008, by name")?;
    terminal.press("q")?;
    assert!(terminal.end()?.success());
    Ok(())
}
