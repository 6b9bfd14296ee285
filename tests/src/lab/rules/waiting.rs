//! Rules about time: who waits for money, what comes late, when a day begins.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::json;
use tokio::task::JoinHandle;
use tollgate_shared::money::Usd;

use super::{Court, answered, ask, refused};
use crate::lab::oracle::{Saw, Seen};
use crate::lab::scene::Ask;

impl Court {
    /// On a limit for one, while that one is at work: later it fits, so the answer is `contended`;
    /// and once it has settled for less, the next is served.
    pub(super) async fn contended_is_not_exhausted(&mut self) -> anyhow::Result<()> {
        self.limit("turn", "0.016", "hard").await?;
        let slow = self.begin(&tight("turn", "first", "[slow:2600ms][out:3] slowly"))?;
        self.is_held("turn").await?;
        let second = tight("turn", "second", "[out:3] and me?");
        let told = refused(self.ask(&second).await?, 429, "budget_contended");
        self.end(slow).await?;
        told?;
        answered(self.ask(&tight("turn", "third", "[out:3] now?")).await?)
    }

    /// A run that is closed while somebody waits for its money serves nobody.
    pub(super) async fn waiting_is_asked_again(&mut self) -> anyhow::Result<()> {
        self.limit("shut", "0.016", "hard").await?;
        let slow = self.begin(&tight("shut", "first", "[slow:900ms][out:3] slowly"))?;
        self.is_held("shut").await?;
        let waiting = self.begin(&tight("shut", "second", "[out:3] and me?"))?;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let (status, code) = self.send("/runs/shut/close", &json!({"note": "enough"})).await?;
        ensure!(status == 200, "close: {status} `{code}`");
        answered(self.end(slow).await?)?;
        refused(self.end(waiting).await?, 409, "run_closed")
    }

    /// The provider of the one at work breaks its word, so the run freezes: who waits for the money
    /// that comes free gets none of it.
    pub(super) async fn waiting_sees_the_freeze(&mut self) -> anyhow::Result<()> {
        self.limit("froze", "0.07", "hard").await?;
        let long = format!("[slow:900ms][fault:over_cap][out:3] {}", "word ".repeat(400));
        let slow = self.begin(&Ask { cap: Some(20), ..tight("froze", "first", &long) })?;
        self.is_held("froze").await?;
        let waiting = self.begin(&tight("froze", "second", "[out:3] and me?"))?;
        answered(self.end(slow).await?)?;
        match waiting.await?.saw {
            // By its state, or because its provider's word is worth nothing now.
            Saw::Refusal { status: 409 | 422, .. } => Ok(()),
            other => bail!("who waited was served by a frozen run: {other:?}"),
        }
    }

    /// What is in flight when its limit is lowered is answered and charged.
    pub(super) async fn lower_limit_kills_nothing(&mut self) -> anyhow::Result<()> {
        self.limit("lower", "1", "clamp").await?;
        let slow = self.begin(&tight("lower", "first", "[slow:400ms][out:3] slowly"))?;
        self.is_held("lower").await?;
        let body = json!({"run_id": "lower", "budget_usd": "0.000001"});
        let (status, code) = self.send("/budget", &body).await?;
        ensure!(status == 200, "lowering: {status} `{code}`");
        answered(self.end(slow).await?)?;
        // Not remembered as seen: it is judged by the limit of today, which is another soon.
        let second = self.scene.ask(&tight("lower", "second", "[out:3]")).await?;
        refused(second.saw, 402, "budget_exhausted")?;
        self.limit("lower", "1", "clamp").await
    }

    /// The clock jumps by an hour, so the hold of what is at work is swept; its answer is charged.
    pub(super) async fn late_is_charged(&mut self) -> anyhow::Result<()> {
        self.limit("late", "1", "clamp").await?;
        let slow = self.begin(&tight("late", "first", "[slow:3200ms][out:3] slowly"))?;
        self.is_held("late").await?;
        self.clock(3_600)?;
        // Its receipt says unknown, and a correction what it has cost: not what the oracle looks for.
        answered(slow.await?.saw)?;
        self.at_rest("late").await?;
        let bill = self.scene.provider.bill();
        let billed: Usd = bill
            .attempts
            .iter()
            .filter(|entry| entry.model == "for-late")
            .map(|entry| entry.cost_usd)
            .sum();
        let spent = self.scene.budget("late").await?.spent_usd;
        ensure!(spent == billed, "{spent} is charged, {billed} was billed");
        Ok(())
    }

    /// The day's money is gone, and the clock jumps by a day and an hour: it stays gone.
    pub(super) async fn no_day_by_jump(&mut self) -> anyhow::Result<()> {
        let body = json!({"run_id": "day", "budget_usd": "0.012", "period": "day"});
        let (status, code) = self.send("/budget", &body).await?;
        ensure!(status == 200, "a budget for a day: {status} `{code}`");
        for number in 0.. {
            let ask = tight("day", &format!("day-{number}"), "[out:60] more");
            match self.ask(&Ask { cap: Some(64), ..ask }).await? {
                Saw::Answer { .. } if number < 20 => {}
                Saw::Refusal { status: 402, .. } => break,
                other => bail!("neither answered nor refused: {other:?}"),
            }
        }
        self.clock(90_000)?;
        // A day is noticed within a second, by whoever looks; asked until then, nothing is given.
        for number in 0..15 {
            let again = tight("day", &format!("again-{number}"), "[out:60] more");
            let saw = self.ask(&Ask { cap: Some(64), ..again }).await?;
            refused(saw, 402, "budget_exhausted")?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn clock(&self, seconds: i64) -> anyhow::Result<()> {
        self.shim.as_ref().context("no shim")?.1.set(seconds)
    }

    /// Asks, and does not wait for the answer.
    fn begin(&self, ask: &Ask) -> anyhow::Result<JoinHandle<Seen>> {
        let (client, url, ask) = (self.scene.client(), self.scene.gateway("/route")?, ask.clone());
        Ok(tokio::spawn(async move { ask.at(&client, &url).await }))
    }

    /// Waits for the answer after all.
    async fn end(&mut self, asked: JoinHandle<Seen>) -> anyhow::Result<Saw> {
        let seen = asked.await?;
        self.scene.truth.seen.push(seen.clone());
        Ok(seen.saw)
    }

    /// Waits until a run has money in flight.
    async fn is_held(&self, run_id: &str) -> anyhow::Result<()> {
        for _ in 0..400 {
            if !self.scene.budget(run_id).await?.held_usd.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("nothing of run `{run_id}` is in flight")
    }
}

/// A request of which one fits where two do not.
fn tight(run_id: &str, request_id: &str, message: &str) -> Ask {
    Ask { request_id: request_id.to_owned(), cap: Some(100), ..ask(run_id, message) }
}
