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

    let metrics = gateway.idle().await;
    for (carrier, count) in &pages {
        let stored = format!("tidegate_events_total{{carrier=\"{carrier}\",outcome=\"stored\"}}");
        let count = f64::from(u32::try_from(*count).unwrap());
        assert!(metrics.get(&stored) >= count, "{stored}");
    }
    assert_whole(gateway.tail(), pages);
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
    gateway.idle().await;
    let produced = kafka.produced(&gateway, &topic).await;
    let events = produced.iter().map(|record| serde_json::from_str(&record.value).unwrap());
    assert_whole(events.collect(), pages);
    gateway.assert_accounted().await;
}

/// Each page's events are there once and in order, and of two pages at least as many as they saw acknowledged. More may
/// be: what a page says when it is left, which it does not live to see acknowledged.
#[track_caller]
fn assert_whole(events: Vec<serde_json::Value>, acknowledged: BTreeMap<String, usize>) {
    let mut numbers = BTreeMap::<String, Vec<usize>>::new();
    for event in events {
        match event["type"].as_str().unwrap() {
            "pointer.moved" => {
                assert!(event["data"]["x"].is_u64() && event["data"]["y"].is_u64(), "{event}");
            }
            other => assert!(other.starts_with("page."), "{event}"),
        }
        let (page, number) = event["id"].as_str().unwrap().rsplit_once('-').unwrap();
        numbers.entry(page.to_owned()).or_default().push(number.parse().unwrap());
    }
    for (page, numbers) in &numbers {
        assert_eq!(*numbers, (1..=numbers.len()).collect::<Vec<_>>(), "{page}");
    }
    let mut there: Vec<usize> = numbers.values().map(Vec::len).collect();
    let mut least: Vec<usize> = acknowledged.into_values().collect();
    there.sort_unstable();
    least.sort_unstable();
    let largest = there.iter().rev().zip(least.iter().rev());
    assert!(
        there.len() >= least.len() && largest.into_iter().all(|(there, least)| there >= least),
        "{there:?} {least:?}"
    );
}
