//! The topic as a consumer sees it: how much is in it, and every record of a run.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::clock;
use crate::payload::{EventName, Payload};

/// How long a broker may take for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A topic of a Kafka cluster.
pub(crate) struct Topic {
    consumer: BaseConsumer,
    name: String,
    partitions: Vec<i32>,
}

/// Where each partition ended at some moment.
#[derive(Clone, Debug)]
pub(crate) struct Ends(Vec<i64>);

enum Next<'a> {
    Record(BorrowedMessage<'a>),
    /// A partition has no more.
    End(i32),
}

impl Topic {
    /// Looks the topic up.
    pub(crate) fn open(brokers: &str, name: &str) -> Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "loadtest")
            .set("enable.auto.commit", "false")
            // A position that is not there is an error here, and no reason to go on elsewhere.
            .set("auto.offset.reset", "error")
            // The last offsets may hold no record.
            .set("enable.partition.eof", "true")
            .create()?;
        let metadata = consumer
            .fetch_metadata(Some(name), PATIENCE / 2)
            .with_context(|| format!("cannot ask Kafka at {brokers} for topic `{name}`"))?;
        let topic = metadata.topics().first().context("Kafka does not answer for the topic")?;
        if let Some(error) = topic.error() {
            bail!("topic `{name}`: {}", RDKafkaErrorCode::from(error));
        }
        let partitions = topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect();
        Ok(Self { consumer, name: name.to_owned(), partitions })
    }

    /// Where it ends now.
    pub(crate) fn ends(&self) -> Result<Ends> {
        let end = |partition: &i32| Ok(self.consumer.fetch_watermarks(&self.name, *partition, PATIENCE)?.1);
        self.partitions.iter().map(end).collect::<Result<_>>().map(Ends)
    }

    /// Records written to it so far.
    pub(crate) fn count(&self) -> Result<u64> {
        Ok(self.ends()?.0.into_iter().map(|end| u64::try_from(end).unwrap_or(0)).sum())
    }

    /// Hands every event of a run that was written since `from` to `each`, those of one partition in order. Records
    /// that are gone are left out.
    pub(crate) fn read(
        &self,
        from: &Ends,
        payload: &Payload,
        mut each: impl FnMut(i32, EventName),
    ) -> Result<()> {
        let to = self.ends()?;
        let mut assignment = TopicPartitionList::new();
        let mut ends = HashMap::new();
        for ((partition, from), to) in self.partitions.iter().zip(&from.0).zip(to.0) {
            let low = self.consumer.fetch_watermarks(&self.name, *partition, PATIENCE)?.0;
            let from = low.max(*from);
            if from < to {
                assignment.add_partition_offset(&self.name, *partition, Offset::Offset(from))?;
                ends.insert(*partition, to);
            }
        }
        self.consumer.assign(&assignment)?;
        while !ends.is_empty() {
            let partition =
                match self.next().with_context(|| format!("{} partitions are left", ends.len()))? {
                    Next::End(partition) => partition,
                    Next::Record(message) => {
                        let partition = message.partition();
                        if let Some(event) = event(&message, payload) {
                            each(partition, event);
                        }
                        if ends.get(&partition).is_some_and(|end| message.offset() + 1 < *end) {
                            continue;
                        }
                        partition
                    }
                };
            ends.remove(&partition);
        }
        Ok(())
    }

    /// What is next. A broker that is away is waited for.
    fn next(&self) -> Result<Next<'_>> {
        let deadline = clock::now() + PATIENCE;
        loop {
            let polled = self.consumer.poll(deadline.saturating_duration_since(clock::now()));
            match polled.context("no record in time")? {
                Ok(message) => return Ok(Next::Record(message)),
                Err(KafkaError::PartitionEOF(partition)) => return Ok(Next::End(partition)),
                Err(error) if is_passing(&error) && clock::now() < deadline => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// librdkafka goes on by itself after these.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, LeaderNotAvailable, NotLeaderForPartition, OperationTimedOut,
    };
    let passing = [
        AllBrokersDown,
        BrokerTransportFailure,
        LeaderNotAvailable,
        NotLeaderForPartition,
        OperationTimedOut,
    ];
    error.rdkafka_error_code().is_some_and(|code| passing.contains(&code))
}

/// Which event a record is: structured ones say so in their value, binary ones in a header.
fn event(message: &BorrowedMessage<'_>, payload: &Payload) -> Option<EventName> {
    let in_value = message.payload().and_then(|value| payload.name_in(value));
    in_value.or_else(|| {
        let headers = message.headers()?;
        let header = headers.iter().find(|header| header.key == "ce_loadtest")?;
        payload.parse(header.value?)
    })
}
