//! Which of a route's events are kept.

use serde::Deserialize;

use super::{OnError, check_names};
use crate::config::condition::Condition;
use crate::config::findings::Findings;

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
    }
    let names = filters.iter().map(|filter| filter.name.as_deref());
    check_names("filter", &format!("routes.{route}.filters"), names, findings);
    if filters.len() > FILTERS_MAX {
        let message = format!("{} filters in one route", filters.len());
        findings.refuse(&format!("routes.{route}.filters"), message, "at most 256: join some by `||`");
    }
}
