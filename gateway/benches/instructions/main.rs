//! What `scripts/instructions` counts: the work of the hot path on batches of 64 events, a scenario at a time.
//!
//! Without an argument it names the scenarios. With one it runs that scenario; only what happens within [`counted`] is
//! meant to be counted, and it says how many batches and events that was.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong here must not be counted")]

mod events;
mod pure;
mod session;

use std::io::{self, Write as _};

/// Batches until buffers have their size and what is made once is made.
const WARM_UP_BATCHES: u32 = 4;
const COUNTED_BATCHES: u32 = 50;

/// What can be counted. Scenarios overlap: decoding is the first half of what `pipeline-*` does, and both are in `session`.
const SCENARIOS: [(&str, Make); 14] = [
    ("json-check", || Box::new(pure::Check::new())),
    ("decode-structured", || Box::new(pure::Decode::structured())),
    ("decode-alias", || Box::new(pure::Decode::by_alias())),
    ("decode-json", || Box::new(pure::Decode::json_coding())),
    ("decode-ndjson", || Box::new(pure::Decode::ndjson())),
    ("pipeline-structured", || Box::new(pure::Encode::structured())),
    ("pipeline-alias", || Box::new(pure::Encode::by_alias())),
    ("pipeline-filter", || Box::new(pure::Encode::filtered())),
    ("pipeline-filter-structured", || Box::new(pure::Encode::filtered_structured())),
    ("pipeline-100-filters", || Box::new(pure::Encode::hundred())),
    ("pipeline-redact", || Box::new(pure::Encode::redacted())),
    ("pipeline-hash", || Box::new(pure::Encode::hashed())),
    ("ack", || Box::new(session::Acknowledge::new())),
    ("session", || Box::new(session::Converse::new())),
];

type Make = fn() -> Box<dyn Scenario>;

/// The work on one batch after the other.
trait Scenario {
    /// What must have happened before the next batch, and is not counted.
    fn prepare(&mut self) {}

    /// What is counted.
    fn run(&mut self);
}

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    let Some(wanted) = std::env::args().nth(1) else {
        return SCENARIOS.iter().try_for_each(|(name, _)| writeln!(out, "{name}"));
    };
    let Some((_, make)) = SCENARIOS.iter().find(|(name, _)| *name == wanted) else {
        return Err(io::Error::other(format!("there is no scenario {wanted}")));
    };
    let mut scenario = make();
    for _ in 0..WARM_UP_BATCHES {
        scenario.prepare();
        scenario.run();
    }
    for _ in 0..COUNTED_BATCHES {
        scenario.prepare();
        counted(&mut *scenario);
    }
    writeln!(out, "{COUNTED_BATCHES} {}", COUNTED_BATCHES * events::BATCH)
}

/// The script turns counting on and off at this function, by its name.
#[inline(never)]
fn counted(scenario: &mut dyn Scenario) {
    scenario.run();
}
