//! A picture of the console as it is now, without a terminal.
//!
//! Connects like the console, waits for a snapshot and a while more, draws once. Refuses to know
//! terminals.
//!
//! Keys can be pressed first, so a picture of a dialog is taken as easily as one of the dashboard.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::time::Instant;

use crate::console::ConsoleOptions;
use crate::feed::clock;
use crate::message::{Chord, Effect, Message, Method};
use crate::model::{Model, Screen};
use crate::picture;
use crate::theme::Theme;
use crate::update::update;
use crate::view::view;
use crate::zone;

/// What is asked of a shot.
#[derive(Clone, Debug)]
pub struct ShotOptions {
    /// Where the console looks.
    pub console: ConsoleOptions,
    /// The screen.
    pub screen: Screen,
    /// Columns and rows.
    pub size: (u16, u16),
    /// How long to collect after the snapshot.
    pub wait: Duration,
    /// Keys to press before it is taken, such as `b` or `Tab`.
    pub keys: Vec<String>,
}

/// A drawn screen.
#[derive(Clone, Debug)]
pub struct Shot {
    buffer: Buffer,
    theme: Theme,
    title: String,
}

/// Connects, collects, draws.
pub async fn take(options: ShotOptions) -> anyhow::Result<Shot> {
    zone::use_system();
    let model = collect(&options).await?;
    let (width, height) = options.size;
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    let theme = model.settings.colours(options.console.depth);
    view(&model, &theme, area, &mut buffer);
    let (name, _) = options.screen.name();
    Ok(Shot { buffer, theme, title: format!("tollgate · {}", name.to_lowercase()) })
}

/// Plays the console without a terminal until the picture is worth taking.
async fn collect(options: &ShotOptions) -> anyhow::Result<Model> {
    let chords = options.keys.iter().map(|key| {
        Chord::read(key).with_context(|| format!("failed to press `{key}`: it is no key"))
    });
    let chords = chords.collect::<anyhow::Result<Vec<Chord>>>()?;
    let (client, mut replies) = options.console.client()?;
    let (mut deltas, _hurry, _feed) = options.console.feed();
    let mut model = Model::new(options.console.settings(), options.size, clock());
    model.show(options.screen);
    let mut until = Instant::now() + PATIENCE;
    loop {
        let was_ready = model.live.ready;
        let message = tokio::select! {
            Some(delta) = deltas.recv() => Message::Delta(Box::new(delta)),
            Some(reply) = replies.recv() => Message::Reply(reply),
            () = tokio::time::sleep_until(until) => break,
        };
        let mut effects = update(&mut model, message);
        if model.live.ready && !was_ready {
            until = Instant::now() + options.wait.max(SETTLE);
            for chord in &chords {
                effects.extend(update(&mut model, Message::Key(*chord)));
            }
        }
        for effect in effects {
            // A picture looks and never touches: what a key would change is not sent.
            if let Effect::Send(call) = effect
                && call.method == Method::Get
            {
                client.send(call);
            }
        }
    }
    update(&mut model, Message::Clock(clock()));
    anyhow::ensure!(model.live.ready, "failed to hear from {}", options.console.events);
    Ok(model)
}

impl Shot {
    /// As plain text.
    pub fn text(&self) -> String {
        picture::text(&self.buffer)
    }

    /// As an SVG.
    pub fn svg(&self) -> String {
        picture::svg(&self.buffer, &self.theme, &self.title)
    }

    /// As a PNG, where `rsvg-convert` is installed.
    pub fn png(&self, path: &Path) -> anyhow::Result<()> {
        let mut child = Command::new("rsvg-convert")
            .arg("--output")
            .arg(path)
            .stdin(Stdio::piped())
            .spawn()
            .context("failed to start rsvg-convert; --svg needs nothing else")?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(self.svg().as_bytes())?;
        }
        let status = child.wait()?;
        anyhow::ensure!(status.success(), "rsvg-convert failed: {status}");
        Ok(())
    }
}

/// How long a backend may take to send its snapshot.
const PATIENCE: Duration = Duration::from_secs(10);

/// Least time after the snapshot: the answers of the first requests belong to the picture.
const SETTLE: Duration = Duration::from_millis(300);
