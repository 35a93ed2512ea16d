//! What holds for any bytes. The fuzz targets are these functions; ordinary tests drive them too.

use serde_json::Value as Json;
use tidegate_wire::json;

use crate::edit::{Action, Buffers, EditError, Path, Redaction, Redactor};
use crate::{Attributes, Compiler, Fault, Findings, Malformed, Text, Value};

/// As deep as payloads are nested in what follows.
const DEPTH: u32 = 64;
/// A payload with something of every kind.
const PAYLOAD: &str =
    r#"{"a":1,"b":-2.5,"s":"te\u00e9xt","t":true,"n":null,"l":[1,"a",{"x":2}],"m":{"k":"v","l":[[]]}}"#;

struct Same;

impl<'a> Attributes<'a> for Same {
    fn get(&self, _: u16) -> Option<Value<'a>> {
        Some(Value::Text(Text::plain("2026-01-31T12:00:00Z")))
    }
}

/// An expression is refused with a place within it, or compiles to the same each time and gives the same value each time.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut compiler = Compiler::default();
    let program = match compiler.value(text) {
        Ok(program) => program,
        Err(problem) => {
            assert!(text.get(problem.at.clone()).is_some(), "{text:?}: {problem:?}");
            assert!(!problem.message.is_empty() && !problem.help.is_empty());
            return;
        }
    };
    for payload in [Some(PAYLOAD), Some("1"), None] {
        let mut findings = Findings::default();
        let read = compiler.plan().read(payload, DEPTH, &mut findings);
        assert_eq!(read, Ok(()), "{text:?}");
        let value = program.value(compiler.plan(), payload, &Same, &mut findings);
        let holds = program.holds(compiler.plan(), payload, &Same, &mut findings);
        match (value, holds) {
            (Ok(Value::Bool(value)), holds) => assert_eq!(holds, Ok(value), "{text:?}"),
            (Ok(_), holds) => assert_eq!(holds, Err(Fault::Type), "{text:?}"),
            (Err(fault), holds) => assert_eq!(holds, Err(fault), "{text:?}"),
        }
    }
}

/// A payload is JSON for rules exactly if it is for everybody else, and its fields have the same values.
pub fn payload(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut compiler = Compiler::default();
    let paths =
        ["data.a", "data.a.b", "data.a[0]", "data.a[1].b", "data['\u{e9}']", "data[0]", "data[2]", "data"];
    let programs: Vec<_> = paths.iter().filter_map(|path| compiler.value(path).ok()).collect();
    let mut findings = Findings::default();
    let read = compiler.plan().read(Some(text), DEPTH, &mut findings);
    let checked = json::check(bytes, DEPTH);
    match read {
        Ok(()) => assert!(checked.is_ok(), "{text:?}"),
        // What comes after the second one is not read.
        Err(Malformed::Duplicate(_)) => return,
        Err(Malformed::Json(error)) => {
            assert!(checked.is_err(), "{text:?}: {error}");
            return;
        }
    }
    // Half a surrogate pair is grammar, but serde_json has no value for it.
    let Ok(json) = serde_json::from_str::<Json>(text) else { return };
    let (a, item) = (json.get("a"), |index: usize| json.get("a").and_then(|a| a.get(index)));
    let expected = [
        a,
        a.and_then(|a| a.get("b")),
        item(0),
        item(1).and_then(|item| item.get("b")),
        json.get("\u{e9}"),
        json.get(0),
        json.get(2),
        Some(&json),
    ];
    for ((path, program), expected) in paths.iter().zip(&programs).zip(expected) {
        let value = program.value(compiler.plan(), Some(text), &Same, &mut findings);
        assert!(is_same(value, expected), "{path} of {text:?}: {value:?}, {expected:?}");
    }
}

/// What is left of a payload is JSON exactly if the payload is, and nothing is left of what was to go.
pub fn redaction(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let remove = |path: &str| {
        let path = Path::parse(path).ok()?;
        Some(Redaction { path, action: Action::Remove, pattern: None, ignore_case: false, is_shadow: false })
    };
    let paths = ["data.a.b", "data.**['\u{e9}']", "data[*][0]", "data.*.a"];
    let Ok(redactor) = Redactor::new(paths.iter().filter_map(|path| remove(path)).collect()) else { return };
    let (mut buffers, mut out) = (Buffers::default(), Vec::new());
    let checked = json::check(bytes, DEPTH);
    let done = match redactor.run(text, DEPTH, text.len(), &mut buffers, &mut out) {
        Ok(done) => done,
        Err(EditError::Malformed(Malformed::Duplicate(_))) => return,
        Err(error) => {
            assert!(checked.is_err(), "{text:?}: {error}");
            return;
        }
    };
    assert!(checked.is_ok(), "{text:?}");
    let left = if done.is_edited { std::str::from_utf8(&out).unwrap_or_default() } else { text };
    assert!(json::check(left.as_bytes(), DEPTH).is_ok(), "{text:?}: {left:?}");
    assert_eq!(done.is_edited, left.len() < text.len(), "{text:?}: {left:?}");
    let Ok(json) = serde_json::from_str::<Json>(left) else { return };
    let field = |value: &Json, name: &str| value.as_object().is_some_and(|object| object.contains_key(name));
    assert!(!json.get("a").is_some_and(|a| field(a, "b")), "{text:?}: {left:?}");
    assert!(
        !json.as_object().is_some_and(|all| all.values().any(|one| field(one, "a"))),
        "{text:?}: {left:?}"
    );
    assert!(!is_anywhere(&json, "\u{e9}"), "{text:?}: {left:?}");
}

fn is_anywhere(json: &Json, name: &str) -> bool {
    match json {
        Json::Object(members) => {
            members.contains_key(name) || members.values().any(|value| is_anywhere(value, name))
        }
        Json::Array(elements) => elements.iter().any(|element| is_anywhere(element, name)),
        _ => false,
    }
}

fn is_same(value: Result<Value<'_>, Fault>, expected: Option<&Json>) -> bool {
    match (value, expected) {
        (Err(Fault::Absent), None) | (Ok(Value::Null), Some(Json::Null)) => true,
        (Ok(Value::Bool(value)), Some(Json::Bool(expected))) => value == *expected,
        (Ok(Value::Int(value)), Some(Json::Number(number))) => number.as_i64() == Some(value),
        (Ok(Value::Uint(value)), Some(Json::Number(number))) => {
            number.as_u64() == Some(value) && number.as_i64().is_none()
        }
        // serde_json may be off by the last bit.
        (Ok(Value::Double(value)), Some(Json::Number(number))) => {
            number.is_f64()
                && number.as_f64().is_some_and(|other| (value - other).abs() <= value.abs() * 1e-15)
        }
        (Ok(Value::Text(text)), Some(Json::String(expected))) => {
            text.read(&mut String::new()) == Ok(expected.as_str())
        }
        (Ok(Value::List(list)), Some(expected @ Json::Array(_))) => {
            serde_json::from_str::<Json>(list).is_ok_and(|list| list == *expected)
        }
        (Ok(Value::Map(map)), Some(expected @ Json::Object(_))) => {
            serde_json::from_str::<Json>(map).is_ok_and(|map| map == *expected)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn payloads_at_their_limits() {
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        for text in [
            r#"{"a":9223372036854775807}"#,
            r#"{"a":-9223372036854775808}"#,
            r#"{"a":9223372036854775808}"#,
            r#"{"a":18446744073709551615}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a":-9223372036854775809}"#,
            r#"{"a":1e308,"b":1}"#,
            r#"{"a":0.1e-999}"#,
            r#"{"a":-0}"#,
            r#"{"a":-0.0}"#,
            r#"{"a":12345678901234.5}"#,
            r#"{"a":0.000000000000001}"#,
            r#"{"a":1234567890123456.7}"#,
            r#"{"a":"\ud83d\ude00"}"#,
            r#"{"a":"\ud83d"}"#,
            r#"{"\u0061":{"\u0062":1}}"#,
            r#"{"\u00e9":1,"a":[1,{"b":[2]}]}"#,
            r#"{"é":1}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":[0,{"b":1,"b":2}]}"#,
            "[1,2,3,4]",
            "[1,2",
            r#"{"a":"#,
            r#"{"a":1}x"#,
            &nested(63),
            &nested(64),
        ] {
            payload(text.as_bytes());
            redaction(text.as_bytes());
            for end in 0..text.len() {
                payload(&text.as_bytes()[..end]);
                redaction(&text.as_bytes()[..end]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_an_expression_or_refused(text in r#"[ abdegint.()\[\]{}'"\\<>=!&|?:+*/%0-9xu,-]{0,40}"#) {
            expression(text.as_bytes());
        }

        #[test]
        fn words_of_the_language_in_any_order(words in prop::collection::vec(prop::sample::select(&[
            "data", ".", "a", "type", "time", "has(", ")", "(", "[", "]", "0", "1.5", "'s'", "==", "<", "&&", "||", "!", "-", "+", "in ", "?", ":",
            "size(", ".exists(x,", ".all(x,", "x", ",", "duration('1s')", "timestamp(data.s)", ".startsWith(", ".matches('a')", "null", "true",
        ]), 0..14)) {
            expression(words.concat().as_bytes());
        }

        #[test]
        fn any_bytes_are_the_same_payload_for_everybody(text in r#"[\[\]{}:,"\\u0-9abe+.\- \u{e9}]{0,30}"#) {
            payload(text.as_bytes());
            redaction(text.as_bytes());
        }

        #[test]
        fn parts_of_json_in_any_order(parts in prop::collection::vec(prop::sample::select(&[
            "{", "}", "[", "]", ":", ",", "\"a\"", "\"b\"", "\"\\u0061\"", "\"\u{e9}\"", "1", "-2.5e3", "true", "null", " ", "{\"a\":", "[1,", "{\"b\":2}",
        ]), 0..16)) {
            payload(parts.concat().as_bytes());
            redaction(parts.concat().as_bytes());
        }
    }
}
