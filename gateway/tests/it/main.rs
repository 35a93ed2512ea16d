//! The gateway as its users meet it: its binary, real sockets, real Kafka, real kills.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::float_cmp,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail, has a clock, and counts in floats only as Prometheus does"
)]

mod aggregates;
mod arrived;
mod bad_input;
mod breaker;
mod browser;
mod carriers;
mod chaos;
mod client;
mod destination;
mod disk;
mod drain;
mod examples;
mod faults;
mod flow;
mod gateway;
mod health;
mod http;
mod image;
mod kafka;
mod labels;
mod layers;
mod listeners;
mod loadtest;
mod mixed;
mod modes;
mod poison;
mod port;
mod random;
mod rates;
mod reconnect;
mod recordings;
mod records;
mod redact;
mod registry;
mod restart;
mod rule_examples;
mod rules;
mod rules_memory;
mod schemas;
mod sink;
mod swallow;
mod tls;
mod token;
