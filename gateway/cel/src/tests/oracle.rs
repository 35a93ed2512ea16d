//! The same expressions and events, judged by the crate `cel`.

use std::collections::HashMap;

use cel::{Context, Program as Oracle, Value as Theirs};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::*;

/// What both say, as one text.
fn theirs(expression: &str, kind: &str, payload: &Json) -> String {
    let program = Oracle::compile(expression).unwrap_or_else(|errors| panic!("{expression}: {errors}"));
    let mut context = Context::default();
    context.add_variable_from_value("type", kind);
    context.add_variable_from_value("event", read(&json!({ "type": kind })));
    context.add_variable_from_value("data", read(payload));
    match program.execute(&context) {
        Err(_) => "fault".to_owned(),
        Ok(Theirs::Bool(value)) => value.to_string(),
        Ok(Theirs::Int(value)) => value.to_string(),
        Ok(Theirs::UInt(value)) => format!("{value}u"),
        Ok(Theirs::Float(value)) => format!("{value:?}"),
        Ok(Theirs::String(text)) => format!("{text:?}"),
        Ok(Theirs::Null) => "null".to_owned(),
        Ok(Theirs::List(_)) => "list".to_owned(),
        Ok(Theirs::Map(_)) => "map".to_owned(),
        Ok(Theirs::Duration(duration)) => format!("{}ns", duration.num_nanoseconds().unwrap()),
        Ok(other) => panic!("{expression}: {other:?}"),
    }
}

/// Numbers as integers where they are written so.
fn read(json: &Json) -> Theirs {
    match json {
        Json::Null => Theirs::Null,
        Json::Bool(value) => Theirs::Bool(*value),
        Json::Number(number) => {
            let unsigned = || number.as_u64().map(Theirs::UInt);
            number
                .as_i64()
                .map(Theirs::Int)
                .or_else(unsigned)
                .unwrap_or(Theirs::Float(number.as_f64().unwrap()))
        }
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(read).collect::<Vec<_>>().into(),
        Json::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), read(value)))
            .collect::<HashMap<String, Theirs>>()
            .into(),
    }
}

fn ours(expression: &str, kind: &str, payload: &Json) -> String {
    give(expression, &[("type", kind)], Some(&payload.to_string()), |value| match value {
        Err(_) => "fault".to_owned(),
        value => shown(value),
    })
}

#[track_caller]
fn agree(expression: &str, kind: &str, payload: &Json) {
    let refused = Compiler::default().value(expression).err();
    assert_eq!(refused, None, "{expression}");
    assert_eq!(
        ours(expression, kind, payload),
        theirs(expression, kind, payload),
        "{expression} of {payload}"
    );
}

/// Integers, and now and then something else.
fn whole() -> impl Strategy<Value = Option<Json>> {
    prop_oneof![
        6 => (-3i64..4).prop_map(|value| Some(json!(value))),
        1 => Just(Some(json!(i64::MAX))),
        1 => Just(Some(json!(i64::MIN))),
        1 => Just(Some(json!(false))),
        1 => Just(Some(Json::Null)),
        1 => Just(None),
    ]
}

fn text() -> impl Strategy<Value = Option<Json>> {
    prop_oneof![
        6 => "[ab\u{e9}\"\\\\\n]{0,3}".prop_map(|value| Some(json!(value))),
        1 => Just(Some(json!(1))),
        1 => Just(None),
    ]
}

fn object() -> impl Strategy<Value = Json> {
    let double = prop_oneof![
        Just(None),
        prop::sample::select(&[0.5f64, -1.5, 2.25, 1e300]).prop_map(|value| Some(json!(value)))
    ];
    let bool =
        prop_oneof![Just(None), any::<bool>().prop_map(|value| Some(json!(value))), Just(Some(json!(1)))];
    let list =
        prop_oneof![Just(None), prop::collection::vec(-3i64..4, 0..4).prop_map(|list| Some(json!(list)))];
    (whole(), whole(), text(), text(), double, bool, list).prop_map(|(i, j, s, t, d, b, l)| {
        let fields = [("i", i), ("j", j), ("s", s), ("t", t), ("d", d), ("b", b), ("l", l)];
        Json::Object(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    })
}

fn payload() -> impl Strategy<Value = Json> {
    let rows =
        prop_oneof![Just(None), prop::collection::vec(object(), 0..3).prop_map(|rows| Some(json!(rows)))];
    (object(), prop::option::of(object()), rows).prop_map(|(top, inner, rows)| {
        let mut top = match top {
            Json::Object(top) => top,
            _ => Map::new(),
        };
        top.extend(inner.map(|inner| ("o".to_owned(), inner)));
        top.extend(rows.map(|rows| ("rows".to_owned(), rows)));
        Json::Object(top)
    })
}

/// Where a field is taken from.
fn base() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["data", "data", "data.o", "data['o']", "data.rows[0]"])
}

fn integers() -> BoxedStrategy<String> {
    let field = (base(), prop::sample::select(&["i", "j"])).prop_map(|(base, name)| format!("{base}.{name}"));
    let leaf = prop_oneof![3 => field, 2 => (-3i64..4).prop_map(|value| value.to_string()), 1 => Just("size(data.l)".to_owned())];
    leaf.prop_recursive(2, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(&["+", "-", "*", "/", "%"]), inner.clone())
                .prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            inner.prop_map(|a| format!("-({a})")),
        ]
    })
    .boxed()
}

fn texts() -> BoxedStrategy<String> {
    let field = (base(), prop::sample::select(&["s", "t"])).prop_map(|(base, name)| format!("{base}.{name}"));
    let literal =
        prop::sample::select(&["'a'", "'b'", "''", "'a\u{e9}'", "\"\\\"\"", "'\\n'"]).prop_map(str::to_owned);
    prop_oneof![3 => field, 1 => Just("type".to_owned()), 1 => Just("event.type".to_owned()), 2 => literal]
        .boxed()
}

fn conditions() -> BoxedStrategy<String> {
    let relation = prop::sample::select(&["==", "!=", "<", "<=", ">", ">="]);
    let doubles = base().prop_map(|base| format!("{base}.d"));
    let leaf = prop_oneof![
        2 => base().prop_map(|base| format!("{base}.b")),
        1 => Just("true".to_owned()),
        3 => (integers(), relation.clone(), integers()).prop_map(|(a, relation, b)| format!("{a} {relation} {b}")),
        2 => (doubles, relation.clone(), integers()).prop_map(|(a, relation, b)| format!("{a} {relation} {b}")),
        2 => (texts(), relation, texts()).prop_map(|(a, relation, b)| format!("{a} {relation} {b}")),
        2 => (texts(), prop::sample::select(&["startsWith", "endsWith", "contains"]), texts())
            .prop_map(|(a, name, b)| format!("{a}.{name}({b})")),
        1 => (texts(), prop::sample::select(&["^a", "b$", "[ab]+", "\\\\n"])).prop_map(|(a, regex)| format!("{a}.matches('{regex}')")),
        1 => (base(), prop::sample::select(&["i", "s", "o", "none"])).prop_map(|(base, name)| format!("has({base}.{name})")),
        1 => integers().prop_map(|a| format!("{a} in data.l")),
        1 => integers().prop_map(|a| format!("{a} in [0, 1, -3]")),
        1 => texts().prop_map(|a| format!("{a} in ['a', 'b', '']")),
        1 => texts().prop_map(|a| format!("{a} in data.o")),
        1 => prop::sample::select(&["data.i == 'text'", "data.i == null", "data.s != null", "data.i != 1.0"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), prop::sample::select(&["&&", "||"]), inner.clone())
                .prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            1 => inner.clone().prop_map(|a| format!("!({a})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            1 => (prop::sample::select(&["exists", "all"]), inner.clone(), integers())
                .prop_map(|(name, a, b)| format!("data.rows.{name}(x, x.i == {b} || {a})")),
            1 => (prop::sample::select(&["exists", "all"]), inner).prop_map(|(name, a)| format!("data.l.{name}(x, x > 0 && {a})")),
        ]
    })
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_oracle_agrees(expression in conditions(), kind in "[ab]{0,2}", payload in payload()) {
        if Compiler::default().value(&expression).is_ok() {
            agree(&expression, &kind, &payload);
        }
    }

    #[test]
    fn the_oracle_agrees_on_values(expression in prop_oneof![integers(), texts()], payload in payload()) {
        if Compiler::default().value(&expression).is_ok() {
            agree(&expression, "a", &payload);
        }
    }
}

/// Where Tidegate differs on purpose: what it says, and what the other does.
#[test]
fn deliberate_differences() {
    let payload = json!({ "i": 2, "d": 1.5, "s": "a", "l": [1], "m": { "a": 1 } });
    for (expression, here, there) in [
        // A number of the payload may be written either way: 2 or 2.0.
        ("data.i * 1.5", "3.0", "fault"),
        ("data.i + data.d", "3.5", "fault"),
        // Texts are not joined: that would need room for what they become.
        ("data.s + data.s", "fault", "\"aa\""),
        // Lists and maps are not compared.
        ("data.l == data.l", "fault", "true"),
        ("data.m == data.m", "fault", "true"),
    ] {
        assert_eq!(ours(expression, "a", &payload), here, "{expression}");
        assert_eq!(theirs(expression, "a", &payload), there, "{expression}");
    }
}
