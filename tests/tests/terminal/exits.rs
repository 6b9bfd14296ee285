//! Eight ways out, and the terminal as it was after each.

use anyhow::{Context, ensure};
use tollgate_tests::terminal::{Launch, Modes, Terminal};

use super::super::{console, live, nobody};

/// A console that fails when it is told to.
fn failing(fault: &str) -> anyhow::Result<Terminal> {
    let terminal = console(nobody()?).env("TOLLGATE_TEST_FAULT", fault).start()?;
    terminal.shows("BUDGETS")?;
    terminal.press("m")?;
    terminal.wait("the mouse is ours", |seen| seen.has_mouse())?;
    Ok(terminal)
}

#[test]
fn q_and_interrupt_leave_the_terminal_as_it_was() -> anyhow::Result<()> {
    for key in ["q", "C-c"] {
        let (_server, mut terminal) = live()?;
        terminal.press(key)?;
        let status = terminal.end()?;
        ensure!(status.success(), "{key}: {status}");
        ensure!(terminal.modes() == Modes::GIVEN_BACK, "{key}: {:?}", terminal.modes());
    }
    Ok(())
}

#[test]
fn errors_and_panics_of_any_thread_are_told_on_a_terminal_that_was_given_back() -> anyhow::Result<()>
{
    for (fault, words) in [
        ("error", "an error, as asked"),
        ("main", "a panic in main, as asked"),
        ("task", "a panic in a task, as asked"),
    ] {
        let mut terminal = failing(fault)?;
        terminal.signal("USR2")?;
        let status = terminal.end().context(fault)?;
        ensure!(!status.success(), "{fault}: {status}");
        ensure!(terminal.modes() == Modes::GIVEN_BACK, "{fault}: {:?}", terminal.modes());
        ensure!(terminal.text().contains(words), "{fault}:\n{}", terminal.text());
    }
    Ok(())
}

#[test]
fn signals_that_end_it_give_the_terminal_back() -> anyhow::Result<()> {
    for name in ["TERM", "HUP", "INT"] {
        let (_server, mut terminal) = live()?;
        terminal.press("m")?;
        terminal.wait("the mouse is ours", |seen| seen.has_mouse())?;
        terminal.signal(name)?;
        terminal.end().context(name)?;
        ensure!(terminal.modes() == Modes::GIVEN_BACK, "{name}: {:?}", terminal.modes());
    }
    Ok(())
}

#[test]
fn a_shell_gets_the_terminal_while_the_console_is_stopped() -> anyhow::Result<()> {
    let mut terminal = Launch::new("/bin/sh")
        .arg("-i")
        .env("PS1", "shell> ")
        .env("TOLLGATE_EVENTS", format!("ws://{}/events", nobody()?))
        .start()?;
    terminal.shows("shell>")?;
    let program = env!("CARGO_BIN_EXE_console-under-test");
    terminal.send(format!("{program}\r").as_bytes())?;
    for answer in [42, 48] {
        terminal.shows("BUDGETS")?;
        let before = terminal.text();
        terminal.press("C-z")?;
        prompt(&terminal)?;
        let modes = terminal.modes();
        ensure!(!modes.hidden_cursor && !modes.bracketed_paste && !modes.mouse, "{modes:?}");
        terminal.send(format!("echo $((6*{}))\r", answer / 6).as_bytes())?;
        terminal.shows(&answer.to_string()).context("lines are edited and run")?;
        terminal.send(b"fg\r")?;
        let what = format!("the console is whole again:\n{before}");
        terminal.wait(&what, |seen| {
            seen.screen().alternate_screen() && rows(&seen.text()) == rows(&before)
        })?;
    }
    terminal.press("q")?;
    // What is typed before the prompt may still be the console's.
    prompt(&terminal)?;
    terminal.send(b"echo it left with $?\r")?;
    terminal.shows("it left with 0")?;
    terminal.send(b"exit\r")?;
    terminal.end()?;
    Ok(())
}

/// Waits until the shell asks for a line again.
fn prompt(terminal: &Terminal) -> anyhow::Result<()> {
    terminal.wait("the shell is there again", |seen| {
        !seen.screen().alternate_screen() && seen.text().trim_end().ends_with("shell>")
    })?;
    Ok(())
}

/// The rows below the header, whose clock goes on.
fn rows(text: &str) -> Vec<&str> {
    text.lines().skip(3).collect()
}
