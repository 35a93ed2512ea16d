//! Values that have hardly changed.

use serde::Deserialize;

use super::OnError;
use super::key::{self, Key};
use crate::config::age::Age;
use crate::config::condition::Expression;
use crate::config::findings::Findings;

/// An event whose value differs from the last one that passed, with the same key, by no more than so much goes no further and is
/// counted as `filtered`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Deadband {
    /// Whose value it is; if not written, that of the route as a whole.
    #[serde(default)]
    pub key: Option<Key>,
    /// The value, a number.
    pub value: Expression,
    /// What passes differs by more than this; 0 lets every change pass. This or `change_percent`.
    #[serde(default)]
    pub change: Option<f64>,
    /// The same in percent of the last value that passed.
    #[serde(default)]
    pub change_percent: Option<f64>,
    /// After so long without one the next passes whatever its value: "1s" to "7d". Not, if not written.
    #[serde(default)]
    pub silence_max: Option<Age>,
    /// How many keys are remembered, each in at most 120 bytes; beyond it the one seen longest ago is forgotten, and passes again.
    /// 100,000 if not written: 12 MB.
    #[serde(default = "key::default_keys_max")]
    pub keys_max: u32,
    /// What becomes of events that have no key or no number.
    #[serde(default)]
    pub on_error: OnError,
    /// It drops nothing and counts what it would have dropped.
    #[serde(default)]
    pub shadow: bool,
}

pub(super) fn check(path: &str, deadband: &Deadband, findings: &mut Findings<'_>) {
    if let Some(key) = &deadband.key {
        key.check(&format!("{path}.key"), findings);
    }
    deadband.value.check_number(&format!("{path}.value"), findings);
    match (deadband.change, deadband.change_percent) {
        (Some(_), Some(_)) => {
            findings.refuse(
                &format!("{path}.change_percent"),
                "both `change` and `change_percent`",
                "write one",
            );
        }
        (None, None) => {
            let help = "say how far a value must move: change = 0.5 or change_percent = 2.0";
            findings.refuse(path, "neither `change` nor `change_percent`", help);
        }
        _ => {}
    }
    for (name, change) in [("change", deadband.change), ("change_percent", deadband.change_percent)] {
        if change.is_some_and(|change| !(change.is_finite() && change >= 0.0)) {
            let help = "write 0, with which every change passes, or more";
            findings.refuse(&format!("{path}.{name}"), "not a distance", help);
        }
    }
    if let Some(silence_max) = deadband.silence_max {
        super::check_span(&format!("{path}.silence_max"), silence_max, findings);
    }
    key::check_keys_max(path, deadband.keys_max, findings);
}
