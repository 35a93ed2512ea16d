//! Which event goes to which topic.

use serde::Deserialize;
use tidegate_cel::Compiler;

use super::condition::{Condition, Expression};
use super::findings::Findings;
use super::operators::{
    self, Aggregate, Deadband, Dedup, Expire, Field, Filter, Redact, Sample, Throttle, Validate,
};
use super::template;
use super::topics::{Acks, Compression, Missing};
use crate::record::Encoding;

/// The most routes: an event is tried against them one after the other.
const ROUTES_MAX: usize = 1_000;

/// One route; the first that takes an event decides.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What its counters are called; its position, from 1, if not written.
    #[serde(default)]
    pub name: Option<String>,
    /// What it takes; `None` takes everything.
    #[serde(default)]
    pub when: Option<Condition>,
    /// The Kafka topic; or a template over the event's attributes, then with `topics`.
    pub topic: String,
    /// What a template may give; an event for which it gives anything else is refused.
    #[serde(default)]
    pub topics: Option<Vec<String>>,
    /// The record's key; without a value, and without this, `partitionkey` or the client.
    #[serde(default)]
    pub key: Option<Expression>,
    /// Events that are too old go no further.
    #[serde(default)]
    pub expire: Option<Expire>,
    /// How many of a kind pass in a time; tried in their order.
    #[serde(default)]
    pub throttle: Vec<Throttle>,
    /// What the data of its events must be like.
    #[serde(default)]
    pub validate: Option<Validate>,
    /// Which of its events are kept; tried in their order.
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// A share of its events goes on.
    #[serde(default)]
    pub sample: Option<Sample>,
    /// What has been before goes no further.
    #[serde(default)]
    pub dedup: Option<Dedup>,
    /// What is kept back of payloads, in one pass.
    #[serde(default)]
    pub redact: Vec<Redact>,
    /// What of payloads gets another name or value, or goes; one after the other.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// Values that have hardly changed go no further.
    #[serde(default)]
    pub deadband: Option<Deadband>,
    /// Makes one record of many of its events.
    #[serde(default)]
    pub aggregate: Option<Aggregate>,
    /// How records are written.
    #[serde(default, with = "EncodingName")]
    pub encoding: Encoding,
    /// How far an event's `time` may lie from the gateway's clock and still be the record's timestamp (ahead of
    /// it at most 30 minutes, whatever this says); in the file `timestamp_tolerance_ms`, 7 days if not written.
    #[serde(default = "default_tolerance_ms", rename = "timestamp_tolerance_ms")]
    pub tolerance_ms: u64,
    /// Where what Kafka refuses for good goes, and what does not fit its schema; none: its client is told, and that is all.
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
            name: None,
            when: None,
            topic: "events".into(),
            topics: None,
            key: None,
            expire: None,
            throttle: Vec::new(),
            validate: None,
            filters: Vec::new(),
            sample: None,
            dedup: None,
            redact: Vec::new(),
            fields: Vec::new(),
            deadband: None,
            aggregate: None,
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

    /// The topics that its events may go to.
    pub fn leads_to(&self) -> &[String] {
        self.topics.as_deref().unwrap_or(std::slice::from_ref(&self.topic))
    }

    /// Whether Kafka takes `topic` as a name.
    pub fn is_topic(topic: &str) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (1..=249).contains(&topic.len()) && topic.bytes().all(plain) && topic != "." && topic != ".."
    }
}

pub(super) fn check(routes: &[Route], findings: &mut Findings<'_>) {
    let mut together = Compiler::default();
    for (index, route) in routes.iter().enumerate() {
        template::check(index, route, findings);
        if let Some(name) = route.name.as_deref() {
            if !operators::is_name(name) {
                let help = "write 1 to 64 letters, digits, `-`, `_` or `.`";
                findings.refuse(&format!("routes.{index}.name"), format!("`{name}` cannot be a name"), help);
            }
            if routes.iter().take(index).any(|above| above.name.as_deref() == Some(name)) {
                let help = "its counters could not be told apart: give it another one";
                findings.refuse(
                    &format!("routes.{index}.name"),
                    format!("`{name}` is the name of a route above"),
                    help,
                );
            }
        }
        if let Some(when) = &route.when {
            when.check(&format!("routes.{index}.when"), findings);
        }
        if let Some(key) = &route.key {
            key.check(&format!("routes.{index}.key"), findings);
        }
        operators::check(index, route, findings);
        check_together(index, route, &mut together, findings);
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

/// Expressions that compile alone may together look at too much.
fn check_together(index: usize, route: &Route, compiler: &mut Compiler, findings: &mut Findings<'_>) {
    for text in expressions(route).into_iter().filter(|text| Compiler::default().value(text).is_ok()) {
        if let Err(problem) = compiler.value(text) {
            findings.refuse(&format!("routes.{index}"), problem.message, &problem.help);
            return;
        }
    }
}

/// The expressions of a route that are asked of the event as it came.
fn expressions(route: &Route) -> Vec<&str> {
    let filters = route.filters.iter().flat_map(|filter| [&filter.keep, &filter.drop]).flatten();
    let conditions = route.when.iter().chain(filters).map(Condition::text);
    let conditions = conditions.chain(operators::expressions(route));
    conditions.chain(route.key.as_ref().map(Expression::text)).collect()
}
