//! Tidegate: events from browsers and devices into Kafka, acknowledged when durable.

pub mod access;
pub mod app;
pub mod carrier;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod listen;
pub mod metrics;
pub mod ops;
pub mod outcome;
pub mod pipeline;
pub mod rates;
pub mod record;
pub mod schema;
pub mod session;
pub mod ticket;
