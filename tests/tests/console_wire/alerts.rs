//! Alerts that people answer: durable, back by themselves, ended with their condition.

use tollgate_backend::registry::Force;
use tollgate_shared::circuit::CircuitState;
use tollgate_tests::{chat, faulty};

use super::*;

/// A run at three quarters of its limit.
async fn a_run_in_caution(house: &House) -> anyhow::Result<()> {
    let provider = simulator(Dialect::Openai).await?;
    house.register("p", "gpt-4", &provider).await?;
    house.budget("r", "5").await?;
    ensure!(house.route("r", "gpt-4", "Hello!").await?.status == 200);
    let spent = house.budget_of("r").await?.spent_usd;
    house.budget("r", &(spent + spent.half().half()).to_string()).await?;
    Ok(())
}

async fn alert(house: &House) -> anyhow::Result<Option<Alert>> {
    Ok(alerts_in(house, "holding").await?.into_iter().find(|alert| alert.id == "budget:r"))
}

async fn wait_for(house: &House, state: Option<AlertState>) -> anyhow::Result<()> {
    ask_until(state, async || Ok(alert(house).await?.map(|alert| alert.state))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_about_an_alert_holds_across_a_restart() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    a_run_in_caution(&house).await?;
    wait_for(&house, Some(AlertState::Open)).await?;
    let ack = house.gateway("/alerts/budget:r/ack");
    let ann = [("x-tollgate-operator", "ann")];
    let said = send(&house, ("POST", ack), &ann, &json!({"note": "on it"})).await?;
    let said: Alert = said.read()?;
    assert_eq!((said.state, said.acked_by.as_deref()), (AlertState::Acked, Some("ann")));
    for _ in 0..2 {
        assert_eq!(alert(&house).await?, Some(said.clone()));
        house.restart().await?;
    }
    // Its condition ends: nobody has to say so.
    house.budget("r", "5").await?;
    wait_for(&house, None).await?;
    for _ in 0..2 {
        let ended = alerts_in(&house, "resolved").await?;
        assert_eq!(ended.len(), 1);
        assert_eq!((ended[0].state, ended[0].since), (AlertState::Resolved, said.since));
        ensure!(ended[0].resolved_at > ended[0].acked_at, "{:?}", ended[0]);
        house.restart().await?;
    }
    let told: Vec<String> =
        audit(&house).await?.changes.into_iter().map(|change| change.what).collect();
    ensure!(told.contains(&"ack".to_owned()), "{told:?}");
    let gone = house.post(&house.gateway("/alerts/budget:r/ack"), &json!({})).await?;
    assert_eq!((gone.status, gone.code().as_str()), (404, "unknown_alert"));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snoozed_alert_returns_by_itself() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    a_run_in_caution(&house).await?;
    wait_for(&house, Some(AlertState::Open)).await?;
    let url = house.gateway("/alerts/budget:r/snooze");
    let said: Alert = house.post(&url, &json!({"minutes": 30})).await?.read()?;
    let until = said.snoozed_until.context("no end")?;
    assert_eq!(until.millis_since(said.acked_at.context("no beginning")?) / 60_000, 30);
    assert_eq!(alerts_in(&house, "snoozed").await?, std::slice::from_ref(&said));
    let open: AlertList = house.get(&house.gateway("/alerts")).await?.read()?;
    assert_eq!(open.unacked, 0);
    // As if the half hour had passed meanwhile.
    let ledger = rusqlite::Connection::open(house.path("gateway/ledger.db"))?;
    let past = Alert { snoozed_until: said.acked_at, ..said };
    let text = serde_json::to_string(&past)?;
    ledger.execute("UPDATE alerts SET alert = ? WHERE id = 'budget:r'", [text])?;
    drop(ledger);
    house.restart().await?;
    wait_for(&house, Some(AlertState::Open)).await?;
    let back = alert(&house).await?.context("it is gone")?;
    assert_eq!((back.acked_by, back.snoozed_until, back.since), (None, None, past.since));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_run_wants_nobodys_attention() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    a_run_in_caution(&house).await?;
    wait_for(&house, Some(AlertState::Open)).await?;
    house.post(&house.gateway("/runs/r/close"), &json!({})).await?;
    wait_for(&house, None).await?;
    house.restart().await?;
    assert_eq!(alert(&house).await?, None);
    house.post(&house.gateway("/runs/r/resume"), &json!({"note": "not over yet"})).await?;
    wait_for(&house, Some(AlertState::Open)).await?;
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_limit_is_over_when_the_run_is_below_it_again() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("p", "gpt-4", &provider).await?;
    let soft = json!({"run_id": "r", "budget_usd": "0.000001", "mode": "soft"});
    house.post(&house.gateway("/budget"), &soft).await?;
    ensure!(house.route("r", "gpt-4", "Hello!").await?.status == 200);
    let holds = async || {
        let alerts = alerts_in(&house, "holding").await?;
        Ok(alerts.iter().any(|alert| alert.id == "soft:r"))
    };
    ask_until(true, holds).await?;
    house.budget("r", "5").await?;
    ask_until(false, holds).await?;
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_of_every_account_are_found_again_after_a_restart() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    a_run_in_caution(&house).await?;
    let spent = house.budget_of("r").await?.spent_usd;
    let fleet = json!({"budget_usd": (spent + spent.half().half()).to_string()});
    house.post(&house.gateway("/fleet/budget"), &fleet).await?;
    let of_agent = json!({"run_id": "r", "agent": "tester", "budget_usd": spent.to_string()});
    house.post(&house.gateway("/budget"), &of_agent).await?;
    let circuit = house.router("/providers/p/circuit");
    house.post(&circuit, &json!({"state": "open"})).await?;
    let ids = |alerts: Vec<Alert>| {
        let mut ids: Vec<String> = alerts.into_iter().map(|alert| alert.id).collect();
        ids.sort_unstable();
        ids
    };
    let wanted = ["budget:*", "budget:r", "budget:r/tester", "circuit:p"];
    ask_until(wanted.map(str::to_owned).to_vec(), async || {
        Ok(ids(alerts_in(&house, "holding").await?))
    })
    .await?;
    let slash = house.gateway("/alerts/budget:r%2Ftester/ack");
    assert_eq!(house.post(&slash, &json!({})).await?.status, 200);
    house.restart().await?;
    assert_eq!(ids(alerts_in(&house, "holding").await?), wanted);
    assert_eq!(ids(alerts_in(&house, "acked").await?), ["budget:r/tester"]);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_run_says_by_what_rule_and_waits_for_a_person() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    let greedy = faulty("over_cap:1").await?;
    house.register("greedy", "gpt-4", &greedy).await?;
    house.budget("r", "5").await?;
    let mut asked = chat("r", "gpt-4", "Hello!");
    asked["payload"]["max_tokens"] = json!(3);
    house.post(&house.gateway("/route"), &asked).await?;
    let ids = async |house: &House| {
        let alerts = alerts_in(house, "holding").await?;
        anyhow::Ok(alerts.into_iter().map(|alert| alert.id).collect::<Vec<_>>())
    };
    let both = ["bound:greedy".to_owned(), "frozen:r".to_owned()].to_vec();
    let sorted = async |house: &House| {
        let mut ids = ids(house).await?;
        ids.sort_unstable();
        anyhow::Ok(ids)
    };
    ask_until(both.clone(), async || sorted(&house).await).await?;
    ask_until(vec!["freeze".to_owned(), "unbound".to_owned()], async || {
        let changes = audit(&house).await?.changes;
        let rules = changes.into_iter().filter(|change| change.who == "tollgate");
        let mut rules: Vec<String> = rules.map(|change| change.what).collect();
        rules.sort_unstable();
        Ok(rules)
    })
    .await?;
    house.restart().await?;
    assert_eq!(sorted(&house).await?, both, "both are found again");
    let resume = house.gateway("/runs/r/resume");
    ensure!(house.post(&resume, &json!({"note": "it was looked at"})).await?.status == 200);
    ask_until(vec!["bound:greedy".to_owned()], async || ids(&house).await).await?;
    house.register("greedy", "gpt-4", &greedy).await?;
    ask_until(Vec::new(), async || ids(&house).await).await?;
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wants_attention_of_a_runs_agents_ends_and_comes_back_with_the_run()
-> anyhow::Result<()> {
    let mut house = House::open().await?;
    a_run_in_caution(&house).await?;
    let spent = house.budget_of("r").await?.spent_usd;
    let of_agent = json!({"run_id": "r", "agent": "tester", "budget_usd": spent.to_string()});
    house.post(&house.gateway("/budget"), &of_agent).await?;
    let both = ["budget:r".to_owned(), "budget:r/tester".to_owned()].to_vec();
    ask_until(both.clone(), async || ids(&house).await).await?;
    house.post(&house.gateway("/runs/r/close"), &json!({})).await?;
    ask_until(Vec::new(), async || ids(&house).await).await?;
    house.restart().await?;
    assert_eq!(ids(&house).await?, Vec::<String>::new());
    house.post(&house.gateway("/runs/r/resume"), &json!({"note": "not over yet"})).await?;
    ask_until(both, async || ids(&house).await).await?;
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_is_no_alert_of_a_provider_that_is_elsewhere_or_gone() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (here, there) = (simulator(Dialect::Openai).await?, simulator(Dialect::Openai).await?);
    house.register("p", "gpt-4", &here).await?;
    let circuit = house.router("/providers/p/circuit");
    let open = json!({"state": "open", "for_s": 600});
    assert_eq!(house.post(&circuit, &open).await?.status, 200);
    assert_eq!(ids(&house).await?, ["circuit:p"]);
    house.register("p", "gpt-4", &there).await?;
    assert_eq!(ids(&house).await?, Vec::<String>::new());
    send(&house, ("DELETE", house.router("/providers/p")), &[], &Value::Null).await?;
    let gone = house.post(&circuit, &open).await?;
    assert_eq!((gone.status, gone.code().as_str()), (404, "unknown_provider"));
    assert_eq!(ids(&house).await?, Vec::<String>::new());
    house.leave().await
}

/// What holds, by name.
async fn ids(house: &House) -> anyhow::Result<Vec<String>> {
    let alerts = alerts_in(house, "holding").await?;
    let mut ids: Vec<String> = alerts.into_iter().map(|alert| alert.id).collect();
    ids.sort_unstable();
    Ok(ids)
}

#[test]
fn flights_that_end_at_a_place_left_behind_raise_no_alert() -> anyhow::Result<()> {
    let (dir, hub) = (tempfile::tempdir()?, Hub::new());
    let registry = registry(dir.path(), &hub)?;
    let name = "p".parse()?;
    for leave in ["elsewhere", "removed"] {
        let entry = Arc::clone(registry.snapshot().get("p").context("it is gone")?);
        let on_the_way: Vec<_> =
            (0..FAULTS_TO_OPEN).filter_map(|_| registry.start(&entry)).collect();
        assert_eq!(on_the_way.len(), FAULTS_TO_OPEN as usize);
        if leave == "removed" {
            registry.remove(&name, None)?;
        } else {
            registry.register(registration("p", 2)?, None)?;
        }
        on_the_way.into_iter().for_each(|passage| passage.failed("503"));
        assert_eq!(hub.alerts().0, [], "{leave}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_opened_stays_open_until_a_person_closes_it() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    let (here, there) = (simulator(Dialect::Openai).await?, simulator(Dialect::Openai).await?);
    house.register("p", "gpt-4", &here).await?;
    let set = async |house: &House, body: Value| {
        let reply = house.post(&house.router("/providers/p/circuit"), &body).await?;
        ensure!(reply.status == 200, "{}", reply.text);
        anyhow::Ok(())
    };
    let circuit = async |house: &House| {
        let provider = house.get(&house.router("/providers/p")).await?.json();
        anyhow::Ok(provider["circuit"].clone())
    };
    set(&house, json!({"state": "open", "reason": "maintenance"})).await?;
    let opened = circuit(&house).await?;
    assert_eq!((&opened["state"], &opened["reason"]), (&json!("open"), &json!("maintenance")));
    for endpoint in [&here, &there] {
        house.restart().await?;
        assert_eq!((circuit(&house).await?, ids(&house).await?.len()), (opened.clone(), 1));
        house.register("p", "gpt-4", endpoint).await?;
        assert_eq!((circuit(&house).await?, ids(&house).await?.len()), (opened.clone(), 1));
        ensure!(house.route("r", "gpt-4", "Hello!").await?.status != 200, "nothing goes there");
    }
    // One with a time to close, and one that was closed, is no such word.
    for other in [json!({"state": "open", "for_s": 600}), json!({"state": "closed"})] {
        set(&house, json!({"state": "open"})).await?;
        set(&house, other).await?;
        house.restart().await?;
        assert_eq!(circuit(&house).await?["state"], json!("closed"));
        assert_eq!(ids(&house).await?, Vec::<String>::new());
    }
    // Whoever takes a provider out of traffic ends what was said about it.
    set(&house, json!({"state": "open"})).await?;
    send(&house, ("DELETE", house.router("/providers/p")), &[], &Value::Null).await?;
    house.register("p", "gpt-4", &here).await?;
    house.restart().await?;
    assert_eq!(circuit(&house).await?["state"], json!("closed"));
    house.leave().await
}

#[test]
fn who_was_on_the_way_closes_no_circuit_that_a_person_opened() -> anyhow::Result<()> {
    let (dir, hub) = (tempfile::tempdir()?, Hub::new());
    let registry = registry(dir.path(), &hub)?;
    let entry = Arc::clone(registry.snapshot().get("p").context("it is gone")?);
    let passage = registry.start(&entry).context("it may not go")?;
    let force = Force { state: CircuitState::Open, reason: "maintenance".into(), retry_at: None };
    registry.force_circuit(&"p".parse()?, &force, None)?;
    passage.answered(1, None, 1);
    assert_eq!(entry.live.circuit().state, CircuitState::Open);
    assert_eq!(hub.alerts().0.len(), 1);
    Ok(())
}
