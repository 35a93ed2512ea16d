//! Where events go: Kafka, the log, or both, as the mode says.

use std::sync::Arc;

use anyhow::Result;

use crate::config::{self, ByteSize, Config, DeliveryMode};
use crate::deliver::kafka::KafkaSink;
use crate::deliver::log::{self, Log, LogError};
use crate::deliver::{Away, Failover, Sink, Spool};
use crate::metrics::Metrics;
use crate::pipeline::Encodes;

/// A destination, and what follows from it for sessions.
pub(super) struct Destination {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) encodes: Encodes,
    /// The budget that is left for them.
    pub(super) budget_bytes: ByteSize,
}

/// This part of the budget is Kafka's where the log acknowledges: what is on its way from there is no session's any more.
const KAFKA_PART: u64 = 4;

pub(super) fn open(config: &Config, metrics: &Metrics, topics: &Arc<[String]>) -> Result<Destination> {
    let budget_bytes = config.limits.budget_bytes;
    let log = log_in_front_of(config.kafka.as_ref(), &config.log);
    let open_log = || Log::open(&log, metrics.log.clone(), Arc::clone(topics));
    let Some(kafka) = &config.kafka else {
        let sink = Arc::new(open_log()?);
        return Ok(Destination { sink, encodes: Encodes::Structured, budget_bytes });
    };
    let sink = |bytes| -> Result<Arc<KafkaSink>> {
        Ok(Arc::new(KafkaSink::new(kafka, config.kafka_topics(), metrics.kafka.clone(), bytes)?))
    };
    let series = metrics.forward.clone();
    let part = budget_bytes.0 / KAFKA_PART;
    let rest = ByteSize(budget_bytes.0 - part);
    let (sink, budget_bytes): (Arc<dyn Sink>, _) = match config.delivery.mode {
        DeliveryMode::Direct => match backlog(&config.log, open_log)? {
            None => (sink(budget_bytes.0)?, budget_bytes),
            Some(log) => {
                (Arc::new(Failover::new(log, sink(budget_bytes.0)?, Away::Wait, series)?), budget_bytes)
            }
        },
        DeliveryMode::Spool => (Arc::new(Spool::new(open_log()?, sink(part)?, series)?), rest),
        DeliveryMode::Failover => {
            (Arc::new(Failover::new(open_log()?, sink(part)?, Away::Log, series)?), rest)
        }
    };
    Ok(Destination { sink, encodes: Encodes::ByRoute, budget_bytes })
}

/// The log's configuration. In front of Kafka nothing goes by its age: what Kafka does not have was acknowledged.
fn log_in_front_of(kafka: Option<&config::Kafka>, log: &config::Log) -> config::Log {
    let mut log = log.clone();
    if let Some(max_age) = log.max_age.take_if(|_| kafka.is_some()) {
        tracing::info!(
            "log.max_age of {max_age} is not used: with [kafka] the log is deleted as Kafka has it"
        );
    }
    log
}

/// The log, if it holds what Kafka does not have.
fn backlog(config: &config::Log, open: impl FnOnce() -> Result<Log, LogError>) -> Result<Option<Log>> {
    let directory = config.directory.display();
    let records = log::backlog(&config.directory)?;
    if records == 0 {
        return Ok(None);
    }
    match open() {
        Ok(log) => {
            tracing::info!(records, "the log in {directory} goes to Kafka before anything new");
            Ok(Some(log))
        }
        // Then it is that one's.
        Err(LogError::InUse(_)) => {
            tracing::info!("the log in {directory} is in use by another gateway and is left to it");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn in_front_of_kafka_nothing_goes_by_its_age() {
        let max_age = Some(config::Age(Duration::from_secs(60)));
        let log = config::Log { max_age, ..config::Log::default() };
        assert_eq!(log_in_front_of(None, &log), log);
        let kafka = config::Kafka::at("localhost:9092");
        assert_eq!(log_in_front_of(Some(&kafka), &log), config::Log::default());
    }
}
