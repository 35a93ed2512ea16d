//! Topics that depend on the event.

use super::*;
use crate::access::Grant;
use crate::config::{Auth, AuthMode, Origins, Token};

const ROUTE: &str = "[[routes]]\ntopic = \"web-{tenant}\"\ntopics = [\"web-a\", \"web-b\", \"web-\"]\n";

/// The topic, the key and the value that an event comes to, or the code and the message of its refusal.
fn take(rules: &str, grant: &Grant, event: &str) -> Result<(String, String, String), (Code, String)> {
    let config = Config::parse("t.toml", rules).unwrap();
    let topics = config.topics();
    let pipeline = Pipeline::new(Limits::default(), &config.routes, &topics, Encodes::ByRoute).unwrap();
    let mut aliases = Aliases::default();
    let attributes = r#"{"type":"t","tenant":"b"}"#.into();
    aliases.define(&Define { alias: 1, attributes }, &Limits::default()).unwrap();
    let sender = Sender { grant, aliases: &aliases };
    let mut stamp = Stamp::new(NOW_MS, "/shop/web-1", Some("web-1"), numbered());
    let mut records = Records::default();
    let raw = match event {
        "" => Raw::Record(Record { alias: 1, payload: b"1", ..Record::default() }),
        event => Raw::Structured(event.as_bytes()),
    };
    let ran = pipeline.rules().run(&raw, 0, sender, &mut stamp, &mut records, &mut Untold);
    ran.map_err(|reject| (reject.code, reject.message.to_string()))?;
    let record = records.get(0).unwrap();
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
    Ok((topics[usize::from(record.topic.0)].clone(), text(record.key), text(record.value)))
}

fn topic(rules: &str, event: &str) -> Result<String, (Code, String)> {
    take(rules, &Grant::open(), event).map(|(topic, ..)| topic)
}

#[test]
fn a_template_leads_to_what_is_listed_and_nowhere_else() {
    for (event, topic) in [
        (r#"{"type":"t","tenant":"a"}"#, "web-a"),
        (r#"{"type":"t","tenant":"b"}"#, "web-b"),
        (r#"{"type":"t","tenant":"\u0061"}"#, "web-a"),
        (r#"{"type":"t","tenant":""}"#, "web-"),
        ("", "web-b"),
    ] {
        assert_eq!(self::topic(ROUTE, event), Ok(topic.to_owned()), "{event}");
    }
    let long = format!(r#"{{"type":"t","tenant":"{}"}}"#, "a".repeat(250));
    for (event, message) in [
        (r#"{"type":"t","tenant":"c"}"#, "topic `web-{tenant}` gives `web-c`, which is not among its topics"),
        (r#"{"type":"t","tenant":"a "}"#, "gives `web-a `"),
        (r#"{"type":"t","tenant":"A"}"#, "gives `web-A`"),
        (r#"{"type":"t","tenant":1}"#, "gives `web-1`"),
        (r#"{"type":"t"}"#, "for topic `web-{tenant}` the event has no `tenant`"),
        (&long, "for topic `web-{tenant}` the event's `tenant` is too long"),
    ] {
        let (code, said) = self::topic(ROUTE, event).unwrap_err();
        assert_eq!(code, Code::Unrouted, "{event}");
        assert!(said.contains(message), "{event}: {said}");
    }
    let (code, _) = self::topic(ROUTE, r#"{"type":"t","tenant":"c","data":{]}"#).unwrap_err();
    assert_eq!(code, Code::Malformed, "what is no event is told that first");
}

#[test]
fn any_attribute_may_stand_in_a_template() {
    let rules = "[[routes]]\ntopic = \"{type}.{subject}\"\ntopics = [\"t.s\"]\n";
    assert_eq!(topic(rules, r#"{"type":"t","subject":"s"}"#), Ok("t.s".to_owned()));
    assert_eq!(topic(rules, r#"{"type":"t"}"#).unwrap_err().0, Code::Unrouted);
}

#[test]
fn a_token_needs_the_topic_that_the_template_gives() {
    let token = |topics: &[&str]| {
        let issued = crate::access::Issued::new("web").unwrap();
        let topics = Some(topics.iter().map(|&topic| topic.to_owned()).collect());
        let entry = Token {
            id: "web".into(),
            hash: issued.hash.clone(),
            tenant: "shop".into(),
            clients: None,
            topics,
        };
        let auth = Auth { mode: Some(AuthMode::Tokens), tokens: vec![entry] };
        let all = Config::parse("t.toml", ROUTE).unwrap().topics();
        Access::new(&auth, &Origins::default(), &all).authenticate(Some(&issued.token)).unwrap()
    };
    let (one, none) = (token(&["web-b"]), token(&["other"]));
    let event = |tenant: &str| format!(r#"{{"type":"t","tenant":"{tenant}"}}"#);
    assert_eq!(take(ROUTE, &one, &event("b")).unwrap().0, "web-b");
    let forbidden = |grant, tenant| take(ROUTE, grant, &event(tenant)).unwrap_err();
    assert_eq!(forbidden(&one, "a"), (Code::Forbidden, "this token does not reach topic `web-a`".to_owned()));
    assert_eq!(forbidden(&one, "c").0, Code::Unrouted);
    // It hears nothing of which topics there are.
    assert_eq!(
        forbidden(&none, "c"),
        (Code::Forbidden, "this token does not reach topic `web-{tenant}`".to_owned())
    );
}

#[test]
fn what_a_template_refuses_is_not_remembered_as_passed() {
    let config =
        Config::parse("t.toml", &format!("{ROUTE}dedup = {{ key = 'id', window = \"1m\" }}\n")).unwrap();
    let pipeline =
        Pipeline::new(Limits::default(), &config.routes, &config.topics(), Encodes::ByRoute).unwrap();
    let sender = Sender { grant: &Grant::open(), aliases: &Aliases::default() };
    let codes = ["c", "a", "a"].map(|tenant| {
        let event = format!(r#"{{"type":"t","id":"1","tenant":"{tenant}"}}"#);
        let mut stamp = Stamp::new(NOW_MS, "/shop/web-1", None, numbered()).of(crate::pipeline::Origin(1));
        let raw = Raw::Structured(event.as_bytes());
        let mut records = Records::default();
        let ran = pipeline.rules().run(&raw, 0, sender, &mut stamp, &mut records, &mut Untold);
        ran.map_err(|reject| reject.code).err()
    });
    assert_eq!(codes, [Some(Code::Unrouted), None, Some(Code::Duplicate)]);
}
