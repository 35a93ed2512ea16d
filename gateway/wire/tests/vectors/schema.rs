//! `json-frames.schema.json` against the other files. Only the keywords that it uses are understood here; any other fails.

use serde_json::{Map, Value};

use super::{Fill, entries, frames, violations};

struct Schema(Value);

impl Schema {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/json-frames.schema.json");
        Self(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    }

    fn allows(&self, definition: &str, value: &Value) -> bool {
        self.holds(&self.0["$defs"][definition], value)
    }

    fn holds(&self, schema: &Value, value: &Value) -> bool {
        let schema = schema.as_object().unwrap_or_else(|| panic!("no schema: {schema}"));
        schema.iter().all(|(keyword, rule)| self.keyword(keyword, rule, schema, value))
    }

    fn keyword(&self, keyword: &str, rule: &Value, schema: &Map<String, Value>, value: &Value) -> bool {
        let list = || rule.as_array().unwrap();
        match keyword {
            "description" => true,
            "$ref" => self.allows(rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap(), value),
            "anyOf" => list().iter().any(|schema| self.holds(schema, value)),
            "not" => !self.holds(rule, value),
            "const" => equal(value, rule),
            "enum" => list().iter().any(|rule| equal(value, rule)),
            "type" => rule
                .as_array()
                .map_or_else(|| is(value, rule), |kinds| kinds.iter().any(|kind| is(value, kind))),
            "required" => value
                .as_object()
                .is_none_or(|members| list().iter().all(|name| members.contains_key(name.as_str().unwrap()))),
            "properties" => value.as_object().is_none_or(|members| {
                let mut properties = rule.as_object().unwrap().iter();
                properties
                    .all(|(name, schema)| members.get(name).is_none_or(|member| self.holds(schema, member)))
            }),
            "prefixItems" => value
                .as_array()
                .is_none_or(|items| list().iter().zip(items).all(|(schema, item)| self.holds(schema, item))),
            "items" => value.as_array().is_none_or(|items| items.iter().all(|item| self.holds(rule, item))),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "maxLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap())
            }
            "pattern" => {
                assert_eq!(rule, "^[A-Za-z0-9._:-]{1,128}$");
                value.as_str().is_none_or(tidegate_wire::is_client_name)
            }
            _ => panic!("unknown keyword {keyword} in {schema:?}"),
        }
    }
}

/// Numbers are equal by value, not by spelling.
fn equal(value: &Value, other: &Value) -> bool {
    value == other || value.is_number() && value.as_f64() == other.as_f64()
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no type is called {other}"),
    }
}

#[test]
fn every_frame_is_allowed() {
    let schema = Schema::read();
    for vector in entries::<frames::Vector>("frames.json") {
        let Some(json) = &vector.json else {
            continue;
        };
        let value: Value = serde_json::from_str(json).unwrap();
        assert!(schema.allows(&format!("{}_frame", vector.from), &value), "{}", vector.name);
        let definition = if vector.r#type == "ignored" { "later" } else { &vector.r#type };
        assert!(schema.allows(definition, &value), "{}", vector.name);
    }
}

/// What no schema can say: lengths in bytes, spellings of a number, sums, texts that are none.
const BEYOND_A_SCHEMA: [&str; 7] = [
    "hello: the version as a fraction",
    "hello of 8193 bytes",
    "ping of a number longer than a double",
    "pong of a number longer than a double",
    "a frame of 524289 bytes",
    "a frame of a later version, too large too",
    "ev: the last number is beyond 2^53-1",
];

#[test]
fn every_violation_that_is_json_is_not() {
    let schema = Schema::read();
    let mut refused = 0;
    for vector in entries::<violations::Vector>("violations.json") {
        let text =
            vector.text.as_ref().map(|text| Fill::apply(vector.fill.as_ref(), text)).unwrap_or_default();
        let Ok(value) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        let allowed = schema.allows(&format!("{}_frame", vector.from), &value);
        assert_eq!(allowed, BEYOND_A_SCHEMA.contains(&&*vector.name), "{}: {}", vector.name, vector.close);
        refused += u32::from(!allowed);
    }
    assert!(refused > 50, "{refused}");
}
