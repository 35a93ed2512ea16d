//! Members of the payload that get another name or value, or go.

use serde::Deserialize;
use tidegate_cel::Problem;
use tidegate_cel::edit::Path;

use super::{OnError, check_names};
use crate::config::condition::Expression;
use crate::config::findings::Findings;

/// The most of them in one route: each is a pass over the payload.
const FIELDS_MAX: usize = 64;

/// One change of the payload: `rename` and `to`, or `set` and `value`, or `drop`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// What its counters are called; its position in the route, from 1, if not written.
    #[serde(default)]
    pub name: Option<String>,
    /// The member that gets another name, in the same object.
    #[serde(default)]
    pub rename: Option<String>,
    /// Its new name.
    #[serde(default)]
    pub to: Option<String>,
    /// The member or element that gets a value.
    #[serde(default)]
    pub set: Option<String>,
    /// The value.
    #[serde(default)]
    pub value: Option<Expression>,
    /// What goes; also several, by `*`, `[*]` and `**`.
    #[serde(default)]
    pub drop: Option<String>,
    /// What becomes of events that it cannot be done with.
    #[serde(default)]
    pub on_error: OnError,
    /// It changes nothing and counts what it would have changed.
    #[serde(default)]
    pub shadow: bool,
}

pub(super) fn check(route: usize, fields: &[Field], findings: &mut Findings<'_>) {
    let section = format!("routes.{route}.fields");
    for (index, field) in fields.iter().enumerate() {
        field.check(&format!("{section}.{index}"), findings);
    }
    let names = fields.iter().map(|field| field.name.as_deref());
    check_names("field", &section, names, findings);
    if fields.len() > FIELDS_MAX {
        let message = format!("{} fields in one route", fields.len());
        findings.refuse(&section, message, format!("each is a pass over the payload: at most {FIELDS_MAX}"));
    }
}

impl Field {
    fn check(&self, place: &str, findings: &mut Findings<'_>) {
        let at = |key: &str| format!("{place}.{key}");
        let verbs = [("rename", &self.rename), ("set", &self.set), ("drop", &self.drop)];
        let mut written = verbs.into_iter().filter_map(|(verb, path)| Some((verb, path.as_deref()?)));
        match (written.next(), written.next()) {
            (None, _) => {
                let help = "say what: rename = \"data.a\" with to = \"b\", set = \"data.a\" with value = '1', or drop = \"data.a\"";
                findings.refuse(place, "neither `rename` nor `set` nor `drop`", help);
            }
            (Some((first, _)), Some((second, _))) => {
                let help = "one thing in each [[routes.fields]], in the order in which they are done";
                findings.refuse(&at(second), format!("both `{first}` and `{second}`"), help);
            }
            (Some((verb, path)), None) => check_path(&at(verb), verb, path, findings),
        }
        for (verb, has_verb, with, has_with, example) in [
            ("rename", self.rename.is_some(), "to", self.to.is_some(), "to = \"b\""),
            ("set", self.set.is_some(), "value", self.value.is_some(), "value = '\"shop\"'"),
        ] {
            match (has_verb, has_with) {
                (true, false) => {
                    findings.refuse(&at(verb), format!("`{verb}` without `{with}`"), format!("add {example}"))
                }
                (false, true) => {
                    findings.refuse(&at(with), format!("`{with}` is for `{verb}`"), "leave it out")
                }
                _ => {}
            }
        }
        let from = self.rename.as_deref().and_then(|path| Path::parse(path).ok());
        if self.to.is_some() && from.as_ref().and_then(Path::name) == self.to.as_deref() {
            findings.refuse(&at("to"), "this is the name that it has", "give another one");
        }
        if let Some(value) = &self.value {
            value.check(&at("value"), findings);
        }
    }
}

fn check_path(place: &str, verb: &str, text: &str, findings: &mut Findings<'_>) {
    if let Err(problem) = path_for(verb, text) {
        findings.refuse_within(place, &problem.at, problem.message, problem.help);
    }
}

/// Reads the path of a `verb`.
fn path_for(verb: &str, text: &str) -> Result<Path, Problem> {
    let refuse = |message: &str, help: &str| {
        Err(Problem { at: 0..text.len(), message: message.to_owned(), help: help.to_owned() })
    };
    let path = Path::parse(text)?;
    match verb {
        "drop" if path.ends_deep() => {
            refuse("everything at any depth cannot be dropped", "drop the member that it is in: data.user")
        }
        "rename" | "set" if !path.is_exact() => refuse(
            "this may be in several places",
            "write out every step: data.user.name or data.items[0].name",
        ),
        "rename" if path.name().is_none() => {
            refuse("an element has no name", "rename a member: data.items[0].a")
        }
        _ => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_suit_their_verbs() {
        for (verb, path, is_right) in [
            ("drop", "data.*.a", true),
            ("drop", "data.a.**", false),
            ("set", "data.a[0]", true),
            ("set", "data.*", false),
            ("rename", "data.a[0].b", true),
            ("rename", "data.a[0]", false),
            ("rename", "data.**.a", false),
        ] {
            assert_eq!(path_for(verb, path).is_ok(), is_right, "{verb} {path}");
        }
    }
}
