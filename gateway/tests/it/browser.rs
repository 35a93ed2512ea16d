//! The demo page in a real browser, on a gateway as it starts without any certificate configured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::destination::Destination;
use crate::gateway::Gateway;

fn web_client() -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web-client");
    let page = directory.join("dist/demo/demo.js");
    assert!(
        page.exists(),
        "{} is missing: run `npm ci && npm run build` in web-client first",
        page.display()
    );
    directory
}

/// Runs the browser's script. What it says of each carrier: how many events the page saw acknowledged.
fn acknowledged(web_client: &Path, gateway: &Gateway) -> BTreeMap<String, usize> {
    let output = Command::new("node")
        .arg("test/browser.mjs")
        .current_dir(web_client)
        .env("TIDEGATE_URL", gateway.url("/"))
        .output()
        .unwrap_or_else(|error| panic!("node cannot be run: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}{err}", output.status);
    out.lines().filter_map(count).collect()
}

/// `webtransport: sent 50, acknowledged 50, ...`
fn count(line: &str) -> Option<(String, usize)> {
    let (carrier, numbers) = line.split_once(": sent ")?;
    let (_, rest) = numbers.split_once(", acknowledged ")?;
    Some((carrier.to_owned(), rest.split(',').next()?.parse().ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_demo_page_sees_acknowledged_is_counted_and_in_the_log() {
    let web_client = web_client();
    let demo = format!("demo.directory = \"{}\"", web_client.join("dist/demo").display());
    let gateway = Gateway::start_without_certificate(&demo).await;
    let pages = acknowledged(&web_client, &gateway);
    assert_eq!(pages.keys().collect::<Vec<_>>(), ["websocket", "webtransport"]);

    let metrics = gateway.metrics().await;
    for (carrier, count) in &pages {
        let stored = format!("tidegate_events_total{{carrier=\"{carrier}\",outcome=\"stored\"}}");
        let count = f64::from(u32::try_from(*count).unwrap());
        assert_eq!(metrics.get(&stored), count, "{stored}");
    }
    assert_eq!(logged(&gateway), {
        let mut counts: Vec<usize> = pages.into_values().collect();
        counts.sort_unstable();
        counts
    });
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_demo_page_sees_acknowledged_is_in_kafka() {
    let web_client = web_client();
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(1).await;
    let gateway = Gateway::start_without_certificate(&format!(
        "kafka.brokers = \"{}\"\ndemo.directory = \"{}\"\n[[routes]]\ntopic = \"{topic}\"\n",
        kafka.brokers().brokers(),
        web_client.join("dist/demo").display()
    ))
    .await;
    let pages = acknowledged(&web_client, &gateway);
    let produced = kafka.produced(&gateway, &topic).await;
    assert_eq!(produced.len(), pages.values().sum::<usize>());
    assert!(produced.iter().all(|record| record.value.contains("pointer.moved")));
    gateway.assert_accounted().await;
}

/// How many events of each page the log holds, fewest first. Each page's are there once and in order.
fn logged(gateway: &Gateway) -> Vec<usize> {
    let mut numbers = BTreeMap::<String, Vec<usize>>::new();
    for event in gateway.tail() {
        assert_eq!(event["type"], "pointer.moved", "{event}");
        assert!(event["data"]["x"].is_u64() && event["data"]["y"].is_u64(), "{event}");
        let (_, number) = event["id"].as_str().unwrap().rsplit_once('-').unwrap();
        let source = event["source"].as_str().unwrap().to_owned();
        numbers.entry(source).or_default().push(number.parse().unwrap());
    }
    for (source, numbers) in &numbers {
        assert_eq!(*numbers, (1..=numbers.len()).collect::<Vec<_>>(), "{source}");
    }
    let mut counts: Vec<usize> = numbers.values().map(Vec::len).collect();
    counts.sort_unstable();
    counts
}
