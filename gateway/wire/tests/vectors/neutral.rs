//! What frames are, in the words of `frames.json`.

use serde_json::{Map, Value, json};
use tidegate_wire::{Ack, Batch, ClientFrame, GatewayFrame, Ping, Raw, Record};

use super::hex;

/// The `type` and `value` of a client's frame. `flags` are the compression bits, which a decoded batch has lost.
pub(crate) fn client(frame: &ClientFrame<'_>, compression: u8) -> (&'static str, Value) {
    match frame {
        ClientFrame::Events(batch) => ("ev", events(batch, compression)),
        ClientFrame::Define(define) => {
            let attributes: Value = serde_json::from_str(&define.attributes).unwrap();
            ("define", json!({ "alias": define.alias, "attributes": attributes }))
        }
        ClientFrame::Hello(_) => ("hello", body(&frame.to_json().unwrap())),
        ClientFrame::Ping(data) => ("ping", ping(data, &frame.to_json().unwrap())),
        ClientFrame::Pong(data) => ("pong", ping(data, &frame.to_json().unwrap())),
        ClientFrame::Close(_) => ("close", body(&frame.to_json().unwrap())),
        ClientFrame::Report(_) => ("report", body(&frame.to_json().unwrap())),
        ClientFrame::Reauth(_) => ("reauth", body(&frame.to_json().unwrap())),
        ClientFrame::Ignored => ("ignored", Value::Null),
    }
}

/// The `type` and `value` of a gateway's frame; `None` is one of a later version.
pub(crate) fn gateway(frame: Option<&GatewayFrame>) -> (&'static str, Value) {
    let Some(frame) = frame else {
        return ("ignored", Value::Null);
    };
    match frame {
        GatewayFrame::Ack(frame) => ("ack", ack(frame)),
        GatewayFrame::Welcome(_) => ("welcome", body(&frame.to_json())),
        GatewayFrame::Ping(data) => ("ping", ping(data, &frame.to_json())),
        GatewayFrame::Pong(data) => ("pong", ping(data, &frame.to_json())),
        GatewayFrame::Goaway(_) => ("goaway", body(&frame.to_json())),
        GatewayFrame::Close(_) => ("close", body(&frame.to_json())),
    }
}

/// A JSON frame without its name.
fn body(json: &str) -> Value {
    let mut members: Map<String, Value> = serde_json::from_str(json).unwrap();
    members.remove("t");
    members.into()
}

fn ping(ping: &Ping, json: &str) -> Value {
    let body = body(json);
    if body["d"].is_number() { body } else { json!({ "bytes_hex": hex(&ping.bytes()) }) }
}

fn events(batch: &Batch<'_>, compression: u8) -> Value {
    let flags = compression | if batch.lossy { 4 } else { 0 };
    let records: Vec<Value> = batch.iter().map(|raw| record(&raw)).collect();
    assert_eq!(records.len(), batch.count as usize);
    assert_eq!(batch.payload_bytes, batch.iter().map(|raw| raw.payload_len() as u64).sum::<u64>());
    json!({ "flags": flags, "first_seq": batch.first_seq, "records": records })
}

fn record(raw: &Raw<'_>) -> Value {
    let record = match *raw {
        Raw::Structured(payload) => Record { payload, ..Record::default() },
        Raw::Record(record) => record,
        Raw::Http(_) => panic!("no frame holds a request"),
    };
    let mut members = Map::new();
    members.insert("alias".into(), record.alias.into());
    if record.present > 15 {
        members.insert("present".into(), record.present.into());
    }
    text("key", record.key, &mut members);
    if let Some(time_ms) = record.time_ms {
        members.insert("time".into(), time_ms.into());
    }
    text("id", record.id, &mut members);
    if let Some(attributes) = record.attributes {
        match serde_json::from_slice(attributes) {
            Ok(attributes) => members.insert("attributes".into(), attributes),
            Err(_) => members.insert("attributes_hex".into(), hex(attributes).into()),
        };
    }
    members.insert("payload_hex".into(), hex(record.payload).into());
    members.into()
}

fn text(name: &str, bytes: Option<&[u8]>, members: &mut Map<String, Value>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => None,
        Some((_, Ok(text))) => members.insert(name.into(), text.into()),
        Some((bytes, Err(_))) => members.insert(format!("{name}_hex"), hex(bytes).into()),
    };
}

fn ack(ack: &Ack) -> Value {
    let item = |item: &tidegate_wire::Rejection| json!({ "seq": item.seq, "code": item.code, "message": item.message });
    json!({
        "upto": ack.upto,
        "level": ack.level,
        "limit": ack.limit,
        "limit_bytes": ack.limit_bytes,
        "reason": ack.reason,
        "retry_ms": ack.retry_ms,
        "list": ack.list.iter().map(item).collect::<Vec<_>>(),
    })
}
