//! Credit over a session's life: what holds it back, and what the client hears of that.

use std::time::{Duration, Instant};

use tidegate_wire::Reason;

use super::Gateway;

/// After `ms` of the clock that tests move.
fn in_ms(ms: u64) -> Instant {
    crate::session::now() + Duration::from_millis(ms)
}

#[tokio::test(start_paused = true)]
async fn while_credit_is_held_back_the_client_is_told_why_and_until_when_and_is_read_within_what_it_has() {
    let gateway = Gateway::limited(|limits| limits.credit_events = 4);
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
    let gateway = Gateway::limited(|limits| limits.credit_events = 2);
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
