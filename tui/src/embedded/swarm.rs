//! A small synthetic swarm: agents of several runs that route requests over real HTTP.
//!
//! Deterministic by its seed as far as a swarm can be: what agents say is; when answers come is
//! up to the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// One run of the swarm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crew {
    /// The run.
    pub run_id: &'static str,
    /// What its agents are called; a number is added.
    pub agent: &'static str,
    /// How many there are.
    pub agents: u64,
    /// Its budget in USD; none for a run without one.
    pub budget_usd: Option<&'static str>,
    /// Which model it asks for.
    pub model: &'static str,
    /// What it prefers.
    pub objective: &'static str,
    /// Bytes of its messages, about.
    pub message_bytes: u64,
    /// Tokens of its answers, about.
    pub answer_tokens: u64,
    /// Whether it streams.
    pub stream: bool,
}

/// The runs of the demo: one meets its budget within seconds, one is near it, one has none.
pub(super) const CREWS: [Crew; 6] = [
    Crew {
        run_id: "R-207-refactor",
        agent: "Worker-CPE",
        agents: 4,
        budget_usd: Some("12"),
        model: "frontier",
        objective: "balanced",
        message_bytes: 22_000,
        answer_tokens: 700,
        stream: true,
    },
    Crew {
        run_id: "R-190-chat",
        agent: "chat",
        agents: 3,
        budget_usd: Some("25"),
        model: "frontier",
        objective: "latency",
        message_bytes: 6_000,
        answer_tokens: 350,
        stream: true,
    },
    Crew {
        run_id: "R-211-triage",
        agent: "Triage",
        agents: 3,
        budget_usd: Some("4"),
        model: "frontier",
        objective: "cost",
        message_bytes: 14_000,
        answer_tokens: 500,
        stream: false,
    },
    Crew {
        run_id: "R-204-crawl",
        agent: "Crawler",
        agents: 3,
        budget_usd: Some("0.60"),
        model: "fast",
        objective: "cost",
        message_bytes: 40_000,
        answer_tokens: 220,
        stream: false,
    },
    Crew {
        run_id: "R-198-eval",
        agent: "Eval",
        agents: 2,
        budget_usd: Some("0.10"),
        model: "frontier",
        objective: "cost",
        message_bytes: 9_000,
        answer_tokens: 300,
        stream: false,
    },
    Crew {
        run_id: "R-213-lint",
        agent: "lint",
        agents: 1,
        budget_usd: None,
        model: "fast",
        objective: "balanced",
        message_bytes: 2_000,
        answer_tokens: 60,
        stream: false,
    },
];

/// What the swarm met.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Requests that were asked.
    pub asked: AtomicU64,
    /// Requests that were answered.
    pub answered: AtomicU64,
    /// Requests refused for want of money.
    pub refused: AtomicU64,
    /// Requests that failed otherwise.
    pub failed: AtomicU64,
}

/// The swarm at work.
pub(super) struct Swarm {
    pub tally: Arc<Tally>,
    stop: watch::Sender<bool>,
    agents: JoinSet<()>,
}

/// What every agent is given.
struct Agent {
    crew: Crew,
    number: u64,
    url: String,
    client: reqwest::Client,
    pause: Duration,
    dice: Dice,
    tally: Arc<Tally>,
}

impl Swarm {
    /// Sends the agents to work: together they ask about `rate` times a second.
    pub fn start(gateway: &str, client: &reqwest::Client, (rate, seed): (u64, u64)) -> Self {
        let (stop, stopped) = watch::channel(false);
        let tally = Arc::new(Tally::default());
        let count: u64 = CREWS.iter().map(|crew| crew.agents).sum();
        let pause = Duration::from_micros(1_000_000 * count / rate.max(1));
        let mut agents = JoinSet::new();
        for crew in CREWS {
            for number in 1..=crew.agents {
                let dice =
                    Dice(seed ^ (number << 32) ^ crew.run_id.bytes().map(u64::from).sum::<u64>());
                let agent = Agent {
                    crew,
                    number,
                    url: format!("{gateway}/route"),
                    client: client.clone(),
                    pause,
                    dice,
                    tally: Arc::clone(&tally),
                };
                agents.spawn(agent.work(stopped.clone()));
            }
        }
        Self { tally, stop, agents }
    }

    /// Lets every agent finish what it is at.
    pub async fn stop(mut self) -> Arc<Tally> {
        self.stop.send_replace(true);
        while self.agents.join_next().await.is_some() {}
        self.tally
    }
}

impl Agent {
    async fn work(mut self, mut stopped: watch::Receiver<bool>) {
        // Not all at the same moment.
        let mut pause = Duration::from_millis(self.dice.below(1_000));
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
            let refused = self.ask().await;
            // Between half and one and a half of the pause; longer after a refusal, as agents do.
            let spread = u64::try_from(self.pause.as_millis()).unwrap_or(1_000).max(1);
            pause = Duration::from_millis(spread / 2 + self.dice.below(spread));
            if refused {
                pause *= 3;
            }
        }
    }

    /// Asks once. Answers whether it was refused.
    async fn ask(&mut self) -> bool {
        let body = self.question();
        self.tally.asked.fetch_add(1, Ordering::Relaxed);
        let sent =
            self.client.post(&self.url).header("content-type", "application/json").body(body);
        let status = match sent.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                // Read to its end, as a client does that wants the answer.
                response.bytes().await.map_or(0, |_| status)
            }
            Err(_) => 0,
        };
        let (counter, refused) = match status {
            200 => (&self.tally.answered, false),
            402 | 429 => (&self.tally.refused, true),
            _ => (&self.tally.failed, false),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        refused
    }

    fn question(&mut self) -> String {
        let crew = self.crew;
        let around = |dice: &mut Dice, middle: u64| middle / 2 + dice.below(middle);
        let length = around(&mut self.dice, crew.message_bytes);
        let tokens = around(&mut self.dice, crew.answer_tokens).max(1);
        let mut text = format!("[out:{tokens}] Look at this and say what to do next: ");
        while (text.len() as u64) < length {
            text.push_str(WORDS[self.dice.below(WORDS.len() as u64) as usize]);
        }
        json!({
            "run_id": crew.run_id,
            "agent": format!("{}-{}", crew.agent, self.number),
            "requirements": {"model": crew.model},
            "optimization": crew.objective,
            "payload": {
                "messages": [{"role": "user", "content": text}],
                "stream": crew.stream,
                "max_tokens": crew.answer_tokens * 2,
            },
        })
        .to_string()
    }
}

/// Chance by arithmetic (SplitMix64): the same seed, the same swarm.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most.max(1)
    }
}

const WORDS: [&str; 8] = [
    "the build fails in ",
    "a module without tests, ",
    "the log says nothing about ",
    "a retry that never ends, ",
    "the schema of ",
    "two callers of ",
    "an index on ",
    "the cache behind ",
];
