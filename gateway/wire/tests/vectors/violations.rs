use std::collections::BTreeSet;

use serde::Deserialize;
use tidegate_wire::{Aliases, ClientFrame, CloseCode, Frames, GatewayFrame, Limits, Violation};

use super::{Fill, entries, unhex};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) from: String,
    coding: String,
    hex: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) fill: Option<Fill>,
    pub(crate) close: String,
    message_has: String,
}

/// What one message of a client comes to: each frame in turn, DEFINEs taken.
fn client(bytes: &[u8], limits: &Limits) -> Result<(), Violation> {
    let mut aliases = Aliases::default();
    for frame in Frames::new(bytes, limits) {
        if let ClientFrame::Define(define) = ClientFrame::from_binary(frame?, limits)? {
            aliases.define(&define, limits)?;
        }
    }
    Ok(())
}

fn gateway(bytes: &[u8], limits: &Limits) -> Result<(), Violation> {
    Frames::new(bytes, limits).try_for_each(|frame| GatewayFrame::from_binary(frame?).map(drop))
}

fn judge(vector: &Vector) -> Result<(), Violation> {
    let limits = Limits::default();
    let from_client = vector.from == "client";
    match (&*vector.coding, &vector.hex, &vector.text) {
        ("binary", Some(hex), None) if from_client => client(&unhex(hex), &limits),
        ("binary", Some(hex), None) => gateway(&unhex(hex), &limits),
        ("json", None, Some(text)) if from_client => {
            ClientFrame::from_json(&Fill::apply(vector.fill.as_ref(), text), &limits).map(drop)
        }
        ("json", None, Some(text)) => GatewayFrame::from_json(text).map(drop),
        _ => panic!("{}: `hex` goes with `binary`, `text` with `json`", vector.name),
    }
}

#[test]
fn every_violation_is_refused_as_it_says() {
    let vectors = entries::<Vector>("violations.json");
    let names: BTreeSet<&str> = vectors.iter().map(|vector| &*vector.name).collect();
    assert_eq!(names.len(), vectors.len(), "a name is there twice");
    for vector in &vectors {
        let violation = judge(vector).expect_err(&vector.name);
        assert_eq!(violation.code.name(), vector.close, "{}: {violation}", vector.name);
        assert!(violation.message.contains(&vector.message_has), "{}: {violation}", vector.name);
        assert!(violation.message.len() < 300, "{}: {violation}", vector.name);
    }
}

/// A datagram that breaks the protocol is dropped, and no connection ends for it.
#[test]
fn a_datagram_is_one_lossy_frame_of_whole_events() {
    let limits = Limits::default();
    let refused = |hex: &str, code: CloseCode, message_has: &str| {
        let violation = tidegate_wire::datagram(&unhex(hex), &limits).unwrap_err();
        assert_eq!(violation.code, code, "{hex}: {violation}");
        assert!(violation.message.contains(message_has), "{hex}: {violation}");
    };
    let good = unhex("03080401010000027b7d");
    let batch = tidegate_wire::datagram(&good, &limits).unwrap();
    assert_eq!((batch.first_seq, batch.count, batch.lossy), (1, 1, true));
    refused("", CloseCode::BadFrame, "exactly one frame");
    refused("03080401010000027b7d0600", CloseCode::BadFrame, "exactly one frame");
    refused("03080401010000027b", CloseCode::BadFrame, "cut short");
    refused("0600", CloseCode::BadFrame, "is an EVENTS frame, not PING");
    refused("8000", CloseCode::BadFrame, "is an EVENTS frame");
    refused("03080001010000027b7d", CloseCode::BadFrame, "must have the lossy flag");
    refused("03080401010100027b7d", CloseCode::BadFrame, "must have alias 0");
    refused("0305040143e900", CloseCode::TooLarge, "at most 1000");
}
