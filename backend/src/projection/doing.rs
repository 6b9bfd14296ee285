//! What one run has been doing lately: how fast it spends, who is at work in it, on which model.
//!
//! A projection of its receipts of the last seven days, forgotten by the day. Guesses stand beside
//! sums here, and neither decides anything.

use std::collections::{BTreeMap, VecDeque};

use tollgate_shared::api::{Pace, Work};
use tollgate_shared::budget::AGENTS_MAX;
use tollgate_shared::forecast::{BAND_MINUTES, Burn, per_minute, runway_band_s};
use tollgate_shared::id::{AgentName, ModelName};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::time::Timestamp;
use tollgate_shared::window::Sums;

/// What one run has been doing.
#[derive(Debug, Default)]
pub(super) struct Doing {
    burn: Burn,
    /// What each minute cost, the newest last; minutes without receipts are absent.
    minutes: VecDeque<(Timestamp, Usd)>,
    /// When the first of its receipts that are known was written.
    began: Option<Timestamp>,
    /// When each agent's latest attempt ended.
    agents: BTreeMap<AgentName, Timestamp>,
    days: VecDeque<Day>,
}

/// One day in UTC.
#[derive(Debug)]
struct Day {
    start: Timestamp,
    cost: Usd,
    requests: u64,
    models: BTreeMap<ModelName, Usd>,
}

impl Doing {
    /// Notes a receipt; they come in the order of their time.
    pub(super) fn add(&mut self, receipt: &Receipt) {
        let (at, cost) = (receipt.timestamp, receipt.cost_usd);
        self.began.get_or_insert(at);
        self.burn.spend(cost, at);
        let minute = at.floor_to(60);
        match self.minutes.back_mut() {
            Some((newest, sum)) if *newest >= minute => *sum += cost,
            _ => self.minutes.push_back((minute, cost)),
        }
        // The one that has just begun is in no band yet.
        if self.minutes.len() > BAND_MINUTES + 1 {
            self.minutes.pop_front();
        }
        if self.agents.len() < AGENTS_MAX || self.agents.contains_key(&receipt.agent) {
            self.agents.insert(receipt.agent.clone(), at);
        }
        let start = at.floor_to(86_400);
        if self.days.back().is_none_or(|day| day.start < start) {
            let models = BTreeMap::new();
            self.days.push_back(Day { start, cost: Usd::ZERO, requests: 0, models });
            let oldest = start.plus_millis(-DAYS_MS);
            self.days.retain(|day| day.start > oldest);
        }
        if let Some(day) = self.days.back_mut() {
            day.cost += cost;
            day.requests += Sums::of(receipt).requests;
            *day.models.entry(receipt.model.clone()).or_default() += cost;
        }
    }

    /// How fast it spends, and how long `left` lasts; without a limit nothing is left or gone.
    pub(super) fn pace(&self, left: Option<Usd>, now: Timestamp) -> Pace {
        let runway_s = left.and_then(|left| self.burn.runway_s(left, now));
        // A run that is idle has no runway, so no band of one either.
        let band = left.filter(|_| runway_s.is_some());
        Pace {
            burn_usd_per_min: per_minute(self.burn.usd_per_min(now)),
            runway_s,
            runway_band_s: band
                .map(|left| runway_band_s(left, &self.whole_minutes(now)))
                .unwrap_or_default(),
        }
    }

    /// Who is at work, what a request costs, and where the money goes.
    pub(super) fn work(&self, now: Timestamp) -> Work {
        let oldest = now.floor_to(86_400).plus_millis(-DAYS_MS);
        let (mut cost, mut requests, mut models) = (Usd::ZERO, 0, BTreeMap::new());
        for day in self.days.iter().filter(|day| day.start > oldest) {
            cost += day.cost;
            requests += day.requests;
            for (model, sum) in &day.models {
                *models.entry(model).or_insert(Usd::ZERO) += *sum;
            }
        }
        let at_work = |at: &&Timestamp| now.millis_since(**at) < AT_WORK_MS;
        Work {
            agents_at_work: self.agents.values().filter(at_work).count(),
            per_request_usd: cost.picos().checked_div(requests.into()).map(Usd::from_picos),
            top_model: models
                .into_iter()
                .max_by_key(|(_, sum)| *sum)
                .map(|(model, _)| model.clone()),
        }
    }

    /// What each of the latest whole minutes cost, since the run began.
    fn whole_minutes(&self, now: Timestamp) -> Vec<Usd> {
        let this = now.floor_to(60);
        let began = self.began.unwrap_or(now);
        (1..=BAND_MINUTES as i64)
            .map(|back| this.plus_millis(-60_000 * back))
            .filter(|minute| *minute >= began.floor_to(60))
            .map(|minute| {
                let known = self.minutes.iter().find(|(start, _)| *start == minute);
                known.map_or(Usd::ZERO, |(_, sum)| *sum)
            })
            .collect()
    }
}

/// How long ago an agent's latest attempt may have ended for it to be at work, in milliseconds: a
/// long answer and a pause to think.
const AT_WORK_MS: i64 = 300_000;

/// Days that are remembered, in milliseconds.
const DAYS_MS: i64 = 7 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    /// A receipt of a cent for each of `cents`.
    fn receipt(seconds: i64, cents: u64, agent: &str) -> Receipt {
        let line = r#"{"request_id":"q","run_id":"r","agent":"a","timestamp":"2025-11-06T10:30:00Z",
            "provider":"p","model":"m","input_tokens":5,"output_tokens":2,"cost_usd":0.01,
            "latency_ms":1,"status":"success","attempt":1,"attempt_id":"a-1","seq":1,
            "usage":{"input_uncached":5,"output_visible":2},"usage_source":"reported",
            "cost_is":"exact","cost":{"input":0.01},"held_usd":1,"cap_source":"caller",
            "price_id":"pc-0123456789abcdef","prev":"","decision":{"objective":"cost","why":"",
            "cheapest_usd":0,"candidates":1}}"#;
        let receipt: Receipt = serde_json::from_str(line).unwrap();
        let cost_usd = receipt.cost_usd.times(cents);
        Receipt { timestamp: at(seconds), agent: agent.parse().unwrap(), cost_usd, ..receipt }
    }

    #[test]
    fn a_band_rests_on_whole_minutes_since_the_run_began() {
        let (mut doing, left) = (Doing::default(), "10".parse().unwrap());
        for minute in 0..4 {
            doing.add(&receipt(60 * minute + 5, 10, "a"));
        }
        let early = doing.pace(Some(left), at(60 * 4 + 30));
        assert!(early.runway_s.is_some());
        assert_eq!(early.runway_band_s, (None, None), "four minutes say too little");
        doing.add(&receipt(60 * 4 + 5, 20, "a"));
        let later = doing.pace(Some(left), at(60 * 5 + 1));
        // The dearest minute cost 20 cents, the cheapest 10.
        assert_eq!(later.runway_band_s, (Some(3_000), Some(6_000)));
        // A minute without a receipt is one of nothing.
        assert_eq!(doing.pace(Some(left), at(60 * 7)).runway_band_s, (Some(3_000), None));
        assert_eq!(doing.pace(None, at(60 * 5)).runway_band_s, (None, None), "nothing can end");
        for minute in 0..100 {
            doing.add(&receipt(60 * minute + 30_000, 1, "a"));
        }
        assert!(doing.minutes.len() <= BAND_MINUTES + 1, "{}", doing.minutes.len());
    }

    #[test]
    fn who_was_there_five_minutes_ago_is_not_at_work() {
        let mut doing = Doing::default();
        doing.add(&receipt(0, 3, "early"));
        doing.add(&receipt(299, 4, "late"));
        assert_eq!(doing.work(at(299)).agents_at_work, 2);
        assert_eq!(doing.work(at(300)).agents_at_work, 1);
        let cent: Usd = "0.01".parse().unwrap();
        assert_eq!(doing.work(at(300)).per_request_usd, Some(cent.times(7).half()));
        assert_eq!(Doing::default().work(at(0)), Work::default());
    }

    #[test]
    fn an_eighth_day_takes_the_first_away() {
        let mut doing = Doing::default();
        for day in 0..8 {
            doing.add(&receipt(day * 86_400, 1 + u64::from(day == 0) * 99, "a"));
        }
        let cent: Usd = "0.01".parse().unwrap();
        assert_eq!(doing.work(at(7 * 86_400)).per_request_usd, Some(cent));
        assert_eq!(doing.work(at(20 * 86_400)).per_request_usd, None, "a week of silence");
    }
}
