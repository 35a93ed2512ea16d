//! Data that is left to whoever looks through it, and then checked, makes the same event as data that is checked at once.

use proptest::prelude::*;

use super::*;

/// What there is to know of an event, or what its client is told.
type Judged = Result<(Vec<(String, String)>, Option<Vec<u8>>, bool), String>;

fn judged(event: &Event<'_>, outcome: Result<(), Reject>) -> Judged {
    outcome.map_err(|reject| format!("{:?}: {}", reject.code, reject.message))?;
    assert!(!matches!(event.data, Data::Unchecked(_)));
    let attributes = event.attributes().map(|(name, value)| (name.to_owned(), value.text().into_owned()));
    let data = event.data.bytes().map(std::borrow::Cow::into_owned);
    Ok((attributes.collect(), data, matches!(event.data, Data::Json(_))))
}

/// Whether data was left, having made sure that this makes no difference.
#[track_caller]
fn is_left(text: &str) -> bool {
    let (aliases, limits) = (Aliases::default(), Limits::default());
    let raw = Raw::Structured(text.as_bytes());
    let mut at_once = Event::default();
    let outcome = at_once.fill(&raw, &aliases, &limits);
    let at_once = judged(&at_once, outcome);
    let mut left = Event::default();
    let outcome = left.fill_unchecked(&raw, &aliases, &limits, true);
    let is_left = outcome.is_ok() && matches!(left.data, Data::Unchecked(_));
    if is_left {
        assert_eq!(left.json().map(str::as_bytes), left.data.bytes().as_deref(), "{text}");
    }
    let outcome = outcome.and_then(|()| left.check(&limits));
    assert_eq!(judged(&left, outcome), at_once, "{text}");
    is_left
}

#[test]
fn data_at_the_end_is_left_if_its_end_shows() {
    for (text, expected) in [
        (r#"{"type":"t","data":{"a":1}}"#, true),
        (r#"{"type":"t","data":[1]}"#, true),
        (" { \"type\" : \"t\" , \"data\" :\n{ \"a\" : [ ] } \t}\r\n", true),
        (r#"{"type":"t","datacontenttype":"text/plain","data":{"a":1}}"#, true),
        (r#"{"type":"t","data_base64":null,"data":{}}"#, false),
        (r#"{"type":"t","data":"}"}"#, false),
        (r#"{"type":"t","data":1}"#, false),
        (r#"{"data":{"a":1},"type":"t"}"#, false),
        (r#"{"type":"t","data":{"a":1},"id":"7"}"#, false),
        (r#"{"type":"t","d\u0061ta":{"a":1}}"#, false),
        (r#"{"data":{"a":1}}"#, false),
    ] {
        assert_eq!(is_left(text), expected, "{text}");
    }
}

#[test]
fn what_is_not_data_alone_is_found_out() {
    for text in [
        r#"{"type":"t","data":{"a":1},"own":{"b":2}}"#,
        r#"{"type":"t","data":{},"data":{}}"#,
        r#"{"type":"t","data":{"a":1},"id":"7","data":[1]}"#,
        r#"{"type":"t","data":{},"data_base64":{}}"#,
        r#"{"type":"t","data":{"a":1}}}"#,
        r#"{"type":"t","data":{"a":1}"#,
        r#"{"type":"t","data":{"a":1]}"#,
        r#"{"type":"t","data":[{"a":1}}"#,
        r#"{"type":"t","data":{}{}}"#,
        r#"{"type":"t","data":{"a":01}}"#,
        r#"{"type":"t","data":{"a":1}} {}"#,
        r#"{"type":"t","data":}}"#,
        r#"{"type":"t","id":"","data":{}}"#,
    ] {
        let mut event = Event::default();
        let filled = event.fill(&Raw::Structured(text.as_bytes()), &Aliases::default(), &Limits::default());
        assert!(filled.is_err(), "{text}");
        is_left(text);
    }
}

#[test]
fn data_that_is_left_may_be_nested_as_deep_as_any() {
    let nested =
        |depth: usize| format!(r#"{{"type":"t","data":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    for depth in [63, 64, 65, 200] {
        assert!(is_left(&nested(depth)));
    }
}

const MEMBERS: [&str; 24] = [
    r#""type":"t""#,
    r#""type":"t""#,
    r#" "type" : "t" "#,
    r#""id":"7""#,
    r#""id":7"#,
    r#""time":"2026-01-31T12:00:00Z""#,
    r#""datacontenttype":"text/plain""#,
    r#""datacontenttype":"application/json""#,
    r#""own":"\u00e9""#,
    r#""own":{"a":1}"#,
    r#""own":null"#,
    r#""data":{"a":[1,{"b":"}"}]}"#,
    r#""data":{"a":[1,{"b":"}"}]}"#,
    r#""data": [ 1 , 2 ] "#,
    r#""data":"text""#,
    r#""data":"\ud800""#,
    r#""data":null"#,
    r#""data":{"a":1"#,
    r#""data":{"a":1]}"#,
    r#""d\u0061ta":{}"#,
    r#""data_base64":"AAEC""#,
    r#""data_base64":null"#,
    r#""data_base64":{}"#,
    r#""\ud800":1"#,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn members_in_any_order(
        members in prop::collection::vec(prop::sample::select(&MEMBERS), 0..6),
        end in prop::sample::select(&["}", "}", "}", "} ", " }\n", "}}", "", "}x"]),
    ) {
        is_left(&format!("{{{}{end}", members.join(",")));
    }

    #[test]
    fn bytes_changed(at in 0usize..80, byte in r#"[\[\]{}:,"\\ 0a]"#) {
        let mut text = r#"{"type":"t","id":"7","data":{"a":[1,{"b":"c"}],"d":{"e":{}}}, "own":true }"#.to_owned();
        let at = at % text.len();
        text.replace_range(at..=at, &byte);
        is_left(&text);
        let mut text = r#"{"id":"7","own":true,"type":"t","data":{"a":[1,{"b":"c"}],"d":{"e":{}}} }"#.to_owned();
        let at = at % text.len();
        text.replace_range(at..=at, &byte);
        is_left(&text);
    }
}
