//! Carriers: bytes to frames and back, one file each.

pub mod link;
#[cfg(test)]
pub mod memory;
pub mod tcp;
pub mod websocket;
