//! Signals, as messages to the loop.
//!
//! Refuses to know what the loop makes of them, save that one who was asked to leave and does not is
//! helped out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use tokio::sync::mpsc;

use crate::term;

/// Signals as they come, from a thread that waits for them.
///
/// When a terminal vanishes, crossterm reads its end for ever within one poll and the loop never
/// hears of the hang-up. So the thread ends the process itself where the console has not left
/// within a second of being asked to.
pub(super) fn signals(left: Arc<AtomicBool>) -> anyhow::Result<mpsc::Receiver<i32>> {
    let mut signals =
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT])?;
    let (sender, receiver) = mpsc::channel(8);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if sender.blocking_send(signal).is_err() {
                return;
            }
            if !matches!(signal, SIGTSTP | SIGCONT) {
                std::thread::sleep(PATIENCE);
                if !left.load(Ordering::SeqCst) {
                    term::give_back();
                    std::process::exit(128 + signal);
                }
            }
        }
    })?;
    Ok(receiver)
}

/// Stops every process of our group, as the terminal itself would: under `cargo run` the shell
/// would otherwise wait for cargo, and cargo for us.
///
/// The helper that sends the signal is of the group too and stops with it, so it is waited for in
/// a thread of its own; ours is stopped by the handler, which gives the terminal back first.
pub(super) fn stop_the_group() {
    std::thread::spawn(|| {
        let stopped = std::process::Command::new("kill").args(["-s", "TSTP", "0"]).status();
        if !stopped.is_ok_and(|status| status.success()) {
            signal_hook::low_level::raise(SIGTSTP).ok();
        }
    });
}

/// How long the loop may take to leave when a signal asked it to.
const PATIENCE: Duration = Duration::from_secs(1);
