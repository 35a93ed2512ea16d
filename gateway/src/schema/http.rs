//! GET, over a connection of its own: a schema is asked for every few minutes.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What an answer may have, in bytes: a schema of the largest size, escaped.
const ANSWER_BYTES_MAX: usize = 2 * super::SCHEMA_BYTES_MAX + 64 * 1024;

/// Who the gateway is to a registry.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Credentials {
    /// Nobody.
    #[default]
    None,
    /// A name and its password.
    Basic(String, String),
    /// A bearer token.
    Bearer(String),
}

/// Asks one server.
pub(super) struct Client {
    host: String,
    port: u16,
    /// Of the `Host` header.
    authority: String,
    /// What its paths begin with, without a `/` at the end.
    prefix: String,
    authorization: Option<HeaderValue>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    timeout: Duration,
}

impl Client {
    /// `url` is of `http` or `https`; `ca` are the authorities that are trusted, in PEM, in place of the system's. The error
    /// says which of them cannot be.
    pub(super) fn new(
        url: &str,
        credentials: &Credentials,
        ca: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| format!("`{url}` is no URL"))?;
        let authority = uri.authority().ok_or_else(|| format!("`{url}` names no host"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("`{url}` begins neither with http:// nor with https://")),
        };
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(format!("`{url}` has more than a host and a path"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = is_tls.then(|| tls(&host, ca)).transpose()?;
        let authorization = match credentials {
            Credentials::None => None,
            Credentials::Basic(name, password) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
            }
            Credentials::Bearer(token) => Some(format!("Bearer {token}")),
        };
        let authorization = authorization.map(|value| {
            let value =
                HeaderValue::from_str(&value).map_err(|_| "the token has characters that no header may have");
            value.map(|mut value| {
                value.set_sensitive(true);
                value
            })
        });
        Ok(Self {
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            host,
            authority: authority.to_string(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            authorization: authorization.transpose()?,
            tls,
            timeout,
        })
    }

    /// The answer to `path`, which begins with `/`. Errors are sentences for operators. Cancel safe.
    pub(super) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), String> {
        match tokio::time::timeout(self.timeout, self.exchange(path)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} ms", self.timeout.as_millis())),
        }
    }

    async fn exchange(&self, path: &str) -> Result<(StatusCode, Bytes), String> {
        let connected = TcpStream::connect((self.host.as_str(), self.port)).await;
        let tcp = connected.map_err(|error| format!("cannot connect: {error}"))?;
        match &self.tls {
            None => self.ask(tcp, path).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), tcp).await;
                self.ask(stream.map_err(|error| format!("no TLS: {error}"))?, path).await
            }
        }
    }

    async fn ask<S>(&self, stream: S, path: &str) -> Result<(StatusCode, Bytes), String>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let shake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = shake.await.map_err(|error| error.to_string())?;
        let request = Request::get(format!("{}{path}", self.prefix))
            .header(HOST, &self.authority)
            .header(ACCEPT, "application/vnd.schemaregistry.v1+json, application/json")
            .header(CONNECTION, "close");
        let request = match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        };
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| format!("its answer cannot be read: {error}"))?;
            Ok((status, body.to_bytes()))
        };
        // The connection is driven here, and gone with the answer: nothing is left behind.
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

fn tls(host: &str, ca: Option<&[u8]>) -> Result<(TlsConnector, ServerName<'static>), String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| format!("the CA file is not PEM: {error}"))?;
                roots
                    .add(certificate)
                    .map_err(|error| format!("the CA file has a bad certificate: {error}"))?;
            }
            if roots.is_empty() {
                return Err("the CA file has no certificate".into());
            }
        }
        None => {
            // Systems have certificates that cannot be read, too.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("this system has no certificates of authorities: name a CA file".into());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is no name of a host"))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}
