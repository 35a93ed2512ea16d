//! Going away: everybody is asked to leave, what was received is settled, and it ends in time.

use std::time::Duration;

use tidegate_wire::{ClientFrame, CloseCode, GatewayFrame, Hello};

use super::gateway::{Client, Gateway};
use crate::carrier::Carrier;
use crate::config::Config;
use crate::listen::link::{Coding, Gate};

#[tokio::test(start_paused = true)]
async fn clients_are_asked_to_leave_and_closed_once_their_events_have_settled() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    client.good(1, 1).await;
    gateway.sink.holds(1).await;
    gateway.sessions.drain();
    assert!(gateway.sessions.is_draining());
    assert!(matches!(client.next().await, Some(GatewayFrame::Goaway(_))));
    gateway.sink.commit(1);
    assert_eq!(client.acked(1).await.upto, 1);
    assert_eq!(client.close_code().await, CloseCode::Drain);
    gateway.sessions.ended().await;
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn clients_are_asked_to_leave_one_after_the_other_and_are_served_until_then() {
    let mut config = Config::default();
    (config.shutdown.drain_ms, config.shutdown.spread_ms) = (20_000, 4_000);
    let gateway = Gateway::with(config);
    let mut clients = Vec::new();
    for number in 0..100 {
        clients.push(gateway.client(&format!("client-{number}"), 1).await.0);
    }
    let began = tokio::time::Instant::now();
    gateway.sessions.drain();
    let leave = |mut client: Client| async move {
        client.good(1, 1).await;
        let mut upto = 0;
        loop {
            match client.next().await {
                Some(GatewayFrame::Ack(ack)) => upto = ack.upto,
                Some(GatewayFrame::Goaway(_)) => return (began.elapsed().as_millis(), upto),
                other => panic!("{other:?} before GOAWAY"),
            }
        }
    };
    let leaving: Vec<_> = clients.into_iter().map(|client| tokio::spawn(leave(client))).collect();
    gateway.sink.holds(100).await;
    gateway.sink.commit(100);
    let mut asked_at = Vec::new();
    for leaving in leaving {
        let (at, upto) = leaving.await.unwrap();
        // Acknowledgements are for 10 ms at most; who was asked before had no time to see his.
        assert!(upto == 1 || at <= 10, "asked to leave after {at} ms, acknowledged up to {upto}");
        asked_at.push(at);
    }
    for quarter in 0..4 {
        let in_it =
            asked_at.iter().filter(|at| **at / 1_000 == quarter || (quarter, **at) == (3, 4_000)).count();
        assert!((5..60).contains(&in_it), "{in_it} of 100 in quarter {quarter}: {asked_at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ignores_goaway_is_closed_between_two_of_its_events() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    gateway.sessions.drain();
    let began = tokio::time::Instant::now();
    for seq in 1..1000 {
        client.good(seq, 1).await;
        gateway.sink.holds(1).await;
        // The next event comes with the acknowledgement, before any timer.
        tokio::time::sleep(Duration::from_millis(20)).await;
        gateway.sink.commit(1);
        while !matches!(client.next().await, Some(GatewayFrame::Ack(ack)) if ack.upto == seq) {}
        if began.elapsed() > Duration::from_millis(250) {
            break;
        }
    }
    assert_eq!(client.close_code().await, CloseCode::Drain);
    gateway.sessions.ended().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_stops_is_not_read_any_more_and_what_it_sent_before_settles() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    gateway.sessions.drain();
    let began = tokio::time::Instant::now();
    client.good(1, 1).await;
    let mut seq = 1;
    // One event is always in flight.
    while began.elapsed() < Duration::from_millis(2_400) {
        seq += 1;
        client.good(seq, 1).await;
        gateway.sink.holds(2).await;
        gateway.sink.commit(1);
        while !matches!(client.next().await, Some(GatewayFrame::Ack(ack)) if ack.upto == seq - 1) {}
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.good(seq + 1, 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(gateway.sink.values().len(), 1, "an event that came after a quarter of the drain was taken");
    gateway.sink.commit(1);
    let mut upto = 0;
    let close = loop {
        match client.next().await {
            Some(GatewayFrame::Ack(ack)) => upto = ack.upto,
            Some(GatewayFrame::Close(close)) => break close,
            Some(_) => {}
            None => panic!("no CLOSE"),
        }
    };
    assert_eq!((close.code, upto), (CloseCode::Drain, seq));
    gateway.sessions.ended().await;
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn new_clients_are_turned_away() {
    let gateway = Gateway::new();
    gateway.sessions.drain();
    let mut client = gateway.connect(Carrier::Quic, Coding::Binary);
    client.send(&ClientFrame::Hello(Hello::default())).await;
    assert_eq!(client.close_code().await, CloseCode::Drain);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_sessions_end_without_acknowledging_what_has_not_settled() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    client.good(1, 1).await;
    gateway.sink.holds(1).await;
    gateway.sessions.close();
    let mut upto = 0;
    loop {
        match client.next().await {
            Some(GatewayFrame::Ack(ack)) => upto = ack.upto,
            Some(GatewayFrame::Close(close)) => {
                assert_eq!(close.code, CloseCode::Drain);
                break;
            }
            Some(_) => {}
            None => panic!("no CLOSE"),
        }
    }
    assert_eq!(upto, 0);
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_the_end_is_waited_for_hears_of_the_drain_and_not_of_overload() {
    let gateway = Gateway::new();
    let (mut client, _) = gateway.client("a", 1).await;
    client.good(1, 1).await;
    gateway.sink.holds(1).await;
    gateway.sessions.drain();
    let sessions = gateway.sessions.clone();
    let ended = tokio::spawn(async move { sessions.ended().await });
    gateway.settled_down().await;
    for carrier in [Carrier::Quic, Carrier::WebTransport] {
        let mut late = gateway.connect(carrier, Coding::Binary);
        late.send(&ClientFrame::Hello(Hello::default())).await;
        assert_eq!(late.close_code().await, CloseCode::Drain);
    }
    gateway.sink.commit(1);
    ended.await.unwrap();
}
