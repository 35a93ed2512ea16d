//! Carriers: bytes to frames and back, one file each.

pub mod bind;
pub mod http;
pub mod link;
#[doc(hidden)]
pub mod memory;

mod quic;
pub mod quic_key;
mod stream;
pub mod tcp;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod udp;
pub mod websocket;
mod webtransport;
