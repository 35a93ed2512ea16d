//! What has been before.

use serde::Deserialize;

use super::OnError;
use super::key::{self, Key};
use crate::config::age::Age;
use crate::config::findings::Findings;

/// Of the events with one key the first passes, and the others of a time are counted as `duplicate`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Dedup {
    /// What events are known by; if not written, `source` and `id`, as CloudEvents have it.
    #[serde(default = "identity")]
    pub key: Key,
    /// How long after the first another one is a duplicate: "1s" to "7d".
    pub window: Age,
    /// How many keys are remembered, each in at most 112 bytes; beyond it the one seen longest ago is forgotten, and passes again.
    /// 100,000 if not written: 11 MB.
    #[serde(default = "key::default_keys_max")]
    pub keys_max: u32,
    /// What becomes of events that have no key.
    #[serde(default)]
    pub on_error: OnError,
    /// It drops nothing and counts what it would have dropped.
    #[serde(default)]
    pub shadow: bool,
}

fn identity() -> Key {
    Key::of(&["source", "id"])
}

pub(super) fn check(path: &str, dedup: &Dedup, findings: &mut Findings<'_>) {
    dedup.key.check(&format!("{path}.key"), findings);
    super::check_span(&format!("{path}.window"), dedup.window, findings);
    key::check_keys_max(path, dedup.keys_max, findings);
}
