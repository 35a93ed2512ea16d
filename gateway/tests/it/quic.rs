//! What only the QUIC carriers have: datagrams, and resets after a restart.

use std::time::Duration;

use tidegate_wire::GatewayFrame;

use crate::client::{Carrier, Client, frame, within};
use crate::gateway::Gateway;

/// A client that hears nothing gives up after 30 s by itself; a reset must come long before.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn good_datagrams_are_produced_and_bad_ones_counted_beside_the_session() {
    let gateway = Gateway::start("").await;
    for (carriers, carrier) in [(1.0, Carrier::Quic), (2.0, Carrier::WebTransport)] {
        let mut client = Client::open(&gateway, carrier, carrier.label(), 1).await;
        assert!(client.welcome.datagrams);
        for bytes in [
            b"anything".to_vec(),
            frame(1, false, &[r#"{"type":"numbered"}"#]),
            frame(0, true, &[r#"{"type":"cut"}"#])[..9].to_vec(),
        ] {
            client.datagram(bytes).unwrap();
        }
        client.datagram(frame(0, true, &[r#"{"type":"lossy"}"#])).unwrap();
        let arrived = async {
            loop {
                let metrics = gateway.metrics().await;
                let refused = metrics.sum("tidegate_refused_total", "surface=\"datagram\"");
                let received = metrics.sum("tidegate_events_received_total", "carrier=\"datagram\"");
                if refused >= 3.0 * carriers && received >= carriers {
                    return (refused, received);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let counted = within(arrived).await.unwrap();
        assert_eq!(counted, (3.0 * carriers, carriers), "{carrier:?}");
        // The session is none the worse.
        client.events(1, &[r#"{"type":"reliable"}"#]).await.unwrap();
        let GatewayFrame::Ack(ack) = client.next().await.unwrap() else { panic!("expected ACK") };
        assert_eq!(ack.upto, 1);
        client.done().await;
    }
    gateway.assert_accounted().await;
    let mut types: Vec<_> = gateway.tail().iter().map(|event| event["type"].to_string()).collect();
    types.sort();
    assert_eq!(types, [r#""lossy""#, r#""lossy""#, r#""reliable""#, r#""reliable""#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_connections_are_reset_by_the_gateway_that_comes_after() {
    let mut gateway = Gateway::start("").await;
    let mut client = Client::open(&gateway, Carrier::Quic, "device-1", 1).await;
    gateway.kill();
    gateway.launch();
    gateway.ready().await;
    // Any packet of the old connection is answered by a reset.
    client.events(1, &[r#"{"type":"t"}"#]).await.unwrap();
    let ended = tokio::time::timeout(NOTICED_WITHIN, client.ended()).await.expect("noticed in time");
    assert_eq!(ended, quinn::ConnectionError::Reset);
}
