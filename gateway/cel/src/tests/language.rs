//! The language, a line at a time.

use super::*;

const ATTRIBUTES: [(&str, &str); 4] = [
    ("type", "sensor.reading"),
    ("subject", "kitchen \u{e9}"),
    ("time", "2026-03-01T12:00:00.5Z"),
    ("plant", "north"),
];

const PAYLOAD: &str = r#" {
  "t": 21.5, "n": -3, "big": 18446744073709551615, "huge": 1e300, "zero": 0, "minus": -0, "ok": true, "no": false, "nil": null,
  "s": "hall", "esc": "a\u00e9\n\"", "alone": "\ud800", "k\u0065y": "found", "with space": 1,
  "at": "2026-03-01T11:00:00Z", "took": "1m30s",
  "user": {"name": "ann", "tags": ["x", "y"], "age": 30, "\u006eick": {"a": 1}},
  "list": [1, 2.5, "three", [4], {"five": 5}], "empty": [], "none": {},
  "items": [{"price": 5, "sku": "a"}, {"price": 12}, {"sku": "c"}]
} "#;

#[track_caller]
fn gives(expression: &str, expected: &str) {
    assert_eq!(give(expression, &ATTRIBUTES, Some(PAYLOAD), shown), expected, "{expression}");
}

#[test]
fn attributes() {
    gives("type", "\"sensor.reading\"");
    gives("event.type == type", "true");
    gives("type.startsWith('sensor.') && subject.endsWith('\u{e9}')", "true");
    gives("source", "Absent");
    gives("has(event.source)", "false");
    gives("has(event.subject)", "true");
    gives("plant == 'north'", "true");
    gives("time > timestamp('2026-03-01T12:00:00Z')", "true");
    gives("time - timestamp('2026-03-01T11:59:59Z')", "1500000000ns");
    gives("size(subject)", "9");
}

#[test]
fn fields_of_the_payload() {
    gives("data.t", "21.5");
    gives("data.n", "-3");
    gives("data.big", "18446744073709551615u");
    gives("data.huge", "1e300");
    gives("data.minus", "-0.0");
    gives("data.nil", "null");
    gives("data.user", "map");
    gives("data.user.tags[1]", "\"y\"");
    gives("data['with space']", "1");
    gives("data.list[3][0]", "4");
    gives("data.list[4].five", "5");
    gives("data.list[5]", "Absent");
    gives("data.empty[0]", "Absent");
    gives("data.user.tags.x", "Absent");
    gives("data.nothing", "Absent");
    gives("data.s.length", "Absent");
    gives("data", "map");
}

#[test]
fn escapes_hide_nothing() {
    gives("data.key", "\"found\"");
    gives("data.user.nick.a", "1");
    gives("data.esc == 'a\u{e9}\\n\"'", "true");
    gives("data.esc.startsWith('a\u{e9}')", "true");
    gives("data.esc.contains('\u{e9}')", "true");
    gives("data.esc.matches('^a.\\n')", "true");
    gives("size(data.esc)", "4");
    gives("data.esc in ['a\u{e9}\\n\"']", "true");
    gives("data.alone == 'x'", "Surrogate");
}

#[test]
fn presence() {
    gives("has(data.user.name)", "true");
    gives("has(data.user.mail)", "false");
    gives("has(data.nil)", "true");
    gives("has(data.nothing.more)", "Absent");
    gives("has(data.s.more)", "Type");
    gives("has(data.none.a)", "false");
}

#[test]
fn comparison() {
    gives("data.t > 21", "true");
    gives("21 < data.t", "true");
    gives("data.t >= 21.5 && data.t <= 21.5", "true");
    gives("data.big > data.n", "true");
    gives("data.s < 'hank'", "true");
    gives("data.ok == true", "true");
    gives("data.nil == null", "true");
    gives("data.s == null", "false");
    gives("data.s == 1", "false");
    gives("data.s != 1", "true");
    gives("data.s < 1", "Type");
    gives("data.user == data.user", "Type");
    gives("false < true", "true");
    gives("1 == 1.0 && 1u == 1", "true");
}

#[test]
fn logic_absorbs_faults() {
    for (left, right, and, or) in [
        ("data.x", "data.no", "false", "Absent"),
        ("data.x", "data.ok", "Absent", "true"),
        ("data.s", "data.no", "false", "Type"),
        ("data.x", "data.x", "Absent", "Absent"),
        ("data.ok", "data.no", "false", "true"),
    ] {
        for (left, right) in [(left, right), (right, left)] {
            gives(&format!("{left} && {right}"), and);
            gives(&format!("{left} || {right}"), or);
        }
    }
    gives("!data.ok", "false");
    gives("!data.s", "Type");
    gives("data.ok ? 1 : data.x", "1");
    gives("data.no ? 1 : data.x", "Absent");
    gives("data.x ? 1 : 2", "Absent");
}

#[test]
fn membership() {
    gives("type in ['a', 'sensor.reading']", "true");
    gives("data.n in [1, -3]", "true");
    gives("data.n in [-3.0]", "true");
    gives("data.s in []", "false");
    gives("data.s in [data.user.name, 'hall']", "true");
    gives("'x' in data.user.tags", "true");
    gives("'z' in data.user.tags", "false");
    gives("2.5 in data.list", "true");
    gives("'name' in data.user", "true");
    gives("'nick' in data.user", "true");
    gives("'ann' in data.user", "false");
    gives("1 in data.s", "Type");
    gives("1 in data.nothing", "Absent");
}

#[test]
fn arithmetic() {
    gives("data.n + 1", "-2");
    gives("data.t * 2", "43.0");
    gives("7 / 2", "3");
    gives("-7 / 2", "-3");
    gives("-7 % 2", "-1");
    gives("7.0 / data.zero", "inf");
    gives("7 / data.zero", "DivisionByZero");
    gives("7 % data.zero", "DivisionByZero");
    gives("9223372036854775807 + 1", "Range");
    gives("-9223372036854775808 / -1", "Range");
    gives("1u - 2u", "Range");
    gives("data.big - 1u", "18446744073709551614u");
    gives("data.big + data.n", "18446744073709551612u");
    gives("-data.t", "-21.5");
    gives("data.s + 1", "Type");
    gives("data.t % 2", "Type");
    gives("duration('1h') + duration('-30m')", "1800000000000ns");
    gives("time + duration('1h') > time", "true");
}

#[test]
fn texts() {
    gives("data.s.contains('al')", "true");
    gives("data.s.contains('')", "true");
    gives("data.s.endsWith('x')", "false");
    gives("data.s.matches('^h.l+$')", "true");
    gives("matches(data.s, r'\\d')", "false");
    gives("data.n.contains('1')", "Type");
    gives("data.s.contains(data.n)", "Type");
    gives("data.s.size()", "4");
    gives("size(data.list)", "5");
    gives("size(data.user)", "4");
    gives("size(data.empty) + size(data.none)", "0");
    gives("size(data.n)", "Type");
}

#[test]
fn times() {
    gives("timestamp(data.at) < time", "true");
    gives("time - timestamp(data.at) > duration('59m')", "true");
    gives("duration(data.took) == duration('90s')", "true");
    gives("timestamp(data.s) < time", "NotATime");
    gives("duration(data.s) < duration('1s')", "NotATime");
    gives("timestamp(data.n) < time", "Type");
}

#[test]
fn lists_are_looked_through() {
    gives("data.items.exists(i, i.price > 10)", "true");
    gives("data.items.exists(i, i.price > 100)", "Absent");
    gives("data.items.all(i, i.price < 10)", "false");
    gives("data.items.all(i, has(i.price) || i.sku == 'c')", "true");
    gives("data.items.exists(i, i.sku == 'c' && !has(i.price))", "true");
    gives("data.empty.exists(i, i > 1)", "false");
    gives("data.empty.all(i, i > 1)", "true");
    gives("data.user.tags.exists(t, t == data.user.name || t == 'y')", "true");
    gives("data.list.exists(x, x == 'three')", "true");
    gives("data.s.exists(x, x == 1)", "Type");
    gives("data.nothing.exists(x, x == 1)", "Absent");
    gives("['kitchen', 'hall'].exists(p, subject.startsWith(p))", "true");
    gives("['a', 'b'].all(p, !subject.startsWith(p))", "true");
}

#[test]
fn more_elements_than_are_looked_at_are_a_fault() {
    let payload = |count: usize| format!("{{\"a\":[{}1]}}", "0,".repeat(count - 1));
    let asked = |expression, count| give(expression, &[], Some(&payload(count)), shown);
    assert_eq!(asked("data.a.exists(x, x == 1)", 256), "true");
    assert_eq!(asked("data.a.exists(x, x == 2)", 256), "false");
    assert_eq!(asked("data.a.exists(x, x == 2)", 257), "TooManyElements");
    assert_eq!(asked("data.a.exists(x, x == 0)", 257), "true");
    assert_eq!(asked("2 in data.a", 257), "TooManyElements");
    assert_eq!(asked("size(data.a)", 257), "257");
}

#[test]
fn a_payload_that_is_not_json_has_no_fields() {
    assert_eq!(give("data.a == 1", &[], None, shown), "Absent");
    assert_eq!(give("data == null", &[], None, shown), "Absent");
    assert_eq!(give("type == 'a' || data.a == 1", &[("type", "a")], None, shown), "true");
    for (payload, expected) in [("1", "int"), ("\"a\"", "\"a\""), ("[1]", "list"), ("null", "null")] {
        let shown = give("data", &[], Some(payload), |value| match value {
            Ok(Value::Int(_)) => "int".to_owned(),
            value => shown(value),
        });
        assert_eq!(shown, expected);
    }
}

#[test]
fn a_name_given_twice_is_refused_where_it_is_looked_for() {
    let read = |expression: &str, payload: &str| {
        let mut compiler = Compiler::default();
        compiler.condition(expression).unwrap();
        compiler.plan().read(Some(payload), 64, &mut Findings::default())
    };
    assert_eq!(read("data.a == 1", r#"{"a":1,"b":2,"a":3}"#).unwrap_err(), crate::Malformed::Duplicate(17));
    assert!(read("data.a == 1", r#"{"a":1,"\u0061":3}"#).is_err());
    assert!(read("data.a.b == 1", r#"{"a":{"b":1},"a":{}}"#).is_err());
    assert!(read("data.a.b == 1", r#"{"a":{"b":1,"b":1}}"#).is_err());
    assert!(read("data.a[1].b == 1", r#"{"a":[0,{"b":1,"b":1}]}"#).is_err());
    assert!(read("data.a == 1", r#"{"a":1,"b":2,"b":3}"#).is_ok());
    assert!(read("data.a == 1", r#"{"a":{"a":1}}"#).is_ok());
    assert_eq!(give("data.l.exists(x, x.a == 2)", &[], Some(r#"{"l":[{"a":1,"a":2}]}"#), shown), "Duplicate");
}
