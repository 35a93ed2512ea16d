//! One record of many events.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::{OnError, is_name};
use crate::config::age::Age;
use crate::config::condition::Expression;
use crate::config::findings::Findings;
use crate::config::routes::Route;

/// The longest window: until it ends its events are in memory, and with their clients, unacknowledged.
const WINDOW_MAX: Duration = Duration::from_secs(5 * 60);
/// The most groups of one window.
const GROUPS_MAX: u32 = 100_000;
/// The most values.
const VALUES_MAX: usize = 16;
/// The longest type, in bytes.
const KIND_BYTES_MAX: usize = 256;

/// Many events become one record: all of a window that have the same key.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// What events of one group have in common; without it, or without a value of it, they are a group of their own.
    #[serde(default)]
    pub key: Option<Expression>,
    /// How long a window is, by the wall clock; at most 5 minutes.
    pub window: Age,
    /// Numbers of which sum, min, max, mean and last are told, by the names under which they are.
    #[serde(default)]
    pub values: BTreeMap<String, Expression>,
    /// How many groups a window has at most; one more closes them all early.
    #[serde(default = "default_groups_max")]
    pub groups_max: u32,
    /// The `type` of the record.
    #[serde(default = "default_kind", rename = "type")]
    pub kind: String,
    /// What becomes of events for which the key or a number has no value: they count without it, or are dropped.
    #[serde(default)]
    pub on_error: OnError,
}

fn default_groups_max() -> u32 {
    10_000
}

fn default_kind() -> String {
    "tidegate.aggregate".into()
}

impl Aggregate {
    /// Its expressions.
    pub(in crate::config) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.key.iter().chain(self.values.values())
    }
}

pub(super) fn check(route: usize, of: &Route, findings: &mut Findings<'_>) {
    let Some(aggregate) = &of.aggregate else { return };
    let place = format!("routes.{route}.aggregate");
    let Aggregate { key, window, values, groups_max, kind, .. } = aggregate;
    if of.key.is_some() {
        let message = "a route with `aggregate` makes records of groups, whose key is the group's";
        findings.refuse(
            &format!("routes.{route}.key"),
            message,
            "write the key in `aggregate`, and only there",
        );
    }
    if let Some(key) = key {
        key.check(&format!("{place}.key"), findings);
    }
    if window.0.is_zero() || window.0 > WINDOW_MAX {
        let message = format!("a window of {window}");
        let help = "write \"1s\" to \"5m\": until it ends its events are in memory, and with their clients, \
                    unacknowledged; longer ones are made of these by whoever reads the topic";
        findings.refuse(&format!("{place}.window"), message, help);
    }
    if !(1..=GROUPS_MAX).contains(groups_max) {
        let help = "write 1 to 100000: each group is in memory until its window ends";
        findings.refuse(&format!("{place}.groups_max"), format!("{groups_max} groups"), help);
    }
    if values.len() > VALUES_MAX {
        let message = format!("{} values", values.len());
        findings.refuse(
            &format!("{place}.values"),
            message,
            "at most 16: use a route for each kind of event",
        );
    }
    for (name, value) in values {
        let path = format!("{place}.values.{name}");
        if !is_name(name) {
            let help = "write 1 to 64 letters, digits, `-`, `_` or `.`";
            findings.refuse(&format!("{place}.values"), format!("`{name}` cannot be a name"), help);
        }
        value.check_number(&path, findings);
    }
    if kind.is_empty() || kind.len() > KIND_BYTES_MAX || kind.chars().any(char::is_control) {
        let help = "write 1 to 256 bytes, such as \"com.example.summary\"";
        findings.refuse(&format!("{place}.type"), format!("{kind:?} cannot be a type"), help);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn with(aggregate: &str, more: &str) -> String {
        format!("[[routes]]\ntopic = \"a\"\n{more}aggregate = {{ {aggregate} }}\n")
    }

    #[track_caller]
    fn refuses(text: &str, parts: &[&str]) {
        let report = Config::parse("t.toml", text).unwrap_err().to_string();
        for part in parts {
            assert!(report.contains(part), "no `{part}` in:\n{report}");
        }
        assert!(report.contains("help: "), "{report}");
    }

    #[test]
    fn what_is_left_out_has_defaults() {
        let config = Config::parse("t.toml", &with("window = \"1m\"", "")).unwrap();
        let aggregate = config.routes.first().unwrap().aggregate.clone().unwrap();
        assert_eq!((aggregate.groups_max, aggregate.kind.as_str()), (10_000, "tidegate.aggregate"));
        assert!(aggregate.key.is_none() && aggregate.values.is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_would_be_right() {
        let minute = |more: &str| with(&format!("window = \"1m\", {more}"), "");
        refuses(&with("key = 'source'", ""), &["`window` is missing"]);
        refuses(&with("window = \"0s\"", ""), &["a window of 0s", "t.toml:3:24", "\"1s\" to \"5m\""]);
        refuses(&with("window = \"6m\"", ""), &["a window of 6m", "unacknowledged"]);
        refuses(&minute("groups_max = 0"), &["0 groups", "1 to 100000"]);
        refuses(&minute("groups_max = 100001"), &["100001 groups"]);
        refuses(&minute("type = \"\""), &["cannot be a type"]);
        refuses(&minute("key = 'data.'"), &["t.toml:3:"]);
        refuses(&minute("values = { n = '\"a\"' }"), &["this is a string, but must be a number"]);
        refuses(&minute("values = { n = 'data.a > 1' }"), &["this is a bool"]);
        refuses(&minute("values = { \"a b\" = 'data.a' }"), &["`a b` cannot be a name"]);
        refuses(&minute("on_error = \"fail\""), &["on_error cannot be `fail`"]);
        refuses(&minute("values_max = 7"), &["unknown key `values_max`"]);
        let many: Vec<_> = (0..17).map(|n| format!("v{n} = 'data.v{n}'")).collect();
        refuses(&minute(&format!("values = {{ {} }}", many.join(", "))), &["17 values", "at most 16"]);
        refuses(&with("window = \"1m\"", "key = 'source'\n"), &["t.toml:3:7", "only there"]);
    }
}
