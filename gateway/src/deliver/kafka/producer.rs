//! One librdkafka producer: records in, delivery reports out.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientConfig, ClientContext};

use super::flush::{self, Flusher};
use super::in_flight::{InFlight, Place, Progress};
use super::room::Room;
use super::settings::{KafkaError, batch_bytes};
use super::statistics::Statistics;
use super::verdict::{self, Verdict};
use crate::metrics::KafkaSeries;
use crate::outcome::Outcome;
use crate::record::{Encoding, Record, Records};
use crate::ticket::Ticket;

/// The content type of a structured event (`CloudEvents` Kafka protocol binding 1.0, section 3.3).
const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";

/// librdkafka's producer with the thread that polls it.
pub(super) type Client = ThreadedProducer<Reports>;

/// One producer, from its making to the fatal error or the drain that ends it.
///
/// Dropping it gives up what it holds and may take a second: not on a runtime's thread.
pub(super) struct Producer {
    /// None where `linger.ms` holds for every record. Before the client: its thread ends first.
    flusher: Option<Flusher>,
    client: Arc<Client>,
    topics: Arc<[String]>,
    structured: OwnedHeaders,
    room: Arc<Room>,
}

/// What librdkafka calls back with; runs on its polling thread and never waits.
pub(super) struct Reports {
    in_flight: InFlight,
    series: KafkaSeries,
    notes: Notes,
    batch_bytes: usize,
}

/// What the callbacks saw, for the watch to judge.
#[derive(Default)]
pub(super) struct Notes {
    last_error: Mutex<String>,
    blocked: Mutex<Option<String>>,
    all_brokers_down: AtomicBool,
    has_producer_id: AtomicBool,
    brokers_up: AtomicI64,
    too_large: Mutex<Option<TooLarge>>,
}

impl Producer {
    /// A producer that connects in the background. `adaptive`: records linger only where many come.
    pub(super) fn new(
        config: &ClientConfig,
        adaptive: bool,
        topics: Arc<[String]>,
        series: KafkaSeries,
        budget_bytes: u64,
        room: Arc<Room>,
    ) -> Result<Self, KafkaError> {
        let reports = Reports {
            in_flight: InFlight::new(budget_bytes, Arc::clone(&room)),
            series,
            notes: Notes::default(),
            batch_bytes: batch_bytes(config),
        };
        let client = Arc::new(Client::from_config_and_context(config, reports)?);
        let flusher = adaptive.then(|| Flusher::spawn(Arc::clone(&client))).transpose()?;
        let structured = OwnedHeaders::new_with_capacity(1)
            .insert(Header { key: "content-type", value: Some(STRUCTURED) });
        Ok(Self { flusher, client, topics, structured, room })
    }

    /// As [`crate::deliver::Sink::submit`].
    pub(super) fn submit(&self, records: &Records, from: usize, ticket: &Ticket) -> usize {
        let (mut count, mut bytes) = (0, 0);
        for record in records.iter_from(from) {
            count += 1;
            bytes += record.cost_bytes();
        }
        let in_flight = &self.reports().in_flight;
        let Some(slot) = (count > 0).then(|| in_flight.enter(ticket, count, bytes)).flatten() else {
            return 0;
        };
        let mut taken = 0;
        for record in records.iter_from(from) {
            let Err(code) = self.send(&record, Place { slot, index: record.index }) else {
                taken += 1;
                continue;
            };
            match verdict::at_send(code) {
                Verdict::Refused(why) => {
                    taken += 1;
                    ticket.refused(record.index, Outcome::BrokerRejected, why.to_owned());
                    in_flight.forgo(slot, 1);
                }
                waits => {
                    if let Verdict::Blocked(why) = waits {
                        self.notes().block(&self.topics, record.topic.0, why, code);
                    }
                    // In this order: giving the slot back opens the room.
                    in_flight.forgo(slot, count - taken);
                    self.room.stall();
                    break;
                }
            }
        }
        if taken > 0
            && let Some(flusher) = &self.flusher
        {
            flusher.queued(taken as usize);
        }
        taken as usize
    }

    fn send(&self, record: &Record<'_>, place: Place) -> Result<(), Code> {
        let topic = self.topics.get(usize::from(record.topic.0)).ok_or(Code::UnknownTopic)?;
        let headers = match record.encoding {
            // One C call; building it anew would take two and a copy of the name.
            Encoding::Structured => self.structured.clone(),
            Encoding::Binary => {
                let headers = record.headers();
                let list = OwnedHeaders::new_with_capacity(headers.len());
                headers.fold(list, |list, (key, value)| list.insert(Header { key, value: Some(value) }))
            }
        };
        self.client
            .send(BaseRecord {
                topic,
                partition: None,
                payload: record.value,
                key: record.key,
                timestamp: i64::try_from(record.timestamp_ms).ok(),
                headers: Some(headers),
                delivery_opaque: place.pack(),
            })
            .map_err(|(error, _record)| error.rdkafka_error_code().unwrap_or(Code::InvalidArgument))
    }

    /// Asks the brokers whether every topic is there and has a leader. Blocks up to `timeout` a topic, but
    /// no longer than the first that fails.
    pub(super) fn probe(&self, timeout: Duration) -> Result<(), Probe> {
        for topic in self.topics.iter() {
            let found = self.client.client().fetch_metadata(Some(topic), timeout);
            let metadata = found.map_err(|error| Probe::Unreachable(self.notes().reason(&error)))?;
            let Some(topic) = metadata.topics().first() else { continue };
            let name = topic.name();
            if let Some(error) = topic.error() {
                return Err(Probe::Topic(match Code::from(error) {
                    Code::UnknownTopic | Code::UnknownTopicOrPartition => {
                        format!("topic `{name}` does not exist in Kafka; events for it wait")
                    }
                    code => format!("topic `{name}` cannot be written: {code}; events for it wait"),
                }));
            }
            if topic.partitions().iter().all(|partition| partition.leader() < 0) {
                return Err(Probe::Topic(format!("topic `{name}` has no leader; events for it wait")));
            }
        }
        Ok(())
    }

    /// Why librdkafka will never send again, once that is so.
    pub(super) fn fatal(&self) -> Option<String> {
        self.client.client().fatal_error().map(|(code, why)| format!("{code}: {why}"))
    }

    /// Has everything sent without lingering and waits until it was reported, at most `patience`.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        flush::flush(&self.client, patience)
    }

    /// Gives up what was not reported, sent or not; its clients are not acknowledged. Returns how many events.
    pub(super) fn give_up(&self) -> u64 {
        /// Purged events are reported at once unless librdkafka itself hangs.
        const REPORTS: Duration = Duration::from_millis(300);
        let before = self.reports().series.failures.get();
        self.client.purge(PurgeConfig::default().queue().inflight().non_blocking());
        self.flush(REPORTS);
        let reported = self.reports().series.failures.get() - before;
        let abandoned = self.reports().in_flight.abandon();
        self.reports().series.failures.inc_by(abandoned);
        reported + abandoned
    }

    pub(super) fn progress(&self) -> Progress {
        self.reports().progress()
    }

    pub(super) fn notes(&self) -> &Notes {
        &self.reports().notes
    }

    fn reports(&self) -> &Reports {
        self.client.client().context()
    }
}

/// An event of a batch that Kafka found too large: which of its events is to blame is not known.
#[derive(Debug)]
pub(super) struct TooLarge {
    pub(super) topic: String,
    /// Of key and value.
    pub(super) bytes: usize,
}

/// Why a probe found the cluster unfit.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Probe {
    /// No broker answers; why.
    Unreachable(String),
    /// Brokers answer, but a topic cannot be written; a sentence.
    Topic(String),
}

impl Notes {
    /// Whether all brokers were lost since the last call, or none is connected.
    pub(super) fn take_doubt(&self) -> bool {
        self.all_brokers_down.swap(false, Ordering::Relaxed) || self.brokers_up.load(Ordering::Relaxed) == 0
    }

    /// Whether the producer may send: librdkafka has its id from a broker.
    pub(super) fn has_producer_id(&self) -> bool {
        self.has_producer_id.load(Ordering::Relaxed)
    }

    /// What an operator has to repair, if an event met it since the last call.
    pub(super) fn take_blocked(&self) -> Option<String> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The largest event that Kafka found too large together with its batch, if there was one since the last call.
    pub(super) fn take_too_large(&self) -> Option<TooLarge> {
        self.too_large.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn too_large(&self, topic: &str, bytes: usize) {
        let mut largest = self.too_large.lock().unwrap_or_else(PoisonError::into_inner);
        if largest.as_ref().is_none_or(|largest| largest.bytes < bytes) {
            *largest = Some(TooLarge { topic: topic.to_owned(), bytes });
        }
    }

    fn block(&self, topics: &[String], topic: u16, why: &str, code: Code) {
        let name = topics.get(usize::from(topic)).map_or("?", String::as_str);
        self.block_topic(name, why, code);
    }

    fn block_topic(&self, name: &str, why: &str, code: Code) {
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        if blocked.is_none() {
            *blocked = Some(format!("topic `{name}`: {why} ({code}); events for it wait"));
        }
    }

    /// librdkafka's own words for why nothing answers say more than the code of a request.
    fn reason(&self, error: &ClientError) -> String {
        let last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_empty() { error.to_string() } else { last.clone() }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        let place = Place::unpack(place);
        match result {
            Ok(_) => self.in_flight.delivered(place.slot),
            Err((error, message)) => self.failed(place, error, message),
        }
    }
}

impl Reports {
    pub(super) fn progress(&self) -> Progress {
        self.in_flight.progress()
    }

    fn failed(&self, place: Place, error: &ClientError, message: &BorrowedMessage<'_>) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let Some(ticket) = self.in_flight.failed(place.slot) else { return };
        let refuse =
            |why: &str| ticket.refused(place.index, Outcome::BrokerRejected, format!("{why} ({code})"));
        let size = message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len);
        match verdict::reported(code) {
            Verdict::Refused(why) => return refuse(why),
            // librdkafka sends what is larger than a batch may be by itself: nobody else is to blame.
            Verdict::TooLarge if size >= self.batch_bytes => {
                return refuse("larger than its topic allows");
            }
            Verdict::TooLarge => self.notes.too_large(message.topic(), size),
            Verdict::Blocked(why) => self.notes.block_topic(message.topic(), why, code),
            Verdict::Lost => {}
        }
        self.series.failures.inc();
        ticket.lost(1);
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(facility, "librdkafka: {message}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(facility, "librdkafka: {message}"),
            // Errors of connections too: they repeat while a broker is away, which the watch reports once.
            _ => tracing::debug!(facility, "librdkafka: {message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => {
                statistics.record(&self.series);
                self.notes.brokers_up.store(statistics.brokers_up(), Ordering::Relaxed);
                self.notes.has_producer_id.store(statistics.has_producer_id(), Ordering::Relaxed);
            }
            Err(error) => tracing::error!("librdkafka's statistics cannot be read: {error}"),
        }
    }

    fn error(&self, error: ClientError, reason: &str) {
        if error.rdkafka_error_code() == Some(Code::AllBrokersDown) {
            self.notes.all_brokers_down.store(true, Ordering::Relaxed);
        } else {
            reason.clone_into(&mut self.notes.last_error.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

#[cfg(test)]
impl Producer {
    /// What lives as long as anything holds librdkafka's producer.
    pub(super) fn held(&self) -> std::sync::Weak<Client> {
        Arc::downgrade(&self.client)
    }
}
