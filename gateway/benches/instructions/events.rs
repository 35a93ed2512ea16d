//! The events of all scenarios: 200 bytes of JSON each, no two the same, the same in every run.

use tidegate_wire::{BatchWriter, Record};

/// Events in a batch.
pub(super) const BATCH: u32 = 64;
const EVENT_BYTES: usize = 200;
/// 2026-09-21T14:13:20Z.
pub(super) const NOW_MS: u64 = 1_790_000_000_000;

/// What an alias stands for.
pub(super) const ATTRIBUTES: &str = r#"{"type":"shop.order.placed","source":"/shop/web"}"#;

/// Whole events of 200 bytes.
pub(super) fn structured() -> Vec<String> {
    (0..BATCH)
        .map(|n| {
            let head = format!(
                r#"{{"type":"shop.order.placed","subject":"order-{n}","time":"2026-09-21T14:13:{:02}.250Z","data":{{"total":{}.95,"paid":true,"items":[{n},7],"note":""#,
                n % 60,
                100 + n,
            );
            padded(head)
        })
        .collect()
}

/// Data of 200 bytes.
pub(super) fn data() -> Vec<String> {
    (0..BATCH)
        .map(|n| {
            let head = format!(
                r#"{{"order":"order-{n}","customer":{{"id":{},"new":false}},"total":{}.95,"paid":true,"items":[{n},7],"coupon":null,"data":{{"note":""#,
                184_467 + n,
                100 + n,
            );
            padded(head)
        })
        .collect()
}

/// A binary EVENTS frame of whole events.
pub(super) fn structured_frame(first_seq: u64) -> Vec<u8> {
    let mut writer = BatchWriter::default();
    structured().iter().for_each(|event| writer.structured(event.as_bytes()));
    frame(writer, first_seq)
}

/// A binary EVENTS frame of events by alias 1, each with its time.
pub(super) fn alias_frame(first_seq: u64) -> Vec<u8> {
    let mut writer = BatchWriter::default();
    for (n, data) in (0..).zip(data()) {
        let payload = data.as_bytes();
        writer.record(&Record { alias: 1, time_ms: Some(NOW_MS + n), payload, ..Record::default() });
    }
    frame(writer, first_seq)
}

fn frame(mut writer: BatchWriter, first_seq: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    writer.finish(first_seq, false, None, &mut bytes).unwrap();
    bytes
}

/// Ends a note within two objects.
fn padded(mut text: String) -> String {
    const END: &str = "\"}}";
    while text.len() + END.len() < EVENT_BYTES {
        text.push(if text.len().is_multiple_of(6) { ' ' } else { 'x' });
    }
    text.push_str(END);
    assert_eq!(text.len(), EVENT_BYTES);
    text
}
