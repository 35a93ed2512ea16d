//! A record as librdkafka takes it: made of an event, or of a record that came back.

use rdkafka::message::{Header, Message as _, OwnedHeaders, OwnedMessage, Timestamp};
use rdkafka::producer::BaseRecord;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::place::Place;
use super::producer::Client;
use super::topics::Topic;
use crate::record::{Encoding, Record};

/// The content type of a structured event (`CloudEvents` Kafka protocol binding 1.0, section 3.3).
const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";

/// A record as librdkafka takes it.
pub(super) struct Draft<'a> {
    pub(super) topic: &'a str,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) headers: Option<OwnedHeaders>,
}

impl<'a> Draft<'a> {
    /// A record of an event; `structured` are the headers of one whose value is the whole event.
    pub(super) fn new(topic: &'a Topic, record: &Record<'a>, structured: &OwnedHeaders) -> Self {
        let headers = match record.encoding {
            // One C call; building it anew would take two and a copy of the name.
            Encoding::Structured => structured.clone(),
            Encoding::Binary => {
                let headers = record.headers();
                let list = OwnedHeaders::new_with_capacity(headers.len());
                headers.fold(list, |list, (key, value)| list.insert(Header { key, value: Some(value) }))
            }
        };
        Self {
            topic: &topic.config.name,
            key: record.key,
            value: record.value,
            timestamp_ms: i64::try_from(record.timestamp_ms).ok(),
            headers: Some(headers),
        }
    }

    /// A record that came back.
    pub(super) fn of(message: &'a OwnedMessage) -> Self {
        Self {
            topic: message.topic(),
            key: message.key(),
            value: message.payload(),
            timestamp_ms: message.timestamp().to_millis(),
            headers: message.headers().cloned(),
        }
    }

    /// The same, to be sent later.
    pub(super) fn detach(&self) -> OwnedMessage {
        let timestamp = self.timestamp_ms.map_or(Timestamp::NotAvailable, Timestamp::CreateTime);
        let [key, value] = [self.key, self.value].map(|bytes| bytes.map(<[u8]>::to_vec));
        OwnedMessage::new(value, key, self.topic.to_owned(), timestamp, 0, 0, self.headers.clone())
    }

    /// Queues it in librdkafka. Never blocks.
    pub(super) fn send(self, client: &Client, place: Place) -> Result<(), Code> {
        let record = BaseRecord {
            topic: self.topic,
            partition: None,
            payload: self.value,
            key: self.key,
            timestamp: self.timestamp_ms,
            headers: self.headers,
            delivery_opaque: place.pack(),
        };
        client
            .send(record)
            .map_err(|(error, _record)| error.rdkafka_error_code().unwrap_or(Code::InvalidArgument))
    }
}

/// The headers of a record whose value is the whole event.
pub(super) fn structured() -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1).insert(Header { key: "content-type", value: Some(STRUCTURED) })
}
