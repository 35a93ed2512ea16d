//! `host:port`, as listeners take it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where a listener binds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// Without brackets.
    pub host: String,
    /// 0 picks a free port.
    pub port: u16,
}

impl Address {
    /// Reads `host:port`; an IPv6 address is written in brackets. The error says what is wrong, without the text.
    pub fn parse(text: &str) -> Result<Self, String> {
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
            None if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-') => {
                return Err(format!("has `{host}` where a host name or an IP address is due"));
            }
            None => host,
        };
        Ok(Self { host: host.to_owned(), port })
    }

    /// The addresses to bind: one, or both loopback addresses for `localhost`. `None` for a name that has to be
    /// looked up first.
    pub fn sockets(&self) -> Option<Vec<SocketAddr>> {
        if self.host.eq_ignore_ascii_case("localhost") {
            let both = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
            return Some(both.map(|ip| SocketAddr::new(ip, self.port)).to_vec());
        }
        let ip = self.host.parse().ok()?;
        Some(vec![SocketAddr::new(ip, self.port)])
    }

    /// Whether only this machine can reach it. A name that has to be looked up counts as reachable.
    pub fn is_loopback(&self) -> bool {
        self.sockets().is_some_and(|sockets| sockets.iter().all(|socket| socket.ip().is_loopback()))
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
            ("ingest.example.com:443", "ingest.example.com", 443, false),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
            assert_eq!(address.is_loopback(), loopback, "{text}");
        }
        assert_eq!(Address::parse("localhost:7").unwrap().sockets().unwrap().len(), 2);
        assert_eq!(Address::parse("a.example:7").unwrap().sockets(), None);
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
