//! What librdkafka calls back with: delivery reports, errors, statistics. Runs on its polling threads and never waits.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::Thread;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{DeliveryResult, Producer as _, ProducerContext, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::draft::Draft;
use super::in_flight::{InFlight, Progress};
use super::place::Place;
use super::producer::Client;
use super::refuse;
use super::statistics::Tally;
use super::topics::{Topic, Topics};
use super::verdict::{self, Poison, Verdict};
use super::watch::now;
use crate::metrics::KafkaSeries;

/// What the callbacks of one producer share with the rest of the sink.
pub(super) struct Reports {
    pub(super) in_flight: Arc<InFlight>,
    /// Of [`InFlight`], which hears nothing of an older one.
    pub(super) generation: u32,
    pub(super) topics: Arc<Topics>,
    pub(super) series: KafkaSeries,
    pub(super) tally: Arc<Tally>,
    pub(super) lane: usize,
    pub(super) notes: Notes,
    pub(super) batch_bytes: usize,
    /// Every record travels alone: what is refused is itself to blame.
    pub(super) apart: bool,
    /// For dead letters. Set once there is one.
    pub(super) client: OnceLock<Weak<Client>>,
    pub(super) watch: Arc<OnceLock<Thread>>,
}

/// What the callbacks saw, for the watch to judge.
#[derive(Default)]
pub(super) struct Notes {
    last_error: Mutex<String>,
    blocked: Mutex<Option<String>>,
    all_brokers_down: AtomicBool,
    has_producer_id: AtomicBool,
    had_producer_id: AtomicBool,
    brokers_up: AtomicI64,
    too_large: Mutex<Option<TooLarge>>,
    /// What Kafka held against a batch first: one of its records is to blame.
    suspect: Mutex<Option<String>>,
    /// Why records that are not at fault came back first.
    again: Mutex<Option<String>>,
}

/// An event of a batch that Kafka found too large: which of its events is to blame is not known.
#[derive(Clone, Debug)]
pub(super) struct TooLarge {
    pub(super) topic: String,
    /// Of key and value.
    pub(super) bytes: usize,
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

    /// Whether it ever had one: without, it has sent nothing.
    pub(super) fn had_producer_id(&self) -> bool {
        self.had_producer_id.load(Ordering::Relaxed)
    }

    /// What Kafka held against a batch first since the last call.
    pub(super) fn take_suspect(&self) -> Option<String> {
        self.suspect.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn suspect(&self, topic: &str, why: &str) {
        let mut suspect = self.suspect.lock().unwrap_or_else(PoisonError::into_inner);
        if suspect.is_none() {
            *suspect =
                Some(format!("topic `{topic}` refused a batch ({why}), whose records are sent one by one"));
        }
    }

    /// Why records that are not at fault came back first since the last call.
    pub(super) fn take_again(&self) -> Option<String> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn again(&self, topic: &str, code: Code) {
        let mut again = self.again.lock().unwrap_or_else(PoisonError::into_inner);
        if again.is_none() {
            *again =
                Some(format!("Kafka gave records of topic `{topic}` back that are not at fault ({code})"));
        }
    }

    /// What an operator has to repair, if an event met it since the last call.
    pub(super) fn take_blocked(&self) -> Option<String> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn block(&self, topic: &str, why: &str, code: Code) {
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        if blocked.is_none() {
            *blocked = Some(format!("topic `{topic}`: {why} ({code})"));
        }
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

    /// librdkafka's own words for why nothing answers say more than the code of a request.
    pub(super) fn reason(&self, error: &ClientError) -> String {
        let last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_empty() { error.to_string() } else { last.clone() }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        let place = Place::unpack(place);
        match result {
            Ok(_) => self.in_flight.delivered(self.generation, place),
            Err((error, message)) => self.failed(place, error, message.detach()),
        }
    }
}

/// What becomes of a record that Kafka did not take.
enum Fate {
    Refused(Poison),
    /// For its topic.
    Waits,
    Again,
}

impl Reports {
    pub(super) fn progress(&self) -> Progress {
        self.in_flight.progress()
    }

    fn failed(&self, place: Place, error: &ClientError, message: OwnedMessage) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let is_taken_back = matches!(code, Code::PurgeQueue | Code::PurgeInflight);
        if !is_taken_back {
            self.in_flight.heard(self.generation);
        }
        let topic = self.topics.by_name(message.topic());
        let waits = match self.judge(place, code, &message, topic.as_deref()) {
            Fate::Refused(poison) => return self.refuse(place, poison, code, &message),
            Fate::Waits => true,
            Fate::Again => false,
        };
        if !is_taken_back {
            self.series.failures.inc();
            if !waits {
                self.stop();
            }
        }
        self.in_flight.gave_back(self.generation, place, message, topic.as_deref().filter(|_| waits));
        if let Some(watch) = self.watch.get() {
            watch.unpark();
        }
    }

    /// What becomes of a record without success; what the watch has to know of it is noted.
    fn judge(&self, place: Place, code: Code, message: &OwnedMessage, topic: Option<&Topic>) -> Fate {
        let size = message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len);
        match verdict::reported(code) {
            Verdict::Refused(poison) => return Fate::Refused(poison),
            Verdict::Suspect(poison) if self.apart => return Fate::Refused(poison),
            // librdkafka sends what is larger than a batch may be by itself: nobody else is to blame.
            Verdict::TooLarge if self.apart || size >= self.batch_bytes => {
                return Fate::Refused(Poison::TOO_LARGE);
            }
            Verdict::Barred(poison) => {
                topic.into_iter().for_each(|topic| self.topics.bar(topic, poison, now()));
                let is_owed = self.in_flight.is_owed(place);
                return if is_owed { Fate::Waits } else { Fate::Refused(poison) };
            }
            Verdict::Missing => {
                topic.into_iter().for_each(|topic| self.topics.doubt(topic));
                return Fate::Waits;
            }
            Verdict::TooLarge => self.notes.too_large(message.topic(), size),
            Verdict::Suspect(poison) => self.notes.suspect(message.topic(), poison.why),
            Verdict::Blocked(why) => self.notes.block(message.topic(), why, code),
            Verdict::Again => self.notes.again(message.topic(), code),
        }
        Fate::Again
    }

    /// What is queued behind a record that came back must not be written before it: the watch hands all of it over in
    /// order, but librdkafka may be quicker.
    fn stop(&self) {
        if self.in_flight.stop(self.generation)
            && let Some(client) = self.client.get().and_then(Weak::upgrade)
        {
            client.purge(PurgeConfig::default().queue().non_blocking());
        }
    }

    fn refuse(&self, place: Place, poison: Poison, code: Code, message: &OwnedMessage) {
        let Some(client) = self.client.get().and_then(Weak::upgrade) else { return };
        let why = format!("{} ({code})", poison.why);
        refuse::refuse(&client, &self.in_flight, &self.topics, place, poison, why, Draft::of(message));
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
        match serde_json::from_slice::<super::statistics::Statistics>(statistics) {
            Ok(statistics) => {
                self.notes.brokers_up.store(statistics.brokers_up(), Ordering::Relaxed);
                self.notes.has_producer_id.store(statistics.has_producer_id(), Ordering::Relaxed);
                self.notes.had_producer_id.fetch_or(statistics.has_producer_id(), Ordering::Relaxed);
                self.tally.record((self.lane, self.generation), statistics, &self.series, now());
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
