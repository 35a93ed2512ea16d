//! Going away: everybody is asked to leave, what was received is settled, and it ends in time.

use tidegate_wire::{ClientFrame, CloseCode, GatewayFrame, Hello};

use super::Gateway;
use crate::carrier::Carrier;
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
