//! Which event goes to which topic.

use serde::Deserialize;

use super::condition::Condition;
use super::findings::Findings;
use super::topics::{Acks, Compression, Missing};
use crate::record::Encoding;

/// The most routes: an event is tried against them one after the other.
const ROUTES_MAX: usize = 1_000;

/// One route; the first that takes an event decides.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What it takes; `None` takes everything.
    #[serde(default)]
    pub when: Option<Condition>,
    /// The Kafka topic.
    pub topic: String,
    /// How records are written.
    #[serde(default, with = "EncodingName")]
    pub encoding: Encoding,
    /// How far an event's `time` may lie from the gateway's clock and still be the record's timestamp (ahead of
    /// it at most 30 minutes, whatever this says); in the file `timestamp_tolerance_ms`, 7 days if not written.
    #[serde(default = "default_tolerance_ms", rename = "timestamp_tolerance_ms")]
    pub tolerance_ms: u64,
    /// Where what Kafka refuses for good goes; none: its client is told, and that is all.
    #[serde(default)]
    pub dead_letter: Option<String>,
    /// As `kafka.topics.missing`, for this topic.
    #[serde(default)]
    pub missing: Option<Missing>,
    /// As `kafka.topics.partitions`, for this topic.
    #[serde(default)]
    pub partitions: Option<u32>,
    /// As `kafka.topics.replication`, for this topic.
    #[serde(default)]
    pub replication: Option<u16>,
    /// How long a record waits for others of its partition, where that differs.
    #[serde(default)]
    pub linger_ms: Option<u32>,
    /// How batches are compressed, where that differs.
    #[serde(default)]
    pub compression: Option<Compression>,
    /// Always `all`.
    #[serde(default)]
    pub acks: Acks,
}

/// The names that a file has for encodings.
#[derive(Deserialize)]
#[serde(remote = "Encoding", rename_all = "lowercase")]
enum EncodingName {
    Structured,
    Binary,
}

fn default_tolerance_ms() -> u64 {
    7 * 24 * 60 * 60 * 1_000
}

impl Route {
    /// Where everything goes when no routes are configured: topic `events`.
    pub fn to_events() -> Self {
        Self {
            when: None,
            topic: "events".into(),
            encoding: Encoding::default(),
            tolerance_ms: default_tolerance_ms(),
            dead_letter: None,
            missing: None,
            partitions: None,
            replication: None,
            linger_ms: None,
            compression: None,
            acks: Acks,
        }
    }

    /// Whether Kafka takes `topic` as a name.
    pub fn is_topic(topic: &str) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (1..=249).contains(&topic.len()) && topic.bytes().all(plain) && topic != "." && topic != ".."
    }
}

pub(super) fn check(routes: &[Route], findings: &mut Findings<'_>) {
    for (index, route) in routes.iter().enumerate() {
        if !Route::is_topic(&route.topic) {
            findings.refuse(
                &format!("routes.{index}.topic"),
                format!("`{}` cannot be a Kafka topic", route.topic),
                "write 1 to 249 letters, digits, `.`, `_` or `-`",
            );
        }
        if let Some(above) = routes.iter().take(index).position(|above| above.when.is_none()) {
            findings.refuse(
                &format!("routes.{index}"),
                format!("no event comes here: route {} above has no `when` and takes everything", above + 1),
                "put the route without `when` last",
            );
        }
    }
    if routes.len() > ROUTES_MAX {
        let help = "each event is tried against the routes in order; use fewer";
        findings.refuse("routes", format!("more than {ROUTES_MAX} routes"), help);
    }
}
