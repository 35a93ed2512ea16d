//! What redactions and fields may say.

use super::*;

fn route(rules: &str) -> String {
    format!("[[routes]]\ntopic = \"a\"\n{rules}\n")
}

#[test]
fn redactions_are_read_and_their_keys_are_not_shown() {
    let text = route(
        "[[routes.redact]]\npath = \"data.**.email\"\naction = \"hash\"\nkey = \"file:/run/secrets/kafka-password\"\n\
         pattern = '[^@]+@.*'\nignore_case = true\n[[routes.redact]]\npath = 'data[\"odd name\"]'\naction = \"remove\"\non_error = \"keep\"\nshadow = true\nname = \"odd\"",
    );
    // Six bytes are not enough, and the file's content is not in the report.
    let report = refused(&text);
    assert!(report.contains("--> t.toml:5:10") && report.contains("has 6 bytes, at least 16"), "{report}");
    assert!(!report.contains("s3cret"), "{report}");
    let config = parsed(&text.replace("file:/run/secrets/kafka-password", "0123456789abcdef"));
    let [hash, odd] = config.routes[0].redact.as_slice() else { panic!() };
    assert_eq!((hash.action, hash.on_error, hash.ignore_case), (Action::Hash, OnError::Drop, true));
    assert_eq!((odd.action, odd.on_error, odd.shadow), (Action::Remove, OnError::Keep, true));
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    let report = refused(&text.replace("file:/run/secrets/kafka-password", "sh0rt"));
    assert!(!report.contains("sh0rt"), "{report}");
}

#[test]
fn redactions_that_cannot_be_are_refused_where_they_are_wrong() {
    let redact = |rest: &str| route(&format!("[[routes.redact]]\n{rest}"));
    for (rest, at, expected) in [
        ("path = \"user.email\"\naction = \"mask\"", "4:9", "begins with `data`"),
        ("path = \"data.a b\"\naction = \"mask\"", "4:16", "expected `.` or `[`"),
        ("path = \"data\"\naction = \"mask\"", "4:9", "the whole payload"),
        ("path = \"data.a\"\naction = \"mask\"\npattern = '('", "6:12", "not a regular expression"),
        ("path = \"data.a\"\naction = \"mask\"\npattern = 'a*'", "6:12", "matches an empty text"),
        ("path = \"data.a\"\naction = \"mask\"\npattern = '(\\w{500}){500}'", "6:12", "becomes larger than"),
        ("path = \"data.a\"\naction = \"remove\"\npattern = 'a'", "5:10", "limits `mask` and `hash` alone"),
        ("path = \"data.**\"\naction = \"remove\"", "5:10", "cannot be removed"),
        ("path = \"data.a\"\naction = \"hash\"", "5:10", "`hash` without `key`"),
        ("path = \"data.a\"\naction = \"mask\"\nkey = \"0123456789abcdef\"", "5:10", "for `hash` alone"),
        ("path = \"data.a\"\naction = \"hide\"", "5:10", "action cannot be `hide`"),
        ("path = \"data.a\"\naction = \"mask\"\nname = \"a b\"", "6:8", "cannot be a name"),
    ] {
        refuses(&redact(rest), at, &[expected]);
    }
    let steps = ".a".repeat(17);
    refuses(
        &redact(&format!("path = \"data{steps}\"\naction = \"mask\"")),
        "4:9",
        &["17 steps", "at most 16"],
    );
    let many =
        |count: usize| route(&"[[routes.redact]]\npath = \"data.a\"\naction = \"mask\"\n".repeat(count));
    parsed(&many(64));
    assert!(refused(&many(65)).contains("65 redactions in one route"));
    assert!(refused(&many(65)).contains("at most 64"));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let report = refused(&route(
        "[[routes.redact]]\npath = \"user\"\naction = \"mask\"\npattern = '('\n[[routes.redact]]\npath = \"data.a\"\naction = \"hash\"\n\
         [[routes.fields]]\nset = \"data.*\"\nvalue = '1 +'",
    ));
    for at in ["4:9", "6:12", "9:10", "11:8", "12:"] {
        assert!(report.contains(&format!("--> t.toml:{at}")), "no {at} in:\n{report}");
    }
}

#[test]
fn a_field_does_one_thing() {
    let field = |rest: &str| route(&format!("[[routes.fields]]\n{rest}"));
    for rest in [
        "rename = \"data.a\"\nto = \"b\"",
        "set = \"data.a[0]\"\nvalue = '\"shop\"'\non_error = \"drop\"",
        "drop = \"data.**.debug\"\nname = \"quiet\"\nshadow = true",
    ] {
        parsed(&field(rest));
    }
    for (rest, at, expected) in [
        ("name = \"a\"", "3:1", "neither `rename` nor `set` nor `drop`"),
        ("set = \"data.a\"\nvalue = '1'\ndrop = \"data.b\"", "6:8", "both `set` and `drop`"),
        ("rename = \"data.a\"", "4:10", "`rename` without `to`"),
        ("set = \"data.a\"", "4:7", "`set` without `value`"),
        ("drop = \"data.a\"\nto = \"b\"", "5:6", "`to` is for `rename`"),
        ("drop = \"data.a\"\nvalue = '1'", "5:9", "`value` is for `set`"),
        ("rename = \"data.a\"\nto = \"a\"", "5:6", "the name that it has"),
        ("rename = \"data.a[0]\"\nto = \"b\"", "4:11", "an element has no name"),
        ("set = \"data.*.a\"\nvalue = '1'", "4:8", "in several places"),
        ("set = \"site\"\nvalue = '1'", "4:8", "begins with `data`"),
        ("drop = \"data.a.**\"", "4:9", "cannot be dropped"),
        ("set = \"data.a\"\nvalue = 'data.b ='", "5:17", "not part of the language"),
    ] {
        refuses(&field(rest), at, &[expected]);
    }
    assert!(
        refused(&route(&"[[routes.fields]]\ndrop = \"data.a\"\n".repeat(65)))
            .contains("65 fields in one route")
    );
}
