//! Listeners that are turned off.

use crate::client::{Carrier, Client};
use crate::gateway::Gateway;

/// A gateway with the listener `listen.key` at `address` turned off.
async fn without(key: &str, address: impl Fn(&Gateway) -> std::net::SocketAddr) -> Gateway {
    let mut gateway = Gateway::prepare("");
    let path = gateway.path("tidegate.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let line = format!("listen.{key} = \"{}\"", address(&gateway));
    assert!(config.contains(&line), "{line} is not in\n{config}");
    std::fs::write(&path, config.replace(&line, &format!("listen.{key} = \"\""))).unwrap();
    gateway.launch();
    gateway.ready().await;
    gateway
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_turned_off_takes_nothing_else_along() {
    let mut gateway = without("plain", |gateway| gateway.plain).await;
    assert!(gateway.http.get(gateway.url("/")).send().await.is_err());
    for carrier in [Carrier::WebTransport, Carrier::Quic, Carrier::WebSocket] {
        Client::open(&gateway, carrier, &format!("{carrier:?}"), 1).await.done().await;
    }
    gateway.terminate();
    assert!(gateway.ended().await.success());

    let mut gateway = without("secure", |gateway| gateway.secure).await;
    assert!(Client::try_open(&gateway, Carrier::WebSocket, crate::client::hello("off", 1)).await.is_err());
    Client::open(&gateway, Carrier::WebSocketJson, "on", 1).await.done().await;
    gateway.terminate();
    assert!(gateway.ended().await.success());
}
