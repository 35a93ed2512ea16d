//! Listeners on loopback before a gate that remembers what it was given, for tests of carriers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prometheus_client::registry::Registry;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tidegate_wire::{Close, CloseCode, GatewayFrame, Level, Limits};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::http::{Arrivals, Discovery, Http, Settings};
use super::link::{
    Answer, Coding, Gate, Link, LinkError, LinkReader as _, LinkWriter as _, Packet, Peer, Post,
};
use super::quic_key::QuicKey;
use super::tls::{self, Certificates};
use super::{bind, tcp, udp};
use crate::access::{Access, Issued};
use crate::config::{self, Auth, AuthMode, Origins, Tls, Token};
use crate::metrics::{self, Metrics};
use crate::rates::Rates;

/// Longer than anything here takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// An origin that may send, and one that may not.
pub(super) const FRIEND: &str = "http://localhost:5173";
pub(super) const STRANGER: &str = "https://evil.example";
/// A frame by which a test asks the gate to close; two bytes of the code follow. Types from 0x80 mean nothing.
pub(super) const ASK_CLOSE: [u8; 2] = [0x81, 0x02];

/// What a gate was given.
#[derive(Debug)]
pub(super) enum Seen {
    Peer(Peer),
    Packet(Packet),
    Post { body: Bytes, respond_async: bool },
}

/// Takes every session and request, and answers no more than it must.
#[derive(Clone)]
pub(super) struct FakeGate {
    seen: mpsc::Sender<Seen>,
    pub(super) draining: Arc<AtomicBool>,
    /// While it is true, requests are not answered.
    pub(super) holds: watch::Sender<bool>,
}

impl Gate for FakeGate {
    async fn serve<L: Link>(&self, link: L, peer: Peer) {
        let coding = peer.coding;
        self.tell(Seen::Peer(peer)).await;
        let (mut reader, mut writer) = link.split();
        let (code, reason) = loop {
            match reader.next().await {
                Ok(Some(packet)) => match asked_to_close(&packet) {
                    Some(code) => break (code, "as asked".to_owned()),
                    None => self.tell(Seen::Packet(packet)).await,
                },
                Ok(None) => break (CloseCode::Done, String::new()),
                Err(LinkError::Violation(violation)) => break (violation.code, violation.message),
                Err(LinkError::Io(_)) => return,
            }
        };
        let frame = GatewayFrame::Close(Close { msg: Some(reason.clone()), ..Close::new(code) });
        let mut bytes = Vec::new();
        match coding {
            Coding::Binary => frame.to_binary(&mut bytes),
            Coding::Json => bytes = frame.to_json().into_bytes(),
            Coding::CloudEvents => {}
        }
        // A client that is gone hears no more.
        if bytes.is_empty() || writer.send(&bytes).await.is_ok() {
            writer.close(code, &reason).await;
        }
    }

    async fn post(&self, post: Post<'_>) -> Answer {
        let body = Bytes::copy_from_slice(post.body);
        // As the real one does it, of one event, or of none.
        let now = tokio::time::Instant::now().into_std();
        if !body.is_empty()
            && let Err(wait) = post.meter.admit(1, body.len() as u64, now)
        {
            return Answer::Busy { reason: wait.reason(), retry_ms: wait.retry_ms(now) };
        }
        self.tell(Seen::Post { body, respond_async: post.respond_async }).await;
        self.holds.subscribe().wait_for(|holds| !holds).await.unwrap();
        Answer::Durable { accepted: 1, rejected: Vec::new(), level: Level::Stored, standing: None }
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

impl FakeGate {
    async fn tell(&self, seen: Seen) {
        // A test that no longer looks does not care.
        let _ = self.seen.send(seen).await;
    }
}

fn asked_to_close(packet: &Packet) -> Option<CloseCode> {
    let Packet::Frames(bytes) = packet else { return None };
    let code = bytes.strip_prefix(&ASK_CLOSE)?;
    CloseCode::from_number(u16::from_be_bytes([code[0], code[1]]))
}

/// How a server differs from the usual.
pub(super) struct Options {
    pub(super) limits: Limits,
    pub(super) bodies_bytes: u64,
    pub(super) body_patience: Duration,
    pub(super) tcp: tcp::Patience,
    pub(super) udp: udp::Patience,
    pub(super) connections: usize,
    pub(super) rates: config::Rates,
    pub(super) needs_token: bool,
    /// The names that the token is for; all without.
    pub(super) token_clients: Option<&'static str>,
    pub(super) demo: Option<TempDir>,
    pub(super) arrivals: Option<Arc<Arrivals>>,
}

impl Default for Options {
    fn default() -> Self {
        let mut udp = udp::Patience::new(60_000);
        udp.stream = PATIENCE;
        Self {
            limits: Limits::default(),
            bodies_bytes: 64 << 20,
            body_patience: PATIENCE,
            tcp: tcp::Patience::default(),
            udp,
            connections: 1_000,
            rates: config::Rates::default(),
            needs_token: false,
            token_clients: None,
            demo: None,
            arrivals: None,
        }
    }
}

/// All listeners of one gateway, on free ports.
pub(super) struct Server {
    pub(super) gate: FakeGate,
    /// Of HTTPS, and of QUIC.
    pub(super) secure: SocketAddr,
    pub(super) plain: SocketAddr,
    pub(super) seen: mpsc::Receiver<Seen>,
    pub(super) token: String,
    pub(super) certificates: Arc<Certificates>,
    pub(super) files: Tls,
    /// Of the certificate the server started with.
    pub(super) made: tls::Made,
    registry: Registry,
    _shutdown: DropGuard,
    _directory: TempDir,
    _demo: Option<TempDir>,
}

impl Server {
    pub(super) fn start(options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files =
            Tls { certificate: directory.path().join("tls.crt"), key: directory.path().join("tls.key") };
        let made = renew(&files);
        let certificates = Arc::new(Certificates::load(Some(&files), SystemTime::UNIX_EPOCH).unwrap());
        let (metrics, registry) = Metrics::register();
        let (token, access) = access(&options);
        let (sender, seen) = mpsc::channel(1_000);
        let gate = FakeGate { seen: sender, draining: Arc::default(), holds: watch::Sender::new(false) };
        let shutdown = CancellationToken::new();
        let secure = bind::secure("secure", "127.0.0.1:0").unwrap();
        let plain = bind::tcp("plain", "127.0.0.1:0").unwrap();
        let (secure_at, plain_at) = (secure.tcp[0].local_addr().unwrap(), plain[0].local_addr().unwrap());
        let started = tokio::time::Instant::now().into_std();
        let rates = Arc::new(Rates::new(&options.rates, 1, &metrics.rates, started));
        let http = http(&gate, &access, &rates, &metrics, &options, secure_at.port());
        let connections = Arc::new(Semaphore::new(options.connections));
        let entrance = |listeners: Vec<std::net::TcpListener>, tls| tcp::Entrance {
            listeners: listeners.into_iter().map(|l| tokio::net::TcpListener::from_std(l).unwrap()).collect(),
            tls,
            connections: Arc::clone(&connections),
            rates: Arc::clone(&rates),
            patience: options.tcp,
        };
        let tls = Some(certificates.tcp().unwrap());
        let secure_tcp = entrance(secure.tcp, tls);
        tokio::spawn(tcp::serve(secure_tcp, http.secure(), metrics.clone(), shutdown.clone()));
        let demo = options.demo.as_ref().map(TempDir::path);
        tokio::spawn(tcp::serve(
            entrance(plain, None),
            http.plain(demo, options.arrivals.clone()),
            metrics.clone(),
            shutdown.clone(),
        ));
        let entrance = udp::Entrance {
            sockets: secure.udp,
            tls: certificates.quic().unwrap(),
            key: QuicKey::load(&directory.path().join("quic.key")),
            connections,
            rates,
            limits: options.limits,
            prefix: "/v1".into(),
            patience: options.udp,
        };
        tokio::spawn(udp::serve(entrance, gate.clone(), access, metrics, shutdown.clone()));
        Self {
            gate,
            secure: secure_at,
            plain: plain_at,
            seen,
            token,
            certificates,
            files,
            made,
            registry,
            _shutdown: shutdown.drop_guard(),
            _directory: directory,
            _demo: options.demo,
        }
    }

    /// The next thing the gate was given.
    pub(super) async fn seen(&mut self) -> Seen {
        within(self.seen.recv()).await.expect("the server runs")
    }

    /// The next packet of a session.
    pub(super) async fn packet(&mut self) -> Packet {
        loop {
            if let Seen::Packet(packet) = self.seen().await {
                return packet;
            }
        }
    }

    /// How often something was refused on `surface` for `reason`.
    pub(super) fn refused(&self, surface: &str, reason: &str) -> u64 {
        self.metric(&format!("refused_total{{surface=\"{surface}\",reason=\"{reason}\"}}"))
    }

    /// The figure in a series whose name and labels end so; 0 where there is none.
    pub(super) fn metric(&self, series: &str) -> u64 {
        let text = metrics::text(&self.registry).unwrap();
        let series = format!("{series} ");
        let count = text.lines().find_map(|line| Some(line.split_once(&series)?.1.parse().unwrap()));
        count.unwrap_or(0)
    }

    /// Waits until something was refused so often.
    pub(super) async fn refuses(&self, surface: &str, reason: &str, times: u64) {
        let all = async {
            while self.refused(surface, reason) < times {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        within(all).await;
    }

    /// A client that trusts this server alone.
    pub(super) fn client(&self, alpn: &[&str]) -> rustls::ClientConfig {
        trusting(&self.made, alpn)
    }

    /// HTTP/2 over TLS, or HTTP/1.1 without.
    pub(super) fn http(&self) -> reqwest::Client {
        let tls = self.client(&["h2"]);
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap()
    }

    /// The URLs of `path` over both, in the order of that.
    pub(super) fn urls(&self, path: &str) -> [String; 2] {
        [format!("https://{}{path}", self.secure), format!("http://{}{path}", self.plain)]
    }
}

/// A client's configuration that trusts one certificate.
pub(super) fn trusting(made: &tls::Made, alpn: &[&str]) -> rustls::ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(made.certificate_pem.as_bytes()).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// Writes a new pair into `files`.
#[expect(clippy::disallowed_methods, reason = "clients judge certificates by the wall clock")]
pub(super) fn renew(files: &Tls) -> tls::Made {
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = tls::make(&hosts, tls::DEVELOPMENT_DAYS, SystemTime::now()).unwrap();
    std::fs::write(&files.certificate, &made.certificate_pem).unwrap();
    std::fs::write(&files.key, &made.key_pem).unwrap();
    made
}

/// The future's result; a test that waits longer has failed.
#[track_caller]
pub(super) fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let at = std::panic::Location::caller();
    async move {
        let result = tokio::time::timeout(PATIENCE, future).await;
        result.unwrap_or_else(|_| panic!("nothing came in time at {at}"))
    }
}

fn access(options: &Options) -> (String, Arc<Access>) {
    let Issued { token, hash } = Issued::new("web").unwrap();
    let clients = options.token_clients.map(Into::into);
    let entry = Token { id: "web".into(), hash, tenant: "shop".into(), clients, topics: None };
    let auth = match options.needs_token {
        true => Auth { mode: Some(AuthMode::Tokens), tokens: vec![entry] },
        false => Auth::default(),
    };
    (token, Arc::new(Access::new(&auth, &Origins::default(), &[])))
}

fn http(
    gate: &FakeGate,
    access: &Arc<Access>,
    rates: &Arc<Rates>,
    metrics: &Metrics,
    options: &Options,
    secure_port: u16,
) -> Http<FakeGate> {
    let discovery = Discovery {
        public: None,
        secure_port: Some(secure_port),
        prefix: "/v1".into(),
        limits: options.limits,
        exclude: Vec::new(),
        hashes: Box::new(Vec::new),
    };
    let settings = Settings {
        prefix: "/v1".into(),
        limits: options.limits,
        bodies_bytes: options.bodies_bytes,
        body_patience: options.body_patience,
    };
    Http::new(gate.clone(), Arc::clone(access), Arc::clone(rates), metrics.clone(), discovery, settings)
}
