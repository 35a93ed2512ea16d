//! Which pages may send.

use std::collections::HashSet;

/// The `Origin` headers that are let in.
#[derive(Debug)]
pub(super) enum AllowedOrigins {
    /// Nothing is configured: pages served by this machine to itself.
    Localhost,
    /// `*`.
    Any,
    /// Exactly these.
    Listed(HashSet<Box<str>>),
}

impl AllowedOrigins {
    pub(super) fn new(allow: &[String]) -> Self {
        if allow.is_empty() {
            Self::Localhost
        } else if allow.iter().any(|origin| origin == "*") {
            Self::Any
        } else {
            Self::Listed(allow.iter().map(|origin| origin.as_str().into()).collect())
        }
    }

    pub(super) fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Localhost => is_localhost(origin),
            Self::Any => true,
            Self::Listed(listed) => listed.contains(origin),
        }
    }
}

fn is_localhost(origin: &str) -> bool {
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let host = rest.and_then(|rest| {
        ["localhost", "127.0.0.1", "[::1]"].into_iter().find_map(|host| rest.strip_prefix(host))
    });
    match host.map(|after| after.strip_prefix(':').ok_or(after)) {
        Some(Ok(port)) => !port.starts_with('+') && port.parse::<u16>().is_ok(),
        Some(Err(after)) => after.is_empty(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_pages_of_localhost_may_send() {
        let origins = AllowedOrigins::new(&[]);
        for origin in [
            "http://localhost",
            "http://localhost:5173",
            "https://127.0.0.1:8443",
            "https://[::1]",
            "http://[::1]:1",
        ] {
            assert!(origins.allows(origin), "{origin}");
        }
        for origin in [
            "",
            "null",
            "localhost",
            "http://localhost.example.com",
            "http://localhost:1.example.com",
            "http://localhost:",
            "http://localhost/",
            "http://127.0.0.11",
            "http://me@localhost",
            "https://app.example.com",
            "file://localhost",
        ] {
            assert!(!origins.allows(origin), "{origin}");
        }
    }

    #[test]
    fn configured_origins_match_exactly_and_replace_the_default() {
        let origins = AllowedOrigins::new(&["https://app.example.com".into()]);
        assert!(origins.allows("https://app.example.com"));
        for origin in ["http://app.example.com", "https://app.example.com:8443", "http://localhost", "null"] {
            assert!(!origins.allows(origin), "{origin}");
        }
    }

    #[test]
    fn a_star_lets_every_page_in() {
        let origins = AllowedOrigins::new(&["https://app.example.com".into(), "*".into()]);
        assert!(origins.allows("https://other.example") && origins.allows("null"));
    }
}
