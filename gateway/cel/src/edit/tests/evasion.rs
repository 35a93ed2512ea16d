//! What a client might try to get a value past a redaction.

use super::*;
use crate::Malformed;

#[test]
fn names_are_the_same_however_they_are_escaped() {
    for name in [r"\u0065mail", r"e\u006dail", r"\u0065\u006D\u0061\u0069\u006c", "email"] {
        becomes(
            vec![remove("data.user.email")],
            &format!(r#"{{"user":{{"{name}":"secret"}}}}"#),
            r#"{"user":{}}"#,
        );
        becomes(vec![remove("data.**.email")], &format!(r#"[[{{"{name}":"secret"}}]]"#), "[[{}]]");
    }
}

#[test]
fn a_name_that_is_there_twice_is_malformed() {
    for (path, payload) in [
        ("data.email", r#"{"email":1,"email":2}"#),
        ("data.email", r#"{"email":1,"a":0,"\u0065mail":2}"#),
        ("data.user.email", r#"{"user":{"email":1},"user":{"email":2}}"#),
        ("data.user.email", r#"{"user":1,"user":null}"#),
        ("data.items[*].email", r#"{"items":[{"email":1},{"email":1,"email":2}]}"#),
        ("data.*.email", r#"{"a":{"email":1,"email":2}}"#),
        ("data.**.email", r#"{"a":[[{"email":1,"email":2}]]}"#),
    ] {
        let refused = run(vec![mask(path)], payload);
        assert!(matches!(refused, Err(EditError::Malformed(Malformed::Duplicate(_)))), "{path}: {payload}");
    }
    // The same name in other objects, and other names, are nobody's business.
    becomes(
        vec![mask("data.a.b")],
        r#"{"a":{"b":1},"c":1,"c":2,"b":3}"#,
        r#"{"a":{"b":"***"},"c":1,"c":2,"b":3}"#,
    );
    becomes(vec![mask("data.**.b")], r#"{"b":{"b":1},"a":{"b":1}}"#, r#"{"b":"***","a":{"b":"***"}}"#);
    // Whatever they are called, all of them are meant.
    becomes(vec![mask("data.*")], r#"{"a":1,"a":2}"#, r#"{"a":"***","a":"***"}"#);
}

#[test]
fn the_case_of_names_matters_unless_it_is_ignored() {
    let payload = r#"{"Email":1,"EMAIL":2}"#;
    becomes(vec![mask("data.email")], payload, payload);
    let any_case = |path| Redaction { ignore_case: true, ..mask(path) };
    becomes(vec![any_case("data.eMail")], r#"{"Emai\u004c":1,"x":2}"#, r#"{"Emai\u004c":"***","x":2}"#);
    // Who ignores case takes one or the other.
    let refused = run(vec![any_case("data.email")], payload);
    assert!(matches!(refused, Err(EditError::Malformed(Malformed::Duplicate(_)))));
    // ASCII alone: the sign for kelvin is another letter.
    becomes(vec![any_case("data.k")], "{\"\u{212a}\":1}", "{\"\u{212a}\":1}");
    let both = vec![any_case("data.a.x"), remove("data.A.y")];
    becomes(both, r#"{"A":{"X":1,"y":2}}"#, r#"{"A":{"X":"***"}}"#);
}

#[test]
fn composed_and_decomposed_letters_are_other_names() {
    let payload = "{\"caf\u{e9}\":1,\"cafe\u{301}\":2}";
    becomes(vec![mask("data['caf\u{e9}']")], payload, "{\"caf\u{e9}\":\"***\",\"cafe\u{301}\":2}");
}

#[test]
fn what_holds_others_where_a_text_was_expected_goes_whole() {
    for value in [r#"{"a":["secret"]}"#, r#"["secret"]"#, r#"[[{"secret":1}]]"#] {
        for redaction in
            [mask("data.email"), of("[0-9]", mask("data.email")), redaction("data.email", Action::Address)]
        {
            becomes(vec![redaction], &format!("{{\"email\":{value}}}"), r#"{"email":"***"}"#);
        }
        becomes(vec![remove("data.email")], &format!("{{\"email\":{value}}}"), "{}");
    }
}

#[test]
fn what_cannot_be_followed_is_told() {
    for (path, payload, is_fault) in [
        ("data.user.email", r#"{"user":[{"email":"secret"}]}"#, true),
        ("data.user.email", r#"{"user":"email: secret"}"#, true),
        ("data.user.email", r#"[{"user":{"email":"secret"}}]"#, true),
        ("data.user.email", r#""{\"user\":{\"email\":\"secret\"}}""#, true),
        ("data.items[*].email", r#"{"items":[[{"email":"secret"}]]}"#, true),
        ("data.items[*].email", r#"{"items":{"0":{"email":"secret"}}}"#, true),
        ("data.items[0]", r#"{"items":"secret"}"#, true),
        ("data.user.*", r#"{"user":["secret"]}"#, true),
        ("data.user.email", r#"{"user":null}"#, false),
        ("data.user.email", r#"{"user":{}}"#, false),
        ("data.user.email", "null", false),
        ("data.items[*].email", r#"{"items":[null,{}]}"#, false),
        ("data.*.email", r#"{"a":1,"b":[]}"#, false),
        ("data.**.user.email", r#"{"user":1}"#, false),
        ("data.**.email", "1", false),
    ] {
        let (text, done) = run(vec![remove("data.other"), remove(path)], payload).unwrap();
        assert_eq!(done.faults & 0b10 != 0, is_fault, "{path}: {payload}");
        assert_eq!(text, payload, "{path}");
    }
}

#[test]
fn what_is_replaced_in_part_is_still_nothing_to_follow() {
    let shadow = |path| Redaction { is_shadow: true, ..mask(path) };
    let email = || remove("data.user.email");
    for (payload, text) in [
        (r#"{"user":"email: secret"}"#, r#"{"user":"email: secret"}"#),
        (r#"{"user":"a1"}"#, r#"{"user":"a***"}"#),
        (r#""{\"user\":{\"email\":\"secret\"}}""#, r#""{\"user\":{\"email\":\"secret\"}}""#),
    ] {
        for redactions in [vec![of("[0-9]", mask("data.**")), email()], vec![shadow("data.**"), email()]] {
            let is_shadow = redactions.iter().any(|redaction| redaction.is_shadow);
            let (left, done) = run(redactions, payload).unwrap();
            assert_eq!((left.as_str(), done.faults), (if is_shadow { payload } else { text }, 0b10));
        }
    }
    // Nothing is left of it, or nothing was there.
    for redaction in [mask("data.**"), mask("data.user"), redaction("data.user", Action::Address)] {
        let (left, done) = run(vec![redaction, email()], r#"{"user":"email: secret"}"#).unwrap();
        assert_eq!((left.as_str(), done.faults), (r#"{"user":"***"}"#, 0));
    }
    let (_, done) = run(vec![of("[0-9]", mask("data.**")), email()], r#"{"user":null}"#).unwrap();
    assert_eq!(done.faults, 0);
}

#[test]
fn depth_hides_nothing() {
    for depth in 0..62 {
        let (open, close) = ("[{\"a\":".repeat(depth / 2), "}]".repeat(depth / 2));
        let payload = |inner: &str| format!("{open}{inner}{close}");
        becomes(
            vec![remove("data.**.email")],
            &payload(r#"{"email":"secret","b":1}"#),
            &payload(r#"{"b":1}"#),
        );
    }
    let refused = run(vec![remove("data.**.email")], &format!("{}1{}", "[".repeat(65), "]".repeat(65)));
    assert!(
        matches!(refused, Err(EditError::Malformed(Malformed::Json(error))) if error.what == "nested too deep")
    );
}

#[test]
fn what_is_not_json_is_refused_wherever_it_is_wrong() {
    let payload = r#"{"a":[1,{"email":"s"}],"email":{"x":"y"},"b":"\u00e9"}"#;
    let redactions = || vec![remove("data.email"), mask("data.a[*].email")];
    for end in 0..payload.len() {
        let cut = payload.get(..end).unwrap();
        let refused = run(redactions(), cut);
        assert!(matches!(refused, Err(EditError::Malformed(Malformed::Json(_)))), "{cut}");
    }
    for (good, bad) in
        [("1,", "01,"), ("\"s\"", "\"\t\""), ("}]", "]]"), ("u00e9", "x0e9"), ("\"y\"}", "\"y\"},")]
    {
        assert!(run(redactions(), &payload.replacen(good, bad, 1)).is_err(), "{bad}");
    }
}

#[test]
fn no_payload_grows_beyond_its_limit() {
    let payload = format!("[{}1]", "1,".repeat(1_000));
    assert_eq!(run(vec![hash("data[*]")], &payload), Err(EditError::TooLong));
    assert!(run(vec![remove("data[*]")], &payload).is_ok());
    let payload = format!("[\"{}\"]", "a".repeat(1_000));
    assert_eq!(run(vec![of("a", hash("data[*]"))], &payload), Err(EditError::TooLong));
}
