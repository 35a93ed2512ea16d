//! A share of all events.

use serde::Deserialize;

use super::OnError;
use super::key::Key;
use crate::config::findings::Findings;

const RATE_MAX: u32 = 1_000_000_000;

/// One event in `rate` passes, chosen by its key and nothing else; the others are counted as `sampled`. What passes says so by
/// `sampledrate`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// One in how many.
    pub rate: u32,
    /// What is chosen: all events with the same key, or none. `id` if not written, which chooses events one by one.
    #[serde(default = "id")]
    pub key: Key,
    /// What becomes of events that have no key.
    #[serde(default)]
    pub on_error: OnError,
    /// It drops and marks nothing, and counts what it would have dropped.
    #[serde(default)]
    pub shadow: bool,
}

fn id() -> Key {
    Key::of(&["id"])
}

pub(super) fn check(path: &str, sample: &Sample, findings: &mut Findings<'_>) {
    if !(1..=RATE_MAX).contains(&sample.rate) {
        let help = "write 1, which keeps all, to 1,000,000,000";
        findings.refuse(&format!("{path}.rate"), format!("one event in {}", sample.rate), help);
    }
    sample.key.check(&format!("{path}.key"), findings);
}
