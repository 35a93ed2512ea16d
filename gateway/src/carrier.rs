//! The ways an event can come in, as metrics and logs name them.

/// How a client's bytes reached the gateway.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Carrier {
    /// A bidirectional WebTransport stream over HTTP/3.
    WebTransport,
    /// A bidirectional stream of a raw QUIC connection (ALPN `tidegate.v1`).
    Quic,
    /// A QUIC or WebTransport datagram; always lossy.
    Datagram,
    /// A WebSocket, with or without TLS.
    WebSocket,
    /// `POST /v1/events`, with or without TLS.
    Https,
}

impl Carrier {
    /// Every carrier, in the order of [`Carrier::index`].
    pub const ALL: [Self; 5] = [Self::WebTransport, Self::Quic, Self::Datagram, Self::WebSocket, Self::Https];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::WebTransport => "webtransport",
            Self::Quic => "quic",
            Self::Datagram => "datagram",
            Self::WebSocket => "websocket",
            Self::Https => "https",
        }
    }

    /// Position in [`Carrier::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}
