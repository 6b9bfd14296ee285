//! Reports: days that equal their receipts to the last digit, however often they are asked for.

use std::collections::BTreeMap;

use tollgate_shared::api::{Breakdown, DailyReport, DayReport, RunList, RunView};
use tollgate_shared::money::Usd;
use tollgate_shared::receipt::Receipt;
use tollgate_shared::window::Sums;
use tollgate_tests::chat;

use super::*;

async fn report(house: &House, query: &str) -> anyhow::Result<DailyReport> {
    house.get(&house.gateway(&format!("/report/daily{query}"))).await?.read()
}

/// A breakdown added up from receipts, the plain way.
fn agrees(told: &Breakdown, receipts: &[Receipt]) -> anyhow::Result<()> {
    let mut sums = Sums::default();
    let mut by: [BTreeMap<String, Sums>; 4] = Default::default();
    for receipt in receipts {
        let one = Sums::of(receipt);
        sums.add(&one);
        let names = [
            receipt.run_id.to_string(),
            receipt.agent.to_string(),
            receipt.provider.to_string(),
            receipt.model.to_string(),
        ];
        by.iter_mut().zip(names).for_each(|(by, name)| by.entry(name).or_default().add(&one));
    }
    ensure!(told.sums == sums, "{:?} is not {sums:?}", told.sums);
    ensure!(told.receipts == receipts.len() as u64, "{} receipts", told.receipts);
    let uncertain: Usd = receipts.iter().map(|receipt| receipt.uncertain_usd).sum();
    ensure!(told.uncertain_usd == uncertain, "{}", told.uncertain_usd);
    let rankings = [&told.by_run, &told.by_agent, &told.by_provider, &told.by_model];
    for (ranking, wanted) in rankings.into_iter().zip(by) {
        let found: BTreeMap<String, Sums> =
            ranking.top.iter().map(|row| (row.name.clone(), row.sums)).collect();
        ensure!(found == wanted && ranking.others == 0, "{found:?} is not {wanted:?}");
        let is_sorted =
            ranking.top.is_sorted_by(|one, other| one.sums.cost_usd >= other.sums.cost_usd);
        ensure!(is_sorted, "{ranking:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn days_equal_their_receipts_to_the_last_digit() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("p", "gpt-4", &provider).await?;
    let odd =
        json!({"cost_per_input_token": "0.000000000001", "cost_per_output_token": "0.0000123"});
    house.register_with("q", "gpt-5", &provider, odd).await?;
    let mut told = 0;
    for round in 0..3 {
        for (run, agent, model, text) in [
            ("one", "a", "gpt-4", "Hello!"),
            ("one", "b", "gpt-5", "Hello again!"),
            ("two", "a", "gpt-4", "[fault:cut] x"),
        ] {
            let mut asked = chat(run, model, text);
            asked["agent"] = json!(agent);
            house.post(&house.gateway("/route"), &asked).await?;
        }
        let mut receipts = house.receipts("one").await?;
        receipts.extend(house.receipts("two").await?);
        ensure!(receipts.len() > told, "round {round} wrote none");
        told = receipts.len();
        let week = report(&house, "").await?;
        assert_eq!(week.days.len(), 7);
        agrees(&week.total, &receipts)?;
        for day in &week.days {
            let of_day: Vec<Receipt> = receipts
                .iter()
                .filter(|receipt| receipt.timestamp.to_string().starts_with(&day.date))
                .cloned()
                .collect();
            agrees(&day.breakdown, &of_day)?;
            hours_agree(day, &of_day)?;
        }
        // Asked again, and by another process: the same.
        assert_eq!(report(&house, "").await?.days, week.days);
        if round == 1 {
            house.restart().await?;
            assert_eq!(report(&house, "").await?.total, week.total);
        }
    }
    house.leave().await
}

fn hours_agree(day: &DayReport, receipts: &[Receipt]) -> anyhow::Result<()> {
    let mut hours = vec![Usd::ZERO; 24];
    for receipt in receipts {
        hours[usize::try_from(receipt.timestamp.civil()[3])?] += receipt.cost_usd;
    }
    ensure!(day.hours_usd == hours, "{:?} is not {hours:?}", day.hours_usd);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_month_is_empty_and_a_bad_day_is_refused() -> anyhow::Result<()> {
    let house = House::open().await?;
    let month = report(&house, "?date=2024-02-29&days=31").await?;
    let days: Vec<&str> = month.days.iter().map(|day| day.date.as_str()).collect();
    assert_eq!((days[0], days[30]), ("2024-01-30", "2024-02-29"));
    ensure!(month.days.iter().all(|day| day.is_over && day.breakdown.sums.is_empty()));
    for query in ["date=2023-02-29", "date=yesterday", "days=0", "days=32", "days=many", "day=1"] {
        let refused = house.get(&house.gateway(&format!("/report/daily?{query}"))).await?;
        assert_eq!(refused.status, 422, "{query}: {}", refused.text);
    }
    let ages = report(&house, "?date=9999-12-31&days=2").await?;
    ensure!(!ages.days[1].is_over);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_who_works_in_it_and_what_a_request_costs() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("p", "gpt-4", &provider).await?;
    let cheap = json!({"cost_per_input_token": "0.000001", "cost_per_output_token": "0.000001"});
    house.register_with("q", "gpt-5", &provider, cheap).await?;
    let daily = json!({"run_id": "r", "budget_usd": 5, "period": "day", "name": "nightly"});
    house.post(&house.gateway("/budget"), &daily).await?;
    for (agent, model) in [("a", "gpt-4"), ("b", "gpt-5"), ("b", "gpt-5")] {
        let mut asked = chat("r", model, "Hello!");
        asked["agent"] = json!(agent);
        ensure!(house.post(&house.gateway("/route"), &asked).await?.status == 200);
    }
    let spent: Usd = house.receipts("r").await?.iter().map(|receipt| receipt.cost_usd).sum();
    let each = Usd::from_picos(spent.picos() / 3);
    for _ in 0..2 {
        let view = async || {
            let list: RunList = house.get(&house.gateway("/runs")).await?.read()?;
            anyhow::Ok(list.runs.into_iter().next().context("no run")?)
        };
        let wanted = (2, Some(each), Some("gpt-4".to_owned()), Some("nightly".to_owned()));
        ask_until(wanted, async || {
            let RunView { agents_at_work, per_request_usd, top_model, name, .. } = view().await?;
            Ok((agents_at_work, per_request_usd, top_model.map(|model| model.to_string()), name))
        })
        .await?;
        let budget: Value = house.get(&house.gateway("/budget/r")).await?.json();
        let resets_at = budget["resets_at"].as_str().context("no reset")?;
        ensure!(resets_at.ends_with("T00:00:00Z"), "{resets_at}");
        house.restart().await?;
    }
    house.leave().await
}
