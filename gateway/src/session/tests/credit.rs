//! Credit over a session's life: what holds it back, and what the client hears of that.

use std::time::{Duration, Instant};

use tidegate_wire::{Ack, CloseCode, Reason};

use super::gateway::events;
use super::post::post;
use super::{Client, Gateway};
use crate::carrier::Carrier;
use crate::config::ByteSize;
use crate::listen::link::{Answer, Packet};
use crate::outcome::Outcome;

/// After `ms` of the clock that tests move.
fn in_ms(ms: u64) -> Instant {
    crate::session::now() + Duration::from_millis(ms)
}

#[tokio::test(start_paused = true)]
async fn while_credit_is_held_back_the_client_is_told_why_and_until_when_and_is_read_within_what_it_has() {
    let gateway = Gateway::limited(|limits| (limits.credit_events, limits.credit_events_max) = (4, 4));
    let (mut client, _) = gateway.client("a", 1).await;
    let began = Instant::from(tokio::time::Instant::now());
    gateway.connection("a").hold_back(Reason::Rate, in_ms(1_500));
    let told = client.ack().await;
    assert_eq!((told.reason, told.retry_ms, told.limit), (Reason::Rate, 1_500, 4));
    client.good(1, 4).await;
    gateway.sink.holds(4).await;
    gateway.sink.commit(4);
    let acked = client.acked(4).await;
    assert_eq!((acked.reason, acked.limit), (Reason::Rate, 4), "settled, and not renewed");
    let renewed = client.ack().await;
    assert_eq!((renewed.reason, renewed.retry_ms, renewed.limit), (Reason::Ok, 0, 8));
    assert_eq!(crate::session::now() - began, Duration::from_millis(1_500));
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn who_sends_beyond_a_credit_that_is_held_back_is_read_again_when_that_ends() {
    let gateway = Gateway::limited(|limits| (limits.credit_events, limits.credit_events_max) = (2, 2));
    let (mut client, _) = gateway.client("a", 1).await;
    gateway.connection("a").hold_back(Reason::Quota, in_ms(1_000));
    // One event is always allowed with nothing unsettled, and the frame is taken whole.
    client.good(1, 3).await;
    client.good(4, 1).await;
    gateway.sink.holds(3).await;
    assert_eq!(client.ack().await.reason, Reason::Quota);
    assert_eq!(gateway.sink.values().len(), 3);
    gateway.connection("a").hold_back(Reason::Ok, in_ms(0));
    gateway.sink.commit(3);
    gateway.sink.holds(1).await;
    gateway.sink.commit(1);
    assert_eq!(client.acked(4).await.reason, Reason::Ok);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_is_prolonged_is_told_again() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    gateway.connection("a").hold_back(Reason::Rate, in_ms(1_000));
    assert_eq!(client.ack().await.retry_ms, 1_000);
    gateway.connection("a").hold_back(Reason::Rate, in_ms(1_400));
    assert_eq!(client.ack().await.retry_ms, 400, "told when the first one would have ended");
    assert_eq!(client.ack().await.reason, Reason::Ok);
}

/// Good events from a client that ignores its credit, as many as the link holds beside what the gateway takes.
async fn flood(gateway: &Gateway, client: &mut Client, frames: u64, events: usize) {
    for frame in 0..frames {
        client.good(1 + frame * events as u64, events).await;
    }
    gateway.settled_down().await;
}

#[tokio::test(start_paused = true)]
async fn credit_grows_for_who_uses_it_as_what_it_sent_settles_and_starts_again_with_the_next_connection() {
    let gateway = Gateway::limited(|limits| (limits.credit_events, limits.credit_events_max) = (8, 24));
    let (mut client, welcome) = gateway.client("a", 1).await;
    assert_eq!(welcome.limit, 8);
    let mut next = 1;
    for (used, window) in [(8, 16), (16, 24), (24, 24)] {
        let ack = exchange(&gateway, &mut client, &mut next, used).await;
        assert_eq!((ack.limit - ack.upto, ack.reason), (window, Reason::Ok));
    }
    let (mut client, welcome) = gateway.client("a", next).await;
    assert_eq!(welcome.limit - welcome.upto, 8);
    let ack = exchange(&gateway, &mut client, &mut next, 4).await;
    assert_eq!(ack.limit - ack.upto, 8, "half of it is not all");
}

/// Sends `count` events in one frame and has them committed.
async fn exchange(gateway: &Gateway, client: &mut Client, next: &mut u64, count: usize) -> Ack {
    client.good(*next, count).await;
    gateway.sink.holds(count).await;
    gateway.sink.commit(count);
    *next += count as u64;
    client.acked(*next - 1).await
}

#[tokio::test(start_paused = true)]
async fn what_memory_leaves_cuts_the_credit_that_has_grown_and_the_client_hears_so() {
    let gateway = Gateway::limited(|limits| {
        (limits.credit_events, limits.credit_events_max) = (8, 1_024);
        limits.budget_bytes = ByteSize(100 << 10);
    });
    let (mut client, _) = gateway.client("a", 1).await;
    let (mut other, _) = gateway.client("b", 1).await;
    let mut next = 1;
    let mut grown = 0;
    for used in [8, 16, 32] {
        let ack = exchange(&gateway, &mut client, &mut next, used).await;
        grown = ack.limit - ack.upto;
    }
    assert_eq!(grown, 64);
    // An event holds about 770 bytes: these leave some 40 kB, and an eighth of the budget is nobody's.
    other.good(1, 80).await;
    gateway.sink.holds(80).await;
    // What was told stays, so the cut shows once it is used up.
    client.good(next, 40).await;
    gateway.sink.holds(120).await;
    gateway.sink.commit_last(40);
    let ack = client.acked(next + 39).await;
    let window = ack.limit - ack.upto;
    assert!((8..50).contains(&window), "{window} of the {grown} it had grown to");
    client.good(next + 40, 20).await;
    client.good(next + 60, 20).await;
    assert_eq!(client.ack().await.reason, Reason::Memory);
    gateway.commit_all().await;
    client.acked(next + 79).await;
    other.acked(80).await;
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn who_floods_is_held_to_its_share_and_everybody_else_is_served_at_once() {
    let gateway = Gateway::limited(|limits| limits.budget_bytes = ByteSize(256 << 10));
    let (mut flooder, _) = gateway.client("flooder", 1).await;
    flood(&gateway, &mut flooder, 14, 16).await;
    let held = gateway.metrics.bytes_in_flight.get();
    assert!((90 << 10..=115 << 10).contains(&held), "about half of what is beyond the reserve: {held}");
    assert_eq!(flooder.ack().await.reason, Reason::Memory);
    let taken = gateway.sink.values().len();
    let (mut calm, _) = gateway.client("calm", 1).await;
    for seq in 1..=3 {
        calm.good(seq, 1).await;
        gateway.sink.holds(taken + 1).await;
        gateway.sink.commit_last(1);
        let ack = calm.acked(seq).await;
        assert_eq!(ack.reason, Reason::Ok);
    }
    gateway.commit_all().await;
    assert_eq!(flooder.acked(224).await.upto, 224, "nothing of it is lost");
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn who_is_held_back_by_memory_while_the_destination_is_away_hears_of_the_destination() {
    let gateway = Gateway::limited(|limits| limits.budget_bytes = ByteSize(64 << 10));
    let (mut flooder, _) = gateway.client("flooder", 1).await;
    gateway.say(Reason::Broker);
    flood(&gateway, &mut flooder, 5, 16).await;
    loop {
        let ack = flooder.ack().await;
        assert_eq!(ack.reason, Reason::Broker);
        if gateway.metrics.bytes_in_flight.get() > 16 << 10 {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_memory_short_lossy_events_go_first_then_newcomers_and_established_clients_stay() {
    let gateway = Gateway::limited(|limits| limits.budget_bytes = ByteSize(256 << 10));
    let (_established, _) = gateway.client("established", 1).await;
    let (mut careless, _) = gateway.client("careless", 1).await;
    let mut hogs = Vec::new();
    let mut shed = (None, None);
    for number in 0..40 {
        let (_, is_open) = gateway.try_client(&format!("probe-{number}"), 1).await;
        let before = gateway.count(Carrier::Quic, Outcome::LossyDropped);
        careless.packet(Packet::Frames(events(1, true, &[r#"{"type":"t"}"#]))).await;
        gateway.settled_down().await;
        let is_taken = gateway.count(Carrier::Quic, Outcome::LossyDropped) == before;
        if !is_taken {
            shed.0.get_or_insert(number);
        }
        if !is_open {
            shed.1.get_or_insert(number);
            break;
        }
        // Each holds what one frame costs, about a 25th of the budget.
        let (mut hog, _) = gateway.client(&format!("hog-{number}"), 1).await;
        hog.good(1, 16).await;
        gateway.settled_down().await;
        hogs.push(hog);
    }
    let (lossy, newcomers) = (shed.0.unwrap(), shed.1.unwrap());
    assert!(lossy < newcomers, "lossy events from {lossy} on, newcomers from {newcomers} on");
    let (refused, _) = gateway.try_client("late", 1).await;
    let close = refused.closed().await;
    assert_eq!(close.code, CloseCode::Overload);
    assert!((5_000..10_000).contains(&close.retry_ms.unwrap()));
    assert!(matches!(
        post(&gateway, r#"{"type":"t"}"#, None).await,
        Answer::Busy { reason: Reason::Memory, .. }
    ));
    // Who was here before may come back, and is served.
    let (mut back, is_open) = gateway.try_client("established", 1).await;
    assert!(is_open);
    let held = gateway.sink.values().len();
    back.good(1, 1).await;
    gateway.sink.holds(held + 1).await;
    gateway.sink.commit_last(1);
    back.acked(1).await;
    gateway.commit_all().await;
    assert!(gateway.try_client("late", 1).await.1, "with memory free again");
    gateway.assert_accounted();
}
