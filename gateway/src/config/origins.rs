//! Which pages may send.

use serde::Deserialize;

use super::findings::Findings;

/// Browsers' origins that may send, on every carrier.
#[derive(Clone, Debug, Deserialize, PartialEq, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Origins {
    /// `https://app.example.com`, or `*` for any. Empty: pages of localhost alone.
    pub allow: Vec<String>,
}

impl Origins {
    pub(super) fn check(&self, findings: &mut Findings<'_>) {
        for (index, origin) in self.allow.iter().enumerate().filter(|(_, origin)| *origin != "*") {
            if let Some(fault) = fault(origin) {
                findings.refuse(
                    &format!("origins.allow.{index}"),
                    format!("`{origin}` {fault}"),
                    "write an origin as browsers send it: scheme://host or scheme://host:port, such as \
                     \"https://app.example.com\"; \"*\" alone stands for any page",
                );
            }
        }
    }
}

/// Why `text` is not an origin in the form that browsers send, if it is not (RFC 6454, section 6.2).
pub(super) fn fault(text: &str) -> Option<String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Some("is not an origin".into());
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !is_scheme {
        return Some("is not an origin".into());
    }
    if rest.contains(['/', '?', '#']) {
        return Some("has a path".into());
    }
    if rest.contains('@') {
        return Some("has a user name".into());
    }
    if rest.contains('*') {
        return Some("has a `*` inside; hosts are listed one by one".into());
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Some("has capital letters, which browsers never send".into());
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(plain),
    };
    if !is_host {
        return Some("has no valid host".into());
    }
    match (scheme, port) {
        ("https", Some("443")) | ("http", Some("80")) => {
            Some("names the default port, which browsers leave out".into())
        }
        (_, Some(port)) if port.parse::<u16>().is_err() => Some(format!("has the port `{port}`")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_told_from_other_text() {
        for origin in [
            "https://app.example.com",
            "http://localhost:5173",
            "https://[::1]:8443",
            "http://[::1]",
            "chrome-extension://abcdef",
        ] {
            assert_eq!(fault(origin), None, "{origin}");
        }
        for (text, expected) in [
            ("app.example.com", "is not an origin"),
            ("null", "is not an origin"),
            ("://x", "is not an origin"),
            ("https://app.example.com/", "has a path"),
            ("https://app.example.com/x?y", "has a path"),
            ("https://me@app.example.com", "user name"),
            ("https://*.example.com", "has a `*` inside"),
            ("https://App.example.com", "capital letters"),
            ("https://", "no valid host"),
            ("https://a b", "no valid host"),
            ("https://app.example.com:443", "default port"),
            ("https://app.example.com:x", "has the port `x`"),
        ] {
            assert!(fault(text).is_some_and(|fault| fault.contains(expected)), "{text}: {:?}", fault(text));
        }
    }
}
