//! What routes do with their events: one file an operator.

mod aggregate;
mod deadband;
mod dedup;
mod expire;
mod fields;
mod filter;
mod key;
mod redact;
mod sample;
mod throttle;
mod validate;

use std::time::Duration;

use serde::Deserialize;

pub use self::aggregate::Aggregate;
pub use self::deadband::Deadband;
pub use self::dedup::Dedup;
pub use self::expire::Expire;
pub use self::fields::Field;
pub use self::filter::Filter;
pub use self::key::Key;
pub use self::redact::{Action, Redact, Secret};
pub use self::sample::Sample;
pub use self::throttle::Throttle;
pub use self::validate::{SchemaFile, Validate};
use super::age::Age;
use super::condition::Expression;
use super::findings::Findings;
use super::routes::Route;

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

/// Checks the operators of the route at this position.
pub(super) fn check(index: usize, route: &Route, findings: &mut Findings<'_>) {
    let path = |operator: &str| format!("routes.{index}.{operator}");
    if let Some(written) = &route.expire {
        expire::check(&path("expire"), written, findings);
    }
    throttle::check(&path("throttle"), &route.throttle, findings);
    filter::check(index, &route.filters, findings);
    validate::check(index, route, findings);
    if let Some(written) = &route.sample {
        sample::check(&path("sample"), written, findings);
    }
    if let Some(written) = &route.dedup {
        dedup::check(&path("dedup"), written, findings);
    }
    redact::check(index, &route.redact, findings);
    fields::check(index, &route.fields, findings);
    if let Some(written) = &route.deadband {
        deadband::check(&path("deadband"), written, findings);
    }
    aggregate::check(index, route, findings);
}

/// The expressions of these operators that are asked of the event as it came.
pub(super) fn expressions(route: &Route) -> impl Iterator<Item = &str> {
    let throttles = route.throttle.iter().filter_map(|throttle| throttle.key.as_ref());
    let keys = throttles.chain(route.sample.iter().map(|sample| &sample.key));
    let keys = keys.chain(route.dedup.iter().map(|dedup| &dedup.key));
    let deadband = route
        .deadband
        .iter()
        .flat_map(|deadband| deadband.key.iter().flat_map(|key| &key.0).chain([&deadband.value]));
    let aggregate = route.aggregate.iter().flat_map(Aggregate::expressions);
    keys.flat_map(|key| &key.0).chain(deadband).chain(aggregate).map(Expression::text)
}

/// Refuses a span of time that rules cannot remember.
fn check_span(path: &str, span: Age, findings: &mut Findings<'_>) {
    const SPAN_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    if span.0.is_zero() || span.0 > SPAN_MAX {
        findings.refuse(path, format!("a time of {span}"), "write \"1s\" to \"7d\"");
    }
}

/// Whether `name` may be a label of a route or a rule.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Checks the names of rules of one kind, a `what`, written at `path`.
fn check_names<'n>(
    what: &str,
    path: &str,
    names: impl Iterator<Item = Option<&'n str>>,
    findings: &mut Findings<'_>,
) {
    let mut above = Vec::new();
    for (index, name) in names.enumerate() {
        let Some(name) = name else { continue };
        let path = format!("{path}.{index}.name");
        if !is_name(name) {
            let help = "write 1 to 64 letters, digits, `-`, `_` or `.`";
            findings.refuse(&path, format!("`{name}` cannot be a name"), help);
        }
        if above.contains(&name) {
            let help = "its counters could not be told apart: give it another one";
            findings.refuse(&path, format!("`{name}` is the name of a {what} above"), help);
        }
        above.push(name);
    }
}

#[cfg(test)]
mod tests;
