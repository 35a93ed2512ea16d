//! Carriers: bytes to frames and back, one file each.

pub mod http;
pub mod link;
pub mod tcp;
pub mod websocket;
