//! Kafka, the embedded log, and which of them acknowledges.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::ByteSize;

/// Brokers, and what librdkafka is told beside them.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// Handed to librdkafka as they are, over the gateway's own settings.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
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
}

impl Default for Log {
    fn default() -> Self {
        Self { directory: "data/log".into(), max_bytes: ByteSize(1 << 30), segment_bytes: ByteSize(64 << 20) }
    }
}

/// Which destination acknowledges.
#[derive(Clone, Debug, Deserialize, PartialEq, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// How Kafka and the log work together.
    pub mode: DeliveryMode,
}

/// How Kafka and the log work together.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryMode {
    /// Acknowledge when Kafka did (without Kafka: when the log did).
    #[default]
    Direct,
}
