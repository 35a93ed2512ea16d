//! The gateway as its users meet it: its binary, real sockets, real Kafka, real kills.

mod bad_input;
mod client;
mod destination;
mod drain;
mod examples;
mod faults;
mod gateway;
mod http;
mod kafka;
mod labels;
mod layers;
mod mixed;
mod quic;
mod random;
mod reconnect;
mod recordings;
mod tls;
mod token;
