//! A whole event's data is looked through once where it can be: whatever rules ask, that makes no difference.

use std::sync::Arc;

use proptest::prelude::*;
use tidegate_wire::Reject;

use super::*;
use crate::access::Grant;
use crate::pipeline::route::Table;
use crate::schema::Subjects;

/// Rules of each kind: without any, of attributes, of the payload, and of both.
fn tables() -> Vec<Vec<Route>> {
    let filtered = |when: Option<&str>, condition: &str| Route {
        filters: vec![keep(condition)],
        ..route(when, "t", Encoding::Structured)
    };
    vec![
        vec![route(None, "t", Encoding::Structured)],
        vec![filtered(Some("type == 't'"), "id != '7'")],
        vec![filtered(None, "data.a[0] == 1")],
        vec![filtered(Some("type == 't'"), "data.a == 1"), filtered(Some("id == '7'"), "own != true")],
        vec![filtered(Some("data.a.b == 2"), "id != '7'"), filtered(None, "data.c == 1")],
    ]
}

/// By each table: the event as in a gateway, and by a pass for its members and one for its data.
struct Both(Vec<[Pipeline; 2]>, Arc<Grant>);

impl Both {
    fn new() -> Self {
        let topics = ["t".to_owned()];
        let pipeline =
            |routes: &[Route]| Pipeline::new(Limits::default(), routes, &topics, Encodes::ByRoute).unwrap();
        let both = tables().into_iter().map(|routes| {
            let in_two = pipeline(&routes);
            let mut table = Table::new(&routes, &topics, &Subjects::default()).unwrap();
            table.looks_at_payload = false;
            in_two.routes.store(Arc::new(table));
            [pipeline(&routes), in_two]
        });
        let access = Access::new(&Config::default().auth, &Config::default().origins, &topics);
        Self(both.collect(), access.authenticate(None).unwrap())
    }

    /// Asserts that both say the same of the event; what that is.
    #[track_caller]
    fn say(&self, event: &str) -> Vec<Result<String, Code>> {
        let Self(tables, grant) = self;
        let sender = Sender { grant, aliases: &Aliases::default() };
        let said = |pipeline: &Pipeline| -> Result<String, Reject> {
            let mut stamp = Stamp::new(NOW_MS, "/shop/web-1", None, numbered());
            let mut records = Records::default();
            let raw = Raw::Structured(event.as_bytes());
            pipeline.rules().run(&raw, 0, sender, &mut stamp, &mut records, &mut Untold)?;
            Ok(String::from_utf8(records.get(0).unwrap().value.unwrap().to_vec()).unwrap())
        };
        let both = tables.iter().map(|[in_one, in_two]| {
            let (in_one, in_two) = (said(in_one), said(in_two));
            assert_eq!(in_one, in_two, "{event}");
            in_one.map_err(|reject| reject.code)
        });
        both.collect()
    }
}

#[test]
fn members_may_stand_in_any_order() {
    let both = Both::new();
    let members = [r#""type":"t""#, r#""id":"8""#, r#""own":true"#, r#""data":{"a":[1],"c":1}"#];
    let expected = both.say(&format!("{{{}}}", members.join(",")));
    assert!(matches!(&*expected, [Ok(_), Ok(_), Ok(_), Err(Code::Filtered), Ok(_)]), "{expected:?}");
    for rotated in 0..members.len() {
        let [mut forth, mut back] = [members; 2];
        forth.rotate_left(rotated);
        back.reverse();
        back.rotate_left(rotated);
        for members in [forth, back] {
            assert_eq!(both.say(&format!("{{ {} }} ", members.join(" , "))), expected, "{members:?}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_whatever_rules_look_at() {
    let both = Both::new();
    for event in [
        r#"{"type":"t","data":{"a":1]}"#,
        r#"{"type":"u","data":{"a":1]}"#,
        r#"{"type":"t","expirytime":"2020-01-01T00:00:00Z","data":{"a":1,}}"#,
        r#"{"type":"t","data":{"a":1,"a":2,}}"#,
        r#"{"type":"t","data":{"a":1},"own":{}}"#,
        r#"{"type":"t","data":{},"data":{"a":1}}"#,
        r#"{"data":{"a":1}}"#,
    ] {
        assert!(both.say(event).iter().all(|said| *said == Err(Code::Malformed)), "{event}");
    }
    let expired = r#"{"type":"t","expirytime":"2020-01-01T00:00:00Z","data":{"a":1}}"#;
    assert!(both.say(expired).iter().all(|said| *said == Err(Code::Expired)));
}

const MEMBERS: [&str; 20] = [
    r#""type":"t""#,
    r#""type":"t""#,
    r#""type":"u""#,
    r#""id":"7""#,
    r#" "own" : true "#,
    r#""own":{"a":1}"#,
    r#""expirytime":"2020-01-01T00:00:00Z""#,
    r#""datacontenttype":"text/plain""#,
    r#""data":{"a":1}"#,
    r#""data":{"a":[1,{"b":"}"}],"c":1}"#,
    r#""data": { "a" : { "b" : 2 , "c" : [ ] } } "#,
    r#""data":{"a":1,"\u0061":2}"#,
    r#""data":{"a":1,"a":2,"c":01}"#,
    r#""data":[{"a":1}]"#,
    r#""data":{"a":1"#,
    r#""data":"text""#,
    r#""data":null"#,
    r#""data_base64":"AAEC""#,
    r#""data_base64":null"#,
    r#""data_base64":{}"#,
];

proptest! {
    #[test]
    fn any_members_and_ends(
        members in prop::collection::vec(prop::sample::select(&MEMBERS), 1..6),
        end in prop::sample::select(&["}", "}", "}", " } ", "}}", "", "}x"]),
    ) {
        thread_local!(static BOTH: Both = Both::new());
        BOTH.with(|both| both.say(&format!(r#"{{"type":"t",{}{end}"#, members.join(","))));
        BOTH.with(|both| both.say(&format!("{{{}{end}", members.join(","))));
    }
}
