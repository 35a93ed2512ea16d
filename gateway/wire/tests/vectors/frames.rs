use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use tidegate_wire::{ClientFrame, Frame, Frames, GatewayFrame, Limits, frame::kind, whole};

use super::{entries, hex, neutral, unhex};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) from: String,
    pub(crate) r#type: String,
    hex: Option<String>,
    pub(crate) json: Option<String>,
    value: Value,
    #[serde(default)]
    decode_only: bool,
}

/// The one frame that `bytes` are.
fn only<'a>(bytes: &'a [u8], limits: &'a Limits, name: &str) -> Frame<'a> {
    assert_eq!(whole(bytes, limits), Ok(bytes.len()), "{name}");
    assert_eq!(whole(&bytes[..bytes.len() - 1], limits), Ok(0), "{name}");
    let frames: Vec<_> = Frames::new(bytes, limits).collect::<Result<_, _>>().unwrap();
    assert_eq!(frames.len(), 1, "{name}");
    frames[0]
}

fn compression(frame: Frame<'_>) -> u8 {
    if frame.kind == kind::EVENTS { frame.body[0] & 3 } else { 0 }
}

/// `type`, `value` and the frame encoded again.
fn through_binary(vector: &Vector, bytes: &[u8]) -> (&'static str, Value, String) {
    let limits = Limits::default();
    let frame = only(bytes, &limits, &vector.name);
    let mut again = Vec::new();
    let (kind, value) = if vector.from == "client" {
        let decoded = ClientFrame::from_binary(frame, &limits)
            .unwrap_or_else(|violation| panic!("{}: {violation}", vector.name));
        decoded.to_binary(&mut again);
        neutral::client(&decoded, compression(frame))
    } else {
        let decoded = GatewayFrame::from_binary(frame)
            .unwrap_or_else(|violation| panic!("{}: {violation}", vector.name));
        if let Some(decoded) = &decoded {
            decoded.to_binary(&mut again);
        }
        neutral::gateway(decoded.as_ref())
    };
    (kind, value, hex(&again))
}

fn through_json(vector: &Vector, text: &str) -> (&'static str, Value, Option<String>) {
    let limits = Limits::default();
    if vector.from == "client" {
        let frame = ClientFrame::from_json(text, &limits)
            .unwrap_or_else(|violation| panic!("{}: {violation}", vector.name));
        let (kind, value) = neutral::client(&frame, 0);
        (kind, value, frame.to_json())
    } else {
        let frame =
            GatewayFrame::from_json(text).unwrap_or_else(|violation| panic!("{}: {violation}", vector.name));
        let (kind, value) = neutral::gateway(frame.as_ref());
        (kind, value, frame.as_ref().map(GatewayFrame::to_json))
    }
}

#[test]
fn frames_are_what_they_say_and_are_written_the_same() {
    for vector in entries::<Vector>("frames.json") {
        let name = &vector.name;
        assert!(vector.hex.is_some() || vector.json.is_some(), "{name}");
        if let Some(text) = &vector.hex {
            let (kind, value, again) = through_binary(&vector, &unhex(text));
            assert_eq!((kind, &value), (&*vector.r#type, &vector.value), "{name}, binary");
            assert!(vector.decode_only || again == *text, "{name}: {again}");
        }
        if let Some(text) = &vector.json {
            let (kind, value, again) = through_json(&vector, text);
            assert_eq!((kind, &value), (&*vector.r#type, &vector.value), "{name}, JSON");
            assert!(vector.decode_only || again.as_ref() == Some(text), "{name}: {again:?}");
        }
    }
}

/// A frame that is there in both codings is the same in both, so one can be made from the other.
#[test]
fn one_coding_is_made_from_the_other() {
    let limits = Limits::default();
    for vector in entries::<Vector>("frames.json").iter().filter(|vector| !vector.decode_only) {
        let (Some(binary), Some(json)) = (&vector.hex, &vector.json) else {
            continue;
        };
        let bytes = unhex(binary);
        let frame = only(&bytes, &limits, &vector.name);
        let mut made_binary = Vec::new();
        let made_json = if vector.from == "client" {
            ClientFrame::from_json(json, &limits).unwrap().to_binary(&mut made_binary);
            ClientFrame::from_binary(frame, &limits).unwrap().to_json()
        } else {
            GatewayFrame::from_json(json).unwrap().unwrap().to_binary(&mut made_binary);
            GatewayFrame::from_binary(frame).unwrap().map(|frame| frame.to_json())
        };
        assert_eq!(made_json.as_ref(), Some(json), "{}", vector.name);
        assert_eq!(hex(&made_binary), *binary, "{}", vector.name);
    }
}

#[test]
fn every_frame_has_a_vector_and_no_name_is_there_twice() {
    let vectors = entries::<Vector>("frames.json");
    let names: BTreeSet<&str> = vectors.iter().map(|vector| &*vector.name).collect();
    assert_eq!(names.len(), vectors.len());
    let kinds: BTreeSet<(&str, &str)> =
        vectors.iter().map(|vector| (&*vector.from, &*vector.r#type)).collect();
    let from = |from: &'static str, kinds: &[&'static str]| {
        kinds.iter().map(|kind| (from, *kind)).collect::<Vec<_>>()
    };
    let client =
        from("client", &["hello", "ev", "define", "ping", "pong", "close", "report", "reauth", "ignored"]);
    let gateway = from("gateway", &["welcome", "ack", "ping", "pong", "goaway", "close", "ignored"]);
    assert_eq!(kinds, client.into_iter().chain(gateway).collect());
}

/// Whole frames back to back are one WebSocket message or one stretch of a stream.
#[test]
fn frames_stand_back_to_back() {
    let limits = Limits::default();
    let vectors = entries::<Vector>("frames.json");
    let each: Vec<Vec<u8>> = vectors.iter().filter_map(|vector| vector.hex.as_deref()).map(unhex).collect();
    let bytes = each.concat();
    assert_eq!(whole(&bytes, &limits), Ok(bytes.len()));
    let frames: Vec<Frame<'_>> = Frames::new(&bytes, &limits).collect::<Result<_, _>>().unwrap();
    assert_eq!(frames.len(), each.len());
    assert!(
        frames.iter().zip(&each).all(|(frame, bytes)| bytes[0] == frame.kind && bytes.ends_with(frame.body))
    );
}
