//! An event as a Kafka record (`CloudEvents` Kafka protocol binding 1.0).

use tidegate_wire::{Attribute, Event};

use crate::record::{Draft, Encoding};

/// The content type of a structured event.
const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";

/// Completes the record of one event; `framed` is the value in place of its data, and the content type of that.
pub(super) fn encode(
    mut draft: Draft<'_>,
    encoding: Encoding,
    event: &Event<'_>,
    framed: Option<(&[u8], &str)>,
    key: Option<&str>,
) {
    if let Some(key) = key {
        draft.key(|out| out.extend_from_slice(key.as_bytes()));
    }
    match encoding {
        Encoding::Structured => draft.value(|out| event.write_structured(out)),
        Encoding::Binary => binary(&mut draft, event, framed),
    }
    draft.push();
}

/// Completes the record for the dead-letter topic of an event that is refused. `draft` is one with headers; `encoding` is what
/// the event would have had, `reason` is what headers say of why.
pub(super) fn letter(
    mut draft: Draft<'_>,
    encoding: Encoding,
    event: &Event<'_>,
    key: Option<&str>,
    reason: &[(&str, &str)],
) {
    if let Some(key) = key {
        draft.key(|out| out.extend_from_slice(key.as_bytes()));
    }
    match encoding {
        Encoding::Structured => {
            draft.header(&["content-type"], |out| out.extend_from_slice(STRUCTURED.as_bytes()));
            draft.value(|out| event.write_structured(out));
        }
        Encoding::Binary => binary(&mut draft, event, None),
    }
    // As `deliver/kafka/refuse` writes them; and why, since Kafka is not the one to ask.
    for (name, value) in reason {
        draft.header(&["tidegate-", name], |out| out.extend_from_slice(value.as_bytes()));
    }
    draft.push();
}

fn binary(draft: &mut Draft<'_>, event: &Event<'_>, framed: Option<(&[u8], &str)>) {
    for (name, value) in event.attributes() {
        let text = match framed {
            Some((_, content_type)) if name == Attribute::Datacontenttype.name() => content_type.into(),
            _ => value.text(),
        };
        let header: &[&str] =
            if name == Attribute::Datacontenttype.name() { &["content-type"] } else { &["ce_", name] };
        draft.header(header, |out| out.extend_from_slice(text.as_bytes()));
    }
    if let Some((value, _)) = framed {
        draft.value(|out| out.extend_from_slice(value));
    } else if !event.data.is_none() {
        draft.value(|out| out.extend_from_slice(&event.data.bytes().unwrap_or_default()));
    }
}
