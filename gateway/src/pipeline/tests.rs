//! Each rule of the pipeline, one line a case.

mod edits;
mod memory;
mod topics;
mod whole_events;

use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_wire::{Aliases, Code, Define, Limits, Raw, Record};
use uuid::Uuid;

use super::{Counts, Encodes, Ids, Pipeline, Sender, Stamp, Untold};
use crate::access::Access;
use crate::config::{Condition, Config, Expression, Filter, OnError, Route};
use crate::record::{Encoding, Records, TopicId};

const NOW_MS: u64 = 1_790_000_000_000;

fn route(when: Option<&str>, topic: &str, encoding: Encoding) -> Route {
    let when = when.map(|text| Condition::parse(text).unwrap());
    Route { when, topic: topic.to_owned(), encoding, tolerance_ms: 60_000, ..Route::to_events() }
}

/// Runs one structured event through routes; its records, or the code it was refused with.
fn run(routes: &[Route], encodes: Encodes, ids: Ids<'_>, event: &str) -> Result<Records, Code> {
    let topics: Vec<_> = match routes {
        [] => vec!["events".to_owned()],
        routes => routes.iter().map(|route| route.topic.clone()).collect(),
    };
    let config = Config::default();
    let grant = Access::new(&config.auth, &config.origins, &topics).authenticate(None).unwrap();
    let pipeline = Pipeline::new(Limits::default(), routes, &topics, encodes).unwrap();
    let aliases = Aliases::default();
    let sender = Sender { grant: &grant, aliases: &aliases };
    let mut stamp = Stamp::new(NOW_MS, "/shop/web-1", Some("web-1"), ids);
    let mut records = Records::default();
    pipeline
        .rules()
        .run(&Raw::Structured(event.as_bytes()), 3, sender, &mut stamp, &mut records, &mut Untold)
        .map(|()| records)
        .map_err(|reject| reject.code)
}

fn numbered() -> Ids<'static> {
    Ids::Numbered { prefix: "web-1-9-", first_seq: 40 }
}

fn value(event: &str) -> String {
    let records = run(&[], Encodes::ByRoute, numbered(), event).unwrap();
    String::from_utf8(records.get(0).unwrap().value.unwrap().to_vec()).unwrap()
}

#[test]
fn what_the_client_left_out_is_filled_in() {
    assert_eq!(
        value(r#"{"type":"t"}"#),
        r#"{"specversion":"1.0","id":"web-1-9-43","source":"/shop/web-1","type":"t","time":"2026-09-21T14:13:20.000Z","datacontenttype":"application/json","recordedtime":"2026-09-21T14:13:20.000Z"}"#
    );
}

#[test]
fn what_the_client_said_stays_as_it_was_sent() {
    let said = r#"{"specversion":"1.0","id":"\u0041","source":"/x","type":"t","time":"2020-01-01T00:00:00+01:00","datacontenttype":"application/vnd.a+json","subject":"s","own":7,"data":{ "a" : 1.0 }}"#;
    let value = value(said);
    for part in
        [r#""id":"\u0041""#, r#""time":"2020-01-01T00:00:00+01:00""#, r#""own":7"#, r#""data":{ "a" : 1.0 }"#]
    {
        assert!(value.contains(part), "{part} is not in {value}");
    }
}

#[test]
fn the_receive_time_is_the_gateways_to_say() {
    let value = value(r#"{"type":"t","recordedtime":"2001-01-01T00:00:00Z"}"#);
    assert!(
        value.contains(r#""recordedtime":"2026-09-21T14:13:20.000Z""#) && !value.contains("2001"),
        "{value}"
    );
}

#[test]
fn without_numbers_ids_are_sortable_and_count_up() {
    let first = Uuid::from_u128(u128::MAX << 8);
    let records = run(&[], Encodes::ByRoute, Ids::Unnumbered(first), r#"{"type":"t"}"#).unwrap();
    let value = String::from_utf8_lossy(records.get(0).unwrap().value.unwrap()).into_owned();
    assert!(value.contains(&Uuid::from_u128((u128::MAX << 8) + 3).to_string()), "{value}");
}

#[test]
fn the_key_is_the_partition_key_or_the_client() {
    for (event, key) in [(r#"{"type":"t"}"#, "web-1"), (r#"{"type":"t","partitionkey":"k"}"#, "k")] {
        let records = run(&[], Encodes::ByRoute, numbered(), event).unwrap();
        assert_eq!(records.get(0).unwrap().key, Some(key.as_bytes()), "{event}");
    }
}

#[test]
fn the_timestamp_is_the_events_time_where_it_is_near() {
    let routes = [route(None, "t", Encoding::Structured)];
    for (time, timestamp_ms) in [
        ("2026-09-21T14:13:21.000Z", NOW_MS + 1_000),
        ("2026-09-21T14:12:20.000Z", NOW_MS - 60_000),
        ("2026-09-21T14:12:19.999Z", NOW_MS),
        ("1969-09-21T14:12:19.999Z", NOW_MS),
    ] {
        let event = format!(r#"{{"type":"t","time":"{time}"}}"#);
        let records = run(&routes, Encodes::ByRoute, numbered(), &event).unwrap();
        assert_eq!(records.get(0).unwrap().timestamp_ms, timestamp_ms, "{time}");
    }
}

#[test]
fn the_first_route_that_holds_decides() {
    let routes = [
        route(Some("type.startsWith('sensor.')"), "sensors", Encoding::Structured),
        route(Some("source == '/web'"), "web", Encoding::Structured),
        route(Some("topic == 'orders'"), "orders", Encoding::Structured),
    ];
    for (event, topic) in [
        (r#"{"type":"sensor.a","source":"/web"}"#, Ok(0)),
        (r#"{"type":"a","source":"/web"}"#, Ok(1)),
        (r#"{"type":"a","topic":"orders"}"#, Ok(2)),
        (r#"{"type":"a","source":"/web/x"}"#, Err(Code::Unrouted)),
    ] {
        let taken = run(&routes, Encodes::ByRoute, numbered(), event);
        assert_eq!(taken.map(|records| records.get(0).unwrap().topic), topic.map(TopicId), "{event}");
    }
}

#[test]
fn past_its_expiry_an_event_is_dropped() {
    for (expiry, expired) in [("2026-09-21T14:13:19.999Z", true), ("2026-09-21T14:13:20.000Z", false)] {
        let event = format!(r#"{{"type":"t","expirytime":"{expiry}"}}"#);
        let taken = run(&[], Encodes::ByRoute, numbered(), &event);
        assert_eq!(taken.err(), expired.then_some(Code::Expired), "{expiry}");
    }
}

#[test]
fn the_binary_encoding_puts_attributes_into_headers() {
    let routes = [route(None, "t", Encoding::Binary)];
    let event = r#"{"type":"t","id":"1","source":"/s","subject":"a\"b","datacontenttype":"application/json","data":{"a":1}}"#;
    let records = run(&routes, Encodes::ByRoute, numbered(), event).unwrap();
    let record = records.get(0).unwrap();
    assert_eq!((record.encoding, record.value), (Encoding::Binary, Some(&br#"{"a":1}"#[..])));
    let headers: Vec<_> =
        record.headers().map(|(name, value)| (name, String::from_utf8_lossy(value))).collect();
    for (name, value) in [
        ("ce_specversion", "1.0"),
        ("ce_id", "1"),
        ("ce_type", "t"),
        ("ce_subject", "a\"b"),
        ("content-type", "application/json"),
    ] {
        assert!(
            headers.iter().any(|header| header.0 == name && header.1 == value),
            "{name} is not in {headers:?}"
        );
    }
}

#[test]
fn a_destination_that_keeps_events_gets_them_whole_whatever_the_route_says() {
    let routes = [route(None, "t", Encoding::Binary)];
    let records = run(&routes, Encodes::Structured, numbered(), r#"{"type":"t"}"#).unwrap();
    assert_eq!(records.get(0).unwrap().encoding, Encoding::Structured);
}

#[test]
fn a_refused_event_leaves_no_record() {
    for event in ["", "[]", r#"{"type":""}"#, r#"{"data":1}"#] {
        assert_eq!(run(&[], Encodes::ByRoute, numbered(), event).err(), Some(Code::Malformed), "{event}");
    }
}

#[test]
fn a_clock_far_ahead_does_not_stamp_records_that_kafka_would_refuse() {
    for (time, timestamp_ms) in
        [("2026-09-21T14:43:20.000Z", NOW_MS + 1_800_000), ("2026-09-21T14:43:20.001Z", NOW_MS)]
    {
        let event = format!(r#"{{"type":"t","time":"{time}"}}"#);
        let records = run(&[], Encodes::ByRoute, numbered(), &event).unwrap();
        assert_eq!(records.get(0).unwrap().timestamp_ms, timestamp_ms, "{time}");
    }
}

fn keep(condition: &str) -> Filter {
    let keep = Some(Condition::parse(condition).unwrap());
    Filter { name: None, keep, drop: None, on_error: OnError::Keep, shadow: false }
}

fn outcome(routes: &[Route], event: &str) -> Result<TopicId, Code> {
    run(routes, Encodes::ByRoute, numbered(), event).map(|records| records.get(0).unwrap().topic)
}

#[test]
fn filters_drop_what_they_say() {
    let hot = keep("data.t > 20");
    let drop = Filter { keep: None, drop: Some(Condition::parse("data.t > 20").unwrap()), ..hot.clone() };
    let strict = Filter { on_error: OnError::Drop, ..hot.clone() };
    let shadow = Filter { shadow: true, ..hot.clone() };
    for (filter, warm, cold, none) in [
        (&hot, true, false, true),
        (&drop, false, true, true),
        (&strict, true, false, false),
        (&shadow, true, true, true),
    ] {
        let routes = [Route { filters: vec![filter.clone()], ..route(None, "t", Encoding::Structured) }];
        let kept = |data: &str| outcome(&routes, &format!(r#"{{"type":"t"{data}}}"#));
        for (data, is_kept) in [
            (r#","data":{"t":21}"#, warm),
            (r#","data":{"t":20.0}"#, cold),
            (r#","data":{"t":"21"}"#, none),
            ("", none),
            (r#","datacontenttype":"text/plain","data":"21""#, none),
        ] {
            let expected = if is_kept { Ok(TopicId(0)) } else { Err(Code::Filtered) };
            assert_eq!(kept(data), expected, "{filter:?} {data}");
        }
    }
}

#[test]
fn all_filters_of_the_route_are_asked_and_no_others() {
    let routes = [
        Route {
            filters: vec![keep("data.a == 1"), keep("data.b == 2 && subject == 's'")],
            ..route(Some("type == 'x'"), "x", Encoding::Structured)
        },
        route(None, "rest", Encoding::Structured),
    ];
    for (event, expected) in [
        (r#"{"type":"x","subject":"s","data":{"a":1,"b":2}}"#, Ok(TopicId(0))),
        (r#"{"type":"x","subject":"s","data":{"a":0,"b":2}}"#, Err(Code::Filtered)),
        (r#"{"type":"x","subject":"s","data":{"a":1,"b":0}}"#, Err(Code::Filtered)),
        (r#"{"type":"x","subject":"t","data":{"a":1,"b":2}}"#, Err(Code::Filtered)),
        (r#"{"type":"y","data":{"a":0}}"#, Ok(TopicId(1))),
    ] {
        assert_eq!(outcome(&routes, event), expected, "{event}");
    }
}

#[test]
fn a_route_may_look_into_the_payload() {
    let routes = [
        Route {
            filters: vec![keep("data.b == 2")],
            ..route(Some("data.a == 1"), "one", Encoding::Structured)
        },
        route(None, "rest", Encoding::Structured),
    ];
    for (event, expected) in [
        (r#"{"type":"x","data":{"a":1,"b":2}}"#, Ok(TopicId(0))),
        (r#"{"type":"x","data":{"a":1,"b":3}}"#, Err(Code::Filtered)),
        (r#"{"type":"x","data":{"a":2,"b":3}}"#, Ok(TopicId(1))),
        (r#"{"type":"x"}"#, Ok(TopicId(1))),
    ] {
        assert_eq!(outcome(&routes, event), expected, "{event}");
    }
}

#[test]
fn a_name_given_twice_is_malformed_where_rules_look() {
    let event = r#"{"type":"x","data":{"a":1,"\u0061":2,"c":1,"c":2}}"#;
    let with = |condition: &str| {
        let routes = [Route { filters: vec![keep(condition)], ..route(None, "t", Encoding::Structured) }];
        outcome(&routes, event)
    };
    assert_eq!(with("data.a == 1"), Err(Code::Malformed));
    assert_eq!(with("type == 'x'"), Ok(TopicId(0)));
    assert_eq!(with("data.b == 1"), Ok(TopicId(0)));
}

#[test]
fn rules_see_what_the_gateway_fills_in() {
    let condition = "source == '/shop/web-1' && id == 'web-1-9-43' && specversion == '1.0' && \
                     time == timestamp('2026-09-21T14:13:20Z') && recordedtime == time && plant == 7";
    let routes = [Route { filters: vec![keep(condition)], ..route(None, "t", Encoding::Structured) }];
    assert_eq!(outcome(&routes, r#"{"type":"t","plant":7}"#), Ok(TopicId(0)));
    assert_eq!(outcome(&routes, r#"{"type":"t","plant":8}"#), Err(Code::Filtered));
}

#[test]
fn what_rules_have_done_is_counted() {
    let named = Filter { name: Some("hot".into()), ..keep("data.t > 20") };
    let routes =
        [Route { filters: vec![named, keep("type == 't'")], ..route(None, "t", Encoding::Structured) }];
    let pipeline = Pipeline::new(Limits::default(), &routes, &["t".to_owned()], Encodes::ByRoute).unwrap();
    let grant = Access::new(&Config::default().auth, &Config::default().origins, &["t".to_owned()]);
    let grant = grant.authenticate(None).unwrap();
    let sender = Sender { grant: &grant, aliases: &Aliases::default() };
    for event in [r#"{"type":"t","data":{"t":21}}"#, r#"{"type":"t","data":{"t":1}}"#, r#"{"type":"u"}"#] {
        let mut stamp = Stamp::new(NOW_MS, "/shop/web-1", None, numbered());
        let _ = pipeline.rules().run(
            &Raw::Structured(event.as_bytes()),
            0,
            sender,
            &mut stamp,
            &mut Records::default(),
            &mut Untold,
        );
    }
    let counts: Vec<_> = pipeline
        .rules()
        .tallies()
        .map(|(route, rule)| {
            let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
            let Counts { kept, dropped, faults, .. } = rule.counts();
            (route.to_owned(), rule.name().to_owned(), read(kept), read(dropped), read(faults))
        })
        .collect();
    let line = |name: &str, kept, dropped, faults| ("1".to_owned(), name.to_owned(), kept, dropped, faults);
    assert_eq!(counts, [line("hot", 2, 1, 1), line("2", 1, 1, 0)]);
}

#[test]
fn rules_are_replaced_and_what_stays_goes_on_counting() {
    let named = |name: &str, condition: &str| Filter { name: Some(name.into()), ..keep(condition) };
    let routes = |filters: Vec<Filter>| [Route { filters, ..route(None, "t", Encoding::Structured) }];
    let before = routes(vec![named("a", "data.a > 1"), named("b", "data.b > 1")]);
    let pipeline = Pipeline::new(Limits::default(), &before, &["t".to_owned()], Encodes::ByRoute).unwrap();
    let access = Access::new(&Config::default().auth, &Config::default().origins, &["t".to_owned()]);
    let grant = access.authenticate(None).unwrap();
    let aliases = Aliases::default();
    let run = || {
        let event = Raw::Structured(br#"{"type":"t","data":{"a":2,"b":2}}"#);
        let mut stamp = Stamp::new(NOW_MS, "/shop/web-1", None, numbered());
        let sender = Sender { grant: &grant, aliases: &aliases };
        pipeline
            .rules()
            .run(&event, 0, sender, &mut stamp, &mut Records::default(), &mut Untold)
            .map_err(|reject| reject.code)
    };
    let kept = || {
        let rules = pipeline.rules();
        rules.tallies().map(|(_, rule)| rule.counts().kept.load(Ordering::Relaxed)).collect::<Vec<_>>()
    };
    assert_eq!((run(), kept()), (Ok(()), vec![1, 1]));
    pipeline.replace(&routes(vec![named("b", "data.b > 1"), named("a", "data.a > 2")])).unwrap();
    assert_eq!((run(), kept()), (Err(Code::Filtered), vec![2, 0]));
}

#[test]
fn a_payload_that_stands_alone_is_checked_whoever_looks_at_it() {
    let attributes = r#"{"type":"t"}"#.into();
    let mut aliases = Aliases::default();
    aliases.define(&Define { alias: 1, attributes }, &Limits::default()).unwrap();
    let access = Access::new(&Config::default().auth, &Config::default().origins, &["t".to_owned()]);
    let grant = access.authenticate(None).unwrap();
    let looks = [
        vec![route(None, "t", Encoding::Structured)],
        vec![route(Some("type == 't'"), "t", Encoding::Structured)],
        vec![route(Some("data.a == 1 || type == 't'"), "t", Encoding::Structured)],
        vec![Route { filters: vec![keep("data.a == 1")], ..route(None, "t", Encoding::Structured) }],
        vec![Route { filters: vec![keep("type == 't'")], ..route(None, "t", Encoding::Structured) }],
    ];
    for routes in looks {
        let pipeline =
            Pipeline::new(Limits::default(), &routes, &["t".to_owned()], Encodes::ByRoute).unwrap();
        for (payload, expected) in [
            (&br#"{"a":1}"#[..], Ok(())),
            (b"", Ok(())),
            (br#"{"a":1"#, Err(Code::Malformed)),
            (br#"{"a":1}}"#, Err(Code::Malformed)),
            (b"{\"b\":\"\xff\"}", Err(Code::Malformed)),
            (b"\xff", Err(Code::Malformed)),
        ] {
            let raw = Raw::Record(Record { alias: 1, payload, ..Record::default() });
            let mut stamp = Stamp::new(NOW_MS, "/shop/web-1", None, numbered());
            let sender = Sender { grant: &grant, aliases: &aliases };
            let ran = pipeline.rules().run(&raw, 0, sender, &mut stamp, &mut Records::default(), &mut Untold);
            assert_eq!(ran.map_err(|reject| reject.code), expected, "{routes:?} {payload:?}");
        }
    }
}

#[test]
fn a_key_expression_says_the_records_key_where_it_has_a_value() {
    let key = Some(Expression::from("data.user.id"));
    let routes = [Route { key, ..route(None, "t", Encoding::Structured) }];
    for (data, expected) in [
        (r#"{"user":{"id":"a"}}"#, "a"),
        (r#"{"user":{"id":"\u0061\n"}}"#, "a\n"),
        (r#"{"user":{"id":7}}"#, "7"),
        (r#"{"user":{"id":1.50}}"#, "1.5"),
        (r#"{"user":{"id":null}}"#, "web-1"),
        (r#"{"user":{}}"#, "web-1"),
        (r#"{"user":{"id":[1]}}"#, "web-1"),
        ("7", "web-1"),
    ] {
        let event = format!(r#"{{"type":"t","data":{data}}}"#);
        assert_eq!(key_of(&routes, &event), Some(expected.to_owned()), "{data}");
    }
    let long = format!(r#"{{"type":"t","data":{{"user":{{"id":"{}"}}}}}}"#, "x".repeat(5_000));
    assert_eq!(key_of(&routes, &long), Some("web-1".to_owned()));
}

/// The record key of a client's event, which is called `web-1`.
fn key_of(routes: &[Route], event: &str) -> Option<String> {
    let pipeline = Pipeline::new(Limits::default(), routes, &["t".to_owned()], Encodes::ByRoute).unwrap();
    let access = Access::new(&Config::default().auth, &Config::default().origins, &["t".to_owned()]);
    let grant = access.authenticate(None).unwrap();
    let sender = Sender { grant: &grant, aliases: &Aliases::default() };
    let mut stamp = Stamp::new(NOW_MS, "/shop/web-1", Some("web-1"), numbered());
    let mut records = Records::default();
    let raw = Raw::Structured(event.as_bytes());
    pipeline.rules().run(&raw, 0, sender, &mut stamp, &mut records, &mut Untold).unwrap();
    let record = records.get(0).unwrap();
    record.key.map(|key| String::from_utf8_lossy(key).into_owned())
}
