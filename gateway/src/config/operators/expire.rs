//! Events that are too old.

use serde::Deserialize;

use crate::config::age::Age;
use crate::config::findings::Findings;

/// Events whose `time` is longer ago than `after` go no further, and are refused as `expired`. What has no `time` of its
/// own is as old as its arrival. `expirytime` is heeded with or without this.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Expire {
    /// How old an event may be when it is received.
    pub after: Age,
    /// It drops nothing and counts what it would have dropped.
    #[serde(default)]
    pub shadow: bool,
}

pub(super) fn check(path: &str, expire: &Expire, findings: &mut Findings<'_>) {
    if expire.after.0.is_zero() {
        let help = "every event would be: write at least \"1s\"";
        findings.refuse(&format!("{path}.after"), "expired after no time", help);
    }
}
