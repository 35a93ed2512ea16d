//! No label holds what a client said, memory does not grow with names, and every series is explained.

use std::collections::BTreeSet;

use crate::client::{Carrier, Client};
use crate::gateway::Gateway;

#[tokio::test(flavor = "multi_thread")]
async fn no_series_names_a_client_a_type_or_a_key() {
    let gateway = Gateway::start("").await;
    let before = gateway.metrics().await.names().count();
    for n in 0..20 {
        let mut client = Client::open(&gateway, Carrier::WebSocket, &format!("canary-{n}"), 1).await;
        let event = format!(
            r#"{{"type":"canary.{n}","source":"/canary","partitionkey":"canary-{n}","topic":"canary"}}"#
        );
        client.events(1, &[event]).await.unwrap();
        client.done().await;
    }
    let metrics = gateway.idle().await;
    assert!(metrics.names().all(|name| !name.contains("canary")));
    assert_eq!(metrics.names().count(), before, "every series is there from the start");
    assert!(metrics.get("tidegate_process_resident_memory_bytes") > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_stage_of_an_event_is_measured() {
    let gateway = Gateway::start("").await;
    let mut client = Client::open(&gateway, Carrier::Quic, "device-1", 1).await;
    client.events(1, &[r#"{"type":"t"}"#; 10]).await.unwrap();
    client.done().await;
    let metrics = gateway.metrics().await;
    for stage in ["decode", "pipeline", "queue", "durable", "total"] {
        let count = format!("tidegate_latency_seconds_count{{carrier=\"quic\",stage=\"{stage}\"}}");
        assert_eq!(metrics.get(&count), 10.0, "{stage}");
    }
}

/// A series' name and its labels' names, as `docs/metrics.md` writes them.
fn documented(name: &str, histograms: &BTreeSet<String>) -> String {
    let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    let name = base.filter(|base| histograms.contains(*base)).unwrap_or(name);
    let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split('=').next());
    let labels: Vec<_> = labels.filter(|label| !label.is_empty() && *label != "le").collect();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_series_and_every_value_of_a_label_is_documented_and_there_from_the_start() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let words: BTreeSet<_> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `tidegate_"));
    let series: BTreeSet<_> =
        cells.flat_map(|row| row.split(" |").next().unwrap().split("`, `tidegate_")).collect();
    let series: BTreeSet<_> =
        series.into_iter().map(|name| format!("tidegate_{}", name.trim_end_matches('`'))).collect();

    // There once something was sent to Kafka: its labels are Kafka's topics and partitions.
    let series: BTreeSet<_> =
        series.into_iter().filter(|name| name != "tidegate_kafka_partition_bytes{topic,partition}").collect();

    // Rules are counted where there are any, and subjects.
    let rules = "[schema_registry]\nurl = \"http://127.0.0.1:9\"\non_unreachable = \"pass\"\n\
                 [[routes]]\nwhen = \"false\"\ntopic = \"events\"\naggregate = { window = \"1m\" }\n\
                 [[routes]]\nwhen = \"false\"\ntopic = \"events\"\nvalidate = { registry = true, format = \"json\" }\n\
                 [[routes]]\ntopic = \"events\"\nexpire = { after = \"1h\" }\nsample = { rate = 2 }\n\
                 dedup = { window = \"1m\" }\ndeadband = { value = 'data.a', change = 1 }\n\
                 throttle = [{ events_per_second = 1 }]\n[[routes.filters]]\nkeep = \"true\"\n\
                 [[routes.filters]]\nkeep = \"true\"\nshadow = true\n";
    let gateway = Gateway::start(rules).await;
    let metrics = gateway.metrics().await;
    let histograms: BTreeSet<_> = metrics.names().filter_map(|name| name.split_once("_bucket{")).collect();
    let histograms = histograms.into_iter().map(|(name, _)| name.to_owned()).collect();
    let exported: BTreeSet<_> = metrics.names().map(|name| documented(name, &histograms)).collect();
    assert_eq!(series, exported, "left what docs/metrics.md has, right what is exported");

    let own = |name: &&str| !name.contains("build_info");
    for name in metrics.names().filter(own).filter_map(|name| name.split_once('{')).map(|(_, labels)| labels)
    {
        let labels = name.trim_end_matches('}').split("\",").filter_map(|label| label.split_once("=\""));
        for (label, value) in labels.map(|(label, value)| (label, value.trim_end_matches('"'))) {
            let is_explained = words.contains(value) || (label == "carrier" && page.contains(value));
            // What routes, rules and subjects are called is the operator's to say.
            let is_named = matches!(label, "le" | "route" | "rule" | "subject");
            assert!(is_named || is_explained, "docs/metrics.md does not explain {label} `{value}`");
        }
    }
}
