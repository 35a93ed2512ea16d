//! Which of a route's events are kept.

use serde::Deserialize;

use super::condition::Condition;
use super::findings::Findings;

/// The most filters of one route.
const FILTERS_MAX: usize = 256;

/// A filter: events for which it says so go no further, and are counted as `filtered`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// What its counters are called; its position in the route, from 1, if not written.
    #[serde(default)]
    pub name: Option<String>,
    /// Only events for which it holds are kept. This or `drop`.
    #[serde(default)]
    pub keep: Option<Condition>,
    /// Events for which it holds are dropped. This or `keep`.
    #[serde(default)]
    pub drop: Option<Condition>,
    /// What becomes of events for which it has no value: a field is absent or of another type.
    #[serde(default)]
    pub on_error: OnError,
    /// It drops nothing and counts what it would have dropped.
    #[serde(default)]
    pub shadow: bool,
}

/// What becomes of an event that a rule has no answer for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// It goes on.
    #[default]
    Keep,
    /// It does not.
    Drop,
}

/// Whether `name` may be a label of a rule.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

pub(super) fn check(route: usize, filters: &[Filter], findings: &mut Findings<'_>) {
    for (index, filter) in filters.iter().enumerate() {
        let place = format!("routes.{route}.filters.{index}");
        match (&filter.keep, &filter.drop) {
            (Some(_), Some(_)) => {
                findings.refuse(&format!("{place}.drop"), "both `keep` and `drop`", "write one of them");
            }
            (None, None) => {
                findings.refuse(&place, "neither `keep` nor `drop`", "say which events: keep = 'data.a > 1'");
            }
            _ => {}
        }
        for (key, condition) in [("keep", &filter.keep), ("drop", &filter.drop)] {
            if let Some(condition) = condition {
                condition.check(&format!("{place}.{key}"), findings);
            }
        }
        let Some(name) = &filter.name else { continue };
        if !is_name(name) {
            let help = "write 1 to 64 letters, digits, `-`, `_` or `.`";
            findings.refuse(&format!("{place}.name"), format!("`{name}` cannot be a name"), help);
        }
        if filters.iter().take(index).any(|above| above.name.as_ref() == Some(name)) {
            let help = "its counters could not be told apart: give it another one";
            findings.refuse(
                &format!("{place}.name"),
                format!("`{name}` is the name of a filter above"),
                help,
            );
        }
    }
    if filters.len() > FILTERS_MAX {
        let message = format!("{} filters in one route", filters.len());
        findings.refuse(&format!("routes.{route}.filters"), message, "at most 256: join some by `||`");
    }
}
