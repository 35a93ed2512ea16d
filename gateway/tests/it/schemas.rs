//! Events judged and written by the schemas of a real registry, while it is there, goes, and has not come yet.

use std::time::{Duration, Instant};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use serde_json::{Value, json};

use crate::client::{Carrier, Sender};
use crate::gateway::{Gateway, PATIENCE};
use crate::kafka::{Cluster, Consumed};
use crate::registry::Registry;

async fn post(gateway: &Gateway, body: &str) -> (u16, Value) {
    let request = gateway.http.post(gateway.url("/v1/events")).header("content-type", "application/x-ndjson");
    let answer = request.body(body.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn rejected(answer: &Value) -> Vec<(u64, &str)> {
    let rejected = answer["rejected"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
    rejected.map(|one| (one["index"].as_u64().unwrap(), one["code"].as_str().unwrap())).collect()
}

/// Waits until `/readyz` says this.
async fn says(gateway: &Gateway, status: u16, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = gateway.readiness().await;
        if said.0 == status && said.1.contains(what) {
            return;
        }
        assert!(Instant::now() < deadline, "{said:?} is not {status} and {what}:\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn reading(more: &Value) -> Value {
    let mut fields = vec![
        json!({"name": "celsius", "type": "double"}),
        json!({"name": "place", "type": ["null", "string"], "default": null}),
        json!({"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}),
    ];
    fields.extend(more.as_array().unwrap().iter().cloned());
    json!({"type": "record", "name": "Reading", "namespace": "plant", "fields": fields})
}

/// What a consumer makes of a record: the schema by the id that the value begins with, and the fields by that schema.
async fn deserialised(registry: &Registry, record: &Consumed) -> (u32, Value) {
    let (head, mut body) = record.value.split_at(5);
    assert_eq!(head[0], 0);
    let id = u32::from_be_bytes(head[1..].try_into().unwrap());
    let schema = Schema::parse_str(&registry.schema(id).await).unwrap();
    let value = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut body).unwrap();
    assert!(body.is_empty());
    (id, Value::try_from(value).unwrap())
}

fn header<'a>(record: &'a Consumed, name: &str) -> &'a str {
    record.headers.get(name).map_or("", String::as_str)
}

fn routes(registry: &Registry, name: &str, more: &str) -> String {
    format!(
        "[schema_registry]\nurl = \"{}\"\nrefresh = \"1s\"\n\
         [[routes]]\nwhen = 'type == \"reading\"'\ntopic = \"{name}-avro\"\nencoding = \"binary\"\ndead_letter = \"{name}-dead\"\n\
         validate = {{ registry = true, format = \"avro\" }}\n\
         [[routes]]\ntopic = \"{name}-json\"\nencoding = \"binary\"\n\
         validate = {{ registry = true, format = \"json\", framed = true, subject = \"{name}-orders\" }}\n{more}",
        registry.url()
    )
}

async fn topics(kafka: &Cluster, name: &str) {
    for topic in ["avro", "json", "dead"] {
        kafka.create_topic(&format!("{name}-{topic}"), 1).await;
    }
}

const ORDER: &str =
    r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","required":["id"]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn consumers_read_what_was_sent_by_its_schema_and_it_goes_on_when_the_registry_does_not() {
    let kafka = Cluster::shared().await;
    topics(kafka, "schemas").await;
    let registry = Registry::prepare();
    registry.launch().await;
    let avro = registry.register("schemas-avro-value", "AVRO", &reading(&json!([]))).await;
    let order = registry.register("schemas-orders", "JSON", &serde_json::from_str(ORDER).unwrap()).await;
    let gateway = Gateway::start_with_kafka(&kafka.brokers(), &routes(&registry, "schemas", "")).await;
    let body = "{\"type\":\"reading\",\"subject\":\"hall\",\"data\":{\"celsius\":21,\"at\":\"1970-01-01T00:00:01.5Z\"}}\n\
                {\"type\":\"reading\",\"data\":{\"celsius\":\"warm\",\"at\":0}}\n\
                {\"type\":\"order\",\"data\":{ \"id\": 7 }}\n\
                {\"type\":\"order\",\"data\":{}}";
    let (status, answer) = post(&gateway, body).await;
    assert_eq!((status, rejected(&answer)), (200, vec![(1, "schema"), (3, "schema")]), "{answer}");
    assert_eq!(answer["rejected"][0]["message"], "`data/celsius`: is not a number");
    assert_eq!(answer["accepted"], 2);

    let written = kafka.consume("schemas-avro").await;
    let expected = json!({"celsius": 21.0, "place": null, "at": 1_500});
    assert_eq!(deserialised(&registry, &written[0]).await, (avro, expected));
    assert_eq!((header(&written[0], "ce_type"), header(&written[0], "ce_subject")), ("reading", "hall"));
    assert_eq!(header(&written[0], "content-type"), "application/vnd.confluent.avro");
    let orders = kafka.consume("schemas-json").await;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].value, [&[0][..], &order.to_be_bytes(), b"{ \"id\": 7 }"].concat());
    // Only the route with a topic for them has dead letters; its data is as it was sent.
    let dead = kafka.consume("schemas-dead").await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].value, br#"{"celsius":"warm","at":0}"#);
    for (name, value) in [
        ("tidegate-reason", "schema"),
        ("tidegate-topic", "schemas-avro"),
        ("tidegate-message", "`data/celsius`: is not a number"),
        ("content-type", "application/json"),
        ("ce_type", "reading"),
    ] {
        assert_eq!(header(&dead[0], name), value);
    }
    let metrics = gateway.metrics().await;
    for (outcome, count) in [("committed", 2.0), ("dead_lettered", 1.0), ("schema", 1.0)] {
        let series = format!("tidegate_events_total{{carrier=\"https\",outcome=\"{outcome}\"}}");
        assert_eq!(metrics.get(&series), count, "{series}");
    }

    // A newer version is taken up, and told apart by its number.
    let more = json!([{"name": "humidity", "type": "int", "default": 40}]);
    let newer = registry.register("schemas-avro-value", "AVRO", &reading(&more)).await;
    let event = r#"{"type":"reading","data":{"celsius":1.5,"at":0,"place":"x"}}"#;
    let deadline = Instant::now() + PATIENCE;
    let (id, fields) = loop {
        let (_, answer) = post(&gateway, event).await;
        assert_eq!(answer["accepted"], 1, "{answer}");
        let newest = kafka.consume("schemas-avro").await.pop().unwrap();
        let (id, fields) = deserialised(&registry, &newest).await;
        if id == newer {
            break (id, fields);
        }
        assert!(Instant::now() < deadline, "the newer schema was not taken up");
    };
    assert_eq!((id, fields), (newer, json!({"celsius": 1.5, "place": "x", "at": 0, "humidity": 40})));

    outlives(&gateway, &registry, event, &reading(&more)).await;
    gateway.assert_accounted().await;
}

/// Gone, the registry is missed by nobody but the operator; and back it knows nothing, which changes nothing.
async fn outlives(gateway: &Gateway, registry: &Registry, event: &str, schema: &Value) {
    registry.kill();
    says(gateway, 200, "did not answer for `schemas-avro-value`").await;
    let stale = "tidegate_schema_stale{subject=\"schemas-avro-value\"}";
    assert_eq!(gateway.metrics().await.get(stale), 1.0);
    assert_eq!(post(gateway, event).await.1["accepted"], 1);
    registry.launch().await;
    says(gateway, 200, "has no subject `schemas-avro-value`; it goes on with the schema that it had").await;
    assert_eq!(post(gateway, event).await.1["accepted"], 1);
    registry.register("schemas-avro-value", "AVRO", schema).await;
    let deadline = Instant::now() + PATIENCE;
    while gateway.metrics().await.get(stale) != 0.0 {
        assert!(Instant::now() < deadline, "{:?}", gateway.readiness().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_before_its_schema_does_as_the_operator_says() {
    let kafka = Cluster::shared().await;
    topics(kafka, "early").await;
    let registry = Registry::prepare();
    // In front of Kafka the log keeps records as they will be.
    let spool = format!(
        "kafka.brokers = \"{}\"\n{}",
        kafka.brokers(),
        routes(&registry, "early", "[delivery]\nmode = \"spool\"")
    );
    let mut holds = Gateway::prepare(&spool);
    holds.launch();
    holds.answers().await;
    says(&holds, 503, "early-avro-value").await;
    let (status, answer) = post(&holds, r#"{"type":"reading","data":{"celsius":1,"at":0}}"#).await;
    assert_eq!((status, answer["reason"].as_str()), (503, Some("broker")), "{answer}");
    let events: Vec<Vec<u8>> = (0..100)
        .map(|n| format!(r#"{{"type":"reading","data":{{"celsius":{n},"at":0}}}}"#).into_bytes())
        .collect();
    let mut sender = Sender::new("early-1", &events, 10);

    let json = |on: &str| {
        let route = "[[routes]]\ntopic = \"events\"\nvalidate = { registry = true, format = \"json\" }\n";
        format!("[schema_registry]\nurl = \"{}\"\non_unreachable = \"{on}\"\n{route}", registry.url())
    };
    let (passes, refuses) = tokio::join!(async { Gateway::start(&json("pass")).await }, async {
        Gateway::start(&json("refuse")).await
    });
    let event = r#"{"type":"a","data":7}"#;
    assert_eq!(post(&passes, event).await.1["accepted"], 1);
    let unvalidated = "tidegate_rule_faults_total{route=\"1\",operator=\"validate\",rule=\"1\"}";
    assert_eq!(passes.metrics().await.get(unvalidated), 1.0);
    let (status, answer) = post(&refuses, event).await;
    assert_eq!((status, rejected(&answer)), (422, vec![(0, "schema")]));

    let sent = sender.run(&holds, Carrier::WebSocket, u64::MAX);
    let comes = async {
        registry.launch().await;
        // There, and without the subjects: that is no schema either.
        says(&holds, 503, "has no subject `early-avro-value`").await;
        says(&passes, 200, "has no subject `events-value`").await;
        registry.register("early-avro-value", "AVRO", &reading(&json!([]))).await;
        registry.register("early-orders", "JSON", &serde_json::from_str(ORDER).unwrap()).await;
    };
    let (sent, ()) = tokio::join!(sent, comes);
    sent.unwrap();
    assert!(sender.is_done() && sender.refused.is_empty(), "{:?}", sender.refused);
    holds.ready().await;
    kafka.records("early-avro", events.len()).await;
    for (n, record) in kafka.consume("early-avro").await.iter().enumerate() {
        let (_, fields) = deserialised(&registry, record).await;
        assert_eq!(fields["celsius"], f64::from(u32::try_from(n).unwrap()), "each once and in order");
    }
    let (_, answer) = post(&holds, r#"{"type":"reading","data":{"celsius":1}}"#).await;
    assert_eq!(rejected(&answer), [(0, "schema")], "{answer}");
    kafka.records("early-dead", 1).await;
    assert_eq!(header(&kafka.consume("early-dead").await[0], "tidegate-topic"), "early-avro");
    for gateway in [&holds, &passes, &refuses] {
        gateway.assert_accounted().await;
    }
}
