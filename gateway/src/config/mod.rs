//! The configuration: one file a section, plain data, defaults in the code, unknown keys refused.
//!
//! Every refusal names file, line and column, shows the line and says what would be right. `${NAME}` in a string
//! stands for an environment variable, and a string `file:/path` for that file's content.

mod address;
mod age;
mod auth;
mod change;
mod condition;
mod destination;
mod document;
mod explain;
mod findings;
mod interpolate;
mod limits;
mod listen;
mod loaded;
mod logging;
mod operators;
mod origins;
mod problem;
mod rates;
mod routes;
mod schema_registry;
mod sessions;
mod size;
mod template;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::Deserialize;

pub use self::age::Age;
pub use self::auth::{Auth, AuthMode, HASH_PREFIX, Token};
pub use self::condition::{Condition, Expression};
pub use self::destination::{Delivery, DeliveryMode, Kafka, Log};
pub use self::limits::{Limits, Shutdown};
pub use self::listen::{Demo, Discovery, Exclude, Listen, Tls};
pub use self::loaded::Loaded;
pub use self::logging::{Format, Logging};
pub use self::operators::{
    Action, Aggregate, Deadband, Dedup, Expire, Field, Filter, Key, OnError, Redact, Sample, SchemaFile,
    Secret, Throttle, Validate,
};
pub use self::origins::Origins;
pub use self::problem::ConfigError;
pub use self::rates::{AddressRate, Rate, Rates};
pub use self::routes::Route;
pub use self::schema_registry::SchemaRegistry;
pub use self::sessions::Sessions;
pub use self::size::ByteSize;
pub use self::template::{Part, Template};
pub use self::topics::{Acks, Compression, Missing, PRODUCERS_MAX, Topic, Topics};

use self::document::Document;
use self::explain::explain;
use self::findings::Findings;
use self::interpolate::Sources;
use crate::schema::Wanted;

/// The largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Everything an operator can say.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses.
    pub listen: Listen,
    /// Certificate and key; absent: a development certificate.
    pub tls: Option<Tls>,
    /// Brokers; absent: the embedded log is the end.
    pub kafka: Option<Kafka>,
    /// The embedded log.
    pub log: Log,
    /// Which destination acknowledges.
    pub delivery: Delivery,
    /// Who may send.
    pub auth: Auth,
    /// Which pages may send.
    pub origins: Origins,
    /// Where schemas come from.
    pub schema_registry: Option<SchemaRegistry>,
    /// Where events go; none: everything goes to topic `events`.
    pub routes: Vec<Route>,
    /// How much, how many, how long.
    pub limits: Limits,
    /// How fast.
    pub rates: Rates,
    /// How the gateway goes away.
    pub shutdown: Shutdown,
    /// What is known of clients, over a restart.
    pub sessions: Sessions,
    /// What the discovery document adds.
    pub discovery: Discovery,
    /// The demo page.
    pub demo: Demo,
    /// The gateway's own log lines.
    pub logging: Logging,
}

impl Config {
    /// The configuration that `text` says; `name` is what errors call it, and schemas are looked for beside it. Reads the
    /// environment and the files that values refer to.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let variable = |name: &str| std::env::var(name).ok();
        Self::parse_with(name, text, &Sources { variable: &variable, file: &interpolate::read_file })
    }

    /// The table that [`crate::record::TopicId`] counts in: the routes' topics in their order, each once; without
    /// routes `events` alone.
    pub fn topics(&self) -> Vec<String> {
        let mut known = HashSet::new();
        let all = self.routes.iter().flat_map(Route::leads_to);
        let topics: Vec<String> = all.filter(|topic| known.insert(*topic)).cloned().collect();
        if topics.is_empty() { vec![Route::to_events().topic] } else { topics }
    }

    /// What Kafka needs to know of the topics: first those of [`Config::topics`] in its order, then what only dead letters
    /// go to.
    pub fn kafka_topics(&self) -> Vec<Topic> {
        let defaults = self.kafka.as_ref().map(|kafka| kafka.topics.clone()).unwrap_or_default();
        topics::all(&self.routes, &defaults)
    }

    /// The subjects that routes judge by, each once.
    pub fn subjects(&self) -> Vec<Wanted> {
        let mut subjects: Vec<Wanted> = Vec::new();
        for wanted in self.routes.iter().filter_map(|route| route.validate.as_ref()?.wanted(&route.topic)) {
            if !subjects.contains(&wanted) {
                subjects.push(wanted);
            }
        }
        subjects
    }

    fn parse_with(name: &str, text: &str, sources: &Sources<'_>) -> Result<Self, ConfigError> {
        Document::parse(text, sources)
            .and_then(|document| {
                let mut config: Self = document.read(explain)?;
                let beside = Path::new(name).parent().unwrap_or(Path::new(""));
                config
                    .routes
                    .iter_mut()
                    .flat_map(|route| &mut route.validate)
                    .for_each(|validate| validate.read(beside));
                let mut findings = Findings::of(&document);
                config.check(&mut findings);
                let problems = findings.into_problems();
                if problems.is_empty() { Ok(config) } else { Err(problems) }
            })
            .map_err(|problems| problem::report(name, text, problems))
    }

    fn check(&self, findings: &mut Findings<'_>) {
        self.listen.check(self.auth.is_settled(), findings);
        if let Some(tls) = &self.tls {
            tls.check(findings);
        }
        if let Some(kafka) = &self.kafka {
            kafka.check(findings);
        }
        self.log.check(self.limits.max_event_bytes, findings);
        self.auth.check(&self.topics(), findings);
        self.origins.check(findings);
        routes::check(&self.routes, findings);
        topics::check(self.kafka.as_ref().map(|kafka| &kafka.topics), &self.routes, findings);
        schema_registry::check(self, findings);
        self.limits.check(findings);
        self.rates.check(&self.limits, &self.auth, findings);
        self.shutdown.check(findings);
        self.discovery.check(findings);
        self.demo.check(&self.listen, findings);
        self.logging.check(findings);
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}
