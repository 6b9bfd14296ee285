//! A short story over one data directory, told under the shim: operations, a stop, a start.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use tollgate_backend::simulate::{self, Bill};
use tollgate_shared::money::Usd;

use super::{copy, linger_ms};
use crate::lab::evidence::Evidence;
use crate::lab::oracle::{self, Truth, Verdict};
use crate::lab::referee;
use crate::lab::scene::{Ask, Scene};
use crate::lab::shim::{self, Call, Deed, Moment, Plan, Shim, Switch};
use crate::lab::volume::NO_RESERVE;

/// Something that moves the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The run's budget is raised.
    Budget,
    /// A request is answered.
    Success,
    /// A request is turned away by its provider, with proof that nothing was billed.
    Voided,
    /// A request fails after it was billed.
    Unknown,
    /// A streamed request is answered.
    Stream,
    /// The backend is stopped and started.
    Restart,
}

/// Where a story is told.
pub(super) struct Stage {
    pub(super) scene: Scene,
    switch: Switch,
    /// What the run's limit may be: what was told last, and what was asked for without an answer.
    limit: Usd,
    asked_limit: Option<Usd>,
    asked: u64,
    /// How much of the bill belongs to what was kept, and where the present branch begins in it.
    branch: (usize, usize),
}

impl Stage {
    pub(super) async fn open(program: &Path) -> anyhow::Result<Self> {
        let mut scene = Scene::open(program, simulate::Config::default()).await?;
        scene.flags = NO_RESERVE.map(str::to_owned).into();
        let switch = Switch::off(scene.beside("switch"))?;
        Ok(Self { scene, switch, limit: Usd::ZERO, asked_limit: None, asked: 0, branch: (0, 0) })
    }

    /// Keeps what is there as the trunk from which branches begin.
    pub(super) fn keep(&mut self, place: &Path) -> anyhow::Result<()> {
        self.branch = (self.bill().count, self.scene.provider.bill().count);
        copy(&self.scene.data_dir, place)
    }

    /// Begins a branch from a trunk: what other branches spent is no part of it.
    pub(super) fn branch_from(&mut self, place: &Path, truth: &Truth) -> anyhow::Result<()> {
        self.branch.1 = self.scene.provider.bill().count;
        self.scene.truth.clone_from(truth);
        copy(place, &self.scene.data_dir)
    }

    /// What was billed on the way to what is there now.
    fn bill(&self) -> Bill {
        let mut bill = self.scene.provider.bill();
        let (trunk, begins) = self.branch;
        bill.attempts.drain(trunk.min(begins)..begins);
        bill.count = bill.attempts.len();
        bill.total_cost_usd = bill.attempts.iter().map(|entry| entry.cost_usd).sum();
        bill
    }

    /// A plan that begins to count when the last operation does.
    pub(super) fn plan(&self) -> Plan {
        Plan { switch: Some(self.switch.path()), ..Plan::default() }
    }

    /// Tells a story and stops. Answers whether the process died on the way.
    pub(super) async fn tell(
        &mut self,
        story: &[Operation],
        shim: &Shim,
        plan: &Plan,
    ) -> anyhow::Result<bool> {
        let (last, first) = story.split_last().context("a story of nothing")?;
        self.start(shim, plan).await?;
        self.scene.register(RUN, 1).await?;
        self.scene.limit(RUN, Usd::from_picos(FIRST_LIMIT_PICOS), "clamp").await?;
        self.limit = Usd::from_picos(FIRST_LIMIT_PICOS);
        for operation in first {
            match operation {
                Operation::Restart => {
                    self.stop().await?;
                    self.start(shim, plan).await?;
                }
                other => self.act(*other).await,
            }
        }
        if *last == Operation::Restart {
            ensure!(!self.stop().await?, "it died before it was to die");
            self.switch.turn_on()?;
            // It may die while it starts.
            if self.start(shim, plan).await.is_err() {
                return Ok(true);
            }
        } else {
            self.switch.turn_on()?;
            self.act(*last).await;
        }
        self.stop().await
    }

    /// Starts it and answers the storage calls of the start.
    pub(super) async fn record_start(&mut self, shim: &Shim) -> anyhow::Result<Vec<Call>> {
        let trace = self.scene.beside("trace-of-start");
        if trace.exists() {
            std::fs::remove_file(&trace)?;
        }
        let plan = Plan { trace: Some(trace.clone()), ..Plan::default() };
        self.start(shim, &plan).await?;
        self.scene.kill()?;
        shim::calls(&trace)
    }

    /// Starts it and lets it die at a call of the start.
    pub(super) async fn die_starting(
        &mut self,
        shim: &Shim,
        call: &Call,
        moment: Moment,
    ) -> anyhow::Result<()> {
        let deed = Some((call.number, Deed::Kill(moment)));
        let plan = Plan { deed, linger_ms: linger_ms(moment), ..Plan::default() };
        match self.start(shim, &plan).await {
            // Dead before it listened: what was wanted.
            Err(_) => Ok(()),
            // A call that comes after it listens.
            Ok(()) => self.scene.kill(),
        }
    }

    /// Starts it as it is, and judges what is there.
    pub(super) async fn recover(&mut self, with_python: bool) -> anyhow::Result<Verdict> {
        self.scene.start().await.context("it refused to start")?;
        let view = self.scene.budget(RUN).await?;
        let has = view.budget_usd.context("the run lost its limit")?;
        if has != self.limit && Some(has) != self.asked_limit {
            bail!("the limit is {has}: {} was acknowledged", self.limit);
        }
        self.scene.truth.limits.insert(RUN.to_owned(), has);
        self.scene.probe(RUN).await?;
        let bill = self.bill();
        let scene = &mut self.scene;
        let gateway = scene.running()?.gateway.clone();
        let evidence = Evidence::collect(&scene.data_dir, &gateway, &scene.client()).await?;
        scene.truth.set_bill(bill);
        let mut verdict = oracle::judge(&evidence, &scene.truth);
        let case = referee::Case {
            program: &scene.program,
            data_dir: &scene.data_dir,
            beside: &scene.beside(""),
            bill: &scene.truth.bill,
            budgets: &evidence.budgets_text,
            with_python,
        };
        referee::ask_all(&case, &mut verdict)?;
        scene.kill()?;
        Ok(verdict)
    }

    async fn start(&mut self, shim: &Shim, plan: &Plan) -> anyhow::Result<()> {
        let mut command = self.scene.command()?;
        shim.wire(&mut command, &self.scene.data_dir, plan);
        self.scene.start_with(command).await
    }

    /// SIGTERM. Answers whether it was dead, or died of something else.
    async fn stop(&mut self) -> anyhow::Result<bool> {
        let process = self.scene.process.take().context("nothing runs")?;
        let ended = tokio::task::spawn_blocking(move || process.terminate()).await?;
        Ok(ended.ok().and_then(|status| status.code()) != Some(0))
    }

    /// One operation; the process may die in it.
    async fn act(&mut self, operation: Operation) {
        if operation == Operation::Budget {
            let raised = self.limit + Usd::from_picos(RAISE_PICOS);
            self.asked_limit = Some(raised);
            if self.scene.limit(RUN, raised, "clamp").await.is_ok() {
                self.limit = raised;
            }
            return;
        }
        let wish = match operation {
            Operation::Voided => "[fault:status404]",
            Operation::Unknown => "[fault:bill_then_500]",
            _ => "",
        };
        let ask = Ask {
            run_id: RUN.to_owned(),
            request_id: format!("story-{}", self.asked),
            message: format!("{wish}[out:5] tell me"),
            cap: Some(32),
            stream: operation == Operation::Stream,
            leaves_after: None,
            told_usage: true,
        };
        self.asked += 1;
        if let Ok(seen) = self.scene.ask(&ask).await {
            self.scene.truth.seen.push(seen);
        }
    }
}

/// The run that every story spends from.
const RUN: &str = "story";

/// Its limit at first: enough for every story.
const FIRST_LIMIT_PICOS: i128 = 1_000_000_000_000;

/// What a raise adds.
const RAISE_PICOS: i128 = 250_000_000_000;
