//! One gateway after the other, on the same port with the same data: what clients sent to the first is not doubled by
//! the second, and what cannot be known is not claimed.

use std::collections::BTreeMap;

use tidegate_wire::{Code, GatewayFrame};
use tokio::net::TcpStream;

use crate::client::{Carrier, Client, Sender};
use crate::destination::Destination;
use crate::faults::{numbered_events, times_produced};
use crate::gateway::{Gateway, PATIENCE};
use crate::recordings::members;

/// Waits until so many events have ended so.
async fn settled(gateway: &Gateway, outcome: &str, count: f64) {
    let deadline = std::time::Instant::now() + PATIENCE;
    let label = format!("outcome=\"{outcome}\"");
    while gateway.metrics().await.sum("tidegate_events_total", &label) < count {
        assert!(std::time::Instant::now() < deadline, "not {count} {outcome} in time");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_durable_and_never_acknowledged_is_not_produced_again() {
    let mut gateway = Gateway::start("").await;
    let events = numbered_events(100);
    let mut deaf = Client::open(&gateway, Carrier::WebSocket, "device-1", 1).await;
    deaf.events(1, &events[..40]).await.unwrap();
    let bad: [&[u8]; 1] = [b"{}"];
    deaf.events(41, &bad).await.unwrap();
    settled(&gateway, "stored", 40.0).await;
    settled(&gateway, "malformed", 1.0).await;
    // It hears of none of that: it is cut off, and the gateway is stopped.
    deaf.vanish();
    gateway.terminate();
    assert!(gateway.ended().await.success());

    gateway.launch();
    gateway.ready().await;
    let mut client = Client::open(&gateway, Carrier::Quic, "device-1", 1).await;
    assert_eq!((client.welcome.resumed, client.welcome.upto), (true, 41));
    let refused = client.welcome.rej.iter().map(|rejection| (rejection.seq, rejection.code));
    assert_eq!(refused.collect::<Vec<_>>(), [(41, Code::Malformed)]);
    // It sends everything again all the same, and more.
    client.events(1, &events).await.unwrap();
    loop {
        if let GatewayFrame::Ack(ack) = client.next().await.unwrap()
            && ack.upto == 100
        {
            break;
        }
    }
    client.done().await;
    let times = times_produced(&Destination::Log.produced(&gateway, "").await);
    let expected: BTreeMap<_, _> = (1..=100).filter(|n| *n != 41).map(|n| (n, 1)).collect();
    assert_eq!(times, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restarts_under_load_lose_repeat_and_reorder_nothing() {
    const EVENTS: usize = 8_000;
    let mut gateway = Gateway::start("shutdown.spread_ms = 0").await;
    let events = numbered_events(EVENTS);
    let names: Vec<_> = (0..4).map(|client| format!("device-{client}")).collect();
    let mut senders: Vec<_> = names.iter().map(|name| Sender::new(name, &events, 20)).collect();
    for restart in 1..=3 {
        let mut progress = senders[0].progress.subscribe();
        let pid = gateway.pid();
        let terminate = async {
            progress.wait_for(|upto| *upto >= restart * 500).await.unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        };
        let sending = senders.iter_mut().zip(Carrier::ALL).map(|(sender, carrier)| {
            // Until the gateway has said goodbye to it, or all is sent.
            sender.run(&gateway, carrier, u64::MAX)
        });
        let (sent, ()) = tokio::join!(futures_util::future::join_all(sending), terminate);
        assert!(sent.iter().any(Result::is_err), "all was sent before restart {restart}");
        assert!(gateway.ended().await.success());
        gateway.launch();
        gateway.ready().await;
    }
    for sender in &mut senders {
        sender.run(&gateway, Carrier::WebSocket, u64::MAX).await.unwrap();
    }
    let mut by_client: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in Destination::Log.produced(&gateway, "").await {
        let members = members(record.value.as_bytes());
        let numbers = by_client.entry(members["source"].get().to_owned()).or_default();
        numbers.push(members["data"].get().parse().unwrap());
    }
    assert_eq!(by_client.len(), names.len());
    for (client, numbers) in by_client {
        assert_eq!(numbers, (1..=EVENTS as u64).collect::<Vec<_>>(), "{client}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_gateway_that_was_killed_the_word_from_before_holds_and_claims_nothing() {
    let mut gateway = Gateway::start("").await;
    let events = numbered_events(30);
    // It never hears what became of its events, and comes back only after the second gateway.
    let mut deaf = Client::open(&gateway, Carrier::WebSocket, "device-2", 1).await;
    deaf.events(1, &events[..5]).await.unwrap();
    settled(&gateway, "stored", 5.0).await;
    deaf.vanish();
    Sender::new("device-1", &events[..10], 10).run(&gateway, Carrier::Quic, u64::MAX).await.unwrap();
    gateway.terminate();
    assert!(gateway.ended().await.success());
    assert!(gateway.path("sessions.snapshot").exists());
    gateway.launch();
    gateway.ready().await;
    assert!(!gateway.path("sessions.snapshot").exists(), "it is no last word any more");
    let mut client = Client::open(&gateway, Carrier::Quic, "device-1", 11).await;
    assert!(client.welcome.resumed);
    client.events(11, &events[10..20]).await.unwrap();
    settled(&gateway, "stored", 10.0).await;
    gateway.kill();
    gateway.launch();
    gateway.ready().await;
    // What the first gateway left would say 10, and the client may have heard of 20 by now.
    let client = Client::open(&gateway, Carrier::Quic, "device-1", 21).await;
    assert_eq!((client.welcome.resumed, client.welcome.upto), (false, 20));
    let deaf = Client::open(&gateway, Carrier::Quic, "device-2", 1).await;
    assert_eq!((deaf.welcome.resumed, deaf.welcome.upto), (true, 5));
    let abandoned = gateway.metrics().await.sum("tidegate_abandoned_total", "");
    assert_eq!(abandoned, 0.0, "numbers that the client had sent were taken for given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn newcomers_are_served_for_a_grace_and_then_the_doors_are_closed() {
    // Nobody is at this port, so events wait, and the drain with them.
    let config = "kafka.brokers = \"127.0.0.1:1\"\nshutdown.drain_ms = 300000\nshutdown.grace_ms = 6000";
    let mut gateway = Gateway::prepare(config);
    gateway.launch();
    gateway.answers().await;
    let mut early = Client::open(&gateway, Carrier::Quic, "early", 1).await;
    early.events(1, &numbered_events(1)).await.unwrap();
    gateway.terminate();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !gateway.readiness().await.1.contains("shutting down") {
        assert!(std::time::Instant::now() < deadline, "still ready");
    }
    for carrier in Carrier::ALL {
        Client::open(&gateway, carrier, &format!("late-{carrier:?}"), 1).await.vanish();
    }
    while !matches!(early.next().await.unwrap(), GatewayFrame::Goaway(_)) {}
    for address in [gateway.plain, gateway.secure] {
        assert!(TcpStream::connect(address).await.is_err(), "{address} is still open");
    }
    assert!(Client::try_open(&gateway, Carrier::Quic, crate::client::hello("late", 1)).await.is_err());
    let (status, why) = gateway.readiness().await;
    assert!(status == 503 && why.contains("shutting down"), "operators are still answered: {why}");
    // A second signal ends it.
    gateway.terminate();
    gateway.ended().await;
}
