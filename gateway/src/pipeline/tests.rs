//! Each rule of the pipeline, one line a case.

use tidegate_wire::{Aliases, Code, Limits, Raw};
use uuid::Uuid;

use super::{Encodes, Ids, Pipeline, Sender, Stamp};
use crate::access::Access;
use crate::config::{Attribute, Condition, Config, Route, Test};
use crate::record::{Encoding, Records, TopicId};

const NOW_MS: u64 = 1_790_000_000_000;

fn route(when: Option<Test>, topic: &str, encoding: Encoding) -> Route {
    let when = when.map(|test| Condition { all: vec![test] });
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
    let pipeline = Pipeline::new(Limits::default(), routes, &topics, encodes);
    let aliases = Aliases::default();
    let sender = Sender { grant: &grant, aliases: &aliases };
    let mut stamp = Stamp::new(NOW_MS, "/shop/web-1", Some("web-1"), ids);
    let mut records = Records::default();
    pipeline
        .run(&Raw::Structured(event.as_bytes()), 3, sender, &mut stamp, &mut records)
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
        route(Some(Test::StartsWith(Attribute::Type, "sensor.".into())), "sensors", Encoding::Structured),
        route(Some(Test::Equals(Attribute::Source, "/web".into())), "web", Encoding::Structured),
        route(Some(Test::Equals(Attribute::Topic, "orders".into())), "orders", Encoding::Structured),
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
