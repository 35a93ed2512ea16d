//! What needs no session: checking, decoding, and all the way from a frame to records.

use std::hint::black_box;
use std::sync::Arc;

use tidegate::access::Grant;
use tidegate::config::{Action, Condition, Filter, OnError, Redact, Route};
use tidegate::pipeline::{Encodes, Ids, Pipeline, Sender, Stamp, Untold};
use tidegate::record::Records;
use tidegate_wire::body::BodyKind;
use tidegate_wire::{Aliases, Batch, ClientFrame, Define, Event, Frames, Limits, json};

use super::Scenario;
use super::events::{self, ATTRIBUTES, BATCH, NOW_MS};

/// Checks that data is JSON.
pub(super) struct Check {
    data: Vec<String>,
}

impl Check {
    pub(super) fn new() -> Self {
        Self { data: events::data() }
    }
}

impl Scenario for Check {
    fn run(&mut self) {
        for data in &self.data {
            black_box(json::check(black_box(data.as_bytes()), 64).unwrap());
        }
    }
}

/// From what was received to judged events.
pub(super) struct Decode {
    received: Received,
    aliases: Aliases,
    limits: Limits,
}

/// What a carrier brought.
enum Received {
    Frame(Vec<u8>),
    Text(String),
    Lines(String),
}

impl Decode {
    pub(super) fn structured() -> Self {
        Self::of(Received::Frame(events::structured_frame(1)))
    }

    pub(super) fn by_alias() -> Self {
        Self::of(Received::Frame(events::alias_frame(1)))
    }

    pub(super) fn json_coding() -> Self {
        let events = events::structured().join(",");
        Self::of(Received::Text(format!(r#"{{"t":"ev","s":1,"e":[{events}]}}"#)))
    }

    pub(super) fn ndjson() -> Self {
        Self::of(Received::Lines(events::structured().join("\n")))
    }

    fn of(received: Received) -> Self {
        let (aliases, limits) = (aliases(), Limits::default());
        Self { received, aliases, limits }
    }
}

impl Scenario for Decode {
    fn run(&mut self) {
        let mut count = 0;
        for raw in &batch(&self.received, &self.limits) {
            let mut event = Event::default();
            event.fill(&raw, &self.aliases, &self.limits).unwrap();
            black_box(&event);
            count += 1;
        }
        assert_eq!(count, BATCH);
    }
}

/// From a frame to records.
pub(super) struct Encode {
    decode: Decode,
    pipeline: Pipeline,
    grant: Arc<Grant>,
    records: Records,
}

impl Encode {
    pub(super) fn structured() -> Self {
        Self::of(Decode::structured(), &[])
    }

    pub(super) fn by_alias() -> Self {
        Self::of(Decode::by_alias(), &[])
    }

    /// With a filter that looks into the payload, and keeps everything.
    pub(super) fn filtered() -> Self {
        Self::with(Decode::by_alias(), &["data.total > 0.0"])
    }

    /// As [`Self::filtered`], of whole events.
    pub(super) fn filtered_structured() -> Self {
        Self::with(Decode::structured(), &["data.total > 0.0"])
    }

    /// With 100 filters, which keep everything.
    pub(super) fn hundred() -> Self {
        let keep = [
            "data.total < 20.0 || data.order != 'x'",
            "data.customer.id > 3",
            "type == 'x' || data.items[0] >= 0",
            "!data.order.contains('zz')",
        ];
        let hundred: Vec<_> = keep.into_iter().cycle().take(100).collect();
        Self::with(Decode::by_alias(), &hundred)
    }

    fn with(decode: Decode, keep: &[&str]) -> Self {
        let filters = keep.iter().map(|text| {
            let keep = Some(Condition::parse(text).unwrap());
            Filter { name: None, keep, drop: None, on_error: OnError::Drop, shadow: false }
        });
        Self::of(decode, &[Route { filters: filters.collect(), ..Route::to_events() }])
    }

    /// With one value removed and one masked.
    pub(super) fn redacted() -> Self {
        let redact = vec![redact("data.customer.id", Action::Remove), redact("data.order", Action::Mask)];
        Self::of(Decode::by_alias(), &[Route { redact, ..Route::to_events() }])
    }

    /// With one value hashed.
    pub(super) fn hashed() -> Self {
        let redact = vec![redact("data.customer.id", Action::Hash)];
        Self::of(Decode::by_alias(), &[Route { redact, ..Route::to_events() }])
    }

    fn of(decode: Decode, routes: &[Route]) -> Self {
        let pipeline =
            Pipeline::new(Limits::default(), routes, &["events".to_owned()], Encodes::ByRoute).unwrap();
        Self { decode, pipeline, grant: Arc::new(Grant::open()), records: Records::default() }
    }
}

impl Scenario for Encode {
    fn run(&mut self) {
        self.records.reset(256 * 1024);
        let sender = Sender { grant: &self.grant, aliases: &self.decode.aliases };
        let ids = Ids::Numbered { prefix: "web-1-1790000000000-", first_seq: 100_000 };
        let mut stamp = Stamp::new(NOW_MS, "/default/web-1", Some("web-1"), ids);
        let rules = self.pipeline.rules();
        for (index, raw) in (0..).zip(&batch(&self.decode.received, &self.decode.limits)) {
            rules.run(&raw, index, sender, &mut stamp, &mut self.records, &mut Untold).unwrap();
        }
        assert_eq!(self.records.len(), BATCH as usize);
    }
}

fn redact(path: &str, action: Action) -> Redact {
    let key = (action == Action::Hash).then(|| "0123456789abcdef".into());
    let path = path.to_owned();
    Redact {
        name: None,
        path,
        action,
        key,
        pattern: None,
        ignore_case: false,
        on_error: OnError::Drop,
        shadow: false,
    }
}

fn batch<'a>(received: &'a Received, limits: &'a Limits) -> Batch<'a> {
    let frame = match black_box(received) {
        Received::Frame(bytes) => {
            let frame = Frames::new(bytes, limits).next().unwrap().unwrap();
            ClientFrame::from_binary(frame, limits)
        }
        Received::Text(text) => ClientFrame::from_json(text, limits),
        Received::Lines(lines) => return BodyKind::Lines.parse(lines.as_bytes(), limits).unwrap(),
    };
    match frame.unwrap() {
        ClientFrame::Events(batch) => batch,
        other => panic!("not events: {other:?}"),
    }
}

fn aliases() -> Aliases {
    let mut aliases = Aliases::default();
    aliases.define(&Define { alias: 1, attributes: ATTRIBUTES.into() }, &Limits::default()).unwrap();
    aliases
}
