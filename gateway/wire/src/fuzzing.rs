//! What holds for any bytes: decoding does not panic, keeps to the limits, and what it makes is written and read again as
//! the same. The fuzz targets are these functions; ordinary tests drive them too.
#![expect(clippy::panic, reason = "a broken invariant has to stop the fuzzer")]

use std::fmt::{Debug, Display};

use crate::body;
use crate::inflate::{Encoding, inflate};
use crate::{
    Aliases, Batch, ClientFrame, Data, Event, Frame, Frames, GatewayFrame, Limits, Raw, Reject, datagram,
    frame, json, whole,
};

/// What was written may be longer than what was read: escapes, base64, members that had been left out.
const ROOMY: Limits = Limits {
    max_event_bytes: u32::MAX,
    max_frame_bytes: u32::MAX,
    max_batch_events: crate::limits::BATCH_EVENTS,
    max_inflated_bytes: crate::limits::INFLATED_BYTES,
    max_body_bytes: u32::MAX,
    max_inflated_body_bytes: u32::MAX,
    max_attributes_bytes: u32::MAX,
    max_json_depth: crate::limits::JSON_DEPTH,
    max_hello_bytes: u32::MAX,
};

/// One stretch of a stream, WebSocket message or datagram, in either direction.
pub fn binary_frames(bytes: &[u8]) {
    let limits = Limits::default();
    let mut aliases = Aliases::default();
    for frame in Frames::new(bytes, &limits) {
        let Ok(frame) = frame else {
            break;
        };
        match ClientFrame::from_binary(frame, &limits) {
            Ok(ClientFrame::Define(define)) => drop(aliases.define(&define, &limits)),
            Ok(frame) => client_frame(&frame, &aliases, &limits),
            Err(_) => {}
        }
        if let Ok(Some(frame)) = GatewayFrame::from_binary(frame) {
            gateway_frame(&frame);
        }
    }
    if let Ok(length) = whole(bytes, &limits) {
        let (whole, cut) = bytes.split_at_checked(length).unwrap_or_default();
        assert!(Frames::new(whole, &limits).all(|frame| frame.is_ok()));
        assert!(cut.is_empty() || Frames::new(cut, &limits).any(|frame| frame.is_err()));
    }
    if let Ok(batch) = datagram(bytes, &limits) {
        assert!(batch.lossy && batch.iter().all(|raw| matches!(raw, Raw::Structured(_))));
        events(&batch, &aliases, &limits);
    }
}

/// One text message, in either direction.
pub fn json_frames(bytes: &[u8]) {
    let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(bytes).is_ok();
    assert_eq!(json::check(bytes, u32::MAX).is_ok(), is_json);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let limits = Limits::default();
    if let Ok(frame) = ClientFrame::from_json(text, &limits) {
        client_frame(&frame, &Aliases::default(), &limits);
    }
    if let Ok(Some(frame)) = GatewayFrame::from_json(text) {
        gateway_frame(&frame);
    }
}

/// One request: a byte that chooses what it claims to be and how it is compressed, a line for a header's value, the body.
pub fn http_bodies(bytes: &[u8]) {
    const CONTENT_TYPES: [Option<&str>; 8] = [
        Some("application/cloudevents+json"),
        Some("application/cloudevents-batch+json"),
        Some("application/json"),
        Some("application/x-ndjson"),
        Some("text/plain; charset=utf-8"),
        Some("application/octet-stream"),
        Some("application/vnd.x+json"),
        None,
    ];
    let Some((&choice, rest)) = bytes.split_first() else {
        return;
    };
    let line_end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (value, body) = rest.split_at_checked(line_end).unwrap_or_default();
    let content_type = CONTENT_TYPES.get(usize::from(choice & 7)).copied().flatten();
    let query_type = if choice & 8 == 0 { None } else { std::str::from_utf8(value).ok() };
    let headers = [("Ce-Type", value), ("ce-a1", value)];
    let headers = headers.into_iter().filter(|_| choice & 16 != 0);
    let limits = Limits { max_batch_events: 100, ..Limits::default() };
    let inflated;
    let body = match choice >> 6 {
        1 => {
            inflated = within_limit(Encoding::Gzip, body);
            &*inflated
        }
        2 => {
            inflated = within_limit(Encoding::Zstd, body);
            &*inflated
        }
        _ => body,
    };
    let Ok(kind) = body::kind(content_type, query_type, headers) else {
        return;
    };
    if let Ok(batch) = kind.parse(body, &limits) {
        events(&batch, &Aliases::default(), &limits);
    }
}

fn within_limit(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    const LIMIT_BYTES: u32 = 100_000;
    let inflated = inflate(encoding, bytes, LIMIT_BYTES).unwrap_or_default();
    assert!(inflated.capacity() <= LIMIT_BYTES as usize, "{}", inflated.capacity());
    inflated
}

fn client_frame(frame: &ClientFrame<'_>, aliases: &Aliases, limits: &Limits) {
    if let ClientFrame::Events(batch) = frame {
        events(batch, aliases, limits);
    }
    let mut written = Vec::new();
    frame.to_binary(&mut written);
    if let Some(frame) = only_frame(&written) {
        let mut again = Vec::new();
        read_again(ClientFrame::from_binary(frame, &ROOMY)).to_binary(&mut again);
        assert_eq!(again, written);
    }
    if let (Some(json), false) = (frame.to_json(), is_ping(frame)) {
        assert_eq!(read_again(ClientFrame::from_json(&json, &ROOMY)).to_json(), Some(json));
    }
}

/// Bytes of a PING that are not text have no JSON form, so it is not read again from JSON.
fn is_ping(frame: &ClientFrame<'_>) -> bool {
    matches!(frame, ClientFrame::Ping(_) | ClientFrame::Pong(_))
}

fn gateway_frame(frame: &GatewayFrame) {
    let mut written = Vec::new();
    frame.to_binary(&mut written);
    if let Some(frame) = only_frame(&written) {
        let mut again = Vec::new();
        if let Some(frame) = read_again(GatewayFrame::from_binary(frame)) {
            frame.to_binary(&mut again);
        }
        assert_eq!(again, written);
    }
    if !matches!(frame, GatewayFrame::Ping(_) | GatewayFrame::Pong(_)) {
        let json = frame.to_json();
        let again = read_again(GatewayFrame::from_json(&json)).map(|frame| frame.to_json());
        assert_eq!(again, Some(json));
    }
}

/// The frame that was written; `None` for one that is ignored and so not written.
fn only_frame(written: &[u8]) -> Option<Frame<'_>> {
    if written.is_empty() {
        return None;
    }
    let mut frames = Frames::new(written, &ROOMY);
    let frame = frames.next().map(read_again);
    assert!(frame.is_some_and(|frame| frame.kind <= frame::kind::REAUTH) && frames.next().is_none());
    frame
}

fn read_again<T, E: Display>(read: Result<T, E>) -> T {
    match read {
        Ok(read) => read,
        Err(error) => panic!("what was written is not read again: {error}"),
    }
}

fn events(batch: &Batch<'_>, aliases: &Aliases, limits: &Limits) {
    assert!(batch.count <= limits.max_batch_events);
    assert_eq!(batch.iter().count(), batch.count as usize);
    let payload_bytes: usize = batch.iter().map(|raw| raw.payload_len()).sum();
    assert_eq!(payload_bytes as u64, batch.payload_bytes);
    for raw in batch {
        let judged = Event::parse(&raw, aliases, limits);
        left_and_checked(&raw, aliases, limits, &judged);
        match judged {
            Ok(event) => one_event(&event, &raw),
            Err(reject) => {
                assert!(!reject.message.is_empty() && reject.message.len() < 500, "{}", reject.message);
            }
        }
    }
}

/// Data that is left unchecked, and checked later, makes the same event.
fn left_and_checked(raw: &Raw<'_>, aliases: &Aliases, limits: &Limits, judged: &Result<Event<'_>, Reject>) {
    let mut event = Event::default();
    let left = event.fill_unchecked(raw, aliases, limits, true).and_then(|()| event.check(limits));
    let said = |event: &Event<'_>| (texts(event), data(event));
    let left = left.map(|()| said(&event)).map_err(|reject| reject.code);
    same(&left, &judged.as_ref().map(said).map_err(|reject| reject.code));
}

/// Written as a structured event and read again, an event says the same.
fn one_event(event: &Event<'_>, raw: &Raw<'_>) {
    let mut written = Vec::new();
    event.write_structured(&mut written);
    let aliases = Aliases::default();
    let raw_again = Raw::Structured(&written);
    let Ok(again) = Event::parse(&raw_again, &aliases, &ROOMY) else {
        panic!("{raw:?} was written as {}", written.escape_ascii());
    };
    same(&texts(event), &texts(&again));
    same(&(event.time_ms(), event.expiry_ms()), &(again.time_ms(), again.expiry_ms()));
    same(&data(event), &data(&again));
}

fn same<T: Debug + PartialEq>(was: &T, is: &T) {
    assert_eq!(was, is);
}

fn texts(event: &Event<'_>) -> Vec<(String, String, bool)> {
    let mut texts: Vec<_> = event
        .attributes()
        .map(|(name, value)| (name.to_owned(), value.text().into_owned(), value.is_string()))
        .collect();
    // More than a few extensions are kept sorted, an alias's after the event's own.
    texts.sort_unstable();
    texts
}

/// White space around JSON is no part of it.
fn data(event: &Event<'_>) -> Option<Vec<u8>> {
    let bytes = event.data.bytes()?;
    Some(if matches!(event.data, Data::Json(_)) { bytes.trim_ascii().to_vec() } else { bytes.into_owned() })
}
