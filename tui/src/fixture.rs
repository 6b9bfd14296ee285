//! One made-up day, the one of the drawings: everything a test of update and view needs.
//!
//! Eight runs, seven providers, sixteen minutes of seconds, fifteen receipts and a refusal, four
//! alerts; the same every time. Tests only.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use tollgate_shared::alert::{Alert, AlertState, Severity};
use tollgate_shared::api::{
    AuditEntry, Breakdown, DailyReport, DayReport, RankedRow, Ranking, RunView,
};
use tollgate_shared::body::Body;
use tollgate_shared::budget::{CapSource, Level, Mode, RunState};
use tollgate_shared::circuit::{CircuitState, CircuitView};
use tollgate_shared::event::{BudgetEvent, Checkpoint, Enforced, Hello, Refused, Second, Snapshot};
use tollgate_shared::money::Usd;
use tollgate_shared::price::Cost;
use tollgate_shared::provider::{ManagedBy, ProviderStatus, ProviderView, Quality, Registration};
use tollgate_shared::receipt::{Decision, Receipt, Status};
use tollgate_shared::select::Objective;
use tollgate_shared::time::Timestamp;
use tollgate_shared::usage::{CostIs, Usage, UsageSource};
use tollgate_shared::window::Sums;

use crate::feed::{Delta, LinkChange};
use crate::message::{Chord, Effect, Message};
use crate::model::{Model, Settings, Today};
use crate::update::update;

/// The moment of the drawings.
pub fn now() -> Timestamp {
    "2026-11-23T14:14:07.210Z".parse().unwrap()
}

pub fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

/// A console of this size that has heard the whole day.
pub fn model(size: (u16, u16)) -> Model {
    let mut model = empty(size);
    update(&mut model, Message::Delta(Box::new(day())));
    model.live.today =
        Some(Today { since: "2026-11-23T00:00:00Z".parse().unwrap(), spent: usd("212.40") });
    model
}

/// A console of this size that has heard nothing.
pub fn empty(size: (u16, u16)) -> Model {
    Model::new(Settings { profile: "prod".into(), ..Settings::default() }, size, now())
}

/// Presses keys as a person would: `"Tab j Enter"`.
pub fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    keys.split_whitespace()
        .flat_map(|key| update(model, Message::Key(Chord::read(key).unwrap())))
        .collect()
}

/// The connection comes up and the snapshot with it.
pub fn day() -> Delta {
    // Made once: tests want it by the hundred.
    static DAY: LazyLock<Delta> = LazyLock::new(make_day);
    DAY.clone()
}

fn make_day() -> Delta {
    let hello = Hello {
        proto: 1,
        epoch: "n1-18f3".into(),
        seq: 88_200,
        now: now(),
        catalogue: "v41".into(),
        read_only: false,
    };
    Delta {
        at: now(),
        last_frame: Some(now().plus_millis(-200)),
        link: Some(LinkChange::Up { resumed: false }),
        hello: Some(hello),
        snapshot: Some(Box::new(snapshot())),
        refusals: vec![refusal()],
        ..Delta::default()
    }
}

pub fn snapshot() -> Snapshot {
    let budgets: Vec<BudgetEvent> = RUNS.iter().map(budget).collect();
    let spent = budgets.iter().map(|budget| budget.enforced.posted_usd).sum();
    Snapshot {
        seq: 88_200,
        seconds: seconds(),
        runs: RUNS.iter().map(run).collect(),
        checkpoint: Checkpoint {
            seq: 88_200,
            posted_usd: spent,
            uncertain_usd: usd("0.31"),
            receipts: 8_310,
            by_run: budgets
                .iter()
                .map(|budget| (budget.run_id.clone(), budget.enforced.posted_usd))
                .collect(),
            ..Checkpoint::default()
        },
        budgets,
        providers: PROVIDERS.iter().map(provider).collect(),
        alerts: alerts(),
        receipts: receipts(),
        audit: changes(),
    }
}

/// Run, limit, spent, held, burn, runway in seconds, agents, requests.
type RunLine<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, Option<u64>, usize, u64);

const RUNS: [RunLine<'_>; 8] = [
    ("R-198", "10", "10.00", "0", "0", None, 3, 420),
    ("R-207", "50", "45.12", "0.62", "0.271", Some(1_080), 9, 2_210),
    ("R-204", "25", "19.40", "0.11", "0.062", Some(5_400), 3, 3_120),
    ("R-211", "40", "12.08", "0.95", "0.188", Some(8_900), 5, 390),
    ("R-190", "120", "88.20", "0.41", "0.190", Some(10_030), 1, 11_800),
    ("R-209", "30", "6.31", "0.22", "0.094", Some(15_120), 4, 510),
    ("R-212", "15", "2.20", "0.05", "0.031", None, 1, 1_900),
    ("R-213", "5", "0.42", "0.01", "0.004", None, 1, 88),
];

/// Run, name, agents at work, per request, top model, and whether its account begins anew at midnight.
type WorkLine<'a> = (&'a str, &'a str, usize, &'a str, &'a str, bool);

const WORK: [WorkLine<'_>; 8] = [
    ("R-198", "eval-suite", 4, "0.0123", "gpt-4o", false),
    ("R-207", "nightly-refactor", 12, "0.0204", "sonnet", false),
    ("R-204", "doc-crawl", 3, "0.0038", "flash", false),
    ("R-211", "bug-triage", 6, "0.0189", "sonnet", false),
    ("R-190", "chat-prod", 1, "0.0094", "gpt-4o", false),
    ("R-209", "pr-review", 5, "0.0163", "mistral-large", false),
    ("R-212", "embed-index", 2, "0.0015", "gpt-4o-mini", true),
    ("R-213", "lint-bot", 1, "0.0044", "qwen", true),
];

/// What a run does beside its numbers.
fn work(run: &str) -> &'static WorkLine<'static> {
    WORK.iter().find(|line| line.0 == run).unwrap()
}

fn level(spent: &str, limit: &str) -> Level {
    match usd(spent).ppm_of(usd(limit)).unwrap() {
        1_000_000.. => Level::Critical,
        900_000.. => Level::Warning,
        750_000.. => Level::Caution,
        _ => Level::Ok,
    }
}

fn budget(line: &RunLine<'_>) -> BudgetEvent {
    let (run, limit, spent, held, burn, runway_s, ..) = *line;
    let level = level(spent, limit);
    BudgetEvent {
        seq: 0,
        run_id: run.parse().unwrap(),
        mode: Mode::Clamp,
        version: 7,
        enforced: Enforced {
            limit_usd: Some(usd(limit)),
            posted_usd: usd(spent),
            held_usd: usd(held),
            available_usd: Some(usd(limit) - usd(spent) - usd(held)),
            ..Enforced::default()
        },
        burn_usd_per_min: usd(burn),
        runway_s,
        runway_low_s: runway_s.map(|seconds| seconds * 7 / 9),
        runway_high_s: runway_s.map(|seconds| seconds * 7 / 5),
        resets_at: work(run).5.then(|| "2026-11-24T00:00:00Z".parse().unwrap()),
        max_overshoot_usd: Usd::ZERO,
        period: Default::default(),
        level,
        blocked: level == Level::Critical,
        state: RunState::Open,
    }
}

fn run(line: &RunLine<'_>) -> RunView {
    let (run, limit, spent, .., agents, requests) = *line;
    RunView {
        run_id: run.parse().unwrap(),
        state: RunState::Open,
        parent: None,
        agents,
        requests,
        spent_usd: usd(spent),
        budget_usd: Some(usd(limit)),
        level: level(spent, limit),
        last_at: now().plus_millis(-1_000),
        name: Some(work(run).1.into()),
        agents_at_work: work(run).2,
        per_request_usd: Some(usd(work(run).3)),
        top_model: Some(work(run).4.parse().unwrap()),
    }
}

/// Name, model, price in and out per million, p50, p95, SLO, answered, circuit.
type ProviderLine<'a> = (&'a str, &'a str, [&'a str; 2], [u32; 3], f64, CircuitState);

const PROVIDERS: [ProviderLine<'_>; 7] = [
    ("azure-gpt4o", "gpt-4o", ["2.5", "10"], [0, 0, 2_000], 0.0, CircuitState::Open),
    ("mistral-lg", "mistral-large", ["2", "6"], [950, 1_880, 2_000], 0.972, CircuitState::HalfOpen),
    (
        "openai-mini",
        "gpt-4o-mini",
        ["0.15", "0.6"],
        [550, 1_320, 1_200],
        0.991,
        CircuitState::Closed,
    ),
    ("anthropic-son", "sonnet", ["3", "15"], [1_100, 2_310, 2_500], 0.998, CircuitState::Closed),
    ("openai-gpt4o", "gpt-4o", ["2.5", "10"], [820, 1_640, 2_000], 0.996, CircuitState::Closed),
    ("gemini-flash", "flash", ["0.3", "2.5"], [410, 780, 1_000], 0.999, CircuitState::Closed),
    ("local-qwen", "qwen", ["0", "0"], [380, 900, 1_500], 0.994, CircuitState::Closed),
];

fn provider(line: &ProviderLine<'_>) -> ProviderView {
    let (name, model, [input, output], [p50, p95, slo], answered, state) = *line;
    let prices = if input == "0" {
        "\"free\":true".to_owned()
    } else {
        format!(
            "\"pricing\":{{\"rates\":{{\"input\":{input},\"cache_read\":{},\"output\":{output}}}}}",
            usd(input).half()
        )
    };
    let body = format!(
        "{{\"name\":\"{name}\",\"model\":\"{model}\",\"context_window\":128000,\
         \"endpoint\":\"http://localhost:8100\",\"slo\":{{\"latency_p95_ms\":{slo}}},{prices}}}"
    );
    let registration = Registration::from_body(Body::parse(body.as_bytes()).unwrap()).unwrap();
    let measured = |ms: u32| (ms > 0).then_some(ms);
    let since = now().plus_millis(-252_000);
    let circuit = match state {
        CircuitState::Closed => CircuitView::default(),
        CircuitState::HalfOpen => CircuitView {
            state,
            reason: Some("one probe at a time".into()),
            since: Some(since),
            ..CircuitView::default()
        },
        CircuitState::Open => CircuitView {
            state,
            reason: Some("5 × 5xx in a row".into()),
            since: Some(since),
            retry_at: Some(now().plus_millis(12_500)),
            opened: 8,
        },
    };
    ProviderView {
        name: registration.name,
        model: registration.model,
        upstream_model: registration.upstream_model,
        context_window: registration.context_window,
        max_output_tokens: None,
        cost_per_input_token: registration.card.input,
        cost_per_output_token: registration.card.output,
        price_id: registration.card.id(),
        pricing: registration.card,
        free: registration.free,
        endpoint: registration.endpoint,
        dialect: registration.dialect,
        features: registration.features,
        slo: registration.slo,
        limits: registration.limits,
        on_disconnect: registration.on_disconnect,
        bounded: registration.bounded,
        api_key_env: None,
        status: ProviderStatus::Active,
        version: 1,
        registered_at: since,
        updated_at: since,
        managed_by: ManagedBy::Api,
        circuit,
        quality: Quality {
            p50_ms: measured(p50),
            p95_ms: measured(p95),
            success_rate: Some(answered),
            attempts: 400,
            ..Quality::default()
        },
        last_error: None,
    }
}

/// Who spends where, in ten-thousandths of a dollar a second at a level of 100.
const SHARES: [(&str, &str, &str, &str, i128); 8] = [
    ("R-207", "Worker-CPE-5", "anthropic-son", "sonnet", 30),
    ("R-190", "chat", "openai-gpt4o", "gpt-4o", 25),
    ("R-190", "chat", "mistral-lg", "mistral-large", 14),
    ("R-211", "Triage-2", "anthropic-son", "sonnet", 20),
    ("R-209", "Reviewer-4", "openai-gpt4o", "gpt-4o", 13),
    ("R-204", "Crawler-1", "gemini-flash", "flash", 10),
    ("R-212", "Embed-1", "openai-mini", "gpt-4o-mini", 5),
    ("R-213", "lint", "local-qwen", "qwen", 1),
];

fn seconds() -> Vec<Second> {
    let start = now().floor_to(1);
    (0..960_i64)
        .map(|index| {
            let mut second =
                Second { at: start.plus_millis((index - 960) * 1_000), ..Second::default() };
            for (place, (run, agent, provider, model, share)) in (0_i64..).zip(SHARES) {
                // A slow wave for each, and one run that has been three times as fast of late.
                let wave = 100 + 40 * triangle(index + place * 97, 240 + place * 40) / 100;
                let surge = if run == "R-207" && index > 840 { 240 } else { 100 };
                let picos = share * i128::from(wave * surge) * 9_100;
                let sums = Sums {
                    cost_usd: Usd::from_picos(picos),
                    input_tokens: 780,
                    output_tokens: 86,
                    cache_read_tokens: 452,
                    requests: u64::from((index + place) % 5 == 0),
                    answered: u64::from((index + place) % 5 == 0 && index % 450 != 10),
                    attempts: u64::from((index + place) % 5 == 0),
                    ..Sums::default()
                };
                second.all.add(&sums);
                add(&mut second.by_run, run, &sums);
                add(&mut second.by_agent, agent, &sums);
                add(&mut second.by_provider, provider, &sums);
                add(&mut second.by_model, model, &sums);
            }
            second
        })
        .collect()
}

fn add<K: std::str::FromStr<Err: std::fmt::Debug> + Ord>(
    map: &mut BTreeMap<K, Sums>,
    name: &str,
    sums: &Sums,
) {
    map.entry(name.parse().unwrap()).or_default().add(sums);
}

/// A wave from -100 to 100.
fn triangle(at: i64, period: i64) -> i64 {
    let place = at.rem_euclid(period) * 400 / period;
    match place {
        0..200 => place - 100,
        _ => 300 - place,
    }
}

/// Seconds ago, run, agent, provider, tokens in and out, cost, latency, status, why, fallback.
type ReceiptLine<'a> =
    (i64, [&'a str; 3], [u64; 2], &'a str, u64, Status, &'a str, Option<&'a str>);

const RECEIPTS: [ReceiptLine<'_>; 15] = [
    (
        7,
        ["R-211", "Triage-1", "anthropic-son"],
        [10_100, 0],
        "0.274580",
        30_000,
        Status::Unknown,
        "no answer in 30 s: at its hold",
        None,
    ),
    (
        6,
        ["R-207", "Worker-CPE-5", "anthropic-son"],
        [6_900, 880],
        "0.033870",
        2_400,
        Status::CutOff,
        "client left: estimate",
        None,
    ),
    (
        6,
        ["R-204", "Crawler-3", "gemini-flash"],
        [15_000, 240],
        "0.005106",
        390,
        Status::Success,
        "cheapest eligible",
        None,
    ),
    (
        5,
        ["R-190", "chat", "openai-gpt4o"],
        [1_700, 410],
        "0.008400",
        880,
        Status::Success,
        "",
        None,
    ),
    (5, ["R-213", "lint", "local-qwen"], [3_100, 90], "0", 410, Status::Success, "free", None),
    (
        5,
        ["R-207", "Worker-CPE-9", "anthropic-son"],
        [6_500, 702],
        "0.030162",
        2_270,
        Status::Success,
        "",
        None,
    ),
    (
        4,
        ["R-211", "Triage-5", "openai-gpt4o"],
        [4_400, 1_300],
        "0.024245",
        1_710,
        Status::Success,
        "",
        None,
    ),
    (
        4,
        ["R-190", "chat", "openai-gpt4o"],
        [1_600, 290],
        "0.007010",
        790,
        Status::Success,
        "azure circuit open",
        None,
    ),
    (
        3,
        ["R-207", "Worker-CPE-2", "anthropic-son"],
        [7_000, 950],
        "0.035256",
        2_110,
        Status::Success,
        "",
        None,
    ),
    (
        3,
        ["R-212", "Embed-1", "openai-mini"],
        [8_000, 12],
        "0.001207",
        1_410,
        Status::Success,
        "cheapest eligible",
        None,
    ),
    (
        2,
        ["R-209", "Reviewer-4", "openai-gpt4o"],
        [5_200, 640],
        "0.019450",
        1_920,
        Status::Success,
        "mistral-lg half-open",
        None,
    ),
    (
        1,
        ["R-204", "Crawler-1", "gemini-flash"],
        [14_200, 220],
        "0.004813",
        440,
        Status::Success,
        "cheapest eligible",
        None,
    ),
    (
        1,
        ["R-190", "chat", "mistral-lg"],
        [1_800, 0],
        "0",
        210,
        Status::Voided,
        "half-open probe: 429, nothing billed",
        None,
    ),
    (
        1,
        ["R-190", "chat", "openai-gpt4o"],
        [1_800, 402],
        "0.007680",
        910,
        Status::Fallback,
        "mistral-lg 429",
        Some("mistral-lg"),
    ),
    (
        0,
        ["R-207", "Worker-CPE-5", "anthropic-son"],
        [6_100, 811],
        "0.030525",
        2_480,
        Status::Success,
        "2nd cheapest, p95 in SLO",
        None,
    ),
];

/// Sealed and chained, run by run, as the ledger writes them.
pub fn receipts() -> Vec<Receipt> {
    let mut heads = BTreeMap::<&str, (u64, String)>::new();
    RECEIPTS
        .iter()
        .map(|line| {
            let before = "0123456789abcdef".repeat(4);
            let (place, head) = heads.entry(line.1[0]).or_insert((100, before));
            *place += 1;
            let mut receipt = Receipt { prev: head.clone(), ..priced(receipt(line, *place)) };
            receipt.seal().unwrap();
            head.clone_from(&receipt.hash);
            receipt
        })
        .collect()
}

/// The receipt with a usage that costs what it says by its provider's card, where there is one
/// near its own.
fn priced(mut receipt: Receipt) -> Receipt {
    let line = PROVIDERS.iter().find(|line| line.0 == receipt.provider.as_str()).unwrap();
    let card = provider(line).pricing;
    let half = card.cache_read.usd().picos();
    let output = card.output.cost(receipt.output_tokens);
    let rest = (receipt.cost_usd - output).picos();
    if receipt.status == Status::Unknown {
        receipt.cost = Cost::of_hold(receipt.cost_usd);
        receipt.held_usd = receipt.cost_usd;
        receipt.cost_is = CostIs::Hold;
        receipt.price_id = card.id();
        return receipt;
    }
    if half <= 0 || rest <= 0 || rest % half != 0 {
        return receipt;
    }
    // Uncached input costs two halves, cached input one.
    let halves = u64::try_from(rest / half).unwrap();
    let input = receipt.input_tokens.max(halves.div_ceil(2));
    if halves < input || input > receipt.input_tokens + 60 {
        return receipt;
    }
    let cached = 2 * input - halves;
    receipt.input_tokens = input;
    receipt.usage =
        Usage { cache_read: cached, ..Usage::plain(input - cached, receipt.output_tokens) };
    receipt.cost = card.cost(&receipt.usage);
    receipt.price_id = card.id();
    receipt
}

fn receipt(line: &ReceiptLine<'_>, seq: u64) -> Receipt {
    let (ago, [run, agent, provider], [input, output], cost, latency_ms, status, why, from) = *line;
    let objective = match (why, run) {
        ("cheapest eligible" | "free", _) => Objective::Cost,
        (_, "R-211") => Objective::Latency,
        _ => Objective::Balanced,
    };
    // A fallback belongs to the request that failed before it, and came after.
    let within = match (status, from) {
        (Status::Voided, _) => 65,
        (_, Some(_)) => 980,
        _ => 0,
    };
    let first = if from.is_some() { seq - 1 } else { seq };
    Receipt {
        request_id: format!("req-{run}-{first}").parse().unwrap(),
        run_id: run.parse().unwrap(),
        agent: agent.parse().unwrap(),
        timestamp: now().floor_to(1).plus_millis(-1_000 * ago + within),
        provider: provider.parse().unwrap(),
        model: "gpt-4o".parse().unwrap(),
        input_tokens: input,
        output_tokens: output,
        cost_usd: usd(cost),
        latency_ms,
        status,
        attempt: if from.is_some() { 2 } else { 1 },
        attempt_id: format!("attempt-{run}-{seq}").parse().unwrap(),
        seq,
        usage: Usage { cache_read: input / 2, ..Usage::plain(input - input / 2, output) },
        usage_source: UsageSource::Reported,
        cost_is: CostIs::Exact,
        cost: Cost { input: usd(cost), ..Cost::default() },
        held_usd: usd("0.11"),
        cap: Some(1_000),
        cap_source: CapSource::Caller,
        price_id: "pc-0123456789abcdef".parse().unwrap(),
        fallback_from: from.map(|name| name.parse().unwrap()),
        ttft_ms: None,
        uncertain_usd: if status == Status::CutOff { usd("0.11") } else { Usd::ZERO },
        error: None,
        corrects: None,
        evidence: None,
        flags: Vec::new(),
        decision: Decision {
            objective,
            why: why.into(),
            cheapest_usd: usd(if objective == Objective::Cost { cost } else { "0.0043" }),
            candidates: 5,
        },
        prev: String::new(),
        hash: String::new(),
    }
}

fn refusal() -> Refused {
    Refused {
        seq: 88_215,
        at: now().floor_to(1),
        run_id: "R-198".parse().unwrap(),
        agent: "Eval-3".parse().unwrap(),
        request_id: "req-eval-77".parse().unwrap(),
        code: "budget_exhausted".into(),
        hold_usd: usd("0.018400"),
    }
}

fn alerts() -> Vec<Alert> {
    let alert =
        |rule: &str, severity, subject: &str, ago_s: i64, (what, then): (&str, &str)| Alert {
            id: format!("{rule}:{subject}"),
            severity,
            subject: subject.into(),
            rule: rule.into(),
            since: now().plus_millis(-1_000 * ago_s),
            what: what.into(),
            then: then.into(),
            state: AlertState::Open,
            ..Alert::default()
        };
    vec![
        alert(
            "circuit",
            Severity::Critical,
            "azure-gpt4o",
            252,
            ("circuit open: 5 × 5xx in a row", "traffic goes to openai-gpt4o"),
        ),
        alert(
            "budget",
            Severity::Critical,
            "R-198",
            716,
            ("budget at 100% of $10.00", "new requests are refused until it is raised"),
        ),
        alert(
            "budget",
            Severity::Warning,
            "R-207",
            16,
            ("budget at 90% of $50.00", "raise it, or it will block"),
        ),
        alert(
            "slo",
            Severity::Warning,
            "openai-mini",
            365,
            ("p95 1.32 s over SLO 1.20 s", "traffic moves when it goes on"),
        ),
        alert(
            "circuit",
            Severity::Warning,
            "mistral-lg",
            252,
            ("circuit half-open", "one probe at a time"),
        ),
        alert(
            "budget",
            Severity::Caution,
            "R-204",
            1_957,
            ("budget at 75% of $25.00", "requests go on"),
        ),
    ]
}

/// What operators changed that day, oldest first.
fn changes() -> Vec<AuditEntry> {
    let change = |id, ago_s: i64, who: &str, [what, subject]: [&str; 2], values: [&str; 3]| {
        let [field, before, after] = values;
        AuditEntry {
            id,
            at: now().floor_to(1).plus_millis(-1_000 * ago_s),
            who: who.into(),
            what: what.into(),
            subject: subject.into(),
            note: (id == 12).then(|| "must finish".into()),
            before: [(field.to_owned(), before.to_owned())].into(),
            after: [(field.to_owned(), after.to_owned())].into(),
        }
    };
    vec![
        change(11, 4_567, "auto", ["circuit", "mistral-lg"], ["state", "open", "half_open"]),
        change(12, 1_427, "dana", ["budget", "R-207"], ["budget_usd", "40", "50"]),
        change(13, 1_980, "dana", ["ack", "budget:R-204"], ["state", "open", "acked"]),
    ]
}

/// Day, spent, requests, share of the largest run in percent.
const DAYS: [(&str, &str, u64, &str, i128); 8] = [
    ("2026-11-16", "338.77", 49_800, "R-190", 36),
    ("2026-11-17", "359.02", 51_100, "R-183", 31),
    ("2026-11-18", "344.80", 50_600, "R-190", 35),
    ("2026-11-19", "371.45", 52_000, "R-190", 33),
    ("2026-11-20", "402.11", 55_200, "R-188", 38),
    ("2026-11-21", "176.90", 28_100, "R-190", 49),
    ("2026-11-22", "188.02", 29_900, "R-190", 47),
    ("2026-11-23", "212.40", 31_000, "R-190", 42),
];

/// Eight days, as the ledger would sum them.
pub fn report() -> DailyReport {
    let days = DAYS.iter().map(|(date, spent, requests, largest, share)| {
        let spent = usd(spent);
        let is_over = *date != "2026-11-23";
        let of = |percent: i128| Usd::from_picos(spent.picos() * percent / 100);
        let sums = |cost_usd: Usd| {
            let part = cost_usd.ppm_of(spent).unwrap() * requests / 1_000_000;
            Sums {
                cost_usd,
                input_tokens: part * 3_400,
                output_tokens: part * 400,
                requests: part,
                answered: part - part / 100,
                attempts: part + part / 50,
                ..Sums::default()
            }
        };
        let ranking = |shares: &[(&str, i128)]| {
            let mut left = spent;
            let last = shares.len() - 1;
            let row = |(place, (name, percent)): (usize, &(&str, i128))| {
                let cost = if place == last { left } else { of(*percent) };
                left -= cost;
                RankedRow { name: (*name).into(), sums: sums(cost) }
            };
            Ranking { top: shares.iter().enumerate().map(row).collect(), ..Ranking::default() }
        };
        let mut hours: Vec<Usd> = (0..24_i128).map(|hour| of(2 + hour * 7 % 5)).collect();
        if !is_over {
            hours[15..].fill(Usd::ZERO);
        }
        DayReport {
            date: (*date).into(),
            is_over,
            hours_usd: hours,
            breakdown: Breakdown {
                sums: sums(spent),
                receipts: requests + requests / 50,
                by_run: ranking(&[
                    (*largest, *share),
                    ("R-207", if is_over { 2 } else { 21 }),
                    ("R-211", 0),
                ]),
                by_provider: ranking(&[
                    ("anthropic-son", if is_over { 39 } else { 46 }),
                    ("openai-gpt4o", 37),
                    ("mistral-lg", 10),
                    ("gemini-flash", 4),
                    ("openai-mini", 2),
                    ("local-qwen", 0),
                ]),
                ..Breakdown::default()
            },
        }
    });
    DailyReport { as_of: now(), days: days.collect(), total: Breakdown::default() }
}
