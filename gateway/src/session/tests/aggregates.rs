//! Events that become one record with others: acknowledged with it, and nobody stands still for it.

use std::time::Duration;

use serde_json::Value;
use tidegate_wire::{ClientFrame, Close, CloseCode, Code, GatewayFrame, Reason};
use tokio::time::{Instant, sleep, timeout};

use super::gateway::{Gateway, events};
use super::post::post;
use crate::carrier::Carrier;
use crate::config::{ByteSize, Config};
use crate::listen::link::{Answer, Packet};
use crate::outcome::Outcome;

/// Longer than it takes until a window has ended and that was seen.
const WINDOW: Duration = Duration::from_millis(60_200);
/// No time for a window to end.
const SOON: Duration = Duration::from_secs(1);

const RULES: &str = r#"
    [limits]
    idle_ms = 600000
    [shutdown]
    spread_ms = 0
    [[routes]]
    name = "sums"
    when = 'type == "n"'
    topic = "events"
    aggregate = { key = "data.k", window = "1m", values = { n = "data.n" } }
    [[routes]]
    name = "strict"
    when = 'type == "s"'
    topic = "events"
    aggregate = { window = "1m", values = { n = "data.n" }, on_error = "drop" }
    [[routes]]
    topic = "events"
"#;

fn gateway() -> Gateway {
    Gateway::with(Config::parse("t.toml", RULES).unwrap())
}

/// Waits until a moment at which no window ends soon.
async fn well_within_a_window() {
    while crate::session::wall_ms() % 60_000 > 10_000 {
        sleep(Duration::from_secs(5)).await;
    }
}

fn event(key: &str, n: u64) -> String {
    format!(r#"{{"type":"n","data":{{"k":"{key}","n":{n}}}}}"#)
}

/// Of the records held: key, count and sum, by their keys.
fn told(gateway: &Gateway) -> Vec<(String, u64, u64)> {
    let told = |value: &String| {
        let data = serde_json::from_str::<Value>(value).unwrap()["data"].clone();
        let sum = data["values"]["n"]["sum"].as_u64().unwrap_or_default();
        (data["key"].as_str().unwrap_or_default().to_owned(), data["count"].as_u64().unwrap(), sum)
    };
    let mut all: Vec<_> = gateway.sink.values().iter().map(told).collect();
    all.sort();
    all
}

fn owned(told: &[(&str, u64, u64)]) -> Vec<(String, u64, u64)> {
    told.iter().map(|(key, count, sum)| ((*key).to_owned(), *count, *sum)).collect()
}

#[tokio::test(start_paused = true)]
async fn events_are_acknowledged_when_the_record_of_their_group_is_durable() {
    let gateway = gateway();
    let (mut client, _) = gateway.client("a", 1).await;
    well_within_a_window().await;
    let sent = [event("x", 1), event("y", 10), event("x", 2)];
    client.events(1, &sent.each_ref().map(String::as_str)).await;
    sleep(Duration::from_secs(40)).await;
    assert_eq!(told(&gateway), []);
    assert!(gateway.metrics.bytes_in_flight.get() > 0);
    sleep(WINDOW).await;
    assert_eq!(told(&gateway), owned(&[("x", 2, 3), ("y", 1, 10)]));
    let unsettled = timeout(SOON, client.acked(1)).await;
    assert!(unsettled.is_err(), "{unsettled:?}");
    gateway.sink.commit(2);
    assert_eq!(client.acked(3).await.reason, Reason::Ok);
    assert_eq!(gateway.count(Carrier::Quic, Outcome::Committed), 3);
    assert_eq!(gateway.metrics.aggregates.times("sums", "window"), 2);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_the_record_becomes_of_all_its_events() {
    let gateway = gateway();
    let (mut client, _) = gateway.client("a", 1).await;
    let sent = [event("x", 1), r#"{"type":"s","data":{}}"#.to_owned(), event("x", 2)];
    client.events(1, &sent.each_ref().map(String::as_str)).await;
    sleep(WINDOW).await;
    gateway.sink.refuse("too large");
    let ack = client.acked(3).await;
    let listed: Vec<_> = ack.list.iter().map(|rejection| (rejection.seq, rejection.code)).collect();
    assert_eq!(listed, [(1, Code::BrokerRejected), (2, Code::Filtered), (3, Code::BrokerRejected)]);
    client.events(4, &[&sent[0], &sent[2]]).await;
    sleep(WINDOW).await;
    gateway.sink.lose();
    assert_eq!(client.close_code().await, CloseCode::Internal);
    assert_eq!(gateway.count(Carrier::Quic, Outcome::Lost), 2);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn others_of_the_frame_go_on_at_once_and_repeated_numbers_do_not_count_again() {
    let gateway = gateway();
    let (mut old, _) = gateway.client("a", 1).await;
    well_within_a_window().await;
    let sent = [event("x", 1), r#"{"type":"t"}"#.to_owned()];
    let sent = sent.each_ref().map(String::as_str);
    old.events(1, &sent).await;
    timeout(SOON, gateway.sink.holds(1)).await.unwrap();
    gateway.sink.commit(1);
    drop(old);
    let (mut new, welcome) = gateway.client("a", 1).await;
    assert_eq!((welcome.resumed, welcome.upto), (true, 0));
    new.events(1, &sent).await;
    sleep(WINDOW).await;
    assert_eq!(told(&gateway), owned(&[("x", 1, 1)]));
    gateway.sink.commit(1);
    new.acked(2).await;
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_uses_its_credit_does_not_wait_for_the_end_of_the_window_and_gets_more_of_it() {
    let gateway = gateway();
    let (mut busy, welcome) = gateway.client("busy", 1).await;
    let (mut calm, _) = gateway.client("calm", 1).await;
    well_within_a_window().await;
    let began = Instant::now();
    calm.events(1, &[&event("calm", 1)]).await;
    let sent = vec![event("busy", 1); 600];
    busy.events(1, &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    gateway.sink.holds(1).await;
    assert_eq!(told(&gateway), owned(&[("busy", 600, 600)]), "the groups of others stay open");
    gateway.sink.commit(1);
    let ack = busy.acked(600).await;
    assert!(began.elapsed() < SOON);
    assert_eq!((welcome.limit, ack.limit), (1_024, 600 + 2_048));
    assert_eq!(gateway.metrics.aggregates.times("sums", "client"), 1);
    sleep(WINDOW).await;
    gateway.sink.commit(1);
    calm.acked(1).await;
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn one_event_in_a_window_does_not_keep_all_that_settle_behind_it_from_being_acknowledged() {
    let gateway = gateway();
    let (mut client, welcome) = gateway.client("a", 1).await;
    well_within_a_window().await;
    let began = Instant::now();
    client.events(1, &[&event("x", 7)]).await;
    for first in (2..=welcome.limit).step_by(33) {
        client.good(first, 33).await;
        gateway.settled_down().await;
        // All but the event in the window settle at once.
        let plain = gateway.sink.values().iter().take_while(|value| !value.contains("\"sum\"")).count();
        gateway.sink.commit(plain);
    }
    timeout(SOON, gateway.sink.holds(1)).await.unwrap();
    assert_eq!(told(&gateway), owned(&[("x", 1, 7)]));
    gateway.sink.commit(1);
    client.acked(1_024).await;
    assert!(began.elapsed() < SOON);
    assert_eq!(gateway.metrics.aggregates.times("sums", "client"), 1);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_request_has_its_answer_before_it_gives_up() {
    let gateway = gateway();
    for first_seq in [None, Some(2)] {
        let (mut session, _) = gateway.client("a", 1).await;
        well_within_a_window().await;
        // Of the same client: a request with a number waits for it too.
        session.events(1, &[&event("session", 1)]).await;
        gateway.settled_down().await;
        let began = Instant::now();
        let body = event("request", 5);
        let settle = async {
            gateway.sink.holds(1).await;
            gateway.commit_all().await;
        };
        let (answer, ()) = tokio::join!(post(&gateway, &body, first_seq), settle);
        let Answer::Durable { accepted: 1, .. } = answer else { panic!("{answer:?}") };
        assert!((9..12).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        sleep(WINDOW).await;
        gateway.commit_all().await;
    }
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn who_takes_its_leave_is_not_kept() {
    let gateway = gateway();
    let (mut client, _) = gateway.client("a", 1).await;
    well_within_a_window().await;
    client.events(1, &[&event("x", 1)]).await;
    let began = Instant::now();
    client.send(&ClientFrame::Close(Close::new(CloseCode::Done))).await;
    gateway.sink.holds(1).await;
    gateway.sink.commit(1);
    assert_eq!(client.close_code().await, CloseCode::Done);
    assert!(began.elapsed() < Duration::from_secs(12));
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_all_windows_at_once() {
    let gateway = gateway();
    let (mut client, _) = gateway.client("a", 1).await;
    well_within_a_window().await;
    client.events(1, &[&event("x", 1), &event("y", 1)]).await;
    gateway.settled_down().await;
    let began = Instant::now();
    gateway.sessions.drain();
    gateway.sink.holds(2).await;
    gateway.sink.commit(2);
    assert!(matches!(client.next().await, Some(GatewayFrame::Goaway(_))));
    assert_eq!(client.acked(2).await.upto, 2);
    assert_eq!(client.close_code().await, CloseCode::Drain);
    gateway.sessions.ended().await;
    assert!(began.elapsed() < SOON);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn what_has_no_room_by_the_end_of_the_drain_is_lost_and_not_acknowledged() {
    let gateway = gateway();
    let (mut client, _) = gateway.client("a", 1).await;
    client.events(1, &[&event("x", 1), &event("y", 1)]).await;
    gateway.settled_down().await;
    gateway.sink.set_room(0);
    gateway.sessions.drain();
    sleep(SOON).await;
    gateway.sessions.close();
    gateway.settled_down().await;
    assert_eq!(gateway.count(Carrier::Quic, Outcome::Lost), 2);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_destination_without_room_is_waited_for_and_new_windows_go_on() {
    let gateway = gateway();
    let (mut client, _) = gateway.client("a", 1).await;
    gateway.sink.set_room(0);
    for round in 0..3 {
        client.events(1 + round, &[&event("x", 1 + round)]).await;
        sleep(WINDOW).await;
    }
    assert_eq!(told(&gateway), []);
    gateway.sink.set_room(9);
    sleep(WINDOW).await;
    assert_eq!(told(&gateway), owned(&[("x", 1, 1), ("x", 1, 2), ("x", 1, 3)]));
    gateway.sink.commit(3);
    client.acked(3).await;
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn windows_hold_half_of_the_memory_at_most() {
    // Of 512 KiB: a frame of one such event holds 576 bytes and what its key has.
    let mut config = Config::parse("t.toml", RULES).unwrap();
    config.limits.budget_bytes = ByteSize(512 << 10);
    let gateway = Gateway::with(config);
    well_within_a_window().await;
    let mut clients = Vec::new();
    for number in 0..10 {
        let (mut client, _) = gateway.client(&format!("c-{number}"), 1).await;
        for seq in 1..=60 {
            client.events(seq, &[&event("x", 1)]).await;
        }
        gateway.settled_down().await;
        clients.push(client);
    }
    sleep(SOON).await;
    assert!(gateway.metrics.aggregates.times("sums", "memory") > 0);
    gateway.commit_all().await;
    sleep(WINDOW).await;
    gateway.commit_all().await;
    for client in &mut clients {
        client.acked(60).await;
    }
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_gone_closes_its_windows_and_one_that_stays_keeps_them() {
    let gateway = gateway();
    let (mut client, _) = gateway.client("a", 1).await;
    well_within_a_window().await;
    client.events(1, &[&event("x", 1), r#"{"type":"s","data":{"n":7}}"#]).await;
    gateway.settled_down().await;
    let changed = RULES.replace("on_error = \"drop\"", "groups_max = 7");
    gateway.sessions.0.pipeline.replace(&Config::parse("t.toml", &changed).unwrap().routes).unwrap();
    client.events(3, &[&event("x", 2)]).await;
    timeout(SOON, gateway.sink.holds(1)).await.unwrap();
    assert_eq!(told(&gateway), owned(&[("", 1, 7)]));
    sleep(WINDOW).await;
    assert_eq!(told(&gateway), owned(&[("", 1, 7), ("x", 2, 3)]));
    gateway.sink.commit(2);
    client.acked(3).await;
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn lossy_events_count_too() {
    let gateway = gateway();
    let (mut client, _) = gateway.client("a", 1).await;
    client.packet(Packet::Frames(events(0, true, &[&event("x", 4)]))).await;
    sleep(WINDOW).await;
    assert_eq!(told(&gateway), owned(&[("x", 1, 4)]));
    gateway.sink.commit(1);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_client_is_taken_to_begin_groups_and_has_back_what_those_do_not_need() {
    let gateway = gateway();
    let (mut client, _) = gateway.client("a", 1).await;
    well_within_a_window().await;
    let sent: Vec<_> = (100..200).map(|key| event(&key.to_string(), 1)).collect();
    let sent: Vec<_> = sent.iter().map(String::as_str).collect();
    let frame = events(1, false, &sent);
    client.packet(Packet::Frames(frame.clone())).await;
    gateway.settled_down().await;
    let in_flight = || u64::try_from(gateway.metrics.bytes_in_flight.get()).unwrap();
    let with_groups = in_flight();
    let account = std::sync::Arc::clone(&gateway.sessions.0.registry.of("a").unwrap().account);
    let estimate = account.estimate(frame.len(), u64::MAX);
    assert!(estimate >= with_groups, "{estimate} for what came to {with_groups}");
    client.events(101, &sent).await;
    gateway.settled_down().await;
    let more = in_flight() - with_groups;
    assert!(more * 4 < with_groups, "{more} more than {with_groups}, in the same groups");
    sleep(WINDOW).await;
    gateway.commit_all().await;
    client.acked(200).await;
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn what_is_open_is_told_while_a_record_waits_for_room() {
    let gateway = gateway();
    let (mut client, _) = gateway.client("a", 1).await;
    well_within_a_window().await;
    gateway.sink.set_room(0);
    client.events(1, &[&event("x", 1)]).await;
    gateway.settled_down().await;
    assert_eq!(gateway.metrics.aggregates.now_open(), (1, 1));
    sleep(WINDOW).await;
    assert_eq!(gateway.metrics.aggregates.now_open(), (0, 0));
    client.events(2, &[&event("x", 1), &event("x", 2), &event("y", 3)]).await;
    gateway.settled_down().await;
    assert_eq!(gateway.metrics.aggregates.now_open(), (2, 3));
}
