//! What a topic needs of Kafka: whether it has to be there, and how its records travel.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Deserializer, de};

use super::findings::Findings;
use super::routes::Route;

/// Producers that routes' `linger_ms` and `compression` may come to: each has connections and threads of its own.
pub const PRODUCERS_MAX: usize = 8;
/// The most topics: each is asked for, and has counters.
const TOPICS_MAX: usize = 10_000;

/// What is done about a topic that Kafka does not have.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Its events are refused (or go to the dead-letter topic), and the gateway is not ready.
    #[default]
    Fail,
    /// It is created.
    Create,
    /// Its events wait for it, and their clients with them; the gateway is not ready.
    Wait,
}

/// The section `kafka.topics`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// What is done about topics that are not there.
    pub missing: Missing,
    /// Partitions of a topic that is created; none: as many as the brokers give by themselves.
    pub partitions: Option<u32>,
    /// Replicas of a topic that is created; none: as many as the brokers give by themselves.
    pub replication: Option<u16>,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "Kafka's names")]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    /// As librdkafka names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// `acks` of a route: `all`, whatever is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Acks;

impl<'de> Deserialize<'de> for Acks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "all" | "-1" => Ok(Self),
            acks => Err(de::Error::custom(format!(
                "with acks = \"{acks}\" an acknowledged event could be lost: an acknowledgement means that all in-sync \
                 replicas have it\nremove the line, or write \"all\""
            ))),
        }
    }
}

/// A topic, as all routes to it want it.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// Its name in Kafka.
    pub name: String,
    /// Where what Kafka refuses goes.
    pub dead_letter: Option<String>,
    /// What is done if it is not there.
    pub missing: Missing,
    /// Partitions, where it is created.
    pub partitions: Option<u32>,
    /// Replicas, where it is created.
    pub replication: Option<u16>,
    /// How long a record waits for others; none: as the gateway does it everywhere.
    pub linger_ms: Option<u32>,
    /// How batches are compressed; none: as everywhere.
    pub compression: Option<Compression>,
}

impl Topic {
    /// A topic with nothing of its own.
    pub fn new(name: &str, defaults: &Topics) -> Self {
        Self {
            name: name.to_owned(),
            dead_letter: None,
            missing: defaults.missing,
            partitions: defaults.partitions,
            replication: defaults.replication,
            linger_ms: None,
            compression: None,
        }
    }

    fn of(name: &str, route: &Route, defaults: &Topics) -> Self {
        Self {
            dead_letter: route.dead_letter.clone(),
            missing: route.missing.unwrap_or(defaults.missing),
            partitions: route.partitions.or(defaults.partitions),
            replication: route.replication.or(defaults.replication),
            linger_ms: route.linger_ms,
            compression: route.compression,
            ..Self::new(name, defaults)
        }
    }
}

/// The topics of `routes` in their order, each once, and after them their dead-letter topics.
pub(super) fn all(routes: &[Route], defaults: &Topics) -> Vec<Topic> {
    let mut topics: Vec<Topic> = Vec::new();
    let mut known = HashSet::new();
    for route in routes {
        let new = route.leads_to().iter().filter(|name| known.insert(*name));
        topics.extend(new.map(|name| Topic::of(name, route, defaults)));
    }
    if topics.is_empty() {
        topics.push(Topic::new(&Route::to_events().topic, defaults));
    }
    for name in routes.iter().filter_map(|route| route.dead_letter.as_ref()) {
        if known.insert(name) {
            topics.push(Topic::new(name, defaults));
        }
    }
    topics
}

pub(super) fn check(topics: Option<&Topics>, routes: &[Route], findings: &mut Findings<'_>) {
    let of_all = topics.map(|topics| ("kafka.topics".to_owned(), topics.partitions, topics.replication));
    let of_routes = routes
        .iter()
        .enumerate()
        .map(|(index, route)| (format!("routes.{index}"), route.partitions, route.replication));
    for (at, partitions, replication) in of_all.into_iter().chain(of_routes) {
        if partitions.is_some_and(|partitions| !(1..=100_000).contains(&partitions)) {
            findings.refuse(
                &format!("{at}.partitions"),
                "a topic has 1 to 100000 partitions".to_owned(),
                "such as 12",
            );
        }
        if replication.is_some_and(|replication| !(1..=1_000).contains(&replication)) {
            findings.refuse(
                &format!("{at}.replication"),
                "a topic has 1 to 1000 replicas".to_owned(),
                "such as 3",
            );
        }
    }
    let defaults = topics.cloned().unwrap_or_default();
    let mut first = HashMap::new();
    for (index, route) in routes.iter().enumerate() {
        for name in route.leads_to() {
            first.entry(name.as_str()).or_insert((index, route));
        }
    }
    if first.len() > TOPICS_MAX {
        let help = format!("each is asked for, and has counters: at most {TOPICS_MAX}");
        findings.refuse("routes", format!("{} topics", first.len()), help);
    }
    for (index, route) in routes.iter().enumerate() {
        check_route(index, route, &first, &defaults, findings);
    }
    let mut ways: Vec<_> = routes.iter().map(|route| (route.linger_ms, route.compression)).collect();
    ways.push((None, None));
    ways.sort_unstable_by_key(|(linger_ms, compression)| (*linger_ms, compression.map(Compression::name)));
    ways.dedup();
    if ways.len() > PRODUCERS_MAX {
        findings.refuse(
            "routes",
            format!("{} different pairs of linger_ms and compression", ways.len()),
            format!("each needs a producer of its own, with its connections: at most {PRODUCERS_MAX}, the default included"),
        );
    }
}

fn check_route(
    index: usize,
    route: &Route,
    first: &HashMap<&str, (usize, &Route)>,
    defaults: &Topics,
    findings: &mut Findings<'_>,
) {
    if let Some(dead_letter) = &route.dead_letter {
        let at = format!("routes.{index}.dead_letter");
        if !Route::is_topic(dead_letter) {
            let help = "write 1 to 249 letters, digits, `.`, `_` or `-`";
            findings.refuse(&at, format!("`{dead_letter}` cannot be a Kafka topic"), help);
        } else if first.contains_key(dead_letter.as_str()) {
            findings.refuse(
                &at,
                format!(
                    "`{dead_letter}` is the topic of a route: what it cannot take would have nowhere to go"
                ),
                "name a topic that no route leads to",
            );
        }
    }
    if route.linger_ms.is_some_and(|linger_ms| linger_ms > 10_000) {
        let help = "0 to 10000; a client waits for its acknowledgement meanwhile";
        findings.refuse(&format!("routes.{index}.linger_ms"), "linger_ms is too long".to_owned(), help);
    }
    let differs = route.leads_to().iter().find_map(|name| {
        let (above, first) = first.get(name.as_str()).filter(|(above, _)| *above < index)?;
        (Topic::of(name, first, defaults) != Topic::of(name, route, defaults)).then_some((above, name))
    });
    if let Some((above, name)) = differs {
        findings.refuse(
            &format!("routes.{index}"),
            format!("route {} leads to `{name}` too, with other settings of the topic", above + 1),
            "dead_letter, missing, partitions, replication, linger_ms and compression belong to the topic: write the same \
             in all routes to it",
        );
    }
}
