//! JSON Schema: every draft that the crate `jsonschema` knows. Nothing is ever fetched or read for a `$ref`.

use std::collections::HashSet;

use jsonschema::{PatternOptions, Registry, Retrieve, Uri, Validator};
use serde_json::Value;

use super::{Mismatch, Reference};

/// What one pattern may compile to, in bytes.
const PATTERN_BYTES: usize = 1024 * 1024;
/// What relative names of references are relative to.
const BASE: &str = "json-schema:///";

/// A JSON Schema, compiled.
#[derive(Debug)]
pub(super) struct JsonSchema {
    validator: Validator,
    /// Whether it can be told in bounded time why data does not fit. Of a schema that applies itself through alternatives the
    /// library looks for the reasons of each alternative, and of each of theirs: data could be made so that this never ends.
    /// Whether data fits it remembers, and always knows soon.
    tells_why: bool,
}

impl JsonSchema {
    pub(super) fn parse(text: &str, references: &[Reference]) -> Result<Self, String> {
        let schema = json(text)?;
        let mut registry = Registry::new().retriever(Nowhere);
        for reference in references {
            let document = json(&reference.text).map_err(|why| format!("`{}`: {why}", reference.name))?;
            let uri = if reference.name.contains(':') {
                reference.name.clone()
            } else {
                format!("{BASE}{}", reference.name.trim_start_matches('/'))
            };
            registry = registry.add(uri, document).map_err(|error| error.to_string())?;
        }
        let registry = registry.prepare().map_err(|error| unresolved(&schema, &error.to_string()))?;
        // Linear in the text, whatever the pattern; what such an engine cannot do (looking around) is refused here.
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES);
        let options = jsonschema::options().with_retriever(Nowhere).with_registry(&registry);
        let validator = options.with_pattern_options(patterns).with_base_uri(BASE).build(&schema);
        let tells_why = references.is_empty() && !is_recursive(&schema);
        validator.map(|validator| Self { validator, tells_why }).map_err(|error| match error.kind() {
            jsonschema::error::ValidationErrorKind::Referencing(error) => {
                unresolved(&schema, &error.to_string())
            }
            _ => format!("at `{}`: {error}", error.instance_path()),
        })
    }

    pub(super) fn check(&self, data: &Value) -> Result<(), Mismatch> {
        if self.validator.is_valid(data) {
            return Ok(());
        }
        if !self.tells_why {
            return Err(Mismatch::new("it does not fit the schema, which applies itself"));
        }
        self.validator.validate(data).map_err(|error| {
            let what = format!("{} (`{}`)", error.masked_with("it"), error.schema_path());
            Mismatch::new(what).at(error.instance_path().as_str())
        })
    }
}

/// Whether the schema may apply itself to parts of the data: a reference within what it leads to, or one of which that
/// cannot be told.
fn is_recursive(schema: &Value) -> bool {
    fn visit<'s>(
        part: &'s Value,
        root: &'s Value,
        entered: &mut Vec<&'s str>,
        done: &mut HashSet<&'s str>,
    ) -> bool {
        match part {
            Value::Object(members) => members.iter().any(|(name, value)| {
                let target = value
                    .as_str()
                    .filter(|_| matches!(name.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef"));
                let Some(target) = target else { return visit(value, root, entered, done) };
                if done.contains(target) {
                    return false;
                }
                let Some(led_to) = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) else {
                    return true;
                };
                if name != "$ref" || led_to == root || entered.contains(&target) {
                    return true;
                }
                entered.push(target);
                let is_recursive = visit(led_to, root, entered, done);
                entered.pop();
                done.insert(target);
                is_recursive
            }),
            Value::Array(items) => items.iter().any(|item| visit(item, root, entered, done)),
            _ => false,
        }
    }
    visit(schema, schema, &mut Vec::new(), &mut HashSet::new())
}

/// Where a `$ref` leads that is not in the schema itself.
struct Nowhere;

impl Retrieve for Nowhere {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err("nothing is fetched or read for a schema".into())
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))
}

/// Says which reference it is that leads nowhere.
fn unresolved(schema: &Value, error: &str) -> String {
    let remote =
        foreign(schema, String::new()).find(|(_, target)| error.contains(target.trim_end_matches('#')));
    match remote {
        Some((at, target)) => format!(
            "at `{at}`: the reference `{target}` leads out of the schema, and nothing is fetched or read for it: write \
             what it stands for into `$defs`"
        ),
        None => error.to_owned(),
    }
}

/// References that are no mere fragments, and where they are.
fn foreign(schema: &Value, at: String) -> Box<dyn Iterator<Item = (String, &str)> + '_> {
    match schema {
        Value::Object(members) => Box::new(members.iter().flat_map(move |(name, value)| {
            let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            let target = value
                .as_str()
                .filter(|target| name.ends_with("ef") && name.starts_with('$') && !target.starts_with('#'));
            target.map(|target| (at.clone(), target)).into_iter().chain(foreign(value, at))
        })),
        Value::Array(items) => Box::new(
            items.iter().enumerate().flat_map(move |(index, item)| foreign(item, format!("{at}/{index}"))),
        ),
        _ => Box::new(std::iter::empty()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(schema: &Value) -> Result<JsonSchema, String> {
        JsonSchema::parse(&schema.to_string(), &[])
    }

    #[track_caller]
    fn says(schema: &Value, data: &Value, expected: &str) {
        let said = parse(schema).unwrap().check(data).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn a_mismatch_names_the_place_the_rule_and_nothing_of_the_data() {
        let schema = json!({"type": "object", "required": ["id"], "properties": {
            "id": {"type": "string", "pattern": "^[a-z]+$"},
            "items": {"type": "array", "items": {"properties": {"price": {"minimum": 0}}}}}});
        assert_eq!(parse(&schema).unwrap().check(&json!({"id": "a", "items": [{"price": 1}]})), Ok(()));
        says(
            &schema,
            &json!({"id": "a", "items": [{"price": 1}, {"price": -5}]}),
            "`data/items/1/price`: it is less than the minimum of 0 (`/properties/items/items/properties/price/minimum`)",
        );
        says(&schema, &json!({}), "`data`: \"id\" is a required property");
        let said = parse(&schema).unwrap().check(&json!({"id": "SECRET"})).unwrap_err().to_string();
        assert!(!said.contains("SECRET") && said.contains("`data/id`"), "{said}");
    }

    #[test]
    fn what_leads_out_of_the_schema_is_refused_with_its_place() {
        for (target, at) in [
            ("https://example.com/a.json", "/properties/a/$ref"),
            ("file:///etc/passwd", "/properties/a/$ref"),
            ("b.json#/x", "/properties/a/$ref"),
        ] {
            let why = parse(&json!({"properties": {"a": {"$ref": target}}})).unwrap_err();
            assert!(why.contains(at) && why.contains("leads out of the schema"), "{target}: {why}");
        }
    }

    #[test]
    fn what_cannot_be_a_schema_is_refused_with_its_place() {
        for (schema, why) in [
            (json!({"type": "number", "minimum": "x"}), "`/minimum`"),
            (json!({"properties": {"a": {"type": "strnig"}}}), "`/properties/a/type`"),
            (json!({"properties": {"a": {"pattern": "(?=a)b"}}}), "pattern"),
            (json!({"properties": {"a": {"pattern": "(a{1000}){1000}"}}}), "pattern"),
        ] {
            let said = parse(&schema).unwrap_err();
            assert!(said.contains(why), "{schema}: {said}");
        }
        assert!(JsonSchema::parse("{", &[]).unwrap_err().contains("not JSON"));
    }

    #[test]
    fn references_that_are_given_are_followed() {
        let reference = Reference { name: "customer.json".into(), text: r#"{"required":["name"]}"#.into() };
        let text = r#"{"properties":{"customer":{"$ref":"customer.json"}}}"#;
        let schema = JsonSchema::parse(text, &[reference]).unwrap();
        assert_eq!(schema.check(&json!({"customer": {"name": "a"}})), Ok(()));
        assert!(schema.check(&json!({"customer": {}})).is_err());
    }

    #[test]
    fn formats_are_judged_as_the_drafts_have_it() {
        for (draft, is_judged) in [
            ("http://json-schema.org/draft-07/schema#", true),
            ("https://json-schema.org/draft/2020-12/schema", false),
        ] {
            let schema = parse(&json!({"$schema": draft, "format": "date-time"})).unwrap();
            assert_eq!(schema.check(&json!("yesterday")).is_err(), is_judged, "{draft}");
        }
    }

    #[test]
    fn who_may_apply_itself_is_told_from_who_only_refers() {
        for (schema, expected) in [
            (
                json!({"$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a"}, "y": {"$ref": "#/$defs/a"}}}),
                false,
            ),
            (json!({"properties": {"x": {"$ref": "#"}}}), true),
            (
                json!({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}}),
                true,
            ),
            (json!({"$ref": "#anchor", "$defs": {"a": {"$anchor": "anchor"}}}), true),
        ] {
            assert_eq!(is_recursive(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn recursion_through_alternatives_does_not_explode() {
        let schema = json!({"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": [
            {"type": "object", "properties": {"c": {"$ref": "#/$defs/n"}}, "required": ["x"]},
            {"type": "object", "properties": {"c": {"$ref": "#/$defs/n"}}, "required": ["y"]}]}}});
        let mut data = json!({});
        (0..60).for_each(|_| data = json!({"c": data}));
        let said = parse(&schema).unwrap().check(&data).unwrap_err().to_string();
        assert_eq!(said, "`data`: it does not fit the schema, which applies itself");
    }
}
