//! The wall clock jumps by hours and years, forward and back, under load.
//!
//! Order stays dense and never goes back; budgets for a lifetime do not notice; a budget for a day
//! that is spent stays spent, for a clock that jumps mints no money: not while the backend runs, and
//! not when it is started again after the clock was put right. The clock is moved by our preloaded
//! library; monotonic time is true.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use tollgate_shared::money::Usd;

use crate::lab::chance::Chance;
use crate::lab::load::{self, Load};
use crate::lab::oracle::Saw;
use crate::lab::scene::{Ask, Limit, Scene};
use crate::lab::shim::{Clock as WallClock, Plan, Shim};
use crate::lab::{Options, Report};

/// The fault.
#[derive(Debug)]
pub struct Clock {
    options: Options,
    chance: Chance,
    report: Report,
}

/// A backend whose wall clock is ours.
struct House {
    scene: Scene,
    shim: Shim,
    clock: WallClock,
    asked: u64,
}

impl Clock {
    /// With these options.
    pub fn new(options: Options) -> Self {
        let chance = Chance::of(options.seed, 4);
        Self { options, chance, report: Report::default() }
    }

    /// Brings it about: some jumps in each cycle, and a start after some.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let shim = match Shim::build() {
            Ok(shim) => shim,
            Err(why) => {
                self.report.skip(format!("clock: {why}"));
                return Ok(std::mem::take(&mut self.report));
            }
        };
        let clock = WallClock::right(shim.path("clock"))?;
        let provider = load::provider(self.options.seed);
        let mut scene = Scene::open(&self.options.program, provider).await?;
        scene.flags = load::flags();
        scene.truth.clock_jumps = true;
        let mut house = House { scene, shim, clock, asked: 0 };
        house.start().await?;
        load::register(&house.scene).await?;
        house.scene.register(DAILY, 1).await?;
        let day = today();
        house.spend_the_day(&mut self.report).await?;
        for cycle in 1..=self.options.cycles {
            if today() != day {
                // A new day is a new budget: what was spent is rightly free again.
                self.report.skip("clock: the rest, for a true day went by".into());
                break;
            }
            self.cycle(&mut house, cycle).await?;
            self.report.cycles += 1;
            self.options.tell_progress(cycle, &self.report);
        }
        Ok(std::mem::take(&mut self.report))
    }

    async fn cycle(&mut self, house: &mut House, cycle: u64) -> anyhow::Result<()> {
        load::raise_limits(&mut house.scene).await?;
        let load = Load { clients: CLIENTS, seed: self.options.seed, cycle };
        let running = load.start(&house.scene)?;
        for _ in 0..=self.chance.below(4) {
            tokio::time::sleep(Duration::from_millis(20 + self.chance.below(100))).await;
            let jump = self.chance.pick(&JUMPS).copied().unwrap_or_default();
            house.clock.set(jump)?;
            self.report.count("jumps of the wall clock", 1);
            house.is_still_spent(&format!("a jump to {jump} s"), &mut self.report).await?;
        }
        house.scene.truth.seen.extend(running.finish().await?);
        house.clock.set(0)?;
        house.is_still_spent("the clock was put right", &mut self.report).await?;
        if cycle.is_multiple_of(3) {
            house.scene.kill()?;
            house.start().await?;
            house.is_still_spent("a start with the clock right", &mut self.report).await?;
        }
        house.scene.probe("ample").await?;
        let verdict = house.scene.judge().await?;
        self.report.add(verdict);
        Ok(())
    }
}

impl House {
    async fn start(&mut self) -> anyhow::Result<()> {
        let mut command = self.scene.command()?;
        let plan = Plan { clock: Some(self.clock.path()), ..Plan::default() };
        self.shim.wire(&mut command, &self.scene.data_dir, &plan);
        self.scene.start_with(command).await
    }

    /// Sets a budget for the day and spends it.
    async fn spend_the_day(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let usd = Usd::from_picos(DAY_PICOS);
        let limit = Limit { period: Some("day"), ..Limit::of(DAILY, usd, "clamp") };
        self.scene.set(&limit).await?;
        for _ in 0..ASKED_MOST {
            if self.ask().await? == "budget_exhausted" {
                return self.is_still_spent("it was spent", report).await;
            }
        }
        ensure!(false, "a day's budget of {usd} USD is never spent");
        Ok(())
    }

    /// The day's budget is spent, and the day is the same.
    async fn is_still_spent(&mut self, after: &str, report: &mut Report) -> anyhow::Result<()> {
        let code = self.ask().await?;
        report.checks += 1;
        if code != "budget_exhausted" {
            report.breach("O3", format!("after {after} a spent day's budget answered `{code}`"));
        }
        Ok(())
    }

    /// Asks for money of the day; answers the code of its refusal.
    async fn ask(&mut self) -> anyhow::Result<String> {
        self.asked += 1;
        let ask = Ask {
            run_id: DAILY.into(),
            request_id: format!("daily-{}", self.asked),
            message: "[out:40] what day is it?".into(),
            cap: Some(64),
            stream: false,
            leaves_after: None,
            told_usage: true,
        };
        let seen = self.scene.ask(&ask).await?;
        let code = match &seen.saw {
            Saw::Refusal { code, .. } => code.clone(),
            other => format!("{other:?}"),
        };
        self.scene.truth.seen.push(seen);
        Ok(code)
    }
}

/// The true day, in days since 1970.
fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)
}

/// The run with a budget for each day.
const DAILY: &str = "daily";

/// What it may spend in a day, in 1e-12 USD: a few requests.
const DAY_PICOS: i128 = 30_000_000_000;

/// Requests that surely spend it.
const ASKED_MOST: u64 = 100;

/// Clients that ask at once.
const CLIENTS: u64 = 32;

/// How far ahead the wall clock is set, in seconds: seconds, hours, a day, a year.
const JUMPS: [i64; 9] = [0, 4, -4, 3_600, -3_600, 86_400, -86_400, 31_536_000, -31_536_000];
