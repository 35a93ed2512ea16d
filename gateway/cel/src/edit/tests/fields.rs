use super::super::{Edited, Field};
use super::*;
use crate::{Fault, Malformed, Moment, Text, Value};

fn edit(
    path: &str,
    payload: &str,
    edit: impl Fn(&Field, &mut Buffers, &mut Vec<u8>) -> Result<Edited, EditError>,
) -> Result<String, Result<Fault, EditError>> {
    let field = Field::new(&Path::parse(path).unwrap()).unwrap();
    let (mut buffers, mut out) = (Buffers::default(), b"from before".to_vec());
    match edit(&field, &mut buffers, &mut out) {
        Ok(Edited::Changed) => {
            serde_json::from_slice::<&serde_json::value::RawValue>(&out).unwrap();
            Ok(String::from_utf8(out).unwrap())
        }
        Ok(Edited::Unchanged) => Ok(payload.to_owned()),
        Ok(Edited::Fault(fault)) => Err(Ok(fault)),
        Err(error) => Err(Err(error)),
    }
}

fn rename(path: &str, to: &str, payload: &str) -> Result<String, Result<Fault, EditError>> {
    edit(path, payload, |field, buffers, out| field.rename(to, payload, BYTES_MAX, buffers, out))
}

fn set(path: &str, value: Value<'_>, payload: &str) -> Result<String, Result<Fault, EditError>> {
    edit(path, payload, |field, buffers, out| field.set(value, payload, BYTES_MAX, buffers, out))
}

#[test]
fn a_name_is_all_that_a_rename_changes() {
    for (path, payload, expected) in [
        ("data.a", r#"{ "a" : [1 ,2], "c":"a"}"#, r#"{ "b" : [1 ,2], "c":"a"}"#),
        ("data.a", r#"{"c":{"b":1},"\u0061":0}"#, r#"{"c":{"b":1},"b":0}"#),
        ("data.x[1].a", r#"{"x":[{"a":1},{"a":2}],"a":3}"#, r#"{"x":[{"a":1},{"b":2}],"a":3}"#),
        ("data.a", "{}", "{}"),
        ("data.a", r#"{"b":1}"#, r#"{"b":1}"#),
        ("data.a.a", r#"{"a":null}"#, r#"{"a":null}"#),
        ("data.x[7].a", r#"{"x":[]}"#, r#"{"x":[]}"#),
    ] {
        assert_eq!(rename(path, "b", payload).as_deref(), Ok(expected), "{path}");
    }
    assert_eq!(rename("data.a", "\"\n", r#"{"a":1}"#).as_deref(), Ok(r#"{"\"\n":1}"#));
}

#[test]
fn a_name_that_is_taken_or_there_twice_is_not_given() {
    for payload in [r#"{"a":1,"b":2}"#, r#"{"\u0062":1,"a":2}"#] {
        assert_eq!(rename("data.a", "b", payload), Err(Ok(Fault::Duplicate)), "{payload}");
    }
    for payload in [r#"{"a":1,"a":2}"#, r#"{"a":1,"b":2,"b":3}"#] {
        let refused = rename("data.a", "b", payload);
        assert!(matches!(refused, Err(Err(EditError::Malformed(Malformed::Duplicate(_))))), "{payload}");
    }
    assert_eq!(rename("data.a.b", "c", r#"{"a":[]}"#), Err(Ok(Fault::Type)));
}

#[test]
fn a_value_replaces_or_follows() {
    let one = Value::Int(1);
    for (path, payload, expected) in [
        ("data.a", "{}", r#"{"a":1}"#),
        ("data.a", "{ }", r#"{"a":1 }"#),
        ("data.a", r#"{ "b" : 2 }"#, r#"{ "b" : 2,"a":1 }"#),
        ("data.a", r#"{"a":{"x":[]},"b":2}"#, r#"{"a":1,"b":2}"#),
        ("data['\"']", "{}", r#"{"\"":1}"#),
        ("data[1]", "[0, \"x\"]", "[0, 1]"),
        ("data.a[0].b", r#"{"a":[{}]}"#, r#"{"a":[{"b":1}]}"#),
    ] {
        assert_eq!(set(path, one, payload).as_deref(), Ok(expected), "{path}: {payload}");
    }
    for (path, payload, fault) in [
        ("data.a.b", "{}", Fault::Absent),
        ("data.a.b", r#"{"a":null}"#, Fault::Absent),
        ("data.a.b", r#"{"a":1}"#, Fault::Type),
        ("data[1]", "[0]", Fault::Absent),
        ("data[0]", "{}", Fault::Type),
        ("data.a", "[]", Fault::Type),
    ] {
        assert_eq!(set(path, one, payload), Err(Ok(fault)), "{path}: {payload}");
    }
    let twice = set("data.a", one, r#"{"a":1,"a":2}"#);
    assert!(matches!(twice, Err(Err(EditError::Malformed(Malformed::Duplicate(_))))));
    assert_eq!(
        set("data.a", Value::Text(Text::plain(&"a".repeat(BYTES_MAX))), "{}"),
        Err(Err(EditError::TooLong))
    );
}

#[test]
fn every_value_has_its_json() {
    for (value, json) in [
        (Value::Null, "null"),
        (Value::Bool(true), "true"),
        (Value::Int(i64::MIN), "-9223372036854775808"),
        (Value::Uint(u64::MAX), "18446744073709551615"),
        (Value::Double(1.0), "1.0"),
        (Value::Double(-1.5e300), "-1.5e300"),
        (Value::Text(Text::plain("a\"\u{e9}")), "\"a\\\"\u{e9}\""),
        (Value::Text(Text::json("\\u0041", true)), "\"\\u0041\""),
        (Value::Moment(Moment::from_millis(1)), "\"1970-01-01T00:00:00.001Z\""),
    ] {
        assert_eq!(set("data.a", value, "{}"), Ok(format!("{{\"a\":{json}}}")));
    }
    for (value, fault) in [
        (Value::Double(f64::NAN), Fault::Range),
        (Value::Double(f64::INFINITY), Fault::Range),
        (Value::Moment(Moment::from_millis(-1)), Fault::Range),
        (Value::Moment(Moment::from_millis(i64::MAX)), Fault::Range),
        (Value::Duration(1), Fault::Type),
        (Value::List("[]"), Fault::Type),
        (Value::Map("{}"), Fault::Type),
    ] {
        assert_eq!(set("data.a", value, "{}"), Err(Ok(fault)));
    }
}

#[test]
fn a_field_is_in_one_place() {
    for path in ["data.*", "data[*].a", "data.**.a"] {
        assert!(Field::new(&Path::parse(path).unwrap()).is_err(), "{path}");
    }
}
