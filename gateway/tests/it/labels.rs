//! No label holds what a client said, and memory does not grow with names.

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
    // Refusals and stalls may have brought a series; twenty clients bring none of their own.
    assert!(metrics.names().count() <= before + 3, "{before} series became {}", metrics.names().count());
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
