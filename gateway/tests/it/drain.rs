//! SIGTERM under load: GOAWAY, everything acknowledged or resendable, in bounded time even with Kafka dead.

use std::time::{Duration, Instant};

use tidegate_wire::GatewayFrame;

use crate::client::{Carrier, Client, Sender};
use crate::destination::Destination;
use crate::faults::{numbered_events, times_produced};
use crate::gateway::Gateway;

#[tokio::test(flavor = "multi_thread")]
async fn under_load_everybody_is_asked_to_leave_and_nothing_acknowledged_is_missing() {
    let mut gateway = Gateway::start("shutdown.spread_ms = 0").await;
    let events = numbered_events(20_000);
    let mut sender = Sender::new("device-1", &events, 50);
    let mut progress = sender.progress.subscribe();
    let pid = gateway.pid();
    let terminate = async {
        progress.wait_for(|upto| *upto >= 500).await.unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    };
    let (left, ()) = tokio::join!(sender.run(&gateway, Carrier::WebSocket, u64::MAX), terminate);
    let left = left.expect_err("the gateway leaves before 20,000 events are through").to_string();
    assert!(left.contains("Drain"), "{left}");
    assert!(gateway.ended().await.success());
    let times = times_produced(&Destination::Log.produced(&gateway, "").await);
    assert!((1..=sender.upto).all(|n| times.contains_key(&n)), "acknowledged and missing");
    // What was not acknowledged can be sent again, to the gateway that comes after.
    gateway.launch();
    gateway.ready().await;
    sender.run(&gateway, Carrier::Quic, u64::MAX).await.unwrap();
    assert_eq!(times_produced(&Destination::Log.produced(&gateway, "").await).len(), events.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_carrier_gets_its_goaway_and_new_connections_are_refused() {
    let mut gateway = Gateway::start("").await;
    let mut clients = Vec::new();
    for carrier in Carrier::ALL {
        clients.push(Client::open(&gateway, carrier, &format!("{carrier:?}"), 1).await);
    }
    gateway.terminate();
    for client in &mut clients {
        let goaway = loop {
            match client.next().await.unwrap() {
                GatewayFrame::Goaway(goaway) => break goaway,
                GatewayFrame::Ack(_) => {}
                other => panic!("expected GOAWAY, got {other:?}"),
            }
        };
        assert!(goaway.jitter_ms > 0, "reconnects are spread");
    }
    drop(clients);
    assert!(gateway.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_kafka_dead_it_ends_in_time_and_acknowledges_nothing_more() {
    let kafka = Destination::own_kafka(1).await;
    let topic = kafka.topic(1).await;
    let mut gateway = kafka.gateway_with(&topic, "shutdown.drain_ms = 2000").await;
    let mut client = Client::open(&gateway, Carrier::Quic, "device-1", 1).await;
    kafka.brokers().kill(0);
    let events = numbered_events(10);
    client.events(1, &events).await.unwrap();
    gateway.terminate();
    let asked_at = Instant::now();
    let mut upto = 0;
    while let Ok(frame) = client.next().await {
        match frame {
            GatewayFrame::Ack(ack) => upto = ack.upto,
            GatewayFrame::Close(_) => break,
            _ => {}
        }
    }
    assert!(gateway.ended().await.success());
    // Far more than the deadline, far less than for ever: a busy machine may take its time.
    assert!(asked_at.elapsed() < Duration::from_secs(30), "took {:?}", asked_at.elapsed());
    assert_eq!(upto, 0, "acknowledged what Kafka never had");
    let said = "events that were received have not settled: they stay with their clients unsettled=10";
    assert!(gateway.log().contains(said), "{}", gateway.log());

    // Nor does the gateway that comes next: they are sent again, and arrive.
    kafka.brokers().restart(0).await;
    gateway.launch();
    gateway.ready().await;
    let mut sender = Sender::new("device-1", &events, 10);
    sender.run(&gateway, Carrier::Quic, u64::MAX).await.unwrap();
    let times = times_produced(&kafka.produced(&gateway, &topic).await);
    assert!((1..=10).all(|n| times.contains_key(&n)), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    // Nobody is at this port, so events wait, and the drain with them.
    let drain = "kafka.brokers = \"127.0.0.1:1\"\nshutdown.drain_ms = 300000";
    let mut gateway = Gateway::prepare(drain);
    gateway.launch();
    gateway.answers().await;
    let mut client = Client::open(&gateway, Carrier::Quic, "device-1", 1).await;
    client.events(1, &numbered_events(1)).await.unwrap();
    gateway.terminate();
    while !matches!(client.next().await.unwrap(), GatewayFrame::Goaway(_)) {}
    // Sooner, it would count as the same signal.
    tokio::time::sleep(Duration::from_millis(600)).await;
    gateway.terminate();
    assert_eq!(gateway.ended().await.code(), Some(1));
    assert!(gateway.log().contains("a second signal has ended the drain"), "{}", gateway.log());
}
