//! Where events are sent, over what, and who is trusted there.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// How events travel.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Carrier {
    /// Binary frames.
    Websocket,
    /// The JSON coding, as simple devices speak it.
    WebsocketJson,
    Webtransport,
    /// The protocol's own ALPN on a QUIC connection.
    Quic,
    /// `POST /v1/events`, one request at a time for each client.
    Https,
}

impl Carrier {
    /// Whether each client has a socket of its own.
    pub(crate) fn needs_files(self) -> bool {
        !self.is_udp()
    }

    /// Whether packets are UDP's.
    pub(crate) fn is_udp(self) -> bool {
        matches!(self, Self::Quic | Self::Webtransport)
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Websocket => "websocket",
            Self::WebsocketJson => "websocket-json",
            Self::Webtransport => "webtransport",
            Self::Quic => "quic",
            Self::Https => "https",
        })
    }
}

/// `https://HOST:PORT`, or `http://HOST:PORT` for a listener without TLS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Url {
    pub(crate) secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected https://HOST:PORT, or http://HOST:PORT for the listener without TLS";
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(expected.into()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => {
                (host, port.parse().map_err(|_| format!("`{port}` is no port; {expected}"))?)
            }
            None => (rest, if secure { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains('/') {
            return Err(expected.into());
        }
        Ok(Self { secure, host: host.to_owned(), port })
    }
}

impl Url {
    /// `HOST:PORT` as it stands in a URL.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A gateway: resolved, with what clients need to trust it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) address: SocketAddr,
    trust: Arc<Trust>,
}

enum Trust {
    Certificates(RootCertStore),
    /// Loopback: whoever answers there is this machine.
    Anyone,
}

impl Target {
    /// Resolves `url`. `certificates` is a PEM file of what to trust; without it only gateways on this machine are,
    /// whatever certificate they show.
    pub(crate) fn new(url: Url, certificates: Option<&PathBuf>) -> Result<Self> {
        let mut addresses = (url.host.as_str(), url.port)
            .to_socket_addrs()
            .with_context(|| format!("cannot resolve {}", url.host))?
            .collect::<Vec<_>>();
        // A gateway on "localhost" listens on both, one on 127.0.0.1 on that alone.
        addresses.sort_by_key(|address| !address.is_ipv4());
        let address = *addresses.first().with_context(|| format!("{} has no address", url.host))?;
        let trust = match certificates {
            Some(path) => Trust::Certificates(roots(path)?),
            None if address.ip().is_loopback() || !url.secure => Trust::Anyone,
            None => bail!("{} is not on this machine: give the certificates to trust by --ca FILE", url.host),
        };
        Ok(Self { url, address, trust: Arc::new(trust) })
    }

    /// TLS for these protocols.
    pub(crate) fn tls(&self, alpn: &[&str]) -> Result<ClientConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let mut config = match &*self.trust {
            Trust::Certificates(roots) => builder.with_root_certificates(roots.clone()).with_no_client_auth(),
            Trust::Anyone => {
                let verifier = Arc::new(ThisMachine(provider));
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(config)
    }
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let named = || format!("--ca {}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).with_context(named)? {
        roots.add(certificate.with_context(named)?).with_context(named)?;
    }
    if roots.is_empty() {
        bail!("--ca {}: no certificate in it", path.display());
    }
    Ok(roots)
}

/// Takes any certificate; the handshake's signatures are still verified.
#[derive(Debug)]
struct ThisMachine(Arc<CryptoProvider>);

impl ServerCertVerifier for ThisMachine {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_host_port_and_whether_there_is_tls() {
        let url = |text: &str| text.parse::<Url>();
        assert_eq!(url("https://[::1]:4433/").unwrap().authority(), "[::1]:4433");
        assert_eq!(
            url("http://localhost:8080").unwrap(),
            Url { secure: false, host: "localhost".into(), port: 8080 }
        );
        assert_eq!(url("https://gateway").unwrap().port, 443);
        for wrong in ["localhost:4433", "https://", "https://a:b", "https://a/v1"] {
            assert!(url(wrong).unwrap_err().contains("expected https://HOST:PORT"), "{wrong}");
        }
    }

    #[test]
    fn strangers_are_not_trusted_without_being_named() {
        let remote = Target::new("https://192.0.2.1:4433".parse().unwrap(), None);
        assert!(remote.err().unwrap().to_string().contains("--ca"));
        assert!(Target::new("https://127.0.0.1:4433".parse().unwrap(), None).is_ok());
    }
}
