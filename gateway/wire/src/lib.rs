//! The Tidegate ingest protocol, version 1: frames, codes and limits, without I/O and without a clock.
//!
//! ```text
//! bytes -> Frames -> ClientFrame -> Batch -> Raw -> Event | Reject
//!                                                GatewayFrame -> bytes
//! ```
//!
//! A frame is decoded whole or is a [`Violation`], which ends the connection. One event in it is an [`Event`] or a
//! [`Reject`], which blocks nothing else. Everything that is decoded borrows from what was received.
#![forbid(unsafe_code)]

mod ack;
mod aliases;
mod attribute;
pub mod batch;
pub mod body;
mod client;
mod codes;
mod control;
mod event;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
pub mod inflate;
pub mod json;
pub mod limits;
mod record;
mod refusal;
mod tagged;
pub mod time;
pub mod varint;

pub use ack::{Ack, Rejection};
pub use aliases::Aliases;
pub use attribute::{Attribute, Value, is_json_content_type, is_name};
pub use batch::{Announced, Batch, BatchWriter, datagram};
pub use client::ClientFrame;
pub use codes::{CloseCode, Code, Level, Reason};
pub use control::{Close, Define, Dropped, Goaway, Hello, Ping, Reauth, Report, Welcome, is_client_name};
pub use event::{Data, Event};
pub use frame::{Frame, Frames, whole};
pub use gateway::GatewayFrame;
pub use limits::Limits;
pub use record::{Raw, Record};
pub use refusal::{Reject, Violation};
