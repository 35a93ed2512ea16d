//! Carriers: bytes to frames and back, one file each.
pub mod link;
