//! What is refused as a whole, and the reasons there are: all are there from the start, at 0.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::Labels;

/// Where something was refused as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Surface {
    /// A TCP connection or its TLS handshake.
    Tcp,
    /// A QUIC connection or its handshake, and the HTTP/3 session upon it.
    Quic,
    /// A datagram.
    Datagram,
    /// An HTTP request, WebSocket handshakes included.
    Http,
    /// A session: the reason is the CLOSE that the client got.
    Session,
}

impl Surface {
    const ALL: [Self; 5] = [Self::Tcp, Self::Quic, Self::Datagram, Self::Http, Self::Session];

    const fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Datagram => "datagram",
            Self::Http => "http",
            Self::Session => "session",
        }
    }

    /// Every reason that is counted here; `docs/metrics.md` explains them.
    const fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::Tcp => &["accept", "address", "connections", "tls", "tls_timeout", "silent"],
            Self::Quic => &[
                "address",
                "connections",
                "handshake",
                "handshake_timeout",
                "alpn",
                "http3",
                "http3_timeout",
                "hello_timeout",
                "not_found",
                "origin",
                "auth",
                "drain",
            ],
            Self::Datagram => &["before_welcome", "bad_frame", "too_large", "unread"],
            Self::Http => &[
                "head_too_large",
                "not_found",
                "method",
                "upgrade",
                "subprotocol",
                "auth",
                "origin",
                "forbidden",
                "bad_request",
                "content_type",
                "encoding",
                "too_large",
                "bad_body",
                "body_timeout",
                "busy",
                "stale_epoch",
                "taken_over",
                "rate",
                "quota",
                "broker",
                "full",
                "memory",
                "draining",
                "timeout",
                "lost",
                "readers",
                "unreadable",
            ],
            Self::Session => &[
                "bad_frame",
                "too_large",
                "version",
                "auth",
                "hello_timeout",
                "taken_over",
                "stale_epoch",
                "idle",
                "overload",
                "drain",
                "internal",
            ],
        }
    }
}

/// One counter for each surface and reason.
#[derive(Clone, Debug)]
pub(super) struct Refusals(pub(super) Family<Labels<2>, Counter>);

impl Refusals {
    pub(super) fn new() -> Self {
        let family = Family::<Labels<2>, Counter>::default();
        for surface in Surface::ALL {
            for reason in surface.reasons() {
                drop(family.get_or_create(&labels(surface, reason)));
            }
        }
        Self(family)
    }

    pub(super) fn add(&self, surface: Surface, reason: &'static str, times: u64) {
        debug_assert!(surface.reasons().contains(&reason), "`{reason}` is no reason of {surface:?}");
        if times > 0 {
            self.0.get_or_create(&labels(surface, reason)).inc_by(times);
        }
    }
}

const fn labels(surface: Surface, reason: &'static str) -> Labels<2> {
    [("surface", surface.label()), ("reason", reason)]
}
