//! The made-up swarm: every number follows from how many receipts there were.
//!
//! Texts are written by hand, not by the types that read them, so that a field which both sides
//! misunderstand alike is found. Refuses to know sockets and clocks.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;

use tollgate_shared::event::Event;
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

/// How many there are of everything.
#[derive(Clone, Debug)]
pub struct Names {
    /// Runs that spend, in turn.
    pub runs: usize,
    /// Runs beside them that only exist.
    pub idle_runs: usize,
    /// Providers, in turn.
    pub providers: usize,
    /// Agents, in turn.
    pub agents: usize,
    /// What alerts and decisions say.
    pub words: String,
}

impl Default for Names {
    fn default() -> Self {
        Self { runs: 8, idle_runs: 0, providers: 7, agents: 20, words: "made up".into() }
    }
}

/// One frame and the events it covers.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Its last event.
    pub(super) to: u64,
    /// Its text.
    pub(super) text: Arc<str>,
}

/// Everything there is to tell.
#[derive(Debug)]
pub(super) struct World {
    names: Names,
    epoch: u64,
    seq: u64,
    frames: VecDeque<Frame>,
    /// Receipts ever.
    receipts: u64,
    /// What they add up to by run, in 1e-12 USD.
    by_run: BTreeMap<usize, i128>,
    /// The second that runs.
    second: Second,
    /// Those that ended, as texts.
    seconds: VecDeque<String>,
    recent: VecDeque<Arc<str>>,
    began: Timestamp,
}

/// What happened in a second.
#[derive(Debug, Default)]
struct Second {
    all: Sums,
    by_run: BTreeMap<usize, Sums>,
    by_provider: BTreeMap<usize, Sums>,
    by_agent: BTreeMap<usize, Sums>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    picos: i128,
    input: u64,
    output: u64,
    requests: u64,
}

/// One receipt's numbers.
#[derive(Clone, Copy, Debug)]
struct Spend {
    number: u64,
    run: usize,
    provider: usize,
    agent: usize,
    input: u64,
    output: u64,
}

impl Spend {
    fn of(number: u64, names: &Names) -> Self {
        let turn = |count: usize| usize::try_from(number).unwrap_or(0) % count.max(1);
        Self {
            number,
            run: turn(names.runs),
            provider: turn(names.providers),
            agent: turn(names.agents),
            input: 400 + number % 613,
            output: 50 + number % 197,
        }
    }

    const fn input_picos(self) -> i128 {
        self.input as i128 * 3_000_000
    }

    const fn output_picos(self) -> i128 {
        self.output as i128 * 15_000_000
    }

    /// A fee that moves the last digit.
    const fn fee_picos(self) -> i128 {
        (self.number % 7) as i128
    }

    const fn picos(self) -> i128 {
        self.input_picos() + self.output_picos() + self.fee_picos()
    }

    fn sums(self) -> Sums {
        Sums { picos: self.picos(), input: self.input, output: self.output, requests: 1 }
    }

    /// Its line, as far as the wire's contract asks.
    fn line(self, names: &Names, now: Timestamp) -> String {
        let Self { number, run, provider, agent, input, output } = self;
        let cost = Usd::from_picos(self.picos());
        let (cost_in, cost_out) =
            (Usd::from_picos(self.input_picos()), Usd::from_picos(self.output_picos()));
        let fee = Usd::from_picos(self.fee_picos());
        let seq = number / names.runs.max(1) as u64 + 1;
        let why = json(&names.words);
        format!(
            r#"{{"request_id":"req-{number}","run_id":"R-{run:03}","agent":"Worker-{agent}","timestamp":"{now}","provider":"provider-{provider}","model":"model-{provider}","input_tokens":{input},"output_tokens":{output},"cost_usd":{cost},"latency_ms":{},"status":"success","attempt":1,"attempt_id":"a-{number}","seq":{seq},"usage":{{"input_uncached":{input},"output_visible":{output}}},"usage_source":"reported","cost_is":"exact","cost":{{"input":{cost_in},"output":{cost_out},"request":{fee}}},"held_usd":0.01,"cap":300,"cap_source":"caller","price_id":"pc-0123456789abcdef","decision":{{"objective":"cost","why":{why},"cheapest_usd":{cost},"candidates":2}},"prev":"{HASH}","hash":"{HASH}"}}"#,
            300 + number % 2_000,
        )
    }
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.picos += other.picos;
        self.input += other.input;
        self.output += other.output;
        self.requests += other.requests;
    }

    fn json(self) -> String {
        let Self { picos, input, output, requests } = self;
        let cost = Usd::from_picos(picos);
        format!(
            r#"{{"cost_usd":{cost},"input_tokens":{input},"output_tokens":{output},"requests":{requests},"answered":{requests},"attempts":{requests}}}"#
        )
    }
}

impl Second {
    fn add(&mut self, spend: Spend) {
        let sums = spend.sums();
        self.all.add(sums);
        self.by_run.entry(spend.run).or_default().add(sums);
        self.by_provider.entry(spend.provider).or_default().add(sums);
        self.by_agent.entry(spend.agent).or_default().add(sums);
    }

    /// Its fields, without the braces around them.
    fn fields(&self, at: Timestamp) -> String {
        let map = |prefix: &str, sums: &BTreeMap<usize, Sums>, digits: usize| {
            let entry = |(key, sums): (&usize, &Sums)| {
                format!(r#""{prefix}{key:0digits$}":{}"#, sums.json())
            };
            sums.iter().map(entry).collect::<Vec<_>>().join(",")
        };
        format!(
            r#""at":"{at}","all":{},"by_run":{{{}}},"by_provider":{{{}}},"by_agent":{{{}}},"by_model":{{{}}}"#,
            self.all.json(),
            map("R-", &self.by_run, 3),
            map("provider-", &self.by_provider, 0),
            map("Worker-", &self.by_agent, 0),
            map("model-", &self.by_provider, 0),
        )
    }
}

impl World {
    pub(super) fn new(names: Names, began: Timestamp) -> Self {
        Self {
            names,
            epoch: 1,
            seq: 0,
            frames: VecDeque::new(),
            receipts: 0,
            by_run: BTreeMap::new(),
            second: Second::default(),
            seconds: VecDeque::new(),
            recent: VecDeque::new(),
            began,
        }
    }

    pub(super) const fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn epoch(&self) -> String {
        format!("made-up-{}", self.epoch)
    }

    pub(super) fn spent(&self) -> (Usd, u64) {
        (Usd::from_picos(self.by_run.values().sum()), self.receipts)
    }

    /// New receipts, in frames of at most a thousand.
    pub(super) fn receipts(&mut self, mut count: u64, now: Timestamp) {
        while count > 0 {
            let here = count.min(FRAME_RECEIPTS_MAX);
            count -= here;
            let from = self.seq + 1;
            self.seq += here;
            let mut text =
                format!(r#"{{"type":"receipts","from":{from},"to":{},"items":["#, self.seq);
            for place in 0..here {
                let spend = Spend::of(self.receipts, &self.names);
                self.receipts += 1;
                *self.by_run.entry(spend.run).or_default() += spend.picos();
                self.second.add(spend);
                let line = spend.line(&self.names, now);
                text.push_str(if place == 0 { "" } else { "," });
                text.push_str(&line);
                if here - place <= RECENT_MAX as u64 {
                    self.recent.push_back(line.into());
                }
            }
            text.push_str("]}");
            while self.recent.len() > RECENT_MAX {
                self.recent.pop_front();
            }
            self.push(text);
        }
    }

    /// The second that ran has ended: its tick, and the budgets that it changed.
    pub(super) fn second(&mut self, now: Timestamp) {
        let second = std::mem::take(&mut self.second);
        let fields = second.fields(now.floor_to(1).plus_millis(-1_000));
        if second.all.requests > 0 {
            self.seconds.push_back(format!("{{{fields}}}"));
            while self.seconds.len() > SECONDS_MAX {
                self.seconds.pop_front();
            }
        }
        self.seq += 1;
        let seq = self.seq;
        self.push(format!(r#"{{"type":"tick","seq":{seq},{fields}}}"#));
        for run in second.by_run.keys() {
            self.seq += 1;
            let text = format!(r#"{{"type":"budget",{}}}"#, self.budget(*run, self.seq));
            self.push(text);
        }
    }

    /// What the ledger says at this place.
    pub(super) fn checkpoint(&mut self) {
        self.seq += 1;
        let text = format!(r#"{{"type":"checkpoint",{}}}"#, self.sums(self.seq));
        self.push(text);
    }

    /// As after a restart.
    pub(super) fn restart(&mut self) {
        self.epoch += 1;
        self.seq = 0;
        self.frames.clear();
    }

    pub(super) fn forget(&mut self) {
        self.frames.clear();
    }

    pub(super) fn hello(&self, now: Timestamp) -> (String, String) {
        let (epoch, seq) = (self.epoch(), self.seq);
        let text = format!(
            r#"{{"type":"hello","proto":1,"epoch":"{epoch}","seq":{seq},"now":"{now}","catalogue":"v1","read_only":false}}"#
        );
        (text, epoch)
    }

    /// Whether everything after an event is still here.
    pub(super) fn has(&self, after: u64) -> bool {
        self.after(after).is_some()
    }

    /// The frames after an event; none where some of them are gone.
    pub(super) fn after(&self, after: u64) -> Option<Vec<Frame>> {
        if after == self.seq {
            return Some(Vec::new());
        }
        let place = self.frames.partition_point(|frame| frame.to <= after);
        let is_whole = match place.checked_sub(1).and_then(|before| self.frames.get(before)) {
            Some(before) => before.to == after,
            None => false,
        };
        is_whole.then(|| self.frames.iter().skip(place).take(64).cloned().collect())
    }

    /// What a client that is too late is told: the notice, and everything.
    pub(super) fn lagged(&self, after: u64) -> (String, u64, String) {
        let (from, to) = (after + 1, self.seq);
        let receipts = to - after;
        let notice =
            format!(r#"{{"type":"lagged","from":{from},"to":{to},"receipts":{receipts}}}"#);
        let (seq, snapshot) = self.snapshot();
        (notice, seq, snapshot)
    }

    /// The text of the newest frame.
    pub(super) fn newest(&self) -> String {
        self.frames.back().map_or_else(String::new, |frame| frame.text.to_string())
    }

    /// Everything, as of the newest event.
    pub(super) fn snapshot(&self) -> (u64, String) {
        let all = self.names.runs + self.names.idle_runs;
        let list = |items: Vec<String>| items.join(",");
        let runs = list((0..all).map(|run| self.run(run)).collect());
        let budgets = list((0..all).map(|run| format!("{{{}}}", self.budget(run, 0))).collect());
        let providers = list((0..self.names.providers).map(|index| self.provider(index)).collect());
        let mut text = format!(r#"{{"type":"snapshot","seq":{},"seconds":["#, self.seq);
        text.push_str(&self.seconds.iter().map(String::as_str).collect::<Vec<_>>().join(","));
        let recent: Vec<&str> = self.recent.iter().map(|line| &**line).collect();
        let (since, words) = (self.began, json(&self.names.words));
        write!(
            text,
            r#"],"runs":[{runs}],"budgets":[{budgets}],"providers":[{providers}],"alerts":[{{"id":"budget:R-001","severity":"warning","subject":"R-001","rule":"budget","since":"{since}","what":{words},"then":{words},"state":"open"}}],"receipts":[{}],"checkpoint":{{{}}}}}"#,
            recent.join(","),
            self.sums(self.seq),
        )
        .ok();
        (self.seq, text)
    }

    fn push(&mut self, text: String) {
        self.frames.push_back(Frame { to: self.seq, text: text.into() });
        while self.frames.len() > FRAMES_MAX {
            self.frames.pop_front();
        }
    }

    fn sums(&self, seq: u64) -> String {
        let (spent, receipts) = self.spent();
        let entry =
            |(run, picos): (&usize, &i128)| format!(r#""R-{run:03}":{}"#, Usd::from_picos(*picos));
        let by_run: Vec<String> = self.by_run.iter().map(entry).collect();
        format!(
            r#""seq":{seq},"posted_usd":{spent},"unknown_usd":0,"uncertain_usd":0,"receipts":{receipts},"by_run":{{{}}}"#,
            by_run.join(","),
        )
    }

    fn posted(&self, run: usize) -> Usd {
        Usd::from_picos(self.by_run.get(&run).copied().unwrap_or_default())
    }

    fn run(&self, run: usize) -> String {
        let (spent, now) = (self.posted(run), self.began);
        format!(
            r#"{{"run_id":"R-{run:03}","state":"open","parent":null,"agents":3,"requests":{},"spent_usd":{spent},"budget_usd":{LIMIT},"level":"ok","last_at":"{now}"}}"#,
            self.receipts / self.names.runs.max(1) as u64,
        )
    }

    fn budget(&self, run: usize, seq: u64) -> String {
        let posted = self.posted(run);
        let available = LIMIT.parse::<Usd>().unwrap_or_default() - posted;
        format!(
            r#""seq":{seq},"run_id":"R-{run:03}","mode":"clamp","version":1,"enforced":{{"limit_usd":{LIMIT},"posted_usd":{posted},"held_usd":0,"unknown_usd":0,"uncertain_usd":0,"available_usd":{available}}},"burn_usd_per_min":0.25,"runway_s":36000,"level":"ok","state":"open""#
        )
    }

    fn provider(&self, index: usize) -> String {
        let since = self.began;
        format!(
            r#"{{"name":"provider-{index}","model":"model-{index}","upstream_model":"model-{index}","context_window":128000,"max_output_tokens":null,"cost_per_input_token":0.000003,"cost_per_output_token":0.000015,"pricing":{{"input":0.000003,"cache_read":0.000003,"cache_write":0.000003,"cache_write_1h":0.000003,"output":0.000015,"reasoning":0.000015,"request_fee":0,"bills_on_4xx":"no","bills_on_5xx":"maybe","bills_partial":"delivered"}},"price_id":"pc-0123456789abcdef","free":false,"endpoint":"http://127.0.0.1:9","dialect":"openai","features":[],"slo":{{"latency_p95_ms":2000}},"limits":{{}},"api_key_env":null,"status":"active","version":1,"registered_at":"{since}","updated_at":"{since}","managed_by":"api","circuit":{{"state":"closed","reason":null,"since":null,"retry_at":null,"opened":0}},"quality":{{"p50_ms":800,"p95_ms":1600,"ttft_p95_ms":null,"success_rate":0.99,"availability":1.0,"attempts":400}}}}"#
        )
    }
}

/// A text as JSON.
fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// The text of an event.
pub(super) fn text_of(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default()
}

/// Limit of every run, in dollars; far above what a measurement spends.
const LIMIT: &str = "1000000";

/// Receipts in one frame, as of a backend at ten thousand a second.
const FRAME_RECEIPTS_MAX: u64 = 1_000;

/// Receipts in a snapshot.
const RECENT_MAX: usize = 200;

/// Seconds in a snapshot.
const SECONDS_MAX: usize = 960;

/// Frames that are kept for those who come back.
const FRAMES_MAX: usize = 2_048;

const HASH: &str = "f080a58259fed16c36dd7b0fc12e7216795088c3fe4539c1c9fe388fa64f9062";

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World::new(Names::default(), "2026-11-23T14:14:07Z".parse().unwrap())
    }

    #[test]
    fn every_frame_is_one_that_a_console_reads() {
        let mut world = world();
        let now = "2026-11-23T14:14:08Z".parse().unwrap();
        world.receipts(2_500, now);
        world.second(now);
        world.checkpoint();
        let mut texts: Vec<String> =
            world.frames.iter().map(|frame| frame.text.to_string()).collect();
        texts.extend([world.snapshot().1, world.hello(now).0, world.lagged(7).0]);
        let mut spent = Usd::ZERO;
        for text in texts {
            let event = Event::read(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let Some(Event::Receipts(receipts)) = event else { continue };
            for line in receipts.items {
                let receipt: tollgate_shared::receipt::Receipt =
                    serde_json::from_str(line.get()).unwrap();
                assert_eq!(receipt.cost.total(), receipt.cost_usd);
                spent += receipt.cost_usd;
            }
        }
        assert_eq!((spent, 2_500), world.spent());
    }

    #[test]
    fn who_is_behind_gets_the_rest_or_is_told() {
        let mut world = world();
        let now = "2026-11-23T14:14:08Z".parse().unwrap();
        world.receipts(1_500, now);
        assert_eq!(world.after(1_000).unwrap().len(), 1);
        assert!(world.after(1_500).unwrap().is_empty());
        assert!(world.after(700).is_none(), "no frame ends there");
        world.forget();
        world.receipts(1, now);
        assert!(world.after(1_000).is_none());
    }
}
