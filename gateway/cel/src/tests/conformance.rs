//! What the conformance suite of CEL asks of the part that is here, by its files: comparisons, logic, `integer_math`, `fp_math`,
//! string, timestamps, macros, fields, lists, parse.

use super::*;

#[track_caller]
fn gives(expression: &str, expected: &str) {
    assert_eq!(give(expression, &[], Some("{}"), shown), expected, "{expression}");
}

#[test]
fn comparisons() {
    for (expression, expected) in [
        ("1 == 1", "true"),
        ("-1 == 1", "false"),
        ("0u == 0u", "true"),
        ("1.0 == 1", "true"),
        ("1u == 1.0", "true"),
        ("9223372036854775807 < 9223372036854775808.0", "true"),
        ("-9223372036854775808 >= -9223372036854775808.0", "true"),
        ("18446744073709551615u > 9223372036854775807", "true"),
        ("'' == ''", "true"),
        ("'a' == 'A'", "false"),
        ("'\u{f6}' == 'o\u{308}'", "false"),
        ("null == null", "true"),
        ("true != false", "true"),
        ("'a' < 'b'", "true"),
        ("'a' < 'A'", "false"),
        ("'' < 'a'", "true"),
        ("'abc' < 'abcd'", "true"),
        ("'\u{a2}' < '\u{ffe0}'", "true"),
        ("false < true", "true"),
        ("true <= true", "true"),
        ("1.5 > 1.25", "true"),
        ("0.0 == -0.0", "true"),
        ("duration('1s') == duration('1000ms')", "true"),
        ("timestamp('2004-09-16T23:59:59Z') == timestamp('2004-09-17T00:59:59+01:00')", "true"),
        ("timestamp('2004-09-16T23:59:58.999999999Z') < timestamp('2004-09-16T23:59:59Z')", "true"),
        ("duration('200s') >= duration('200s')", "true"),
    ] {
        gives(expression, expected);
    }
}

#[test]
fn logic() {
    for (expression, expected) in [
        ("true ? 1 : 2", "1"),
        ("false ? 'f' : 't'", "\"t\""),
        ("(1/0 > 0) ? false : true", "DivisionByZero"),
        ("true ? true : 1/0 != 0", "true"),
        ("false ? (2/0) > 3 : true", "true"),
        ("true && true", "true"),
        ("false && 1/0 == 0", "false"),
        ("1/0 == 0 && false", "false"),
        ("true && 1/0 == 0", "DivisionByZero"),
        ("1/0 == 0 && true", "DivisionByZero"),
        ("true || 1/0 == 0", "true"),
        ("1/0 == 0 || true", "true"),
        ("false || 1/0 == 0", "DivisionByZero"),
        ("1/0 == 0 || false", "DivisionByZero"),
        ("!true", "false"),
        ("!!false", "false"),
        ("true && false || true", "true"),
    ] {
        gives(expression, expected);
    }
}

#[test]
fn arithmetic_of_integers() {
    for (expression, expected) in [
        ("40 + 2", "42"),
        ("42 - 12 - 8", "22"),
        ("4 + 3 * 2", "10"),
        ("(4 + 3) * 2", "14"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("47 % 5", "2"),
        ("-42 % 5", "-2"),
        ("43 % -5", "3"),
        ("1u + 3u - 3u", "1u"),
        ("-(-1)", "1"),
        ("--1", "1"),
        ("15 / 0", "DivisionByZero"),
        ("34 % 0", "DivisionByZero"),
        ("75u / 0u", "DivisionByZero"),
        ("0u - 1u", "Range"),
        ("9223372036854775807 + 1", "Range"),
        ("-9223372036854775808 - 1", "Range"),
        ("5000000000 * 5000000000", "Range"),
        ("18446744073709551615u + 1u", "Range"),
        ("(-9223372036854775808) / -1", "Range"),
        ("-(-9223372036854775808)", "Range"),
        ("42 % 5 == 2 && 0x55555555 + 1 == 1431655766", "true"),
    ] {
        gives(expression, expected);
    }
}

#[test]
fn arithmetic_of_doubles() {
    for (expression, expected) in [
        ("4.25 + 15.25", "19.5"),
        ("42.0 - 12.0", "30.0"),
        ("1.5 * 4.0", "6.0"),
        ("32.0 / 64.0", "0.5"),
        ("15.75 / 0.0", "inf"),
        ("-15.75 / 0.0", "-inf"),
        ("0.0 / 0.0 == 0.0 / 0.0", "false"),
        ("0.0 / 0.0 != 0.0 / 0.0", "true"),
        ("-(4.5)", "-4.5"),
        ("1e308 * 10.0", "inf"),
    ] {
        gives(expression, expected);
    }
}

#[test]
fn strings() {
    for (expression, expected) in [
        ("size('') == 0", "true"),
        ("size('four')", "4"),
        ("'A'.size()", "1"),
        ("size('\u{e9}\u{e9}')", "2"),
        ("size('\u{1f431}\u{1f600}')", "2"),
        ("'foobar'.startsWith('foo')", "true"),
        ("'foobar'.startsWith('bar')", "false"),
        ("''.startsWith('foo')", "false"),
        ("'foobar'.startsWith('')", "true"),
        ("'foobar'.endsWith('bar')", "true"),
        ("'forever\u{1f43e}'.endsWith('\u{1f43e}')", "true"),
        ("'abababc'.contains('ababc')", "true"),
        ("'foobar'.contains('')", "true"),
        ("'hubba'.matches('ubb')", "true"),
        ("'hubba'.matches('^ubb')", "false"),
        ("'cows'.matches('')", "true"),
        ("'xabcx'.matches('a(bc)?')", "true"),
        ("'mid \u{e9}'.matches('^mid .$')", "true"),
    ] {
        gives(expression, expected);
    }
}

#[test]
fn timestamps() {
    for (expression, expected) in [
        ("timestamp('2009-02-13T23:31:30Z') - timestamp('2009-02-13T23:31:20Z')", "10000000000ns"),
        ("timestamp('2009-02-13T23:00:00Z') + duration('240s') == timestamp('2009-02-13T23:04:00Z')", "true"),
        ("duration('120s') + timestamp('2009-02-13T23:01:00Z') == timestamp('2009-02-13T23:03:00Z')", "true"),
        ("timestamp('2009-02-13T23:10:00Z') - duration('600s') == timestamp('2009-02-13T23:00:00Z')", "true"),
        ("duration('600s') + duration('50s')", "650000000000ns"),
        ("duration('600s') - duration('50s') == duration('9m10s')", "true"),
        ("timestamp('0001-01-01T00:00:00Z') < timestamp('9999-12-31T23:59:59.999999999Z')", "true"),
        ("timestamp('9999-12-31T23:59:59Z') - timestamp('0001-01-01T00:00:00Z') > duration('1s')", "Range"),
    ] {
        gives(expression, expected);
    }
}

#[test]
fn macros_and_lists() {
    for (expression, expected) in [
        ("[1, 2, 3].exists(e, e > 1)", "true"),
        ("[1, 2, 3].exists(e, e > 3)", "false"),
        ("[1, 2, 3].exists(e, 6 / (2 - e) == 6)", "true"),
        ("[2].exists(e, e / 0 == 17)", "DivisionByZero"),
        ("[].exists(e, e == 2)", "false"),
        ("[1, 2, 3].all(e, e > 0)", "true"),
        ("[1, 2, 3].all(e, e == 2)", "false"),
        ("[1, 2, 3].all(e, 6 / (2 - e) != 6)", "false"),
        ("[1].all(e, e / 0 != 17)", "DivisionByZero"),
        ("[].all(e, e > 0)", "true"),
        ("'elephant' in ['elephant', 'castle']", "true"),
        ("7 in [2, 3]", "false"),
        ("7 in []", "false"),
        ("2.0 in [1, 2, 3]", "true"),
    ] {
        gives(expression, expected);
    }
}

#[test]
fn fields() {
    let payload = r#"{"a":{"b":{"c":1}},"list":[[1,2],[3]],"nul":null,"in":1}"#;
    for (expression, expected) in [
        ("data.a.b.c", "1"),
        ("data['a']['b']['c']", "1"),
        ("data.list[0][1]", "2"),
        ("data.list[1][1]", "Absent"),
        ("has(data.a.b)", "true"),
        ("has(data.a.x)", "false"),
        ("has(data.x.y)", "Absent"),
        ("has(data.nul)", "true"),
        ("data.nul == null", "true"),
        ("'b' in data.a", "true"),
        ("'c' in data.a", "false"),
        ("data['in']", "1"),
        ("data.x == 1 || true", "true"),
    ] {
        assert_eq!(give(expression, &[], Some(payload), shown), expected, "{expression}");
    }
}

#[test]
fn parsing() {
    for (expression, expected) in [
        ("((((((1))))))", "1"),
        ("!!!!true", "true"),
        ("- - -1", "-1"),
        ("1 + 2 - 3 * 4 / 6 % 7", "1"),
        ("true ? (false ? 1 : 2) : 3", "2"),
        ("false ? 1 : false ? 2 : 3", "3"),
        ("'\\x41\\u0041\\U00000041\\101' == 'AAAA'", "true"),
        ("r'\\\\n' == '\\\\\\\\n'", "true"),
        ("'''a'b''' == \"a'b\"", "true"),
        ("1 // the rest is a comment\n + 1", "2"),
        ("\t1\r\n+ 2", "3"),
        ("0xabcdef == 11259375", "true"),
        ("1.99e90 < 2e90", "true"),
    ] {
        gives(expression, expected);
    }
}
