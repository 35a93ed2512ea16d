//! What is encoded is decoded as the same, in both codings.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use tidegate_wire::inflate::Encoding;
use tidegate_wire::limits::{NUMBER_MAX, TIME_MS_MAX};
use tidegate_wire::{
    Ack, Batch, BatchWriter, ClientFrame, Close, CloseCode, Code, Define, Dropped, Frames, GatewayFrame,
    Goaway, Hello, Level, Limits, Ping, Raw, Reason, Reauth, Record, Rejection, Report, Welcome,
};

/// Every size of a varint is as likely as the others.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..64u64, 64..16_384u64, 16_384..(1u64 << 30), (1u64 << 30)..=NUMBER_MAX]
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

/// Text that is at most 8 bytes, so that either coding may hold it.
fn ping() -> impl Strategy<Value = Ping> {
    "[ -~]{0,8}|\u{e9}\u{e9}\"\\\\|\u{1f600}\n\t".prop_map(|text| Ping::new(text.as_bytes()))
}

fn hello() -> impl Strategy<Value = Hello> {
    let client = of("[A-Za-z0-9._:-]{1,128}");
    (
        of(any::<String>()),
        client,
        of(number()),
        of(1..=NUMBER_MAX),
        of(number()),
        of(any::<String>()),
        any::<bool>(),
    )
        .prop_map(|(token, client, epoch, next, sent_at, sdk, verbose)| Hello {
            token,
            client,
            epoch,
            next,
            sent_at,
            sdk,
            verbose,
        })
}

fn define() -> impl Strategy<Value = Define> {
    let attributes = prop::collection::btree_map("[a-z0-9]{1,20}", any::<String>(), 0..5);
    (1..=255u8, attributes).prop_map(|(alias, attributes)| {
        let attributes = serde_json::to_string(&attributes).unwrap();
        Define { alias, attributes }
    })
}

fn close() -> impl Strategy<Value = Close> {
    (one_of(CloseCode::ALL), of(any::<String>()), of(number())).prop_map(|(code, msg, retry_ms)| Close {
        code,
        msg,
        retry_ms,
    })
}

fn report() -> impl Strategy<Value = Report> {
    (number(), number(), number(), number(), vec((of(number()), number()), 0..=64)).prop_map(
        |(overflow, expired, too_large, switches, ack_ms)| Report {
            dropped: Dropped { overflow, expired, too_large },
            switches,
            ack_ms,
        },
    )
}

/// Refusals before what is only informative, as the JSON coding has them.
fn list() -> impl Strategy<Value = Vec<Rejection>> {
    let rejection = (number(), one_of(Code::ALL), any::<String>());
    vec(rejection.prop_map(|(seq, code, message)| Rejection { seq, code, message: message.into() }), 0..20)
        .prop_map(|mut list| {
            list.sort_by_key(|rejection| rejection.code.is_informative());
            list
        })
}

fn ack() -> impl Strategy<Value = Ack> {
    (number(), one_of(Level::ALL), number(), number(), one_of(Reason::ALL), number(), list()).prop_map(
        |(upto, level, limit, limit_bytes, reason, retry_ms, list)| Ack {
            upto,
            level,
            limit,
            limit_bytes,
            reason,
            retry_ms,
            list,
        },
    )
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let names = (any::<String>(), of(any::<String>()), list());
    let numbers = (number(), number(), number(), number(), number(), number(), number());
    let limits = (any::<u32>(), any::<u32>(), any::<u32>());
    (names, numbers, limits, any::<[bool; 3]>(), one_of(Level::ALL)).prop_map(
        |((session, client, rej), numbers, limits, [resumed, rej_more, datagrams], level)| {
            let (epoch, upto, limit, limit_bytes, ping_ms, idle_ms, server_time) = numbers;
            let (max_event_bytes, max_frame_bytes, max_batch_events) = limits;
            Welcome {
                v: 1,
                session,
                client,
                epoch,
                resumed,
                upto,
                limit,
                limit_bytes,
                level,
                rej,
                rej_more,
                ping_ms,
                idle_ms,
                max_event_bytes,
                max_frame_bytes,
                max_batch_events,
                datagrams,
                server_time,
            }
        },
    )
}

fn goaway() -> impl Strategy<Value = Goaway> {
    (number(), number(), of(any::<String>())).prop_map(|(after_ms, jitter_ms, url)| Goaway {
        after_ms,
        jitter_ms,
        url,
    })
}

fn gateway_frame() -> impl Strategy<Value = GatewayFrame> {
    prop_oneof![
        welcome().prop_map(|frame| GatewayFrame::Welcome(Box::new(frame))),
        ack().prop_map(GatewayFrame::Ack),
        ping().prop_map(GatewayFrame::Ping),
        ping().prop_map(GatewayFrame::Pong),
        goaway().prop_map(GatewayFrame::Goaway),
        close().prop_map(GatewayFrame::Close),
    ]
}

fn control_frame() -> impl Strategy<Value = ClientFrame<'static>> {
    prop_oneof![
        hello().prop_map(ClientFrame::Hello),
        define().prop_map(ClientFrame::Define),
        ping().prop_map(ClientFrame::Ping),
        ping().prop_map(ClientFrame::Pong),
        close().prop_map(ClientFrame::Close),
        report().prop_map(ClientFrame::Report),
        any::<String>().prop_map(|token| ClientFrame::Reauth(Reauth { token })),
    ]
}

/// Whether two control frames say the same. PING is compared by its bytes, however its coding wrote them.
fn equal(frame: &ClientFrame<'_>, other: &ClientFrame<'_>) -> bool {
    match (frame, other) {
        (ClientFrame::Hello(frame), ClientFrame::Hello(other)) => frame == other,
        (ClientFrame::Define(frame), ClientFrame::Define(other)) => frame == other,
        (ClientFrame::Close(frame), ClientFrame::Close(other)) => frame == other,
        (ClientFrame::Report(frame), ClientFrame::Report(other)) => frame == other,
        (ClientFrame::Reauth(frame), ClientFrame::Reauth(other)) => frame == other,
        (ClientFrame::Ping(frame), ClientFrame::Ping(other))
        | (ClientFrame::Pong(frame), ClientFrame::Pong(other)) => frame.bytes() == other.bytes(),
        _ => false,
    }
}

fn equal_of_gateway(frame: &GatewayFrame, other: &GatewayFrame) -> bool {
    match (frame, other) {
        (GatewayFrame::Ping(frame), GatewayFrame::Ping(other))
        | (GatewayFrame::Pong(frame), GatewayFrame::Pong(other)) => frame.bytes() == other.bytes(),
        _ => frame == other,
    }
}

/// A record that owns its bytes: alias, key, time, id, attributes, payload.
type Owned = (u64, Option<Vec<u8>>, Option<u64>, Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>);

fn owned_record() -> impl Strategy<Value = Owned> {
    let field = || of(vec(any::<u8>(), 0..80));
    (number(), field(), of(0..=TIME_MS_MAX), field(), field(), vec(any::<u8>(), 0..200))
}

fn record((alias, key, time_ms, id, attributes, payload): &Owned) -> Record<'_> {
    let (key, id, attributes) = (key.as_deref(), id.as_deref(), attributes.as_deref());
    let bits = [(key.is_some(), 1), (time_ms.is_some(), 2), (id.is_some(), 4), (attributes.is_some(), 8)];
    let present = bits.iter().filter(|(is_there, _)| *is_there).map(|(_, bit)| bit).sum();
    Record { alias: *alias, present, key, time_ms: *time_ms, id, attributes, payload }
}

fn assert_holds(batch: &Batch<'_>, records: &[Owned]) {
    assert_eq!(batch.count as usize, records.len());
    for (raw, owned) in batch.iter().zip(records) {
        let record = record(owned);
        match raw {
            Raw::Structured(payload) => {
                assert_eq!((record.alias, record.present, record.payload), (0, 0, payload));
            }
            Raw::Record(found) => assert_eq!(found, record),
            Raw::Http(_) => panic!("no frame holds a request"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn control_frames_come_back(frame in control_frame()) {
        let limits = Limits { max_hello_bytes: u32::MAX, ..Limits::default() };
        let mut bytes = Vec::new();
        frame.to_binary(&mut bytes);
        let binary = Frames::new(&bytes, &limits).next().unwrap().unwrap();
        let again = ClientFrame::from_binary(binary, &limits).unwrap();
        prop_assert!(equal(&again, &frame), "{again:?}");
        match frame.to_json() {
            Some(json) => {
                let again = ClientFrame::from_json(&json, &limits).unwrap();
                prop_assert!(equal(&again, &frame), "{json}");
            }
            None => prop_assert!(matches!(frame, ClientFrame::Define(_))),
        }
    }

    #[test]
    fn frames_of_a_gateway_come_back(frame in gateway_frame()) {
        let limits = Limits::default();
        let mut bytes = Vec::new();
        frame.to_binary(&mut bytes);
        let binary = Frames::new(&bytes, &limits).next().unwrap().unwrap();
        let again = GatewayFrame::from_binary(binary).unwrap().unwrap();
        prop_assert!(equal_of_gateway(&again, &frame), "{again:?}");
        let json = frame.to_json();
        let again = GatewayFrame::from_json(&json).unwrap().unwrap();
        prop_assert!(equal_of_gateway(&again, &frame), "{json}");
    }

    #[test]
    fn bytes_of_a_ping_come_back(bytes in vec(any::<u8>(), 0..=8)) {
        let mut frame = Vec::new();
        ClientFrame::Ping(Ping::new(&bytes)).to_binary(&mut frame);
        let limits = Limits::default();
        let binary = Frames::new(&frame, &limits).next().unwrap().unwrap();
        match ClientFrame::from_binary(binary, &limits).unwrap() {
            ClientFrame::Ping(ping) => prop_assert_eq!(ping.bytes(), bytes),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn records_come_back(
        records in vec(owned_record(), 0..30),
        first_seq in 1..=NUMBER_MAX - 30,
        lossy in any::<bool>(),
        encoding in prop::sample::select(&[None, Some(Encoding::Gzip), Some(Encoding::Zstd)][..]),
    ) {
        let mut writer = BatchWriter::default();
        records.iter().for_each(|owned| writer.record(&record(owned)));
        let mut bytes = Vec::new();
        writer.finish(first_seq, lossy, encoding, &mut bytes).unwrap();
        prop_assert_eq!(writer.count(), 0);
        let limits = Limits::default();
        let binary = Frames::new(&bytes, &limits).next().unwrap().unwrap();
        let frame = ClientFrame::from_binary(binary, &limits).unwrap();
        let ClientFrame::Events(batch) = &frame else {
            panic!("{frame:?}");
        };
        prop_assert_eq!((batch.first_seq, batch.lossy), (first_seq, lossy));
        assert_holds(batch, &records);
        let mut plain = Vec::new();
        frame.to_binary(&mut plain);
        prop_assert!(encoding.is_some() || plain == bytes);
    }

    #[test]
    fn structured_events_come_back_in_either_coding(
        texts in vec(any::<String>(), 0..20),
        first_seq in 1..=NUMBER_MAX - 20,
        lossy in any::<bool>(),
    ) {
        let events: Vec<String> = texts.iter().map(|text| serde_json::json!({ "type": "t", "data": text }).to_string()).collect();
        let mut writer = BatchWriter::default();
        events.iter().for_each(|event| writer.structured(event.as_bytes()));
        let mut bytes = Vec::new();
        writer.finish(first_seq, lossy, None, &mut bytes).unwrap();
        let limits = Limits::default();
        let binary = Frames::new(&bytes, &limits).next().unwrap().unwrap();
        let json = ClientFrame::from_binary(binary, &limits).unwrap().to_json().unwrap();
        let frame = ClientFrame::from_json(&json, &limits).unwrap();
        let mut again = Vec::new();
        frame.to_binary(&mut again);
        prop_assert_eq!(again, bytes);
        let ClientFrame::Events(batch) = &frame else {
            panic!("{frame:?}");
        };
        prop_assert_eq!(batch.payload_bytes, events.iter().map(|event| event.len() as u64).sum::<u64>());
    }
}
