//! What librdkafka is told: the gateway's own settings, and the operator's over them.

use std::io;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::producer::BaseProducer;
use rdkafka::types::RDKafkaConfRes;

use crate::config::Kafka;
use crate::record::RECORD_OVERHEAD_BYTES;

/// Why there can be no Kafka sink. All of it is found before any broker is asked.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// No broker is named.
    #[error("kafka.brokers is empty: name at least one broker, as in \"localhost:9092\"")]
    NoBrokers,
    /// A topic of the routes that Kafka cannot have.
    #[error("`{0}` cannot be a Kafka topic: 1 to 249 of A-Z a-z 0-9 . _ -, and neither . nor ..")]
    Topic(String),
    /// A property that the gateway's promise rests on.
    #[error("kafka.properties: `{key}` cannot be set: {why}")]
    Reserved {
        /// As written.
        key: String,
        /// What would break.
        why: &'static str,
    },
    /// A property that librdkafka does not have.
    #[error(
        "kafka.properties: librdkafka has no property `{0}`; https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md lists them"
    )]
    Unknown(String),
    /// A value that librdkafka does not take.
    #[error("kafka.properties: `{key}`: {why}")]
    Invalid {
        /// As written.
        key: String,
        /// In librdkafka's words.
        why: String,
    },
    /// The properties do not go together, or a file they name cannot be read.
    #[error("librdkafka does not take kafka.properties: {0}")]
    Together(String),
    /// The operating system gave no thread.
    #[error("no thread for the Kafka producer: {0}")]
    Thread(#[from] io::Error),
}

impl From<ClientError> for KafkaError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _) => Self::Unknown(key),
            ClientError::ClientConfig(_, why, key, _) => Self::Invalid { key, why },
            ClientError::ClientCreation(why) => Self::Together(why),
            other => Self::Together(other.to_string()),
        }
    }
}

impl KafkaError {
    /// The same by the name that the operator gave a property.
    fn under_written_names(self, kafka: &Kafka) -> Self {
        let written = |name: &str| kafka.properties.keys().find(|key| first_name(key) == name).cloned();
        match self {
            Self::Unknown(key) => Self::Unknown(written(&key).unwrap_or(key)),
            Self::Invalid { key, why } => Self::Invalid { key: written(&key).unwrap_or(key), why },
            other => other,
        }
    }
}

/// Bytes of a batch before compression, unless the operator says otherwise.
const BATCH_BYTES: usize = 1_000_000;

/// How long a record waits for others of its partition.
pub(super) const LINGER: &str = "linger.ms";

/// For how long brokers may say that a topic does not exist before its records come back: what becomes of them then is
/// said by `kafka.topics.missing`.
const TOPIC_PATIENCE_MS: &str = "5000";

const OWN: [(&str, &str); 17] = [
    ("client.id", "tidegate"),
    ("acks", "all"),
    ("enable.idempotence", "true"),
    // A batch that Kafka refuses stops the producer before it writes what comes after: the watch hands all of that over to
    // another one, in order. Without it librdkafka goes on with the next batch.
    ("enable.gapless.guarantee", "true"),
    // 0 is for ever: events wait for Kafka, and their clients with them.
    ("message.timeout.ms", "0"),
    ("topic.metadata.propagation.max.ms", TOPIC_PATIENCE_MS),
    // The longest that a record waits for others; while few come, none does.
    (LINGER, "5"),
    ("batch.num.messages", "10000"),
    ("compression.codec", "lz4"),
    // What Java clients do with a key, so that both reach the same partition.
    ("partitioner", "murmur2_random"),
    ("socket.keepalive.enable", "true"),
    // The longest that a broker's return can go unnoticed; the default is 10 s.
    ("reconnect.backoff.max.ms", "500"),
    ("retry.backoff.max.ms", "500"),
    // A link that swallows everything is given up after this, and a new connection tried; the defaults are 60 and 30 s.
    ("socket.timeout.ms", "10000"),
    ("socket.connection.setup.timeout.ms", "3000"),
    ("statistics.interval.ms", "1000"),
    // An idle connection that a broker closes is nothing to report.
    ("log.connection.close", "false"),
];

/// Properties that the operator cannot set, and why.
fn reserved(key: &str) -> Option<&'static str> {
    Some(match key {
        "bootstrap.servers" => "brokers are named by kafka.brokers",
        "acks" => "an acknowledgement means that all in-sync replicas have the event",
        "enable.idempotence" => "without it a retry may write an event twice or out of order",
        "message.timeout.ms" | "message.send.max.retries" => {
            "events wait until Kafka takes them, and their clients with them"
        }
        "topic.metadata.propagation.max.ms" => {
            "what becomes of events whose topic does not exist is said by kafka.topics.missing"
        }
        "transactional.id" | "transaction.timeout.ms" => "events are not written in transactions",
        "enable.gapless.guarantee" => {
            "without it what follows a refused event may overtake what travelled with it"
        }
        "queue.buffering.max.messages" | "queue.buffering.max.kbytes" => {
            "what may be queued follows from limits.budget_bytes"
        }
        "delivery.report.only.error" => "acknowledgements come from the reports of success",
        "test.mock.num.brokers" | "test.mock.broker.rtt" => "a mock cluster keeps nothing",
        _ => return None,
    })
}

/// librdkafka's first name of a property that has two; with both set the last would win, in no fixed order.
fn first_name(key: &str) -> &str {
    match key {
        "metadata.broker.list" => "bootstrap.servers",
        "request.required.acks" => "acks",
        "delivery.timeout.ms" => "message.timeout.ms",
        "retries" => "message.send.max.retries",
        "queue.buffering.max.ms" => LINGER,
        "compression.type" => "compression.codec",
        other => other,
    }
}

/// The producer's configuration. Nothing is contacted; values are judged when the client is made of it.
pub(super) fn client(kafka: &Kafka, budget_bytes: u64) -> Result<ClientConfig, KafkaError> {
    if kafka.brokers.trim().is_empty() {
        return Err(KafkaError::NoBrokers);
    }
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &kafka.brokers).set("batch.size", BATCH_BYTES.to_string());
    for (key, value) in OWN {
        client.set(key, value);
    }
    for (key, value) in queue_limits(budget_bytes) {
        client.set(key, value.to_string());
    }
    for (key, value) in &kafka.properties {
        let name = first_name(key);
        if let Some(why) = reserved(name) {
            return Err(KafkaError::Reserved { key: key.clone(), why });
        }
        if name == "statistics.interval.ms" && !(1..=10_000).contains(&value.parse().unwrap_or(0_u32)) {
            let why = "1 to 10000: readiness and metrics are read from librdkafka's statistics".into();
            return Err(KafkaError::Invalid { key: key.clone(), why });
        }
        client.set(name, value);
    }
    client.create_native_config().map_err(|error| KafkaError::from(error).under_written_names(kafka))?;
    Ok(client)
}

/// Makes a client that knows no broker, so that the properties are judged together and the files they name are read.
pub(super) fn try_out(kafka: &Kafka) -> Result<(), KafkaError> {
    let mut client = client(kafka, 0)?;
    client.remove("bootstrap.servers");
    let made: Result<BaseProducer, ClientError> = client.create();
    Ok(made.map(drop)?)
}

/// Whether records linger only where many come; an operator who sets `linger.ms` has said how long each one does.
pub(super) fn is_adaptive(kafka: &Kafka) -> bool {
    !kafka.properties.keys().any(|key| first_name(key) == LINGER)
}

/// librdkafka's own limits stand behind the sink's count, which is exact but lets one frame overshoot, and
/// which is ahead of librdkafka's: that frees records only after a whole response was reported.
fn queue_limits(budget_bytes: u64) -> [(&'static str, u64); 2] {
    const LARGEST: u64 = i32::MAX as u64;
    let messages = budget_bytes / RECORD_OVERHEAD_BYTES * 5 / 4 + 100_000;
    let kbytes = budget_bytes / 1024 * 5 / 4 + 65_536;
    [
        ("queue.buffering.max.messages", messages.min(LARGEST)),
        ("queue.buffering.max.kbytes", kbytes.min(LARGEST)),
    ]
}

/// Bytes that a batch may have before compression.
pub(super) fn batch_bytes(client: &ClientConfig) -> usize {
    client.get("batch.size").and_then(|size| size.parse().ok()).unwrap_or(BATCH_BYTES)
}

/// Refuses what no Kafka can have as a topic, which librdkafka would wait for in vain.
pub(super) fn check_topic(topic: &str) -> Result<(), KafkaError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if topic.is_empty() || topic.len() > 249 || topic == "." || topic == ".." || !topic.bytes().all(legal) {
        return Err(KafkaError::Topic(topic.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: &str) -> Result<ClientConfig, KafkaError> {
        let properties = [(key.to_owned(), value.to_owned())].into();
        client(&Kafka { properties, ..Kafka::at("localhost:9092") }, 256 << 20)
    }

    #[track_caller]
    fn refused(key: &str, value: &str, expected: &str) {
        let error = with(key, value).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains(expected), "{error}");
    }

    #[test]
    fn the_gateways_own_settings_are_ones_that_librdkafka_takes() {
        let none = Kafka::at("localhost:9092");
        let native = client(&none, 256 << 20).unwrap().create_native_config().unwrap();
        assert_eq!(native.get("acks").unwrap(), "-1");
        assert_eq!(native.get("message.timeout.ms").unwrap(), "0");
        assert_eq!(native.get("compression.codec").unwrap(), "lz4");
    }

    #[test]
    fn the_operator_overrides_what_the_promise_does_not_rest_on() {
        let native = with("queue.buffering.max.ms", "1").unwrap().create_native_config().unwrap();
        assert_eq!(native.get("linger.ms").unwrap(), "1");
    }

    #[test]
    fn a_linger_that_the_operator_set_is_not_cut_short() {
        let kafka = |key: &str| Kafka {
            properties: [(key.to_owned(), "5".to_owned())].into(),
            ..Kafka::at("localhost:9092")
        };
        assert!(is_adaptive(&kafka("client.id")));
        assert!(!is_adaptive(&kafka("linger.ms")));
        assert!(!is_adaptive(&kafka("queue.buffering.max.ms")));
    }

    #[test]
    fn what_the_promise_rests_on_is_refused_under_each_of_its_names() {
        refused("acks", "1", "all in-sync replicas");
        refused("request.required.acks", "1", "all in-sync replicas");
        refused("enable.idempotence", "false", "twice");
        refused("delivery.timeout.ms", "1000", "wait until Kafka takes them");
        refused("metadata.broker.list", "x:1", "kafka.brokers");
        refused("statistics.interval.ms", "0", "1 to 10000");
    }

    #[test]
    fn an_unknown_property_and_a_bad_value_are_named() {
        refused("linger.msec", "5", "no property");
        refused("compression.codec", "best", "best");
        refused("compression.type", "best", "best");
    }

    #[test]
    fn properties_that_do_not_go_together_are_found_without_a_broker() {
        let kafka = |key: &str, value: &str| Kafka {
            properties: [("security.protocol".into(), "ssl".into()), (key.into(), value.into())].into(),
            ..Kafka::at("localhost:9092")
        };
        let error = try_out(&kafka("ssl.ca.location", "/nowhere.pem")).unwrap_err().to_string();
        assert!(error.contains("ssl.ca.location"), "{error}");
        try_out(&kafka("client.id", "x")).unwrap();
    }

    #[test]
    fn a_topic_that_kafka_cannot_have_is_refused() {
        assert!(check_topic("events.v1_a-b").is_ok());
        for topic in ["", ".", "..", "a b", "caf\u{e9}", &"x".repeat(250)] {
            assert!(matches!(check_topic(topic), Err(KafkaError::Topic(name)) if name == topic));
        }
    }
}
