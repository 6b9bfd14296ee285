//! Clients that ask, stream, repeat themselves and hang up, all from a seed.
//!
//! Each request is a recipe of four numbers (seed, cycle, client, place), so a client can repeat an
//! earlier one to the byte, also one of the cycle before a crash, as a client that got no answer
//! would. Refuses to judge: it only notes what was seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tollgate_backend::simulate;
use tollgate_shared::money::Usd;

use crate::lab::chance::Chance;
use crate::lab::oracle::Seen;
use crate::lab::scene::{AGENT, Ask, Limit, Scene};

/// What is asked, by whom.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many clients ask at once.
    pub clients: u64,
    /// Where chance begins.
    pub seed: u64,
    /// Which part of the story this is: requests of another part have other names.
    pub cycle: u64,
}

/// A load under way.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Seen>>>,
}

impl Load {
    /// Lets all clients ask, one request after another each, until [`Running::finish`].
    pub fn start(self, scene: &Scene) -> anyhow::Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let url = scene.gateway("/route")?;
        let tasks = (0..self.clients).map(|number| {
            let (stop, url, client) = (Arc::clone(&stop), url.clone(), scene.client());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut place = 0;
                while !stop.load(Ordering::Relaxed) {
                    seen.push(self.ask(number, place).at(&client, &url).await);
                    place += 1;
                }
                seen
            })
        });
        let tasks = tasks.collect();
        Ok(Running { stop, tasks })
    }

    /// The request at a place of a client's story: a new one, or an earlier one again.
    pub fn ask(self, client: u64, place: u64) -> Ask {
        let mut chance = Chance::of(self.seed, self.part(client, place));
        if chance.once_in(REPEAT_ONE_IN) {
            let (cycle, places) = match chance.once_in(2) {
                true => (self.cycle.saturating_sub(1), 8),
                false => (self.cycle, place.max(1)),
            };
            return Self { cycle, ..self }.recipe(client, chance.below(places));
        }
        self.recipe(client, place)
    }

    fn recipe(self, client: u64, place: u64) -> Ask {
        let mut chance = Chance::of(!self.seed, self.part(client, place));
        let run_id = chance.pick(&RUNS).map_or("", |run| run.name);
        let stream = !chance.once_in(3);
        let (wish, told_usage) = wish(&mut chance);
        let words = "why ".repeat(usize::try_from(chance.below(12)).unwrap_or(0));
        let output = 1 + chance.below(40);
        Ask {
            run_id: run_id.to_owned(),
            request_id: format!("{}-{client}-{place}", self.cycle),
            message: format!("{wish}[out:{output}] {words}"),
            cap: (!chance.once_in(4)).then(|| 16 + chance.below(100)),
            stream,
            leaves_after: (stream && chance.once_in(10)).then(|| 1 + chance.below(5)),
            told_usage,
        }
    }

    fn part(self, client: u64, place: u64) -> u64 {
        (self.cycle << 40) ^ (client << 24) ^ place
    }
}

impl Running {
    /// Lets every client finish the request it is at, and answers what they all saw.
    pub async fn finish(self) -> anyhow::Result<Vec<Seen>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = Vec::new();
        for task in self.tasks {
            seen.extend(task.await?);
        }
        Ok(seen)
    }
}

/// One of the runs that the load spends from.
#[derive(Clone, Copy, Debug)]
pub struct RunPlan {
    /// Its name.
    pub name: &'static str,
    /// Its mode; empty for a run without a limit.
    pub mode: &'static str,
    /// The run it is part of; empty for none.
    pub parent: &'static str,
    /// What it may spend in each cycle, in 1e-12 USD.
    pub each_cycle: i128,
    /// What its one agent may spend of that, where the agent has a limit of its own.
    pub agent: Option<i128>,
}

/// A run that stands alone and whose agents have no limits.
const fn alone(name: &'static str, mode: &'static str, each_cycle: i128) -> RunPlan {
    RunPlan { name, mode, parent: "", each_cycle, agent: None }
}

/// Money for all, too little in every mode, a run that nobody limited, a tree whose root is tighter
/// than its leaf, and an agent that is tighter than its run. Parents come before their children.
pub const RUNS: [RunPlan; 9] = [
    alone("ample", "clamp", PLENTY),
    alone("tight", "clamp", 300_000_000_000),
    alone("hard", "hard", 500_000_000_000),
    alone("free", "", 0),
    alone("root", "clamp", 400_000_000_000),
    RunPlan { parent: "root", ..alone("leaf", "clamp", PLENTY) },
    RunPlan { agent: Some(300_000_000_000), ..alone("team", "clamp", PLENTY) },
    alone("guess", "expected", 300_000_000_000),
    alone("soft", "soft", 100_000_000_000),
];

/// More than any cycle spends.
const PLENTY: i128 = 1_000_000_000_000_000;

/// A provider that takes its time, so that many requests are in every stage at any moment.
pub fn provider(seed: u64) -> simulate::Config {
    simulate::Config {
        latency: Duration::from_millis(3),
        chunk_delay: Duration::from_millis(1),
        seed,
        ..simulate::Config::default()
    }
}

/// Flags under which the load makes sense: what hangs is given up within the story.
pub fn flags() -> Vec<String> {
    short_flags(2, 200)
}

/// Flags for stories in which nothing takes long: no attempt, no wait for money.
pub fn short_flags(deadline_s: u64, contention_wait_ms: u64) -> Vec<String> {
    let waits = ["--contention-wait-ms", "--pause-wait-ms"];
    let waits = waits.map(|flag| [flag.to_owned(), contention_wait_ms.to_string()]).into_iter();
    let deadline = ["--deadline-s".to_owned(), deadline_s.to_string()];
    deadline.into_iter().chain(waits.flatten()).collect()
}

/// Registers two ways to the provider for every run.
pub async fn register(scene: &Scene) -> anyhow::Result<()> {
    for run in RUNS {
        scene.register(run.name, 2).await?;
    }
    Ok(())
}

/// Gives every run its money for one more cycle. Only while nothing is in flight: the oracle
/// judges refusals by the limit that was in force.
pub async fn raise_limits(scene: &mut Scene) -> anyhow::Result<()> {
    for run in RUNS.iter().filter(|run| !run.mode.is_empty()) {
        let view = scene.budget(run.name).await.ok();
        let gone = view.as_ref().map_or(Usd::ZERO, |view| view.spent_usd + view.uncertain_usd);
        let mut limit = Limit::of(run.name, gone + Usd::from_picos(run.each_cycle), run.mode);
        // What a run is part of is said once.
        limit.parent = Some(run.parent).filter(|name| view.is_none() && !name.is_empty());
        scene.set(&limit).await?;
        if let Some(each_cycle) = run.agent {
            let usd = gone + Usd::from_picos(each_cycle);
            scene.set(&Limit { agent: Some(AGENT), ..Limit::of(run.name, usd, "") }).await?;
        }
    }
    Ok(())
}

/// What a message wishes for, and whether its provider will tell the usage.
fn wish(chance: &mut Chance) -> (String, bool) {
    let (fault, told_usage) = match chance.below(100) {
        0..60 => return (String::new(), true),
        60..75 => return (format!("[slow:{}ms]", 5 + chance.below(60)), true),
        75..78 => ("split", true),
        78..80 => ("two_ends", true),
        80..82 => ("no_end", true),
        82..85 => ("cut", true),
        85..88 => ("bill_then_500", true),
        88..90 => ("status503", true),
        90..92 => ("status429", true),
        92..94 => ("reset", true),
        94..95 => ("hang", true),
        95..96 => ("silence", true),
        96..97 => ("error_event", true),
        97..98 => ("no_usage", false),
        98..99 => ("negative_usage", false),
        _ => ("garbage", true),
    };
    (format!("[fault:{fault}]"), told_usage)
}

/// One request in so many is an earlier one again.
const REPEAT_ONE_IN: u64 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_every_request_and_some_repeat_to_the_byte() {
        let load = Load { clients: 1, seed: 9, cycle: 3 };
        let story = |load: Load| -> Vec<String> {
            (0..500).map(|place| load.ask(0, place).body().to_string()).collect()
        };
        let first = story(load);
        assert_eq!(first, story(load));
        assert_ne!(first, story(Load { seed: 10, ..load }));
        let mut unique = first.clone();
        unique.sort_unstable();
        unique.dedup();
        assert!(unique.len() < first.len(), "nobody repeats a request");
        assert!(first.iter().any(|body| body.contains("\"request_id\":\"2-0-")), "of before");
    }
}
