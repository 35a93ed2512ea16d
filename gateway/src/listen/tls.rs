//! Certificates of the secure listener: one resolver for TCP and QUIC, reloaded while it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_util::sync::CancellationToken;

use crate::config::Tls;

/// How long a development certificate holds: browsers take hashes for at most 14 days.
pub const DEVELOPMENT_DAYS: u32 = 13;
/// Clocks differ; a certificate is good from a little before it was made.
const BACKDATED: Duration = Duration::from_secs(5 * 60);
/// How often files are looked at, and a development certificate's age.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What certificates made here name as their organisation, to be told from others.
const ORGANIZATION: &str = "Tidegate development";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file does not hold one.
    #[error("tls.certificate: {}: {reason}; expected PEM, the server's own certificate first", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key file does not hold one.
    #[error("tls.key: {}: {reason}; expected the certificate's private key as PEM", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The two do not belong together.
    #[error("tls: {} is not the key of {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The library cannot make what is asked of it.
    #[error("tls: {0}")]
    Library(String),
}

/// A certificate as PEM, with its key, and what browsers know it by.
pub struct Made {
    /// The certificate as PEM.
    pub certificate_pem: String,
    /// Its private key as PEM.
    pub key_pem: String,
    /// SHA-256 of the certificate: `serverCertificateHashes`.
    pub certificate_hash: [u8; 32],
    /// SHA-256 of its public key, as Chromium's `--ignore-certificate-errors-spki-list` wants it.
    pub spki_hash: [u8; 32],
}

/// The certificate in use, and where the next one comes from.
pub struct Certificates {
    current: Arc<Current>,
    files: Option<Tls>,
}

#[derive(Debug)]
struct Current {
    key: ArcSwap<CertifiedKey>,
    /// Of development certificates alone: the one in use, then the one before it.
    hashes: ArcSwap<Vec<[u8; 32]>>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.load_full())
    }
}

impl Certificates {
    /// Loads the configured pair, or makes a development certificate.
    pub fn load(files: Option<&Tls>, now: SystemTime) -> Result<Self, TlsError> {
        let (key, hashes) = match files {
            Some(files) => (read(files)?, Vec::new()),
            None => {
                let (key, hash) = development(now)?;
                (key, vec![hash])
            }
        };
        let current = Current { key: ArcSwap::from_pointee(key), hashes: ArcSwap::from_pointee(hashes) };
        Ok(Self { current: Arc::new(current), files: files.cloned() })
    }

    /// SHA-256 of the development certificates that clients may meet; none where a certificate is configured.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        self.current.hashes.load().to_vec()
    }

    /// For TCP: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub fn tcp(&self) -> Result<Arc<ServerConfig>, TlsError> {
        self.server(&[&TLS13, &TLS12], &[b"h2", b"http/1.1"]).map(Arc::new)
    }

    /// For QUIC: TLS 1.3, WebTransport and the raw protocol.
    pub fn quic(&self) -> Result<quinn::ServerConfig, TlsError> {
        let mut tls = self.server(&[&TLS13], &[b"h3", super::udp::ALPN])?;
        // The only value that QUIC allows; early data itself is refused by not being read before the handshake.
        tls.max_early_data_size = 0;
        let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls)
            .map_err(|error| TlsError::Library(error.to_string()))?;
        Ok(quinn::ServerConfig::with_crypto(Arc::new(crypto)))
    }

    /// Takes new files, and renews a development certificate in time, until `shutdown`. What cannot be used is
    /// logged, and the pair in use stays. `now` is the clock.
    pub async fn watch(&self, now: fn() -> SystemTime, shutdown: CancellationToken) {
        let mut made_at = now();
        let mut seen = self.files.as_ref().map(fingerprint);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            match &self.files {
                Some(files) => self.look(files, &mut seen),
                None => self.renew(now(), &mut made_at),
            }
        }
    }

    fn look(&self, files: &Tls, seen: &mut Option<Fingerprint>) {
        let there = fingerprint(files);
        if seen.as_ref() == Some(&there) {
            return;
        }
        *seen = Some(there);
        match read(files) {
            Ok(key) => {
                self.current.key.store(Arc::new(key));
                tracing::info!(certificate = %files.certificate.display(), "certificate reloaded");
            }
            Err(error) => tracing::error!(%error, "the certificate in use stays"),
        }
    }

    fn renew(&self, now: SystemTime, made_at: &mut SystemTime) {
        let age = now.duration_since(*made_at).unwrap_or_default();
        if age < DAY * (DEVELOPMENT_DAYS - 2) {
            return;
        }
        match development(now) {
            Ok((key, hash)) => {
                *made_at = now;
                self.current.key.store(Arc::new(key));
                let before = self.current.hashes.load().first().copied();
                self.current.hashes.store(Arc::new(std::iter::once(hash).chain(before).collect()));
                tracing::info!("development certificate renewed");
            }
            Err(error) => tracing::error!(%error, "the development certificate could not be renewed"),
        }
    }

    fn server(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&[u8]],
    ) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .map_err(|error| TlsError::Library(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

/// Makes a self-signed certificate (ECDSA P-256) for `hosts` that holds for `days` from `now`.
pub fn make(hosts: &[String], days: u32, now: SystemTime) -> Result<Made, TlsError> {
    let library = |error: rcgen::Error| TlsError::Library(error.to_string());
    let mut params = CertificateParams::new(hosts).map_err(library)?;
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now - BACKDATED + DAY * days).into();
    let name = hosts.first().map_or("localhost", String::as_str);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.distinguished_name.push(rcgen::DnType::OrganizationName, ORGANIZATION);
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(library)?;
    let certificate = params.self_signed(&key).map_err(library)?;
    Ok(Made {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        certificate_hash: sha256(certificate.der()),
        spki_hash: sha256(&rcgen::PublicKeyData::subject_public_key_info(&key)),
    })
}

/// Whether this is a certificate of [`make`], which nobody misses.
pub fn is_made_here(pem: &[u8]) -> bool {
    let organization = ORGANIZATION.as_bytes();
    CertificateDer::from_pem_slice(pem)
        .is_ok_and(|der| der.windows(organization.len()).any(|name| name == organization))
}

fn development(now: SystemTime) -> Result<(CertifiedKey, [u8; 32]), TlsError> {
    let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = make(&hosts, DEVELOPMENT_DAYS, now)?;
    let library = |error: &dyn std::fmt::Display| TlsError::Library(error.to_string());
    let chain = CertificateDer::pem_slice_iter(made.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| library(&error))?;
    let key = PrivateKeyDer::from_pem_slice(made.key_pem.as_bytes()).map_err(|error| library(&error))?;
    let key = any_supported_type(&key).map_err(|error| library(&error))?;
    Ok((CertifiedKey::new(chain, key), made.certificate_hash))
}

fn read(files: &Tls) -> Result<CertifiedKey, TlsError> {
    let Tls { certificate, key } = files;
    let bad_certificate = |reason: String| TlsError::Certificate { path: certificate.clone(), reason };
    let bad_key = |reason: String| TlsError::Key { path: key.clone(), reason };
    let chain = std::fs::read(certificate).map_err(|error| bad_certificate(error.to_string()))?;
    let chain = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad_certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(bad_certificate("no certificate is in it".to_owned()));
    }
    let private = std::fs::read(key).map_err(|error| bad_key(error.to_string()))?;
    let private = PrivateKeyDer::from_pem_slice(&private).map_err(|error| bad_key(error.to_string()))?;
    let private = any_supported_type(&private).map_err(|error| bad_key(error.to_string()))?;
    let pair = CertifiedKey::new(chain, private);
    match pair.keys_match() {
        // A key that cannot show its public half is taken at its word, as rustls does.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(pair),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(TlsError::Mismatch { certificate: certificate.clone(), key: key.clone() })
        }
        Err(error) => Err(bad_certificate(error.to_string())),
    }
}

type Fingerprint = [Option<(SystemTime, u64)>; 2];

fn fingerprint(files: &Tls) -> Fingerprint {
    [written(&files.certificate), written(&files.key)]
}

/// What changes when a file is replaced, also behind a symbolic link.
pub(crate) fn written(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, made: &Made) -> Tls {
        let files = Tls { certificate: directory.join("tls.crt"), key: directory.join("tls.key") };
        std::fs::write(&files.certificate, &made.certificate_pem).unwrap();
        std::fs::write(&files.key, &made.key_pem).unwrap();
        files
    }

    fn made() -> Made {
        make(&["localhost".to_owned()], DEVELOPMENT_DAYS, SystemTime::UNIX_EPOCH + DAY * 20_000).unwrap()
    }

    fn in_use(certificates: &Certificates) -> [u8; 32] {
        sha256(&certificates.current.key.load().cert[0])
    }

    #[test]
    fn a_new_pair_is_taken_and_a_bad_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (made(), made());
        let files = write(directory.path(), &first);
        let certificates = Certificates::load(Some(&files), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(in_use(&certificates), first.certificate_hash);

        write(directory.path(), &second);
        certificates.look(&files, &mut None);
        assert_eq!(in_use(&certificates), second.certificate_hash);

        std::fs::write(&files.key, &first.key_pem).unwrap();
        certificates.look(&files, &mut None);
        assert_eq!(in_use(&certificates), second.certificate_hash);
        assert!(certificates.hashes().is_empty());
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let files = write(directory.path(), &made());
        let error =
            |files: &Tls| Certificates::load(Some(files), SystemTime::UNIX_EPOCH).err().unwrap().to_string();
        std::fs::write(&files.key, made().key_pem).unwrap();
        assert!(error(&files).contains("is not the key of"), "{}", error(&files));
        let not_der = "-----BEGIN CERTIFICATE-----\nbm90IERFUg==\n-----END CERTIFICATE-----\n";
        std::fs::write(&files.certificate, not_der).unwrap();
        assert!(error(&files).contains("the server's own certificate first"), "{}", error(&files));
        std::fs::write(&files.certificate, "nothing").unwrap();
        assert!(error(&files).contains("no certificate is in it"), "{}", error(&files));
        std::fs::remove_file(&files.certificate).unwrap();
        assert!(error(&files).contains("tls.crt"), "{}", error(&files));
    }

    #[test]
    fn a_development_certificate_is_renewed_before_it_ends_and_both_are_announced() {
        let start = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let certificates = Certificates::load(None, start).unwrap();
        let first = certificates.hashes();
        let mut made_at = start;
        certificates.renew(start + DAY * 10, &mut made_at);
        assert_eq!(certificates.hashes(), first);
        certificates.renew(start + DAY * 11, &mut made_at);
        assert_eq!(certificates.hashes()[1..], first[..]);
        assert_eq!(certificates.hashes()[0], in_use(&certificates));
    }

    #[tokio::test]
    async fn new_handshakes_get_the_new_certificate_and_old_connections_stay() {
        use crate::listen::testing::{Options, Server, renew, trusting};
        let server = Server::start(Options::default());
        let [url, _] = server.urls("/");
        let client = |made: &Made| {
            let tls = trusting(made, &["h2"]);
            reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
        };
        let before = client(&server.made);
        assert_eq!(before.get(&url).send().await.unwrap().status(), 200);

        let made = renew(&server.files);
        server.certificates.look(&server.files, &mut None);
        assert_eq!(client(&made).get(&url).send().await.unwrap().status(), 200);
        assert!(client(&server.made).get(&url).send().await.is_err(), "nobody is shown the old one");
        assert_eq!(before.get(&url).send().await.unwrap().status(), 200, "its connection is still good");

        // QUIC has the same one.
        let tls = trusting(&made, &["tidegate.v1"]);
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        endpoint.connect_with(config, server.secure, "localhost").unwrap().await.unwrap();
    }
}
