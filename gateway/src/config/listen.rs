//! Addresses, certificates and what is served beside ingestion.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::findings::Findings;
use super::origins;

/// Where the gateway listens. `localhost` binds 127.0.0.1 and `::1`; `""` turns a listener off; port 0 picks a free one.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// HTTPS and WebSocket on TCP, WebTransport and QUIC on UDP: the same port.
    pub secure: String,
    /// HTTP and WebSocket without TLS: for local use and behind a TLS proxy.
    pub plain: String,
    /// `/metrics`, `/healthz`, `/readyz`.
    pub ops: String,
    /// What the paths of the protocol start with.
    pub prefix: String,
    /// The origin by which clients reach the gateway over TLS, such as `https://ingest.example.com`: the secure
    /// listener's, or a proxy's before the plain one. Empty: the request's host with the secure listener's port.
    pub public_url: String,
    /// Where the key for QUIC stateless resets is kept over restarts; it is made when missing.
    pub quic_key: PathBuf,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            secure: "localhost:4433".into(),
            plain: "localhost:8080".into(),
            ops: "localhost:9600".into(),
            prefix: "/v1".into(),
            public_url: String::new(),
            quic_key: "data/quic.key".into(),
        }
    }
}

impl Listen {
    /// `authenticated` says whether the file has settled who may send, be it with "none".
    pub(super) fn check(&self, authenticated: bool, findings: &mut Findings<'_>) {
        let listeners = [("secure", &self.secure), ("plain", &self.plain), ("ops", &self.ops)];
        for (index, (key, text)) in
            listeners.into_iter().enumerate().filter(|(_, (_, text))| !text.is_empty())
        {
            let path = format!("listen.{key}");
            let address = match Address::parse(text) {
                Ok(address) => address,
                Err(fault) => {
                    let help = "write host:port, such as \"localhost:8080\", \"0.0.0.0:8080\" or \"[::]:8080\"; \"\" turns it off";
                    findings.refuse(&path, format!("{key} {fault}"), help);
                    continue;
                }
            };
            if !address.is_loopback() && !authenticated && key != "ops" {
                findings.refuse(
                    &path,
                    format!("{key} would be reachable from other machines, and nothing says who may send"),
                    "set auth.mode = \"tokens\" with tokens (`tidegate token --id NAME` makes one), write \
                     auth.mode = \"none\" if really anyone may send, or listen on localhost",
                );
            }
            let earlier = listeners.iter().take(index).find(|(_, other)| *other == text && address.port != 0);
            if let Some((other, _)) = earlier {
                findings.refuse(
                    &path,
                    format!("{key} has the address of {other}"),
                    "give each listener its own port",
                );
            }
        }
        if self.secure.is_empty() && self.plain.is_empty() {
            findings.refuse_together(
                &["listen.plain", "listen.secure"],
                "both secure and plain are off: no client could connect",
                "give at least one of them an address, such as plain = \"localhost:8080\"",
            );
        }
        self.check_paths(findings);
    }

    fn check_paths(&self, findings: &mut Findings<'_>) {
        let segments = self.prefix.strip_prefix('/').map(|rest| rest.split('/'));
        let is_path = segments.is_some_and(|mut segments| {
            segments.all(|segment| {
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');
                !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(plain)
            })
        });
        if !is_path || self.prefix.len() > 64 {
            let message = format!("`{}` cannot be what paths start with", self.prefix);
            let help = "write a path without a slash at its end, such as \"/v1\": letters, digits, `-`, `_`, `~`, `.`";
            findings.refuse("listen.prefix", message, help);
        }
        if !self.public_url.is_empty() {
            let fault = origins::fault(&self.public_url).or_else(|| {
                let is_secure = self.public_url.starts_with("https://");
                (!is_secure).then(|| "is not https, as the secure listener is".to_owned())
            });
            if let Some(fault) = fault {
                let message = format!("public_url {fault}");
                findings.refuse(
                    "listen.public_url",
                    message,
                    "write https://host or https://host:port, without a path",
                );
            }
        }
        if self.quic_key.as_os_str().is_empty() {
            findings.refuse("listen.quic_key", "quic_key is empty", "name a file, such as \"data/quic.key\"");
        }
    }
}

/// The certificate of the secure listener, watched and reloaded.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM: the chain, the server's own first.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

impl Tls {
    pub(super) fn check(&self, findings: &mut Findings<'_>) {
        for (key, path) in [("certificate", &self.certificate), ("key", &self.key)] {
            if path.as_os_str().is_empty() {
                let help = "name a PEM file; without the section [tls] a development certificate is made";
                findings.refuse(&format!("tls.{key}"), format!("{key} is empty"), help);
            }
        }
    }
}

/// What the discovery document adds.
#[derive(Clone, Debug, Deserialize, PartialEq, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// Browsers that should not start on a transport.
    pub exclude: Vec<Exclude>,
}

/// One browser that should not start on one transport.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Exclude {
    /// `webtransport` or `websocket`.
    pub transport: String,
    /// `safari`, `firefox`, `chrome`, ...
    pub browser: String,
    /// Only versions below this one; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
}

impl Discovery {
    pub(super) fn check(&self, findings: &mut Findings<'_>) {
        for (index, exclude) in self.exclude.iter().enumerate() {
            let at = |key: &str| format!("discovery.exclude.{index}.{key}");
            if !matches!(exclude.transport.as_str(), "webtransport" | "websocket") {
                let message = format!("browsers have no transport `{}`", exclude.transport);
                findings.refuse(&at("transport"), message, "write \"webtransport\" or \"websocket\"");
            }
            if exclude.browser.is_empty() || !exclude.browser.bytes().all(|b| b.is_ascii_lowercase()) {
                let message = format!("`{}` is not a browser's name", exclude.browser);
                findings.refuse(
                    &at("browser"),
                    message,
                    "write it in small letters, such as \"safari\", \"firefox\", \"chrome\"",
                );
            }
            let version = exclude.below.as_deref().unwrap_or("1");
            if version.is_empty() || !version.split('.').all(|part| part.parse::<u32>().is_ok()) {
                let message = format!("`{version}` is not a version");
                findings.refuse(
                    &at("below"),
                    message,
                    "write the first version that may, such as \"153\" or \"26.4\"",
                );
            }
        }
    }
}

/// The demo page, on the plain listener.
#[derive(Clone, Debug, Deserialize, PartialEq, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Demo {
    /// The directory served at `/`; absent: none. With it, and without tokens, `/demo/arrived` shows what comes into the
    /// log to whoever can open the page.
    pub directory: Option<PathBuf>,
}

impl Demo {
    pub(super) fn check(&self, listen: &Listen, findings: &mut Findings<'_>) {
        if self.directory.is_some() && listen.plain.is_empty() {
            let help = "give listen.plain an address, such as \"localhost:8080\", or remove [demo]";
            findings.refuse(
                "demo.directory",
                "the demo page is served by the plain listener, which is off",
                help,
            );
        }
    }
}
