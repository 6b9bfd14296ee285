//! Files that change while the console is open, and SIGUSR1: everything is read anew.
//!
//! One thread waits for either, lets a burst of changes pass, reads all files, and hands over the
//! whole of the new settings or the first mistake. The same text again is no news. Refuses to know
//! what becomes of them.
//!
//! ```text
//! notify ──┐                  ┌─▶ Ok(settings)   the model takes them
//! SIGUSR1 ─┴─▶ wait ─▶ load ──┴─▶ Err(sentence)  the old ones stay
//! ```

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::Signals;
use tokio::sync::mpsc;

use super::{Chosen, Files, Loaded};
use crate::model::Settings;

/// What holds now, or why the old values stay.
pub type News = Result<Box<Settings>, String>;

/// Why everything is read anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Something changed below the folder.
    Changed,
    /// A person asked for it.
    Asked,
}

/// Watches until the receiver is dropped. Without a folder to watch it still hears SIGUSR1, which
/// would otherwise end the process.
pub fn watch(files: Files, chosen: Chosen) -> std::io::Result<mpsc::Receiver<News>> {
    let (sender, news) = mpsc::channel(NEWS_MAX);
    let (wake, woken) = channel();
    let mut signals = Signals::new([SIGUSR1])?;
    let asked = wake.clone();
    std::thread::Builder::new().name("reload".into()).spawn(move || {
        for _ in signals.forever() {
            if asked.send(Why::Asked).is_err() {
                return;
            }
        }
    })?;
    // First watched, then read: a change in between is heard.
    let mut watcher = watcher(wake);
    if let Some(watcher) = &mut watcher {
        place(watcher, &files);
    }
    let mut last = files.load();
    std::thread::Builder::new().name("settings".into()).spawn(move || {
        while let Some(why) = burst(&woken) {
            if let Some(watcher) = &mut watcher {
                place(watcher, &files);
            }
            let now = files.load();
            if why == Why::Changed && now == last {
                continue;
            }
            let told =
                now.as_ref().map_err(Clone::clone).and_then(|now: &Loaded| now.resolve(&chosen));
            last = now;
            let told = told.map(|resolved| Box::new(resolved.settings));
            let told = told.map_err(|error| format!("{error}; the old settings stay"));
            if sender.blocking_send(told).is_err() {
                return;
            }
        }
    })?;
    Ok(news)
}

/// A watcher that wakes; none where the system has none, and then SIGUSR1 is left.
fn watcher(wake: Sender<Why>) -> Option<RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        // Reading is what we do ourselves.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // The other end is gone when the console is.
            wake.send(Why::Changed).ok();
        }
    };
    notify::recommended_watcher(tell).ok()
}

/// Watches the folder, or what will hold it. Called again whenever something changed, for the
/// folder may have been made, or made anew.
fn place(watcher: &mut RecommendedWatcher, files: &Files) {
    let Some(folder) = &files.config else { return };
    let mut watched = |path: &Path, mode| path.is_dir() && watcher.watch(path, mode).is_ok();
    if !watched(folder, RecursiveMode::Recursive)
        && let Some(above) = folder.parent()
    {
        watched(above, RecursiveMode::NonRecursive);
    }
}

/// Waits for a first word and then until none has come for a while; none when nobody can speak.
fn burst(woken: &Receiver<Why>) -> Option<Why> {
    let mut why = woken.recv().ok()?;
    for _ in 0..BURST_MAX {
        match woken.recv_timeout(QUIET) {
            Ok(Why::Asked) => why = Why::Asked,
            Ok(Why::Changed) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Some(why)
}

/// How long nothing must have changed: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// Most changes that are waited out.
const BURST_MAX: usize = 50;

/// News that may wait; the newest is all that matters.
const NEWS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_told_whole_and_a_mistake_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("tollgate");
        let files = Files { config: Some(folder.clone()), ..Files::default() };
        let mut news = watch(files, Chosen::default()).unwrap();
        // The folder does not exist yet: its parent is watched, then the folder itself.
        let write = |text: &str| {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("config.toml"), text).unwrap();
        };
        let mut next = async |text: &str, wanted: &str| {
            write(text);
            for _ in 0..3 {
                let told = tokio::time::timeout(Duration::from_secs(20), news.recv()).await;
                let told = told.expect("in time").expect("somebody watches");
                let told = match told {
                    Ok(settings) => format!("{:?} {:?}", settings.theme, settings.fps),
                    Err(why) => why,
                };
                if told.contains(wanted) {
                    return;
                }
            }
            panic!("`{wanted}` was not told");
        };
        next("theme = \"mono\"\nfps = 7\n", "Mono Some(7)").await;
        next("theme = \"mono\"\nfps = x\n", "config.toml:2:7: ").await;
        next("theme = \"light\"\n", "Light None").await;
        signal_hook::low_level::raise(SIGUSR1).unwrap();
        let told = tokio::time::timeout(Duration::from_secs(20), news.recv()).await;
        assert!(told.unwrap().unwrap().is_ok(), "SIGUSR1 tells also what did not change");
    }
}
