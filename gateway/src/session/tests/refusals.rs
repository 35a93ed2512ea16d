//! What ends a session: every offence its code, and the gateway goes on.

use tidegate_wire::{ClientFrame, CloseCode, Hello};

use super::Gateway;
use super::gateway::events;
use crate::carrier::Carrier;
use crate::listen::link::{Coding, Packet};

fn frames(bytes: &'static [u8]) -> Packet {
    Packet::Frames(bytes.into())
}

#[tokio::test(start_paused = true)]
async fn before_welcome_only_hello_is_taken() {
    let gateway = Gateway::new();
    let cases = [
        (Packet::Frames(events(1, false, &["{}"])), CloseCode::BadFrame),
        (frames(b"\x06\x00"), CloseCode::BadFrame),
        (frames(b"\x01\x07{\"v\":2}"), CloseCode::Version),
        (frames(b"\x01\x02[]"), CloseCode::BadFrame),
        (frames(b"\x01\x07{\"v\":1}\x06\x00"), CloseCode::BadFrame),
    ];
    for (packet, code) in cases {
        let mut client = gateway.connect(Carrier::Quic, Coding::Binary);
        client.packet(packet.clone()).await;
        let close = client.closed().await;
        assert_eq!(close.code, code, "{packet:?}");
        assert!(close.msg.is_some_and(|msg| !msg.is_empty()), "{packet:?}");
    }
    gateway.client("good", 1).await;
}

#[tokio::test(start_paused = true)]
async fn after_welcome_an_offence_ends_the_session_and_no_other() {
    let gateway = Gateway::new();
    let (mut other, _) = gateway.client("other", 1).await;
    let cases = [
        (frames(b"\x01\x07{\"v\":1}"), CloseCode::BadFrame),
        (frames(b"\x04\x00"), CloseCode::BadFrame),
        (frames(b"\x03\x03\x00\x00\x00"), CloseCode::BadFrame),
        (frames(b"\x03\x04\x08\x01\x00\x00"), CloseCode::BadFrame),
        (frames(b"\x06\x09123456789"), CloseCode::TooLarge),
        (frames(b"\x05\x02{}"), CloseCode::BadFrame),
    ];
    for (packet, code) in cases {
        let (mut client, _) = gateway.client("a", 1).await;
        client.packet(packet.clone()).await;
        assert_eq!(client.close_code().await, code, "{packet:?}");
    }
    other.good(1, 1).await;
    gateway.sink.holds(1).await;
    gateway.sink.commit(1);
    other.acked(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed() {
    let gateway = Gateway::new();
    let silent = gateway.connect(Carrier::Quic, Coding::Binary);
    assert_eq!(silent.close_code().await, CloseCode::HelloTimeout);
    let (idle, _) = gateway.client("a", 1).await;
    assert_eq!(idle.close_code().await, CloseCode::Idle);
}

#[tokio::test(start_paused = true)]
async fn more_sessions_than_there_is_room_for_are_told_when_to_come_back() {
    let gateway = Gateway::limited(|limits| limits.sessions = 1);
    let (first, _) = gateway.client("a", 1).await;
    let mut second = gateway.connect(Carrier::Quic, Coding::Binary);
    second.send(&ClientFrame::Hello(Hello::default())).await;
    let close = second.closed().await;
    assert_eq!(close.code, CloseCode::Overload);
    assert!(close.retry_ms.is_some());
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn a_stale_epoch_is_refused() {
    let gateway = Gateway::new();
    let (_first, _) = gateway.client("a", 1).await;
    let mut second = gateway.connect(Carrier::Quic, Coding::Binary);
    second
        .send(&ClientFrame::Hello(Hello { client: Some("a".into()), epoch: Some(0), ..Hello::default() }))
        .await;
    assert_eq!(second.close_code().await, CloseCode::StaleEpoch);
}
