//! More of a kind than may pass in a time.

use serde::Deserialize;

use super::key::{self, Key};
use super::{OnError, check_names};
use crate::config::findings::Findings;

/// The most such rules of one route.
const THROTTLES_MAX: usize = 16;
const PER_SECOND: std::ops::RangeInclusive<f64> = 0.001..=1e6;
const BURST_MAX: u32 = 1_000_000;

/// Of the events with one key so many pass in a second; the others are counted as `throttled`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// What its counters are called; its position in the route, from 1, if not written.
    #[serde(default)]
    pub name: Option<String>,
    /// What events are counted by; if not written, all of the route together.
    #[serde(default)]
    pub key: Option<Key>,
    /// How many pass, over time; 0.1 is one in ten seconds.
    pub events_per_second: f64,
    /// How many may pass at once; if not written, those of a second, and at least one.
    #[serde(default)]
    pub burst: Option<u32>,
    /// How many keys are remembered, each in at most 55 bytes; beyond it the one seen longest ago is forgotten, and has a whole
    /// burst again. 100,000 if not written: 5.5 MB.
    #[serde(default)]
    pub keys_max: Option<u32>,
    /// What becomes of events that have no key.
    #[serde(default)]
    pub on_error: OnError,
    /// It drops nothing and counts what it would have dropped.
    #[serde(default)]
    pub shadow: bool,
}

impl Throttle {
    /// How many may pass at once.
    pub fn burst(&self) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 1 and a million, and saturates before it was checked"
        )]
        let second = self.events_per_second.ceil() as u32;
        self.burst.unwrap_or(second.max(1))
    }

    /// How many keys are remembered.
    pub fn keys_max(&self) -> u32 {
        match self.key {
            Some(_) => self.keys_max.unwrap_or_else(key::default_keys_max),
            None => 1,
        }
    }
}

pub(super) fn check(path: &str, throttles: &[Throttle], findings: &mut Findings<'_>) {
    for (index, throttle) in throttles.iter().enumerate() {
        let path = format!("{path}.{index}");
        if !PER_SECOND.contains(&throttle.events_per_second) {
            let message = format!("{} events a second", throttle.events_per_second);
            let help = "write 0.001, which is one in 1,000 seconds, to 1000000";
            findings.refuse(&format!("{path}.events_per_second"), message, help);
        }
        if let Some(burst) = throttle.burst
            && !(1..=BURST_MAX).contains(&burst)
        {
            let message = format!("{burst} events at once");
            findings.refuse(&format!("{path}.burst"), message, "write 1 to 1,000,000");
        }
        if let Some(key) = &throttle.key {
            key.check(&format!("{path}.key"), findings);
        } else if throttle.keys_max.is_some() {
            let help = "without `key` the route is counted as a whole: say by what, as in key = 'source'";
            findings.refuse(&format!("{path}.keys_max"), "`keys_max` without `key`", help);
        }
        key::check_keys_max(&path, throttle.keys_max(), findings);
    }
    let names = throttles.iter().map(|throttle| throttle.name.as_deref());
    check_names("throttle", path, names, findings);
    if throttles.len() > THROTTLES_MAX {
        findings.refuse(path, format!("{} throttles in one route", throttles.len()), "use at most 16");
    }
}
