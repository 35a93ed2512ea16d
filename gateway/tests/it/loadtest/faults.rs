//! Faults put in on purpose: a tool that proves must be seen to fail.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::destination::Destination;
use crate::gateway::Gateway;
use crate::kafka::Cluster;
use crate::loadtest::gate::Gate;
use crate::loadtest::{Ended, Loadtest, loadtest};

/// Of the 3,000 events of 200 bytes that a run sends, some hundred come through before the fault.
const HELD_AT: usize = 100_000;
/// So many of them are in the topic by then.
const BEFORE: usize = 100;

/// A run that is held half way, on a topic of one partition.
struct Held {
    gateway: Gateway,
    gate: Gate,
    cluster: &'static Cluster,
    topic: String,
    run: Loadtest,
}

impl Held {
    async fn start(clients: u32, more: &str) -> Self {
        let kafka = Destination::shared_kafka().await;
        let topic = kafka.topic(1).await;
        let gateway = kafka.gateway_with(&topic, "shutdown.reconnect_jitter_ms = 0\n").await;
        let gate = Gate::before(gateway.plain, HELD_AT).await;
        let cluster = Cluster::shared().await;
        let run = Loadtest::start(&format!(
            "run http://{} --clients {clients} --events 3000 --batch 10 {more} --json --verify --brokers {} --topic {topic}",
            gate.address,
            cluster.brokers(),
        ));
        cluster.records(&topic, BEFORE).await;
        Self { gateway, gate, cluster, topic, run }
    }

    /// Lets go of it.
    async fn ended(self) -> Ended {
        self.gate.open();
        self.run.ended().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_due_while_a_process_stood_still_is_told_apart() {
    let gateway = Gateway::start("").await;
    let freeze = format!("--freeze {} --freeze-after 0.5 --freeze-for 1.5", gateway.pid().as_raw_nonzero());
    let run = format!("run http://{} --json --rate 400 --batch 1 --duration 3 --warm-up 0.5", gateway.plain);
    let report = loadtest(&format!("{run} {freeze}")).await.faultless();
    let outage = &report.0["outage"];
    let parts = ["before", "during", "after"].map(|part| outage[part]["events"].as_u64().unwrap());
    assert_eq!(parts.iter().sum::<u64>(), report.count("latency_ms.events"), "{outage:#}");
    // 400 a second for half a second, one and a half, and one.
    assert_eq!(parts, [200, 600, 400], "{outage:#}");
    // What was due as it began waited for as long as it really lasted, and some was due every 2.5 ms.
    let lasted_ms = report.count("outage.ended_ms") - report.count("outage.began_ms");
    let longest_ms = outage["during"]["max"].as_f64().unwrap();
    assert!(lasted_ms > 0 && longest_ms + 10.0 >= f64::from(u32::try_from(lasted_ms).unwrap()), "{outage:#}");
    assert!(outage["flow_after_ms"].as_f64().unwrap() > 0.0, "{outage:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_kill_of_the_gateway_nothing_is_lost_and_the_break_is_counted() {
    let run = async |carrier: &str| {
        let mut held =
            Held::start(2, &format!("--reconnect 60 --allow-duplicates --carrier {carrier}")).await;
        held.gateway.kill();
        held.gateway.launch();
        held.gateway.ready().await;
        let report = held.ended().await.faultless();
        report.assert_accounted();
        assert_eq!((report.count("acknowledged"), report.count("verified.lost")), (3_000, 0));
        if !carrier.starts_with("https") {
            assert_eq!(report.count("came_back.times"), report.count("breaks"), "{:#}", report.0);
        }
        // What was not acknowledged yet was sent again, and may be there twice.
        assert_eq!(report.count("verified.records"), 3_000 + report.count("verified.duplicates"));
        assert!(report.count("breaks") > 0 && report.count("sent_again") > 0, "{:#}", report.0);
    };
    tokio::join!(run("websocket"), run("https --numbered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_drain_of_the_gateway_clients_come_back() {
    let mut held = Held::start(2, "--reconnect 60").await;
    held.gateway.terminate();
    held.gateway.ended().await;
    held.gateway.launch();
    held.gateway.ready().await;
    let report = held.ended().await.faultless();
    assert_eq!((report.count("acknowledged"), report.count("verified.lost")), (3_000, 0));
    assert!(report.count("breaks") > 0, "{:#}", report.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_gateway_stays_away_the_run_says_what_it_saw_and_fails() {
    let run = async |carrier: &str| {
        let mut held = Held::start(1, &format!("--reconnect 0 --carrier {carrier}")).await;
        held.gateway.kill();
        let ended = held.ended().await;
        let report = ended.report();
        assert_eq!(ended.status, Some(1));
        report.assert_accounted();
        assert!(report.count("sent") >= BEFORE as u64 && report.count("unsettled") > 0, "{:#}", report.0);
        assert_eq!((report.count("failed_clients"), report.count("verified.lost")), (1, 0));
        let said = format!("{} events were neither acknowledged nor refused", report.count("unsettled"));
        assert!(ended.errors.contains(&said), "{}", ended.errors);
        assert!(ended.errors.contains("1 clients gave up: "), "{}", ended.errors);
    };
    tokio::join!(run("websocket"), run("https"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_the_topic_behind_its_back_is_counted_as_what_it_is() {
    let held = Held::start(1, "").await;
    // All but the first 7 of the 100 oldest are left alone; 3 of these 7 come back late, 5 others come twice, and one
    // comes from a client that is none.
    let mut oldest: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for record in held.cluster.consume(&held.topic).await {
        let event: Value = serde_json::from_slice(&record.value).unwrap();
        oldest.insert(event["loadtest"].as_str().unwrap().to_owned(), record.value);
    }
    let oldest: Vec<_> = oldest.into_values().take(BEFORE).collect();
    let stranger = String::from_utf8(oldest[0].clone()).unwrap().replacen(".00000.", ".00099.", 1);
    assert_ne!(stranger.as_bytes(), oldest[0]);
    let mut foreign = vec![oldest[2].clone(), oldest[1].clone(), oldest[0].clone(), stranger.into_bytes()];
    foreign.extend_from_slice(&oldest[20..25]);
    foreign.push(br#"{"type":"of.somebody.else"}"#.to_vec());
    held.cluster.delete_records(&held.topic, 7).await;
    held.cluster.produce(&held.topic, foreign).await;
    let ended = held.ended().await;
    let report = ended.report();
    assert_eq!(report.count("acknowledged"), 3_000);
    let found = ["lost", "duplicates", "out_of_order", "never_sent", "refused_but_there", "records"]
        .map(|name| report.count(&format!("verified.{name}")));
    assert_eq!(found, [4, 5, 3, 1, 0, 3_000 - 7 + 3 + 1 + 5], "{:#}", report.0);
    assert_eq!(ended.status, Some(1));
    assert!(ended.errors.contains("4 acknowledged events are missing"), "{}", ended.errors);
    assert!(ended.errors.contains("5 duplicates and 3 events out of order"), "{}", ended.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_went_elsewhere_are_missing() {
    let kafka = Destination::shared_kafka().await;
    let (here, elsewhere) = (kafka.topic(1).await, kafka.topic(1).await);
    let routes = format!(
        "[[routes]]\nwhen = 'type == \"good\"'\ntopic = \"{here}\"\n[[routes]]\ntopic = \"{elsewhere}\"\n"
    );
    let gateway = Gateway::start_with_kafka(&kafka.brokers().brokers(), &routes).await;
    let payload = gateway.path("events.ndjson");
    std::fs::write(&payload, "{\"type\":\"good\"}\n{\"type\":\"lost\"}\n").unwrap();
    let run = format!(
        "run http://{} --clients 1 --events 1000 --batch 10 --payload {} --json --verify --brokers {} --topic {here}",
        gateway.plain,
        payload.display(),
        kafka.brokers().brokers()
    );
    let ended = loadtest(&run).await;
    let report = ended.report();
    assert_eq!((ended.status, report.count("acknowledged"), report.count("unsettled")), (Some(1), 1_000, 0));
    assert_eq!((report.count("verified.lost"), report.count("verified.records")), (500, 500));
    assert!(ended.errors.contains("500 acknowledged events are missing"), "{}", ended.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_says_what_it_saw() {
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(1).await;
    let gateway = kafka.gateway(&topic).await;
    let cluster = kafka.brokers();
    let run = Loadtest::start(&format!(
        "run http://{} --clients 3 --rate 2000 --batch 5 --duration 3600 --warm-up 0 --json --verify --brokers {} --topic {topic}",
        gateway.plain,
        cluster.brokers()
    ));
    cluster.records(&topic, BEFORE).await;
    run.interrupt();
    let ended = run.ended().await;
    let report = ended.report();
    assert_eq!((ended.status, &report.0["broken_off"]), (Some(1), &Value::from("interrupted")));
    report.assert_accounted();
    assert!(report.count("sent") >= BEFORE as u64);
    assert_eq!(report.count("verified.lost"), 0);
    assert!(ended.errors.contains("the run broke off: interrupted"), "{}", ended.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nothing_answers_any_more_ends_whatever_its_clients_wait_for() {
    let run = async |more: &str| {
        let held = Held::start(3, &format!("{more} --grace 2")).await;
        // The gate stays closed: sockets fill up, and nobody says anything.
        let ended = held.run.ended().await;
        let report = ended.report();
        assert_eq!(
            (ended.status, &report.0["broken_off"]),
            (Some(1), &Value::from("nothing was answered for 2s"))
        );
        report.assert_accounted();
        assert!(report.count("unsettled") > 0 && report.count("failed_clients") > 0, "{:#}", report.0);
        assert!(report.count("latency_ms.missed") > 0, "{:#}", report.0);
    };
    tokio::join!(run("--ignore-credit"), run("--carrier https"));
}
