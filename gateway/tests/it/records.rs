//! What a consumer of Kafka sees: values, keys, headers and timestamps as the CloudEvents Kafka binding has them, and
//! what Kafka itself refuses.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::gateway::Gateway;
use crate::kafka::Cluster;

async fn post(gateway: &Gateway, body: &str) -> serde_json::Value {
    let request = gateway.http.post(gateway.url("/v1/events")).header("content-type", "application/x-ndjson");
    request.body(body.to_owned()).send().await.unwrap().json().await.unwrap()
}

/// A gateway whose two routes lead to two topics, the first of them in binary encoding.
async fn gateway(cluster: &Cluster, binary: &str, structured: &str) -> Gateway {
    let routes = format!(
        "[[routes]]\nwhen = 'type == \"reading\"'\ntopic = \"{binary}\"\nencoding = \"binary\"\n\
         [[routes]]\ntopic = \"{structured}\"\n"
    );
    Gateway::start_with_kafka(&cluster.brokers(), &routes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_encodings_arrive_as_the_binding_has_them() {
    let cluster = Cluster::shared().await;
    cluster.create_topic("records-binary", 1).await;
    cluster.create_topic("records-structured", 1).await;
    let gateway = gateway(cluster, "records-binary", "records-structured").await;
    let sent_at = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let answer = post(
        &gateway,
        "{\"type\":\"reading\",\"id\":\"r-1\",\"source\":\"/s\",\"subject\":\"caf\\u00e9\",\"partitionkey\":\"k\",\"data\":{\"t\" : 1.50}}\n\
         {\"type\":\"other\",\"time\":\"2001-02-03T04:05:06Z\",\"data\":[1, 2]}",
    )
    .await;
    assert_eq!(answer["accepted"], 2, "{answer}");

    let binary = cluster.consume("records-binary").await.remove(0);
    assert_eq!(String::from_utf8(binary.value).unwrap(), "{\"t\" : 1.50}");
    assert_eq!(binary.key.as_deref(), Some(&b"k"[..]));
    for (name, value) in [
        ("ce_specversion", "1.0"),
        ("ce_id", "r-1"),
        ("ce_source", "/s"),
        ("ce_type", "reading"),
        ("ce_subject", "café"),
        ("ce_partitionkey", "k"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(binary.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(binary.headers.contains_key("ce_time") && binary.headers.contains_key("ce_recordedtime"));

    let structured = cluster.consume("records-structured").await.remove(0);
    assert_eq!(structured.key, None, "plain HTTP has no key of its own");
    assert_eq!(structured.headers["content-type"], "application/cloudevents+json; charset=UTF-8");
    let value = String::from_utf8(structured.value).unwrap();
    assert!(
        value.contains("\"time\":\"2001-02-03T04:05:06Z\"") && value.ends_with("\"data\":[1, 2]}"),
        "{value}"
    );
    // An event from long ago is stamped with its arrival.
    for timestamp_ms in [binary.timestamp_ms, structured.timestamp_ms] {
        assert!((sent_at..sent_at + 60_000).contains(&timestamp_ms), "{timestamp_ms} for {sent_at}");
    }
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_refuses_for_good_is_refused_alone() {
    let cluster = Cluster::shared().await;
    cluster.create_topic_with("records-small", 1, &[("max.message.bytes", "2000")]).await;
    cluster.create_topic("records-other", 1).await;
    let gateway = gateway(cluster, "records-other", "records-small").await;
    // Random letters: compression must not make it fit.
    let mut random = crate::random::Random::new(3);
    let large: String =
        (0..6_000).map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap())).collect();
    let body = format!("{{\"type\":\"a\"}}\n{{\"type\":\"b\",\"data\":\"{large}\"}}\n{{\"type\":\"c\"}}");
    // Kafka judges a batch as a whole: such a one is taken apart, and nobody who waits notices.
    let answer = post(&gateway, &body).await;
    assert_eq!(answer["accepted"], 2, "{answer}");
    assert_eq!(answer["rejected"][0]["index"], 1, "{answer}");
    assert_eq!(answer["rejected"][0]["code"], "broker_rejected", "{answer}");
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_kafka_is_said_and_the_gateway_waits_for_it() {
    let nowhere = crate::port::free_port();
    let mut gateway = Gateway::prepare(&format!("kafka.brokers = \"{nowhere}\"\n"));
    gateway.launch();
    let deadline = std::time::Instant::now() + crate::gateway::PATIENCE;
    loop {
        let answer = gateway.http.get(format!("http://{}/readyz", gateway.ops)).send().await;
        if let Ok(answer) = answer {
            let (status, why) = (answer.status().as_u16(), answer.text().await.unwrap());
            assert_eq!(status, 503, "ready without Kafka: {why}");
            if why.contains("unreachable") {
                assert!(why.contains(&nowhere.to_string()), "{why}");
                break;
            }
        }
        assert!(std::time::Instant::now() < deadline, "{}", gateway.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(gateway.log().lines().any(|line| line.contains(&nowhere.to_string())), "{}", gateway.log());
}
