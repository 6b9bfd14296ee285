//! The wire between backend and provider cut, spoilt, slowed and swallowed, at every byte.
//!
//! | trouble | what must come of it |
//! |---|---|
//! | nobody listens | nothing was sent: no receipt, the fallback answers |
//! | cut or spoilt after k bytes of the request or of the answer | never voided where it was billed |
//! | swallowed | unknown once the deadline has passed |
//! | slow, drop by drop | an exact receipt like any other |
//!
//! Spoiling puts a zero where no text has one: a wire that changes digits would be believed, and
//! that is TLS's to prevent.

use std::time::Duration;

use anyhow::ensure;
use tollgate_backend::simulate;

use crate::lab::chance::Chance;
use crate::lab::load;
use crate::lab::oracle::Saw;
use crate::lab::relay::{Relay, Trouble, Way};
use crate::lab::scene::{Ask, Scene};
use crate::lab::torn::spread;
use crate::lab::{Options, Report};

/// The fault.
#[derive(Debug)]
pub struct Proxy {
    options: Options,
}

/// Where a sweep is done.
struct Sweep<'a> {
    scene: &'a mut Scene,
    relay: &'a Relay,
    report: &'a mut Report,
    asked: u64,
}

impl Proxy {
    /// With these options.
    pub const fn new(options: Options) -> Self {
        Self { options }
    }

    /// Brings it about: at every byte, or at as many as there are cycles for, evenly spread.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let mut report = Report::default();
        let provider = simulate::Config { seed: self.options.seed, ..Default::default() };
        let mut scene = Scene::open(&self.options.program, provider).await?;
        scene.flags = load::short_flags(1, 0);
        scene.start().await?;
        let relay = Relay::start(scene.provider.address()).await?;
        scene.register_at("wire", 1, &relay.url()).await?;
        scene.limit("wire", "100000".parse()?, "clamp").await?;
        nobody_listens(&mut scene, &mut report).await?;
        let mut sweep = Sweep { scene: &mut scene, relay: &relay, report: &mut report, asked: 0 };
        sweep.slow().await?;
        sweep.every_byte(&self.options).await?;
        // The wire is sound again, and so is everything else.
        relay.set(Trouble::None);
        scene.probe("wire").await?;
        let verdict = scene.judge().await?;
        report.add(verdict);
        Ok(report)
    }
}

/// The first provider's port is closed: the second answers, and the first leaves no receipt.
async fn nobody_listens(scene: &mut Scene, report: &mut Report) -> anyhow::Result<()> {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    // By name the closed one comes first; otherwise they are alike.
    scene.register_at("fall", 1, &format!("http://{closed}")).await?;
    let sound = scene.provider.url();
    scene.register_at("fall", 2, &sound).await?;
    scene.register_at("fall", 1, &format!("http://{closed}")).await?;
    scene.limit("fall", "10".parse()?, "clamp").await?;
    for number in 0..4 {
        let seen = scene.ask(&ask("fall", number, number % 2 == 0)).await?;
        report.checks += 1;
        if !matches!(seen.saw, Saw::Answer { .. }) {
            report.breach("O7", format!("no fallback answered: {:?}", seen.saw));
        }
        scene.truth.seen.push(seen);
        report.cycles += 1;
    }
    let verdict = scene.judge().await?;
    report.add(verdict);
    Ok(())
}

impl Sweep<'_> {
    /// One request over a wire in trouble.
    async fn ask(&mut self, trouble: Trouble, stream: bool) -> anyhow::Result<Saw> {
        self.relay.set(trouble);
        let mut ask = ask("wire", self.asked, stream);
        // A zero in the name of an event's field hides the event, by the rules of such streams: the
        // answer is complete then, and its usage was never told.
        ask.told_usage = !matches!(trouble, Trouble::Spoil(Way::Answer, _));
        let seen = self.scene.ask(&ask).await?;
        self.asked += 1;
        self.report.cycles += 1;
        self.scene.truth.seen.push(seen.clone());
        Ok(seen.saw)
    }

    async fn judge(&mut self) -> anyhow::Result<()> {
        let verdict = self.scene.judge().await?;
        self.report.add(verdict);
        Ok(())
    }

    /// Slow wires change nothing; swallowing ones end in unknown.
    async fn slow(&mut self) -> anyhow::Result<()> {
        for way in [Way::Request, Way::Answer] {
            for stream in [false, true] {
                let slow = [
                    Trouble::Delay(way, Duration::from_millis(50)),
                    Trouble::Drip(way, Duration::from_micros(50)),
                ];
                for trouble in slow {
                    let saw = self.ask(trouble, stream).await?;
                    // A drip over many small writes may well outlast the deadline of a second.
                    self.report.count("slow and answered", u64::from(answered(&saw)));
                }
                let saw = self.ask(Trouble::Swallow(way), stream).await?;
                self.report.checks += 1;
                if answered(&saw) {
                    self.report.breach("O1", format!("answered though {way:?} was swallowed"));
                }
            }
        }
        self.judge().await
    }

    async fn every_byte(&mut self, options: &Options) -> anyhow::Result<()> {
        let mut chance = Chance::of(options.seed, 2);
        for stream in [false, true] {
            let saw = self.ask(Trouble::None, stream).await?;
            ensure!(answered(&saw), "a sound wire: {saw:?}");
            let (request, answer) = self.relay.counted();
            for (way, length) in [(Way::Request, request), (Way::Answer, answer)] {
                for place in spread(0, length, (options.cycles / 8).max(1)) {
                    self.ask(Trouble::Cut(way, place), stream).await?;
                    self.ask(Trouble::Spoil(way, place), stream).await?;
                    // What passes after trouble tells whether anything was left behind.
                    if chance.once_in(8) {
                        self.ask(Trouble::None, stream).await?;
                    }
                    if self.asked.is_multiple_of(JUDGE_EVERY) {
                        self.judge().await?;
                    }
                    options.tell_progress(self.report.cycles, self.report);
                }
                self.judge().await?;
            }
        }
        Ok(())
    }
}

fn answered(saw: &Saw) -> bool {
    matches!(saw, Saw::Answer { .. })
}

fn ask(run_id: &str, number: u64, stream: bool) -> Ask {
    Ask {
        run_id: run_id.to_owned(),
        // Of one length, so that every byte is where it was the time before.
        request_id: format!("{run_id}-{number:06}"),
        message: "[out:9] over a bad wire".into(),
        cap: Some(16),
        stream,
        leaves_after: None,
        told_usage: true,
    }
}

/// Requests between two judgements.
const JUDGE_EVERY: u64 = 200;
