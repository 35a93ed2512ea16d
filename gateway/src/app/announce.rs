//! What a gateway says when it starts.

use std::net::TcpListener;

use super::sockets::{Sockets, first_port};
use crate::config::{self, Config, DeliveryMode};

/// Says where everything is, and how to send a first event.
pub(super) fn announce(config: &Config, sockets: &Sockets, topics: &[String]) {
    let at = |listeners: &[TcpListener]| {
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
        addresses.map(|address| address.to_string()).collect::<Vec<_>>().join(", ")
    };
    let log = format!("the log in {}", config.log.directory.display());
    let destination = match (&config.kafka, config.delivery.mode) {
        (None, _) => log,
        (Some(kafka), DeliveryMode::Direct) => format!("Kafka at {}", kafka.brokers),
        (Some(kafka), DeliveryMode::Spool) => format!("{log}, from there to Kafka at {}", kafka.brokers),
        (Some(kafka), DeliveryMode::Failover) => {
            format!("Kafka at {}, while it is away {log}", kafka.brokers)
        }
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        destination,
        topics = topics.join(", "),
        "tidegate starts"
    );
    if !sockets.secure.tcp.is_empty() {
        tracing::info!("secure: {} (HTTPS, WebSocket, WebTransport, QUIC)", at(&sockets.secure.tcp));
    }
    if let Some(port) = first_port(&sockets.plain) {
        tracing::info!("plain: {} (HTTP, WebSocket)", at(&sockets.plain));
        if config.demo.directory.is_some() {
            tracing::info!("demo page: http://localhost:{port}/");
        }
        let prefix = config.listen.prefix.trim_end_matches('/');
        let needs_token = config.auth.mode == Some(config::AuthMode::Tokens);
        let token = if needs_token { " -H 'authorization: Bearer TOKEN'" } else { "" };
        tracing::info!(
            "first event: curl http://localhost:{port}{prefix}/events{token} -H 'content-type: application/json' \
             -d '{{\"type\":\"hello\",\"data\":{{\"from\":\"curl\"}}}}'"
        );
    }
    if !sockets.ops.is_empty() {
        tracing::info!("ops: {} (/metrics, /healthz, /readyz)", at(&sockets.ops));
    }
}
