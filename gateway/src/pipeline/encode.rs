//! An event as a Kafka record (`CloudEvents` Kafka protocol binding 1.0).

use tidegate_wire::{Attribute, Event};

use crate::record::{Draft, Encoding};

/// Completes the record of one event.
pub(super) fn encode(mut draft: Draft<'_>, encoding: Encoding, event: &Event<'_>, key: Option<&str>) {
    if let Some(key) = key {
        draft.key(|out| out.extend_from_slice(key.as_bytes()));
    }
    match encoding {
        Encoding::Structured => draft.value(|out| event.write_structured(out)),
        Encoding::Binary => binary(&mut draft, event),
    }
    draft.push();
}

fn binary(draft: &mut Draft<'_>, event: &Event<'_>) {
    for (name, value) in event.attributes() {
        let text = value.text();
        let header: &[&str] =
            if name == Attribute::Datacontenttype.name() { &["content-type"] } else { &["ce_", name] };
        draft.header(header, |out| out.extend_from_slice(text.as_bytes()));
    }
    if !event.data.is_none() {
        draft.value(|out| out.extend_from_slice(&event.data.bytes().unwrap_or_default()));
    }
}
