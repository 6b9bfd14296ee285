//! One picture, and one receipt, without a terminal.

use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_shared::event::Event;
use tollgate_tui::console::ConsoleOptions;
use tollgate_tui::feed::Delta;
use tollgate_tui::message::Message;
use tollgate_tui::model::{Model, Screen};
use tollgate_tui::theme::Depth;
use tollgate_tui::update::update;
use tollgate_tui::view::view;

use super::{Finding, Lab, Times, finding, note};
use crate::feed_server::{FeedServer, Names, now};

/// A model that has heard some seconds of a busy swarm, and the last receipts as they came.
fn busy() -> anyhow::Result<Model> {
    let server = FeedServer::start(Names { runs: 20, providers: 12, ..Names::default() })?;
    let options = ConsoleOptions {
        events: format!("ws://{}/events", server.address()),
        ..ConsoleOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut deltas, _hurry, _feed) = options.feed();
        let mut model = Model::new(options.settings(), (120, 40), now());
        server.pace(10_000);
        let until = tokio::time::Instant::now() + Duration::from_secs(8);
        while let Ok(delta) = tokio::time::timeout_at(until, deltas.recv()).await {
            let delta = delta.context("the feed ended")?;
            update(&mut model, Message::Delta(Box::new(delta)));
        }
        Ok(model)
    })
}

/// Time of one picture by size; the dashboard has the bound, the slowest other screen is told.
pub fn view_time(_: &Lab) -> anyhow::Result<Vec<Finding>> {
    let mut model = busy()?;
    let mut findings = Vec::new();
    for (width, height, micros) in [(80, 24, 300_u32), (120, 40, 500), (200, 50, 800)] {
        let mut by_screen = Vec::new();
        for screen in Screen::ALL {
            model.show(screen);
            by_screen.push((draw(&mut model, width, height), screen.name().0));
        }
        let dashboard = by_screen.first().map(|(time, _)| *time).unwrap_or_default();
        let slowest = by_screen.iter().max().copied().unwrap_or_default();
        findings.push(finding(
            format!("`view` of the dashboard, {width}x{height}"),
            &format!("p50 ≤ {:.1} ms", f64::from(micros) / 1_000.0),
            format!(
                "p50 {:.2} ms; slowest screen {:.2} ms ({})",
                dashboard.as_secs_f64() * 1e3,
                slowest.0.as_secs_f64() * 1e3,
                slowest.1
            ),
            dashboard.as_micros() <= u128::from(micros),
        ));
    }
    Ok(findings)
}

/// The median time of many pictures.
fn draw(model: &mut Model, width: u16, height: u16) -> Duration {
    update(model, Message::Resize(width, height));
    let theme = model.settings.colours(Depth::True);
    let area = Rect::new(0, 0, width, height);
    let mut times = Times::default();
    for _ in 0..PICTURES {
        let mut buffer = Buffer::empty(area);
        let began = Instant::now();
        view(model, &theme, area, &mut buffer);
        times.add(began.elapsed());
    }
    times.share(50)
}

/// Time to take one receipt in: out of its text, and into the model.
pub fn fold(_: &Lab) -> anyhow::Result<Vec<Finding>> {
    let mut model = busy()?;
    let server = FeedServer::start(Names::default())?;
    let (mut read, mut folded) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..FRAMES {
        let text = server.frame_of(1_000);
        let began = Instant::now();
        let event = Event::read(&text)?.context("no event")?;
        let mut delta = Delta::default();
        delta.add(event, now());
        read += began.elapsed();
        delta.at = now();
        let began = Instant::now();
        update(&mut model, Message::Delta(Box::new(delta)));
        folded += began.elapsed();
    }
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(FRAMES) / 1e3;
    Ok(vec![
        finding(
            "folding one receipt",
            "≤ 2 µs",
            format!("{:.2} µs", micros(folded)),
            micros(folded) <= 2.0,
        ),
        note("reading one receipt from its frame", format!("{:.2} µs", micros(read))),
    ])
}

/// Pictures of each size and screen.
const PICTURES: u32 = 400;

/// Frames of a thousand receipts.
const FRAMES: u32 = 200;
