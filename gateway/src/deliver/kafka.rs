//! Kafka, by librdkafka.
