//! What the gateway is compared with, and the benchmarks around it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::destination::Destination;
use crate::loadtest::{Loadtest, Report, loadtest};

/// What a producer of so many seconds printed and wrote: keys with their number of records.
async fn produced(seconds: f64, more: &str) -> (Report, BTreeMap<Option<String>, u64>) {
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(3).await;
    let run = format!("produce --brokers {} --topic {topic} {more}", kafka.brokers().brokers());
    let report = loadtest(&format!("{run} --warm-up 0.2 --duration {seconds}")).await.faultless();
    let mut keys = BTreeMap::new();
    for record in kafka.brokers().consume(&topic).await {
        assert_eq!(record.value.len(), 300);
        *keys.entry(record.key.map(|key| String::from_utf8(key).unwrap())).or_default() += 1;
    }
    (report, keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_producer_counts_what_kafka_took() {
    let mut seconds = 0.3;
    let (report, keys) = loop {
        let (report, keys) = produced(seconds, "--size 300").await;
        // Where the machine is busy nothing may have been acknowledged in so short a time.
        if report.count("events") > 0 || seconds > 20.0 {
            break (report, keys);
        }
        seconds *= 4.0;
    };
    assert_eq!(keys.keys().collect::<Vec<_>>(), [&None]);
    assert!((1..=keys[&None]).contains(&report.count("events")), "{:#}: {keys:?}", report.0);
    assert!(report.0["events_per_cpu_second"].as_f64().unwrap() > 0.0, "{:#}", report.0);
    assert!(report.0["latency_ms"].is_null(), "nothing was due at any time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_producer_keeps_a_rate_with_the_keys_of_clients() {
    let (report, keys) = produced(0.3, "--size 300 --rate 3000 --batch 10 --keys 3").await;
    let named = |key: &str| keys[&Some(key.to_owned())];
    let counts = ["client-0", "client-1", "client-2"].map(named);
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(counts.iter().all(|count| count % 10 == 0 && counts[0] - count <= 10), "in turn: {counts:?}");
    let measured = report.count("latency_ms.events");
    assert!(
        0 < measured && measured < counts.iter().sum(),
        "the warm-up is not measured: {counts:?}, {measured}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_benchmarks_start_what_they_need_and_print_figures_with_their_spread() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/kafka");
    let bench = |group: &str| {
        let gateway = env!("CARGO_BIN_EXE_tidegate");
        // The service to compare with has no part in this group.
        Loadtest::start(&format!(
            "bench --gateway {gateway} --baseline {gateway} --kafka {script} --pairs 2 --only {group}"
        ))
    };
    let ended = bench("start").ended().await;
    assert_eq!(ended.status, Some(0), "{}", ended.errors);
    let row = ended.output.lines().find(|line| line.starts_with("| ready after | **"));
    assert!(row.is_some_and(|row| row.contains(" to ")), "{}", ended.output);
    assert!(!Path::new("docs/benchmarks.md").exists(), "one group is no document");
    let ended = bench("end").ended().await;
    assert!(ended.only_line().contains("--only end: expected some of start, cost,"), "{}", ended.errors);
}
