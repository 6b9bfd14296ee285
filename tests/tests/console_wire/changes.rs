//! Who changed what: written once, in order, with the state that came before.

use futures_util::StreamExt;
use tollgate_backend::app::Backend;
use tollgate_backend::config::Config;
use tollgate_shared::event::Event;
use tollgate_tests::{chat, client, faulty};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_change_says_whose_hand_it_was_and_what_it_was_before() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("p", "gpt-4", &provider).await?;
    let ann = [("x-tollgate-operator", "ann")];
    let post = |path: &str| ("POST", house.gateway(path));
    let budget = json!({"run_id": "r", "budget_usd": "25", "note": "a start"});
    send(&house, post("/budget"), &[], &budget).await?;
    let more =
        json!({"run_id": "r", "budget_usd": "50.5", "mode": "hard", "name": "nightly refactor"});
    let changed: BudgetView = send(&house, post("/budget"), &ann, &more).await?.read()?;
    send(&house, post("/runs/r/pause"), &ann, &json!({"note": "lunch"})).await?;
    let of_agent = json!({"run_id": "r", "agent": "w", "budget_usd": 1});
    send(&house, post("/budget"), &ann, &of_agent).await?;
    let fleet = json!({"budget_usd": 100});
    send(&house, post("/fleet/budget"), &ann, &fleet).await?;
    let circuit = ("POST", house.router("/providers/p/circuit"));
    let open = json!({"state": "open", "reason": "maintenance"});
    send(&house, circuit, &ann, &open).await?;
    send(&house, ("DELETE", house.router("/providers/p")), &ann, &Value::Null).await?;

    for _ in 0..2 {
        let list = audit(&house).await?;
        let told: Vec<(&str, &str, &str)> = list
            .changes
            .iter()
            .rev()
            .map(|change| (change.who.as_str(), change.what.as_str(), change.subject.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("local", "register", "p"),
                ("local", "budget", "r"),
                ("ann", "budget", "r"),
                ("ann", "pause", "r"),
                ("ann", "budget", "r/w"),
                ("ann", "budget", "fleet"),
                ("ann", "circuit", "p"),
                ("ann", "remove", "p"),
            ]
        );
        let changes: Vec<_> = list.changes.iter().rev().collect();
        assert_eq!(changes[1].note.as_deref(), Some("a start"));
        let facts = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        assert_eq!(changes[2].before, facts(&[("budget_usd", "25"), ("mode", "clamp")]));
        let version = changed.version.to_string();
        assert_eq!(
            changes[2].after,
            facts(&[
                ("budget_usd", "50.5"),
                ("mode", "hard"),
                ("name", "nightly refactor"),
                ("version", &version)
            ])
        );
        assert_eq!(changes[3].before, facts(&[("state", "open")]));
        assert_eq!(changes[6].after, facts(&[("state", "open")]));
        assert_eq!(changes[6].note.as_deref(), Some("maintenance"));
        assert_eq!(changes[7].after, facts(&[("status", "inactive"), ("version", "2")]));
        ensure!(list.next_before.is_none(), "there is no more");
        house.restart().await?;
    }
    let page: AuditList = house.get(&house.gateway("/audit?limit=3")).await?.read()?;
    let next = page.next_before.context("there is more")?;
    let rest: AuditList =
        house.get(&house.gateway(&format!("/audit?before={next}"))).await?.read()?;
    assert_eq!((page.changes.len(), rest.changes.len()), (3, 5));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_leaves_no_trace() -> anyhow::Result<()> {
    let house = House::open().await?;
    house.budget("r", "5").await?;
    let stale = [("If-Match", "7")];
    let url = || ("POST", house.gateway("/budget"));
    let body = json!({"run_id": "r", "budget_usd": 9});
    let refused = send(&house, url(), &stale, &body).await?;
    assert_eq!((refused.status, refused.code().as_str()), (412, "version_mismatch"));
    let details = &refused.json()["error"]["details"];
    assert_eq!((&details["expected"], &details["current"]), (&json!(7), &json!(1)));
    assert_eq!(details["now"]["budget_usd"], json!(5), "who came second sees what there is");
    let pause = ("POST", house.gateway("/runs/r/pause"));
    let refused = send(&house, pause, &stale, &json!({})).await?;
    assert_eq!(refused.json()["error"]["details"]["now"]["state"], json!("open"));
    let fleet = ("POST", house.gateway("/fleet/budget"));
    let refused = send(&house, fleet, &stale, &json!({"budget_usd": 1})).await?;
    assert_eq!(refused.json()["error"]["details"]["now"]["kind"], json!("fleet"));
    let nameless = [("x-tollgate-operator", " ")];
    let refused = send(&house, url(), &nameless, &body).await?;
    assert_eq!((refused.status, refused.code().as_str()), (422, "invalid_field"));
    assert_eq!(audit(&house).await?.changes.len(), 1);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_not_overwritten_unseen() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("p", "gpt-4", &provider).await?;
    let other = json!({"name": "p", "model": "gpt-4", "context_window": 4096,
        "endpoint": provider.url(), "free": true});
    let register = || ("POST", house.router("/register"));
    let refused = send(&house, register(), &[("If-Match", "\"4\"")], &other).await?;
    assert_eq!(refused.status, 412);
    let now = &refused.json()["error"]["details"]["now"];
    assert_eq!((&now["version"], &now["context_window"]), (&json!(1), &json!(8192)));
    let taken = send(&house, register(), &[("If-Match", "\"1\"")], &other).await?;
    assert_eq!((taken.status, &taken.json()["version"]), (200, &json!(2)));
    let remove = || ("DELETE", house.router("/providers/p"));
    let refused = send(&house, remove(), &[("If-Match", "1")], &Value::Null).await?;
    assert_eq!((refused.status, refused.code().as_str()), (412, "version_mismatch"));
    let gone = send(&house, remove(), &[("If-Match", "2")], &Value::Null).await?;
    assert_eq!((gone.status, &gone.json()["status"]), (200, &json!("inactive")));
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_with_a_key_is_made_once_and_answered_the_same() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    let key = |name: &'static str| [("Idempotency-Key", name)];
    let raise = json!({"run_id": "r", "budget_usd": 5});
    let registration = json!({"name": "p", "model": "gpt-4", "context_window": 4096,
        "endpoint": provider.url(), "free": true});
    let mut first = Vec::new();
    for round in 0..3 {
        let cases = [
            (("POST", house.gateway("/budget")), key("k-1"), raise.clone()),
            (("POST", house.gateway("/runs/r/pause")), key("k-2"), json!({"note": "lunch"})),
            (("POST", house.gateway("/runs/r/resume")), key("k-3"), Value::Null),
            (("POST", house.router("/register")), key("k-4"), registration.clone()),
            (
                ("POST", house.router("/providers/p/circuit")),
                key("k-5"),
                json!({"state": "half_open"}),
            ),
            (("DELETE", house.router("/providers/p")), key("k-6"), Value::Null),
        ];
        for (place, (route, key, body)) in cases.into_iter().enumerate() {
            let reply = send(&house, route, &key, &body).await?;
            ensure!(reply.status < 300, "{}: {}", reply.status, reply.text);
            let replayed = reply.header("idempotency-replayed") == Some("true");
            assert_eq!(replayed, round > 0, "{place}");
            if round == 0 {
                first.push((reply.status, reply.text));
            } else {
                assert_eq!((reply.status, reply.text), first[place], "{place}");
            }
        }
        // The second round is the same process, the third another one.
        if round == 1 {
            house.restart().await?;
        }
    }
    assert_eq!(audit(&house).await?.changes.len(), 6, "nothing was changed twice");
    let other = json!({"run_id": "r", "budget_usd": 6});
    let reused = send(&house, ("POST", house.gateway("/budget")), &key("k-1"), &other).await?;
    assert_eq!((reused.status, reused.code().as_str()), (422, "idempotency_key_reused"));
    assert_eq!(house.budget_of("r").await?.budget_usd, Some("5".parse()?));

    // A refusal uses no key up.
    let stale = [("Idempotency-Key", "k-7"), ("If-Match", "99")];
    let refused = send(&house, ("POST", house.gateway("/budget")), &stale, &other).await?;
    assert_eq!(refused.status, 412);
    let taken = send(&house, ("POST", house.gateway("/budget")), &key("k-7"), &other).await?;
    assert_eq!(taken.status, 200);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_with_one_key_make_one_change() -> anyhow::Result<()> {
    let house = House::open().await?;
    let key = [("Idempotency-Key", "same")];
    let body = json!({"run_id": "r", "budget_usd": 5});
    let sent = (0..16).map(|_| send(&house, ("POST", house.gateway("/budget")), &key, &body));
    for reply in futures_util::future::join_all(sent).await {
        let reply = reply?;
        ensure!(
            reply.status == 200 || reply.code() == "request_in_progress",
            "{}: {}",
            reply.status,
            reply.text
        );
    }
    assert_eq!(audit(&house).await?.changes.len(), 1);
    assert_eq!(house.budget_of("r").await?.version, 1);
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_answer_was_lost_is_not_made_again() -> anyhow::Result<()> {
    let house = House::open().await?;
    let key = [("Idempotency-Key", "k")];
    let pause = json!({"note": "lunch"});
    house.budget("r", "5").await?;
    let first = send(&house, ("POST", house.gateway("/runs/r/pause")), &key, &pause).await?;
    assert_eq!(first.status, 200);
    // As if the process had ended between the change and its answer.
    let ledger = rusqlite::Connection::open(house.path("gateway/ledger.db"))?;
    assert_eq!(ledger.execute("UPDATE answers SET status = NULL, body = NULL", [])?, 1);
    let again = send(&house, ("POST", house.gateway("/runs/r/pause")), &key, &pause).await?;
    assert_eq!((again.status, &again.json()["state"]), (200, &json!("paused")));
    assert_eq!(audit(&house).await?.changes.len(), 2, "the budget and one pause");

    let provider = faulty("cut:1").await?;
    house.register("p", "gpt-4", &provider).await?;
    house.route("s", "gpt-4", "Hello!").await?;
    let lost = house.receipts("s").await?.remove(0);
    let resolve = || {
        let url = house.gateway(&format!("/unknowns/{}/resolve", lost.attempt_id));
        let found = json!({"outcome": "voided", "evidence": "the invoice"});
        let house = &house;
        async move { send(house, ("POST", url), &[("Idempotency-Key", "v")], &found).await }
    };
    let first = resolve().await?;
    assert_eq!(first.status, 200);
    let ledger = rusqlite::Connection::open(house.path("gateway/ledger.db"))?;
    ledger.execute("UPDATE answers SET status = NULL, body = NULL WHERE key = 'v'", [])?;
    assert_eq!(resolve().await?.text, first.text, "the correction, exactly");
    assert_eq!(house.receipts("s").await?.len(), 2, "one receipt and one correction");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_gateway_serves_agents_and_changes_nothing() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (client, provider) = (client()?, simulator(Dialect::Openai).await?);
    let config = || Config::embedded(dir.path().to_owned());
    let open = Backend::start(config()).await?;
    let registration = json!({"name": "p", "model": "gpt-4", "context_window": 8192,
        "endpoint": provider.url(), "free": true});
    let post = |url: String, body: &Value| client.post(url).body(body.to_string()).send();
    let registered = post(format!("http://{}/register", open.router), &registration).await?;
    assert_eq!(registered.status().as_u16(), 201);
    open.stop().await;

    let closed = Backend::start(Config { read_only: true, ..config() }).await?;
    let (router, gateway) =
        (format!("http://{}", closed.router), format!("http://{}", closed.gateway));
    for (method, url) in [
        ("POST", format!("{gateway}/budget")),
        ("POST", format!("{gateway}/runs/r/pause")),
        ("POST", format!("{gateway}/fleet/budget")),
        ("POST", format!("{gateway}/alerts/a/ack")),
        ("POST", format!("{gateway}/unknowns/a/resolve")),
        ("POST", format!("{router}/register")),
        ("POST", format!("{router}/providers/p/circuit")),
        ("DELETE", format!("{router}/providers/p")),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let refused = client.request(method, &url).send().await?;
        assert_eq!(refused.status().as_u16(), 403, "{url}");
        let error: Value = serde_json::from_str(&refused.text().await?)?;
        assert_eq!(error["error"]["code"], json!("read_only"), "{url}");
    }
    let routed = post(format!("{gateway}/route"), &chat("r", "gpt-4", "Hello!")).await?;
    assert_eq!(routed.status().as_u16(), 200);
    let asked = json!({"requirements": {"model": "gpt-4"}});
    assert_eq!(post(format!("{router}/select"), &asked).await?.status().as_u16(), 200);
    let stream = format!("ws://{}/events", closed.events);
    let (mut socket, _) = tokio_tungstenite::connect_async(stream).await?;
    let hello = socket.next().await.context("no frame")??;
    ensure!(hello.to_text()?.contains("\"read_only\":true"), "{hello}");
    drop(socket);
    closed.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_tells_changes_and_a_snapshot_has_the_latest() -> anyhow::Result<()> {
    let mut house = House::open().await?;
    let (mut socket, _) = tokio_tungstenite::connect_async(house.socket("")).await?;
    for step in 1..=105 {
        house.budget("r", &step.to_string()).await?;
    }
    let mut told = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), async {
        while told.len() < 105 {
            let message = socket.next().await.context("the stream ended")??;
            if let Some(Event::Audit(event)) = Event::read(message.to_text()?)? {
                told.push(event.change);
            }
        }
        anyhow::Ok(())
    });
    read.await.context("not all were told")??;
    drop(socket);
    for _ in 0..2 {
        let (mut socket, _) = tokio_tungstenite::connect_async(house.socket("")).await?;
        let snapshot = loop {
            let message = socket.next().await.context("the stream ended")??;
            if let Some(Event::Snapshot(snapshot)) = Event::read(message.to_text()?)? {
                break snapshot;
            }
        };
        assert_eq!(snapshot.audit, told[5..], "the latest hundred, oldest first");
        drop(socket);
        house.restart().await?;
    }
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_taken_for_the_gateways_own_hand() -> anyhow::Result<()> {
    let house = House::open().await?;
    let budget = || ("POST", house.gateway("/budget"));
    let body = json!({"run_id": "r", "budget_usd": 5});
    for name in ["tollgate", "Tollgate", "a\tb"] {
        let refused = send(&house, budget(), &[("x-tollgate-operator", name)], &body).await?;
        assert_eq!((refused.status, refused.code().as_str()), (422, "invalid_field"), "{name}");
        let field = &refused.json()["error"]["details"]["field"];
        assert_eq!(field, &json!("x-tollgate-operator"));
    }
    let provider = faulty("cut:1").await?;
    house.register("p", "gpt-4", &provider).await?;
    house.route("s", "gpt-4", "Hello!").await?;
    let lost = house.receipts("s").await?.remove(0);
    let url = house.gateway(&format!("/unknowns/{}/resolve", lost.attempt_id));
    for by in ["tollgate", "a\u{1b}[2J", "a\nb", " "] {
        let found = json!({"outcome": "voided", "evidence": "the invoice", "by": by});
        let refused = house.post(&url, &found).await?;
        assert_eq!((refused.status, refused.code().as_str()), (422, "invalid_field"), "{by:?}");
        assert_eq!(&refused.json()["error"]["details"]["field"], &json!("by"));
    }
    assert_eq!(house.receipts("s").await?.len(), 1, "nothing was resolved");
    let found = json!({"outcome": "voided", "evidence": "the invoice", "by": "zoë"});
    assert_eq!(house.post(&url, &found).await?.status, 200);
    assert_eq!(audit(&house).await?.changes.first().context("none")?.who, "zoë");
    house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_changes_nothing_uses_its_key_up_too() -> anyhow::Result<()> {
    let house = House::open().await?;
    let provider = simulator(Dialect::Openai).await?;
    house.register("p", "gpt-4", &provider).await?;
    let remove = || ("DELETE", house.router("/providers/p"));
    send(&house, remove(), &[], &Value::Null).await?;
    let key = [("Idempotency-Key", "k-1")];
    let first = send(&house, remove(), &key, &Value::Null).await?;
    assert_eq!((first.status, &first.json()["status"]), (200, &json!("inactive")));
    house.register("p", "gpt-4", &provider).await?;
    let again = send(&house, remove(), &key, &Value::Null).await?;
    assert_eq!((again.status, again.text.as_str()), (200, first.text.as_str()));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let now = house.get(&house.router("/providers/p")).await?.json();
    assert_eq!(now["status"], json!("active"), "what was sent again removes nothing");
    assert_eq!(audit(&house).await?.changes.len(), 3, "two registrations and one removal");
    house.leave().await
}
