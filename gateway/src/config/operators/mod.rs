//! What routes do with their events: one file an operator.

mod filter;
mod validate;

use serde::Deserialize;

pub use self::filter::Filter;
pub use self::validate::{SchemaFile, Validate};
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
    filter::check(index, &route.filters, findings);
    validate::check(index, route, findings);
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
