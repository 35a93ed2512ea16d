//! `host:port`, as listeners and brokers are written.

use std::net::{IpAddr, Ipv6Addr};

/// An address that is well-formed; it has not been looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Address {
    /// Without brackets.
    host: String,
    /// 0 picks a free one.
    pub(super) port: u16,
}

impl Address {
    /// Reads `host:port`; an IPv6 address is written in brackets. The error says what is wrong, without the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').ok_or("has no port")?;
        let port =
            port.parse().map_err(|_| format!("has the port `{port}`, which is not a number up to 65535"))?;
        let host = match host.strip_prefix('[') {
            Some(inner) => {
                let inner = inner.strip_suffix(']').ok_or("has a `[` without its `]`")?;
                inner
                    .parse::<Ipv6Addr>()
                    .map_err(|_| format!("has `{inner}` where an IPv6 address is due"))?;
                inner
            }
            None if host.is_empty() => return Err("has no host".into()),
            None if host.contains(':') => return Err("has an IPv6 address without brackets".into()),
            None if !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) => {
                return Err(format!("has `{host}` where a host name or an IP address is due"));
            }
            None => host,
        };
        Ok(Self { host: host.to_owned(), port })
    }

    /// Whether only this machine can reach it. A name other than `localhost` counts as reachable.
    pub(super) fn is_loopback(&self) -> bool {
        let ip = self.host.parse::<IpAddr>();
        self.host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, host, port, loopback) in [
            ("localhost:8080", "localhost", 8080, true),
            ("127.0.0.2:1", "127.0.0.2", 1, true),
            ("[::1]:0", "::1", 0, true),
            ("0.0.0.0:443", "0.0.0.0", 443, false),
            ("[::]:443", "::", 443, false),
            ("kafka_1:9092", "kafka_1", 9092, false),
            ("ingest.example.com:443", "ingest.example.com", 443, false),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
            assert_eq!(address.is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for (text, expected) in [
            ("localhost", "has no port"),
            (":8080", "has no host"),
            ("localhost:http", "port `http`"),
            ("localhost:65536", "port `65536`"),
            ("::1:80", "without brackets"),
            ("[::1:80", "without its `]`"),
            ("[x]:80", "IPv6 address is due"),
            ("http://localhost:80", "brackets"),
            ("a b:80", "`a b`"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
