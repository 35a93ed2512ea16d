//! `validate`: whether an event's data is as its schema says, and how it is written where records name their schema.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_cel::Fault;
use tidegate_wire::{Attribute, Code, Data, Event, Limits, Reject};

use crate::config::{OnError, Route, Validate as Written};
use crate::pipeline::tally::{Did, Operator, Tally, Verdict};
use crate::pipeline::trace::{Cost, Step};
use crate::schema::{Format, Mismatch, Schema, Subject, Subjects, Unreachable, read_value};

/// What is kept of a buffer that a long value has grown.
const KEEP_BYTES: usize = 65_536;

/// A schema or several, ready to be asked.
#[derive(Debug)]
pub(in crate::pipeline) struct Validate {
    by: By,
    pub(super) tally: Tally,
    written: Written,
}

#[derive(Debug)]
enum By {
    /// JSON Schemas by the type of events, and that of all other types.
    Files { by_type: HashMap<String, Schema>, other: Option<Schema> },
    /// What a registry has.
    Subject { subject: Option<Arc<Subject>>, unreachable: Unreachable, is_framed: bool },
}

/// A record's value that begins with the number of its schema (Confluent's wire format), as long as the event it was made of is
/// judged.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Frame {
    value: Vec<u8>,
    /// Which data it was made of: edits put others in its place.
    of: Option<(usize, usize)>,
}

impl Validate {
    /// `None` if the route has no schema. What cannot be compiled was refused by the configuration.
    pub(super) fn new(route: &Route, subjects: &Subjects) -> Option<Self> {
        let written = route.validate.as_ref()?;
        let by = match written.wanted(&route.topic) {
            Some(wanted) => By::Subject {
                subject: subjects.get(&wanted.name).map(Arc::clone),
                unreachable: subjects.unreachable(),
                is_framed: written.is_framed(),
            },
            None => By::Files {
                by_type: written
                    .schemas
                    .iter()
                    .filter_map(|(kind, file)| Some((kind.clone(), file.parse().ok()?)))
                    .collect(),
                other: written.json_schema.as_ref().and_then(|file| file.parse().ok()),
            },
        };
        let tally = Tally::new(Operator::Validate, None, 0, written.shadow);
        Some(Self { by, tally, written: written.clone() })
    }

    /// Goes on counting where `before` is, if that is written the same.
    pub(super) fn succeed(&mut self, before: &Self) {
        if self.written == before.written {
            self.tally.succeed(&before.tally);
        }
    }

    /// The subject that must be known before an event may be taken.
    pub(super) fn awaits(&self) -> Option<&Arc<Subject>> {
        match &self.by {
            By::Subject { subject, unreachable: Unreachable::Hold, .. } => subject.as_ref(),
            _ => None,
        }
    }

    /// Whether an event goes on, and else what it is told. Its data must have been checked.
    pub(super) fn judge(
        &self,
        event: &Event<'_>,
        limits: &Limits,
        frame: &mut Frame,
    ) -> (Did, Result<(), Reject>) {
        let fits = self.fits(event, limits, frame);
        let is_unknown =
            |unreachable| if unreachable == Unreachable::Refuse { OnError::Drop } else { OnError::Keep };
        let (did, why) = match (fits, &self.by) {
            (Some(fits), _) => (self.tally.judge(Ok(fits.is_err()), OnError::Keep), fits.err()),
            (None, By::Subject { unreachable, is_framed, .. }) => {
                let otherwise = if *is_framed { OnError::Drop } else { is_unknown(*unreachable) };
                let why = Mismatch::new("its schema is not known yet: the schema registry was not reached");
                (self.tally.judge(Err(Fault::Unready), otherwise), Some(why))
            }
            // No schema is for events of its type.
            (None, By::Files { .. }) => (self.tally.judge(Ok(false), OnError::Keep), None),
        };
        match why.filter(|_| did.verdict == Verdict::Dropped) {
            Some(why) => (did, Err(refusal("", &why))),
            None => (did, Ok(())),
        }
    }

    /// The value to write in place of the event's data, and its content type, where values are framed. Data that was edited
    /// since it was judged is judged again: a frame says that what is in it fits.
    pub(in crate::pipeline) fn frame<'f>(
        &self,
        event: &Event<'_>,
        limits: &Limits,
        frame: &'f mut Frame,
    ) -> Result<Option<(&'f [u8], &'static str)>, Reject> {
        let By::Subject { is_framed: true, .. } = self.by else { return Ok(None) };
        if frame.of.is_none() || frame.of != place(event) {
            let fits = self
                .fits(event, limits, frame)
                .unwrap_or_else(|| Err(Mismatch::new("its schema is not known yet")));
            fits.map_err(|why| refusal("what the route's rules made of it does not fit its schema: ", &why))?;
        }
        let content_type = match self.written.format {
            Some(Format::Avro) => "application/vnd.confluent.avro",
            _ => "application/vnd.confluent.json",
        };
        Ok(Some((&frame.value, content_type)))
    }

    /// Whether the data fits; `None` if there is no schema to say so.
    fn fits(&self, event: &Event<'_>, limits: &Limits, frame: &mut Frame) -> Option<Result<(), Mismatch>> {
        frame.of = None;
        let bytes_max = limits.max_event_bytes as usize;
        match &self.by {
            By::Files { by_type, other } => {
                let kind = event.get(Attribute::Type).map(|value| value.text()).unwrap_or_default();
                let schema = by_type.get(&*kind).or(other.as_ref())?;
                Some(read(event).and_then(|(_, data)| schema.judge(&data, bytes_max, &mut Vec::new())))
            }
            By::Subject { subject, is_framed, .. } => {
                let known = subject.as_ref()?.known()?;
                frame.value.clear();
                frame.value.shrink_to(KEEP_BYTES);
                frame.value.push(0);
                frame.value.extend_from_slice(&known.id.to_be_bytes());
                let fits = read(event).and_then(|(json, data)| {
                    let before = frame.value.len();
                    known.schema.judge(&data, bytes_max, &mut frame.value)?;
                    if *is_framed && self.written.format == Some(Format::Json) && before == frame.value.len()
                    {
                        frame.value.extend_from_slice(json);
                    }
                    Ok(())
                });
                frame.of = place(event).filter(|_| fits.is_ok());
                Some(fits)
            }
        }
    }

    pub(super) fn step(&self) -> Step {
        let does = match (&self.by, self.written.format) {
            (By::Files { by_type, other }, _) => {
                let others = if other.is_some() { "one of all other types" } else { "other types go on" };
                format!("JSON Schemas of {} types, {others}", by_type.len())
            }
            (By::Subject { subject, is_framed, .. }, format) => {
                let name = subject.as_ref().map_or("", |subject| subject.name());
                let language = if format == Some(Format::Avro) { "Avro" } else { "JSON Schema" };
                let framed = if *is_framed { ", framed" } else { "" };
                format!("subject {name} of the schema registry, {language}{framed}")
            }
        };
        let name = self.tally.name().to_owned();
        let cost = Cost { steps: 0, looks_at_payload: true };
        Step { operator: Operator::Validate, name, is_shadow: self.tally.is_shadow(), cost, does }
    }
}

/// What the client is told; `what` comes before the reason.
fn refusal(what: &str, why: &Mismatch) -> Reject {
    let code = if why.is_too_large() { Code::TooLarge } else { Code::Schema };
    Reject { code, message: format!("{what}{why}").into() }
}

/// Which bytes the event's data is.
fn place(event: &Event<'_>) -> Option<(usize, usize)> {
    match event.data {
        Data::Json(json) | Data::Unchecked(json) => Some((json.as_ptr().addr(), json.len())),
        _ => None,
    }
}

fn read<'e>(event: &Event<'e>) -> Result<(&'e [u8], serde_json::Value), Mismatch> {
    match event.data {
        Data::Json(json) | Data::Unchecked(json) => Ok((json, read_value(json)?)),
        Data::None => Err(Mismatch::new("there is none, and its schema is for some")),
        Data::Text(_) | Data::Bytes(_) | Data::Base64(_) => {
            Err(Mismatch::new("its content type is not JSON, and its schema is for JSON"))
        }
    }
}

#[cfg(test)]
#[cfg(feature = "schemas")]
mod tests;
