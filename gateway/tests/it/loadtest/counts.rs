//! Runs without faults: every carrier, every kind of payload, every way to be refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::destination::Destination;
use crate::gateway::{Gateway, PATIENCE};
use crate::kafka::Cluster;
use crate::loadtest::{Loadtest, loadtest};
use crate::token;

/// The end of a command line that reads the topic back.
fn verify(cluster: &Cluster, topic: &str) -> String {
    format!("--json --verify --brokers {} --topic {topic}", cluster.brokers())
}

async fn everything_arrives(carrier: &str, more: &str) {
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(3).await;
    let gateway = kafka.gateway(&topic).await;
    let (url, verify) = (gateway.secure, verify(kafka.brokers(), &topic));
    let run =
        format!("run https://{url} --carrier {carrier} --clients 5 --events 3000 --batch 20 {more} {verify}");
    let report = loadtest(&run).await.faultless();
    report.assert_complete(3_000);
    assert_eq!(report.0["carrier"], carrier);
    assert_eq!(report.count("latency_ms.events"), 3_000);
    assert_eq!(report.count("latency_ms.missed"), 0);
    assert!(report.0["latency_ms"]["p50"].as_f64().unwrap() > 0.0);
    gateway.assert_accounted().await;
}

macro_rules! over {
    ($($name:ident: $carrier:literal $more:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            everything_arrives($carrier, $more).await;
        })*
    };
}

over! {
    websocket: "websocket" "";
    websocket_json: "websocket-json" "";
    webtransport: "webtransport" "";
    quic: "quic" "--rate 100000";
    https: "https" "";
    https_numbered: "https" "--numbered";
    several_threads: "websocket" "--threads 2";
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_arrives_over_and_over_also_as_binary_records_and_with_a_trusted_certificate() {
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(3).await;
    let route = format!("[[routes]]\ntopic = \"{topic}\"\nencoding = \"binary\"\n");
    let gateway = Gateway::start_with_kafka(&kafka.brokers().brokers(), &route).await;
    let payload = format!("{}/tests/data/earthquakes.ndjson", env!("CARGO_MANIFEST_DIR"));
    let run = async |carrier: &str| {
        // By its name, and trusted because of its certificate alone.
        let (port, ca) = (gateway.secure.port(), gateway.path("tls.crt"));
        let run = format!(
            "run https://localhost:{port} --ca {} --carrier {carrier} --clients 2 --events 1200 --batch 16 --payload {payload} {}",
            ca.display(),
            verify(kafka.brokers(), &topic)
        );
        loadtest(&run).await.faultless().assert_complete(1_216);
    };
    tokio::join!(run("websocket"), run("webtransport"), run("quic"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_events_are_counted_by_their_code_and_do_not_arrive() {
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(1).await;
    let limits = "limits.max_event_bytes = \"4KiB\"\n";
    let routes = format!("[[routes]]\nwhen = 'type.startsWith(\"good.\")'\ntopic = \"{topic}\"\n");
    let gateway = Gateway::start_with_kafka(&kafka.brokers().brokers(), &format!("{limits}{routes}")).await;
    let payload = gateway.path("events.ndjson");
    let large = format!(r#"{{"type":"good.but.large","data":"{}"}}"#, "x".repeat(4_096));
    std::fs::write(&payload, format!("{{\"type\":\"good.one\"}}\n{{\"type\":\"bad.one\"}}\n{large}\n"))
        .unwrap();
    for carrier in ["websocket", "quic", "https", "https --numbered"] {
        let (url, payload, verify) = (gateway.secure, payload.display(), verify(kafka.brokers(), &topic));
        let run = format!(
            "run https://{url} --carrier {carrier} --clients 2 --events 600 --batch 30 --payload {payload} {verify}"
        );
        let report = loadtest(&run).await.faultless();
        report.assert_accounted();
        assert_eq!((report.count("sent"), report.count("acknowledged")), (600, 200), "{carrier}");
        assert_eq!(report.0["refusals"], serde_json::json!({"unrouted": 200, "too_large": 200}), "{carrier}");
        assert_eq!((report.count("verified.records"), report.count("verified.lost")), (200, 0), "{carrier}");
        assert_eq!(report.count("verified.refused_but_there"), 0, "{carrier}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_is_obeyed_unless_told_not_to_and_nothing_is_lost_either_way() {
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(1).await;
    let gateway = kafka.gateway_with(&topic, "limits.credit_events = 64\n").await;
    let run = format!("run http://{} --clients 3 --events 3000 --batch 20", gateway.plain);
    let verify = verify(kafka.brokers(), &topic);
    loadtest(&format!("{run} {verify}")).await.faultless().assert_complete(3_000);
    let waited = async || gateway.metrics().await.sum("tidegate_credit_stalls_total", "");
    assert_eq!(waited().await, 0.0, "nobody had to be made to wait");
    loadtest(&format!("{run} --ignore-credit {verify}")).await.faultless().assert_complete(3_000);
    assert!(waited().await > 0.0, "whoever overruns its credit waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn unacknowledged_events_are_promised_to_nobody() {
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(1).await;
    let gateway = kafka.gateway(&topic).await;
    for carrier in ["websocket", "https"] {
        let (url, verify) = (gateway.plain, verify(kafka.brokers(), &topic));
        let run = format!(
            "run http://{url} --carrier {carrier} --unacknowledged --clients 2 --events 400 --batch 20 {verify}"
        );
        let report = loadtest(&run).await.faultless();
        assert_eq!((report.count("sent"), report.count("acknowledged")), (400, 0), "{carrier}");
        assert_eq!((report.count("verified.lost"), report.count("verified.never_sent")), (0, 0), "{carrier}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_have_the_names_that_a_token_asks_for_run_after_run() {
    let (token, hash) = token::make("meters");
    let auth = format!(
        "auth.mode = \"tokens\"\n[[auth.tokens]]\nid = \"meters\"\nhash = \"{hash}\"\nclients = \"meter-*\"\n"
    );
    let gateway = Gateway::start(&auth).await;
    let run =
        format!("run http://{} --clients 2 --events 40 --batch 10 --json --token {token}", gateway.plain);
    assert!(loadtest(&run).await.only_line().contains("(auth)"), "names of its own");
    for carrier in ["websocket", "websocket", "https --numbered"] {
        let ended = loadtest(&format!("{run} --client-prefix meter --carrier {carrier}")).await;
        assert_eq!(ended.faultless().count("acknowledged"), 40, "{carrier}");
    }
    let mut sources: BTreeMap<String, usize> = BTreeMap::new();
    for event in gateway.tail() {
        *sources.entry(event["source"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let named = |client: &str| (format!("/default/{client}"), 60);
    assert_eq!(
        sources,
        [named("meter-0"), named("meter-1")].into(),
        "every event of every run, by its client"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_says_the_same_to_people() {
    let gateway = Gateway::start("").await;
    let ended = loadtest(&format!("run http://{} --clients 2 --events 200 --batch 10", gateway.plain)).await;
    assert_eq!((ended.status, ended.errors.as_str()), (Some(0), ""));
    for line in ["sent          200 events", "acknowledged  200", "refused       0", "latency, ms   p50"] {
        assert!(ended.output.lines().any(|row| row.starts_with(line)), "{line} in {}", ended.output);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_hold_their_connections_and_files_are_asked_for() {
    let gateway = Gateway::start("").await;
    for carrier in ["websocket", "webtransport"] {
        let run =
            format!("run https://{} --carrier {carrier} --clients 300 --rate 100 --batch 1", gateway.secure);
        let run = Loadtest::start_with_few_files(100, &format!("{run} --duration 3600 --warm-up 0 --json"));
        let received = format!("tidegate_events_received_total{{carrier=\"{carrier}\"}}");
        let deadline = Instant::now() + PATIENCE;
        // The first event is sent when all of them are connected.
        while gateway.metrics().await.get(&received) == 0.0 {
            assert!(Instant::now() < deadline, "not all of them are there in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(gateway.metrics().await.sum("tidegate_sessions", carrier), 300.0);
        run.interrupt();
        let report = run.ended().await.report();
        report.assert_accounted();
        assert_eq!((report.count("clients"), report.count("breaks")), (300, 0), "{carrier}: {:#}", report.0);
        gateway.idle().await;
    }
}
