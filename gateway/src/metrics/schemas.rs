//! What is known of schemas of a registry, read at each scrape, and what came of asking for them.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::Labels;

/// Series of what came of asking a schema registry.
#[derive(Clone, Debug, Default)]
pub struct SchemaSeries {
    fetches: Family<Labels<1>, Counter>,
}

impl SchemaSeries {
    /// It was asked, with this `result`.
    pub fn fetched(&self, result: &'static str) {
        self.fetches.get_or_create(&[("result", result)]).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for result in ["fetched", "unchanged", "missing", "unusable", "failed"] {
            drop(self.fetches.get_or_create(&[("result", result)]));
        }
        registry.register(
            "schema_fetches",
            "Times a schema registry was asked for a subject, by what came of it",
            self.fetches.clone(),
        );
    }
}

/// A subject of a schema registry.
#[derive(Clone, Debug)]
pub struct SchemaAge {
    /// Its name.
    pub subject: String,
    /// For how long nobody has said that its schema is the newest.
    pub age: Duration,
    /// Whether the registry's last answer was no schema that can be used.
    pub is_stale: bool,
}

/// Registers the series of subjects; `read` is asked at each scrape.
pub fn register(registry: &mut Registry, read: impl Fn() -> Vec<SchemaAge> + Send + Sync + 'static) {
    registry.register_collector(Box::new(AgeCollector(Box::new(read))));
}

struct AgeCollector(Box<dyn Fn() -> Vec<SchemaAge> + Send + Sync>);

impl fmt::Debug for AgeCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AgeCollector")
    }
}

impl Collector for AgeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let subjects = (self.0)();
        if subjects.is_empty() {
            return Ok(());
        }
        let help =
            "Time since a schema registry said that the schema in use is the newest, or since the start";
        let mut metric =
            encoder.encode_descriptor("schema_age", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for subject in &subjects {
            let gauge = ConstGauge::new(subject.age.as_secs_f64());
            gauge.encode(metric.encode_family(&[("subject", subject.subject.as_str())])?)?;
        }
        let help = "1 while the newest answer for a subject was no schema that can be used";
        let mut metric = encoder.encode_descriptor("schema_stale", help, None, MetricType::Gauge)?;
        for subject in &subjects {
            let gauge = ConstGauge::new(i64::from(subject.is_stale));
            gauge.encode(metric.encode_family(&[("subject", subject.subject.as_str())])?)?;
        }
        Ok(())
    }
}
