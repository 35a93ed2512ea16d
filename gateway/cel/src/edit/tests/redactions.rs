use super::*;

#[test]
fn what_goes_takes_its_comma_along_and_nothing_else() {
    for (payload, expected) in [
        (r#"{"x":1}"#, "{}"),
        (r#"{ "x" : 1 }"#, "{ }"),
        (r#"{"x":1,"b":2}"#, r#"{"b":2}"#),
        (r#"{ "x" : 1 , "b" : 2 }"#, r#"{"b" : 2 }"#),
        (r#"{"a":1,"x":2}"#, r#"{"a":1}"#),
        (r#"{"a" : 1 , "x" : 2 }"#, r#"{"a" : 1 }"#),
        (r#"{"a":1,"x":{"x":[]},"b":2}"#, r#"{"a":1,"b":2}"#),
        (r#"{"a":{"x":1}}"#, r#"{"a":{"x":1}}"#),
        (r#"{"a":1.50e+3,"b":"\u0041"}"#, r#"{"a":1.50e+3,"b":"\u0041"}"#),
        ("null", "null"),
    ] {
        becomes(vec![remove("data.x")], payload, expected);
    }
    let both = || vec![remove("data.x"), remove("data.y")];
    for (payload, expected) in [
        (r#"{"x":1, "y":2}"#, "{}"),
        (r#"{"x":1,"y":2,"a":3}"#, r#"{"a":3}"#),
        (r#"{"x":1,"a":3,"y":2}"#, r#"{"a":3}"#),
        (r#"{"a":3,"x":1,"y":2}"#, r#"{"a":3}"#),
        (r#"{"a":3,"x":1,"b":4,"y":2,"c":5}"#, r#"{"a":3,"b":4,"c":5}"#),
    ] {
        becomes(both(), payload, expected);
    }
}

#[test]
fn elements_go_as_members_do() {
    for (path, expected) in [
        ("data[0]", "[2, 3]"),
        ("data[1]", "[1, 3]"),
        ("data[2]", "[1, 2]"),
        ("data[3]", "[1, 2, 3]"),
        ("data[*]", "[]"),
    ] {
        becomes(vec![remove(path)], "[1, 2, 3]", expected);
    }
}

#[test]
fn every_kind_of_path() {
    let payload =
        r#"{"email":0,"user":{"email":1},"items":[{"email":2,"x":{"email":3}},{"email":4}],"odd name":5}"#;
    for (path, expected) in [
        (
            "data.user.email",
            r#"{"email":0,"user":{},"items":[{"email":2,"x":{"email":3}},{"email":4}],"odd name":5}"#,
        ),
        (
            "data['odd name']",
            r#"{"email":0,"user":{"email":1},"items":[{"email":2,"x":{"email":3}},{"email":4}]}"#,
        ),
        (
            "data.items[0].email",
            r#"{"email":0,"user":{"email":1},"items":[{"x":{"email":3}},{"email":4}],"odd name":5}"#,
        ),
        (
            "data.items[*].email",
            r#"{"email":0,"user":{"email":1},"items":[{"x":{"email":3}},{}],"odd name":5}"#,
        ),
        (
            "data.*.email",
            r#"{"email":0,"user":{},"items":[{"email":2,"x":{"email":3}},{"email":4}],"odd name":5}"#,
        ),
        ("data.**.email", r#"{"user":{},"items":[{"x":{}},{}],"odd name":5}"#),
        ("data.items.**.email", r#"{"email":0,"user":{"email":1},"items":[{"x":{}},{}],"odd name":5}"#),
        (
            "data.**.x.**.email",
            r#"{"email":0,"user":{"email":1},"items":[{"email":2,"x":{}},{"email":4}],"odd name":5}"#,
        ),
        (
            "data.**[1].email",
            r#"{"email":0,"user":{"email":1},"items":[{"email":2,"x":{"email":3}},{}],"odd name":5}"#,
        ),
    ] {
        becomes(vec![remove(path)], payload, expected);
    }
    becomes(vec![mask("data.**")], r#"{"a":[1,{"b":null}],"c":{}}"#, r#"{"a":["***",{"b":null}],"c":{}}"#);
}

#[test]
fn whatever_is_masked_is_as_long_as_all_else() {
    for value in
        ["\"a\"", "\"a much longer one\"", "\"\"", "1", "-1.5e9", "true", "false", "{\"a\":1}", "[]", "[[1]]"]
    {
        becomes(vec![mask("data.x")], &format!("{{\"x\":{value}}}"), r#"{"x":"***"}"#);
    }
    becomes(vec![mask("data.x")], r#"{"x":null}"#, r#"{"x":null}"#);
}

#[test]
fn a_hash_is_of_what_is_said_however_it_is_written() {
    let expected = format!("{{\"x\":\"{}\"}}", hashed("a/b"));
    for value in [r#""a/b""#, r#""a\/b""#, r#""\u0061/\u0062""#, r#""\u0061\u002F\u0062""#] {
        becomes(vec![hash("data.x")], &format!("{{\"x\":{value}}}"), &expected);
    }
    for value in ["12", "true", "{\"a\":1}", "[ ]"] {
        becomes(
            vec![hash("data.x")],
            &format!("{{\"x\":{value}}}"),
            &format!("{{\"x\":\"{}\"}}", hashed(value)),
        );
    }
    becomes(vec![hash("data.x")], r#"{"x":null}"#, r#"{"x":null}"#);
}

#[test]
fn addresses_become_networks_and_all_else_is_masked() {
    for (value, expected) in [
        (r#""192.0.2.17""#, "192.0.2.0"),
        (r#""\u0031\u00392.0.2.17""#, "192.0.2.0"),
        (r#""2001:db8:1:2::3""#, "2001:db8:1::"),
        (r#""192.0.2.17, 10.0.0.1""#, "***"),
        ("3221225985", "***"),
        (r#"["192.0.2.17"]"#, "***"),
    ] {
        let address = redaction("data.x", Action::Address);
        becomes(vec![address], &format!("{{\"x\":{value}}}"), &format!("{{\"x\":\"{expected}\"}}"));
    }
}

#[test]
fn a_pattern_limits_to_what_matches() {
    let digits = || vec![of("[0-9]{4}", mask("data.x"))];
    for (value, expected) in [
        (r#""card 1234, 5678""#, r#""card ***, ***""#),
        (r#""card \u0031234\n\"\u0001""#, r#""card ***\n\"\u0001""#),
        (r#""\u00e9 123""#, r#""\u00e9 123""#),
        ("1234", "\"***\""),
        ("123", "123"),
        ("true", "true"),
        ("[\"123\"]", "\"***\""),
        ("{}", "\"***\""),
        (r#""\ud800 1""#, "\"***\""),
    ] {
        becomes(digits(), &format!("{{\"x\":{value}}}"), &format!("{{\"x\":{expected}}}"));
    }
    let hashes = vec![of("[0-9]+", hash("data.x"))];
    becomes(hashes, r#"{"x":"a12b"}"#, &format!("{{\"x\":\"a{}b\"}}", hashed("12")));
    becomes(
        vec![of("[0-9]+", mask("data.**"))],
        r#"{"a":["1",{"b":"x2"}],"c":true}"#,
        r#"{"a":["***",{"b":"x***"}],"c":true}"#,
    );
}

#[test]
fn several_for_one_value_take_turns() {
    let both = vec![of("a+", mask("data.x")), of("b+", hash("data.x"))];
    becomes(both, r#"{"x":"aabcd"}"#, &format!("{{\"x\":\"***{}cd\"}}", hashed("b")));
    becomes(vec![hash("data.x"), mask("data.x")], r#"{"x":"a"}"#, r#"{"x":"***"}"#);
    becomes(
        vec![mask("data.x"), hash("data.x")],
        r#"{"x":[1]}"#,
        &format!("{{\"x\":\"{}\"}}", hashed("***")),
    );
    becomes(vec![mask("data.x"), remove("data.*")], r#"{"x":"a"}"#, "{}");
    let (text, done) = run(vec![mask("data.x.y"), mask("data.x")], r#"{"x":{"y":1}}"#).unwrap();
    assert_eq!((text.as_str(), done.changed), (r#"{"x":"***"}"#, 0b10));
}

#[test]
fn a_shadow_tells_what_it_would_have_changed() {
    let shadow = |redaction| Redaction { is_shadow: true, ..redaction };
    let all = vec![
        shadow(remove("data.x")),
        shadow(of("z", mask("data.x"))),
        shadow(of("a", mask("data.x"))),
        of("a", hash("data.x")),
        shadow(remove("data.y")),
        mask("data.y.z"),
    ];
    let (text, done) = run(all, r#"{"x":"a","y":{"z":1}}"#).unwrap();
    assert_eq!(text, format!(r#"{{"x":"{}","y":{{"z":"***"}}}}"#, hashed("a")));
    assert_eq!(done.changed, 0b11_1101);
    let (text, done) = run(vec![shadow(remove("data.x"))], r#"{"x":1}"#).unwrap();
    assert_eq!((text.as_str(), done.changed, done.is_edited), (r#"{"x":1}"#, 1, false));
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let refused = |redaction| Redactor::new(vec![redaction]).unwrap_err().to_string();
    assert!(refused(of("a", remove("data.x"))).contains("`mask` and `hash` alone"));
    assert!(refused(remove("data.**")).contains("cannot be removed"));
    assert!(Pattern::parse("a*").unwrap_err().to_string().contains("empty"));
    assert!(Pattern::parse("(").unwrap_err().to_string().contains("not a regular expression"));
    assert!(Pattern::parse("(a{500}){500}").unwrap_err().to_string().contains("larger than"));
    assert!(Redactor::new(vec![mask("data.x"); 64]).is_ok());
    assert!(
        Redactor::new(vec![mask("data.x"); 65])
            .unwrap_err()
            .to_string()
            .contains("65 redactions; take at most 64")
    );
}

#[test]
fn sixty_four_of_sixteen_steps_are_all_followed() {
    let path = |last: usize| format!("data{}.n{last}", ".**.a".repeat(7));
    let redactions: Vec<_> = (0..64).map(|last| remove(&path(last))).collect();
    let members: Vec<_> = (0..64).map(|last| format!("\"n{last}\":{last}")).collect();
    let payload = format!("{}{{{}}}{}", "{\"a\":".repeat(30), members.join(","), "}".repeat(30));
    becomes(redactions, &payload, &format!("{}{{}}{}", "{\"a\":".repeat(30), "}".repeat(30)));
}
