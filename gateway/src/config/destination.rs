//! Kafka, the embedded log, and which of them acknowledges.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::address::Address;
use super::findings::Findings;
use super::topics::Topics;
use super::{Age, ByteSize};

/// Properties of librdkafka that the gateway's promise rests on, and the values it can live with.
const PROMISED: [(&str, &[&str]); 5] = [
    ("acks", &["all", "-1"]),
    ("request.required.acks", &["all", "-1"]),
    ("enable.idempotence", &["true"]),
    ("enable.gapless.guarantee", &["true"]),
    ("delivery.report.only.error", &["false"]),
];

/// Less would delete what has hardly been acknowledged.
const MAX_AGE_LEAST: Age = Age(Duration::from_secs(1));

/// Brokers, and what librdkafka is told beside them.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// What topics need.
    #[serde(default)]
    pub topics: Topics,
    /// Handed to librdkafka as they are, over the gateway's own settings.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

impl Kafka {
    /// The Kafka at `brokers`, everything else as it is by itself.
    pub fn at(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), topics: Topics::default(), properties: BTreeMap::new() }
    }

    pub(super) fn check(&self, findings: &mut Findings<'_>) {
        for broker in self.brokers.split(',') {
            if let Err(fault) = Address::parse(broker.trim()) {
                let message = format!("the broker `{broker}` {fault}");
                let help = "write host:port, separated by commas, such as \"kafka-1:9092,kafka-2:9092\"";
                findings.refuse("kafka.brokers", message, help);
            }
        }
        for (name, value) in &self.properties {
            let path = format!("kafka.properties.{name}");
            if matches!(name.as_str(), "bootstrap.servers" | "metadata.broker.list") {
                findings.refuse(&path, format!("{name} is set by kafka.brokers"), "write the brokers there");
            }
            let promised = PROMISED.iter().find(|(promised, _)| promised == name);
            if let Some((_, allowed)) = promised.filter(|(_, allowed)| !allowed.contains(&value.as_str())) {
                let message = format!("with {name} = \"{value}\" an acknowledged event could be lost");
                findings.refuse(
                    &path,
                    message,
                    format!("remove the line, or write \"{}\"", allowed.join("\" or \"")),
                );
            }
        }
    }
}

/// The embedded log.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Where the segments are.
    pub directory: PathBuf,
    /// The most it may hold; at the cap clients wait (reason `full`).
    pub max_bytes: ByteSize,
    /// Size of one segment, preallocated.
    pub segment_bytes: ByteSize,
    /// Records that were in the log for longer are deleted; none are where it is absent, or where there is Kafka: what
    /// Kafka has goes anyway, and what it has not was acknowledged.
    pub max_age: Option<Age>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            directory: "data/log".into(),
            max_bytes: ByteSize(1 << 30),
            segment_bytes: ByteSize(64 << 20),
            max_age: None,
        }
    }
}

impl Log {
    pub(super) fn check(&self, max_event_bytes: ByteSize, findings: &mut Findings<'_>) {
        if self.directory.as_os_str().is_empty() {
            findings.refuse("log.directory", "directory is empty", "name a directory, such as \"data/log\"");
        }
        // A structured record holds the event's attributes too, and data that is not JSON as base64.
        let least = ByteSize(max_event_bytes.0.saturating_mul(2));
        if self.segment_bytes < least || self.segment_bytes > ByteSize(1 << 30) {
            findings.refuse_together(
                &["log.segment_bytes", "limits.max_event_bytes"],
                format!("a segment of {} is not possible", self.segment_bytes),
                format!("segment_bytes must be from {least} (twice limits.max_event_bytes) to 1GiB"),
            );
        }
        if self.max_bytes < self.segment_bytes {
            findings.refuse_together(
                &["log.max_bytes", "log.segment_bytes"],
                format!("the log's {} do not hold one segment of {}", self.max_bytes, self.segment_bytes),
                "raise max_bytes, or lower segment_bytes",
            );
        }
        if let Some(max_age) = self.max_age.filter(|max_age| *max_age < MAX_AGE_LEAST) {
            findings.refuse(
                "log.max_age",
                format!("max_age cannot be {max_age}"),
                format!("write at least {MAX_AGE_LEAST}, or remove the line to keep records until they are forwarded"),
            );
        }
    }
}

/// Which destination acknowledges.
#[derive(Clone, Debug, Deserialize, PartialEq, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// How Kafka and the log work together.
    pub mode: DeliveryMode,
}

/// How Kafka and the log work together. Without Kafka they are the same: the log acknowledges, and is the end.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryMode {
    /// Acknowledge when Kafka did.
    #[default]
    Direct,
    /// Acknowledge when the log did, and forward what it holds to Kafka.
    Spool,
    /// Acknowledge when Kafka did; while Kafka is away, when the log did.
    Failover,
}
