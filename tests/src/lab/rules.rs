//! Everyday rules, seen from outside: who is admitted, who is refused and why, what is charged.
//!
//! No fault at all, but for a kill at the end: one short scripted story in which each rule is put
//! to a question that only an honest gateway answers as it should. The bill judges the rest. Mostly
//! there for the negative controls: a mistake that no crash shows is caught here.

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tollgate_backend::simulate;
use tollgate_shared::budget::RunState;
use tollgate_shared::money::Usd;

use crate::lab::load;
use crate::lab::oracle::Saw;
use crate::lab::scene::{Ask, Limit, Scene};
use crate::lab::shim::{Clock, Plan, Shim};
use crate::lab::volume::NO_RESERVE;
use crate::lab::{Options, Report};

mod waiting;

/// The rules.
#[derive(Debug)]
pub struct Rules {
    options: Options,
    report: Report,
}

/// A scene with the clock in our hands, where there is a compiler.
struct Court {
    scene: Scene,
    shim: Option<(Shim, Clock)>,
}

impl Rules {
    /// With these options.
    pub fn new(options: Options) -> Self {
        Self { options, report: Report::default() }
    }

    /// Asks all questions, as often as asked.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        for cycle in 1..=self.options.cycles {
            self.story().await?;
            self.report.cycles += 1;
            self.options.tell_progress(cycle, &self.report);
        }
        Ok(std::mem::take(&mut self.report))
    }

    async fn story(&mut self) -> anyhow::Result<()> {
        let mut court = Court::open(&self.options, &mut self.report).await?;
        let court = &mut court;
        self.hold("O3", "the cap is forwarded", court.cap_is_forwarded().await);
        self.hold("O3", "every choice is paid for", court.choices_are_counted().await);
        self.hold("O3", "input is bounded by its bytes", court.input_is_bounded().await);
        self.hold("O2", "a request is answered once", court.repeats_are_known().await);
        self.hold("O8", "names that differ by case are one", court.twins_are_refused().await);
        self.hold("O3", "what is unknown is not free", court.unknown_is_not_free().await);
        self.hold("O1", "what broke is not void", court.broken_is_not_void().await);
        self.hold("O5", "no usage is no gift", court.usage_may_be_missing().await);
        self.hold("O1", "leaving does not pay", court.leaving_does_not_pay().await);
        self.hold("O3", "a broken word freezes", court.broken_word_freezes().await);
        self.hold("O8", "held money is waited for", court.contended_is_not_exhausted().await);
        self.hold("O8", "who waits is asked again", court.waiting_is_asked_again().await);
        self.hold("O8", "a freeze is for all", court.waiting_sees_the_freeze().await);
        self.hold("O7", "a lower limit kills nothing", court.lower_limit_kills_nothing().await);
        self.hold("O2", "one process at a time", court.one_process().await);
        self.judge(court).await?;
        if court.shim.is_some() {
            self.hold("O1", "a late answer is charged", court.late_is_charged().await);
        }
        court.scene.kill().ok();
        court.start().await.context("it refused to start")?;
        self.judge(court).await?;
        // Last, for a start on another day begins that day: the oracle knows no days.
        if court.shim.is_some() {
            self.hold("O3", "a jump of the clock is no new day", court.no_day_by_jump().await);
        }
        court.scene.kill()
    }

    async fn judge(&mut self, court: &mut Court) -> anyhow::Result<()> {
        let verdict = court.scene.judge().await?;
        self.report.add(verdict);
        Ok(())
    }

    fn hold(&mut self, oracle: &'static str, rule: &str, kept: anyhow::Result<()>) {
        self.report.checks += 1;
        if let Err(error) = kept {
            self.report.breach(oracle, format!("{rule}: {error:#}"));
        }
    }
}

impl Court {
    async fn open(options: &Options, report: &mut Report) -> anyhow::Result<Self> {
        let provider =
            simulate::Config { chunk_delay: load::provider(1).chunk_delay, ..Default::default() };
        let mut scene = Scene::open(&options.program, provider).await?;
        scene.flags = load::short_flags(4, 1_500);
        scene.flags.extend(NO_RESERVE.map(str::to_owned));
        let shim = match Shim::build() {
            Ok(shim) => {
                let clock = Clock::right(shim.path("clock"))?;
                Some((shim, clock))
            }
            Err(reason) => {
                report.skip(format!("rules about the clock: {reason}"));
                None
            }
        };
        let mut court = Self { scene, shim };
        court.start().await?;
        for run in RUNS {
            court.scene.register(run, 1).await?;
        }
        Ok(court)
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        let mut command = self.scene.command()?;
        if let Some((shim, clock)) = &self.shim {
            let plan = Plan { clock: Some(clock.path()), ..Plan::default() };
            shim.wire(&mut command, &self.scene.data_dir, &plan);
        }
        self.scene.start_with(command).await
    }

    async fn limit(&mut self, run_id: &str, usd: &str, mode: &str) -> anyhow::Result<()> {
        let usd: Usd = usd.parse()?;
        self.scene.set(&Limit::of(run_id, usd, mode)).await.map(drop)
    }

    /// Asks and remembers what was seen.
    async fn ask(&mut self, ask: &Ask) -> anyhow::Result<Saw> {
        let seen = self.scene.ask(ask).await?;
        self.scene.truth.seen.push(seen.clone());
        Ok(seen.saw)
    }

    /// Sends a body of its own making; the status and the code that came back.
    async fn send(&self, path: &str, body: &Value) -> anyhow::Result<(u16, String)> {
        let request = self.scene.client().post(self.scene.gateway(path)?);
        let reply = request.header("content-type", "application/json").body(body.to_string());
        let reply = reply.send().await?;
        let (status, text) = (reply.status().as_u16(), reply.text().await?);
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        Ok((status, json["error"]["code"].as_str().unwrap_or_default().to_owned()))
    }

    /// Five times what the model may say is asked for, on a limit for what it may.
    async fn cap_is_forwarded(&mut self) -> anyhow::Result<()> {
        self.limit("cap", "0.07", "clamp").await?;
        let ask = Ask { cap: None, ..ask("cap", "[out:5000] all of it") };
        answered(self.ask(&ask).await?)
    }

    /// Four answers of a hundred tokens, on a limit for less than four.
    async fn choices_are_counted(&mut self) -> anyhow::Result<()> {
        self.limit("choices", "0.02", "clamp").await?;
        let mut body = Ask { cap: Some(100), ..ask("choices", "[out:100] in four ways") }.body();
        body["payload"]["n"] = json!(4);
        self.send("/route", &body).await.map(drop)
    }

    /// A prompt that can cost more than there is, whatever it does cost.
    async fn input_is_bounded(&mut self) -> anyhow::Result<()> {
        self.limit("input", "0.025", "clamp").await?;
        let long = ask("input", &format!("[out:3] {}", "word ".repeat(800)));
        refused(self.ask(&long).await?, 402, "budget_exhausted")
    }

    async fn repeats_are_known(&mut self) -> anyhow::Result<()> {
        self.limit("repeat", "1", "clamp").await?;
        let first = Ask { request_id: "again".into(), ..ask("repeat", "[out:3] once") };
        answered(self.ask(&first).await?)?;
        refused(self.ask(&first).await?, 409, "already_completed")?;
        let other = Ask { message: "[out:3] something else".into(), ..first };
        refused(self.ask(&other).await?, 422, "idempotency_mismatch")
    }

    async fn twins_are_refused(&mut self) -> anyhow::Result<()> {
        let mut body = ask("repeat", "[out:3] who am I?").body();
        body["run_id"] = json!("REPEAT");
        let (status, code) = self.send("/route", &body).await?;
        ensure!((status, code.as_str()) == (400, "invalid_run_id"), "{status} `{code}`");
        Ok(())
    }

    /// On a limit for one: it ends unknown, so a second does not fit.
    async fn unknown_is_not_free(&mut self) -> anyhow::Result<()> {
        self.limit("lost", "0.016", "hard").await?;
        let ask = Ask { cap: Some(100), ..ask("lost", "[fault:bill_then_500][out:90] lost") };
        self.ask(&ask).await?;
        let again = Ask { request_id: "lost-again".into(), ..ask };
        refused(self.ask(&again).await?, 402, "budget_exhausted")
    }

    /// Half an answer, and none at all until the deadline: both were billed.
    async fn broken_is_not_void(&mut self) -> anyhow::Result<()> {
        for fault in ["cut", "hang", "garbage"] {
            let ask =
                Ask { request_id: fault.into(), ..ask("broken", &format!("[fault:{fault}]")) };
            if let Saw::Answer { .. } = self.ask(&ask).await? {
                bail!("`{fault}` was taken for an answer");
            }
        }
        Ok(())
    }

    async fn usage_may_be_missing(&mut self) -> anyhow::Result<()> {
        let wish = "[fault:no_usage][out:20] how much?";
        for stream in [false, true] {
            let request_id = format!("usage-{stream}");
            let ask = Ask { stream, told_usage: false, request_id, ..ask("broken", wish) };
            answered(self.ask(&ask).await?)?;
        }
        Ok(())
    }

    /// A client that leaves a stream early has its whole answer billed all the same.
    async fn leaving_does_not_pay(&mut self) -> anyhow::Result<()> {
        self.limit("leave", "1", "clamp").await?;
        let ask = Ask {
            stream: true,
            leaves_after: Some(2),
            cap: Some(300),
            ..ask("leave", "[out:250] a long story")
        };
        self.ask(&ask).await?;
        self.at_rest("leave").await
    }

    /// More output than the cap allows: recorded as billed, and the run stops.
    async fn broken_word_freezes(&mut self) -> anyhow::Result<()> {
        self.limit("word", "1", "clamp").await?;
        answered(self.ask(&ask("word", "[fault:over_cap][out:40] more")).await?)?;
        let state = self.scene.budget("word").await?.state;
        ensure!(state == RunState::Frozen, "the run is {state:?}");
        Ok(())
    }

    /// A second backend over the same files is refused, as one that is in use.
    async fn one_process(&mut self) -> anyhow::Result<()> {
        let mut second = self.scene.command()?.stdout(std::process::Stdio::piped()).spawn()?;
        for _ in 0..400 {
            if let Some(status) = second.try_wait()? {
                ensure!(status.code() == Some(4), "it ended with {status}, not with 4");
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        second.kill()?;
        second.wait()?;
        bail!("a second process serves the same files")
    }

    /// Waits until nothing of a run is in flight.
    async fn at_rest(&self, run_id: &str) -> anyhow::Result<()> {
        for _ in 0..600 {
            let view = self.scene.budget(run_id).await?;
            if view.held_usd == view.unknown_usd {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        bail!("run `{run_id}` does not come to rest")
    }
}

/// A request with a name of its own in its run.
fn ask(run_id: &str, message: &str) -> Ask {
    Ask {
        run_id: run_id.to_owned(),
        request_id: format!("{run_id}-1"),
        message: message.to_owned(),
        cap: Some(32),
        stream: false,
        leaves_after: None,
        told_usage: true,
    }
}

fn answered(saw: Saw) -> anyhow::Result<()> {
    ensure!(matches!(saw, Saw::Answer { .. }), "no answer but {saw:?}");
    Ok(())
}

fn refused(saw: Saw, with: u16, as_what: &str) -> anyhow::Result<()> {
    let is_so = matches!(&saw, Saw::Refusal { status, code, .. } if (*status, code.as_str()) == (with, as_what));
    ensure!(is_so, "not refused with {with} `{as_what}` but {saw:?}");
    Ok(())
}

/// A run for each rule that spends.
const RUNS: [&str; 14] = [
    "cap", "choices", "input", "repeat", "lost", "broken", "leave", "word", "turn", "shut",
    "froze", "lower", "late", "day",
];
