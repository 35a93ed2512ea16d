//! Numbers over a session's life: acknowledged in order, once, over connections and carriers.

use tidegate_wire::{ClientFrame, CloseCode, Code, Hello, Level, Reason};

use super::gateway::events;
use super::{Client, Gateway};
use crate::carrier::Carrier;
use crate::deliver::Health;
use crate::listen::link::{Coding, Packet};
use crate::outcome::Outcome;

#[tokio::test(start_paused = true)]
async fn welcome_says_where_the_numbering_stands_and_how_far_to_send() {
    let gateway = Gateway::new();
    let (_client, welcome) = gateway.client("web-1", 8).await;
    assert_eq!((welcome.client.as_deref(), welcome.epoch, welcome.resumed), (Some("web-1"), 1, false));
    assert_eq!((welcome.upto, welcome.limit, welcome.limit_bytes), (7, 7 + 1_024, 256 * 1_024));
    assert_eq!((welcome.level, welcome.max_batch_events), (Level::Committed, 1_000));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_acknowledged_when_durable_and_not_before() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    client.good(1, 3).await;
    gateway.sink.holds(3).await;
    client.send(&ClientFrame::Ping(tidegate_wire::Ping::new(b"x"))).await;
    // Nothing but the answer to PING comes before the events are durable.
    assert!(matches!(client.next().await, Some(tidegate_wire::GatewayFrame::Pong(_))));
    gateway.sink.commit(3);
    let ack = client.ack().await;
    assert_eq!((ack.upto, ack.level, ack.reason, ack.limit), (3, Level::Committed, Reason::Ok, 3 + 1_024));
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn attributes_left_out_are_filled_in() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 5).await;
    client.events(5, &[r#"{"type":"t","data":{"x": 1}}"#]).await;
    gateway.sink.holds(1).await;
    let value = gateway.sink.values().remove(0);
    for part in [
        r#""specversion":"1.0""#,
        r#""id":"a-1-5""#,
        r#""source":"/default/a""#,
        r#""datacontenttype":"application/json""#,
        r#""recordedtime":""#,
        r#""time":""#,
        r#""data":{"x": 1}}"#,
    ] {
        assert!(value.contains(part), "{part} is not in {value}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_bad_event_does_not_block_the_rest() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    client.events(1, &[r#"{"type":"t"}"#, "[", r#"{"type":"t"}"#, r#"{"no":"type"}"#]).await;
    gateway.sink.holds(2).await;
    gateway.sink.refuse("too large for the broker");
    gateway.sink.commit(1);
    let ack = client.acked(4).await;
    let listed: Vec<_> = ack.list.iter().map(|rejection| (rejection.seq, rejection.code)).collect();
    assert_eq!(listed, [(1, Code::BrokerRejected), (2, Code::Malformed), (4, Code::Malformed)]);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn who_resumes_is_told_what_settled_meanwhile_and_nothing_is_produced_twice() {
    let gateway = Gateway::new();
    let (mut old, _) = gateway.client("a", 1).await;
    old.good(1, 2).await;
    gateway.sink.holds(2).await;
    drop(old);
    gateway.sink.commit(1);
    let (mut new, welcome) = gateway.client("a", 1).await;
    assert!(welcome.resumed);
    assert_eq!(welcome.upto, 0);
    new.good(1, 3).await;
    gateway.sink.holds(2).await;
    gateway.sink.commit(2);
    assert_eq!(new.acked(3).await.upto, 3);
    assert_eq!(gateway.count(Carrier::Quic, Outcome::DuplicateNumber), 2);
    assert_eq!(gateway.count(Carrier::Quic, Outcome::Committed), 3);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn settled_numbers_sent_again_are_acknowledged_again() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    client.good(1, 1).await;
    gateway.sink.holds(1).await;
    gateway.sink.commit(1);
    assert_eq!(client.ack().await.upto, 1);
    client.good(1, 1).await;
    assert_eq!(client.ack().await.upto, 1);
    assert!(gateway.sink.values().is_empty());
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_again_to_who_resumes() {
    let gateway = Gateway::new();
    let (mut old, _) = gateway.client("a", 1).await;
    old.events(1, &["1"]).await;
    assert_eq!(old.ack().await.list.len(), 1);
    let (_new, welcome) = gateway.client("a", 1).await;
    assert_eq!((welcome.upto, welcome.rej[0].seq, welcome.rej_more), (1, 1, false));
    assert_eq!(old.close_code().await, CloseCode::TakenOver);
}

#[tokio::test(start_paused = true)]
async fn numbers_may_be_given_up() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    client.events(10, &[]).await;
    let ack = client.ack().await;
    assert_eq!((ack.upto, ack.limit), (9, 9 + 1_024));
    assert_eq!(gateway.metrics.carrier(Carrier::Quic).abandoned.get(), 9);
    assert_eq!(gateway.metrics.carrier(Carrier::Quic).received.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_overruns_its_credit_is_not_read_until_events_settle_and_hears_that_it_is_not_forgotten() {
    let gateway = Gateway::limited(|limits| (limits.credit_events, limits.credit_events_max) = (2, 2));
    let (mut client, welcome) = gateway.client("a", 1).await;
    assert_eq!(welcome.limit, 2);
    client.good(1, 3).await;
    client.good(4, 1).await;
    gateway.sink.holds(3).await;
    // Time passes only when everybody waits: the fourth event waits in the link.
    assert_eq!(client.ack().await.upto, 0);
    assert_eq!(gateway.sink.values().len(), 3);
    gateway.sink.commit(3);
    gateway.sink.holds(1).await;
    assert_eq!(client.acked(3).await.limit, 5);
    gateway.sink.commit(1);
    client.acked(4).await;
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_full_destination_is_waited_for_and_the_client_hears_why_again_and_again() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    gateway.sink.set_room(1);
    *gateway.sink.health.lock().unwrap() = Health::Away { reason: Reason::Full, detail: String::new() };
    client.good(1, 3).await;
    // It is not read meanwhile, so it must hear from us without asking.
    for _ in 0..3 {
        assert_eq!(client.ack().await.reason, Reason::Full);
    }
    *gateway.sink.health.lock().unwrap() = Health::Ready;
    gateway.sink.set_room(10);
    gateway.sink.holds(3).await;
    gateway.sink.commit(3);
    assert_eq!(client.acked(3).await.reason, Reason::Ok);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_full_and_well_is_slow() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    gateway.sink.set_room(0);
    client.good(1, 1).await;
    assert_eq!(client.ack().await.reason, Reason::Broker);
    assert_eq!(client.ack().await.reason, Reason::Broker);
}

#[tokio::test(start_paused = true)]
async fn memory_beyond_the_budget_is_waited_for() {
    let gateway = Gateway::limited(|limits| limits.budget_bytes = crate::config::ByteSize(1_024));
    let (mut first, _) = gateway.client("a", 1).await;
    let (mut second, _) = gateway.client("b", 1).await;
    first.good(1, 1).await;
    gateway.sink.holds(1).await;
    second.good(1, 1).await;
    assert_eq!(second.ack().await.reason, Reason::Memory);
    assert_eq!(gateway.sink.values().len(), 1);
    gateway.sink.commit(1);
    gateway.sink.holds(1).await;
    gateway.sink.commit(1);
    second.acked(1).await;
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn lost_events_are_never_acknowledged_and_may_be_sent_again() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    client.good(1, 2).await;
    gateway.sink.holds(2).await;
    gateway.sink.lose();
    assert_eq!(client.close_code().await, CloseCode::Internal);
    let (mut client, welcome) = gateway.client("a", 1).await;
    assert_eq!(welcome.upto, 0);
    client.good(1, 2).await;
    gateway.sink.holds(2).await;
    gateway.sink.commit(2);
    client.acked(2).await;
    assert_eq!(gateway.count(Carrier::Quic, Outcome::Lost), 2);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn done_settles_acknowledges_and_closes() {
    let gateway = Gateway::new();
    for by_frame in [true, false] {
        let (mut client, _) = gateway.client(if by_frame { "a" } else { "b" }, 1).await;
        client.good(1, 1).await;
        gateway.sink.holds(1).await;
        if by_frame {
            client.send(&ClientFrame::Close(tidegate_wire::Close::new(CloseCode::Done))).await;
        } else {
            client.finish();
        }
        gateway.sink.commit(1);
        assert_eq!(client.acked(1).await.upto, 1);
        assert_eq!(client.close_code().await, CloseCode::Done);
    }
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn lossy_events_take_what_room_there_is_and_are_not_acknowledged() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    gateway.sink.set_room(1);
    let two = [r#"{"type":"t"}"#, r#"{"type":"t"}"#];
    client.packet(Packet::Frames(events(1, true, &two))).await;
    client.packet(Packet::Datagram(events(1, true, &two[..1]))).await;
    client.packet(Packet::Datagram("not a frame".into())).await;
    gateway.sink.holds(1).await;
    gateway.sink.commit(1);
    client.send(&ClientFrame::Close(tidegate_wire::Close::new(CloseCode::Done))).await;
    assert_eq!(client.close_code().await, CloseCode::Done);
    assert_eq!(gateway.count(Carrier::Quic, Outcome::Committed), 1);
    assert_eq!(gateway.count(Carrier::Quic, Outcome::LossyDropped), 1);
    assert_eq!(gateway.count(Carrier::Datagram, Outcome::LossyDropped), 1);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn the_json_coding_speaks_of_the_same_numbering() {
    let gateway = Gateway::new();
    let (binary, _) = gateway.client("a", 1).await;
    let mut json = gateway.connect(Carrier::WebSocket, Coding::Json);
    json.send(&ClientFrame::Hello(Hello { client: Some("a".into()), epoch: Some(1), ..Hello::default() }))
        .await;
    assert!(json.welcome().await.resumed);
    json.packet(Packet::Text(r#"{"t":"ev","s":1,"e":[{"type":"t"}]}"#.into())).await;
    gateway.sink.holds(1).await;
    gateway.sink.commit(1);
    json.acked(1).await;
    assert_eq!(binary.close_code().await, CloseCode::TakenOver);
}

#[tokio::test(start_paused = true)]
async fn standard_cloudevents_need_no_frames() {
    let gateway = Gateway::new();
    let client = gateway.connect(Carrier::WebSocket, Coding::CloudEvents);
    let mut client: Client = client;
    client.packet(Packet::Text(r#"{"type":"t"}"#.into())).await;
    client.packet(Packet::Text("no event".into())).await;
    gateway.sink.holds(1).await;
    assert!(gateway.sink.values()[0].contains(r#""source":"/default/anonymous""#));
    gateway.sink.commit(1);
    client.finish();
    assert!(client.next().await.is_none());
    assert_eq!(gateway.count(Carrier::WebSocket, Outcome::Malformed), 1);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_session_without_frames_may_send_any_number_of_bad_events() {
    let gateway = Gateway::new();
    let mut client = gateway.connect(Carrier::WebSocket, Coding::CloudEvents);
    for _ in 0..5_000 {
        client.packet(Packet::Text("no event".into())).await;
    }
    client.finish();
    assert!(client.next().await.is_none());
    assert_eq!(gateway.count(Carrier::WebSocket, Outcome::Malformed), 5_000);
}

#[tokio::test(start_paused = true)]
async fn credit_is_looked_at_between_the_frames_of_one_packet() {
    let gateway = Gateway::limited(|limits| (limits.credit_events, limits.credit_events_max) = (2, 2));
    let (mut client, _) = gateway.client("a", 1).await;
    let packet: Vec<u8> = (1..=5).flat_map(|seq| events(seq, false, &[r#"{"type":"t"}"#]).to_vec()).collect();
    client.packet(Packet::Frames(packet.into())).await;
    gateway.sink.holds(3).await;
    // The sign of life of a client that is not read: nothing moves until something settles.
    assert_eq!(client.ack().await.upto, 0);
    assert_eq!(gateway.sink.values().len(), 3);
    gateway.sink.commit(3);
    gateway.sink.holds(2).await;
    gateway.sink.commit(2);
    client.acked(5).await;
    gateway.assert_accounted();
}
