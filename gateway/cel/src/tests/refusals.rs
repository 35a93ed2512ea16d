//! What is refused when rules are loaded, where, and what is said.

use super::*;

#[track_caller]
fn refuses(expression: &str, marked: &str, message: &str, help: &str) {
    let problem = Compiler::default().condition(expression).map(drop).expect_err(expression);
    assert_eq!(expression.get(problem.at.clone()).unwrap(), marked, "{expression}: {problem}");
    assert!(problem.message.contains(message), "{expression}: {problem}");
    assert!(problem.help.contains(help), "{expression}: {problem}");
}

#[test]
fn types_that_never_fit() {
    refuses("type == 1", "type == 1", "string == int is never true", "one type");
    refuses(
        "time > '2026-01-01T00:00:00Z'",
        "time > '2026-01-01T00:00:00Z'",
        "timestamp > string",
        "timestamp(\"...\")",
    );
    refuses("type in ['a', 1]", "1", "a string is never among values that are int", "its type");
    refuses("!type", "type", "`!` is for bool, not string", "a == b");
    refuses("type && data.a", "type", "`&&` is for bool, not string", "a == b");
    refuses("type + 'x' == 'ax'", "type + 'x'", "string + string", "not joined");
    refuses("time + time > time", "time + time", "timestamp + timestamp", "compute");
    refuses(
        "data.a == 'a' ? 1 : 'b'",
        "data.a == 'a' ? 1 : 'b'",
        "an int or a string".trim_start_matches("an "),
        "one type",
    );
    refuses("type", "type", "the rule is a string", "a == b");
    refuses("1 + 1", "1 + 1", "the rule is a int", "a == b");
    refuses("data.a < null", "data.a < null", "value of any type < null", "one type");
    refuses("size(1) > 1", "1", "size() is for string, not int", "");
    refuses("-type == 1", "type", "`-` is for int or double", "");
    refuses("data.a % 1.5 == 1", "data.a % 1.5", "%", "compute");
}

#[test]
fn names_that_are_none() {
    refuses("Type == 'a'", "Type", "no attribute `Type`", "lower-case");
    refuses("temp_c > 1", "temp_c", "no attribute `temp_c`", "begin with `data`");
    refuses("event == 1", "event", "no value", "event.type");
    refuses("event.a.b == 1", "event.a.b", "no value", "event.type");
    refuses("type.a == 1", "type.a", "`type` is an attribute and has no fields", "begin with `data`");
    refuses("size(data).a == 1", "size(data)", "no fields", "`data`");
}

#[test]
fn what_is_not_supported_names_what_is() {
    refuses("data.list.map(x, x + 1)", "map", "map", "exists");
    refuses("data.a.lowerAscii() == 'a'", "lowerAscii", "lowerAscii", "(?i)");
    refuses("int(data.a) == 1", "int", "int", "leave it out");
    refuses("now() > time", "now", "no function `now`", "there are has()");
    refuses("has(type)", "type", "has() is for a field", "has(event.subject)");
    refuses("data[type] == 1", "type", "not written out", "list.exists");
    refuses("data.a[-1] == 1", "-1", "not written out", "from 0");
    refuses("[1] == [1]", "[1]", "a list stands here", "x in [..]");
    refuses("type in type", "type in type", "`in` a string", "text.contains(x)");
    refuses("data.a.exists(x.y, x == 1)", "x.y", "cannot name", "a name");
    refuses("type.exists(x, x == 1)", "type", "no list", "[a, b]");
    refuses("timestamp('today') < time", "'today'", "no time", "RFC 3339");
    refuses("duration('1d') < duration('1h')", "'1d'", "no duration", "1h30m");
    refuses("startsWith(type, 'a')", "startsWith", "2 arguments", "text.startsWith");
}

#[test]
fn what_costs_too_much_names_the_limit() {
    refuses("type.matches(data.p)", "data.p", "not a literal", "compiled when");
    refuses("type.matches('(')", "'('", "not a regular expression: unclosed group", "RE2");
    refuses("type.matches('(a{1000}){1000}')", "'(a{1000}){1000}'", "262144 bytes", "repeat less");
    refuses(
        "data.a.exists(x, data.b.exists(y, y == x))",
        "data.a.exists(x, data.b.exists(y, y == x))",
        "operations",
        "the limit is 50000",
    );
    let deep = format!("data{} == 1", ".a".repeat(17));
    refuses(&deep, deep.trim_end_matches(" == 1"), "17 steps", "at most 16");
    let deep_regex = format!("type.matches('{}a{}')", "(".repeat(40), ")".repeat(40));
    assert!(Compiler::default().condition(&deep_regex).is_err());
}

#[test]
fn fields_of_all_rules_have_a_limit() {
    let mut compiler = Compiler::default();
    let refused = (0..5_000).find_map(|field| compiler.condition(&format!("data.f{field} == 1")).err());
    assert!(refused.unwrap().message.contains("4096"));
}
